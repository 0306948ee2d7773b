#include "engine/base/cancel.h"

#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

static atomic_int requested;
static atomic_int by_signal;

void mle_cancel(int signal) {
  atomic_store(&by_signal, signal);
  atomic_store(&requested, 1);
}

bool mle_cancelled(void) {
  return atomic_load_explicit(&requested, memory_order_relaxed) != 0;
}

int mle_cancel_signal(void) { return atomic_load(&by_signal); }

bool mle_cancel_forgive(void) {
  int interrupt = SIGINT;
  if (!atomic_compare_exchange_strong(&by_signal, &interrupt, 0)) return false;
  atomic_store(&requested, 0);
  return true;
}

static void on_signal(int signal) {
  if (signal == SIGINT && mle_cancelled()) _exit(130); /* the user insists */
  mle_cancel(signal);
}

void mle_cancel_on_signals(void) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = on_signal;
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, NULL);
  sigaction(SIGTERM, &action, NULL);
}

mle_status mle_cancel_fail(mle_error *err, const char *doing) {
  int signal = mle_cancel_signal();
  const char *name = signal == 0 ? "a request" : sigabbrev_np(signal);
  return mle_fail(err, MLE_ECANCELLED, "%s: stopped by %s%s", doing, signal == 0 ? "" : "SIG",
                  name == NULL ? "nal" : name);
}
