/*
 * watch.h -- what goes on while the control thread is at a command, which may load and check a model for minutes:
 * slow clients are shut, and trials that are out of bounds end.
 *
 *     MLE_TRY(mle_watch_start(slots, http, &watch, err));
 *     ...
 *     mle_watch_stop(watch);                               before the server is stopped
 */
#ifndef MLE_WATCH_H
#define MLE_WATCH_H

#include "engine/http/server.h"
#include "engine/serve/slots.h"

typedef struct mle_watch mle_watch;

/* Both outlive it. */
mle_status mle_watch_start(mle_slots *slots, mle_http_server *http, mle_watch **out, mle_error *err);

/* Waits for its thread. NULL is ignored. */
void mle_watch_stop(mle_watch *watch);

#endif
