/*
 * matrix.h -- a set of rows as XGBoost trains on it: its QuantileDMatrix.
 *
 *     mle_matrix_options options = {.num_features = 14, .names = names, .types = types,
 *                                   .label = {.name = "fraud_trx", .objective = objective}};
 *     mle_matrix *train, *test;
 *     MLE_GO(mle_matrix_read(train_stream, &options, &train, err));
 *     options.ref = train;
 *     MLE_GO(mle_matrix_read(test_stream, &options, &test, err));
 *
 * The stream's columns are the features in order, the label, then the weight and
 * the base margin where the options name them. Nulls and NaN are missing. The stream is
 * read once; the rows are kept (spool.h) until the matrix, which is 1 byte a value when
 * dense, is built. Use on one thread, the booster's.
 */
#ifndef MLE_XGBOOST_MATRIX_H
#define MLE_XGBOOST_MATRIX_H

#include <stdbool.h>

#include "engine/base/buffer.h"
#include "engine/frame/stream.h"
#include "engine/xgboost/label.h"
#include "engine/xgboost/spool.h"

typedef struct mle_matrix mle_matrix;

typedef struct mle_matrix_options {
  const char *what;         /* "dtrain", "evals.test": for messages */
  size_t num_features;
  const char **names;       /* num_features each; not changed, though the C API says so */
  const char **types;       /* "float", "int", "i" (bool) */
  mle_label label;
  const char *weight;       /* the column's name; NULL: no weights */
  const char *base_margin;  /* likewise */
  int max_bin;              /* 0: XGBoost's 256; the booster must have the same */
  int num_threads;          /* 0: one per processor */
  const mle_matrix *ref;    /* of a validation set: the training set, whose bins it takes */
  mle_spool_options spool;
} mle_matrix_options;

mle_status mle_matrix_read(mle_stream *stream, const mle_matrix_options *options, mle_matrix **out,
                           mle_error *err);
mle_matrix *mle_matrix_ref(mle_matrix *matrix); /* one more holder; returns it */
void mle_matrix_free(mle_matrix *matrix);       /* one holder less; NULL is ignored */

size_t mle_matrix_rows(const mle_matrix *matrix);
size_t mle_matrix_missing(const mle_matrix *matrix, size_t feature); /* rows without a value */

/* The library's DMatrixHandle, for this folder. */
void *mle_matrix_handle(const mle_matrix *matrix);

/* XGBoost's array interface of a column: {"data":[ADDRESS,true],"shape":[N],...}. */
mle_status mle_matrix_describe(mle_buffer *json, const mle_column *column, size_t rows,
                               mle_error *err);

#endif
