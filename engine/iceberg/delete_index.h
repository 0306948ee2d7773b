/*
 * delete_index.h -- which delete files apply to which data file.
 *
 *     MLE_GO(mle_delete_index_build(metadata, deletes, count, &arena, &index, err));
 *     MLE_GO(mle_delete_index_find(&index, &file, &arena, &numbers, &count, err));
 *
 * Spec, "Scan Planning":
 * - equality deletes: the file's data sequence number is less than the delete's, and
 *   the partition is the same, or the delete's spec is unpartitioned;
 * - position deletes: it is not greater, the partition is the same, and the file is
 *   the referenced one where the delete names one;
 * - deletion vectors: it is not greater, and the path is the file's. There is at
 *   most one, and it takes the place of position deletes.
 */
#ifndef MLE_ICEBERG_DELETE_INDEX_H
#define MLE_ICEBERG_DELETE_INDEX_H

#include "engine/iceberg/metadata.h"
#include "engine/iceberg/tuple.h"

typedef struct mle_delete_file {
  int32_t content; /* MLE_FILE_POSITION_DELETES or MLE_FILE_EQUALITY_DELETES */
  const char *path;
  const char *uri; /* where it is opened */
  bool is_vector; /* a Puffin blob at `offset` */
  int64_t record_count, file_size, sequence_number, snapshot_id;
  int64_t offset, size;
  int32_t spec_id;
  mle_list partition;
  mle_list equality_ids;     /* of int32_t */
  const char *referenced;    /* the one data file it is about, or NULL */
  mle_bytes first, last;     /* bounds of the paths in it; data NULL: unknown */
} mle_delete_file;

/* What the rules ask of a data file. */
typedef struct mle_delete_target {
  const char *path;
  int64_t sequence_number;
  int32_t spec_id;
  mle_list partition;
} mle_delete_target;

typedef struct mle_delete_index {
  const mle_metadata *metadata;
  const mle_delete_file *deletes;
  struct mle_delete_slot *slots; /* by key */
  size_t count;
} mle_delete_index;

/* The index keeps pointers into `deletes`. */
mle_status mle_delete_index_build(const mle_metadata *metadata, const mle_delete_file *deletes,
                                  size_t count, mle_arena *arena, mle_delete_index *out,
                                  mle_error *err);

/* Their numbers in `deletes`, ascending, in `arena`. */
mle_status mle_delete_index_find(const mle_delete_index *index, const mle_delete_target *file,
                                 mle_arena *arena, size_t **out, size_t *out_count,
                                 mle_error *err);

/* The rules for one pair. */
bool mle_delete_applies(const mle_metadata *metadata, const mle_delete_file *one,
                        const mle_delete_target *file);

#endif
