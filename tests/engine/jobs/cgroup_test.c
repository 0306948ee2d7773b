/*
 * Control groups of both versions, on folders that stand for the kernel's: the linker puts the functions below in the
 * place of mkdir, rmdir, open and of what reads /proc (tests/CMakeLists.txt), so that a new folder has a group's files, as
 * the kernel would make them, and what is written to each can be looked at. limits_test.py tries the machine's own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants these first */
#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/base/buffer.h"
#include "engine/base/file.h"
#include "engine/jobs/cgroup.h"

#define LIMIT ((int64_t)64 << 20)

static char top[] = "/tmp/mlengine-cgroup-XXXXXX";
static char groups[512], mounts[1024]; /* /proc/self/cgroup and mountinfo */

/* ====== The kernel's part ====== */

int __real_mkdir(const char *path, mode_t mode);
int __real_rmdir(const char *path);
int __real_open(const char *path, int flags, ...);
mle_status __real_mle_file_read(const char *path, mle_buffer *out, mle_error *err);
int __wrap_mkdir(const char *path, mode_t mode);
int __wrap_rmdir(const char *path);
int __wrap_open(const char *path, int flags, ...);
mle_status __wrap_mle_file_read(const char *path, mle_buffer *out, mle_error *err);

static const char *const of_each[] = {"cgroup.procs", "cgroup.subtree_control", "cgroup.kill", NULL};
static const char *const of_memory[] = {"memory.max", "memory.swap.max", "memory.oom.group", "memory.events", "memory.peak", NULL};
static const char *const of_version_1[] = {"cgroup.procs", "memory.limit_in_bytes", "memory.memsw.limit_in_bytes",
                                           "memory.oom_control", "memory.max_usage_in_bytes", NULL};

static void put(const char *folder, const char *name, const char *text) {
  char path[600];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  int fd = __real_open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
  assert_true(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
  close(fd);
}

static void make_files(const char *folder, const char *const *names) {
  for (; *names != NULL; names++) put(folder, *names, "");
}

static const char *get(const char *folder, const char *name) {
  static char text[256];
  char path[600];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  int fd = __real_open(path, O_RDONLY);
  if (fd < 0) return "(absent)";
  ssize_t got = read(fd, text, sizeof text - 1);
  close(fd);
  text[got < 0 ? 0 : got] = '\0';
  return text;
}

static void parent_of(const char *path, char out[512]) {
  snprintf(out, 512, "%s", path);
  *strrchr(out, '/') = '\0';
}

static bool is_version_1(const char *path) { return strstr(path, "/v1/") != NULL; }

/* Whether a group's parent hands the memory controller on to it. */
static bool has_memory(const char *folder) {
  char parent[512];
  parent_of(folder, parent);
  return strstr(get(parent, "cgroup.subtree_control"), "memory") != NULL;
}

int __wrap_mkdir(const char *path, mode_t mode) {
  int result = __real_mkdir(path, mode);
  if (result != 0 || strstr(path, "/mlengine-cgroup-") == NULL) return result;
  make_files(path, is_version_1(path) ? of_version_1 : of_each);
  if (!is_version_1(path) && has_memory(path)) make_files(path, of_memory);
  return result;
}

/* A group's files go with it. */
int __wrap_rmdir(const char *path) {
  char file[600];
  const char *const *const lists[] = {of_each, of_memory, of_version_1};
  if (strstr(path, "/mlengine-cgroup-") == NULL) return __real_rmdir(path);
  for (size_t i = 0; i < 3; i++)
    for (const char *const *name = lists[i]; *name != NULL; name++) {
      snprintf(file, sizeof file, "%s/%s", path, *name);
      unlink(file);
    }
  return __real_rmdir(path);
}

/* A controller that was enabled meanwhile brings its files. */
int __wrap_open(const char *path, int flags, ...) {
  char folder[512];
  const char *name = strrchr(path, '/');
  if (strstr(path, "/mlengine-cgroup-") != NULL && !is_version_1(path) && name != NULL && strncmp(name, "/memory.", 8) == 0) {
    parent_of(path, folder);
    if (has_memory(folder) && access(path, F_OK) != 0) make_files(folder, of_memory);
  }
  va_list args;
  va_start(args, flags);
  mode_t mode = (flags & O_CREAT) != 0 ? va_arg(args, mode_t) : 0;
  va_end(args);
  return __real_open(path, flags, mode);
}

mle_status __wrap_mle_file_read(const char *path, mle_buffer *out, mle_error *err) {
  const char *text = strcmp(path, "/proc/self/cgroup") == 0 ? groups : strcmp(path, "/proc/self/mountinfo") == 0 ? mounts : NULL;
  return text == NULL ? __real_mle_file_read(path, out, err) : mle_buffer_puts(out, text, err);
}

/* ====== Set-up ====== */

static void folder_of(const char *name, char out[512]) { snprintf(out, 512, "%s/%s", top, name); }

static void make_group(const char *name, const char *subtree_control) {
  char path[512];
  folder_of(name, path);
  assert_int_equal(mkdir(path, 0755), 0);
  if (subtree_control != NULL) put(path, "cgroup.subtree_control", subtree_control);
}

static int set_up(void **unused) {
  (void)unused;
  char path[512];
  strcpy(top, "/tmp/mlengine-cgroup-XXXXXX");
  if (mkdtemp(top) == NULL) return 1;
  folder_of("v1", path);
  if (__real_mkdir(path, 0755) != 0) return 1;
  make_group("v2", "memory");
  make_group("v2/user", "memory");
  make_group("v2/user/me", "memory");
  make_group("v1/me", NULL);
  snprintf(groups, sizeof groups, "7:cpu:/x\n4:memory:/me\n1:name=systemd:/\n0::/user/me\n");
  snprintf(mounts, sizeof mounts,
           "20 1 0:1 / / rw - ext4 /dev/a rw\n"
           "30 20 0:2 / %s/v1 rw,nosuid shared:1 - cgroup cgroup rw,memory\n"
           "31 20 0:3 / %s/v2 rw - cgroup2 cgroup2 rw,nsdelegate\n",
           top, top);
  return 0;
}

static int tear_down(void **unused) {
  (void)unused;
  return mle_remove_tree(top, NULL) == MLE_OK ? 0 : 1;
}

static bool is_below(const mle_cgroup *group, const char *name) {
  char parent[512], wanted[512];
  parent_of(group->path, parent);
  folder_of(name, wanted);
  return strcmp(parent, wanted) == 0;
}

/* ====== Tests ====== */

static void version_2_is_told_each_limit(void **unused) {
  (void)unused;
  mle_cgroup group;
  int64_t peak = 0;
  mle_cgroup_make(LIMIT, &group);
  assert_int_equal(group.version, 2);
  assert_true(is_below(&group, "v2/user/me"));
  assert_string_equal(get(group.path, "memory.max"), "67108864");
  assert_string_equal(get(group.path, "memory.swap.max"), "0");
  assert_string_equal(get(group.path, "memory.oom.group"), "1");
  assert_true(mle_cgroup_join(&group));
  assert_string_equal(get(group.path, "cgroup.procs"), "0");
  put(group.path, "memory.events", "low 0\nhigh 0\nmax 12\noom 0\noom_kill 0\noom_group_kill 0\n");
  assert_false(mle_cgroup_exceeded(&group, &peak));
  put(group.path, "memory.events", "low 0\nhigh 0\nmax 31\noom 2\noom_kill 3\noom_group_kill 1\n");
  put(group.path, "memory.peak", "67104768\n");
  assert_true(mle_cgroup_exceeded(&group, &peak));
  assert_int_equal(peak, 67104768);
  mle_cgroup_kill(&group);
  assert_string_equal(get(group.path, "cgroup.kill"), "1");
  assert_true(mle_cgroup_remove(&group));
  assert_true(access(group.path, F_OK) != 0);
  assert_true(mle_cgroup_remove(&group)); /* gone is gone */
}

static void the_controller_is_asked_for(void **unused) {
  (void)unused;
  char own[512];
  mle_cgroup group;
  folder_of("v2/user/me", own);
  put(own, "cgroup.subtree_control", "");
  mle_cgroup_make(LIMIT, &group);
  assert_true(group.version == 2 && is_below(&group, "v2/user/me"));
  assert_string_equal(get(own, "cgroup.subtree_control"), "+memory");
  assert_string_equal(get(group.path, "memory.max"), "67108864");
  assert_true(mle_cgroup_remove(&group));
}

/* The kernel refuses the controller to a group that has processes of its own: the job's stands beside it. */
static void a_group_with_processes_has_a_sibling(void **unused) {
  (void)unused;
  char own[512], path[600];
  mle_cgroup group;
  folder_of("v2/user/me", own);
  snprintf(path, sizeof path, "%s/cgroup.subtree_control", own);
  assert_int_equal(unlink(path), 0);
  assert_int_equal(__real_mkdir(path, 0755), 0); /* cannot be written to, by root either */
  mle_cgroup_make(LIMIT, &group);
  assert_true(group.version == 2 && is_below(&group, "v2/user"));
  assert_string_equal(get(group.path, "memory.max"), "67108864");
  assert_int_equal(__real_rmdir(path), 0);
  assert_int_equal(__wrap_rmdir(own), 0); /* nothing was left in it */
  assert_true(mle_cgroup_remove(&group));
}

static void without_its_controller_version_1_is_taken(void **unused) {
  (void)unused;
  char path[512];
  static const char *const names[] = {"v2/user/me", "v2/user", NULL};
  mle_cgroup group;
  int64_t peak = 0;
  for (const char *const *name = names; *name != NULL; name++) {
    char file[600];
    folder_of(*name, path);
    snprintf(file, sizeof file, "%s/cgroup.subtree_control", path);
    assert_int_equal(unlink(file), 0);
  }
  mle_cgroup_make(LIMIT, &group);
  assert_int_equal(group.version, 1);
  assert_true(is_below(&group, "v1/me"));
  assert_string_equal(get(group.path, "memory.limit_in_bytes"), "67108864");
  assert_string_equal(get(group.path, "memory.memsw.limit_in_bytes"), "67108864");
  assert_string_equal(get(group.path, "memory.oom_control"), "1");
  put(group.path, "memory.oom_control", "oom_kill_disable 1\nunder_oom 0\noom_kill 0\n");
  assert_false(mle_cgroup_exceeded(&group, &peak));
  put(group.path, "memory.oom_control", "oom_kill_disable 1\nunder_oom 1\noom_kill 0\n");
  put(group.path, "memory.max_usage_in_bytes", "67108864\n");
  assert_true(mle_cgroup_exceeded(&group, &peak) && peak == LIMIT);
  assert_true(mle_cgroup_remove(&group));
}

/* Before Linux 5.14 there is no cgroup.kill. */
static void without_a_switch_each_is_killed(void **unused) {
  (void)unused;
  char text[64], path[600];
  mle_cgroup group;
  int how;
  mle_cgroup_make(LIMIT, &group);
  snprintf(path, sizeof path, "%s/cgroup.kill", group.path);
  unlink(path);
  pid_t one = fork();
  if (one == 0) for (;;) pause();
  snprintf(text, sizeof text, "%d\n0\n", (int)one); /* 0: of another namespace; not this process's group */
  put(group.path, "cgroup.procs", text);
  mle_cgroup_kill(&group);
  assert_int_equal(waitpid(one, &how, 0), one);
  assert_true(WIFSIGNALED(how) && WTERMSIG(how) == SIGKILL);
  assert_true(mle_cgroup_remove(&group));
}

static void what_the_dead_left_is_removed(void **unused) {
  (void)unused;
  char dead[512], alive[512], other[512];
  mle_cgroup group;
  pid_t gone = fork();
  if (gone == 0) _exit(0);
  waitpid(gone, NULL, 0);
  snprintf(dead, sizeof dead, "%s/v2/user/me/mlengine-%d-0", top, (int)gone);
  snprintf(alive, sizeof alive, "%s/v2/user/me/mlengine-%d-77", top, (int)getppid());
  snprintf(other, sizeof other, "%s/v2/user/me/session-%d", top, (int)gone);
  assert_true(mkdir(dead, 0755) == 0 && mkdir(alive, 0755) == 0 && mkdir(other, 0755) == 0);
  mle_cgroup_make(LIMIT, &group);
  assert_true(access(dead, F_OK) != 0 && access(alive, F_OK) == 0 && access(other, F_OK) == 0);
  assert_true(mle_cgroup_remove(&group));
}

/* In a container a part of the hierarchy is mounted, and its root is the container's. */
static void a_part_of_the_hierarchy_may_be_mounted(void **unused) {
  (void)unused;
  mle_cgroup group;
  snprintf(groups, sizeof groups, "0::/docker/abc/user/me\n");
  snprintf(mounts, sizeof mounts, "31 20 0:3 /docker/abc %s/v2 rw - cgroup2 cgroup2 rw\n", top);
  mle_cgroup_make(LIMIT, &group);
  assert_true(group.version == 2 && is_below(&group, "v2/user/me"));
  assert_true(mle_cgroup_remove(&group));
}

static void where_there_is_none_none_is_made(void **unused) {
  (void)unused;
  static const char *const own[] = {"", "0::/../elsewhere\n", "0::/nowhere/at/all\n", "0::", "nonsense", "4:memory:\n"};
  mle_cgroup group;
  int64_t peak;
  for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
    snprintf(groups, sizeof groups, "%s", own[i]);
    mle_cgroup_make(LIMIT, &group);
    assert_true(group.path[0] == '\0' && group.version == 0);
  }
  snprintf(groups, sizeof groups, "0::/user/me\n");
  snprintf(mounts, sizeof mounts, "31 20 0:3\n - cgroup2\n31 20 0:3 / /nowhere rw - cgroup2 cgroup2 rw\n");
  mle_cgroup_make(LIMIT, &group);
  assert_true(group.path[0] == '\0');
  assert_false(mle_cgroup_join(&group) || mle_cgroup_exceeded(&group, &peak));
  mle_cgroup_kill(&group);
  assert_true(mle_cgroup_remove(&group));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(version_2_is_told_each_limit),
      TEST(the_controller_is_asked_for),
      TEST(a_group_with_processes_has_a_sibling),
      TEST(without_its_controller_version_1_is_taken),
      TEST(without_a_switch_each_is_killed),
      TEST(what_the_dead_left_is_removed),
      TEST(a_part_of_the_hierarchy_may_be_mounted),
      TEST(where_there_is_none_none_is_made),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
