/*
 * plan_part.h -- what one manifest, or a piece of one, adds to a plan; internal to plan*.c.
 *
 * Parts are made by several threads, each part by one. What a part points to lies in the
 * arena of the thread; its own arrays are freed when it has been put into the plan.
 */
#ifndef MLE_ICEBERG_PLAN_PART_H
#define MLE_ICEBERG_PLAN_PART_H

#include "engine/iceberg/plan.h"

/* What holds for the whole plan. */
typedef struct mle_plan_request {
  const mle_metadata *metadata;
  const mle_condition *condition; /* NULL: all rows */
  const int32_t *columns;         /* the condition's, by id */
  size_t num_columns;
} mle_plan_request;

/* A manifest whose entries are wanted. */
typedef struct mle_plan_source {
  const mle_manifest_file *manifest;
  int64_t snapshot_id; /* the entries it added; MLE_NO_SNAPSHOT: all that are live */
  struct mle_plan_shared *shared; /* the file, where it is read in pieces; else NULL */
  size_t from, to;                /* the piece */
} mle_plan_source;

typedef struct mle_plan_part {
  mle_plan_file *files;
  size_t num_files;
  mle_delete_file *deletes;
  size_t num_deletes;
  mle_plan_skipped *skipped;
  size_t num_skipped;
} mle_plan_part;

/* What one thread has of its own. */
typedef struct mle_plan_worker {
  mle_arena arena;
  mle_manifest_reader *data, *deletes; /* NULL until used */
} mle_plan_worker;

/* Adds to `part`. */
mle_status mle_plan_part_read(const mle_plan_request *request, const mle_plan_source *source,
                              mle_plan_worker *worker, mle_plan_part *part, mle_error *err);
void mle_plan_part_release(mle_plan_part *part);

/* Closes the readers; the arena is the caller's to join or release. */
void mle_plan_worker_close(mle_plan_worker *worker);

/* One file that several threads read: the first of them fetches it, the last lets go of it. */
mle_status mle_plan_shared_new(const char *uri, unsigned users, struct mle_plan_shared **out,
                               mle_error *err);
void mle_plan_shared_free(struct mle_plan_shared *shared); /* NULL is ignored */

#endif
