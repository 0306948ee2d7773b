#include "engine/mlflow/artifact_store.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/alloc.h"
#include "engine/base/file.h"
#include "engine/mlflow/artifacts_s3.h"
#include "engine/mlflow/rules.h"

#define SCHEME "mlflow-artifacts:/"
#define DEPTH_MAX 32

/* How artifacts on another machine are reached: these calls, with this path. */
typedef struct place {
  mle_mlflow *store;
  const mle_artifact_calls *call;
  const char *path;
} place;

static bool is_proxied(const char *uri) {
  return uri != NULL && strncmp(uri, SCHEME, strlen(SCHEME)) == 0;
}

bool mle_mlflow_is_remote(const char *uri) { return is_proxied(uri) || mle_artifacts_s3_is(uri); }

static mle_status find_place(mle_mlflow *store, const char *uri, place *out, mle_error *err) {
  *out = (place){store, &mle_artifacts_s3, uri};
  if (!is_proxied(uri)) return mle_artifacts_s3_open(uri, err);
  out->path = uri + strlen(SCHEME);
  if (*out->path == '/')
    return mle_fail(err, MLE_EUNSUPPORTED, "artifacts of another server ('%s') are not reached", uri);
  out->call = store == NULL ? NULL : store->call->artifacts;
  if (out->call != NULL) return MLE_OK;
  return mle_fail(err, MLE_EUNSUPPORTED,
                  "'%s' is reached through its tracking server only: set MLFLOW_TRACKING_URI to it",
                  uri);
}

mle_status mle_mlflow_below(const char *uri, const char *path, mle_arena *memory,
                              const char **out, mle_error *err) {
  if (path == NULL || *path == '\0') return mle_arena_copy(memory, uri, out, err);
  MLE_TRY(mle_mlflow_check_artifact_path(path, err));
  *out = mle_arena_format(memory, "%s/%s", uri, path);
  return *out != NULL ? MLE_OK : mle_nomem(err, "naming an artifact");
}

/* ====== Uploads ====== */

static mle_status upload_any(const place *p, const char *path, const char *local, int depth,
                             mle_error *err);

static mle_status upload_entries(const place *p, DIR *folder, const char *path,
                                 const char *local, int depth, mle_error *err) {
  mle_arena memory = MLE_ARENA;
  mle_status status = MLE_OK;
  for (struct dirent *entry; status == MLE_OK && (entry = readdir(folder)) != NULL;) {
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
    char *from = mle_arena_format(&memory, "%s/%s", local, entry->d_name);
    char *to = mle_arena_format(&memory, "%s/%s", path, entry->d_name);
    status = from == NULL || to == NULL ? mle_nomem(err, "uploading a folder")
                                        : upload_any(p, to, from, depth + 1, err);
  }
  mle_arena_release(&memory);
  return status;
}

static mle_status upload_any(const place *p, const char *path, const char *local, int depth,
                             mle_error *err) {
  struct stat info;
  if (stat(local, &info) != 0)
    return mle_fail(err, errno == ENOENT ? MLE_ENOTFOUND : MLE_EIO, "cannot find '%s': %s", local,
                    strerror(errno));
  if (S_ISREG(info.st_mode)) return p->call->upload(p->store, path, local, err);
  if (!S_ISDIR(info.st_mode))
    return mle_fail(err, MLE_EINVAL, "cannot log '%s': neither a file nor a folder", local);
  if (depth > DEPTH_MAX)
    return mle_fail(err, MLE_EINVAL, "cannot log '%s': nested over %d folders", local, DEPTH_MAX);
  DIR *folder = opendir(local);
  if (folder == NULL)
    return mle_fail(err, MLE_EIO, "cannot list folder '%s': %s", local, strerror(errno));
  mle_status status = upload_entries(p, folder, path, local, depth, err);
  closedir(folder);
  return status;
}

static mle_status put_remote(mle_mlflow *store, const char *uri, const char *folder,
                             const char *local, mle_error *err) {
  mle_arena memory = MLE_ARENA;
  place p;
  const char *into, *target;
  mle_status status;
  char *source = mle_path_absolute(local);
  if (source == NULL) return mle_nomem(err, "logging an artifact");
  MLE_GO(find_place(store, uri, &p, err));
  MLE_GO(mle_mlflow_below(p.path, folder, &memory, &into, err));
  MLE_GO(mle_mlflow_below(into, mle_path_name(source), &memory, &target, err));
  status = upload_any(&p, target, source, 0, err);
done:
  mle_free(source);
  mle_arena_release(&memory);
  return status;
}

mle_status mle_mlflow_put_artifact(mle_mlflow *store, const char *uri, const char *folder,
                            const char *local, mle_error *err) {
  mle_arena memory = MLE_ARENA;
  const char *root;
  if (mle_mlflow_is_remote(uri)) return put_remote(store, uri, folder, local, err);
  mle_status status = mle_artifacts_folder(uri, &memory, &root, err);
  if (status == MLE_OK) status = mle_artifacts_add(root, folder, local, err);
  mle_arena_release(&memory);
  return status;
}

mle_status mle_mlflow_put_contents(mle_mlflow *store, const char *uri, const char *local,
                                     mle_error *err) {
  place p;
  MLE_TRY(find_place(store, uri, &p, err));
  return upload_any(&p, p.path, local, 0, err);
}

/* Bytes go through a file of their own: one way for all uploads. */
static mle_status put_bytes_remote(mle_mlflow *store, const char *uri, const char *path,
                                   const void *bytes, size_t len, mle_error *err) {
  char folder[] = "/tmp/mlengine-artifact-XXXXXX";
  mle_arena memory = MLE_ARENA;
  place p;
  const char *target;
  mle_status status;
  if (mkdtemp(folder) == NULL)
    return mle_fail(err, MLE_EIO, "cannot create folder '%s': %s", folder, strerror(errno));
  char *file = mle_arena_format(&memory, "%s/bytes", folder);
  if (file == NULL) {
    status = mle_nomem(err, "logging an artifact");
    goto done;
  }
  MLE_GO(find_place(store, uri, &p, err));
  MLE_GO(mle_mlflow_below(p.path, path, &memory, &target, err));
  MLE_GO(mle_file_create(file, bytes, len, 0600, err));
  status = p.call->upload(p.store, target, file, err);
done:
  mle_remove_tree(folder, NULL);
  mle_arena_release(&memory);
  return status;
}

mle_status mle_mlflow_put_bytes(mle_mlflow *store, const char *uri, const char *path,
                                  const void *bytes, size_t len, mle_error *err) {
  mle_arena memory = MLE_ARENA;
  const char *root;
  if (mle_mlflow_is_remote(uri)) return put_bytes_remote(store, uri, path, bytes, len, err);
  mle_status status = mle_artifacts_folder(uri, &memory, &root, err);
  if (status == MLE_OK) status = mle_artifacts_write(root, path, bytes, len, err);
  mle_arena_release(&memory);
  return status;
}

/* ====== Listing ====== */

static int by_path(const void *a, const void *b) {
  return strcmp(((const mle_artifact *)a)->path, ((const mle_artifact *)b)->path);
}

/* Paths below `root`, as a local listing has them. */
static mle_status list_remote(mle_mlflow *store, const char *uri, const char *path,
                              mle_arena *memory, mle_artifact_list *out, mle_error *err) {
  place p;
  const char *folder;
  MLE_TRY(find_place(store, uri, &p, err));
  MLE_TRY(mle_mlflow_below(p.path, path, memory, &folder, err));
  MLE_TRY(p.call->list(p.store, folder, memory, out, err));
  mle_artifact *list = mle_arena_array(memory, out->count + 1, sizeof *list);
  if (list == NULL) return mle_nomem(err, "listing artifacts");
  for (size_t i = 0; i < out->count; i++) {
    list[i] = out->item[i];
    list[i].path += strlen(p.path) + (*p.path != '\0');
  }
  qsort(list, out->count, sizeof *list, by_path);
  out->item = list;
  return MLE_OK;
}

mle_status mle_mlflow_list_artifacts(mle_mlflow *store, const char *uri, const char *path,
                             mle_arena *memory, mle_artifact_list *out, mle_error *err) {
  const char *root;
  *out = (mle_artifact_list){0};
  if (mle_mlflow_is_remote(uri)) return list_remote(store, uri, path, memory, out, err);
  MLE_TRY(mle_artifacts_folder(uri, memory, &root, err));
  return mle_artifacts_list(root, path, memory, out, err);
}

/* What a path names there: listing a file gives nothing, so its folder is asked. */
typedef enum kind { NOTHING, A_FILE, A_FOLDER } kind;

static mle_status kind_of(const place *p, mle_arena *memory, kind *out, mle_error *err) {
  mle_artifact_list list = {0};
  const char *path = p->path, *slash = strrchr(path, '/');
  char *folder = mle_arena_format(memory, "%.*s", slash == NULL ? 0 : (int)(slash - path), path);
  *out = NOTHING;
  if (folder == NULL) return mle_nomem(err, "looking for an artifact");
  MLE_TRY(p->call->list(p->store, folder, memory, &list, err));
  for (size_t i = 0; i < list.count; i++)
    if (strcmp(list.item[i].path, path) == 0) *out = list.item[i].is_folder ? A_FOLDER : A_FILE;
  return MLE_OK;
}

mle_status mle_mlflow_has_artifact(mle_mlflow *store, const char *uri, bool *out, mle_error *err) {
  mle_arena memory = MLE_ARENA;
  place p;
  const char *path;
  kind found;
  mle_status status;
  *out = false;
  if (mle_mlflow_is_remote(uri)) {
    MLE_GO(find_place(store, uri, &p, err));
    MLE_GO(kind_of(&p, &memory, &found, err));
    *out = found != NOTHING;
  } else {
    MLE_GO(mle_artifacts_folder(uri, &memory, &path, err));
    *out = mle_file_exists(path);
  }
done:
  mle_arena_release(&memory);
  return status;
}

/* ====== Downloads ====== */

/* A name that another machine sends must stay inside. */
static mle_status name_below(const char *folder, const char *path, mle_arena *memory,
                             const char **out, mle_error *err) {
  const char *name = mle_path_name(path);
  MLE_TRY(mle_mlflow_check_artifact_path(name, err));
  *out = mle_arena_format(memory, "%s/%s", folder, name);
  return *out != NULL ? MLE_OK : mle_nomem(err, "downloading artifacts");
}

static mle_status download_folder(const place *p, const char *path, const char *to, int depth,
                                  mle_error *err) {
  mle_arena memory = MLE_ARENA;
  mle_artifact_list list = {0};
  mle_status status;
  if (depth > DEPTH_MAX)
    return mle_fail(err, MLE_EINVAL, "artifact '%s' is nested over %d folders", path, DEPTH_MAX);
  MLE_GO(mle_make_folders(to, 0700, err));
  MLE_GO(p->call->list(p->store, path, &memory, &list, err));
  for (size_t i = 0; i < list.count; i++) {
    const char *target;
    MLE_GO(name_below(to, list.item[i].path, &memory, &target, err));
    if (list.item[i].is_folder)
      MLE_GO(download_folder(p, list.item[i].path, target, depth + 1, err));
    else
      MLE_GO(p->call->download(p->store, list.item[i].path, target, err));
  }
done:
  mle_arena_release(&memory);
  return status;
}

mle_status mle_mlflow_fetch(mle_mlflow *store, const char *uri, const char *target,
                              mle_error *err) {
  mle_arena memory = MLE_ARENA;
  place p;
  const char *aside = NULL;
  char *whole = NULL;
  kind found;
  mle_status status;
  MLE_GO(find_place(store, uri, &p, err));
  MLE_GO(kind_of(&p, &memory, &found, err));
  if (found == NOTHING) {
    status = mle_fail(err, MLE_ENOTFOUND, "nothing is at '%s'", uri);
    goto done;
  }
  MLE_GO(mle_artifacts_begin(target, &memory, &aside, err));
  whole = mle_arena_format(&memory, "%s/whole", aside);
  if (whole == NULL) {
    status = mle_nomem(err, "downloading artifacts");
    goto done;
  }
  MLE_GO(found == A_FILE ? p.call->download(p.store, p.path, whole, err)
                         : download_folder(&p, p.path, whole, 0, err));
  status = mle_artifacts_publish(whole, target, err);
done:
  if (aside != NULL) mle_remove_tree(aside, NULL);
  if (status != MLE_OK) mle_context(err, "downloading '%s'", uri);
  mle_arena_release(&memory);
  return status;
}
