#include "engine/serve/watch.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "engine/base/alloc.h"
#include "engine/base/log.h"
#include "engine/base/thread.h"

#define TICK_MS 500

struct mle_watch {
  mle_slots *slots;
  mle_http_server *http;
  pthread_t thread;
  int end_fd; /* readable once it is to end */
};

static void *run(void *context) {
  mle_watch *w = context;
  struct pollfd item = {w->end_fd, POLLIN, 0};
  while (poll(&item, 1, TICK_MS) <= 0) {
    mle_http_server_tick(w->http);
    int count = atomic_load_explicit(&w->slots->count, memory_order_acquire);
    for (int i = 0; i < count; i++) mle_trial_judge(&w->slots->slot[i].trial);
  }
  return NULL;
}

mle_status mle_watch_start(mle_slots *slots, mle_http_server *http, mle_watch **out, mle_error *err) {
  *out = NULL;
  mle_watch *watch = mle_alloc(sizeof *watch);
  if (watch == NULL) return mle_nomem(err, "starting a server");
  *watch = (mle_watch){.slots = slots, .http = http, .end_fd = eventfd(0, EFD_CLOEXEC)};
  mle_status status = watch->end_fd < 0 ? mle_fail(err, MLE_EIO, "cannot make an eventfd: %s", strerror(errno))
                                        : mle_thread_start(&watch->thread, run, watch, err);
  if (status == MLE_OK) {
    *out = watch;
    return MLE_OK;
  }
  if (watch->end_fd >= 0) close(watch->end_fd);
  mle_free(watch);
  return status;
}

void mle_watch_stop(mle_watch *watch) {
  const uint64_t one = 1;
  if (watch == NULL) return;
  if (write(watch->end_fd, &one, sizeof one) < 0) mle_log(MLE_ERROR, "cannot end a thread: %s", strerror(errno));
  pthread_join(watch->thread, NULL);
  close(watch->end_fd);
  mle_free(watch);
}
