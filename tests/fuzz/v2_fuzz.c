/* Any bytes as a body of an infer request: full rows, or one line that says why not. */

#include <assert.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/serve/v2.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static mle_features features;

static void make_features(void) {
  static const char *const names[] = {"a", "b", "c", "d"}, *const categories[] = {"red", "blue"};
  static const mle_feature_type types[] = {MLE_FEATURE_DOUBLE, MLE_FEATURE_LONG, MLE_FEATURE_BOOLEAN, MLE_FEATURE_STRING};
  mle_features_init(&features, 4, NULL);
  for (size_t i = 0; i < 4; i++) {
    mle_feature_name(&features, i, names[i], NULL);
    features.list[i].type = types[i];
  }
  features.list[3].category = categories;
  features.list[3].num_categories = 2;
  mle_features_index(&features, NULL);
}

/* The first byte says how many of the last bytes are binary data behind the JSON. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len) {
  if (features.count == 0) make_features();
  if (len == 0) return 0;
  size_t binary = bytes[0] == '{' ? 0 : bytes[0];
  if (binary > 0) bytes++, len--;
  if (binary > len) binary = len;
  char *body = mle_alloc(len + 1);
  memcpy(body, bytes, len);
  body[len] = '\0';
  mle_rows rows;
  mle_v2_request request;
  mle_error err = {.message = ""};
  mle_rows_init(&rows, features.count);
  if (mle_v2_parse(&features, body, len, len - binary, &request, &rows, &err) != MLE_OK)
    assert(err.message[0] != '\0');
  else
    for (size_t i = 0; i < rows.count; i++) {
      const float *row = rows.values + i * 4;
      assert(!isnan(row[1])); /* a long is never missing */
      assert(isnan(row[3]) || row[3] == 0 || row[3] == 1);
    }
  assert(strlen(request.id) < sizeof request.id);
  mle_rows_release(&rows);
  mle_free(body);
  return 0;
}
