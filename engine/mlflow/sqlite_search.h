/*
 * sqlite_search.h -- a search in MLflow's language, as SQL; private to engine/mlflow.
 *
 *     MLE_GO(mle_buffer_puts(&sql, "select ... from experiments r where ...", err));
 *     MLE_GO(mle_sqlite_put_search(&sql, &mle_sqlite_experiments, search, memory, err));
 *     ... read all rows into out->item ...
 *     status = mle_sqlite_next_page(search, &out->count, memory, &out->next_page_token, err);
 *
 * The table searched is called `r`. One row more than asked for is read: it says
 * whether there is a next page, whose token is the number of rows before it.
 */
#ifndef MLE_MLFLOW_SQLITE_SEARCH_H
#define MLE_MLFLOW_SQLITE_SEARCH_H

#include <stdbool.h>

#include "engine/base/buffer.h"
#include "engine/mlflow/filter.h"
#include "engine/mlflow/sqlite.h"

#define MLE_SQLITE_SQL_MAX ((size_t)1 << 20)
#define MLE_SQLITE_OFFSET_MAX 1000000000

/* Where pairs of a kind are kept. */
typedef struct mle_sqlite_keyed {
  const char *table, *key, *value;
  bool has_nan;       /* a NaN is kept as 0 with is_nan = 1 */
  const char *newest; /* of several with one key, from " order by " on */
} mle_sqlite_keyed;

typedef struct mle_sqlite_subject {
  const mle_filter_subject *filter;
  const char *join; /* of `r` with its tags, params, metrics `x` */
  mle_sqlite_keyed tags, params, metrics;
  const char *order, *ties;
} mle_sqlite_subject;

extern const mle_sqlite_subject mle_sqlite_runs, mle_sqlite_experiments, mle_sqlite_models,
    mle_sqlite_versions, mle_sqlite_logged_models;

/* " and r.experiment_id in (...)"; NULL: in none. */
mle_status mle_sqlite_put_experiments(mle_buffer *sql, const char *const *ids, mle_error *err);

/* Adds conditions, order and page of a search to SQL that ends in a condition. */
mle_status mle_sqlite_put_search(mle_buffer *sql, const mle_sqlite_subject *subject,
                                 const mle_mlflow_search *search, mle_arena *memory,
                                 mle_error *err);

/* Cuts what was read to the page, and tells the token of the next. */
mle_status mle_sqlite_next_page(const mle_mlflow_search *search, size_t *count, mle_arena *memory,
                                const char **token, mle_error *err);

#endif
