#include "engine/frame/functions.h"

#include "engine/frame/bucket.h"
#include "engine/frame/lookup.h"
#include "engine/frame/source.h"
#include "engine/frame/split.h"

mle_status mle_function_add(duckdb_connection c, const char *name, const duckdb_type *arguments,
                            duckdb_logical_type result, duckdb_scalar_function_t function,
                            mle_error *err) {
  duckdb_scalar_function f = duckdb_create_scalar_function();
  duckdb_scalar_function_set_name(f, name);
  for (; *arguments != DUCKDB_TYPE_INVALID; arguments++) {
    duckdb_logical_type type = duckdb_create_logical_type(*arguments);
    duckdb_scalar_function_add_parameter(f, type);
    duckdb_destroy_logical_type(&type);
  }
  duckdb_scalar_function_set_return_type(f, result);
  duckdb_scalar_function_set_function(f, function);
  duckdb_state state = duckdb_register_scalar_function(c, f);
  duckdb_destroy_scalar_function(&f);
  if (state == DuckDBSuccess) return MLE_OK;
  return mle_fail(err, MLE_EIO, "DuckDB refuses the function %s", name);
}

mle_status mle_functions_register(duckdb_connection c, mle_error *err) {
  MLE_TRY(mle_source_functions(c, err));
  MLE_TRY(mle_columns_functions(c, err));
  MLE_TRY(mle_lookup_functions(c, err));
  MLE_TRY(mle_bucket_functions(c, err));
  return mle_split_functions(c, err);
}
