/* Any bytes as a body of CML's /model: a key and a request that /invocations reads, or one line that says why not. */

#include <assert.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/serve/cml.h"
#include "engine/serve/invocations.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static mle_features features;

static void make_features(void) {
  static const char *const names[] = {"a", "b"};
  mle_features_init(&features, 2, NULL);
  for (size_t i = 0; i < 2; i++) {
    mle_feature_name(&features, i, names[i], NULL);
    features.list[i].type = i == 0 ? MLE_FEATURE_DOUBLE : MLE_FEATURE_LONG;
  }
  mle_features_index(&features, NULL);
}

/* What was cut out of the body is an object; /invocations may still refuse it. */
static void read_request(const char *request) {
  mle_rows rows;
  mle_error err = {.message = ""};
  assert(*request == '{');
  mle_rows_init(&rows, features.count);
  if (mle_invocations_json(&features, request, strlen(request), &rows, &err) != MLE_OK)
    assert(err.message[0] != '\0');
  else
    for (size_t i = 0; i < rows.count; i++) assert(!isnan(rows.values[i * 2 + 1])); /* a long is never missing */
  mle_rows_release(&rows);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len) {
  if (features.count == 0) make_features();
  char *body = mle_strndup((const char *)bytes, len); /* exact: ASan sees a read behind it */
  mle_cml cml;
  mle_error err = {.message = ""};
  if (mle_cml_parse(body, len, &cml, &err) != MLE_OK)
    assert(err.message[0] != '\0');
  else
    read_request(cml.request);
  assert(memchr(cml.key, '\0', sizeof cml.key) != NULL);
  mle_free(cml.request);
  mle_free(body);
  return 0;
}
