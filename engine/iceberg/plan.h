/*
 * plan.h -- which data files a scan reads.
 *
 *     mle_plan plan;
 *     MLE_GO(mle_plan_snapshot(metadata, snapshot, &plan, err));
 *     for (size_t i = 0; i < plan.num_files; i++) read(plan.files[i].path);
 *   done:
 *     mle_plan_release(&plan);
 *
 * Spec, "Scan Planning". A plan has an order, the same each time: manifests as
 * their list has them, entries as their manifest has them.
 */
#ifndef MLE_ICEBERG_PLAN_H
#define MLE_ICEBERG_PLAN_H

#include "engine/iceberg/metadata.h"

typedef struct mle_plan_file {
  const char *path;
  int64_t record_count, file_size;
  int64_t snapshot_id; /* that added it */
} mle_plan_file;

typedef struct mle_plan {
  mle_arena arena;
  mle_plan_file *files;
  size_t num_files;
  int64_t rows, bytes;
} mle_plan;

void mle_plan_release(mle_plan *plan);

/* All rows of a snapshot. EUNSUPPORTED, naming the file, where deletes would have to be applied. */
mle_status mle_plan_snapshot(const mle_metadata *metadata, const mle_snapshot *snapshot,
                             mle_plan *out, mle_error *err);

/*
 * The files that these snapshots added, in this order. Each snapshot's own
 * manifest list is read: a later one may have moved its entries into manifests of
 * another snapshot. Files that a later snapshot removed are still among them.
 */
mle_status mle_plan_added(const mle_metadata *metadata, const int64_t *snapshots, size_t count,
                          mle_plan *out, mle_error *err);

#endif
