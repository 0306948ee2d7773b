/* Any bytes as an Avro container, read by the widest table there is. */

#include <stddef.h>
#include <stdint.h>

#include "engine/iceberg/manifest_records.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len) {
  mle_avro_reader *reader;
  mle_manifest_entry entry = mle_manifest_entry_none;
  bool found = true;
  if (mle_avro_open((const char *)bytes, len, &mle_record_entry, &reader, NULL) != MLE_OK) return 0;
  while (found && mle_avro_next(reader, &entry, &found, NULL) == MLE_OK) continue;
  mle_avro_close(reader);
  return 0;
}
