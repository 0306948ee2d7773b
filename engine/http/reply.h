/*
 * reply.h -- a short answer as libmicrohttpd sends it, kept to be used again.
 *
 *     mle_reply *reply = mle_reply_find(mhd, &answer);  NULL: this one goes without
 *     mhd->queue_response(connection, status, mle_reply_response(reply));
 *     ...
 *     mle_reply_release(reply);                         when it was sent, or never will be
 *
 * A response with our headers is some twenty allocations. The next one to the same model often has a body of the same
 * length and another X-Request-Id, so each thread keeps the short ones that it made last, and changes what differs.
 */
#ifndef MLE_HTTP_REPLY_H
#define MLE_HTTP_REPLY_H

#include <stdbool.h>

#include "engine/http/microhttpd.h"
#include "engine/http/server.h"

typedef struct mle_reply mle_reply;

/* A reply that says what the answer says; its body is copied. NULL: it is none to keep, or there is no memory. */
mle_reply *mle_reply_find(const mle_microhttpd *mhd, const mle_http_answer *answer);

struct MHD_Response *mle_reply_response(const mle_reply *reply);

/* From any thread. NULL is ignored. */
void mle_reply_release(mle_reply *reply);

/* What the answer says beside its body; false when out of memory. */
bool mle_reply_add_headers(const mle_microhttpd *mhd, struct MHD_Response *response, const mle_http_answer *answer);

#endif
