#include "engine/deploy/keep.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "engine/base/alloc.h"
#include "engine/base/file.h"
#include "engine/deploy/records.h"
#include "engine/deploy/yaml.h"

#define FILE_MAX ((size_t)1 << 30)
#define TEMPORARY ".tmp-"
#define LEFT_BEHIND_S (24 * 60 * 60)
#define NAME_DIGITS 16 /* of the digest, as the folder's name */

/* What a copy holds: MLmodel first, the flavour's data second, then what may be absent. */
enum { MLMODEL, DATA, EXAMPLE, INPUT_EXAMPLE, NUM_FILES };

typedef struct files {
  mle_arena memory;
  const char *name[NUM_FILES];
} files;

static mle_status read_file(const char *folder, const char *name, bool optional, mle_buffer *out,
                            mle_error *err) {
  *out = MLE_BUFFER(FILE_MAX);
  char *path = mle_path_join(folder, name);
  if (path == NULL) return mle_nomem(err, "reading a model");
  mle_status status =
      optional && !mle_file_exists(path) ? MLE_OK : mle_file_read(path, out, err);
  mle_free(path);
  return status;
}

mle_status mle_keep_data_file(const char *source, mle_arena *memory, const char **out,
                              mle_error *err) {
  mle_buffer text;
  mle_yaml *doc;
  mle_status status;
  *out = NULL;
  MLE_GO(read_file(source, "MLmodel", false, &text, err));
  MLE_GO(mle_yaml_parse(text.data == NULL ? "" : text.data, text.len, memory, &doc, err));
  *out = mle_yaml_find(doc, "flavors.xgboost.data");
  if (*out == NULL)
    status = mle_fail(err, MLE_EUNSUPPORTED, "%s/MLmodel has no xgboost flavour; only XGBoost "
                                             "models are deployed", source);
  else if (strchr(*out, '/') != NULL || strcmp(*out, "..") == 0)
    status = mle_fail(err, MLE_EREFUSED, "%s/MLmodel: its data file '%s' is not in the folder",
                      source, *out);
done:
  mle_buffer_release(&text);
  return status;
}

static mle_status list_files(const char *source, files *out, mle_error *err) {
  out->memory = MLE_ARENA;
  out->name[MLMODEL] = "MLmodel";
  out->name[EXAMPLE] = "serving_input_example.json";
  out->name[INPUT_EXAMPLE] = "input_example.json";
  return mle_keep_data_file(source, &out->memory, &out->name[DATA], err);
}

/* A digest of the files' digests. */
static mle_status digest(const char *folder, const files *f, char out[MLE_SHA256_HEX],
                         mle_error *err) {
  char digests[NUM_FILES * MLE_SHA256_HEX];
  for (int i = 0; i < NUM_FILES; i++) {
    mle_buffer bytes;
    mle_status status = read_file(folder, f->name[i], i >= EXAMPLE, &bytes, err);
    if (status == MLE_OK)
      status = mle_sha256_hex(bytes.data == NULL ? "" : bytes.data, bytes.len,
                              digests + i * MLE_SHA256_HEX, err);
    mle_buffer_release(&bytes);
    MLE_TRY(status);
  }
  return mle_sha256_hex(digests, sizeof digests, out, err);
}

mle_status mle_keep_plan(const char *source, const char *models, mle_kept *out, mle_error *err) {
  files f;
  mle_status status;
  *out = (mle_kept){{0}, {0}};
  MLE_GO(list_files(source, &f, err));
  MLE_GO(digest(source, &f, out->sha256, err));
  int len = snprintf(out->path, sizeof out->path, "%s/%.*s", models, NAME_DIGITS, out->sha256);
  if (len >= (int)sizeof out->path)
    status = mle_fail(err, MLE_EINVAL, "the path of the project's models is too long");
done:
  mle_arena_release(&f.memory);
  return status;
}

/* ====== Copying ====== */

static mle_status copy_file(const char *source, const char *target, const char *name,
                            bool optional, mle_error *err) {
  mle_buffer bytes;
  char *path = mle_path_join(target, name);
  mle_status status = path == NULL ? mle_nomem(err, "copying a model") : MLE_OK;
  bytes = MLE_BUFFER(FILE_MAX);
  if (status == MLE_OK) status = read_file(source, name, optional, &bytes, err);
  if (status == MLE_OK && bytes.data != NULL)
    status = mle_file_replace(path, bytes.data, bytes.len, 0600, err);
  mle_buffer_release(&bytes);
  mle_free(path);
  return status;
}

/* The copy is made beside its name and takes it in one step: it is whole or absent. */
static mle_status copy_files(const char *source, const mle_kept *kept, const files *f,
                             mle_error *err) {
  char *temporary = mle_format("%s" TEMPORARY "%ld", kept->path, (long)getpid());
  if (temporary == NULL) return mle_nomem(err, "copying a model");
  mle_status status;
  MLE_GO(mle_remove_tree(temporary, err));
  MLE_GO(mle_make_folders(temporary, 0700, err));
  for (int i = 0; i < NUM_FILES; i++)
    MLE_GO(copy_file(source, temporary, f->name[i], i >= EXAMPLE, err));
  if (rename(temporary, kept->path) != 0 && errno != EEXIST && errno != ENOTEMPTY)
    status = mle_fail(err, MLE_EIO, "cannot create folder '%s': %s", kept->path, strerror(errno));
  else
    status = mle_file_sync(kept->path, err); /* before a record says that it is there */
done:
  mle_remove_tree(temporary, NULL);
  mle_free(temporary);
  return status;
}

mle_status mle_keep_copy(const char *source, const mle_kept *kept, mle_error *err) {
  files f;
  if (mle_file_exists(kept->path) && mle_keep_check(kept, NULL) == MLE_OK)
    return mle_file_sync(kept->path, err); /* whoever made it may not have come so far */
  MLE_TRY(mle_remove_tree(kept->path, err)); /* damaged: the source is at hand */
  mle_status status = list_files(source, &f, err);
  if (status == MLE_OK) status = copy_files(source, kept, &f, err);
  mle_arena_release(&f.memory);
  return status == MLE_OK ? mle_keep_check(kept, err) : status;
}

mle_status mle_keep_check(const mle_kept *kept, mle_error *err) {
  files f;
  char found[MLE_SHA256_HEX];
  mle_status status = list_files(kept->path, &f, err);
  if (status == MLE_OK) status = digest(kept->path, &f, found, err);
  mle_arena_release(&f.memory);
  if (status != MLE_OK || strcmp(found, kept->sha256) == 0) return status;
  return mle_fail(err, MLE_EFORMAT, "the model in '%s' was changed since it was deployed; release "
                                    "it again", kept->path);
}

/* ====== Pruning ====== */

static mle_status prune_one(mle_db *db, const char *models, const char *name, mle_error *err) {
  bool needed = true;
  char *path = mle_path_join(models, name);
  if (path == NULL) return mle_nomem(err, "removing old models");
  mle_status status = mle_records_needs(db, path, &needed, err);
  if (status == MLE_OK && !needed) status = mle_remove_tree(path, err);
  mle_free(path);
  return status;
}

/* What a copy or an upload was made as, whose maker died: nobody takes a day for one. */
static bool is_left_behind(const char *name, int folder) {
  struct stat info;
  size_t len = strlen(name);
  bool unfinished = strstr(name, TEMPORARY) != NULL || (len > 5 && strcmp(name + len - 5, ".part") == 0);
  return unfinished && fstatat(folder, name, &info, AT_SYMLINK_NOFOLLOW) == 0 && time(NULL) - info.st_mtime > LEFT_BEHIND_S;
}

static mle_status remove_left_behind(const char *models, const char *name, mle_error *err) {
  char *path = mle_path_join(models, name);
  mle_status status = path == NULL ? mle_nomem(err, "removing old models") : mle_remove_tree(path, err);
  mle_free(path);
  return status;
}

mle_status mle_keep_prune(mle_db *db, const char *models, mle_error *err) {
  DIR *folder = opendir(models);
  if (folder == NULL) return MLE_OK;
  mle_status status = MLE_OK;
  for (struct dirent *entry; status == MLE_OK && (entry = readdir(folder)) != NULL;) {
    if (strlen(entry->d_name) == NAME_DIGITS) status = prune_one(db, models, entry->d_name, err);
    else if (is_left_behind(entry->d_name, dirfd(folder))) status = remove_left_behind(models, entry->d_name, err);
  }
  closedir(folder);
  return status;
}
