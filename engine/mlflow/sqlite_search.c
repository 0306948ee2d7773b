#include <stdio.h>
#include <string.h>

#include "engine/base/buffer.h"
#include "engine/json/json.h"
#include "engine/mlflow/filter.h"
#include "engine/mlflow/sqlite.h"

#define SQL_MAX ((size_t)1 << 20)

/* ====== SQL of a search ====== */

static mle_status put_text(mle_buffer *sql, const char *text, mle_error *err) {
  MLE_TRY(mle_buffer_puts(sql, "'", err));
  for (const char *c = text; *c != '\0'; c++)
    MLE_TRY(mle_buffer_append(sql, *c == '\'' ? "''" : c, *c == '\'' ? 2 : 1, err));
  return mle_buffer_puts(sql, "'", err);
}

/* "COLUMN OPERATOR VALUE"; case counts in LIKE, as MLflow has it. */
static mle_status put_comparison(mle_buffer *sql, const char *column,
                                 const mle_filter_condition *c, mle_error *err) {
  char number[MLE_NUMBER_TEXT];
  if (c->is_number)
    return mle_buffer_printf(sql, err, "%s %s %s", column, c->operator,
                             mle_double_text(c->number, number));
  if (strcmp(c->operator, "ILIKE") == 0) {
    MLE_TRY(mle_buffer_printf(sql, err, "lower(%s) like lower(", column));
    MLE_TRY(put_text(sql, c->text[0], err));
    return mle_buffer_puts(sql, ")", err);
  }
  MLE_TRY(mle_buffer_printf(sql, err, "%s %s (", column, c->operator));
  for (size_t i = 0; i < c->num_texts; i++) {
    if (i > 0) MLE_TRY(mle_buffer_puts(sql, ", ", err));
    MLE_TRY(put_text(sql, c->text[i], err));
  }
  return mle_buffer_puts(sql, ")", err);
}

static const char *attribute_column(const char *key) {
  if (strcmp(key, "run_id") == 0) return "r.run_uuid";
  if (strcmp(key, "run_name") == 0) return "r.name";
  if (strcmp(key, "user_id") == 0) return "r.user_id";
  if (strcmp(key, "start_time") == 0) return "r.start_time";
  if (strcmp(key, "end_time") == 0) return "r.end_time";
  return strcmp(key, "status") == 0 ? "r.status" : "r.artifact_uri";
}

static const char *table_of(mle_filter_entity entity) {
  if (entity == MLE_FILTER_METRIC) return "latest_metrics";
  return entity == MLE_FILTER_PARAM ? "params" : "tags";
}

static mle_status put_keyed(mle_buffer *sql, const mle_filter_condition *c, mle_error *err) {
  MLE_TRY(mle_buffer_printf(sql, err,
                            "exists (select 1 from %s x where x.run_uuid = r.run_uuid and x.key = ",
                            table_of(c->entity)));
  MLE_TRY(put_text(sql, c->key, err));
  MLE_TRY(mle_buffer_puts(sql, " and ", err));
  MLE_TRY(put_comparison(sql, "x.value", c, err));
  return mle_buffer_puts(sql, ")", err);
}

static mle_status put_dataset(mle_buffer *sql, const mle_filter_condition *c, mle_error *err) {
  const char *column = strcmp(c->key, "context") == 0 ? "t.value"
                       : strcmp(c->key, "name") == 0  ? "d.name"
                                                      : "d.digest";
  MLE_TRY(mle_buffer_puts(
      sql,
      "exists (select 1 from inputs i join datasets d on d.dataset_uuid = i.source_id"
      " left join input_tags t on t.input_uuid = i.input_uuid and t.name = 'mlflow.data.context'"
      " where i.source_type = 'DATASET' and i.destination_type = 'RUN'"
      " and i.destination_id = r.run_uuid and ",
      err));
  MLE_TRY(put_comparison(sql, column, c, err));
  return mle_buffer_puts(sql, ")", err);
}

static mle_status put_condition(mle_buffer *sql, const mle_filter_condition *c, mle_error *err) {
  MLE_TRY(mle_buffer_puts(sql, " and ", err));
  if (c->entity == MLE_FILTER_ATTRIBUTE)
    return put_comparison(sql, attribute_column(c->key), c, err);
  return c->entity == MLE_FILTER_DATASET ? put_dataset(sql, c, err) : put_keyed(sql, c, err);
}

static mle_status put_experiments(mle_buffer *sql, const char *const *ids, mle_error *err) {
  MLE_TRY(mle_buffer_puts(sql, " and r.experiment_id in (", err));
  for (size_t i = 0; ids[i] != NULL; i++) {
    if (*ids[i] == '\0' || ids[i][strspn(ids[i], "0123456789")] != '\0')
      return mle_fail(err, MLE_EINVAL, "'%s' is no experiment id; ids are numbers", ids[i]);
    MLE_TRY(mle_buffer_printf(sql, err, "%s%s", i > 0 ? ", " : "", ids[i]));
  }
  return mle_buffer_puts(sql, ")", err);
}

/* Runs without the value come last, in either direction. */
static mle_status put_order(mle_buffer *sql, const mle_filter_order *order, mle_error *err) {
  const char *direction = order->descending ? "desc" : "asc";
  if (order->entity == MLE_FILTER_ATTRIBUTE)
    return mle_buffer_printf(sql, err, "%s %s nulls last, ", attribute_column(order->key), direction);
  MLE_TRY(mle_buffer_printf(sql, err,
                            "(select x.value from %s x where x.run_uuid = r.run_uuid and x.key = ",
                            table_of(order->entity)));
  MLE_TRY(put_text(sql, order->key, err));
  return mle_buffer_printf(sql, err, ") %s nulls last, ", direction);
}

static mle_status put_search(mle_buffer *sql, const mle_mlflow_search *search, mle_arena *memory,
                             mle_error *err) {
  mle_filter filter;
  mle_filter_order order;
  MLE_TRY(mle_filter_parse(search->filter == NULL ? "" : search->filter, memory, &filter, err));
  MLE_TRY(mle_buffer_puts(
      sql, "select " MLE_SQLITE_RUN_COLUMNS " from runs r where r.lifecycle_stage = 'active'", err));
  MLE_TRY(put_experiments(sql, search->experiment_ids, err));
  for (size_t i = 0; i < filter.count; i++) MLE_TRY(put_condition(sql, &filter.condition[i], err));
  MLE_TRY(mle_buffer_puts(sql, " order by ", err));
  if (search->order_by != NULL) {
    MLE_TRY(mle_filter_parse_order(search->order_by, memory, &order, err));
    MLE_TRY(put_order(sql, &order, err));
  }
  return mle_buffer_printf(sql, err, "r.start_time desc, r.run_uuid limit %zu", search->max);
}

/* ====== Running it ====== */

static mle_status read_runs(mle_db_rows *rows, mle_arena *memory, mle_mlflow_runs *out,
                            mle_error *err) {
  mle_mlflow_run *list = NULL;
  while (true) {
    MLE_TRY(mle_db_next(rows, err));
    if (!rows->found) return MLE_OK;
    list = mle_arena_grow(memory, list, out->count, sizeof *list);
    if (list == NULL) return mle_nomem(err, "searching runs");
    out->item = list;
    MLE_TRY(mle_sqlite_read_run(rows, memory, &list[out->count++], err));
  }
}

mle_status mle_sqlite_search_runs(mle_mlflow *base, const mle_mlflow_search *search,
                                  mle_arena *memory, mle_mlflow_runs *out, mle_error *err) {
  mle_sqlite_store *store = mle_sqlite_of(base);
  mle_buffer sql = MLE_BUFFER(SQL_MAX);
  mle_db_rows rows = {0};
  mle_status status;
  MLE_GO(put_search(&sql, search, memory, err));
  MLE_GO(mle_db_query(store->db, &rows, err, sql.data, ""));
  status = read_runs(&rows, memory, out, err);
done:
  mle_db_end(&rows);
  mle_buffer_release(&sql);
  return status;
}
