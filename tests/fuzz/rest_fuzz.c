/* Any bytes as an answer of a REST catalog: a table with credentials, a token, a refusal. Read within bounds, or refused; and a secret
 * that a server repeats is told by nobody. */

#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/iceberg/catalog_rest.h"
#include "engine/iceberg/rest_answer.h"
#include "engine/iceberg/rest_vended.h"
#include "engine/store/grant.h"

#define SECRET "v3ry-s3cret-of-ours"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static const mle_property properties[] = {{"uri", "http://127.0.0.1:1"}, {"credential", "me:" SECRET}};

static void take_table(mle_catalog *catalog, const char *text, size_t len) {
  const mle_table_name name = {"bank", "t"};
  mle_table *table = NULL;
  mle_json *answer = NULL;
  if (mle_json_parse(text, len, &answer, NULL) == MLE_OK &&
      mle_rest_catalog_take(&name, answer, &table, NULL) == MLE_OK) {
    assert(table->metadata->location != NULL);
    mle_rest_vended_grant((mle_rest_catalog *)catalog, &name, answer, NULL);
  }
  mle_table_free(table);
  mle_json_free(answer);
  mle_store_forget_grants();
}

static void take_words(mle_irc_auth *auth, uint8_t kind, const char *text, size_t len) {
  mle_http_response response = {.status = 200, .body = MLE_BUFFER((size_t)1 << 20)};
  const mle_irc_asked asked = {"http://127.0.0.1:1", kind & 1 ? "POST" : "GET", "/v1/config", auth, NULL};
  mle_error err = {0};
  if (mle_buffer_append(&response.body, text, len, NULL) == MLE_OK) {
    mle_irc_auth_take(auth, &response, NULL);
    response.status = 400 + kind;
    assert(mle_irc_answer_fail(&asked, &response, &err) != MLE_OK);
    assert(strstr(err.message, SECRET) == NULL && strchr(err.message, '\n') == NULL);
  }
  mle_buffer_release(&response.body);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len) {
  mle_catalog *catalog = NULL;
  mle_irc_auth *auth = NULL;
  if (len == 0) return 0;
  assert(mle_catalog_open("c", properties, 2, &catalog, NULL) == MLE_OK);
  assert(mle_irc_auth_new("http://127.0.0.1:1", properties, 2, &auth, NULL) == MLE_OK);
  take_table(catalog, (const char *)bytes + 1, len - 1);
  take_words(auth, bytes[0], (const char *)bytes + 1, len - 1);
  mle_irc_auth_free(auth);
  mle_catalog_close(catalog);
  return 0;
}
