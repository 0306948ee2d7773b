#include "engine/mlflow/artifacts_s3.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/file.h"
#include "engine/store/grant.h"
#include "engine/store/store.h"

#define PIECE ((size_t)32 << 20) /* of a download, in memory at once */

bool mle_artifacts_s3_is(const char *uri) { return uri != NULL && mle_store_is_remote(uri); }

/* ====== Access ====== */

static mle_status grant(const char *uri, const char *endpoint, mle_error *err) {
  mle_arena memory = MLE_ARENA;
  const char *bucket = strstr(uri, "://") + 3;
  const mle_property properties[] = {{"s3.endpoint", endpoint}};
  char *prefix = mle_arena_format(&memory, "s3://%.*s/", (int)strcspn(bucket, "/"), bucket);
  const mle_grant_request request = {.prefix = prefix, .properties = properties,
                                     .num_properties = 1, .owner = "MLFLOW_S3_ENDPOINT_URL",
                                     .weak = true};
  mle_status status = prefix == NULL ? mle_nomem(err, "reaching artifacts")
                                     : mle_store_grant(&request, err);
  mle_arena_release(&memory);
  return status;
}

mle_status mle_artifacts_s3_open(const char *uri, mle_error *err) {
  const char *bucket = strstr(uri, "://") + 3, *endpoint = getenv("MLFLOW_S3_ENDPOINT_URL");
  const char *slash = strchr(bucket, '/');
  if (*bucket == '/' || slash == NULL || slash[1] == '\0')
    return mle_fail(err, MLE_EINVAL, "artifacts at '%s': it must be s3://BUCKET/FOLDER", uri);
  return endpoint == NULL || *endpoint == '\0' ? MLE_OK : grant(uri, endpoint, err);
}

/* ====== Transfers ====== */

static mle_status upload(mle_mlflow *store, const char *uri, const char *file, mle_error *err) {
  (void)store;
  return mle_store_upload(uri, file, err);
}

static mle_status fail_file(const char *doing, const char *file, mle_error *err) {
  return mle_fail(err, MLE_EIO, "cannot %s '%s': %s", doing, file, strerror(errno));
}

static mle_status write_all(int fd, const char *file, const mle_buffer *bytes, mle_error *err) {
  for (size_t done = 0; done < bytes->len;) {
    ssize_t put = write(fd, bytes->data + done, bytes->len - done);
    if (put < 0 && errno != EINTR) return fail_file("write", file, err);
    if (put > 0) done += (size_t)put;
  }
  return MLE_OK;
}

static mle_status copy_pieces(const char *uri, int64_t size, int fd, const char *file,
                              mle_error *err) {
  mle_buffer piece = MLE_BUFFER(PIECE);
  mle_status status = MLE_OK;
  for (int64_t at = 0; at < size && status == MLE_OK; at += (int64_t)piece.len) {
    piece.len = 0;
    size_t len = (uint64_t)(size - at) < PIECE ? (size_t)(size - at) : PIECE;
    status = mle_store_read_range(uri, at, len, &piece, err);
    if (status == MLE_OK) status = write_all(fd, file, &piece, err);
  }
  mle_buffer_release(&piece);
  return status;
}

static mle_status download(mle_mlflow *store, const char *uri, const char *file, mle_error *err) {
  int64_t size;
  (void)store;
  MLE_TRY(mle_store_size(uri, &size, err));
  int fd = open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) return fail_file("create", file, err);
  mle_status status = copy_pieces(uri, size, fd, file, err);
  if (status == MLE_OK && fsync(fd) != 0) status = fail_file("write", file, err);
  close(fd);
  return status;
}

/* ====== Listing ====== */

typedef struct listing {
  const char *folder;
  mle_arena *memory;
  mle_artifact_list *out;
} listing;

static mle_status see(void *context, const char *name, int64_t size, mle_error *err) {
  const listing *l = context;
  mle_artifact *all = (void *)(uintptr_t)l->out->item;
  all = mle_arena_grow(l->memory, all, l->out->count, sizeof *all);
  char *path = mle_arena_format(l->memory, "%s/%s", l->folder, name);
  if (all == NULL || path == NULL) return mle_nomem(err, "listing artifacts");
  l->out->item = all;
  all[l->out->count++] = (mle_artifact){path, size < 0, size < 0 ? 0 : size};
  return MLE_OK;
}

static mle_status list(mle_mlflow *store, const char *uri, mle_arena *memory,
                       mle_artifact_list *out, mle_error *err) {
  listing l = {uri, memory, out};
  (void)store;
  return mle_store_list_names(uri, see, &l, err);
}

const mle_artifact_calls mle_artifacts_s3 = {list, upload, download};
