#include <string.h>

#include "engine/frame/frame.h"
#include "engine/frame/query.h"
#include "engine/frame/recipe.h"

static mle_status put_query(mle_buffer *sql, const char *predicate, mle_error *err) {
  mle_buffer inner = MLE_BUFFER(MLE_SQL_MAX);
  mle_status status;
  MLE_GO(mle_buffer_printf(&inner, err, "SELECT 1 WHERE %s", predicate));
  MLE_GO(mle_buffer_puts(sql, "SELECT json_serialize_sql(", err));
  MLE_GO(mle_sql_text(sql, inner.data, inner.len, err));
  MLE_GO(mle_buffer_puts(sql, ")", err));
done:
  mle_buffer_release(&inner);
  return status;
}

static mle_status take_text(duckdb_result result, mle_buffer *out, mle_error *err) {
  duckdb_data_chunk chunk = duckdb_fetch_chunk(result);
  mle_status status = mle_fail(err, MLE_EIO, "DuckDB did not say how it reads a predicate");
  if (chunk != NULL && duckdb_data_chunk_get_size(chunk) == 1) {
    duckdb_string_t *texts = duckdb_vector_get_data(duckdb_data_chunk_get_vector(chunk, 0));
    status = mle_buffer_append(out, duckdb_string_t_data(texts), duckdb_string_t_length(*texts), err);
  }
  duckdb_destroy_data_chunk(&chunk);
  return status;
}

mle_status mle_sql_where_tree(mle_session *session, const char *predicate, mle_buffer *out,
                              mle_error *err) {
  mle_buffer sql = MLE_BUFFER(MLE_SQL_MAX);
  mle_connection *c = NULL;
  duckdb_result result = {0};
  mle_status status;
  MLE_GO(put_query(&sql, predicate, err));
  MLE_GO(mle_connect(session, &c, err));
  MLE_GO(mle_query(c, sql.data, &result, err));
  MLE_GO(take_text(result, out, err));
done:
  duckdb_destroy_result(&result);
  mle_disconnect(c);
  mle_buffer_release(&sql);
  return status;
}
