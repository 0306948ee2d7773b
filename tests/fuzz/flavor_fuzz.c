/* Any bytes as an MLmodel: read or refused; what YAML is read prints and reads the same. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/mlflow/flavor.h"
#include "engine/mlflow/yaml.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

/* Not assert: that is empty in a release build. */
static void check(bool holds) {
  if (!holds) abort();
}

/* The value as JSON text, after a way through YAML. */
static char *through_yaml(const mle_json *doc) {
  mle_buffer yaml = MLE_BUFFER(64 * MLE_YAML_MAX);
  mle_json *again = NULL;
  mle_json_at root = mle_json_root(doc);
  mle_error err;
  check(mle_yaml_print(&root, &yaml, &err) == MLE_OK);
  check(mle_yaml_read(yaml.data, yaml.len, &again, &err) == MLE_OK);
  char *text = mle_json_print(again, false);
  mle_json_free(again);
  mle_buffer_release(&yaml);
  return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len) {
  const char *text = (const char *)bytes;
  mle_arena memory = MLE_ARENA;
  mle_flavor_info info;
  mle_json *doc;
  mle_flavor_parse("/model", text, len, &memory, &info, NULL);
  check(info.data == NULL || strncmp(info.data, "/model/", 7) == 0);
  mle_arena_release(&memory);
  if (mle_yaml_read(text, len, &doc, NULL) != MLE_OK) return 0;
  char *first = mle_json_print(doc, false), *second = through_yaml(doc);
  check(first != NULL && second != NULL && strcmp(first, second) == 0);
  mle_free(first);
  mle_free(second);
  mle_json_free(doc);
  return 0;
}
