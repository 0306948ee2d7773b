/*
 * partition.h -- how a partition spec's tuples are written: names, Avro types, values, summaries.
 *
 * Spec, "Partitioning", "Partition Transforms", "Manifests" (the partition struct) and "Manifest
 * Lists" (field_summary). What is read of them: tuple.h, prune.h.
 */
#ifndef MLE_ICEBERG_PARTITION_H
#define MLE_ICEBERG_PARTITION_H

#include "engine/iceberg/manifest.h"
#include "engine/iceberg/metadata.h"
#include "engine/iceberg/transform.h"

/* One field of a spec that rows can be told apart by. */
typedef struct mle_partition_column {
  const mle_partition_field *field;
  const mle_field *source; /* NULL for void of a dropped column */
  mle_transform transform;
  const mle_type *type;    /* of its values */
} mle_partition_column;

/*
 * The columns of the table's default spec, in `arena`. EUNSUPPORTED, naming the field, for
 * transforms this program does not know, and sources that are nested or binary.
 */
mle_status mle_partition_columns(const mle_metadata *m, mle_arena *arena,
                                 const mle_partition_column **out, mle_error *err);

/* The tuple's shape in a manifest. */
mle_status mle_partition_shape(const mle_partition_column *columns, size_t count,
                               mle_arena *arena, mle_avro_shape *out, mle_error *err);

/*
 * The value of a key, the text that sql_partition.h makes: a whole number for what is one inside
 * (days, microseconds, unscaled decimals), else the value's own text. NULL is null.
 */
mle_status mle_partition_value(const mle_partition_column *column, const char *key,
                               mle_arena *arena, mle_datum *out, mle_error *err);

/* What a manifest list says of the files' tuples: an mle_field_summary per column. */
mle_status mle_partition_summaries(const mle_partition_column *columns, size_t num_columns,
                                   const mle_data_file *files, size_t num_files, mle_arena *arena,
                                   mle_list *out, mle_error *err);

#endif
