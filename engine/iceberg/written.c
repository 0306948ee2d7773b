#include "engine/iceberg/written.h"

#include "engine/base/alloc.h"
#include "engine/store/store.h"

mle_status mle_written_commit(mle_written *written, mle_catalog *catalog, const mle_table *table,
                              const mle_property *summary, size_t num_summary, mle_table **out,
                              int64_t *out_snapshot_id, mle_error *err) {
  const mle_append append = {written->files, written->num_files, summary, num_summary};
  mle_appended appended = {0};
  *out = NULL;
  if (written->kept) return mle_fail(err, MLE_EINVAL, "these files were committed before");
  mle_status status = mle_append_commit(catalog, table, &append, out, &appended, err);
  written->kept = (status == MLE_OK && !appended.repeated) || status == MLE_EUNKNOWN;
  if (out_snapshot_id != NULL) *out_snapshot_id = appended.snapshot_id;
  return status;
}

void mle_written_free(mle_written *written) {
  if (written == NULL) return;
  for (size_t i = 0; i < written->num_files && !written->kept; i++)
    mle_store_remove(written->files[i].path, NULL);
  mle_arena_release(&written->arena);
  mle_free(written);
}
