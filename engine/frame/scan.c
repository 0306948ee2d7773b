#include <string.h>

#include "engine/base/alloc.h"
#include "engine/frame/recipe.h"

/* DuckDB's names are case-insensitive, Iceberg's are not: inside a scan columns are c<id>. */
static mle_status put_map(mle_buffer *sql, const mle_scan *scan, mle_error *err) {
  for (size_t i = 0; i < scan->num_columns; i++) {
    const mle_scan_column *column = &scan->columns[i];
    MLE_TRY(mle_buffer_printf(sql, err, "%s%d: {name: 'c%d', type: ", i > 0 ? ", " : "",
                              (int)column->field_id, (int)column->field_id));
    MLE_TRY(mle_sql_text(sql, column->type, strlen(column->type), err));
    MLE_TRY(mle_buffer_puts(sql, ", default_value: ", err));
    if (column->initial_default == NULL)
      MLE_TRY(mle_buffer_puts(sql, "NULL::VARCHAR", err));
    else
      MLE_TRY(mle_sql_text(sql, column->initial_default, strlen(column->initial_default), err));
    MLE_TRY(mle_buffer_puts(sql, "}", err));
  }
  return MLE_OK;
}

static mle_status put_columns(mle_buffer *sql, const mle_scan *scan, mle_error *err) {
  for (size_t i = 0; i < scan->num_columns; i++) {
    MLE_TRY(mle_buffer_printf(sql, err, "%sc%d AS ", i > 0 ? ", " : "",
                              (int)scan->columns[i].field_id));
    MLE_TRY(mle_sql_name(sql, scan->columns[i].name, err));
  }
  return MLE_OK;
}

/* can_have_nan: otherwise a filter loses NaN rows, depending on the file's statistics. */
static mle_status put_scan(mle_buffer *sql, const mle_scan *scan, const mle_source *source,
                           bool positioned, mle_error *err) {
  MLE_TRY(mle_buffer_puts(sql, "SELECT ", err));
  MLE_TRY(put_columns(sql, scan, err));
  if (positioned)
    MLE_TRY(mle_buffer_printf(sql, err, ", mle_base(%lld, file_index) + file_row_number AS " MLE_POSITION,
                              (long long)source->number));
  MLE_TRY(mle_buffer_printf(sql, err, " FROM read_parquet(mle_files(%lld), schema = MAP {",
                            (long long)source->number));
  MLE_TRY(put_map(sql, scan, err));
  return mle_buffer_printf(sql, err, "}, explicit_cardinality = %lld, can_have_nan = true)",
                           (long long)source->rows);
}

static mle_status put_empty(mle_buffer *sql, const mle_scan *scan, bool positioned,
                            mle_error *err) {
  MLE_TRY(mle_buffer_puts(sql, "SELECT ", err));
  for (size_t i = 0; i < scan->num_columns; i++) {
    MLE_TRY(mle_buffer_printf(sql, err, "%sCAST(NULL AS %s) AS ", i > 0 ? ", " : "",
                              scan->columns[i].type));
    MLE_TRY(mle_sql_name(sql, scan->columns[i].name, err));
  }
  if (positioned) MLE_TRY(mle_buffer_puts(sql, ", 0::BIGINT AS " MLE_POSITION, err));
  return mle_buffer_puts(sql, " WHERE false", err);
}

/* The text of a scan, owned by the caller. */
static mle_status scan_text(const mle_scan *scan, const mle_source *source, bool positioned,
                            char **out, mle_error *err) {
  mle_buffer sql = MLE_BUFFER(MLE_SQL_MAX);
  mle_status status;
  bool filtered = scan->filter != NULL;
  *out = NULL;
  if (filtered) MLE_GO(mle_buffer_puts(&sql, "SELECT * FROM (", err));
  if (source->num_real == 0)
    MLE_GO(put_empty(&sql, scan, positioned, err));
  else
    MLE_GO(put_scan(&sql, scan, source, positioned, err));
  if (filtered) MLE_GO(mle_buffer_printf(&sql, err, ") WHERE %s", scan->filter));
  *out = mle_buffer_take(&sql);
done:
  mle_buffer_release(&sql);
  return status;
}

static mle_status copy_columns(mle_frame *frame, const mle_scan *scan, mle_error *err) {
  frame->columns = mle_calloc(scan->num_columns, sizeof *frame->columns);
  if (frame->columns == NULL) return mle_nomem(err, "planning a scan");
  frame->num_columns = scan->num_columns;
  for (size_t i = 0; i < scan->num_columns; i++) {
    mle_frame_column *column = &frame->columns[i];
    column->name = mle_strdup(scan->columns[i].name);
    column->type = mle_strdup(scan->columns[i].type);
    column->nullable = !scan->columns[i].required;
    if (column->name == NULL || column->type == NULL) return mle_nomem(err, "planning a scan");
  }
  return MLE_OK;
}

static mle_status check_scan(const mle_scan *scan, mle_error *err) {
  if (scan->num_columns == 0) return mle_fail(err, MLE_EINVAL, "a scan needs at least one column");
  for (size_t i = 0; i < scan->num_columns; i++)
    for (size_t j = 0; j < i; j++)
      if (strcasecmp(scan->columns[i].name, scan->columns[j].name) == 0)
        return mle_fail(err, MLE_EUNSUPPORTED,
                        "the columns '%s' and '%s' differ only by case, which SQL cannot tell apart",
                        scan->columns[j].name, scan->columns[i].name);
  return MLE_OK;
}

mle_status mle_frame_scan(mle_session *session, const mle_scan *scan, mle_frame **out,
                          mle_error *err) {
  mle_status status;
  mle_source *source = NULL;
  mle_frame *frame = NULL;
  char *sql = NULL, *positioned = NULL;
  *out = NULL;
  MLE_TRY(check_scan(scan, err));
  MLE_GO(mle_source_new(scan, &source, err));
  MLE_GO(scan_text(scan, source, false, &sql, err));
  MLE_GO(scan_text(scan, source, true, &positioned, err));
  status = mle_frame_take(session, sql, positioned, &frame, err);
  sql = positioned = NULL;
  if (status != MLE_OK) goto done;
  frame->steady = true;
  frame->known_rows = scan->filter == NULL ? source->rows : -1;
  frame->source = source;
  source = NULL;
  MLE_GO(copy_columns(frame, scan, err));
  *out = frame;
  frame = NULL;
done:
  mle_free(sql);
  mle_free(positioned);
  mle_source_free(source);
  mle_frame_free(frame);
  return status;
}
