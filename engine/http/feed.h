/*
 * feed.h -- one writer and many readers, each with a connection that stays open: server-sent events.
 *
 *     MLE_TRY(mle_http_feed_new((size_t)1 << 20, 256, &feed, err));
 *     MLE_TRY(mle_http_feed_attach(feed, kept, "hello", 5, err));    a call that was kept; the answer is under way
 *     MLE_TRY(mle_http_feed_publish(feed, text, len, err));          all of them get it
 *
 * What is published is written once, into a ring of `bytes_max`; a reader that falls behind it is cut off, and comes
 * back by itself if it is a browser's EventSource. Writing costs the publisher a copy and a wake per reader; the server's
 * worker does the rest. A client that left is noticed when something is published, so publish something now and then.
 */
#ifndef MLE_HTTP_FEED_H
#define MLE_HTTP_FEED_H

#include "engine/http/server.h"

typedef struct mle_http_feed mle_http_feed;

mle_status mle_http_feed_new(size_t bytes_max, size_t readers_max, mle_http_feed **out, mle_error *err);
void mle_http_feed_free(mle_http_feed *feed); /* after its server was stopped; NULL is ignored */

/*
 * Answers a kept call with `first` and then all that is published from now on, as kept->answer says otherwise; it is sent.
 * On an error (MLE_EREFUSED: too many readers) the call is still the caller's.
 */
mle_status mle_http_feed_attach(mle_http_feed *feed, mle_http_kept *kept, const char *first, size_t len, mle_error *err);

/* MLE_EREFUSED when it is larger than the ring. */
mle_status mle_http_feed_publish(mle_http_feed *feed, const char *bytes, size_t len, mle_error *err);

size_t mle_http_feed_readers(mle_http_feed *feed);

/* Readers get what is left, and then the end; nobody can attach any more. */
void mle_http_feed_close(mle_http_feed *feed);

#endif
