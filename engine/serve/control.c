#include "engine/serve/control.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "engine/base/cancel.h"
#include "engine/base/clock.h"

#define SOCKET "serve.sock"
#define REQUEST_MS 5000

/* A Unix address has room for 107 bytes; /proc/self/fd/N/serve.sock always fits. */
static mle_status open_folder(const char *folder, int *out_fd, struct sockaddr_un *address,
                              mle_error *err) {
  *out_fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (*out_fd < 0)
    return mle_fail(err, errno == ENOENT ? MLE_ENOTFOUND : MLE_EIO, "cannot open folder '%s': %s",
                    folder, strerror(errno));
  memset(address, 0, sizeof *address);
  address->sun_family = AF_UNIX;
  snprintf(address->sun_path, sizeof address->sun_path, "/proc/self/fd/%d/" SOCKET, *out_fd);
  return MLE_OK;
}

void mle_control_unlink(const char *state_folder) {
  struct sockaddr_un address;
  int folder;
  if (open_folder(state_folder, &folder, &address, NULL) != MLE_OK) return;
  unlinkat(folder, SOCKET, 0);
  close(folder);
}

mle_status mle_control_listen(const char *state_folder, int *out_fd, mle_error *err) {
  struct sockaddr_un address;
  int folder;
  *out_fd = -1;
  MLE_TRY(open_folder(state_folder, &folder, &address, err));
  unlinkat(folder, SOCKET, 0);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  mode_t old = umask(0177); /* 0600 from the first moment on */
  bool good = fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof address) == 0 &&
              listen(fd, 16) == 0;
  int code = errno;
  umask(old);
  close(folder);
  if (good) {
    *out_fd = fd;
    return MLE_OK;
  }
  if (fd >= 0) close(fd);
  return mle_fail(err, MLE_EIO, "cannot listen on '%s/" SOCKET "': %s", state_folder,
                  strerror(code));
}

/* ====== Lines ====== */

/* Waits for `events`; false when the time is over or the process is to stop. What comes at once is taken even
 * then: a release that was interrupted takes back what it staged. */
static bool wait_for(int fd, short events, int64_t deadline_ns) {
  for (;;) {
    int64_t left = (deadline_ns - mle_monotonic_ns()) / 1000000;
    if (left <= 0) return false;
    struct pollfd item = {fd, events, 0};
    int ready = poll(&item, 1, left > 200 ? 200 : (int)left + 1);
    if (ready > 0) return true;
    if ((ready < 0 && errno != EINTR) || mle_cancelled()) return false;
  }
}

static mle_status fail_waiting(mle_error *err, const char *what) {
  if (mle_cancelled()) return mle_fail(err, MLE_ECANCELLED, "interrupted while waiting for an answer over " SOCKET);
  return mle_fail(err, MLE_ETIMEOUT, "%s", what);
}

static mle_status fail_gone(mle_error *err) {
  return mle_fail(err, MLE_EUNKNOWN, "the other end of " SOCKET " went away without a line");
}

static mle_status read_line(int fd, int64_t deadline_ns, mle_buffer *out, mle_error *err) {
  for (;;) {
    char bytes[4096];
    if (!wait_for(fd, POLLIN, deadline_ns)) return fail_waiting(err, "no answer over " SOCKET " in time");
    ssize_t got = recv(fd, bytes, sizeof bytes, 0);
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (got <= 0) return fail_gone(err);
    const char *end = memchr(bytes, '\n', (size_t)got);
    size_t len = end == NULL ? (size_t)got : (size_t)(end - bytes);
    MLE_TRY(mle_buffer_append(out, bytes, len, err));
    if (end != NULL) return MLE_OK;
  }
}

static mle_status write_fully(int fd, const char *bytes, size_t len, int64_t deadline_ns,
                              mle_error *err) {
  while (len > 0) {
    if (!wait_for(fd, POLLOUT, deadline_ns)) return fail_waiting(err, "the other end of " SOCKET " does not read");
    ssize_t put = send(fd, bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (put < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (put < 0 && (errno == EPIPE || errno == ECONNRESET)) return fail_gone(err);
    if (put < 0) return mle_fail(err, MLE_EIO, "cannot write to " SOCKET ": %s", strerror(errno));
    bytes += put;
    len -= (size_t)put;
  }
  return MLE_OK;
}

static mle_status write_line(int fd, const char *json, int64_t deadline_ns, mle_error *err) {
  MLE_TRY(write_fully(fd, json, strlen(json), deadline_ns, err));
  return write_fully(fd, "\n", 1, deadline_ns, err);
}

static int64_t after_ms(int64_t ms) { return mle_monotonic_ns() + ms * 1000000; }

/* ====== The server's end ====== */

static bool is_ours(int fd) {
  struct ucred who;
  socklen_t len = sizeof who;
  return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) == 0 &&
         (who.uid == geteuid() || who.uid == 0);
}

mle_status mle_control_accept(int listen_fd, int *out_fd, mle_buffer *line, mle_error *err) {
  *out_fd = -1;
  int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);
  if (fd < 0) return mle_fail(err, MLE_EIO, "cannot accept on " SOCKET ": %s", strerror(errno));
  mle_status status = is_ours(fd) ? read_line(fd, after_ms(REQUEST_MS), line, err)
                                  : mle_fail(err, MLE_EREFUSED, "another user called on " SOCKET);
  if (status == MLE_OK)
    *out_fd = fd;
  else
    close(fd);
  return status;
}

mle_status mle_control_reply(int fd, const char *json, mle_error *err) {
  return write_line(fd, json, after_ms(REQUEST_MS), err);
}

/* ====== The caller's end ====== */

static mle_status connect_to(const char *state_folder, int *out_fd, mle_error *err) {
  struct sockaddr_un address;
  int folder;
  *out_fd = -1;
  MLE_TRY(open_folder(state_folder, &folder, &address, err));
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  bool good = fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0;
  int code = errno;
  close(folder);
  if (good) {
    *out_fd = fd;
    return MLE_OK;
  }
  if (fd >= 0) close(fd);
  if (code == ENOENT || code == ECONNREFUSED)
    return mle_fail(err, MLE_ENOTFOUND, "this project's server is not running");
  return mle_fail(err, MLE_EIO, "cannot reach this project's server over '%s/" SOCKET "': %s",
                  state_folder, strerror(code));
}

mle_status mle_control_call(const char *state_folder, const char *json, int timeout_ms,
                            char **out_reply, mle_error *err) {
  int fd;
  int64_t deadline = after_ms(timeout_ms);
  mle_buffer reply = MLE_BUFFER(MLE_CONTROL_LINE_MAX);
  *out_reply = NULL;
  MLE_TRY(connect_to(state_folder, &fd, err));
  mle_status status;
  MLE_GO(write_line(fd, json, deadline, err));
  MLE_GO(read_line(fd, deadline, &reply, err));
  *out_reply = mle_buffer_take(&reply);
  if (*out_reply == NULL) status = mle_nomem(err, "reading an answer");
done:
  close(fd);
  mle_buffer_release(&reply);
  return status;
}
