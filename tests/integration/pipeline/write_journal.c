/*
 * Writes down what a program does to the files below one folder, in the order in which it is done: loaded by
 * LD_PRELOAD, for power_test.py, which plays it again up to some moment and loses what was not synced.
 *
 *     JOURNAL_FOLDER   the folder
 *     JOURNAL_FILE     gets the records; each is a line, `OP TAB OFFSET TAB LENGTH TAB PATH TAB PATH`, and LENGTH bytes
 *
 * A record is one write to a file opened for appending, so those of several processes do not mix. It comes after the
 * call, while that is being done no other one of this process is, so what is synced was written down before.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static pthread_mutex_t order = PTHREAD_MUTEX_INITIALIZER;

#define REAL(name, result, types)                                            \
  static result(*real_##name) types;                                         \
  if (real_##name == NULL) *(void **)&real_##name = dlsym(RTLD_NEXT, #name)

static const char *absolute(const char *path, char out[PATH_MAX]) {
  char here[PATH_MAX] = "";
  if (path == NULL) return NULL;
  if (path[0] != '/' && getcwd(here, sizeof here) == NULL) return NULL;
  int len = snprintf(out, PATH_MAX, "%s%s%s", here, here[0] == 0 ? "" : "/", path);
  return len > 0 && len < PATH_MAX ? out : NULL;
}

static int inside(const char *path) {
  const char *folder = getenv("JOURNAL_FOLDER");
  return folder != NULL && path != NULL && strncmp(path, folder, strlen(folder)) == 0;
}

/* The name that a descriptor's file has now; NULL outside the folder, and for what is no file in it. */
static const char *path_of(int fd, char out[PATH_MAX]) {
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t len = readlink(link, out, PATH_MAX - 1);
  if (len < 0) return NULL;
  out[len] = 0;
  return inside(out) ? out : NULL;
}

static void record(const char *op, const char *path, const char *to, off_t at, const void *bytes, size_t len) {
  static int fd = -1;
  static pid_t owner; /* a forked child may have closed it */
  char line[2 * PATH_MAX + 128];
  int before = errno;
  if (fd < 0 || owner != getpid()) {
    REAL(open, int, (const char *, int, ...));
    const char *file = getenv("JOURNAL_FILE");
    int opened = file == NULL ? -1 : real_open(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    fd = opened < 0 ? -1 : fcntl(opened, F_DUPFD_CLOEXEC, 700);
    if (opened >= 0) close(opened);
    owner = getpid();
  }
  int head = snprintf(line, sizeof line, "%s\t%lld\t%zu\t%s\t%s\n", op, (long long)at, len, path, to == NULL ? "" : to);
  struct iovec parts[] = {{line, (size_t)head}, {(void *)(size_t)bytes, len}};
  if (fd >= 0 && writev(fd, parts, 2) != (ssize_t)(len + (size_t)head)) abort();
  errno = before;
}

/* Does `call`, and writes down what it did when it worked. */
#define DO(worked, call, ...)        \
  pthread_mutex_lock(&order);        \
  call;                              \
  if (worked) record(__VA_ARGS__);   \
  pthread_mutex_unlock(&order)

/* ====== Contents ====== */

ssize_t write(int fd, const void *bytes, size_t len) {
  char path[PATH_MAX];
  REAL(write, ssize_t, (int, const void *, size_t));
  if (path_of(fd, path) == NULL) return real_write(fd, bytes, len);
  ssize_t put;
  DO(put > 0, put = real_write(fd, bytes, len), "write", path, NULL, lseek(fd, 0, SEEK_CUR) - put, bytes, (size_t)put);
  return put;
}

/* What the user is told; the C library's own write is not seen here. */
size_t fwrite(const void *bytes, size_t size, size_t count, FILE *to) {
  REAL(fwrite, size_t, (const void *, size_t, size_t, FILE *));
  if (to == stdout && getenv("JOURNAL_FILE") != NULL) record("say", "", NULL, 0, bytes, size * count);
  return real_fwrite(bytes, size, count, to);
}

#define POSITIONED(name, offset)                                                                  \
  ssize_t name(int fd, const void *bytes, size_t len, offset at) {                                \
    char path[PATH_MAX];                                                                          \
    REAL(name, ssize_t, (int, const void *, size_t, offset));                                     \
    if (path_of(fd, path) == NULL) return real_##name(fd, bytes, len, at);                        \
    ssize_t put;                                                                                  \
    DO(put > 0, put = real_##name(fd, bytes, len, at), "write", path, NULL, at, bytes, (size_t)put); \
    return put;                                                                                   \
  }
POSITIONED(pwrite, off_t)
POSITIONED(pwrite64, off64_t)

#define SIZED(name, offset)                                                       \
  int name(int fd, offset len) {                                                  \
    char path[PATH_MAX];                                                          \
    REAL(name, int, (int, offset));                                               \
    if (path_of(fd, path) == NULL) return real_##name(fd, len);                   \
    int done;                                                                     \
    DO(done == 0, done = real_##name(fd, len), "size", path, NULL, len, NULL, 0); \
    return done;                                                                  \
  }
SIZED(ftruncate, off_t)
SIZED(ftruncate64, off64_t)

#define SYNCED(name)                                                            \
  int name(int fd) {                                                            \
    char path[PATH_MAX];                                                        \
    REAL(name, int, (int));                                                     \
    if (path_of(fd, path) == NULL) return real_##name(fd);                      \
    int done;                                                                   \
    DO(done == 0, done = real_##name(fd), "sync", path, NULL, 0, NULL, 0);      \
    return done;                                                                \
  }
SYNCED(fsync)
SYNCED(fdatasync)

/* ====== Names ====== */

static int opened(int (*real)(const char *, int, ...), const char *path, int flags, mode_t mode) {
  char full[PATH_MAX];
  if (!inside(absolute(path, full)) || !(flags & (O_CREAT | O_TRUNC))) return real(path, flags, mode);
  int is_new = access(full, F_OK) != 0, fd;
  DO(fd >= 0 && is_new, fd = real(path, flags, mode), "create", full, NULL, 0, NULL, 0);
  if (fd >= 0 && !is_new && (flags & O_TRUNC)) record("size", full, NULL, 0, NULL, 0);
  return fd;
}

#define OPENED(name)                                                   \
  int name(const char *path, int flags, ...) {                         \
    va_list more;                                                      \
    REAL(name, int, (const char *, int, ...));                         \
    va_start(more, flags);                                             \
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(more, mode_t) : 0; \
    va_end(more);                                                      \
    return opened(real_##name, path, flags, mode);                     \
  }
OPENED(open)
OPENED(open64)

#define ONE_NAME(name, op)                                                 \
  int name(const char *path) {                                             \
    char full[PATH_MAX];                                                   \
    REAL(name, int, (const char *));                                       \
    if (!inside(absolute(path, full))) return real_##name(path);           \
    int done;                                                              \
    DO(done == 0, done = real_##name(path), op, full, NULL, 0, NULL, 0);   \
    return done;                                                           \
  }
ONE_NAME(unlink, "unlink")
ONE_NAME(rmdir, "rmdir")

int mkdir(const char *path, mode_t mode) {
  char full[PATH_MAX];
  REAL(mkdir, int, (const char *, mode_t));
  if (!inside(absolute(path, full))) return real_mkdir(path, mode);
  int done;
  DO(done == 0, done = real_mkdir(path, mode), "mkdir", full, NULL, 0, NULL, 0);
  return done;
}

#define TWO_NAMES(name)                                                             \
  int name(const char *from, const char *to) {                                      \
    char a[PATH_MAX], b[PATH_MAX];                                                  \
    REAL(name, int, (const char *, const char *));                                  \
    if (!inside(absolute(from, a)) || !inside(absolute(to, b))) return real_##name(from, to); \
    int done;                                                                       \
    DO(done == 0, done = real_##name(from, to), #name, a, b, 0, NULL, 0);           \
    return done;                                                                    \
  }
TWO_NAMES(rename)
TWO_NAMES(link)
