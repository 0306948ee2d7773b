#include "engine/xgboost/cache.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "engine/base/alloc.h"
#include "engine/base/file.h"
#include "engine/base/log.h"

static const char prefix[] = "mlengine-matrix-";

/* Of "mlengine-matrix-PID-XXXXXX" when that process is gone. */
static bool is_abandoned(const char *name) {
  if (strncmp(name, prefix, sizeof prefix - 1) != 0) return false;
  long pid = strtol(name + sizeof prefix - 1, NULL, 10);
  return pid > 0 && kill((pid_t)pid, 0) != 0 && errno == ESRCH;
}

static void remove_abandoned(const char *parent) {
  DIR *folder = opendir(parent);
  if (folder == NULL) return;
  for (const struct dirent *e = readdir(folder); e != NULL; e = readdir(folder)) {
    char *path = is_abandoned(e->d_name) ? mle_path_join(parent, e->d_name) : NULL;
    if (path != NULL) mle_remove_tree(path, NULL);
    mle_free(path);
  }
  closedir(folder);
}

static mle_status check_space(const char *parent, size_t bytes, mle_error *err) {
  struct statvfs disk;
  if (statvfs(parent, &disk) != 0)
    return mle_fail(err, MLE_EIO, "external_memory in '%s': %s", parent, strerror(errno));
  unsigned long long free_bytes = (unsigned long long)disk.f_bavail * disk.f_frsize;
  if (free_bytes / 10 * 9 >= bytes) return MLE_OK;
  return mle_fail(err, MLE_EREFUSED,
                  "external_memory: the files take about %zu MiB, '%s' has %llu MiB free", bytes >> 20,
                  parent, free_bytes >> 20);
}

/* The library reads the path out of JSON that we write. */
static mle_status check_name(const char *parent, mle_error *err) {
  if (strpbrk(parent, "\"\\") == NULL) return MLE_OK;
  return mle_fail(err, MLE_EREFUSED, "external_memory: the folder '%s' has a quote in its name", parent);
}

mle_status mle_cache_make(const char *parent, size_t bytes, char **out, mle_error *err) {
  *out = NULL;
  if (parent == NULL) parent = "/tmp";
  MLE_TRY(check_name(parent, err));
  MLE_TRY(mle_make_folders(parent, 0700, err));
  remove_abandoned(parent);
  MLE_TRY(check_space(parent, bytes * 2, err)); /* the index and its columns */
  char *path = mle_format("%s/%s%ld-XXXXXX", parent, prefix, (long)getpid());
  if (path == NULL) return mle_nomem(err, "external_memory");
  if (mkdtemp(path) == NULL) {
    mle_free(path);
    return mle_fail(err, MLE_EIO, "external_memory in '%s': %s", parent, strerror(errno));
  }
  *out = path;
  return MLE_OK;
}

void mle_cache_remove(char *folder) {
  mle_error err;
  if (folder == NULL) return;
  if (mle_remove_tree(folder, &err) != MLE_OK) mle_log(MLE_WARN, "%s", err.message);
  mle_free(folder);
}
