/* The few rows of a frame that somebody wants to look at, as JSON. */

#include <duckdb.h>
#include <string.h>

#include "engine/frame/blame.h"
#include "engine/frame/recipe.h"

static mle_status append_chunk(duckdb_data_chunk chunk, mle_buffer *out, mle_error *err) {
  duckdb_string_t *texts = duckdb_vector_get_data(duckdb_data_chunk_get_vector(chunk, 0));
  for (idx_t row = 0; row < duckdb_data_chunk_get_size(chunk); row++) {
    MLE_TRY(mle_buffer_append(out, duckdb_string_t_data(&texts[row]),
                              duckdb_string_t_length(texts[row]), err));
    MLE_TRY(mle_buffer_puts(out, "\n", err));
  }
  return MLE_OK;
}

static mle_status append_result(mle_connection *c, duckdb_result *result, mle_buffer *out,
                                mle_error *err) {
  mle_status status = MLE_OK;
  duckdb_data_chunk chunk;
  while (status == MLE_OK && (chunk = duckdb_fetch_chunk(*result)) != NULL) {
    status = append_chunk(chunk, out, err);
    duckdb_destroy_data_chunk(&chunk);
  }
  const char *message = status == MLE_OK ? duckdb_result_error(result) : NULL;
  if (message != NULL && message[0] != '\0') return mle_query_fail(c, message, err);
  return status;
}

/* JSON has no NaN and no infinity; DuckDB would write them all the same. */
static mle_status put_columns(mle_frame *frame, mle_buffer *sql, mle_error *err) {
  const mle_frame_column *columns;
  size_t count;
  MLE_TRY(mle_frame_columns(frame, &columns, &count, err));
  for (size_t i = 0; i < count; i++) {
    bool floats = strcmp(columns[i].type, "FLOAT") == 0 || strcmp(columns[i].type, "DOUBLE") == 0;
    MLE_TRY(mle_buffer_puts(sql, i > 0 ? ", " : "", err));
    if (floats) MLE_TRY(mle_buffer_puts(sql, "if(isfinite(", err));
    MLE_TRY(mle_sql_name(sql, columns[i].name, err));
    if (!floats) continue;
    MLE_TRY(mle_buffer_puts(sql, "), ", err));
    MLE_TRY(mle_sql_name(sql, columns[i].name, err));
    MLE_TRY(mle_buffer_puts(sql, ", NULL) AS ", err));
    MLE_TRY(mle_sql_name(sql, columns[i].name, err));
  }
  return MLE_OK;
}

#define ALIAS_MAX 256

/* A name for whole rows. Where a column has it too, SQL means the column. */
static mle_status find_alias(mle_frame *frame, char out[ALIAS_MAX], mle_error *err) {
  const mle_frame_column *columns;
  size_t count, longest = 0;
  MLE_TRY(mle_frame_columns(frame, &columns, &count, err));
  for (size_t i = 0; i < count; i++) {
    size_t same = strspn(columns[i].name, "_");
    if (same > longest) longest = same;
  }
  if (longest > ALIAS_MAX - 6)
    return mle_fail(err, MLE_EUNSUPPORTED, "a column's name begins with more than 250 underscores");
  memset(out, '_', longest + 1);
  memcpy(out + longest + 1, "row", 4);
  return MLE_OK;
}

static mle_status put_select(mle_frame *frame, int64_t rows, mle_buffer *sql, mle_error *err) {
  char row[ALIAS_MAX];
  MLE_TRY(find_alias(frame, row, err));
  MLE_TRY(mle_buffer_printf(sql, err, "SELECT CAST(to_json(%s) AS VARCHAR) FROM (SELECT ", row));
  MLE_TRY(put_columns(frame, sql, err));
  return mle_buffer_printf(sql, err, " FROM (%s) LIMIT %lld) %s", frame->sql, (long long)rows, row);
}

mle_status mle_frame_collect(mle_frame *frame, int64_t rows, mle_buffer *out, mle_error *err) {
  mle_status status;
  mle_connection *c = NULL;
  duckdb_result result = {0};
  mle_buffer sql = MLE_BUFFER(MLE_SQL_MAX);
  MLE_GO(put_select(frame, rows, &sql, err));
  MLE_GO(mle_frame_connect(frame, &c, err));
  MLE_GO(mle_query(c, sql.data, &result, err));
  MLE_GO(append_result(c, &result, out, err));
done:
  duckdb_destroy_result(&result);
  mle_disconnect(c);
  mle_buffer_release(&sql);
  return mle_frame_blame(frame, status, err);
}
