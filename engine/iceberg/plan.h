/*
 * plan.h -- which data files a scan reads.
 *
 *     mle_plan plan;
 *     MLE_GO(mle_plan_snapshot(metadata, snapshot, NULL, &plan, err));
 *     for (size_t i = 0; i < plan.num_files; i++) read(plan.files[i].path);
 *   done:
 *     mle_plan_release(&plan);
 *
 * Spec, "Scan Planning". Files in which no row meets the condition are left out (prune.h);
 * in the others rows that do not meet it remain. A plan has an order, the same each time: manifests as
 * their list has them, entries as their manifest has them.
 */
#ifndef MLE_ICEBERG_PLAN_H
#define MLE_ICEBERG_PLAN_H

#include "engine/iceberg/condition.h"
#include "engine/iceberg/delete_index.h"

typedef struct mle_plan_file {
  const char *path; /* as deletes name it */
  const char *uri;  /* where it is opened */
  int64_t record_count, file_size;
  int64_t snapshot_id; /* that added it */
  int64_t sequence_number;
  int32_t spec_id;
  mle_list partition;     /* of mle_datum */
  const size_t *deletes;  /* what applies to it, as numbers in the plan's deletes */
  size_t num_deletes;
} mle_plan_file;

/* What a condition left out, and which part of it said so. */
typedef enum mle_skipped_by {
  MLE_SKIPPED_MANIFEST, MLE_SKIPPED_PARTITION, MLE_SKIPPED_BOUNDS
} mle_skipped_by;

typedef struct mle_plan_skipped {
  mle_skipped_by by;
  const char *path; /* of a manifest, else a data file */
  const mle_condition *why;
} mle_plan_skipped;

typedef struct mle_plan {
  mle_arena arena;
  mle_plan_file *files;
  size_t num_files;
  mle_delete_file *deletes; /* those that apply to a file of the plan, and others */
  size_t num_deletes;
  int64_t rows, bytes; /* of the data files, deleted rows among them */
  const mle_condition *condition; /* the caller's; NULL: all rows */
  mle_plan_skipped *skipped;
  size_t num_skipped;
} mle_plan;

void mle_plan_release(mle_plan *plan);

/* All rows of a snapshot, with the deletes that apply to each file. */
mle_status mle_plan_snapshot(const mle_metadata *metadata, const mle_snapshot *snapshot,
                             const mle_condition *condition, mle_plan *out, mle_error *err);

/*
 * The files that these snapshots added, in this order. Each snapshot's own
 * manifest list is read: a later one may have moved its entries into manifests of
 * another snapshot. Files that a later snapshot removed are still among them.
 */
mle_status mle_plan_added(const mle_metadata *metadata, const int64_t *snapshots, size_t count,
                          const mle_condition *condition, mle_plan *out, mle_error *err);

#endif
