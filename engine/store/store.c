#include "engine/store/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "engine/base/alloc.h"
#include "engine/base/file.h"

#define DEPTH_MAX 64

/* ====== URIs ====== */

static const char *after(const char *text, const char *prefix) {
  size_t len = strlen(prefix);
  return strncmp(text, prefix, len) == 0 ? text + len : NULL;
}

/* RFC 8089: file:/p, file:///p and file://localhost/p name the same file. */
static const char *find_local_path(const char *uri) {
  static const char *const prefixes[] = {"file://localhost", "file://", "file:", ""};
  for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
    const char *path = after(uri, prefixes[i]);
    if (path != NULL && path[0] == '/' && (i == 1 || path[1] != '/')) return path;
  }
  return NULL;
}

mle_status mle_store_local_path(const char *uri, const char **out, mle_error *err) {
  *out = find_local_path(uri);
  if (*out != NULL) return MLE_OK;
  const char *colon = strstr(uri, "://");
  if (colon == NULL || after(uri, "file:") != NULL)
    return mle_fail(err, MLE_EINVAL, "'%s' is neither an absolute path nor a file: URI", uri);
  return mle_fail(err, MLE_EUNSUPPORTED,
                  "'%s': this version reads and writes local files only, not %.*s://", uri,
                  (int)(colon - uri), uri);
}

/* ====== Objects ====== */

mle_status mle_store_read(const char *uri, mle_buffer *out, mle_error *err) {
  const char *path;
  MLE_TRY(mle_store_local_path(uri, &path, err));
  return mle_file_read(path, out, err);
}

mle_status mle_store_read_range(const char *uri, int64_t offset, size_t len, mle_buffer *out,
                                mle_error *err) {
  const char *path;
  MLE_TRY(mle_store_local_path(uri, &path, err));
  return mle_file_read_range(path, offset, len, out, err);
}

static mle_status make_folder_of(const char *path, mle_error *err) {
  const char *slash = strrchr(path, '/');
  if (slash == path) return MLE_OK;
  char *folder = mle_strndup(path, (size_t)(slash - path));
  if (folder == NULL) return mle_nomem(err, "creating a folder");
  mle_status status = mle_make_folders(folder, 0755, err);
  mle_free(folder);
  return status;
}

mle_status mle_store_create(const char *uri, const void *bytes, size_t len, mle_error *err) {
  const char *path;
  MLE_TRY(mle_store_local_path(uri, &path, err));
  MLE_TRY(make_folder_of(path, err));
  return mle_file_create(path, bytes, len, 0644, err);
}

mle_status mle_store_replace(const char *uri, const void *bytes, size_t len, mle_error *err) {
  const char *path;
  MLE_TRY(mle_store_local_path(uri, &path, err));
  MLE_TRY(make_folder_of(path, err));
  return mle_file_replace(path, bytes, len, 0644, err);
}

mle_status mle_store_remove(const char *uri, mle_error *err) {
  const char *path;
  MLE_TRY(mle_store_local_path(uri, &path, err));
  return mle_file_remove(path, err);
}

mle_status mle_store_exists(const char *uri, bool *out, mle_error *err) {
  const char *path;
  *out = false;
  MLE_TRY(mle_store_local_path(uri, &path, err));
  *out = mle_file_exists(path);
  return MLE_OK;
}

mle_status mle_store_size(const char *uri, int64_t *out, mle_error *err) {
  const char *path;
  *out = 0;
  MLE_TRY(mle_store_local_path(uri, &path, err));
  return mle_file_size(path, out, err);
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

mle_status mle_store_list(const char *folder, mle_store_visit visit, void *context,
                          mle_error *err) {
  const char *path;
  MLE_TRY(mle_store_local_path(folder, &path, err));
  listing l = {visit, context, (size_t)(path - folder)};
  return list_folder(&l, folder, 0, err);
}

mle_status mle_store_list_names(const char *folder, mle_store_visit_name visit, void *context,
                                mle_error *err) {
  const char *path;
  DIR *dir;
  MLE_TRY(mle_store_local_path(folder, &path, err));
  MLE_TRY(open_folder(folder, path, &dir, err));
  if (dir == NULL) return MLE_OK;
  mle_status status = MLE_OK;
  for (struct dirent *entry; status == MLE_OK && (entry = next_entry(dir)) != NULL;) {
    struct stat info;
    if (fstatat(dirfd(dir), entry->d_name, &info, AT_SYMLINK_NOFOLLOW) != 0) continue; /* gone */
    if (S_ISDIR(info.st_mode) || S_ISREG(info.st_mode))
      status = visit(context, entry->d_name, S_ISDIR(info.st_mode), err);
  }
  closedir(dir);
  return status;
}
