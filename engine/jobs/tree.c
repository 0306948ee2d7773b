#include "engine/jobs/tree.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define KNOWN_MAX ((size_t)65536) /* processes on the machine that are looked at */
#define STAT_MAX 512
#define SMAPS_MAX 2048
#define ENTRIES_MAX 32768

/* Of all processes on the machine, by number. Static: there is no allocating after fork. */
typedef struct known {
  pid_t pid, parent;
  bool below;
} known;
static known all[KNOWN_MAX];

/* ====== Files of /proc ====== */

/* "/proc/PID/NAME", without printf. */
static const char *path_of(pid_t pid, const char *name, char path[64]) {
  char digits[16];
  size_t at = sizeof digits, len = strlen("/proc/");
  do digits[--at] = (char)('0' + pid % 10);
  while ((pid /= 10) > 0);
  memcpy(path, "/proc/", len);
  memcpy(path + len, digits + at, sizeof digits - at);
  len += sizeof digits - at;
  path[len++] = '/';
  memcpy(path + len, name, strlen(name) + 1);
  return path;
}

static bool read_path(const char *path, char *text, size_t size) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  ssize_t got = read(fd, text, size - 1);
  close(fd);
  text[got > 0 ? got : 0] = '\0';
  return got > 0;
}

/* "PID (NAME) STATE PARENT ...", where NAME may hold anything. */
static pid_t parent_of(pid_t pid) {
  char path[64], text[STAT_MAX];
  if (!read_path(path_of(pid, "stat", path), text, sizeof text)) return 0;
  const char *after = strrchr(text, ')');
  return after == NULL || strlen(after) < 5 ? 0 : (pid_t)strtol(after + 4, NULL, 10);
}

/* The number after `name` in a text of lines "name: number ...". */
static int64_t number_after(const char *text, const char *name) {
  const char *at = strstr(text, name);
  return at == NULL ? 0 : strtoll(at + strlen(name), NULL, 10);
}

/* ====== Finding ====== */

struct entry { /* of getdents64(2) */
  uint64_t inode;
  int64_t offset;
  unsigned short size;
  unsigned char type;
  char name[];
};

static size_t add_entries(const char *bytes, size_t len, size_t count) {
  for (size_t at = 0; at < len && count < KNOWN_MAX;) {
    const struct entry *e = (const struct entry *)(const void *)(bytes + at);
    pid_t pid = (pid_t)strtol(e->name, NULL, 10);
    if (pid > 0) all[count++] = (known){pid, parent_of(pid), false};
    at += e->size;
  }
  return count;
}

static size_t list_all(void) {
  _Alignas(struct entry) static char bytes[ENTRIES_MAX];
  size_t count = 0;
  long got;
  int fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return 0;
  while ((got = syscall(SYS_getdents64, fd, bytes, sizeof bytes)) > 0)
    count = add_entries(bytes, (size_t)got, count);
  close(fd);
  return count;
}

/* /proc lists processes in the order of their numbers. */
static const known *find(pid_t pid, size_t count) {
  size_t low = 0, high = count;
  while (low < high) {
    size_t middle = (low + high) / 2;
    if (all[middle].pid < pid)
      low = middle + 1;
    else
      high = middle;
  }
  return low < count && all[low].pid == pid ? &all[low] : NULL;
}

static bool mark_more(pid_t root, size_t count) {
  bool more = false;
  for (size_t i = 0; i < count; i++) {
    if (all[i].below || all[i].parent == 0) continue;
    const known *parent = find(all[i].parent, count);
    all[i].below = all[i].parent == root || (parent != NULL && parent->below);
    more = more || all[i].below;
  }
  return more;
}

size_t mle_tree_find(pid_t root, pid_t out[MLE_TREE_MAX]) {
  size_t count = list_all(), found = 0;
  while (mark_more(root, count)) continue;
  for (size_t i = 0; i < count && found < MLE_TREE_MAX; i++)
    if (all[i].below) out[found++] = all[i].pid;
  return found;
}

/* ====== What they use ====== */

int64_t mle_tree_resident(const pid_t *pids, size_t count) {
  char path[64], text[STAT_MAX];
  int64_t pages = 0;
  for (size_t i = 0; i < count; i++)
    if (read_path(path_of(pids[i], "statm", path), text, sizeof text))
      pages += number_after(text, " "); /* the second number */
  return pages * sysconf(_SC_PAGESIZE);
}

int64_t mle_tree_proportional(const pid_t *pids, size_t count) {
  char path[64], text[SMAPS_MAX];
  int64_t kib = 0;
  for (size_t i = 0; i < count; i++)
    if (read_path(path_of(pids[i], "smaps_rollup", path), text, sizeof text))
      kib += number_after(text, "\nPss:");
  return kib * 1024;
}

int64_t mle_tree_bytes_read(void) {
  char text[STAT_MAX];
  if (!read_path("/proc/self/io", text, sizeof text)) return 0;
  return number_after(text, "rchar: ");
}
