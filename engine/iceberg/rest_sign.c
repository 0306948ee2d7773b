#include "engine/iceberg/rest_sign.h"

#include <string.h>
#include <strings.h>

#include "engine/base/line.h"
#include "engine/base/alloc.h"
#include "engine/base/clock.h"
#include "engine/base/hash.h"
#include "engine/http/aws_sign.h"
#include "engine/store/aws.h"

#define EARLY_MS 300000 /* before keys expire */

struct mle_irc_signer {
  mle_arena memory; /* of the settings; `properties` belong to the catalog */
  mle_aws_settings settings;
  const char *service, *region;
  mle_arena found_memory;
  mle_aws_found found; /* keys.access_key_id NULL: not looked for yet */
};

static bool is_true(const char *text) { return text != NULL && strcasecmp(text, "true") == 0; }

bool mle_irc_signer_wanted(const mle_property *properties, size_t count) {
  const char *type = mle_property_find(properties, count, "rest.auth.type");
  return is_true(mle_property_find(properties, count, "rest.sigv4-enabled")) ||
         (type != NULL && strcasecmp(type, "sigv4") == 0);
}

mle_status mle_irc_signer_new(const mle_property *properties, size_t count, mle_irc_signer **out,
                              mle_error *err) {
  *out = NULL;
  mle_irc_signer *s = mle_calloc(1, sizeof *s);
  if (s == NULL) return mle_nomem(err, "opening a catalog");
  mle_status status = mle_aws_settle(properties, count, &s->memory, &s->settings, err);
  const char *region = mle_property_find(properties, count, "rest.signing-region");
  const char *service = mle_property_find(properties, count, "rest.signing-name");
  s->region = region != NULL ? region : s->settings.region;
  s->service = service != NULL ? service : "execute-api";
  if (status == MLE_OK && s->region == NULL)
    status = mle_fail(err, MLE_EINVAL, "rest.sigv4-enabled needs rest.signing-region");
  if (status == MLE_OK)
    *out = s;
  else
    mle_irc_signer_free(s);
  return status;
}

void mle_irc_signer_free(mle_irc_signer *s) {
  if (s == NULL) return;
  mle_arena_release(&s->found_memory);
  mle_arena_release(&s->memory);
  mle_free(s);
}

static mle_status need_keys(mle_irc_signer *s, mle_error *err) {
  bool lasts = s->found.expires_ms == 0 || mle_now_ms() < s->found.expires_ms - EARLY_MS;
  if (s->found.keys.access_key_id != NULL && lasts) return MLE_OK;
  mle_arena_release(&s->found_memory);
  s->found = (mle_aws_found){0};
  return mle_aws_find(&s->settings, &s->found_memory, &s->found, err);
}

mle_status mle_irc_sign(mle_irc_signer *s, const char *method, const char *url,
                        const char *const *headers, const char *body, mle_arena *arena,
                        const char *const **out, mle_error *err) {
  char digest[MLE_SHA256_HEX];
  const char *text = body == NULL ? "" : body;
  MLE_TRY(need_keys(s, err));
  MLE_TRY(mle_sha256_hex(text, strlen(text), digest, err));
  const mle_aws_request request = {.method = method,
                                   .url = url,
                                   .region = s->region,
                                   .service = s->service,
                                   .headers = headers,
                                   .payload_sha256 = digest,
                                   .now_ms = mle_now_ms()};
  return mle_aws_sign(&request, &s->found.keys, arena, out, err);
}

void mle_irc_signer_hide(const mle_irc_signer *s, char *text) {
  if (s == NULL) return;
  mle_line_hide(text, s->found.keys.secret_access_key);
  mle_line_hide(text, s->found.keys.session_token);
}
