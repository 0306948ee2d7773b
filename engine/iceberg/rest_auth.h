/*
 * rest_auth.h -- who asks a REST catalog: a token, OAuth2, a password; internal to rest.c.
 *
 *     MLE_GO(mle_irc_auth_line(auth, client, &line, err));      "Authorization: Bearer ..."
 *
 * By PyIceberg's properties: `token`; `credential` ("id:secret" or "secret") for OAuth2's
 * client credentials at `oauth2-server-uri`, else at the catalog's own v1/oauth/tokens, with
 * `scope`, `audience`, `resource`; `auth.type` "basic" with `auth.basic.username` and
 * `.password`. A token is renewed before it expires: exchanged for another one (RFC 8693,
 * `token-exchange-enabled`), or asked for anew where that fails and there is a credential.
 */
#ifndef MLE_ICEBERG_REST_AUTH_H
#define MLE_ICEBERG_REST_AUTH_H

#include "engine/http/client.h"
#include "engine/iceberg/metadata.h"

typedef struct mle_irc_auth mle_irc_auth;

/* `uri` is the catalog's. EUNSUPPORTED names a way of asking that this version has not. */
mle_status mle_irc_auth_new(const char *uri, const mle_property *properties, size_t count,
                            mle_irc_auth **out, mle_error *err);
void mle_irc_auth_free(mle_irc_auth *auth); /* NULL is ignored */

/* The header to send now, valid until the next call; NULL: none. */
mle_status mle_irc_auth_line(mle_irc_auth *auth, mle_http_client *client, const char **out,
                             mle_error *err);

/* After the server did not take the token: false when there is no way to another one. */
mle_status mle_irc_auth_renew(mle_irc_auth *auth, mle_http_client *client, bool *out,
                              mle_error *err);

/* Takes a token out of an answer; for rest_auth.c, and for fuzzing. */
mle_status mle_irc_auth_take(mle_irc_auth *auth, const mle_http_response *response, mle_error *err);

/* Overwrites with stars whatever of `text` is a secret of ours. */
void mle_irc_auth_hide(const mle_irc_auth *auth, char *text);

#endif
