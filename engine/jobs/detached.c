#include "engine/jobs/detached.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/jobs/process.h"
#include "engine/jobs/signals.h"

#define ARGV_MAX 16
#define FIRST_FREE_FD 16

/* What the child needs; made before fork, since little is allowed after it. */
typedef struct plan {
  char *argv[ARGV_MAX];
  int descriptors[MLE_PROCESS_LOCKS_FD + 1]; /* by the child's number */
  int count;
  const char *folder;
} plan;

/* Moves all sources above the targets first, so that none is overwritten. */
static void become_child(plan *p) {
  setsid();
  mle_signals_default();
  for (int i = 0; i < p->count; i++)
    if ((p->descriptors[i] = fcntl(p->descriptors[i], F_DUPFD, FIRST_FREE_FD)) < 0) _exit(127);
  for (int i = 0; i < p->count; i++)
    if (dup2(p->descriptors[i], i) < 0) _exit(127);
  if (chdir(p->folder) == 0 && close_range((unsigned)p->count, ~0U, 0) == 0) execv("/proc/self/exe", p->argv);
  _exit(127);
}

static mle_status fail_start(mle_error *err, const char *doing) {
  return mle_fail(err, MLE_EIO, "cannot start a process: %s: %s", doing, strerror(errno));
}

static mle_status make_input(const mle_detached_options *o, int *out_fd, mle_error *err) {
  *out_fd = memfd_create("mlengine-input", MFD_CLOEXEC);
  if (*out_fd < 0) return fail_start(err, "making its input");
  for (size_t done = 0; done < o->input_len;) {
    ssize_t put = write(*out_fd, (const char *)o->input + done, o->input_len - done);
    if (put < 0 && errno != EINTR) return fail_start(err, "writing its input");
    if (put > 0) done += (size_t)put;
  }
  lseek(*out_fd, 0, SEEK_SET);
  return MLE_OK;
}

static mle_status fill_plan(const mle_detached_options *o, int null, int log, int input, plan *p, mle_error *err) {
  static char program[] = "mlengine";
  size_t count = 0;
  p->argv[count++] = program;
  for (const char *const *argv = o->argv; *argv != NULL; argv++) {
    if (count == ARGV_MAX - 1) return mle_fail(err, MLE_EINVAL, "too many arguments for a process");
    p->argv[count++] = (char *)(uintptr_t)*argv; /* execv takes them without const, and leaves them be */
  }
  p->argv[count] = NULL;
  p->folder = o->folder;
  const int fds[] = {null, log, log, input, null, null, o->lock == NULL ? null : mle_lock_fd(o->lock)};
  memcpy(p->descriptors, fds, sizeof fds);
  p->count = o->lock == NULL ? MLE_PROCESS_LOCKS_FD : MLE_PROCESS_LOCKS_FD + 1;
  return MLE_OK;
}

mle_status mle_detached_start(const mle_detached_options *options, int64_t *out_pid, mle_error *err) {
  mle_status status = MLE_OK;
  plan p;
  int input = -1, null = open("/dev/null", O_RDWR | O_CLOEXEC),
      log = open(options->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  *out_pid = 0;
  if (null < 0 || log < 0) {
    status = fail_start(err, log < 0 ? options->log : "/dev/null");
    goto done;
  }
  MLE_GO(make_input(options, &input, err));
  MLE_GO(fill_plan(options, null, log, input, &p, err));
  pid_t pid = fork();
  if (pid == 0) become_child(&p);
  if (pid < 0) status = fail_start(err, "fork");
  if (pid > 0) *out_pid = pid;
done:
  if (input >= 0) close(input);
  if (log >= 0) close(log);
  if (null >= 0) close(null);
  return status;
}

bool mle_detached_reap(int64_t pid, int *out_code, int *out_signal) {
  int how = 0;
  pid_t got = waitpid((pid_t)pid, &how, WNOHANG);
  if (got == 0 || (got < 0 && errno == EINTR)) return false;
  *out_code = got > 0 && WIFEXITED(how) ? WEXITSTATUS(how) : 0;
  *out_signal = got > 0 && WIFSIGNALED(how) ? WTERMSIG(how) : 0;
  return true;
}
