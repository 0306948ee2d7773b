/*
 * aws.h -- where AWS's programs keep settings and credentials; for this folder, and for
 * catalogs that want signed requests (engine/iceberg/rest_sign.c).
 *
 *     mle_aws_found found;
 *     MLE_TRY(mle_aws_find(&settings, &arena, &found, err));
 *
 * In this order: the properties, AWS_ACCESS_KEY_ID, the profile in ~/.aws/credentials and
 * ~/.aws/config, a web identity (AWS_WEB_IDENTITY_TOKEN_FILE or the profile's), the
 * container's service (AWS_CONTAINER_CREDENTIALS_*), the machine's (IMDSv2).
 */
#ifndef MLE_STORE_AWS_H
#define MLE_STORE_AWS_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/base/arena.h"
#include "engine/base/property.h"
#include "engine/http/aws_sign.h"

/* Keys and where they are from. `keys.access_key_id` NULL: there are none here. */
typedef struct mle_aws_found {
  mle_aws_keys keys;
  const char *source;
  int64_t expires_ms; /* 0: never */
} mle_aws_found;

typedef struct mle_aws_settings {
  const mle_property *properties;
  size_t num_properties;
  const char *profile;  /* "default", or what was asked for */
  bool profile_asked;   /* it must be there */
  const char *region;   /* NULL: not said anywhere */
  const char *ca_file;  /* NULL: the system's */
} mle_aws_settings;

/* "s3.<name>", else "client.<name>"; NULL: neither. */
const char *mle_aws_property(const mle_aws_settings *settings, const char *name);

/* An environment variable that is not empty; NULL: none. */
const char *mle_aws_variable(const char *name);

/* Properties, variables and files, but for the keys. */
mle_status mle_aws_settle(const mle_property *properties, size_t count, mle_arena *arena,
                          mle_aws_settings *out, mle_error *err);

/* ENOTFOUND says where was looked. */
mle_status mle_aws_find(const mle_aws_settings *settings, mle_arena *arena, mle_aws_found *out,
                        mle_error *err);

/* ====== Files (aws_profile.c) ====== */

/* A profile's settings, those of ~/.aws/credentials first. `found` says whether either has it. */
typedef struct mle_aws_profile {
  bool found;
  mle_property *items;
  size_t count;
} mle_aws_profile;

mle_status mle_aws_profile_read(const char *name, mle_arena *arena, mle_aws_profile *out,
                                mle_error *err);

/* Adds the settings of one section of a text in AWS's ini form; for the above, and for fuzzing. */
mle_status mle_aws_profile_parse(const char *text, const char *section, mle_arena *arena,
                                 mle_aws_profile *inout, mle_error *err);

/* ====== Services (aws_service.c) ====== */

/* Each leaves `out` empty where its variables, or the profile, do not ask for it. */
mle_status mle_aws_web_identity(const mle_aws_settings *settings, const mle_aws_profile *profile,
                                mle_arena *arena, mle_aws_found *out, mle_error *err);
mle_status mle_aws_container(mle_arena *arena, mle_aws_found *out, mle_error *err);
mle_status mle_aws_machine(mle_arena *arena, mle_aws_found *out, mle_error *err);

#endif
