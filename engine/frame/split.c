#include "engine/frame/split.h"

#include "engine/base/hash.h"
#include "engine/frame/functions.h"

/* The upper 53 bits, as a double in [0, 1). */
static double unit(uint64_t hash) { return (double)(hash >> 11) * 0x1p-53; }

/* mle_die(seed, position) -> DOUBLE */
static void die(duckdb_function_info info, duckdb_data_chunk input, duckdb_vector output) {
  (void)info;
  const int64_t *seeds = duckdb_vector_get_data(duckdb_data_chunk_get_vector(input, 0));
  const int64_t *positions = duckdb_vector_get_data(duckdb_data_chunk_get_vector(input, 1));
  double *out = duckdb_vector_get_data(output);
  for (idx_t row = 0; row < duckdb_data_chunk_get_size(input); row++)
    out[row] = unit(mle_mix64((uint64_t)positions[row] ^ mle_mix64((uint64_t)seeds[row])));
}

/* mle_die_text(seed, text) -> DOUBLE */
static void die_text(duckdb_function_info info, duckdb_data_chunk input, duckdb_vector output) {
  (void)info;
  const int64_t *seeds = duckdb_vector_get_data(duckdb_data_chunk_get_vector(input, 0));
  duckdb_string_t *texts = duckdb_vector_get_data(duckdb_data_chunk_get_vector(input, 1));
  double *out = duckdb_vector_get_data(output);
  for (idx_t row = 0; row < duckdb_data_chunk_get_size(input); row++)
    out[row] = unit(mle_hash64(duckdb_string_t_data(&texts[row]),
                               duckdb_string_t_length(texts[row]), (uint64_t)seeds[row]));
}

mle_status mle_split_functions(duckdb_connection c, mle_error *err) {
  static const duckdb_type by_position[] = {DUCKDB_TYPE_BIGINT, DUCKDB_TYPE_BIGINT,
                                            DUCKDB_TYPE_INVALID};
  static const duckdb_type by_text[] = {DUCKDB_TYPE_BIGINT, DUCKDB_TYPE_VARCHAR,
                                        DUCKDB_TYPE_INVALID};
  duckdb_logical_type number = duckdb_create_logical_type(DUCKDB_TYPE_DOUBLE);
  mle_status status = mle_function_add(c, "mle_die", by_position, number, die, err);
  if (status == MLE_OK) status = mle_function_add(c, "mle_die_text", by_text, number, die_text, err);
  duckdb_destroy_logical_type(&number);
  return status;
}
