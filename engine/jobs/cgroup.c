/*
 * Version 1: with memory.oom_control at 1, who wants more than the limit waits,
 * until whoever minds the group sees under_oom and ends all of it; the kernel
 * would end one process, which is not always the one that matters. Version 2:
 * memory.oom.group has the kernel end all of them at once.
 *
 * Kernel documentation: admin-guide/cgroup-v2, cgroup-v1/memory.
 */
#include "engine/jobs/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/buffer.h"
#include "engine/base/file.h"

#define PREFIX "mlengine-"
#define TEXT_MAX 4096
#define PROC_FILE_MAX ((size_t)1 << 20)
#define PIDS_MAX 16384

/* ====== Files of a group; no allocation ====== */

static bool join_path(const char *folder, const char *name, char out[MLE_CGROUP_PATH_MAX + 64]) {
  size_t a = strlen(folder), b = strlen(name);
  if (a + b + 2 > MLE_CGROUP_PATH_MAX + 64) return false;
  memcpy(out, folder, a);
  out[a] = '/';
  memcpy(out + a + 1, name, b + 1);
  return true;
}

static bool write_text(const char *folder, const char *name, const char *text) {
  char path[MLE_CGROUP_PATH_MAX + 64];
  if (!join_path(folder, name, path)) return false;
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0) return false;
  ssize_t len = (ssize_t)strlen(text), put = write(fd, text, (size_t)len);
  close(fd);
  return put == len;
}

static bool read_text(const char *folder, const char *name, char *text, size_t size) {
  char path[MLE_CGROUP_PATH_MAX + 64];
  if (!join_path(folder, name, path)) return false;
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  size_t len = 0;
  for (ssize_t got = 1; got > 0 && len < size - 1; len += got > 0 ? (size_t)got : 0)
    got = read(fd, text + len, size - 1 - len);
  close(fd);
  text[len] = '\0';
  return true;
}

static bool has_file(const char *folder, const char *name) {
  char path[MLE_CGROUP_PATH_MAX + 64];
  return join_path(folder, name, path) && access(path, F_OK) == 0;
}

static int64_t read_number(const char *folder, const char *name, const char *after) {
  char text[TEXT_MAX];
  if (!read_text(folder, name, text, sizeof text)) return 0;
  const char *at = strstr(text, after);
  return at == NULL ? 0 : strtoll(at + strlen(after), NULL, 10);
}

/* ====== What one does with it ====== */

bool mle_cgroup_join(const mle_cgroup *group) {
  return group->path[0] != '\0' && write_text(group->path, "cgroup.procs", "0");
}

bool mle_cgroup_exceeded(const mle_cgroup *group, int64_t *out_peak) {
  bool v2 = group->version == 2;
  if (group->path[0] == '\0') return false;
  bool exceeded = v2 ? read_number(group->path, "memory.events", "oom_kill ") > 0
                     : read_number(group->path, "memory.oom_control", "under_oom ") > 0 ||
                           read_number(group->path, "memory.oom_control", "oom_kill ") > 0;
  if (exceeded)
    *out_peak = read_number(group->path, v2 ? "memory.peak" : "memory.max_usage_in_bytes", "");
  return exceeded;
}

void mle_cgroup_kill(const mle_cgroup *group) {
  static char text[PIDS_MAX];
  if (group->path[0] == '\0' || write_text(group->path, "cgroup.kill", "1")) return;
  if (!read_text(group->path, "cgroup.procs", text, sizeof text)) return;
  for (char *at = text, *end; (end = strchr(at, '\n')) != NULL; at = end + 1) {
    pid_t pid = (pid_t)strtol(at, NULL, 10);
    if (pid > 0) kill(pid, SIGKILL);
  }
}

bool mle_cgroup_remove(const mle_cgroup *group) {
  return group->path[0] == '\0' || rmdir(group->path) == 0 || errno == ENOENT;
}

/* ====== Finding where one can be made ====== */

/* This process's group in a hierarchy: "0::/a/b" for version 2, "7:memory:/a/b" for version 1. */
static bool own_group(const char *text, int version, char *out, size_t size) {
  for (const char *line = text; line != NULL && *line != '\0';) {
    const char *next = strchr(line, '\n'), *names = strchr(line, ':');
    const char *path = names == NULL ? NULL : strchr(names + 1, ':');
    size_t end = next == NULL ? strlen(line) : (size_t)(next - line);
    char wrapped[256];
    if (path != NULL && path < line + end) {
      snprintf(wrapped, sizeof wrapped, ",%.*s,", (int)(path - names - 1), names + 1);
      bool is_it = version == 2 ? strcmp(wrapped, ",,") == 0 : strstr(wrapped, ",memory,") != NULL;
      if (is_it) {
        int len = (int)(line + end - path - 1);
        return len > 0 && strncmp(path + 1, "/..", 3) != 0 &&
               snprintf(out, size, "%.*s", len, path + 1) < (int)size;
      }
    }
    line = next == NULL ? NULL : next + 1;
  }
  return false;
}

/* A line of /proc/self/mountinfo: "36 35 98:0 /root /where options - type source options". */
static bool read_mount(const char *line, int version, char *root, char *where) {
  char type[32], options[1024] = "";
  const char *dash = strstr(line, " - ");
  if (dash == NULL || sscanf(line, "%*s %*s %*s %511s %511s", root, where) != 2) return false;
  if (sscanf(dash, " - %31s %*s %1023s", type, options) < 1) return false;
  if (version == 2) return strcmp(type, "cgroup2") == 0;
  char wrapped[1032];
  snprintf(wrapped, sizeof wrapped, ",%s,", options);
  return strcmp(type, "cgroup") == 0 && strstr(wrapped, ",memory,") != NULL;
}

/* The folder of `group`: what is mounted may be a part of the hierarchy. */
static bool locate(char *mounts, int version, const char *group, char out[MLE_CGROUP_PATH_MAX]) {
  char root[512], where[512], *rest = mounts;
  for (char *line; (line = strsep(&rest, "\n")) != NULL;) {
    if (!read_mount(line, version, root, where)) continue;
    size_t skip = strcmp(root, "/") == 0 ? 0 : strlen(root);
    if (strncmp(group, root, skip) != 0) continue;
    const char *below = strcmp(group + skip, "/") == 0 ? "" : group + skip;
    return snprintf(out, MLE_CGROUP_PATH_MAX, "%s%s", where, below) < MLE_CGROUP_PATH_MAX;
  }
  return false;
}

static bool find_own(int version, char out[MLE_CGROUP_PATH_MAX]) {
  mle_buffer groups = MLE_BUFFER(PROC_FILE_MAX), mounts = MLE_BUFFER(PROC_FILE_MAX);
  char group[MLE_CGROUP_PATH_MAX];
  bool found = mle_file_read("/proc/self/cgroup", &groups, NULL) == MLE_OK && groups.len > 0 &&
               mle_file_read("/proc/self/mountinfo", &mounts, NULL) == MLE_OK && mounts.len > 0 &&
               own_group(groups.data, version, group, sizeof group) &&
               locate(mounts.data, version, group, out);
  mle_buffer_release(&groups);
  mle_buffer_release(&mounts);
  return found;
}

/* ====== Making one ====== */

/* Groups of engines that were killed together with what minded their jobs. */
static void remove_left(const char *base) {
  DIR *folder = opendir(base);
  if (folder == NULL) return;
  for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
    char path[MLE_CGROUP_PATH_MAX + 64];
    if (strncmp(entry->d_name, PREFIX, strlen(PREFIX)) != 0) continue;
    pid_t engine = (pid_t)strtol(entry->d_name + strlen(PREFIX), NULL, 10);
    if (engine > 0 && kill(engine, 0) != 0 && errno == ESRCH &&
        join_path(base, entry->d_name, path))
      rmdir(path); /* refused while something is in it */
  }
  closedir(folder);
}

static bool set_limit(const mle_cgroup *group, int64_t memory_max) {
  char number[24];
  snprintf(number, sizeof number, "%lld", (long long)memory_max);
  if (group->version == 2) {
    write_text(group->path, "memory.swap.max", "0");
    return write_text(group->path, "memory.oom.group", "1") &&
           write_text(group->path, "memory.max", number);
  }
  if (!write_text(group->path, "memory.limit_in_bytes", number)) return false;
  write_text(group->path, "memory.memsw.limit_in_bytes", number); /* where swap is counted */
  write_text(group->path, "memory.oom_control", "1");
  return true;
}

static bool make_in(const char *base, int version, int64_t memory_max, mle_cgroup *out) {
  static unsigned made;
  out->version = version;
  int len = snprintf(out->path, sizeof out->path, "%s/" PREFIX "%d-%u", base, (int)getpid(), made++);
  if (len >= (int)sizeof out->path || mkdir(out->path, 0755) != 0) return false;
  if (version == 2 && !has_file(out->path, "memory.max"))
    write_text(base, "cgroup.subtree_control", "+memory");
  if (set_limit(out, memory_max)) return true;
  rmdir(out->path);
  return false;
}

static bool make_version(int version, int64_t memory_max, mle_cgroup *out) {
  char base[MLE_CGROUP_PATH_MAX];
  if (!find_own(version, base)) return false;
  remove_left(base);
  if (make_in(base, version, memory_max, out)) return true;
  char *last = strrchr(base, '/');
  if (last == NULL || last == base) return false;
  *last = '\0'; /* version 2: a group with processes of its own cannot limit groups in it */
  return make_in(base, version, memory_max, out);
}

void mle_cgroup_make(int64_t memory_max, mle_cgroup *out) {
  if (make_version(2, memory_max, out) || make_version(1, memory_max, out)) return;
  *out = (mle_cgroup){0};
}
