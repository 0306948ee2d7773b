#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/alloc.h"
#include "engine/base/file.h"
#include "engine/base/hash.h"
#include "engine/frame/blame.h"
#include "engine/frame/recipe.h"

#define ROW_GROUP_ROWS 122880

/* ====== What RETURN_STATS says ====== */

void mle_parquet_stats_release(mle_parquet_stats *stats) {
  for (size_t i = 0; i < stats->num_columns; i++) {
    mle_parquet_column *column = &stats->columns[i];
    for (size_t j = 0; j < column->path_len; j++) mle_free(column->path[j]);
    mle_free(column->path);
    mle_free(column->min);
    mle_free(column->max);
  }
  mle_free(stats->columns);
  mle_free(stats->split_offsets);
  *stats = (mle_parquet_stats){0};
}

typedef struct text {
  const char *data;
  size_t len;
} text;

static text text_at(duckdb_vector vector, idx_t row) {
  duckdb_string_t *strings = duckdb_vector_get_data(vector);
  return (text){duckdb_string_t_data(&strings[row]), duckdb_string_t_length(strings[row])};
}

static bool is(text key, const char *name) {
  return key.len == strlen(name) && memcmp(key.data, name, key.len) == 0;
}

/* DuckDB's strings have no zero byte at the end. */
static int64_t number(text value) {
  char digits[32];
  size_t len = value.len < sizeof digits ? value.len : sizeof digits - 1;
  memcpy(digits, value.data, len);
  digits[len] = '\0';
  return strtoll(digits, NULL, 10);
}

static mle_status keep(text value, char **out, size_t *out_len, mle_error *err) {
  *out = mle_alloc(value.len + 1);
  if (*out == NULL) return mle_nomem(err, "reading the statistics of a Parquet file");
  memcpy(*out, value.data, value.len);
  (*out)[value.len] = '\0';
  *out_len = value.len;
  return MLE_OK;
}

static mle_status set_fact(mle_parquet_column *column, text key, text value, mle_error *err) {
  if (is(key, "column_size_bytes")) column->column_size = number(value);
  if (is(key, "num_values")) column->value_count = number(value);
  if (is(key, "null_count")) column->null_count = number(value);
  if (is(key, "min")) return keep(value, &column->min, &column->min_len, err);
  if (is(key, "max")) return keep(value, &column->max, &column->max_len, err);
  return MLE_OK;
}

static mle_status add_part(mle_parquet_column *column, const mle_buffer *part, mle_error *err) {
  char **path = mle_realloc_array(column->path, column->path_len + 1, sizeof *path);
  if (path == NULL) return mle_nomem(err, "reading the statistics of a Parquet file");
  column->path = path;
  path[column->path_len] = mle_strndup(part->data == NULL ? "" : part->data, part->len);
  if (path[column->path_len] == NULL)
    return mle_nomem(err, "reading the statistics of a Parquet file");
  column->path_len++;
  return MLE_OK;
}

/* "st"."x" and "a""b": quoted parts between dots. */
static mle_status parse_path(mle_parquet_column *column, text key, mle_error *err) {
  mle_buffer part = MLE_BUFFER(64 * 1024);
  mle_status status = MLE_OK;
  bool quoted = false;
  for (size_t i = 0; i < key.len; i++) {
    bool twice = quoted && key.data[i] == '"' && i + 1 < key.len && key.data[i + 1] == '"';
    if (twice) i++;
    if (twice || (quoted && key.data[i] != '"')) {
      MLE_GO(mle_buffer_append(&part, &key.data[i], 1, err));
    } else if (key.data[i] == '"') {
      if (quoted) MLE_GO(add_part(column, &part, err));
      mle_buffer_clear(&part);
      quoted = !quoted;
    }
  }
done:
  mle_buffer_release(&part);
  return status;
}

/* A MAP vector is a list of (key, value) structs. */
typedef struct map {
  duckdb_list_entry *entries;
  duckdb_vector keys, values;
} map;

static map map_of(duckdb_vector vector) {
  duckdb_vector pairs = duckdb_list_vector_get_child(vector);
  return (map){duckdb_vector_get_data(vector), duckdb_struct_vector_get_child(pairs, 0),
               duckdb_struct_vector_get_child(pairs, 1)};
}

static mle_status read_columns(duckdb_vector vector, mle_parquet_stats *stats, mle_error *err) {
  map columns = map_of(vector);
  map facts = map_of(columns.values);
  duckdb_list_entry all = columns.entries[0];
  stats->columns = mle_calloc(all.length + 1, sizeof *stats->columns);
  if (stats->columns == NULL) return mle_nomem(err, "reading the statistics of a Parquet file");
  for (idx_t i = 0; i < all.length; i++) {
    mle_parquet_column *column = &stats->columns[stats->num_columns++];
    MLE_TRY(parse_path(column, text_at(columns.keys, all.offset + i), err));
    duckdb_list_entry its = facts.entries[all.offset + i];
    for (idx_t j = its.offset; j < its.offset + its.length; j++)
      MLE_TRY(set_fact(column, text_at(facts.keys, j), text_at(facts.values, j), err));
  }
  return MLE_OK;
}

/* filename, count, file_size_bytes, footer_size_bytes, column_statistics, partition_keys */
static mle_status read_stats(duckdb_result result, mle_parquet_stats *stats, mle_error *err) {
  duckdb_data_chunk chunk = duckdb_fetch_chunk(result);
  if (chunk == NULL) return mle_fail(err, MLE_EFORMAT, "DuckDB gave no statistics");
  const uint64_t *count = duckdb_vector_get_data(duckdb_data_chunk_get_vector(chunk, 1));
  const uint64_t *size = duckdb_vector_get_data(duckdb_data_chunk_get_vector(chunk, 2));
  stats->record_count = (int64_t)count[0];
  stats->file_size = (int64_t)size[0];
  mle_status status = read_columns(duckdb_data_chunk_get_vector(chunk, 4), stats, err);
  duckdb_destroy_data_chunk(&chunk);
  return status;
}

static mle_status append_offsets(duckdb_data_chunk chunk, mle_parquet_stats *stats,
                                 mle_error *err) {
  idx_t rows = duckdb_data_chunk_get_size(chunk);
  int64_t *offsets =
      mle_realloc_array(stats->split_offsets, stats->num_split_offsets + rows, sizeof *offsets);
  if (offsets == NULL) return mle_nomem(err, "reading the statistics of a Parquet file");
  stats->split_offsets = offsets;
  memcpy(offsets + stats->num_split_offsets,
         duckdb_vector_get_data(duckdb_data_chunk_get_vector(chunk, 0)), rows * sizeof *offsets);
  stats->num_split_offsets += rows;
  return MLE_OK;
}

static mle_status read_offsets(mle_connection *c, const char *path, mle_parquet_stats *stats,
                               mle_error *err) {
  mle_buffer sql = MLE_BUFFER(64 * 1024);
  duckdb_result result = {0};
  duckdb_data_chunk chunk;
  mle_status status;
  MLE_GO(mle_buffer_puts(&sql,
                         "SELECT min(least(data_page_offset, coalesce(dictionary_page_offset, "
                         "data_page_offset)))::BIGINT FROM parquet_metadata(",
                         err));
  MLE_GO(mle_sql_text(&sql, path, strlen(path), err));
  MLE_GO(mle_buffer_puts(&sql, ") GROUP BY row_group_id ORDER BY row_group_id", err));
  MLE_GO(mle_query(c, sql.data, &result, err));
  while (status == MLE_OK && (chunk = duckdb_fetch_chunk(result)) != NULL) {
    status = append_offsets(chunk, stats, err);
    duckdb_destroy_data_chunk(&chunk);
  }
done:
  duckdb_destroy_result(&result);
  mle_buffer_release(&sql);
  return status;
}

/* ====== Writing ====== */

static mle_status copy(mle_frame *frame, mle_connection *c, const char *path, const char *options,
                       duckdb_result *out, mle_error *err) {
  mle_buffer sql = MLE_BUFFER(2 * MLE_SQL_MAX);
  mle_status status;
  MLE_GO(mle_buffer_printf(&sql, err, "COPY (%s) TO ", frame->sql));
  MLE_GO(mle_sql_text(&sql, path, strlen(path), err));
  MLE_GO(mle_buffer_printf(&sql, err, " (%s, USE_TMP_FILE false)", options));
  MLE_GO(mle_query(c, sql.data, out, err));
done:
  mle_buffer_release(&sql);
  return status;
}

static mle_status copy_with_stats(mle_frame *frame, mle_connection *c, const char *path,
                                  const char *options, mle_parquet_stats *stats, mle_error *err) {
  duckdb_result result = {0};
  mle_status status = copy(frame, c, path, options, &result, err);
  if (status == MLE_OK && stats != NULL) status = read_stats(result, stats, err);
  duckdb_destroy_result(&result);
  if (status == MLE_OK && stats != NULL) status = read_offsets(c, path, stats, err);
  return status;
}

/* Gives a synced file its name; a crash leaves the old file, the new one, or a *.tmp-*. */
static mle_status give_name(const char *temporary, const char *path, mle_error *err) {
  MLE_TRY(mle_file_sync(temporary, err));
  if (rename(temporary, path) != 0)
    return mle_fail(err, MLE_EIO, "cannot rename %s: %s", temporary, strerror(errno));
  return mle_file_sync(path, err);
}

static mle_status write_file(mle_frame *frame, const char *path, const char *options,
                             mle_parquet_stats *stats, mle_error *err) {
  mle_status status;
  mle_connection *c = NULL;
  char unique[MLE_UUID_TEXT];
  char *temporary = mle_format("%s.tmp-%.8s", path, mle_uuid_hex(unique));
  if (temporary == NULL) return mle_nomem(err, "writing a file");
  MLE_GO(mle_frame_connect(frame, &c, err));
  MLE_GO(mle_frame_blame(frame, copy_with_stats(frame, c, temporary, options, stats, err), err));
  MLE_GO(give_name(temporary, path, err));
done:
  mle_disconnect(c);
  if (status != MLE_OK) unlink(temporary);
  mle_free(temporary);
  return status == MLE_OK ? MLE_OK : mle_context(err, "writing %s", path);
}

mle_status mle_frame_temporary(const mle_frame *frame, char **out, mle_error *err) {
  char unique[MLE_UUID_TEXT];
  const char *folder = mle_session_temp_folder(frame->session);
  MLE_TRY(mle_make_folders(folder, 0700, err));
  *out = mle_format("%s/%s.parquet", folder, mle_uuid_hex(unique));
  return *out == NULL ? mle_nomem(err, "writing a file") : MLE_OK;
}

mle_status mle_frame_write(mle_frame *frame, const char *path, const char *options,
                           mle_error *err) {
  return write_file(frame, path, options, NULL, err);
}

mle_status mle_frame_write_parquet(mle_frame *frame, const char *path, const char *field_ids,
                                   mle_parquet_stats *stats, mle_error *err) {
  char *options;
  if (stats != NULL) *stats = (mle_parquet_stats){0};
  MLE_TRY(mle_recipe_text(&options, err,
                          "FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE %d, RETURN_STATS%s%s%s",
                          ROW_GROUP_ROWS, field_ids == NULL ? "" : ", FIELD_IDS {",
                          field_ids == NULL ? "" : field_ids, field_ids == NULL ? "" : "}"));
  mle_status status = write_file(frame, path, options, stats, err);
  if (status != MLE_OK && stats != NULL) mle_parquet_stats_release(stats);
  mle_free(options);
  return status;
}
