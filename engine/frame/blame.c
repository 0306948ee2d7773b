#include "engine/frame/blame.h"

#include <stdio.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/base/cancel.h"
#include "engine/frame/query.h"
#include "engine/frame/recipe.h"

typedef struct suspect {
  mle_connection *c;
  const mle_source *source;
  const char *pattern;
} suspect;

/* A row group and where its rows are in the file. */
typedef struct piece {
  int64_t first, end;
  long long number;
} piece;

/* Runs a text whose only parameter is the file; `out` gets up to `width` numbers of its first row. */
static mle_status ask(const suspect *s, const char *sql, int64_t *out, size_t width, mle_error *err) {
  duckdb_prepared_statement statement = NULL;
  duckdb_result result = {0};
  duckdb_data_chunk chunk = NULL;
  mle_status status;
  MLE_GO(mle_prepare(s->c, sql, &statement, err));
  duckdb_bind_varchar(statement, 1, s->pattern);
  if (duckdb_execute_prepared(statement, &result) != DuckDBSuccess)
    MLE_GO(mle_query_fail(s->c, duckdb_result_error(&result), err));
  chunk = duckdb_fetch_chunk(result);
  for (size_t i = 0; i < width; i++) {
    duckdb_vector vector = chunk == NULL ? NULL : duckdb_data_chunk_get_vector(chunk, i);
    uint64_t *valid = vector == NULL ? NULL : duckdb_vector_get_validity(vector);
    bool known = vector != NULL && duckdb_data_chunk_get_size(chunk) > 0 && (valid == NULL || (valid[0] & 1) != 0);
    out[i] = known ? ((const int64_t *)duckdb_vector_get_data(vector))[0] : -1;
  }
done:
  duckdb_destroy_data_chunk(&chunk);
  duckdb_destroy_result(&result);
  duckdb_destroy_prepare(&statement);
  return status;
}

/* Whether it failed by what is in the file. */
static bool is_damage(mle_status status, const mle_error *err) {
  return status != MLE_OK && status != MLE_ECANCELLED && status != MLE_ENOMEM && !err->retryable;
}

/* Whether rows [first, end) of the column can be read; of all columns where it is NULL. A hash needs each value, a count
 * would be known from the footer. */
static bool is_sound(const suspect *s, const mle_source_column *column, int64_t first, int64_t end) {
  char name[24] = "COLUMNS(*)";
  mle_error err = {0};
  if (column != NULL) snprintf(name, sizeof name, "c%d", (int)column->field_id);
  char *sql = mle_format("SELECT bit_xor(hash(%s)) FROM read_parquet($1, %s) "
                         "WHERE file_row_number >= %lld AND file_row_number < %lld",
                         name, s->source->columns_text, (long long)first, (long long)end);
  if (sql == NULL) return true; /* then it is not said */
  mle_status status = ask(s, sql, NULL, 0, &err);
  mle_free(sql);
  return !is_damage(status, &err);
}

static const mle_source_column *find_column(const suspect *s) {
  for (size_t i = 0; i < s->source->num_columns; i++)
    if (!is_sound(s, &s->source->columns[i], 0, INT64_MAX)) return &s->source->columns[i];
  return NULL;
}

static bool find_piece(const suspect *s, const mle_source_column *column, piece *out) {
  int64_t rows = 0;
  out->end = 0;
  for (out->number = 0;; out->number++) {
    char sql[160];
    out->first = out->end;
    snprintf(sql, sizeof sql, "SELECT max(row_group_num_rows)::BIGINT FROM parquet_metadata($1) WHERE row_group_id = %lld",
             out->number);
    if (ask(s, sql, &rows, 1, NULL) != MLE_OK || rows < 0) return false;
    out->end = out->first + rows;
    if (!is_sound(s, column, out->first, out->end)) return true;
  }
}

/* Where the column's pages begin in the file; -1 where that is not clear. */
static int64_t find_byte(const suspect *s, const mle_source_column *column, const piece *at) {
  char id[80];
  int64_t byte = -1;
  snprintf(id, sizeof id, "(SELECT min(name) FROM parquet_schema($1) WHERE field_id = %d)", (int)column->field_id);
  char *sql = mle_format("SELECT min(least(data_page_offset, coalesce(nullif(dictionary_page_offset, 0), data_page_offset)))"
                         "::BIGINT FROM parquet_metadata($1) WHERE row_group_id = %lld AND "
                         "split_part(path_in_schema, ', ', 1) = %s", at->number, id);
  if (sql != NULL) ask(s, sql, &byte, 1, NULL);
  mle_free(sql);
  return byte;
}

/* Whether it is this file; if so that is put before the error. */
static bool is_guilty(const suspect *s, const char *path, mle_error *err) {
  piece at;
  mle_error own = {0};
  if (is_damage(ask(s, "SELECT count(*) FROM parquet_schema($1)", NULL, 0, &own), &own)) {
    mle_context(err, "the footer of the Parquet file '%s'", path);
    return true;
  }
  if (s->source->columns_text[0] == '\0' || is_sound(s, NULL, 0, INT64_MAX)) return false;
  const mle_source_column *column = find_column(s);
  if (column == NULL || !find_piece(s, column, &at)) {
    mle_context(err, "the Parquet file '%s'", path);
    return true;
  }
  int64_t byte = find_byte(s, column, &at);
  if (byte >= 0)
    mle_context(err, "the Parquet file '%s', column '%s' of row group %lld, from byte %lld on", path, column->name,
                at.number, (long long)byte);
  else
    mle_context(err, "the Parquet file '%s', column '%s' of row group %lld", path, column->name, at.number);
  return true;
}

static bool names_a_file(const mle_source *source, const char *message) {
  for (; source != NULL; source = source->sibling)
    for (size_t i = 0; i < source->num_real; i++) {
      const char *slash = strrchr(source->paths[i], '/');
      if (strstr(message, slash == NULL ? source->paths[i] : slash + 1) != NULL) return true;
    }
  return false;
}

/* What a user's own SQL makes fail is not looked for in files. */
static bool may_be_damage(const mle_error *err) {
  static const char *const words[] = {"arquet", "orrupt", "unicode", "ncoding", "ompress", "Thrift", NULL};
  if (err == NULL || err->retryable || mle_cancelled()) return false;
  if (err->status == MLE_EIO) return true;
  if (err->status != MLE_EINVAL && err->status != MLE_EUNSUPPORTED) return false;
  for (const char *const *word = words; *word != NULL; word++)
    if (strstr(err->message, *word) != NULL) return true;
  return false;
}

static bool blame(mle_session *session, const mle_source *source, mle_error *err) {
  suspect s = {.source = source};
  bool found = false;
  if (mle_connect(session, &s.c, NULL) != MLE_OK) return false;
  for (; !found && s.source != NULL; s.source = s.source->sibling)
    for (size_t i = 0; !found && i < s.source->num_real && !mle_cancelled(); i++) {
      s.pattern = s.source->patterns[i];
      found = is_guilty(&s, s.source->paths[i], err);
    }
  mle_disconnect(s.c);
  return found;
}

void mle_source_blame(mle_session *session, const mle_source *source, mle_error *err) {
  if (may_be_damage(err) && !names_a_file(source, err->message)) blame(session, source, err);
}

static bool walk_names(const mle_frame *frame, const char *message) {
  if (names_a_file(frame->source, message)) return true;
  for (size_t i = 0; i < frame->num_parents; i++)
    if (walk_names(frame->parents[i], message)) return true;
  return false;
}

static bool walk_blame(const mle_frame *frame, mle_error *err) {
  if (frame->pin != NULL) return false;
  if (frame->source != NULL && blame(frame->session, frame->source, err)) return true;
  for (size_t i = 0; i < frame->num_parents; i++)
    if (walk_blame(frame->parents[i], err)) return true;
  return false;
}

mle_status mle_frame_blame(const mle_frame *frame, mle_status status, mle_error *err) {
  if (status != MLE_OK && may_be_damage(err) && !walk_names(frame, err->message)) walk_blame(frame, err);
  return status;
}
