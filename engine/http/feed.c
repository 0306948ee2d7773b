#include "engine/http/feed.h"

#include <pthread.h>
#include <string.h>

#include "engine/base/alloc.h"

typedef struct reader {
  mle_http_stream stream; /* first: a stream is its reader */
  mle_http_feed *feed;
  struct reader *next, *previous;
  uint64_t at;   /* the next byte of all that was ever published */
  bool asleep;   /* under the feed's lock */
  size_t first_len, first_at;
  char first[]; /* before all that */
} reader;

struct mle_http_feed {
  pthread_mutex_t lock;
  bool closed;
  reader *readers;
  size_t num_readers, readers_max;
  uint64_t end; /* bytes ever published; the ring has the last `max` of them */
  size_t max;
  char ring[];
};

mle_status mle_http_feed_new(size_t bytes_max, size_t readers_max, mle_http_feed **out, mle_error *err) {
  *out = NULL;
  mle_http_feed *feed = mle_calloc(1, sizeof *feed + bytes_max);
  if (feed == NULL) return mle_nomem(err, "making a feed");
  feed->max = bytes_max;
  feed->readers_max = readers_max;
  pthread_mutex_init(&feed->lock, NULL);
  *out = feed;
  return MLE_OK;
}

void mle_http_feed_free(mle_http_feed *feed) {
  if (feed == NULL) return;
  pthread_mutex_destroy(&feed->lock);
  mle_free(feed);
}

/* ====== Readers: all under the lock ====== */

static void link_reader(mle_http_feed *feed, reader *r) {
  r->next = feed->readers;
  if (r->next != NULL) r->next->previous = r;
  feed->readers = r;
  feed->num_readers++;
}

static void unlink_reader(mle_http_feed *feed, reader *r) {
  if (r->next != NULL) r->next->previous = r->previous;
  if (r->previous != NULL)
    r->previous->next = r->next;
  else
    feed->readers = r->next;
  feed->num_readers--;
}

static size_t copy_first(reader *r, char *out, size_t max) {
  size_t len = r->first_len - r->first_at < max ? r->first_len - r->first_at : max;
  memcpy(out, r->first + r->first_at, len);
  r->first_at += len;
  return len;
}

static size_t copy_ring(const mle_http_feed *feed, reader *r, char *out, size_t max) {
  size_t at = (size_t)(r->at % feed->max), len = feed->max - at;
  if (feed->end - r->at < len) len = (size_t)(feed->end - r->at);
  if (max < len) len = max;
  memcpy(out, feed->ring + at, len);
  r->at += len;
  return len;
}

static ptrdiff_t read_more(mle_http_feed *feed, reader *r, char *out, size_t max) {
  if (r->first_at < r->first_len) return (ptrdiff_t)copy_first(r, out, max);
  if (feed->end - r->at > feed->max) return MLE_HTTP_STREAM_END; /* what came next is overwritten */
  if (r->at < feed->end) return (ptrdiff_t)copy_ring(feed, r, out, max);
  if (feed->closed) return MLE_HTTP_STREAM_END;
  r->asleep = true;
  mle_http_stream_sleep(&r->stream);
  return 0;
}

static ptrdiff_t read_feed(mle_http_stream *stream, char *out, size_t max) {
  reader *r = (reader *)stream;
  mle_http_feed *feed = r->feed;
  pthread_mutex_lock(&feed->lock);
  ptrdiff_t got = read_more(feed, r, out, max);
  pthread_mutex_unlock(&feed->lock);
  return got;
}

static void release_reader(mle_http_stream *stream) {
  reader *r = (reader *)stream;
  mle_http_feed *feed = r->feed;
  pthread_mutex_lock(&feed->lock);
  unlink_reader(feed, r);
  pthread_mutex_unlock(&feed->lock);
  mle_free(r);
}

static void wake_all(mle_http_feed *feed) {
  for (reader *r = feed->readers; r != NULL; r = r->next) {
    if (!r->asleep) continue;
    r->asleep = false;
    mle_http_stream_wake(&r->stream);
  }
}

/* ====== The writer ====== */

static mle_status admit(mle_http_feed *feed, reader *r, mle_error *err) {
  if (feed->closed) return mle_fail(err, MLE_EREFUSED, "this process is stopping");
  if (feed->num_readers >= feed->readers_max)
    return mle_fail(err, MLE_EREFUSED, "%zu clients follow already, and no more may", feed->num_readers);
  r->at = feed->end;
  link_reader(feed, r);
  return MLE_OK;
}

mle_status mle_http_feed_attach(mle_http_feed *feed, mle_http_kept *kept, const char *first, size_t len, mle_error *err) {
  reader *r = mle_calloc(1, sizeof *r + len);
  if (r == NULL) return mle_nomem(err, "attaching a reader");
  r->stream.read = read_feed;
  r->stream.release = release_reader;
  r->feed = feed;
  r->first_len = len;
  if (len > 0) memcpy(r->first, first, len);
  pthread_mutex_lock(&feed->lock);
  mle_status status = admit(feed, r, err);
  pthread_mutex_unlock(&feed->lock);
  if (status != MLE_OK) {
    mle_free(r);
    return status;
  }
  kept->answer.stream = &r->stream;
  mle_http_kept_send(kept);
  return MLE_OK;
}

static void copy_in(mle_http_feed *feed, const char *bytes, size_t len) {
  size_t at = (size_t)(feed->end % feed->max), room = feed->max - at;
  size_t now = len < room ? len : room;
  memcpy(feed->ring + at, bytes, now);
  memcpy(feed->ring, bytes + now, len - now);
  feed->end += len;
}

mle_status mle_http_feed_publish(mle_http_feed *feed, const char *bytes, size_t len, mle_error *err) {
  if (len > feed->max)
    return mle_fail(err, MLE_EREFUSED, "an event of %zu bytes is larger than the %zu allowed", len, feed->max);
  pthread_mutex_lock(&feed->lock);
  copy_in(feed, bytes, len);
  wake_all(feed);
  pthread_mutex_unlock(&feed->lock);
  return MLE_OK;
}

size_t mle_http_feed_readers(mle_http_feed *feed) {
  pthread_mutex_lock(&feed->lock);
  size_t count = feed->num_readers;
  pthread_mutex_unlock(&feed->lock);
  return count;
}

void mle_http_feed_close(mle_http_feed *feed) {
  pthread_mutex_lock(&feed->lock);
  feed->closed = true;
  wake_all(feed);
  pthread_mutex_unlock(&feed->lock);
}
