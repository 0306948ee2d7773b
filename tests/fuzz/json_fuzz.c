/* Any bytes: parsed and printed, or refused; what prints parses to the same text. */

#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/json/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len) {
  mle_json *doc, *again;
  if (mle_json_parse((const char *)bytes, len, &doc, NULL) != MLE_OK) return 0;
  char *text = mle_json_print(doc, false);
  if (text != NULL && mle_json_parse(text, strlen(text), &again, NULL) == MLE_OK) {
    char *second = mle_json_print(again, false);
    assert(second != NULL && strcmp(text, second) == 0);
    mle_free(second);
    mle_json_free(again);
  }
  mle_free(text);
  mle_json_free(doc);
  return 0;
}
