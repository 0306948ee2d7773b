/*
 * api.h -- which path is answered how.
 *
 *     GET  /  /ping  /health  /version
 *     POST /invocations                       the only endpoint's
 *     POST /endpoints/NAME/invocations        also with /staged before /invocations
 *     GET  /v2  /v2/health/live  /v2/health/ready
 *     GET  /v2/models/NAME[/versions/V][/ready]
 *     POST /v2/models/NAME[/versions/V]/infer
 *
 * A V2 model's NAME is its endpoint's. Answers carry X-Model-Endpoint, X-Model-Deployment,
 * X-Model-Version, X-Run-Id and X-Request-Id.
 */
#ifndef MLE_API_H
#define MLE_API_H

#include "engine/http/server.h"
#include "engine/serve/slots.h"

typedef struct mle_api {
  mle_slots *slots;
  const char *version; /* of this program */
  char boot[17];       /* begins the ids given to requests without one */
  atomic_ullong requests;
} mle_api;

void mle_api_init(mle_api *api, mle_slots *slots, const char *version);

/* An mle_http_handler; `context` is the mle_api. */
void mle_api_answer(void *context, const mle_http_call *call, mle_http_answer *answer);

#endif
