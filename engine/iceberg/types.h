/*
 * types.h -- Iceberg's types: parsed from metadata, compared, printed back.
 *
 * Spec, "Schemas and Data Types" and Appendix C "Schemas". A type and all it
 * points to live in the arena they were made in; none is ever changed.
 */
#ifndef MLE_ICEBERG_TYPES_H
#define MLE_ICEBERG_TYPES_H

#include <stdbool.h>

#include "engine/base/arena.h"
#include "engine/base/buffer.h"
#include "engine/base/error.h"
#include "engine/json/json.h"

#define MLE_TYPE_DEPTH_MAX 50
#define MLE_TYPE_TEXT_MAX ((size_t)256 << 10)

typedef enum mle_type_kind {
  MLE_TYPE_BOOLEAN, MLE_TYPE_INT, MLE_TYPE_LONG, MLE_TYPE_FLOAT, MLE_TYPE_DOUBLE,
  MLE_TYPE_DECIMAL, MLE_TYPE_DATE, MLE_TYPE_TIME, MLE_TYPE_TIMESTAMP, MLE_TYPE_TIMESTAMPTZ,
  MLE_TYPE_TIMESTAMP_NS, MLE_TYPE_TIMESTAMPTZ_NS, MLE_TYPE_STRING, MLE_TYPE_UUID,
  MLE_TYPE_FIXED, MLE_TYPE_BINARY, MLE_TYPE_UNKNOWN, MLE_TYPE_VARIANT, MLE_TYPE_GEOMETRY,
  MLE_TYPE_GEOGRAPHY, MLE_TYPE_STRUCT, MLE_TYPE_LIST, MLE_TYPE_MAP
} mle_type_kind;

typedef struct mle_field mle_field;

typedef struct mle_type {
  mle_type_kind kind;
  int precision, scale;    /* decimal */
  int length;              /* fixed: bytes */
  const char *parameters;  /* geometry, geography: what stands in the brackets, or NULL */
  size_t num_fields;       /* struct: any; list: 1, the element; map: 2, key and value */
  const mle_field *fields;
} mle_type;

struct mle_field {
  int id; /* 0 while not assigned */
  bool required;
  const char *name;
  const char *doc;              /* NULL when there is none */
  const mle_type *type;
  const mle_json *initial_default; /* v3; in the document the schema was read from, or NULL */
  const mle_json *write_default;
};

/* Reads a type from its JSON form, text or object. */
mle_status mle_type_parse(const mle_json_at *at, mle_arena *arena, const mle_type **out,
                          mle_error *err);

/* Reads the fields of a struct or schema object. */
mle_status mle_type_parse_fields(const mle_json_at *object, mle_arena *arena, size_t *out_count,
                                 const mle_field **out, mle_error *err);

/* Adds the JSON form to `to`; see mle_json_add_object for failures. */
void mle_type_add_json(mle_json *to, const char *key, const mle_type *type);
void mle_type_add_fields(mle_json *to, size_t num_fields, const mle_field *fields);

/* Appends "decimal(9, 2)", "struct<x: int, y: list<long>>". */
mle_status mle_type_print(const mle_type *type, mle_buffer *out, mle_error *err);

/* The same in a buffer, cut with "..." when it does not fit; for messages. */
#define MLE_TYPE_LABEL 200
const char *mle_type_label(const mle_type *type, char text[MLE_TYPE_LABEL]);

bool mle_type_is_nested(const mle_type *type);

/*
 * Whether each value of `from` is a value of `to` without loss: equal types,
 * the spec's promotions (int -> long, float -> double, wider decimals), and
 * these inside structs (fields by name; a missing one must be optional, none
 * may be extra), lists and maps. Ids play no part.
 */
bool mle_type_widens(const mle_type *from, const mle_type *to);

#endif
