/*
 * schema.h -- a table's columns, by Iceberg's rules.
 *
 *     const mle_schema *schema;
 *     MLE_TRY(mle_schema_parse(&at, &arena, &schema, err));
 *     const mle_field *field = mle_schema_find(schema, "amount");
 *
 * Spec, "Schemas and Data Types". Lives in its arena; never changed.
 */
#ifndef MLE_ICEBERG_SCHEMA_H
#define MLE_ICEBERG_SCHEMA_H

#include "engine/iceberg/types.h"

typedef struct mle_schema {
  int id;
  size_t num_fields;
  const mle_field *fields;
  size_t num_identifiers;
  const int *identifiers; /* identifier-field-ids */
} mle_schema;

mle_status mle_schema_parse(const mle_json_at *at, mle_arena *arena, const mle_schema **out,
                            mle_error *err);
void mle_schema_add_json(mle_json *to, const char *key, const mle_schema *schema);

/* The JSON text of a schema, as manifests carry it; appended to `out`. */
mle_status mle_schema_print(const mle_schema *schema, mle_buffer *out, mle_error *err);

/* A top-level field; NULL when there is none. */
const mle_field *mle_schema_find(const mle_schema *schema, const char *name);
const mle_field *mle_schema_find_id(const mle_schema *schema, int id);

/* A column as a frame describes it: its type in DuckDB's words. */
typedef struct mle_column_spec {
  const char *name;
  const char *type;
  bool nullable;
} mle_column_spec;

/*
 * Makes a new table's schema (id 0): fields are numbered from 1, top-level ones
 * first, then what they hold, level by level, as PyIceberg and Java do.
 * `out_last_id` is the highest.
 */
mle_status mle_schema_from_columns(const mle_column_spec *columns, size_t count, mle_arena *arena,
                                   const mle_schema **out, int *out_last_id, mle_error *err);

#endif
