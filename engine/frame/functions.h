/*
 * functions.h -- SQL functions in C that every database of ours has.
 *
 *     static const duckdb_type arguments[] = {DUCKDB_TYPE_BIGINT, DUCKDB_TYPE_INVALID};
 *     mle_function_add(c, "mle_base", arguments, result, base_of_file, err);
 *
 * They are called on several threads at once, with flat vectors of at most 2,048 rows.
 */
#ifndef MLE_FUNCTIONS_H
#define MLE_FUNCTIONS_H

#include <duckdb.h>

#include "engine/base/error.h"

/* Adds one; `arguments` ends in DUCKDB_TYPE_INVALID. Constants
 * that are NULL give NULL unasked; rows that are must be looked for. */
mle_status mle_function_add(duckdb_connection c, const char *name, const duckdb_type *arguments,
                            duckdb_logical_type result, duckdb_scalar_function_t function,
                            mle_error *err);

/* Adds all of this folder's. */
mle_status mle_functions_register(duckdb_connection c, mle_error *err);

#endif
