/* Any bytes as table metadata: what is read can be written with a snapshot more, and read again. */

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/iceberg/metadata.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len) {
  static const mle_snapshot added = {.id = 42, .parent_id = MLE_NO_SNAPSHOT, .manifest_list = "/list.avro",
                                     .operation = "append", .schema_id = 0};
  mle_metadata *metadata, *again;
  mle_buffer text = MLE_BUFFER((size_t)64 << 20);
  if (mle_metadata_parse((const char *)bytes, len, &metadata, NULL) != MLE_OK) return 0;
  if (mle_metadata_append(metadata, "/00000-x.metadata.json", &added, &text, NULL) == MLE_OK &&
      mle_metadata_parse(text.data, text.len, &again, NULL) == MLE_OK) {
    assert(again->current_snapshot_id == 42 && mle_metadata_current(again) != NULL);
    mle_metadata_free(again);
  }
  mle_buffer_release(&text);
  mle_metadata_free(metadata);
  return 0;
}
