/* Any bytes as an answer of S3, and as a file of AWS's settings: read within bounds, or refused. */

#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/store/aws.h"
#include "engine/store/xml.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static mle_status see(void *context, const char *path, const char *text, mle_error *err) {
  size_t *total = context;
  (void)err;
  assert(strlen(path) > 0 && strlen(path) <= 512);
  *total += strlen(text);
  return MLE_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len) {
  size_t total = 0;
  mle_arena arena = MLE_ARENA;
  mle_aws_profile profile = {0};
  char *text = mle_strndup((const char *)bytes, len);
  if (text == NULL) return 0;
  mle_xml_read((const char *)bytes, len, see, &total, NULL);
  assert(total <= 4 * len);
  mle_aws_profile_parse(text, "default", &arena, &profile, NULL);
  for (size_t i = 0; i < profile.count; i++) assert(strchr(profile.items[i].key, '=') == NULL);
  mle_arena_release(&arena);
  mle_free(text);
  return 0;
}
