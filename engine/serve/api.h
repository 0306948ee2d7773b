/*
 * api.h -- which path is answered how.
 *
 *     GET  /  /ping  /health  /version  /metrics  /openapi.json
 *     POST /invocations                       the only endpoint's
 *     POST /endpoints/NAME/invocations        also with /staged before /invocations
 *     POST /model                             CML's: the access key says which endpoint
 *     GET  /v2  /v2/health/live  /v2/health/ready
 *     GET  /v2/models/NAME[/versions/V][/ready]
 *     POST /v2/models/NAME[/versions/V]/infer
 *     POST /v2/repository/index  /v2/repository/models/NAME/load|unload
 *     ...  /admin/...                         admin.h
 *
 * A V2 model's NAME is its endpoint's. Answers carry X-Model-Endpoint, X-Model-Deployment,
 * X-Model-Version, X-Run-Id and X-Request-Id.
 */
#ifndef MLE_API_H
#define MLE_API_H

#include "engine/base/pool.h"
#include "engine/http/server.h"
#include "engine/serve/keyring.h"
#include "engine/serve/mailbox.h"
#include "engine/serve/slots.h"

typedef struct mle_api {
  mle_slots *slots;
  const char *version; /* of this program */
  const char *openapi; /* the document; NULL: none */
  const char *program, *state; /* for administration; NULL: there is none */
  double log_share;    /* of requests, whose line goes to the log */
  mle_keyring keyring;
  mle_mailbox *mailbox; /* to the control thread; NULL: there is none */
  mle_pool *slow;      /* for large requests; NULL: workers answer those too */
  mle_pool *admin;     /* for administration, which may wait for minutes; likewise */
  mle_pool *mirror;     /* for shadows; NULL: none is mirrored */
  _Atomic(mle_http_server *) http; /* for /metrics */
  char boot[17];        /* begins the ids given to requests without one */
  char smoke_key[65];   /* opens what is staged, to whoever staged it */
  atomic_ullong requests;
  mle_meter elsewhere;  /* requests that reached no model */
} mle_api;

void mle_api_init(mle_api *api, mle_slots *slots, const char *version);
void mle_api_release(mle_api *api);

/* An mle_http_handler; `context` is the mle_api. With `slow` or `admin`, its server must be one that keeps. */
void mle_api_answer(void *context, const mle_http_call *call, mle_http_answer *answer);

/* An mle_http_refuser: what the server refuses is told as this path tells its errors. */
void mle_api_refuse(void *context, const mle_http_call *call, const char *why, mle_http_answer *answer);

#endif
