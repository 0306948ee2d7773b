#include "engine/store/store.h"

#include <string.h>

#include "engine/base/alloc.h"
#include "engine/base/file.h"
#include "engine/store/cache.h"
#include "engine/store/grant.h"
#include "engine/store/local.h"
#include "engine/store/s3.h"


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

bool mle_store_is_remote(const char *uri) { return mle_store_needs_grant(uri); }

/* The path of a local object, or NULL for one on S3; all other schemes are refused. */
static mle_status find_place(const char *uri, const char **out, mle_error *err) {
  *out = find_local_path(uri);
  if (*out != NULL || mle_store_is_remote(uri)) return MLE_OK;
  const char *colon = strstr(uri, "://");
  if (colon == NULL || after(uri, "file:") != NULL)
    return mle_fail(err, MLE_EINVAL, "'%s' is neither an absolute path nor a URI with a scheme", uri);
  return mle_fail(err, MLE_EUNSUPPORTED,
                  "'%s': this version reads and writes local files and s3://, not %.*s://", uri,
                  (int)(colon - uri), uri);
}

mle_status mle_store_check(const char *uri, mle_error *err) {
  const char *path;
  return find_place(uri, &path, err);
}

mle_status mle_store_local_path(const char *uri, const char **out, mle_error *err) {
  MLE_TRY(find_place(uri, out, err));
  if (*out != NULL) return MLE_OK;
  return mle_fail(err, MLE_EUNSUPPORTED, "'%s' is not on this machine, which is needed here", uri);
}

mle_status mle_store_data_path(const char *uri, const char **out, mle_error *err) {
  MLE_TRY(find_place(uri, out, err));
  if (*out == NULL) *out = uri;
  return MLE_OK;
}

/* ====== Objects ====== */

mle_status mle_store_read(const char *uri, mle_buffer *out, mle_error *err) {
  const char *path;
  MLE_TRY(find_place(uri, &path, err));
  return path != NULL ? mle_file_read(path, out, err) : mle_s3_read(uri, out, err);
}

mle_status mle_store_read_range(const char *uri, int64_t offset, size_t len, mle_buffer *out,
                                mle_error *err) {
  const char *path;
  MLE_TRY(find_place(uri, &path, err));
  return path != NULL ? mle_file_read_range(path, offset, len, out, err)
                      : mle_s3_read_range(uri, offset, len, out, err);
}

mle_status mle_store_create(const char *uri, const void *bytes, size_t len, mle_error *err) {
  const char *path;
  MLE_TRY(find_place(uri, &path, err));
  return path != NULL ? mle_local_create(path, bytes, len, err)
                      : mle_s3_create(uri, bytes, len, err);
}

mle_status mle_store_replace(const char *uri, const void *bytes, size_t len, mle_error *err) {
  const char *path;
  MLE_TRY(find_place(uri, &path, err));
  return path != NULL ? mle_local_replace(path, bytes, len, err)
                      : mle_s3_replace(uri, bytes, len, err);
}

mle_status mle_store_upload(const char *uri, const char *from, mle_error *err) {
  MLE_TRY(mle_store_check(uri, err));
  if (!mle_store_is_remote(uri))
    return mle_fail(err, MLE_EINVAL, "'%s' is on this machine already", uri);
  return mle_s3_upload(uri, from, err);
}

mle_status mle_store_remove(const char *uri, mle_error *err) {
  const char *path;
  MLE_TRY(find_place(uri, &path, err));
  return path != NULL ? mle_file_remove(path, err) : mle_s3_remove(uri, err);
}

mle_status mle_store_exists(const char *uri, bool *out, mle_error *err) {
  const char *path;
  int64_t size;
  *out = false;
  MLE_TRY(find_place(uri, &path, err));
  if (path == NULL) return mle_s3_stat(uri, out, &size, err);
  *out = mle_file_exists(path);
  return MLE_OK;
}

mle_status mle_store_size(const char *uri, int64_t *out, mle_error *err) {
  const char *path;
  bool exists;
  *out = 0;
  MLE_TRY(find_place(uri, &path, err));
  if (path != NULL) return mle_file_size(path, out, err);
  MLE_TRY(mle_s3_stat(uri, &exists, out, err));
  return exists ? MLE_OK : mle_fail(err, MLE_ENOTFOUND, "'%s' does not exist", uri);
}

/* ====== Listing ====== */

mle_status mle_store_list(const char *folder, mle_store_visit visit, void *context,
                          mle_error *err) {
  const char *path;
  MLE_TRY(find_place(folder, &path, err));
  return path != NULL ? mle_local_list(folder, path, visit, context, err)
                      : mle_s3_list(folder, visit, context, err);
}

mle_status mle_store_list_names(const char *folder, mle_store_visit_name visit, void *context,
                                mle_error *err) {
  const char *path;
  MLE_TRY(find_place(folder, &path, err));
  return path != NULL ? mle_local_list_names(folder, path, visit, context, err)
                      : mle_s3_list_names(folder, visit, context, err);
}
