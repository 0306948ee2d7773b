/* Any bytes as a body of /invocations: rows of the model's width, or one line that says why not. */

#include <assert.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/serve/invocations.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static mle_features features;

static void make_features(void) {
  static const char *const names[] = {"a", "b", "c", "d\"\xC3\xA9"};
  mle_features_init(&features, 4, NULL);
  for (size_t i = 0; i < 4; i++) {
    mle_feature_name(&features, i, names[i], NULL);
    features.list[i].type = (mle_feature_type)(i == 3 ? MLE_FEATURE_BOOLEAN : i);
  }
  mle_features_index(&features, NULL);
}

/* What is remembered of earlier bodies changes nothing. */
static void parse_again(const char *type, const char *body, size_t len, const mle_rows *wanted, const mle_error *problem) {
  mle_features forgetful = features;
  mle_rows rows;
  mle_error err = {.message = ""};
  forgetful.layouts = NULL;
  mle_rows_init(&rows, features.count);
  mle_status status = mle_invocations_parse(&forgetful, type, body, len, &rows, &err);
  assert(strcmp(err.message, problem->message) == 0);
  if (status == MLE_OK) {
    assert(rows.count == wanted->count);
    assert(rows.count == 0 || memcmp(rows.values, wanted->values, rows.count * rows.columns * sizeof *rows.values) == 0);
  }
  mle_rows_release(&rows);
}

static void parse(const char *type, const char *body, size_t len) {
  mle_rows rows;
  mle_error err = {.message = ""};
  mle_rows_init(&rows, features.count);
  if (mle_invocations_parse(&features, type, body, len, &rows, &err) != MLE_OK)
    assert(err.message[0] != '\0');
  else
    for (size_t i = 0; i < rows.count * rows.columns; i++) assert(!isinf(rows.values[i]));
  parse_again(type, body, len, &rows, &err);
  mle_rows_release(&rows);
}

/* The first byte chooses the content type, so that one corpus serves both. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len) {
  if (features.count == 0) make_features();
  if (len == 0) return 0;
  char *body = mle_strndup((const char *)bytes + 1, len - 1); /* exact: ASan sees a read behind it */
  parse(bytes[0] == 'c' ? "text/csv" : "application/json", body, len - 1);
  mle_free(body);
  return 0;
}
