#include "engine/serve/child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/base/cancel.h"
#include "engine/base/clock.h"

typedef struct child {
  pid_t pid;
  int out, err; /* our ends of its standard output and error */
} child;

static mle_status spawn(const char *program, char *const argv[], child *out, mle_error *err) {
  int output[2] = {-1, -1}, errors[2] = {-1, -1};
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  int code = pipe2(output, O_CLOEXEC) != 0 || pipe2(errors, O_CLOEXEC) != 0 ? errno : 0;
  if (code == 0) {
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, output[1], 1);
    posix_spawn_file_actions_adddup2(&actions, errors[1], 2);
    posix_spawn_file_actions_addclosefrom_np(&actions, 3);
    code = posix_spawn(&out->pid, program, &actions, NULL, argv, environ);
  }
  posix_spawn_file_actions_destroy(&actions);
  if (output[1] >= 0) close(output[1]);
  if (errors[1] >= 0) close(errors[1]);
  out->out = output[0];
  out->err = errors[0];
  if (code == 0) return MLE_OK;
  if (output[0] >= 0) close(output[0]);
  if (errors[0] >= 0) close(errors[0]);
  return mle_fail(err, MLE_EIO, "cannot start '%s': %s", program, strerror(code));
}

/* Takes what there is; false at the end of the stream. More than fits is dropped. */
static bool drain(int fd, mle_buffer *into) {
  char bytes[4096];
  ssize_t got = read(fd, bytes, sizeof bytes);
  if (got < 0) return errno == EINTR;
  if (got > 0) mle_buffer_append(into, bytes, (size_t)got, NULL);
  return got > 0;
}

static mle_status collect(const child *c, int64_t deadline_ns, mle_buffer *output,
                          mle_buffer *errors, mle_error *err) {
  struct pollfd item[2] = {{c->out, POLLIN, 0}, {c->err, POLLIN, 0}};
  while (item[0].fd >= 0 || item[1].fd >= 0) {
    if (mle_cancelled()) return mle_cancel_fail(err, "waiting for a process");
    if (mle_monotonic_ns() > deadline_ns)
      return mle_fail(err, MLE_ETIMEOUT, "it took too long");
    if (poll(item, 2, 100) <= 0) continue;
    if (item[0].revents != 0 && !drain(c->out, output)) item[0].fd = -1;
    if (item[1].revents != 0 && !drain(c->err, errors)) item[1].fd = -1;
  }
  return MLE_OK;
}

static int reap(pid_t pid) {
  int code;
  while (waitpid(pid, &code, 0) < 0 && errno == EINTR) continue;
  return code;
}

mle_status mle_child_run(const char *program, char *const argv[], int timeout_ms,
                         mle_buffer *output, mle_buffer *errors, int *out_code, mle_error *err) {
  child c;
  MLE_TRY(spawn(program, argv, &c, err));
  int64_t deadline = mle_monotonic_ns() + (int64_t)timeout_ms * 1000000;
  mle_status status = collect(&c, deadline, output, errors, err);
  if (status != MLE_OK) kill(c.pid, SIGKILL);
  *out_code = reap(c.pid);
  close(c.out);
  close(c.err);
  return status;
}

const char *mle_child_last_line(mle_buffer *errors, const char *fallback) {
  static const char prefix[] = "mlengine: ";
  char *text = errors->data;
  if (text == NULL) return fallback;
  while (errors->len > 0 && text[errors->len - 1] == '\n') text[--errors->len] = '\0';
  const char *line = strrchr(text, '\n');
  line = line == NULL ? text : line + 1;
  return strncmp(line, prefix, strlen(prefix)) == 0 ? line + strlen(prefix) : line;
}
