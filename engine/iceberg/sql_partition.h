/*
 * sql_partition.h -- a frame's rows by the partition they belong to. Data half: needs DuckDB.
 *
 * Spec, "Partition Transforms". DuckDB computes the transforms, what transform.h computes for
 * single values.
 */
#ifndef MLE_ICEBERG_SQL_PARTITION_H
#define MLE_ICEBERG_SQL_PARTITION_H

#include "engine/frame/frame.h"
#include "engine/iceberg/partition.h"

#define MLE_PARTITIONS_MAX 10000 /* of one append */

/* SQL of a row's key in a column: see mle_partition_value. */
mle_status mle_partition_key_sql(const mle_partition_column *column, mle_buffer *out,
                                 mle_error *err);

typedef struct mle_partition_rows {
  mle_list tuple;     /* of mle_datum */
  const char *folder; /* "state=NY/day=2020-02-29", each part escaped */
  mle_frame *frame;   /* its rows, with the table's columns */
} mle_partition_rows;

typedef struct mle_partitions {
  mle_partition_rows *items;
  size_t count;
} mle_partitions;

/*
 * `frame` has the table's columns, in their order. Its rows are pinned, so that they are read
 * once whatever the number of partitions. What `out` has lives in `arena`, its frames until release.
 */
mle_status mle_partition_split(const mle_metadata *m, mle_frame *frame, mle_arena *arena,
                               mle_partitions *out, mle_error *err);
void mle_partitions_release(mle_partitions *partitions);

#endif
