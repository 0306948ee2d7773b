/*
 * avro_schema.h -- a writer's Avro schema, resolved against one of our tables.
 *
 * Internal to avro*.c. Nodes live in an arena. A named type that is used again is
 * the same node again, so the nodes may form a cycle; who walks them counts depth.
 */
#ifndef MLE_ICEBERG_AVRO_SCHEMA_H
#define MLE_ICEBERG_AVRO_SCHEMA_H

#include "engine/iceberg/avro.h"

typedef enum mle_avro_type {
  AVRO_NULL, AVRO_BOOLEAN, AVRO_INT, AVRO_LONG, AVRO_FLOAT, AVRO_DOUBLE, AVRO_BYTES, AVRO_STRING,
  AVRO_FIXED, AVRO_ENUM, AVRO_ARRAY, AVRO_MAP, AVRO_RECORD, AVRO_UNION
} mle_avro_type;

typedef struct mle_avro_node mle_avro_node;

typedef struct mle_avro_member {
  const char *name;
  int id;                       /* "field-id", -1 when absent */
  const mle_avro_node *type;
  const mle_avro_field *target; /* where it is read to; NULL: skipped */
} mle_avro_member;

struct mle_avro_node {
  mle_avro_type type;
  const char *name;             /* of a named type */
  size_t size;                  /* fixed */
  size_t count;                 /* record: members; union: branches; array and map: 1 */
  mle_avro_member *members;
  size_t num_bound;             /* record: members up to the last one that has a target */
  const mle_avro_record *bound; /* the table it was resolved against */
};

mle_status mle_avro_schema_parse(const char *json, size_t len, mle_arena *arena,
                                 mle_avro_node **out, mle_error *err);

/* Sets the targets of all members; EFORMAT when a type cannot be read as the table asks. */
mle_status mle_avro_schema_bind(mle_avro_node *node, const mle_avro_record *record, mle_error *err);

/* Appends the Avro schema that a table is written with, its tuples of that shape. */
mle_status mle_avro_schema_print(const mle_avro_record *record, const mle_avro_shape *shape,
                                 mle_buffer *out, mle_error *err);

#endif
