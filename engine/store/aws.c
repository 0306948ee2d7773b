#include "engine/store/aws.h"

#include <stdlib.h>
#include <string.h>

#include "engine/base/alloc.h"

const char *mle_aws_variable(const char *name) {
  const char *value = getenv(name);
  return value == NULL || *value == '\0' ? NULL : value;
}

const char *mle_aws_property(const mle_aws_settings *settings, const char *name) {
  static const char *const spaces[] = {"s3.", "client."};
  for (size_t i = 0; i < sizeof spaces / sizeof *spaces; i++)
    for (size_t j = 0; j < settings->num_properties; j++) {
      const mle_property *p = &settings->properties[j];
      size_t len = strlen(spaces[i]);
      if (strncmp(p->key, spaces[i], len) == 0 && strcmp(p->key + len, name) == 0 && *p->value != '\0')
        return p->value;
    }
  return NULL;
}

static const char *first(const char *a, const char *b) { return a != NULL ? a : b; }

mle_status mle_aws_settle(const mle_property *properties, size_t count, mle_arena *arena,
                          mle_aws_settings *out, mle_error *err) {
  mle_aws_profile profile;
  *out = (mle_aws_settings){.properties = properties, .num_properties = count};
  out->profile = first(mle_aws_property(out, "profile-name"), mle_aws_variable("AWS_PROFILE"));
  out->profile_asked = out->profile != NULL;
  out->profile = first(out->profile, "default");
  MLE_TRY(mle_aws_profile_read(out->profile, arena, &profile, err));
  out->region = first(mle_aws_property(out, "region"), mle_aws_variable("AWS_REGION"));
  out->region = first(out->region, mle_aws_variable("AWS_DEFAULT_REGION"));
  out->region = first(out->region, mle_property_find(profile.items, profile.count, "region"));
  out->ca_file = first(mle_property_find(properties, count, "ssl.cabundle"),
                       mle_aws_variable("AWS_CA_BUNDLE"));
  out->ca_file = first(out->ca_file, mle_property_find(profile.items, profile.count, "ca_bundle"));
  return MLE_OK;
}

/* ====== The keys ====== */

static mle_status from_properties(const mle_aws_settings *settings, mle_aws_found *out,
                                  mle_error *err) {
  const char *expires = mle_aws_property(settings, "session-token-expires-at-ms");
  out->keys.access_key_id = mle_aws_property(settings, "access-key-id");
  out->keys.secret_access_key = mle_aws_property(settings, "secret-access-key");
  out->keys.session_token = mle_aws_property(settings, "session-token");
  if ((out->keys.access_key_id == NULL) != (out->keys.secret_access_key == NULL))
    return mle_fail(err, MLE_EINVAL, "of s3.access-key-id and s3.secret-access-key only one is set");
  out->source = "s3.access-key-id";
  out->expires_ms = expires == NULL ? 0 : strtoll(expires, NULL, 10);
  return MLE_OK;
}

static mle_status from_variables(mle_aws_found *out, mle_error *err) {
  out->keys.access_key_id = mle_aws_variable("AWS_ACCESS_KEY_ID");
  out->keys.secret_access_key = mle_aws_variable("AWS_SECRET_ACCESS_KEY");
  out->keys.session_token = mle_aws_variable("AWS_SESSION_TOKEN");
  if ((out->keys.access_key_id == NULL) != (out->keys.secret_access_key == NULL))
    return mle_fail(err, MLE_EINVAL,
                    "of AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY only one is set");
  out->source = "AWS_ACCESS_KEY_ID";
  return MLE_OK;
}

/* Of the ways a profile may name credentials, those we do not go are refused, not passed over. */
static mle_status from_profile(const mle_aws_settings *settings, const mle_aws_profile *profile,
                               mle_arena *arena, mle_aws_found *out, mle_error *err) {
  static const char *const refused[] = {"credential_process", "source_profile", "credential_source",
                                        "sso_session", "sso_start_url"};
  if (settings->profile_asked && !profile->found)
    return mle_fail(err, MLE_ENOTFOUND, "~/.aws/credentials and ~/.aws/config have no profile '%s'",
                    settings->profile);
  out->keys.access_key_id = mle_property_find(profile->items, profile->count, "aws_access_key_id");
  out->keys.secret_access_key =
      mle_property_find(profile->items, profile->count, "aws_secret_access_key");
  out->keys.session_token = mle_property_find(profile->items, profile->count, "aws_session_token");
  if ((out->keys.access_key_id == NULL) != (out->keys.secret_access_key == NULL))
    return mle_fail(err, MLE_EINVAL,
                    "profile '%s' has only one of aws_access_key_id and aws_secret_access_key",
                    settings->profile);
  out->source = mle_arena_format(arena, "profile '%s'", settings->profile);
  if (out->source == NULL) return mle_nomem(err, "looking for AWS credentials");
  for (size_t i = 0; out->keys.access_key_id == NULL && i < sizeof refused / sizeof *refused; i++)
    if (mle_property_find(profile->items, profile->count, refused[i]) != NULL)
      return mle_fail(err, MLE_EUNSUPPORTED,
                      "profile '%s' has %s, which this version does not follow; put its keys into "
                      "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN",
                      settings->profile, refused[i]);
  return MLE_OK;
}

static bool has_keys(const mle_aws_found *found) { return found->keys.access_key_id != NULL; }

static mle_status find(const mle_aws_settings *settings, mle_arena *arena, mle_aws_found *out,
                       mle_error *err) {
  mle_aws_profile profile;
  MLE_TRY(from_properties(settings, out, err));
  if (has_keys(out)) return MLE_OK;
  *out = (mle_aws_found){0};
  bool by_name = mle_aws_property(settings, "profile-name") != NULL;
  if (!by_name) MLE_TRY(from_variables(out, err));
  if (has_keys(out)) return MLE_OK;
  *out = (mle_aws_found){0};
  MLE_TRY(mle_aws_profile_read(settings->profile, arena, &profile, err));
  MLE_TRY(mle_aws_web_identity(settings, &profile, arena, out, err));
  if (has_keys(out)) return MLE_OK;
  MLE_TRY(from_profile(settings, &profile, arena, out, err));
  if (has_keys(out)) return MLE_OK;
  *out = (mle_aws_found){0};
  MLE_TRY(mle_aws_container(arena, out, err));
  if (has_keys(out)) return MLE_OK;
  return mle_aws_machine(arena, out, err);
}

mle_status mle_aws_find(const mle_aws_settings *settings, mle_arena *arena, mle_aws_found *out,
                        mle_error *err) {
  *out = (mle_aws_found){0};
  MLE_TRY(find(settings, arena, out, err));
  if (has_keys(out)) return MLE_OK;
  return mle_fail(err, MLE_ENOTFOUND,
                  "there are no credentials: neither s3.access-key-id, nor AWS_ACCESS_KEY_ID, nor "
                  "profile '%s' of ~/.aws/credentials, nor a web identity, a container's or a "
                  "machine's service; s3.anonymous = true goes without",
                  settings->profile);
}
