/*
 * append.h -- adding data files to a table as one snapshot.
 *
 *     mle_append append = {.files = files, .num_files = 1};
 *     MLE_GO(mle_append_commit(catalog, table, &append, &next, err));
 *
 * Spec, "Snapshots" and "Commit Conflict Resolution and Retry". A fast append: one
 * new manifest, and a manifest list of it and all the earlier ones. Another
 * writer's commit in between is met by a new list and new metadata on top of it;
 * data files and manifest are kept. Retries follow commit.retry.num-retries,
 * .min-wait-ms, .max-wait-ms and .total-timeout-ms, with jitter.
 */
#ifndef MLE_ICEBERG_APPEND_H
#define MLE_ICEBERG_APPEND_H

#include "engine/iceberg/catalog.h"

/*
 * A fact of a snapshot's summary that makes an append happen once: where the table has
 * a snapshot with the same key, that one is what the append comes to.
 */
#define MLE_COMMIT_KEY "mlengine.commit_key"

typedef struct mle_append {
  const mle_data_file *files; /* at least one */
  size_t num_files;
  const mle_property *summary; /* more facts for the snapshot's summary */
  size_t num_summary;
} mle_append;

/* EUNSUPPORTED when a table is of a kind that this version does not write to, EREFUSED when it
 * was opened to read; says why. */
mle_status mle_append_check(const mle_table *table, mle_error *err);

/*
 * Commits and gives the table's new version, whose current snapshot is the new one
 * unless others committed since. After EUNKNOWN the data files must stay; after any
 * other failure, and where it was a repetition, they are not in the table.
 */
typedef struct mle_appended {
  int64_t snapshot_id;
  bool repeated; /* it is the snapshot of an earlier append with the same key */
} mle_appended;

mle_status mle_append_commit(mle_catalog *catalog, const mle_table *table, const mle_append *append,
                             mle_table **out, mle_appended *out_appended, mle_error *err);

#endif
