/*
 * inbox.h -- requests for one thread that has other things to do too.
 *
 *     MLE_TRY(mle_http_inbox_new(256, &inbox, err));
 *     options.handler = mle_http_inbox_receive, options.context = inbox, options.keeps = true;
 *     ... poll mle_http_inbox_fd(inbox), and when it is readable:
 *     while ((kept = mle_http_inbox_take(inbox)) != NULL) {
 *       ... fill in kept->answer, now or later ...
 *       mle_http_kept_send(kept);
 *     }
 *
 * A request that waits holds neither a thread nor a worker. Over `max` of them are answered 503. `take` and `close`
 * belong to the one thread.
 */
#ifndef MLE_HTTP_INBOX_H
#define MLE_HTTP_INBOX_H

#include "engine/http/server.h"

typedef struct mle_http_inbox mle_http_inbox;

mle_status mle_http_inbox_new(size_t max, mle_http_inbox **out, mle_error *err);
void mle_http_inbox_free(mle_http_inbox *inbox); /* after its server was stopped; NULL is ignored */

/* An mle_http_handler; `inbox` is its context. */
void mle_http_inbox_receive(void *inbox, const mle_http_call *call, mle_http_answer *answer);

int mle_http_inbox_fd(const mle_http_inbox *inbox); /* readable when there may be a request */

/* The request that has waited longest; NULL when there is none. */
mle_http_kept *mle_http_inbox_take(mle_http_inbox *inbox);

/* Answers 503 from now on, to those that wait too. */
void mle_http_inbox_close(mle_http_inbox *inbox);

/* Fills in {"error": message} and sends it. */
void mle_http_inbox_refuse(mle_http_kept *kept, int status, const char *message);

#endif
