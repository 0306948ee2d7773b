/*
 * Fault points for a program that knows nothing of them: loaded by LD_PRELOAD, counts the calls
 * that make a write last (fsync, fdatasync, rename, link, unlink, mkdir) on files below one folder,
 * and ends the process by SIGKILL before or after one of them. With FAULT_ERRNO it counts the writes
 * too (write, pwrite, ftruncate, files made), and makes one of them fail, or all from there on.
 *
 *     FAULT_FOLDER   the folder
 *     FAULT_PROCESS  only in processes whose command line holds this text
 *     FAULT_LOG      gets a line per point
 *     FAULT_AT       the number of the point to end at, from 1; 0 or none: never
 *     FAULT_AFTER    1: the call is carried out first
 *     FAULT_ERRNO    the number of the error: the call fails with it, and nothing is killed
 *     FAULT_LASTS    1: so do all that follow, as on a full disk; unlink always works there
 *     FAULT_SLOW     each fsync takes so many milliseconds longer
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int concerned(void) {
  static int known = -1;
  char line[4096] = {0};
  const char *wanted = getenv("FAULT_PROCESS");
  if (known >= 0) return known;
  int fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
  ssize_t len = fd < 0 ? 0 : read(fd, line, sizeof line - 1);
  if (fd >= 0) close(fd);
  for (ssize_t i = 0; i + 1 < len; i++)
    if (line[i] == 0) line[i] = ' ';
  return known = wanted != NULL && strstr(line, wanted) != NULL;
}

static int inside(const char *path) {
  char full[PATH_MAX];
  const char *folder = getenv("FAULT_FOLDER");
  if (folder == NULL || path == NULL || !concerned()) return 0;
  if (path[0] != '/' && getcwd(full, sizeof full) != NULL) return strncmp(full, folder, strlen(folder)) == 0;
  return strncmp(path, folder, strlen(folder)) == 0;
}

static const char *path_of(int fd, char out[PATH_MAX]) {
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t len = readlink(link, out, PATH_MAX - 1);
  if (len < 0) return NULL;
  out[len] = 0;
  return out;
}

static void note(const char *call, const char *path, int number) {
  char line[PATH_MAX + 64];
  const char *log = getenv("FAULT_LOG");
  int fd = log == NULL ? -1 : open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (fd < 0) return;
  int len = snprintf(line, sizeof line, "%d %s %s\n", number, call, path);
  if (write(fd, line, (size_t)len) < 0) abort();
  close(fd);
}

static int number; /* a race between threads would only number two calls alike */

static int flag(const char *name) {
  const char *value = getenv(name);
  return value == NULL ? 0 : atoi(value);
}

enum { GOES_ON, FAILS, IS_LAST };

static int reached(const char *call, const char *path) {
  if (!inside(path)) return GOES_ON;
  int at = flag("FAULT_AT"), now = __atomic_add_fetch(&number, 1, __ATOMIC_SEQ_CST);
  note(call, path, now);
  if (flag("FAULT_ERRNO") != 0) {
    int hit = at != 0 && (now == at || (now > at && flag("FAULT_LASTS")));
    return hit && strcmp(call, "unlink") != 0 ? FAILS : GOES_ON;
  }
  if (at != now) return GOES_ON;
  if (!flag("FAULT_AFTER")) kill(getpid(), SIGKILL);
  return IS_LAST;
}

#define REAL(name, result, types)                                            \
  static result(*real_##name) types;                                         \
  if (real_##name == NULL) *(void **)&real_##name = dlsym(RTLD_NEXT, #name)

#define POINT(path, name, result, types, args) \
  REAL(name, result, types);                   \
  int what = reached(#name, path);             \
  if (what == FAILS) {                         \
    errno = flag("FAULT_ERRNO");               \
    return -1;                                 \
  }                                            \
  result done = real_##name args;              \
  if (what == IS_LAST) kill(getpid(), SIGKILL);\
  return done

static void be_slow(const char *path) {
  if (flag("FAULT_SLOW") > 0 && inside(path)) usleep((useconds_t)flag("FAULT_SLOW") * 1000);
}

int fsync(int fd) {
  char path[PATH_MAX];
  be_slow(path_of(fd, path));
  POINT(path_of(fd, path), fsync, int, (int), (fd));
}
int fdatasync(int fd) {
  char path[PATH_MAX];
  be_slow(path_of(fd, path));
  POINT(path_of(fd, path), fdatasync, int, (int), (fd));
}
int rename(const char *from, const char *to) { POINT(to, rename, int, (const char *, const char *), (from, to)); }
int renameat2(int a, const char *from, int b, const char *to, unsigned flags) {
  POINT(to, renameat2, int, (int, const char *, int, const char *, unsigned), (a, from, b, to, flags));
}
int link(const char *from, const char *to) { POINT(to, link, int, (const char *, const char *), (from, to)); }
int unlink(const char *path) { POINT(path, unlink, int, (const char *), (path)); }
int mkdir(const char *path, mode_t mode) { POINT(path, mkdir, int, (const char *, mode_t), (path, mode)); }

/* ====== Writes: only where they are to fail ====== */

/* Of a descriptor below the folder; NULL when writes are not looked at. */
static const char *written(int fd, char path[PATH_MAX]) {
  return flag("FAULT_ERRNO") != 0 && concerned() ? path_of(fd, path) : NULL;
}

ssize_t write(int fd, const void *bytes, size_t len) {
  char path[PATH_MAX];
  POINT(written(fd, path), write, ssize_t, (int, const void *, size_t), (fd, bytes, len));
}
ssize_t pwrite(int fd, const void *bytes, size_t len, off_t at) {
  char path[PATH_MAX];
  POINT(written(fd, path), pwrite, ssize_t, (int, const void *, size_t, off_t), (fd, bytes, len, at));
}
ssize_t pwrite64(int fd, const void *bytes, size_t len, off64_t at) {
  char path[PATH_MAX];
  POINT(written(fd, path), pwrite64, ssize_t, (int, const void *, size_t, off64_t), (fd, bytes, len, at));
}
int ftruncate(int fd, off_t len) {
  char path[PATH_MAX];
  POINT(written(fd, path), ftruncate, int, (int, off_t), (fd, len));
}
int ftruncate64(int fd, off64_t len) {
  char path[PATH_MAX];
  POINT(written(fd, path), ftruncate64, int, (int, off64_t), (fd, len));
}

static mode_t mode_of(int flags, va_list more) {
  return flags & (O_CREAT | O_TMPFILE) ? va_arg(more, mode_t) : 0;
}

static const char *made(const char *path, int flags) {
  return (flags & O_CREAT) && flag("FAULT_ERRNO") != 0 && access(path, F_OK) != 0 ? path : NULL;
}

int open(const char *path, int flags, ...) {
  va_list more;
  va_start(more, flags);
  mode_t mode = mode_of(flags, more);
  va_end(more);
  POINT(made(path, flags), open, int, (const char *, int, ...), (path, flags, mode));
}
int open64(const char *path, int flags, ...) {
  va_list more;
  va_start(more, flags);
  mode_t mode = mode_of(flags, more);
  va_end(more);
  POINT(made(path, flags), open64, int, (const char *, int, ...), (path, flags, mode));
}
