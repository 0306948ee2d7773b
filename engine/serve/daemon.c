#include "engine/serve/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/base/alloc.h"
#include "engine/base/cancel.h"
#include "engine/base/clock.h"
#include "engine/base/file.h"

#define READY_FD 3
#define START_MS 60000
#define LOG_TAIL 4096

typedef struct launch {
  const char *program, *root;
  char *argv[8];
  int log_fd, ready_fd;
} launch;

/* ====== The child: only what is safe between fork and exec ====== */

/* A job that starts the server may be bound to fewer CPUs than the machine has. */
static void use_all_cpus(void) {
  cpu_set_t all;
  memset(&all, 0xFF, sizeof all);
  sched_setaffinity(0, sizeof all, &all);
}

static void become_server(const launch *l) {
  use_all_cpus();
  int null_fd = open("/dev/null", O_RDONLY);
  struct sigaction plain = {.sa_handler = SIG_DFL};
  for (int signal = 1; signal < 32; signal++) sigaction(signal, &plain, NULL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  int ready = fcntl(l->ready_fd, F_DUPFD, 10), log = fcntl(l->log_fd, F_DUPFD, 10);
  if (null_fd < 0 || ready < 0 || log < 0 || chdir(l->root) != 0) _exit(127);
  if (dup2(null_fd, 0) < 0 || dup2(log, 1) < 0 || dup2(log, 2) < 0 || dup2(ready, READY_FD) < 0)
    _exit(127);
  close_range(READY_FD + 1, ~0U, 0);
  execv(l->program, l->argv);
  _exit(127);
}

/* Twice, so that the server is nobody's child and its end nobody's to collect. */
static mle_status launch_detached(const launch *l, mle_error *err) {
  pid_t pid = fork();
  if (pid < 0) return mle_fail(err, MLE_EIO, "cannot start a process: %s", strerror(errno));
  if (pid == 0) {
    setsid();
    pid_t server = fork();
    if (server == 0) become_server(l);
    _exit(server < 0 ? 127 : 0);
  }
  int code;
  while (waitpid(pid, &code, 0) < 0 && errno == EINTR) continue;
  if (WIFEXITED(code) && WEXITSTATUS(code) == 0) return MLE_OK;
  return mle_fail(err, MLE_EIO, "cannot start a process for the server");
}

/* ====== The starter ====== */

/* The last line the server wrote to its log, for the message. */
static mle_status fail_with_log(const char *log_path, int64_t from, mle_error *err) {
  mle_buffer tail = MLE_BUFFER(LOG_TAIL);
  int64_t size = 0;
  mle_file_size(log_path, &size, NULL);
  if (size - from > LOG_TAIL) from = size - LOG_TAIL;
  if (size > from) mle_file_read_range(log_path, from, (size_t)(size - from), &tail, NULL);
  while (tail.len > 0 && tail.data[tail.len - 1] == '\n') tail.data[--tail.len] = '\0';
  const char *line = tail.len == 0 ? NULL : strrchr(tail.data, '\n');
  line = line != NULL ? line + 1 : tail.len > 0 ? tail.data : "it ended without a word";
  static const char prefix[] = "mlengine: ";
  if (strncmp(line, prefix, strlen(prefix)) == 0) line += strlen(prefix);
  mle_status status = mle_fail(err, MLE_EIO, "the model server did not start: %s", line);
  mle_buffer_release(&tail);
  return status;
}

/* Reads "ready URL\n"; the end of the stream means that the server ended. */
static mle_status wait_ready(int fd, char out_url[MLE_URL_MAX], mle_error *err) {
  char line[MLE_URL_MAX + 16];
  size_t len = 0;
  int64_t deadline = mle_monotonic_ns() + (int64_t)START_MS * 1000000;
  while (len + 1 < sizeof line) {
    struct pollfd item = {fd, POLLIN, 0};
    if (mle_cancelled()) return mle_cancel_fail(err, "starting the model server");
    if (mle_monotonic_ns() > deadline)
      return mle_fail(err, MLE_ETIMEOUT, "the model server is not ready after %d s; see "
                                         ".mlengine/serve.log", START_MS / 1000);
    if (poll(&item, 1, 100) <= 0) continue;
    ssize_t got = read(fd, line + len, 1);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return MLE_EIO; /* the caller finds the reason */
    if (line[len++] == '\n') break;
  }
  line[len - 1] = '\0';
  if (strncmp(line, "ready ", 6) != 0) return MLE_EIO;
  snprintf(out_url, MLE_URL_MAX, "%.*s", MLE_URL_MAX - 1, line + 6);
  return MLE_OK;
}

static mle_status start(launch *l, const char *log_path, char out_url[MLE_URL_MAX],
                        mle_error *err) {
  int64_t log_size = 0;
  int ready[2];
  l->log_fd = open(log_path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  if (l->log_fd < 0)
    return mle_fail(err, MLE_EIO, "cannot write '%s': %s", log_path, strerror(errno));
  mle_file_size(log_path, &log_size, NULL);
  mle_error detail = {.message = ""};
  mle_status status = pipe2(ready, O_CLOEXEC) != 0
                          ? mle_fail(err, MLE_EIO, "cannot make a pipe: %s", strerror(errno))
                          : MLE_OK;
  if (status == MLE_OK) {
    l->ready_fd = ready[1];
    status = launch_detached(l, err);
    close(ready[1]);
    if (status == MLE_OK) {
      status = wait_ready(ready[0], out_url, &detail);
      if (status == MLE_EIO) status = fail_with_log(log_path, log_size, err);
      else if (status != MLE_OK && err != NULL) *err = detail;
    }
    close(ready[0]);
  }
  close(l->log_fd);
  return status;
}

mle_status mle_daemon_start(const char *program, const char *root, const char *state,
                            const mle_address *address, char out_url[MLE_URL_MAX],
                            mle_error *err) {
  char name[] = "mlengine", verb[] = "serve", listen[] = "--listen", ready[] = "--ready-fd",
       ready_fd[] = "3", at[MLE_HOST_MAX + 16], path[4096];
  const char *format = strchr(address->host, ':') != NULL ? "[%s]:%u" : "%s:%u";
  snprintf(at, sizeof at, format, address->host, address->port);
  ssize_t len = readlink(program, path, sizeof path - 1); /* /proc/self is another's after fork */
  if (len > 0) path[len] = '\0';
  launch l = {.program = len > 0 ? path : program,
              .root = root,
              .argv = {name, verb, listen, at, ready, ready_fd, NULL}};
  char *log_path = mle_path_join(state, "serve.log");
  if (log_path == NULL) return mle_nomem(err, "starting the model server");
  mle_status status = start(&l, log_path, out_url, err);
  mle_free(log_path);
  return status;
}
