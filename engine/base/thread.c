#include "engine/base/thread.h"

#include <signal.h>
#include <string.h>

mle_status mle_thread_start(pthread_t *out, void *(*run)(void *), void *context, mle_error *err) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int code = pthread_create(out, NULL, run, context);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (code == 0) return MLE_OK;
  return mle_fail(err, MLE_EIO, "cannot start a thread: %s", strerror(code));
}
