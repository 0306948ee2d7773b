#include "engine/http/address.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKLOG 1024

/* ====== Text ====== */

static mle_status parse_port(const char *text, const char *whole, uint16_t *out, mle_error *err) {
  char *end;
  long port = strtol(text, &end, 10);
  if (!isdigit((unsigned char)text[0]) || *end != '\0' || port > UINT16_MAX)
    return mle_fail(err, MLE_EINVAL, "'%s' is no address: the port must be 0 to 65535", whole);
  *out = (uint16_t)port;
  return MLE_OK;
}

static mle_status set_host(const char *text, size_t len, const char *whole, mle_address *at,
                           mle_error *err) {
  if (len == 0) return MLE_OK;
  if (len >= sizeof at->host)
    return mle_fail(err, MLE_EINVAL, "'%s' is no address: the host name is too long", whole);
  memcpy(at->host, text, len);
  at->host[len] = '\0';
  return MLE_OK;
}

mle_status mle_address_parse(const char *text, mle_address *inout, mle_error *err) {
  const char *host = text, *colon = strrchr(text, ':');
  size_t len = colon == NULL ? strlen(text) : (size_t)(colon - text);
  if (text[0] == '[') {
    const char *close = strchr(text, ']');
    if (close == NULL || (close[1] != '\0' && close[1] != ':'))
      return mle_fail(err, MLE_EINVAL, "'%s' is no address: write [HOST]:PORT", text);
    host = text + 1;
    len = (size_t)(close - host);
    colon = close[1] == ':' ? close + 1 : NULL;
  }
  MLE_TRY(set_host(host, len, text, inout, err));
  return colon == NULL ? MLE_OK : parse_port(colon + 1, text, &inout->port, err);
}

char *mle_address_url(const mle_address *at, char url[MLE_URL_MAX]) {
  bool v6 = strchr(at->host, ':') != NULL;
  snprintf(url, MLE_URL_MAX, v6 ? "%s://[%s]:%u" : "%s://%s:%u", at->tls ? "https" : "http", at->host, at->port);
  return url;
}

/* ====== Who listens on a port ====== */

/* The inode of the listening socket on `port` in a /proc/net/tcp file; 0: none. */
static uint64_t listening_inode(const char *path, uint16_t port) {
  FILE *file = fopen(path, "re");
  if (file == NULL) return 0;
  char line[512];
  uint64_t found = 0;
  while (found == 0 && fgets(line, sizeof line, file) != NULL) {
    unsigned local_port, state;
    uint64_t inode;
    int fields = sscanf(line,
                        " %*d: %*[0-9A-Fa-f]:%x %*[0-9A-Fa-f]:%*x %x %*s %*s %*s %*d %*d %" SCNu64,
                        &local_port, &state, &inode);
    if (fields == 3 && local_port == port && state == 0x0A) found = inode; /* 0A: LISTEN */
  }
  fclose(file);
  return found;
}

static bool holds_socket(const char *pid, uint64_t inode) {
  char path[512], link[64], wanted[64];
  snprintf(wanted, sizeof wanted, "socket:[%" PRIu64 "]", inode);
  snprintf(path, sizeof path, "/proc/%.32s/fd", pid);
  DIR *folder = opendir(path);
  if (folder == NULL) return false;
  bool found = false;
  for (struct dirent *entry; !found && (entry = readdir(folder)) != NULL;) {
    ssize_t len = readlinkat(dirfd(folder), entry->d_name, link, sizeof link - 1);
    if (len <= 0) continue;
    link[len] = '\0';
    found = strcmp(link, wanted) == 0;
  }
  closedir(folder);
  return found;
}

static void read_program_name(const char *pid, char *out, size_t size) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%.32s/comm", pid);
  snprintf(out, size, "a process");
  FILE *file = fopen(path, "re");
  if (file == NULL) return;
  if (fgets(out, (int)size, file) != NULL) out[strcspn(out, "\n")] = '\0';
  fclose(file);
}

/* Writes "python3 (pid 4242)", or "another program" when /proc does not tell us. */
static void name_listener(uint16_t port, char *out, size_t size) {
  snprintf(out, size, "another program");
  uint64_t inode = listening_inode("/proc/net/tcp", port);
  if (inode == 0) inode = listening_inode("/proc/net/tcp6", port);
  DIR *folder = inode == 0 ? NULL : opendir("/proc");
  if (folder == NULL) return;
  for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
    if (!isdigit((unsigned char)entry->d_name[0]) || !holds_socket(entry->d_name, inode)) continue;
    char program[64];
    read_program_name(entry->d_name, program, sizeof program);
    snprintf(out, size, "%s (pid %.16s)", program, entry->d_name);
    break;
  }
  closedir(folder);
}

/* ====== Listening ====== */

static mle_status fail_listen(const mle_address *at, int code, mle_error *err) {
  if (code != EADDRINUSE)
    return mle_fail(err, MLE_EIO, "cannot listen on %s:%u: %s", at->host, at->port, strerror(code));
  char who[128];
  name_listener(at->port, who, sizeof who);
  return mle_fail(err, MLE_EBUSY, "cannot listen on %s:%u: %s has that port; choose another",
                  at->host, at->port, who);
}

static void read_port(int fd, mle_address *at) {
  union {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
  } bound;
  socklen_t len = sizeof bound;
  if (getsockname(fd, &bound.any, &len) != 0) return;
  at->port = ntohs(bound.any.sa_family == AF_INET6 ? bound.v6.sin6_port : bound.v4.sin_port);
}

static int bind_to(const struct addrinfo *info) {
  int fd = socket(info->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  int on = 1;
  if (fd < 0) return -1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* accepted sockets inherit it */
  if (bind(fd, info->ai_addr, info->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0) return fd;
  int code = errno;
  close(fd);
  errno = code;
  return -1;
}

mle_status mle_address_listen(mle_address *inout, int *out_fd, mle_error *err) {
  struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *found;
  char port[8];
  *out_fd = -1;
  snprintf(port, sizeof port, "%u", inout->port);
  int failure = getaddrinfo(inout->host, port, &hints, &found);
  if (failure != 0)
    return mle_fail(err, MLE_EIO, "cannot listen on '%s': %s", inout->host, gai_strerror(failure));
  *out_fd = bind_to(found);
  int code = errno;
  freeaddrinfo(found);
  if (*out_fd < 0) return fail_listen(inout, code, err);
  read_port(*out_fd, inout);
  return MLE_OK;
}
