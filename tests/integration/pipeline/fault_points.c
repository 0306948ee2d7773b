/*
 * Fault points for a program that knows nothing of them: loaded by LD_PRELOAD, counts the calls
 * that make a write last (fsync, fdatasync, rename, link, unlink, mkdir, copy of an artifact) on files
 * below one folder, and ends the process by SIGKILL before or after one of them.
 *
 *     FAULT_FOLDER   the folder
 *     FAULT_PROCESS  only in processes whose command line holds this text
 *     FAULT_LOG      gets a line per point
 *     FAULT_AT       the number of the point to end at, from 1; 0 or none: never
 *     FAULT_AFTER    1: the call is carried out first
 */
#define _GNU_SOURCE
#include <dlfcn.h>
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

static int reached(const char *call, const char *path) {
  const char *at = getenv("FAULT_AT");
  if (!inside(path)) return 0;
  int now = __atomic_add_fetch(&number, 1, __ATOMIC_SEQ_CST);
  note(call, path, now);
  if (at == NULL || atoi(at) != now) return 0;
  const char *after = getenv("FAULT_AFTER");
  if (after == NULL || after[0] != '1') kill(getpid(), SIGKILL);
  return 1;
}

#define POINT(path, name, types, args)                      \
  static int (*real_##name) types;                          \
  if (real_##name == NULL) *(void **)&real_##name = dlsym(RTLD_NEXT, #name); \
  int last = reached(#name, path);                          \
  int result = real_##name args;                            \
  if (last) kill(getpid(), SIGKILL);                        \
  return result

int fsync(int fd) {
  char path[PATH_MAX];
  POINT(path_of(fd, path), fsync, (int), (fd));
}
int fdatasync(int fd) {
  char path[PATH_MAX];
  POINT(path_of(fd, path), fdatasync, (int), (fd));
}
int rename(const char *from, const char *to) { POINT(to, rename, (const char *, const char *), (from, to)); }
int renameat2(int a, const char *from, int b, const char *to, unsigned flags) {
  POINT(to, renameat2, (int, const char *, int, const char *, unsigned), (a, from, b, to, flags));
}
int link(const char *from, const char *to) { POINT(to, link, (const char *, const char *), (from, to)); }
int unlink(const char *path) { POINT(path, unlink, (const char *), (path)); }
int mkdir(const char *path, mode_t mode) { POINT(path, mkdir, (const char *, mode_t), (path, mode)); }
