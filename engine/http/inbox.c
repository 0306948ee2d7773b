#include "engine/http/inbox.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "engine/base/alloc.h"

/* A ring: `count` of the `max` places from `first` on are taken. */
struct mle_http_inbox {
  pthread_mutex_t lock;
  int fd;
  bool closed;
  size_t max, first, count;
  mle_http_kept *ring[];
};

mle_status mle_http_inbox_new(size_t max, mle_http_inbox **out, mle_error *err) {
  *out = NULL;
  mle_http_inbox *inbox = mle_calloc(1, sizeof *inbox + max * sizeof *inbox->ring);
  if (inbox == NULL) return mle_nomem(err, "making an inbox");
  inbox->max = max;
  inbox->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (inbox->fd < 0) {
    mle_free(inbox);
    return mle_fail(err, MLE_EIO, "cannot make an event descriptor: %s", strerror(errno));
  }
  pthread_mutex_init(&inbox->lock, NULL);
  *out = inbox;
  return MLE_OK;
}

void mle_http_inbox_free(mle_http_inbox *inbox) {
  if (inbox == NULL) return;
  close(inbox->fd);
  pthread_mutex_destroy(&inbox->lock);
  mle_free(inbox);
}

static void fill_refusal(mle_http_answer *answer, int status, const char *message) {
  answer->status = status;
  answer->content_type = "application/json";
  mle_buffer_clear(&answer->body);
  if (mle_buffer_printf(&answer->body, NULL, "{\"error\":\"%s\"}", message) != MLE_OK)
    mle_buffer_release(&answer->body);
}

void mle_http_inbox_refuse(mle_http_kept *kept, int status, const char *message) {
  fill_refusal(&kept->answer, status, message);
  mle_http_kept_send(kept);
}

static bool put(mle_http_inbox *inbox, const mle_http_call *call) {
  mle_http_kept *kept = inbox->closed || inbox->count == inbox->max ? NULL : mle_http_keep(call);
  if (kept != NULL) inbox->ring[(inbox->first + inbox->count++) % inbox->max] = kept;
  return kept != NULL;
}

void mle_http_inbox_receive(void *context, const mle_http_call *call, mle_http_answer *answer) {
  mle_http_inbox *inbox = context;
  const uint64_t one = 1;
  pthread_mutex_lock(&inbox->lock);
  bool taken = put(inbox, call);
  pthread_mutex_unlock(&inbox->lock);
  if (!taken)
    fill_refusal(answer, 503, "too many requests wait, or this process is stopping; try again");
  else if (write(inbox->fd, &one, sizeof one) < 0)
    return; /* the counter is full: then it is readable anyway */
}

int mle_http_inbox_fd(const mle_http_inbox *inbox) { return inbox->fd; }

mle_http_kept *mle_http_inbox_take(mle_http_inbox *inbox) {
  mle_http_kept *kept = NULL;
  uint64_t events;
  pthread_mutex_lock(&inbox->lock);
  if (inbox->count > 0) {
    kept = inbox->ring[inbox->first];
    inbox->first = (inbox->first + 1) % inbox->max;
    inbox->count--;
  } else if (read(inbox->fd, &events, sizeof events) < 0) {
    kept = NULL; /* nothing had come */
  }
  pthread_mutex_unlock(&inbox->lock);
  return kept;
}

void mle_http_inbox_close(mle_http_inbox *inbox) {
  pthread_mutex_lock(&inbox->lock);
  inbox->closed = true;
  pthread_mutex_unlock(&inbox->lock);
  for (mle_http_kept *kept; (kept = mle_http_inbox_take(inbox)) != NULL;)
    mle_http_inbox_refuse(kept, 503, "this server is stopping");
}
