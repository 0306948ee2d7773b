/* A transform's name, then behind a zero byte a value: applied to each type, its result asked about itself. */

#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/iceberg/transform.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len) {
  char *name = mle_strndup((const char *)bytes, len);
  if (name == NULL) return 0;
  const mle_transform transform = mle_transform_parse(name);
  size_t used = strlen(name) + 1 < len ? strlen(name) + 1 : len;
  for (int kind = 0; kind < MLE_TYPE_STRUCT; kind++) {
    const mle_type type = {.kind = (mle_type_kind)kind, .precision = 38, .scale = 4};
    const mle_literal value = mle_literal_from_bytes(&type, (mle_bytes){(const char *)bytes + used, len - used});
    if (value.kind == MLE_LITERAL_NONE) continue;
    assert(mle_transform_result(&transform, &type) != NULL);
    const mle_literal part = mle_transform_apply(&transform, &type, &value);
    if (part.kind == MLE_LITERAL_NONE) continue;
    assert(mle_literal_compare(&part, &part) == 0);
    if (transform.kind == MLE_TRANSFORM_BUCKET) assert(part.whole >= 0 && part.whole < transform.width);
    if (transform.kind == MLE_TRANSFORM_TRUNCATE && part.kind != MLE_LITERAL_BYTES)
      assert(mle_literal_compare(&part, &value) <= 0);
  }
  mle_free(name);
  return 0;
}
