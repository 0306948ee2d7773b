#include "engine/jobs/signals.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

/* Sent by the kernel when the keeper dies, which asked for it before the program began;
 * until there is a handler, it ends the process. */
#define PARENT_DIED SIGUSR1

static int held_fd = -1;

/* A blocked signal is delivered even where it is ignored, as SIGHUP is under nohup. */
static sigset_t asking_signals(void) {
  sigset_t set;
  struct sigaction hangup;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  if (sigaction(SIGHUP, NULL, &hangup) == 0 && hangup.sa_handler != SIG_IGN) sigaddset(&set, SIGHUP);
  return set;
}

mle_status mle_signals_hold(mle_error *err) {
  if (held_fd >= 0) return MLE_OK;
  sigset_t set = asking_signals();
  held_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
  if (held_fd < 0) return mle_fail(err, MLE_EIO, "cannot watch signals: %s", strerror(errno));
  sigprocmask(SIG_BLOCK, &set, NULL);
  signal(SIGPIPE, SIG_IGN);
  return MLE_OK;
}

void mle_signals_release(void) {
  if (held_fd < 0) return;
  close(held_fd);
  held_fd = -1;
  sigset_t set = asking_signals();
  sigprocmask(SIG_UNBLOCK, &set, NULL);
  signal(SIGPIPE, SIG_DFL);
}

bool mle_signals_take(int *out_signal) {
  struct signalfd_siginfo info;
  if (held_fd < 0 || read(held_fd, &info, sizeof info) != (ssize_t)sizeof info) return false;
  *out_signal = (int)info.ssi_signo;
  return true;
}

int mle_signals_fd(void) { return held_fd; }

void mle_signals_default(void) {
  sigset_t none;
  sigemptyset(&none);
  for (int number = 1; number < NSIG; number++) signal(number, SIG_DFL);
  sigprocmask(SIG_SETMASK, &none, NULL);
}

static void end_group(int number) {
  (void)number;
  kill(0, SIGKILL);
}

void mle_signals_die_with_parent(void) {
  signal(PARENT_DIED, end_group);
  prctl(PR_SET_PDEATHSIG, PARENT_DIED);
}
