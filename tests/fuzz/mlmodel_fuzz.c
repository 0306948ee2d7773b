/* Any bytes as an MLmodel file: every scalar a text, or one line that names the line. */

#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/deploy/yaml.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len) {
  static const char *const paths[] = {"flavors.xgboost.data", "signature.inputs", "run_id", ""};
  mle_arena memory = MLE_ARENA;
  mle_yaml *doc;
  mle_error err = {.message = ""};
  char *exact = mle_alloc(len); /* no NUL behind it: ASan sees a read past the end */
  memcpy(exact, bytes, len);
  if (mle_yaml_parse(exact, len, &memory, &doc, &err) != MLE_OK)
    assert(strncmp(err.message, "line ", 5) == 0 || err.status != MLE_EFORMAT);
  else
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
      const char *value = mle_yaml_find(doc, paths[i]);
      assert(value == NULL || strlen(value) <= len);
    }
  mle_free(exact);
  mle_arena_release(&memory);
  return 0;
}
