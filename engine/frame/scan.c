#include <stdio.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/frame/recipe.h"
#include "engine/frame/remote.h"

/* What a group holds of a column; all zero without groups. */
static const mle_scan_stored *stored_in(const mle_scan_group *group, size_t column) {
  static const mle_scan_stored plain;
  return group == NULL || group->columns == NULL ? &plain : &group->columns[column];
}

static bool is_read(const mle_scan_group *group, size_t column) {
  const mle_scan_stored *stored = stored_in(group, column);
  if (stored->constant > 0) return false;
  return group == NULL || !group->by_name || stored->name != NULL;
}

static mle_status put_default(mle_buffer *sql, const char *text, mle_error *err) {
  if (text == NULL) return mle_buffer_puts(sql, "NULL::VARCHAR", err);
  return mle_sql_text(sql, text, strlen(text), err);
}

static mle_status put_column(mle_buffer *sql, const mle_scan_column *column,
                             const mle_scan_stored *stored, bool read, int64_t source,
                             mle_error *err) {
  if (stored->constant > 0)
    return mle_buffer_printf(sql, err, "CAST(mle_constant(%lld, %d, file_index) AS %s)",
                             (long long)source, stored->constant - 1, column->type);
  if (read && stored->expression != NULL) return mle_buffer_puts(sql, stored->expression, err);
  if (read) return mle_buffer_printf(sql, err, "c%d", (int)column->field_id);
  MLE_TRY(mle_buffer_puts(sql, "CAST(", err));
  MLE_TRY(put_default(sql, column->initial_default, err));
  return mle_buffer_printf(sql, err, " AS %s)", column->type);
}

static mle_status put_columns(mle_buffer *sql, const mle_scan *scan, const mle_scan_group *group,
                              int64_t source, mle_error *err) {
  for (size_t i = 0; i < scan->num_columns; i++) {
    if (i > 0) MLE_TRY(mle_buffer_puts(sql, ", ", err));
    MLE_TRY(put_column(sql, &scan->columns[i], stored_in(group, i), is_read(group, i), source, err));
    MLE_TRY(mle_buffer_puts(sql, " AS ", err));
    MLE_TRY(mle_sql_name(sql, scan->columns[i].name, err));
  }
  return MLE_OK;
}

static mle_status put_place(mle_buffer *sql, const mle_scan *scan, const char *value,
                            mle_error *err) {
  if (scan->place == NULL) return MLE_OK;
  MLE_TRY(mle_buffer_printf(sql, err, ", %s AS ", value));
  return mle_sql_name(sql, scan->place, err);
}

static mle_status copy_text(const char *text, char **out, mle_error *err) {
  *out = text == NULL ? NULL : mle_strdup(text);
  return text == NULL || *out != NULL ? MLE_OK : mle_nomem(err, "planning a scan");
}

/* A type that files have, not the table, gets its default from the expression over it. */
static mle_status describe_column(const mle_scan_column *from, const mle_scan_stored *stored,
                                  bool by_name, mle_source_column *out, mle_error *err) {
  out->field_id = from->field_id;
  MLE_TRY(copy_text(from->name, &out->name, err));
  MLE_TRY(copy_text(by_name ? stored->name : NULL, &out->stored, err));
  MLE_TRY(copy_text(stored->type != NULL ? stored->type : from->type, &out->type, err));
  return copy_text(stored->type == NULL ? from->initial_default : NULL, &out->default_value, err);
}

/* DuckDB's names are case-insensitive, Iceberg's are not: inside a scan columns are c<id>. can_have_nan: otherwise
 * a filter loses NaN rows, depending on the file's statistics. */
static mle_status describe_source(const mle_scan *scan, mle_source *source, mle_error *err) {
  const mle_scan_group *group = scan->groups == NULL ? NULL : &scan->groups[source->group];
  bool by_name = group != NULL && group->by_name;
  snprintf(source->columns_text, sizeof source->columns_text, "can_have_nan = true, schema = %s(%lld)",
           by_name ? "mle_names" : "mle_columns", (long long)source->number);
  source->columns = mle_calloc(scan->num_columns + 1, sizeof *source->columns);
  if (source->columns == NULL) return mle_nomem(err, "planning a scan");
  for (size_t i = 0; i < scan->num_columns; i++) {
    if (!is_read(group, i)) continue;
    mle_source_column *column = &source->columns[source->num_columns++];
    MLE_TRY(describe_column(&scan->columns[i], stored_in(group, i), by_name, column, err));
  }
  return MLE_OK;
}

static mle_status put_source(mle_buffer *sql, const mle_scan *scan, const mle_source *source,
                             bool positioned, mle_error *err) {
  char place[100];
  const mle_scan_group *group =
      scan->groups == NULL ? NULL : &scan->groups[source->group];
  long long number = (long long)source->number;
  snprintf(place, sizeof place, "(mle_file(%lld, file_index) << %d) + file_row_number", number,
           MLE_PLACE_BITS);
  MLE_TRY(mle_buffer_puts(sql, "SELECT ", err));
  MLE_TRY(put_columns(sql, scan, group, source->number, err));
  MLE_TRY(put_place(sql, scan, place, err));
  if (positioned)
    MLE_TRY(mle_buffer_printf(sql, err, ", mle_base(%lld, file_index) + file_row_number AS " MLE_POSITION,
                              number));
  MLE_TRY(mle_buffer_printf(sql, err, " FROM read_parquet(mle_files(%lld), explicit_cardinality = %lld, %s)",
                            number, (long long)source->rows, source->columns_text));
  if (!source->any_dead) return MLE_OK;
  return mle_buffer_printf(sql, err, " WHERE mle_live(%lld, file_index, file_row_number)", number);
}

static mle_status put_scan(mle_buffer *sql, const mle_scan *scan, const mle_source *sources,
                           bool positioned, mle_error *err) {
  for (const mle_source *source = sources; source != NULL; source = source->sibling) {
    if (source != sources) MLE_TRY(mle_buffer_puts(sql, " UNION ALL ", err));
    MLE_TRY(put_source(sql, scan, source, positioned, err));
  }
  return MLE_OK;
}

static mle_status put_empty(mle_buffer *sql, const mle_scan *scan, bool positioned,
                            mle_error *err) {
  MLE_TRY(mle_buffer_puts(sql, "SELECT ", err));
  for (size_t i = 0; i < scan->num_columns; i++) {
    MLE_TRY(mle_buffer_printf(sql, err, "%sCAST(NULL AS %s) AS ", i > 0 ? ", " : "",
                              scan->columns[i].type));
    MLE_TRY(mle_sql_name(sql, scan->columns[i].name, err));
  }
  MLE_TRY(put_place(sql, scan, "0::BIGINT", err));
  if (positioned) MLE_TRY(mle_buffer_puts(sql, ", 0::BIGINT AS " MLE_POSITION, err));
  return mle_buffer_puts(sql, " WHERE false", err);
}

/* The text of a scan, owned by the caller. */
static mle_status scan_text(const mle_scan *scan, const mle_source *sources, bool positioned,
                            char **out, mle_error *err) {
  mle_buffer sql = MLE_BUFFER(MLE_SQL_MAX);
  mle_status status;
  bool filtered = scan->filter != NULL;
  *out = NULL;
  if (filtered) MLE_GO(mle_buffer_puts(&sql, "SELECT * FROM (", err));
  if (sources == NULL)
    MLE_GO(put_empty(&sql, scan, positioned, err));
  else
    MLE_GO(put_scan(&sql, scan, sources, positioned, err));
  if (filtered) MLE_GO(mle_buffer_printf(&sql, err, ") WHERE %s", scan->filter));
  *out = mle_buffer_take(&sql);
done:
  mle_buffer_release(&sql);
  return status;
}

/* One source per run of files with the same group. */
static mle_status make_sources(const mle_scan *scan, mle_source **out, int64_t *out_live,
                               mle_error *err) {
  mle_source **at = out;
  int64_t before = 0;
  *out = NULL;
  *out_live = 0;
  for (size_t first = 0, end; first < scan->num_files; first = end) {
    for (end = first + 1; end < scan->num_files && scan->files[end].group == scan->files[first].group;)
      end++;
    MLE_TRY(mle_source_new(scan, first, end, before, at, err));
    MLE_TRY(describe_source(scan, *at, err));
    before += (*at)->rows;
    *out_live += (*at)->live;
    at = &(*at)->sibling;
  }
  return MLE_OK;
}

static mle_status copy_columns(mle_frame *frame, const mle_scan *scan, mle_error *err) {
  frame->columns = mle_calloc(scan->num_columns + 1, sizeof *frame->columns);
  if (frame->columns == NULL) return mle_nomem(err, "planning a scan");
  frame->num_columns = scan->num_columns + (scan->place != NULL);
  for (size_t i = 0; i < scan->num_columns; i++) {
    mle_frame_column *column = &frame->columns[i];
    column->name = mle_strdup(scan->columns[i].name);
    column->type = mle_strdup(scan->columns[i].type);
    column->nullable = !scan->columns[i].required;
    if (column->name == NULL || column->type == NULL) return mle_nomem(err, "planning a scan");
  }
  if (scan->place == NULL) return MLE_OK;
  mle_frame_column *place = &frame->columns[scan->num_columns];
  place->name = mle_strdup(scan->place);
  place->type = mle_strdup("BIGINT");
  if (place->name == NULL || place->type == NULL) return mle_nomem(err, "planning a scan");
  return MLE_OK;
}

static mle_status check_scan(const mle_scan *scan, mle_error *err) {
  if (scan->num_columns == 0 && scan->place == NULL) return mle_fail(err, MLE_EINVAL, "a scan needs at least one column");
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
  int64_t live;
  *out = NULL;
  MLE_TRY(check_scan(scan, err));
  for (size_t i = 0; i < scan->num_files; i++)
    MLE_TRY(mle_remotes_add(mle_session_remotes(session), scan->files[i].path, err));
  MLE_GO(make_sources(scan, &source, &live, err));
  MLE_GO(scan_text(scan, source, false, &sql, err));
  MLE_GO(scan_text(scan, source, true, &positioned, err));
  status = mle_frame_take(session, sql, positioned, &frame, err);
  sql = positioned = NULL;
  if (status != MLE_OK) goto done;
  frame->steady = true;
  frame->known_rows = scan->filter == NULL ? live : -1;
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
