/*
 * written.h -- data files that are on disk but not in a table yet.
 *
 *     mle_written *written;
 *     MLE_GO(mle_iceberg_write(table, frame, &written, err));             data half: write.h
 *     MLE_GO(mle_written_commit(written, catalog, table, ..., &next, err));
 *   done:
 *     mle_written_free(written);      removes the files, unless they may be in the table
 */
#ifndef MLE_ICEBERG_WRITTEN_H
#define MLE_ICEBERG_WRITTEN_H

#include "engine/iceberg/append.h"

typedef struct mle_written {
  mle_arena arena; /* of what the files point to */
  mle_data_file *files;
  size_t num_files;
  int64_t rows, bytes;
  bool kept; /* they are, or may be, a table's now */
} mle_written;

/* Appends them as one snapshot. See mle_append_commit. */
mle_status mle_written_commit(mle_written *written, mle_catalog *catalog, const mle_table *table,
                              const mle_property *summary, size_t num_summary, mle_table **out,
                              int64_t *out_snapshot_id, mle_error *err);

void mle_written_free(mle_written *written); /* NULL is ignored */

#endif
