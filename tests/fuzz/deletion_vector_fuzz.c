/* Any bytes as a deletion vector, and as the roaring bitmap inside one, past its checksum. */

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/iceberg/deletion_vector.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

/* What was read must be a sound bitmap: its answers agree with each other. */
static void use(const mle_bitmap *bitmap) {
  const int64_t rows[] = {0, 1, 65535, 65536, 4294967295};
  bool live[5];
  mle_bitmap_missing(bitmap, rows, 5, live);
  for (size_t i = 0; i < 5; i++) assert(live[i] == !mle_bitmap_has(bitmap, (uint32_t)rows[i]));
  assert(mle_bitmap_below(bitmap, (int64_t)1 << 32) == mle_bitmap_count(bitmap));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len) {
  size_t used = 0;
  mle_bitmap *whole = mle_bitmap_new(), *inner = mle_bitmap_new();
  if (mle_deletion_vector_parse((const char *)bytes, len, whole, NULL) == MLE_OK) use(whole);
  if (mle_bitmap_parse(inner, (const char *)bytes, len, &used, NULL) == MLE_OK) {
    assert(used <= len);
    use(inner);
  }
  mle_bitmap_free(whole);
  mle_bitmap_free(inner);
  return 0;
}
