#include "engine/mlflow/artifacts.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/alloc.h"
#include "engine/base/file.h"
#include "engine/base/hash.h"
#include "engine/base/percent.h"
#include "engine/mlflow/rules.h"

#define DEPTH_MAX 32
#define COPY_SIZE 65536

static mle_status fail_errno(mle_error *err, const char *doing, const char *path) {
  int code = errno;
  return mle_fail(err, code == ENOENT ? MLE_ENOTFOUND : MLE_EIO, "cannot %s '%s': %s", doing, path,
                  strerror(code));
}

/* ====== Names ====== */

static mle_status folder_of_file_uri(const char *uri, mle_arena *memory, const char **out,
                                     mle_error *err) {
  const char *path = uri + strlen("file:");
  if (strncmp(path, "//", 2) == 0) path += 2;
  if (strncmp(path, "localhost/", 10) == 0) path += 9;
  if (*path != '/') return mle_fail(err, MLE_EINVAL, "'%s' does not name an absolute path", uri);
  char *copy = mle_arena_format(memory, "%s", path);
  if (copy == NULL) return mle_nomem(err, "reading an artifact location");
  mle_percent_decode(copy);
  *out = copy;
  return MLE_OK;
}

mle_status mle_artifacts_folder(const char *uri, mle_arena *memory, const char **out,
                                mle_error *err) {
  *out = NULL;
  if (uri == NULL || *uri == '\0') return mle_fail(err, MLE_EINVAL, "an artifact location is missing");
  if (strncasecmp(uri, "file:", 5) == 0) return folder_of_file_uri(uri, memory, out, err);
  size_t scheme = strcspn(uri, ":/");
  if (uri[scheme] == ':')
    return mle_fail(err, MLE_EUNSUPPORTED,
                    "artifacts under %.*s: are not reached by this version; it reaches local folders, "
                    "s3:// and what a tracking server hands out",
                    (int)scheme, uri);
  return mle_arena_copy(memory, uri, out, err);
}

mle_status mle_artifacts_path(const char *root, const char *path, mle_arena *memory,
                              const char **out, mle_error *err) {
  *out = NULL;
  if (path == NULL || *path == '\0') return mle_arena_copy(memory, root, out, err);
  MLE_TRY(mle_mlflow_check_artifact_path(path, err));
  *out = mle_arena_format(memory, "%s/%s", root, path);
  return *out != NULL ? MLE_OK : mle_nomem(err, "naming an artifact");
}

static mle_status make_parent(const char *path, mle_arena *memory, mle_error *err) {
  const char *slash = strrchr(path, '/');
  if (slash == NULL || slash == path) return MLE_OK;
  char *parent = mle_arena_format(memory, "%.*s", (int)(slash - path), path);
  return parent == NULL ? mle_nomem(err, "naming a folder") : mle_make_folders(parent, 0755, err);
}

/* ====== Building aside ====== */

mle_status mle_artifacts_begin(const char *target, mle_arena *memory, const char **aside,
                               mle_error *err) {
  char id[MLE_UUID_TEXT];
  *aside = NULL;
  MLE_TRY(make_parent(target, memory, err));
  char *name = mle_arena_format(memory, "%s.tmp-%.12s", target, mle_uuid_hex(id));
  if (name == NULL) return mle_nomem(err, "naming a folder");
  if (mkdir(name, 0755) != 0) return fail_errno(err, "create folder", name);
  *aside = name;
  return MLE_OK;
}

/* A folder with contents is not replaced by rename: the old one steps aside first. */
static mle_status replace_folder(const char *aside, const char *target, mle_error *err) {
  char id[MLE_UUID_TEXT];
  mle_arena memory = MLE_ARENA;
  mle_status status = MLE_OK;
  char *old = mle_arena_format(&memory, "%s.tmp-%.12s", target, mle_uuid_hex(id));
  if (old == NULL) {
    status = mle_nomem(err, "replacing a folder");
  } else if (rename(target, old) != 0) {
    status = fail_errno(err, "replace", target);
  } else if (rename(aside, target) != 0) {
    status = fail_errno(err, "create", target);
    rename(old, target);
  } else {
    status = mle_remove_tree(old, err);
  }
  mle_arena_release(&memory);
  return status;
}

mle_status mle_artifacts_publish(const char *aside, const char *target, mle_error *err) {
  if (rename(aside, target) != 0) {
    if (errno != ENOTEMPTY && errno != EEXIST && errno != ENOTDIR && errno != EISDIR)
      return fail_errno(err, "create", target);
    MLE_TRY(replace_folder(aside, target, err));
  }
  return mle_file_sync(target, err);
}

/* ====== Copying ====== */

static mle_status copy_bytes(int from, int to, const char *target, mle_error *err) {
  char bytes[COPY_SIZE];
  while (true) {
    ssize_t got = read(from, bytes, sizeof bytes);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail_errno(err, "read for", target);
    if (got == 0) return fsync(to) == 0 ? MLE_OK : fail_errno(err, "sync", target);
    for (ssize_t done = 0, put; done < got; done += put) {
      put = write(to, bytes + done, (size_t)(got - done));
      if (put < 0 && errno != EINTR) return fail_errno(err, "write", target);
      if (put < 0) put = 0;
    }
  }
}

static mle_status copy_file(const char *source, const char *target, mle_error *err) {
  mle_status status;
  int to = -1, from = open(source, O_RDONLY | O_CLOEXEC);
  if (from < 0) return fail_errno(err, "open", source);
  to = open(target, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  status = to < 0 ? fail_errno(err, "create", target) : copy_bytes(from, to, target, err);
  if (to >= 0 && close(to) != 0 && status == MLE_OK) status = fail_errno(err, "close", target);
  close(from);
  return status;
}

static mle_status copy_any(const char *source, const char *target, int depth, mle_error *err);

static mle_status copy_entries(DIR *folder, const char *source, const char *target, int depth,
                               mle_error *err) {
  mle_arena memory = MLE_ARENA;
  mle_status status = MLE_OK;
  for (struct dirent *entry; status == MLE_OK && (entry = readdir(folder)) != NULL;) {
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
    char *from = mle_arena_format(&memory, "%s/%s", source, entry->d_name);
    char *to = mle_arena_format(&memory, "%s/%s", target, entry->d_name);
    status = from == NULL || to == NULL ? mle_nomem(err, "copying a folder")
                                        : copy_any(from, to, depth + 1, err);
  }
  mle_arena_release(&memory);
  return status;
}

static mle_status copy_folder(const char *source, const char *target, int depth, mle_error *err) {
  if (depth > DEPTH_MAX)
    return mle_fail(err, MLE_EINVAL, "cannot copy '%s': nested over %d folders", source, DEPTH_MAX);
  if (mkdir(target, 0755) != 0) return fail_errno(err, "create folder", target);
  DIR *folder = opendir(source);
  if (folder == NULL) return fail_errno(err, "list folder", source);
  mle_status status = copy_entries(folder, source, target, depth, err);
  closedir(folder);
  return status == MLE_OK ? mle_file_sync(target, err) : status;
}

static mle_status copy_any(const char *source, const char *target, int depth, mle_error *err) {
  struct stat info;
  if (stat(source, &info) != 0) return fail_errno(err, "find", source);
  if (S_ISDIR(info.st_mode)) return copy_folder(source, target, depth, err);
  if (S_ISREG(info.st_mode)) return copy_file(source, target, err);
  return mle_fail(err, MLE_EINVAL, "cannot log '%s': neither a file nor a folder", source);
}

static mle_status copy_whole(const char *source, const char *target, mle_arena *memory,
                             mle_error *err) {
  char id[MLE_UUID_TEXT];
  MLE_TRY(make_parent(target, memory, err));
  char *aside = mle_arena_format(memory, "%s.tmp-%.12s", target, mle_uuid_hex(id));
  if (aside == NULL) return mle_nomem(err, "logging an artifact");
  mle_status status = copy_any(source, aside, 0, err);
  if (status == MLE_OK) status = mle_artifacts_publish(aside, target, err);
  if (status != MLE_OK) mle_remove_tree(aside, NULL);
  return status;
}

/* ====== Logging ====== */

mle_status mle_artifacts_write(const char *root, const char *path, const void *bytes, size_t len,
                               mle_error *err) {
  mle_arena memory = MLE_ARENA;
  const char *target;
  mle_status status;
  MLE_GO(mle_artifacts_path(root, path, &memory, &target, err));
  MLE_GO(make_parent(target, &memory, err));
  status = mle_file_replace(target, bytes, len, 0644, err);
done:
  mle_arena_release(&memory);
  return status;
}

mle_status mle_artifacts_add(const char *root, const char *folder, const char *local,
                             mle_error *err) {
  mle_arena memory = MLE_ARENA;
  const char *place, *target;
  mle_status status = MLE_OK;
  char *source = mle_path_absolute(local);
  char *name = source == NULL ? NULL : mle_arena_format(&memory, "%s", mle_path_name(source));
  char *copy = source == NULL ? NULL : mle_arena_format(&memory, "%s", source);
  mle_free(source);
  if (name == NULL || copy == NULL) {
    status = mle_nomem(err, "logging an artifact");
    goto done;
  }
  MLE_GO(mle_artifacts_path(root, folder, &memory, &place, err));
  MLE_GO(mle_artifacts_path(place, name, &memory, &target, err));
  status = copy_whole(copy, target, &memory, err);
done:
  mle_arena_release(&memory);
  return status;
}

/* ====== Listing ====== */

static int by_path(const void *a, const void *b) {
  return strcmp(((const mle_artifact *)a)->path, ((const mle_artifact *)b)->path);
}

static mle_status describe(const char *folder, const char *path, const char *name,
                           mle_arena *memory, mle_artifact *out, mle_error *err) {
  struct stat info;
  char *whole = mle_arena_format(memory, "%s/%s", folder, name);
  bool at_root = path == NULL || *path == '\0';
  out->path = at_root ? mle_arena_format(memory, "%s", name)
                      : mle_arena_format(memory, "%s/%s", path, name);
  if (whole == NULL || out->path == NULL) return mle_nomem(err, "listing artifacts");
  if (stat(whole, &info) != 0) return fail_errno(err, "look at", whole);
  out->is_folder = S_ISDIR(info.st_mode);
  out->size = out->is_folder ? 0 : info.st_size;
  return MLE_OK;
}

mle_status mle_artifacts_list(const char *root, const char *path, mle_arena *memory,
                              mle_artifact_list *out, mle_error *err) {
  const char *folder;
  mle_artifact *list = NULL;
  mle_status status = MLE_OK;
  *out = (mle_artifact_list){0};
  MLE_TRY(mle_artifacts_path(root, path, memory, &folder, err));
  DIR *entries = opendir(folder);
  if (entries == NULL) return errno == ENOENT ? MLE_OK : fail_errno(err, "list folder", folder);
  for (struct dirent *entry; status == MLE_OK && (entry = readdir(entries)) != NULL;) {
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
    if (strstr(entry->d_name, ".tmp-") != NULL) continue;
    list = mle_arena_grow(memory, list, out->count, sizeof *list);
    status = list == NULL ? mle_nomem(err, "listing artifacts")
                          : describe(folder, path, entry->d_name, memory, &list[out->count++], err);
  }
  closedir(entries);
  if (list != NULL) qsort(list, out->count, sizeof *list, by_path);
  out->item = list;
  return status;
}
