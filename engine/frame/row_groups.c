#include "engine/frame/row_groups.h"

#include "engine/frame/blame.h"
#include "engine/frame/query.h"
#include "engine/frame/source.h"

/* A column of a group has a name, its id is in the file's schema. One that is in a struct has another name here. */
static mle_status put_query(mle_buffer *sql, int64_t source, const char *left, mle_error *err) {
  long long number = (long long)source;
  return mle_buffer_printf(
      sql, err,
      "SELECT count(*), coalesce(sum(rows), 0)::BIGINT, count(*) FILTER (is_left), "
      "coalesce(sum(rows) FILTER (is_left), 0)::BIGINT FROM (SELECT max(rows) AS rows, "
      "bool_and(coalesce((%s), true)) AS is_left FROM (SELECT m.file_name AS file_name, row_group_id, "
      "row_group_num_rows AS rows, field_id, coalesce(stats_min_value, stats_min) AS low, "
      "coalesce(stats_max_value, stats_max) AS high FROM parquet_metadata(mle_files(%lld)) AS m LEFT JOIN "
      "(SELECT file_name, name, field_id FROM parquet_schema(mle_files(%lld)) WHERE field_id IS NOT NULL) AS s "
      "ON s.file_name = m.file_name AND s.name = m.path_in_schema) GROUP BY file_name, row_group_id)",
      left == NULL ? "true" : left, number, number);
}

static mle_status add_counts(duckdb_result result, mle_row_groups *out, mle_error *err) {
  int64_t *to[] = {&out->groups, &out->rows, &out->groups_left, &out->rows_left};
  duckdb_data_chunk chunk = duckdb_fetch_chunk(result);
  if (chunk == NULL) return mle_fail(err, MLE_EFORMAT, "DuckDB gave no row");
  for (idx_t i = 0; i < sizeof to / sizeof *to; i++)
    *to[i] += ((const int64_t *)duckdb_vector_get_data(duckdb_data_chunk_get_vector(chunk, i)))[0];
  duckdb_destroy_data_chunk(&chunk);
  return MLE_OK;
}

static mle_status count_some(mle_session *session, const char *const *paths, size_t count,
                             const char *left, mle_row_groups *out, mle_error *err) {
  mle_buffer sql = MLE_BUFFER((size_t)16 << 20);
  mle_source *source = NULL;
  mle_connection *c = NULL;
  duckdb_result result = {0};
  mle_status status;
  MLE_GO(mle_source_of_paths(session, paths, count, &source, err));
  MLE_GO(put_query(&sql, source->number, left, err));
  MLE_GO(mle_connect(session, &c, err));
  status = mle_query(c, sql.data, &result, err);
  if (status == MLE_OK)
    status = add_counts(result, out, err);
  else
    mle_source_blame(session, source, err);
done:
  duckdb_destroy_result(&result);
  mle_disconnect(c);
  mle_source_free(source);
  mle_buffer_release(&sql);
  return status;
}

mle_status mle_row_groups_count(mle_session *session, const char *const *paths, size_t count,
                                const char *left, mle_row_groups *out, mle_error *err) {
  *out = (mle_row_groups){0};
  for (size_t i = 0; i < count; i += MLE_SOURCE_PATHS_MAX) {
    size_t some = count - i < MLE_SOURCE_PATHS_MAX ? count - i : MLE_SOURCE_PATHS_MAX;
    MLE_TRY(count_some(session, paths + i, some, left, out, err));
  }
  return MLE_OK;
}
