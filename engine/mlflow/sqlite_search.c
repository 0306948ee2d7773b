/* sqlite_search.c -- a search in MLflow's language, as SQL */

#include "engine/mlflow/sqlite_search.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/json/json.h"
#include "engine/mlflow/filter.h"

#define COLUMN_MAX 40

#define TAGS_IN(table) {table, "key", "value", false, ""}
#define NONE {NULL, NULL, NULL, false, NULL}

const mle_sqlite_subject mle_sqlite_runs = {
    &mle_filter_runs, "x.run_uuid = r.run_uuid", TAGS_IN("tags"), TAGS_IN("params"),
    {"latest_metrics", "key", "value", true, ""},
    "r.start_time desc", "r.start_time desc, r.run_uuid"};
const mle_sqlite_subject mle_sqlite_experiments = {
    &mle_filter_experiments, "x.experiment_id = r.experiment_id", TAGS_IN("experiment_tags"), NONE, NONE,
    "r.creation_time desc, r.experiment_id asc", "r.experiment_id desc"};
const mle_sqlite_subject mle_sqlite_models = {
    &mle_filter_models, "x.name = r.name", TAGS_IN("registered_model_tags"), NONE, NONE, "r.name asc",
    "r.name asc"};
const mle_sqlite_subject mle_sqlite_versions = {
    &mle_filter_versions, "x.name = r.name and x.version = r.version", TAGS_IN("model_version_tags"),
    NONE, NONE, "r.last_updated_time desc", "r.name asc, r.version desc"};
const mle_sqlite_subject mle_sqlite_logged_models = {
    &mle_filter_logged_models, "x.model_id = r.model_id",
    {"logged_model_tags", "tag_key", "tag_value", false, ""},
    {"logged_model_params", "param_key", "param_value", false, ""},
    {"logged_model_metrics", "metric_name", "metric_value", false,
     " order by x.metric_timestamp_ms desc, x.metric_step desc, x.run_id limit 1"},
    "r.creation_timestamp_ms desc", "r.creation_timestamp_ms desc, r.model_id"};

/* ====== Conditions ====== */

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

static const mle_sqlite_keyed *keyed_of(const mle_sqlite_subject *subject,
                                        mle_filter_entity entity) {
  if (entity == MLE_FILTER_METRIC) return &subject->metrics;
  return entity == MLE_FILTER_PARAM ? &subject->params : &subject->tags;
}

/* A NaN is no number: as in MLflow 3 it differs from each, and compares with none else. */
static mle_status put_value(mle_buffer *sql, const mle_sqlite_keyed *in,
                            const mle_filter_condition *c, mle_error *err) {
  char column[COLUMN_MAX];
  bool differs = strcmp(c->operator, "!=") == 0;
  snprintf(column, sizeof column, "x.%s", in->value);
  MLE_TRY(mle_buffer_puts(sql, !in->has_nan ? " and (" : differs ? " and (x.is_nan = 1 or " : " and (x.is_nan = 0 and ", err));
  MLE_TRY(put_comparison(sql, column, c, err));
  return mle_buffer_puts(sql, ")", err);
}

static mle_status put_keyed(mle_buffer *sql, const mle_sqlite_subject *subject,
                            const mle_filter_condition *c, mle_error *err) {
  const mle_sqlite_keyed *in = keyed_of(subject, c->entity);
  MLE_TRY(mle_buffer_printf(sql, err, "%sexists (select 1 from %s x where %s and x.%s = ",
                            strcmp(c->operator, "IS NULL") == 0 ? "not " : "", in->table,
                            subject->join, in->key));
  MLE_TRY(put_text(sql, c->key, err));
  if (strncmp(c->operator, "IS ", 3) != 0) MLE_TRY(put_value(sql, in, c, err));
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

static mle_status put_condition(mle_buffer *sql, const mle_sqlite_subject *subject,
                                const mle_filter_condition *c, mle_error *err) {
  MLE_TRY(mle_buffer_puts(sql, " and ", err));
  if (c->entity == MLE_FILTER_DATASET) return put_dataset(sql, c, err);
  if (c->entity != MLE_FILTER_ATTRIBUTE) return put_keyed(sql, subject, c, err);
  char column[COLUMN_MAX];
  snprintf(column, sizeof column, "r.%s", c->attribute->column);
  return put_comparison(sql, column, c, err);
}

mle_status mle_sqlite_put_experiments(mle_buffer *sql, const char *const *ids, mle_error *err) {
  MLE_TRY(mle_buffer_puts(sql, " and r.experiment_id in (", err));
  for (size_t i = 0; ids != NULL && ids[i] != NULL; i++) {
    if (*ids[i] == '\0' || ids[i][strspn(ids[i], "0123456789")] != '\0')
      return mle_fail(err, MLE_EINVAL, "'%s' is no experiment id; ids are numbers", ids[i]);
    MLE_TRY(mle_buffer_printf(sql, err, "%s%s", i > 0 ? ", " : "", ids[i]));
  }
  return mle_buffer_puts(sql, ")", err);
}

/* ====== Order ====== */

/* "(select COLUMN of the pair) DIRECTION nulls last, " */
static mle_status put_order_by(mle_buffer *sql, const mle_sqlite_subject *subject,
                               const mle_filter_order *order, const char *column,
                               const char *direction, mle_error *err) {
  const mle_sqlite_keyed *in = keyed_of(subject, order->entity);
  MLE_TRY(mle_buffer_printf(sql, err, "(select x.%s from %s x where %s and x.%s = ", column,
                            in->table, subject->join, in->key));
  MLE_TRY(put_text(sql, order->key, err));
  return mle_buffer_printf(sql, err, "%s) %s nulls last, ", in->newest, direction);
}

/* What lacks the value comes last, in either direction; NaN just before. */
static mle_status put_order(mle_buffer *sql, const mle_sqlite_subject *subject, const char *text,
                            mle_arena *memory, mle_error *err) {
  mle_filter_order order;
  MLE_TRY(mle_filter_parse_order(subject->filter, text, memory, &order, err));
  const char *direction = order.descending ? "desc" : "asc";
  if (order.entity == MLE_FILTER_ATTRIBUTE)
    return mle_buffer_printf(sql, err, "r.%s %s nulls last, ", order.attribute->column, direction);
  const mle_sqlite_keyed *in = keyed_of(subject, order.entity);
  if (in->has_nan) MLE_TRY(put_order_by(sql, subject, &order, "is_nan", "asc", err));
  return put_order_by(sql, subject, &order, in->value, direction, err);
}

static mle_status put_orders(mle_buffer *sql, const mle_sqlite_subject *subject,
                             const char *const *order_by, mle_arena *memory, mle_error *err) {
  MLE_TRY(mle_buffer_puts(sql, " order by ", err));
  if (order_by == NULL || *order_by == NULL)
    MLE_TRY(mle_buffer_printf(sql, err, "%s, ", subject->order));
  for (; order_by != NULL && *order_by != NULL; order_by++)
    MLE_TRY(put_order(sql, subject, *order_by, memory, err));
  return mle_buffer_puts(sql, subject->ties, err);
}

/* ====== Pages ====== */

static mle_status read_token(const char *token, long *out, mle_error *err) {
  *out = 0;
  if (token == NULL || *token == '\0') return MLE_OK;
  char *end;
  *out = strspn(token, "0123456789") == strlen(token) ? strtol(token, &end, 10) : -1;
  if (*out < 0 || *out > MLE_SQLITE_OFFSET_MAX)
    return mle_fail(err, MLE_EINVAL, "'%.40s' is no page token of this store", token);
  return MLE_OK;
}

mle_status mle_sqlite_put_search(mle_buffer *sql, const mle_sqlite_subject *subject,
                                 const mle_mlflow_search *search, mle_arena *memory,
                                 mle_error *err) {
  mle_filter filter;
  long offset;
  const char *text = search->filter == NULL ? "" : search->filter;
  MLE_TRY(read_token(search->page_token, &offset, err));
  MLE_TRY(mle_filter_parse(subject->filter, text, memory, &filter, err));
  for (size_t i = 0; i < filter.count; i++)
    MLE_TRY(put_condition(sql, subject, &filter.condition[i], err));
  MLE_TRY(put_orders(sql, subject, search->order_by, memory, err));
  return mle_buffer_printf(sql, err, " limit %zu offset %ld", search->max + 1, offset);
}

mle_status mle_sqlite_next_page(const mle_mlflow_search *search, size_t *count, mle_arena *memory,
                                const char **token, mle_error *err) {
  long offset;
  if (*count <= search->max) return MLE_OK;
  *count = search->max;
  MLE_TRY(read_token(search->page_token, &offset, err));
  *token = mle_arena_format(memory, "%ld", offset + (long)search->max);
  return *token != NULL ? MLE_OK : mle_nomem(err, "ending a page");
}
