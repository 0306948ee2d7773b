/*
 * rest_sign.h -- requests to REST catalogs of AWS (Glue, S3 Tables), signed; internal to rest.c.
 *
 * By PyIceberg's properties: `rest.sigv4-enabled`, `rest.signing-name` ("glue", "s3tables";
 * "execute-api" by default), `rest.signing-region`, else the region AWS's own settings name.
 * Keys are looked for as for objects on S3, under client.* and s3.*, and again before they expire.
 */
#ifndef MLE_ICEBERG_REST_SIGN_H
#define MLE_ICEBERG_REST_SIGN_H

#include <stdbool.h>

#include "engine/base/arena.h"
#include "engine/base/property.h"

typedef struct mle_irc_signer mle_irc_signer;

bool mle_irc_signer_wanted(const mle_property *properties, size_t count);

/* EINVAL where no region is named. */
mle_status mle_irc_signer_new(const mle_property *properties, size_t count, mle_irc_signer **out,
                              mle_error *err);
void mle_irc_signer_free(mle_irc_signer *signer); /* NULL is ignored */

/* `headers` and those that sign the request, in `arena`; `body` NULL: none. */
mle_status mle_irc_sign(mle_irc_signer *signer, const char *method, const char *url,
                        const char *const *headers, const char *body, mle_arena *arena,
                        const char *const **out, mle_error *err);

/* Overwrites with stars whatever of `text` is a secret of ours. */
void mle_irc_signer_hide(const mle_irc_signer *signer, char *text);

#endif
