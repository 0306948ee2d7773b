/* Frames whose rows are kept in DuckDB, and the question which need to be. */

#include <stdio.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/frame/blame.h"
#include "engine/frame/recipe.h"

/* ====== Pins ====== */

static char *new_table(void) {
  static atomic_llong tables;
  return mle_format("mle.pin_%lld", (long long)atomic_fetch_add(&tables, 1));
}

/* The frame over a table; takes the name. `numbered`: the table holds positions of its own. */
static mle_status table_frame(mle_session *session, char *table, bool numbered, mle_frame **out,
                              mle_error *err) {
  mle_status status;
  char *sql = NULL, *positioned = NULL;
  if (numbered) {
    MLE_GO(mle_recipe_text(&sql, err, "SELECT * EXCLUDE (" MLE_POSITION ") FROM %s", table));
    MLE_GO(mle_recipe_text(&positioned, err, "SELECT * FROM %s", table));
  } else {
    MLE_GO(mle_recipe_text(&sql, err, "SELECT * FROM %s", table));
    MLE_GO(mle_recipe_text(&positioned, err, "SELECT *, rowid AS " MLE_POSITION " FROM %s", table));
  }
  status = mle_frame_take(session, sql, positioned, out, err);
  sql = positioned = NULL;
  if (status != MLE_OK) goto done;
  (*out)->steady = true;
  (*out)->pin = table;
  table = NULL;
done:
  mle_free(sql);
  mle_free(positioned);
  mle_free(table);
  return status;
}

/* Runs CREATE TABLE AS, which tells how many rows it made. */
static mle_status fill_table(mle_frame *pin, mle_connection *c, const char *select,
                             mle_error *err) {
  char *sql;
  MLE_TRY(mle_recipe_text(&sql, err, "CREATE TABLE %s AS %s", pin->pin, select));
  mle_status status = mle_query_int(c, sql, &pin->known_rows, err);
  mle_free(sql);
  pin->pin_generation = mle_connection_generation(c);
  return status;
}

/* The columns as they were shown, with what is not nullable. */
static mle_status copy_columns(mle_frame *pin, mle_frame *frame, mle_error *err) {
  const mle_frame_column *columns;
  size_t count;
  MLE_TRY(mle_frame_columns(frame, &columns, &count, err));
  pin->columns = mle_calloc(count, sizeof *pin->columns);
  if (pin->columns == NULL) return mle_nomem(err, "pinning a frame");
  pin->num_columns = count;
  for (size_t i = 0; i < count; i++) {
    pin->columns[i].nullable = columns[i].nullable;
    pin->columns[i].name = mle_strdup(columns[i].name);
    pin->columns[i].type = mle_strdup(columns[i].type);
    if (pin->columns[i].name == NULL || pin->columns[i].type == NULL)
      return mle_nomem(err, "pinning a frame");
  }
  return MLE_OK;
}

/* Positions are kept with the rows, so that pinning never changes a split. */
mle_status mle_frame_pin(mle_frame *frame, mle_frame **out, mle_error *err) {
  mle_status status;
  mle_connection *c = NULL;
  mle_frame *pin = NULL;
  bool numbered = frame->positioned != NULL;
  *out = NULL;
  char *table = new_table();
  if (table == NULL) return mle_nomem(err, "pinning a frame");
  MLE_TRY(table_frame(frame->session, table, numbered, &pin, err));
  pin->splits = frame->splits;
  MLE_GO(copy_columns(pin, frame, err));
  MLE_GO(mle_frame_connect(frame, &c, err));
  MLE_GO(mle_frame_blame(frame, fill_table(pin, c, numbered ? frame->positioned : frame->sql, err), err));
  *out = pin;
  pin = NULL;
done:
  mle_disconnect(c);
  mle_frame_free(pin);
  return status;
}

/* ====== Steadiness ====== */

/* Operators that hand on rows in the order they get them, on any number of threads. */
static bool keeps_order(const char *name, size_t len) {
  static const char *const operators[] = {
      "PROJECTION", "FILTER", "LIMIT", "STREAMING_LIMIT", "STREAMING_WINDOW", "RANGE", "UNNEST",
      "DUMMY_SCAN", "COLUMN_DATA_SCAN", "SEQ_SCAN", "TABLE_SCAN", "EMPTY_RESULT", "UNION",
      "GENERATE_SERIES", "READ_PARQUET", "PARQUET_SCAN", "READ_CSV", "READ_CSV_AUTO", "READ_JSON",
      "READ_JSON_AUTO", "READ_NDJSON", "READ_NDJSON_AUTO", NULL};
  while (len > 0 && name[len - 1] == ' ') len--;
  for (const char *const *known = operators; *known != NULL; known++)
    if (strlen(*known) == len && memcmp(*known, name, len) == 0) return true;
  return false;
}

/* The plan is JSON whose nodes say "name": "OPERATOR". */
static bool plan_keeps_order(const char *plan, size_t len) {
  static const char key[] = "\"name\": \"";
  const char *end = plan + len;
  bool any = false;
  while ((plan = memmem(plan, (size_t)(end - plan), key, sizeof key - 1)) != NULL) {
    plan += sizeof key - 1;
    const char *stop = memchr(plan, '"', (size_t)(end - plan));
    if (stop == NULL || !keeps_order(plan, (size_t)(stop - plan))) return false;
    any = true;
  }
  return any;
}

/* The answer of EXPLAIN: a key and the plan. */
static bool result_keeps_order(duckdb_result result) {
  duckdb_data_chunk chunk = duckdb_fetch_chunk(result);
  if (chunk == NULL) return false;
  duckdb_string_t *plans = duckdb_vector_get_data(duckdb_data_chunk_get_vector(chunk, 1));
  bool keeps = plan_keeps_order(duckdb_string_t_data(plans), duckdb_string_t_length(*plans));
  duckdb_destroy_data_chunk(&chunk);
  return keeps;
}

static mle_status explain(mle_frame *frame, bool *out, mle_error *err) {
  mle_status status;
  mle_connection *c = NULL;
  duckdb_result result = {0};
  char *sql;
  MLE_TRY(mle_recipe_text(&sql, err, "EXPLAIN (FORMAT json) %s", frame->sql));
  MLE_GO(mle_frame_connect(frame, &c, err));
  MLE_GO(mle_query(c, sql, &result, err));
  *out = result_keeps_order(result);
done:
  duckdb_destroy_result(&result);
  mle_disconnect(c);
  mle_free(sql);
  return status;
}

mle_status mle_frame_steady(mle_frame *frame, mle_frame **out, mle_error *err) {
  bool steady = frame->steady;
  *out = NULL;
  if (!steady && !frame->volatile_) MLE_TRY(explain(frame, &steady, err));
  if (!steady) return mle_frame_pin(frame, out, err);
  *out = mle_frame_ref(frame);
  return MLE_OK;
}

/* ====== Numbers from memory ====== */

static duckdb_type type_of(mle_kind kind) {
  static const duckdb_type types[] = {
      [MLE_INT8] = DUCKDB_TYPE_TINYINT,     [MLE_INT16] = DUCKDB_TYPE_SMALLINT,
      [MLE_INT32] = DUCKDB_TYPE_INTEGER,    [MLE_INT64] = DUCKDB_TYPE_BIGINT,
      [MLE_UINT8] = DUCKDB_TYPE_UTINYINT,   [MLE_UINT16] = DUCKDB_TYPE_USMALLINT,
      [MLE_UINT32] = DUCKDB_TYPE_UINTEGER,  [MLE_UINT64] = DUCKDB_TYPE_UBIGINT,
      [MLE_FLOAT] = DUCKDB_TYPE_FLOAT,      [MLE_DOUBLE] = DUCKDB_TYPE_DOUBLE,
  };
  return types[kind];
}

static mle_status create_table(mle_connection *c, const char *table, const char *const *names,
                               const mle_batch *batch, mle_error *err) {
  static const char *const types[] = {"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT",
                                      "USMALLINT", "UINTEGER", "UBIGINT", "FLOAT", "DOUBLE"};
  mle_buffer sql = MLE_BUFFER(MLE_SQL_MAX);
  duckdb_result result = {0};
  mle_status status;
  MLE_GO(mle_buffer_printf(&sql, err, "CREATE TABLE %s (", table));
  for (size_t i = 0; i < batch->num_columns; i++) {
    MLE_GO(mle_buffer_puts(&sql, i > 0 ? ", " : "", err));
    MLE_GO(mle_sql_name(&sql, names[i], err));
    MLE_GO(mle_buffer_printf(&sql, err, " %s", types[batch->column[i].kind]));
  }
  MLE_GO(mle_buffer_puts(&sql, ")", err));
  MLE_GO(mle_query(c, sql.data, &result, err));
done:
  duckdb_destroy_result(&result);
  mle_buffer_release(&sql);
  return status;
}

static void set_nulls(duckdb_vector vector, const uint64_t *valid, size_t first, size_t rows) {
  if (valid == NULL) return;
  duckdb_vector_ensure_validity_writable(vector);
  uint64_t *mask = duckdb_vector_get_validity(vector);
  for (size_t row = 0; row < rows; row++) {
    size_t from = first + row;
    bool is_valid = (valid[from / 64] >> (from % 64) & 1) != 0;
    duckdb_validity_set_row_validity(mask, row, is_valid);
  }
}

/* One chunk's worth of rows. */
static void fill_chunk(duckdb_data_chunk chunk, const mle_batch *batch, size_t first,
                       size_t rows) {
  duckdb_data_chunk_reset(chunk);
  duckdb_data_chunk_set_size(chunk, rows);
  for (size_t i = 0; i < batch->num_columns; i++) {
    const mle_column *column = &batch->column[i];
    size_t size = mle_kind_size(column->kind);
    duckdb_vector vector = duckdb_data_chunk_get_vector(chunk, i);
    memcpy(duckdb_vector_get_data(vector), (const char *)column->data + first * size, rows * size);
    set_nulls(vector, column->valid, first, rows);
  }
}

static mle_status append_failed(duckdb_appender appender, mle_connection *c, mle_error *err) {
  duckdb_error_data data = duckdb_appender_error_data(appender);
  mle_status status = mle_query_fail(c, duckdb_error_data_message(data), err);
  duckdb_destroy_error_data(&data);
  return status;
}

static mle_status append_rows(duckdb_appender appender, duckdb_data_chunk chunk,
                              const mle_batch *batch, mle_connection *c, mle_error *err) {
  size_t most = duckdb_vector_size();
  for (size_t first = 0; first < batch->rows; first += most) {
    fill_chunk(chunk, batch, first, batch->rows - first < most ? batch->rows - first : most);
    if (duckdb_append_data_chunk(appender, chunk) != DuckDBSuccess)
      return append_failed(appender, c, err);
  }
  if (duckdb_appender_close(appender) != DuckDBSuccess) return append_failed(appender, c, err);
  return MLE_OK;
}

static duckdb_data_chunk new_chunk(const mle_batch *batch) {
  duckdb_logical_type *types = mle_calloc(batch->num_columns, sizeof *types);
  if (types == NULL) return NULL;
  for (size_t i = 0; i < batch->num_columns; i++)
    types[i] = duckdb_create_logical_type(type_of(batch->column[i].kind));
  duckdb_data_chunk chunk = duckdb_create_data_chunk(types, batch->num_columns);
  for (size_t i = 0; i < batch->num_columns; i++) duckdb_destroy_logical_type(&types[i]);
  mle_free(types);
  return chunk;
}

static mle_status append_batch(mle_connection *c, const char *table, const mle_batch *batch,
                               mle_error *err) {
  mle_status status;
  duckdb_appender appender = NULL;
  duckdb_data_chunk chunk = new_chunk(batch);
  if (chunk == NULL) return mle_nomem(err, "keeping numbers");
  if (duckdb_appender_create(c->handle, "mle", strchr(table, '.') + 1, &appender) != DuckDBSuccess)
    status = append_failed(appender, c, err);
  else
    status = append_rows(appender, chunk, batch, c, err);
  duckdb_appender_destroy(&appender);
  duckdb_destroy_data_chunk(&chunk);
  return status;
}

mle_status mle_frame_from_batch(mle_session *session, const char *const *names,
                                const mle_batch *batch, mle_frame **out, mle_error *err) {
  mle_status status;
  mle_connection *c = NULL;
  mle_frame *frame = NULL;
  *out = NULL;
  if (batch->num_columns == 0) return mle_fail(err, MLE_EINVAL, "a frame needs a column");
  char *table = new_table();
  if (table == NULL) return mle_nomem(err, "keeping numbers");
  MLE_TRY(table_frame(session, table, false, &frame, err));
  MLE_GO(mle_connect(session, &c, err));
  MLE_GO(create_table(c, frame->pin, names, batch, err));
  frame->pin_generation = mle_connection_generation(c);
  MLE_GO(append_batch(c, frame->pin, batch, err));
  frame->known_rows = (int64_t)batch->rows;
  *out = frame;
  frame = NULL;
done:
  mle_disconnect(c);
  mle_frame_free(frame);
  return status;
}
