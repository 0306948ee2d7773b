/*
 * inspect_groups.h -- what a snapshot holds, by spec and partition; private to engine/iceberg.
 *
 *     mle_partition_groups g = {.memory = &arena};
 *     MLE_GO(mle_partition_count(&g, metadata, &entry, spec_id, err));      of each entry
 *     for (size_t i = 0; i < g.count; i++) use(&g.items[i]);               in the order they came
 *   done:
 *     mle_partition_groups_free(&g);
 */
#ifndef MLE_ICEBERG_INSPECT_GROUPS_H
#define MLE_ICEBERG_INSPECT_GROUPS_H

#include "engine/iceberg/manifest.h"
#include "engine/iceberg/metadata.h"

typedef struct mle_partition_group {
  mle_list tuple;
  int32_t spec_id;
  int64_t records, files, bytes; /* of data */
  int64_t position_records, position_files, equality_records, equality_files;
  const mle_snapshot *updated; /* the newest that added one of its files; NULL: expired */
} mle_partition_group;

typedef struct mle_partition_groups {
  mle_arena *memory; /* of items and tuples */
  mle_partition_group *items;
  size_t count;
  size_t *slots; /* item + 1; open addressing, at most half full */
  size_t capacity;
} mle_partition_groups;

/* Adds an entry to its group; a deleted one counts for nothing. */
mle_status mle_partition_count(mle_partition_groups *g, const mle_metadata *metadata,
                               const mle_manifest_entry *entry, int32_t spec_id, mle_error *err);

void mle_partition_groups_free(mle_partition_groups *g);

#endif
