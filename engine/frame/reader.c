/* A stream over a frame: one connection, one streaming result, one chunk at a time. */

#include <duckdb.h>

#include "engine/base/alloc.h"
#include "engine/frame/blame.h"
#include "engine/frame/query.h"
#include "engine/frame/recipe.h"
#include "engine/frame/type.h"

typedef struct reader {
  mle_stream stream; /* first: the stream is the reader */
  mle_frame *frame;
  mle_connection *connection;
  duckdb_prepared_statement statement;
  duckdb_result result;
  duckdb_data_chunk chunk; /* holds the vectors of the last batch */
  mle_column *columns;
} reader;

static void reader_close(mle_stream *stream) {
  reader *r = (reader *)stream;
  duckdb_destroy_data_chunk(&r->chunk);
  duckdb_destroy_result(&r->result);
  duckdb_destroy_prepare(&r->statement);
  mle_disconnect(r->connection);
  mle_frame_free(r->frame);
  mle_free(r->columns);
  mle_free(r);
}

static mle_status reader_next(mle_stream *stream, mle_batch *out, mle_error *err) {
  reader *r = (reader *)stream;
  idx_t rows = 0;
  while (rows == 0) { /* an empty chunk is not the end */
    duckdb_destroy_data_chunk(&r->chunk);
    r->chunk = duckdb_fetch_chunk(r->result);
    if (r->chunk == NULL) break;
    rows = duckdb_data_chunk_get_size(r->chunk);
  }
  const char *message = r->chunk == NULL ? duckdb_result_error(&r->result) : NULL;
  if (message != NULL && message[0] != '\0')
    return mle_frame_blame(r->frame, mle_query_fail(r->connection, message, err), err);
  for (size_t i = 0; rows > 0 && i < stream->num_columns; i++) {
    duckdb_vector vector = duckdb_data_chunk_get_vector(r->chunk, i);
    r->columns[i].data = duckdb_vector_get_data(vector);
    r->columns[i].valid = duckdb_vector_get_validity(vector);
  }
  *out = (mle_batch){rows, rows > 0 ? stream->num_columns : 0, r->columns};
  return MLE_OK;
}

static bool kind_of(duckdb_type type, mle_kind *out) {
  switch (type) {
    case DUCKDB_TYPE_TINYINT: *out = MLE_INT8; return true;
    case DUCKDB_TYPE_SMALLINT: *out = MLE_INT16; return true;
    case DUCKDB_TYPE_INTEGER: *out = MLE_INT32; return true;
    case DUCKDB_TYPE_BIGINT: *out = MLE_INT64; return true;
    case DUCKDB_TYPE_BOOLEAN:
    case DUCKDB_TYPE_UTINYINT: *out = MLE_UINT8; return true;
    case DUCKDB_TYPE_USMALLINT: *out = MLE_UINT16; return true;
    case DUCKDB_TYPE_UINTEGER: *out = MLE_UINT32; return true;
    case DUCKDB_TYPE_UBIGINT: *out = MLE_UINT64; return true;
    case DUCKDB_TYPE_FLOAT: *out = MLE_FLOAT; return true;
    case DUCKDB_TYPE_DOUBLE: *out = MLE_DOUBLE; return true;
    default: return false;
  }
}

static mle_status set_kind(reader *r, idx_t i, mle_error *err) {
  duckdb_logical_type type = duckdb_column_logical_type(&r->result, i);
  duckdb_type id = duckdb_get_type_id(type);
  if (id == DUCKDB_TYPE_ENUM) id = duckdb_enum_internal_type(type);
  duckdb_destroy_logical_type(&type);
  if (kind_of(id, &r->columns[i].kind)) return MLE_OK;
  return mle_fail(err, MLE_EINVAL, "column '%s' is not a number; cast it, or leave it out",
                  duckdb_column_name(&r->result, i));
}

static mle_status stream_text(const mle_frame *frame, const char *const *expressions, size_t num,
                              char **out, mle_error *err) {
  mle_buffer sql = MLE_BUFFER(MLE_SQL_MAX);
  mle_status status;
  *out = NULL;
  MLE_GO(mle_buffer_puts(&sql, "SELECT ", err));
  for (size_t i = 0; i < num; i++)
    MLE_GO(mle_buffer_printf(&sql, err, "%s%s", i > 0 ? ", " : "", expressions[i]));
  MLE_GO(mle_buffer_printf(&sql, err, " FROM (%s)", frame->sql));
  *out = mle_buffer_take(&sql);
  if (*out == NULL) status = mle_nomem(err, "reading a frame");
done:
  mle_buffer_release(&sql);
  return status;
}

/* Starts the query; rows are fetched as they are asked for. */
static mle_status start(reader *r, const char *sql, mle_error *err) {
  MLE_TRY(mle_prepare(r->connection, sql, &r->statement, err));
  if (duckdb_execute_prepared_streaming(r->statement, &r->result) == DuckDBSuccess) return MLE_OK;
  mle_status status = mle_query_fail(r->connection, duckdb_result_error(&r->result), err);
  return mle_frame_blame(r->frame, status, err);
}

static mle_status open_reader(reader *r, const char *const *expressions, size_t num,
                              mle_error *err) {
  char *sql;
  r->columns = mle_calloc(num, sizeof *r->columns);
  if (r->columns == NULL) return mle_nomem(err, "reading a frame");
  MLE_TRY(mle_frame_connect(r->frame, &r->connection, err));
  MLE_TRY(mle_connection_stream(r->connection, err));
  MLE_TRY(stream_text(r->frame, expressions, num, &sql, err));
  mle_status status = start(r, sql, err);
  mle_free(sql);
  for (idx_t i = 0; status == MLE_OK && i < num; i++) status = set_kind(r, i, err);
  return status;
}

mle_status mle_frame_stream(mle_frame *frame, const char *const *expressions, size_t num,
                            mle_stream **out, mle_error *err) {
  *out = NULL;
  if (num == 0) return mle_fail(err, MLE_EINVAL, "a stream needs at least one column");
  reader *r = mle_calloc(1, sizeof *r);
  if (r == NULL) return mle_nomem(err, "reading a frame");
  r->stream = (mle_stream){num, reader_next, reader_close};
  r->frame = mle_frame_ref(frame);
  mle_status status = open_reader(r, expressions, num, err);
  if (status != MLE_OK) {
    reader_close(&r->stream);
    return status;
  }
  *out = &r->stream;
  return MLE_OK;
}
