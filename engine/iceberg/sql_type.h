/*
 * sql_type.h -- DuckDB's type names to Iceberg's types and back.
 *
 *     BIGINT                                 long
 *     STRUCT("x y" INTEGER, z DECIMAL(9,2)[])  struct<x y: int, z: list<decimal(9, 2)>>
 *
 * What Iceberg (v2) has no lossless type for is refused, with the cast that helps.
 */
#ifndef MLE_ICEBERG_SQL_TYPE_H
#define MLE_ICEBERG_SQL_TYPE_H

#include "engine/iceberg/schema.h"

/* Reads DuckDB's text of a type. Ids are 0, every nested field optional but map keys. */
mle_status mle_sql_type_parse(const char *text, mle_arena *arena, const mle_type **out,
                              mle_error *err);

/* Appends DuckDB's name; EUNSUPPORTED for types that DuckDB cannot hold exactly. */
mle_status mle_sql_type_print(const mle_type *type, mle_buffer *out, mle_error *err);

/* Appends the inside of COPY's FIELD_IDS: 'a': 1, 'st': {__duckdb_field_id: 2, 'x': 3}. */
mle_status mle_sql_field_ids(const mle_schema *schema, mle_buffer *out, mle_error *err);

#endif
