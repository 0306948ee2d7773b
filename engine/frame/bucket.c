#include "engine/frame/bucket.h"

#include "engine/base/murmur3.h"
#include "engine/frame/functions.h"

/* A null has no hash: DuckDB asks for one all the same, and its value may be anything. */
static bool is_null(duckdb_vector input, duckdb_vector output, idx_t row) {
  uint64_t *valid = duckdb_vector_get_validity(input);
  if (valid == NULL || duckdb_validity_row_is_valid(valid, row)) return false;
  duckdb_vector_ensure_validity_writable(output);
  duckdb_validity_set_row_invalid(duckdb_vector_get_validity(output), row);
  return true;
}

static void hash_longs(duckdb_function_info info, duckdb_data_chunk input, duckdb_vector output) {
  (void)info;
  duckdb_vector vector = duckdb_data_chunk_get_vector(input, 0);
  const int64_t *values = duckdb_vector_get_data(vector);
  int32_t *out = duckdb_vector_get_data(output);
  for (idx_t row = 0; row < duckdb_data_chunk_get_size(input); row++)
    if (!is_null(vector, output, row)) out[row] = mle_murmur3_long(values[row]);
}

static void hash_decimals(duckdb_function_info info, duckdb_data_chunk input,
                          duckdb_vector output) {
  (void)info;
  duckdb_vector vector = duckdb_data_chunk_get_vector(input, 0);
  const duckdb_hugeint *values = duckdb_vector_get_data(vector);
  int32_t *out = duckdb_vector_get_data(output);
  for (idx_t row = 0; row < duckdb_data_chunk_get_size(input); row++) {
    if (is_null(vector, output, row)) continue;
    mle_uwide bits = (mle_uwide)(uint64_t)values[row].upper << 64 | values[row].lower;
    out[row] = mle_murmur3_decimal((mle_wide)bits);
  }
}

static void hash_bytes(duckdb_function_info info, duckdb_data_chunk input, duckdb_vector output) {
  (void)info;
  duckdb_vector vector = duckdb_data_chunk_get_vector(input, 0);
  duckdb_string_t *values = duckdb_vector_get_data(vector);
  int32_t *out = duckdb_vector_get_data(output);
  for (idx_t row = 0; row < duckdb_data_chunk_get_size(input); row++)
    if (!is_null(vector, output, row))
      out[row] = mle_murmur3(duckdb_string_t_data(&values[row]), duckdb_string_t_length(values[row]));
}

mle_status mle_bucket_functions(duckdb_connection c, mle_error *err) {
  static const struct {
    const char *name;
    duckdb_type of[2];
    duckdb_scalar_function_t function;
  } all[] = {{"mle_murmur3_long", {DUCKDB_TYPE_BIGINT, DUCKDB_TYPE_INVALID}, hash_longs},
             {"mle_murmur3_decimal", {DUCKDB_TYPE_HUGEINT, DUCKDB_TYPE_INVALID}, hash_decimals},
             {"mle_murmur3_bytes", {DUCKDB_TYPE_BLOB, DUCKDB_TYPE_INVALID}, hash_bytes}};
  duckdb_logical_type number = duckdb_create_logical_type(DUCKDB_TYPE_INTEGER);
  mle_status status = MLE_OK;
  for (size_t i = 0; i < sizeof all / sizeof *all && status == MLE_OK; i++)
    status = mle_function_add(c, all[i].name, all[i].of, number, all[i].function, err);
  duckdb_destroy_logical_type(&number);
  return status;
}
