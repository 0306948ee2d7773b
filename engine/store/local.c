#include "engine/store/local.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "engine/base/alloc.h"
#include "engine/base/file.h"

#define DEPTH_MAX 64

static mle_status make_folder_of(const char *path, mle_error *err) {
  const char *slash = strrchr(path, '/');
  if (slash == path) return MLE_OK;
  char *folder = mle_strndup(path, (size_t)(slash - path));
  if (folder == NULL) return mle_nomem(err, "creating a folder");
  mle_status status = mle_make_folders(folder, 0755, err);
  mle_free(folder);
  return status;
}

mle_status mle_local_create(const char *path, const void *bytes, size_t len, mle_error *err) {
  MLE_TRY(make_folder_of(path, err));
  return mle_file_create(path, bytes, len, 0644, err);
}

mle_status mle_local_replace(const char *path, const void *bytes, size_t len, mle_error *err) {
  MLE_TRY(make_folder_of(path, err));
  return mle_file_replace(path, bytes, len, 0644, err);
}

/* ====== Listing ====== */

typedef struct listing {
  mle_store_visit visit;
  void *context;
  size_t prefix; /* bytes of a URI before its path */
} listing;

static mle_status list_folder(const listing *l, const char *folder, int depth, mle_error *err);

/* The next entry that is not the folder itself or its parent; NULL after the last. */
static struct dirent *next_entry(DIR *dir) {
  struct dirent *entry = readdir(dir);
  while (entry != NULL && (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0))
    entry = readdir(dir);
  return entry;
}

/* Sets `out` to NULL where there is no such folder. */
static mle_status open_folder(const char *folder, const char *path, DIR **out, mle_error *err) {
  *out = opendir(path);
  if (*out != NULL || errno == ENOENT || errno == ENOTDIR) return MLE_OK;
  return mle_fail(err, MLE_EIO, "cannot list '%s': %s", folder, strerror(errno));
}

static mle_status list_entry(const listing *l, const char *folder, const char *name, int depth,
                             mle_error *err) {
  char *uri = mle_format("%s/%s", folder, name);
  if (uri == NULL) return mle_nomem(err, "listing a folder");
  struct stat info;
  mle_status status = MLE_OK;
  if (lstat(uri + l->prefix, &info) != 0)
    status = MLE_OK; /* removed since the folder was read */
  else if (S_ISDIR(info.st_mode))
    status = list_folder(l, uri, depth + 1, err);
  else if (S_ISREG(info.st_mode))
    status = l->visit(l->context, uri, info.st_size, err);
  mle_free(uri);
  return status;
}

static mle_status list_folder(const listing *l, const char *folder, int depth, mle_error *err) {
  if (depth > DEPTH_MAX)
    return mle_fail(err, MLE_EREFUSED, "'%s' is nested more than %d folders deep", folder,
                    DEPTH_MAX);
  DIR *dir;
  MLE_TRY(open_folder(folder, folder + l->prefix, &dir, err));
  if (dir == NULL) return MLE_OK;
  mle_status status = MLE_OK;
  for (struct dirent *entry; status == MLE_OK && (entry = next_entry(dir)) != NULL;)
    status = list_entry(l, folder, entry->d_name, depth, err);
  closedir(dir);
  return status;
}

mle_status mle_local_list(const char *folder, const char *path, mle_store_visit visit,
                          void *context, mle_error *err) {
  listing l = {visit, context, (size_t)(path - folder)};
  return list_folder(&l, folder, 0, err);
}

mle_status mle_local_list_names(const char *folder, const char *path, mle_store_visit_name visit,
                                void *context, mle_error *err) {
  DIR *dir;
  MLE_TRY(open_folder(folder, path, &dir, err));
  if (dir == NULL) return MLE_OK;
  mle_status status = MLE_OK;
  for (struct dirent *entry; status == MLE_OK && (entry = next_entry(dir)) != NULL;) {
    struct stat info;
    if (fstatat(dirfd(dir), entry->d_name, &info, AT_SYMLINK_NOFOLLOW) != 0) continue; /* gone */
    if (S_ISDIR(info.st_mode) || S_ISREG(info.st_mode))
      status = visit(context, entry->d_name, S_ISDIR(info.st_mode) ? -1 : info.st_size, err);
  }
  closedir(dir);
  return status;
}
