/*
 * orphans.h -- files below a table's folder that no version of the table knows.
 *
 *     mle_orphans found;
 *     MLE_GO(mle_orphans_find(table->metadata, table->metadata_location, &found, err));
 *     ...
 *     mle_orphans_release(&found);
 *
 * They are left by writers that died, or that could not know whether their commit took
 * effect; a writer that is at work has some too. Nothing is removed here.
 */
#ifndef MLE_ICEBERG_ORPHANS_H
#define MLE_ICEBERG_ORPHANS_H

#include "engine/iceberg/metadata.h"

typedef struct mle_orphan {
  const char *uri;
  int64_t size;
} mle_orphan;

typedef struct mle_orphans {
  mle_arena arena;
  mle_orphan *items; /* by uri */
  size_t count;
  int64_t bytes;
} mle_orphans;

/* `location` is where the metadata lies. */
mle_status mle_orphans_find(const mle_metadata *metadata, const char *location, mle_orphans *out,
                            mle_error *err);
void mle_orphans_release(mle_orphans *orphans);

#endif
