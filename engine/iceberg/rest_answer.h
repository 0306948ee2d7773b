/*
 * rest_answer.h -- what a REST catalog's answer of 400 or more means; internal to rest.c, and for fuzzing.
 *
 * ENOTFOUND, EEXISTS, ECONFLICT, EINVAL, EREFUSED, EUNSUPPORTED and EBUSY are certain: nothing
 * changed. EUNKNOWN: a change may have taken place. EIO: a read that may be repeated.
 */
#ifndef MLE_ICEBERG_REST_ANSWER_H
#define MLE_ICEBERG_REST_ANSWER_H

#include "engine/iceberg/rest_auth.h"
#include "engine/iceberg/rest_sign.h"

typedef struct mle_irc_asked {
  const char *uri, *method, *path;
  const mle_irc_auth *auth;     /* whose secrets are hidden in what is told */
  const mle_irc_signer *signer; /* NULL: none */
} mle_irc_asked;

/* Fails with what the server says, in one line without secrets. */
mle_status mle_irc_answer_fail(const mle_irc_asked *asked, const mle_http_response *response,
                               mle_error *err);

#endif
