/*
 * type.h -- DuckDB's types as text, for this folder only.
 */
#ifndef MLE_TYPE_H
#define MLE_TYPE_H

#include <duckdb.h>

#include "engine/base/buffer.h"

/* Appends the type, names inside it quoted: STRUCT("a" INTEGER, "b" DECIMAL(9,2)[]). */
mle_status mle_type_text(duckdb_logical_type type, mle_buffer *out, mle_error *err);

#endif
