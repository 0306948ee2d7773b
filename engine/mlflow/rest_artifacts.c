/*
 * rest_artifacts.c -- artifacts that a tracking server hands out (mlflow-artifacts:).
 *
 * Files go in and out through descriptors: a model of gigabytes never lies in memory.
 * Server 2.22 keeps a truncated upload as if it were whole, so sizes are compared.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/percent.h"
#include "engine/mlflow/rest.h"

#define ERROR_MAX ((size_t)64 << 10)
#define TRANSFER_MS 3600000

static mle_status fail_file(mle_error *err, const char *doing, const char *file) {
  return mle_fail(err, MLE_EIO, "cannot %s '%s': %s", doing, file, strerror(errno));
}

static mle_status artifact_url(const mle_rest_store *store, const char *path, mle_arena *memory,
                               const char **out, mle_error *err) {
  const char *coded = mle_percent_encode(memory, path, true);
  *out = coded == NULL ? NULL
                       : mle_arena_format(memory, "%s/api/2.0/mlflow-artifacts/artifacts/%s",
                                          store->settings.url, coded);
  return *out != NULL ? MLE_OK : mle_nomem(err, "reaching artifacts");
}

/* ====== Listing ====== */

static mle_status read_files(const mle_json_at *root, const char *path, mle_arena *memory,
                             mle_artifact_list *out, mle_error *err) {
  mle_json_at files, item;
  mle_artifact *all = NULL;
  if (!mle_json_find(root, "files", &files)) return MLE_OK;
  for (bool more = mle_json_first(&files, &item); more; more = mle_json_next(&item)) {
    const char *name;
    all = mle_arena_grow(memory, all, out->count, sizeof *all);
    if (all == NULL) return mle_nomem(err, "listing artifacts");
    out->item = all;
    mle_artifact *artifact = &all[out->count++];
    MLE_TRY(mle_json_get_text(&item, "path", &name, err));
    MLE_TRY(mle_json_opt_bool(&item, "is_dir", false, &artifact->is_folder, err));
    MLE_TRY(mle_rest_int(&item, "file_size", &artifact->size, err));
    artifact->path = mle_arena_format(memory, "%s%s%s", path, *path == '\0' ? "" : "/", name);
    if (artifact->path == NULL) return mle_nomem(err, "listing artifacts");
  }
  return MLE_OK;
}

static mle_status list(mle_mlflow *base, const char *path, mle_arena *memory,
                       mle_artifact_list *out, mle_error *err) {
  const char *query;
  mle_json *answer = NULL;
  mle_status status;
  MLE_GO(mle_rest_query(memory, &query, err, "/mlflow-artifacts/artifacts", "path", path, NULL));
  MLE_GO(mle_rest_call(mle_rest_of(base), &(mle_rest_request){.method = "GET", .path = query},
                       &answer, err));
  mle_json_at root = mle_json_root(answer);
  status = read_files(&root, path, memory, out, err);
done:
  mle_json_free(answer);
  return status;
}

/* ====== Transfers ====== */

static mle_status transfer(mle_rest_store *store, const char *method, const char *path, int from,
                           int64_t len, int to, mle_error *err) {
  mle_arena memory = MLE_ARENA;
  mle_http_response response = {0};
  const char *url, *headers[MLE_REST_HEADERS_MAX] = {0};
  mle_status status;
  MLE_GO(artifact_url(store, path, &memory, &url, err));
  memcpy(headers, store->settings.headers, sizeof headers);
  headers[0] = "Content-Type: application/octet-stream";
  mle_http_request http = MLE_HTTP_REQUEST(method, url);
  http.headers = headers;
  http.body_fd = from;
  http.body_len = (size_t)len;
  http.answer_fd = to;
  http.total_ms = TRANSFER_MS;
  http.response_max = ERROR_MAX;
  http.retries = store->settings.retries;
  http.ca_file = store->settings.ca_file;
  http.client_cert = store->settings.client_cert;
  http.insecure = store->settings.insecure;
  MLE_GO(mle_http_send(store->client, &http, &response, err));
  if (response.status / 100 != 2)
    status = mle_fail(err, response.status == 404 ? MLE_ENOTFOUND : MLE_EIO,
                      "%s of artifact '%s' at %s: the server answers %ld", method, path,
                      store->settings.url, response.status);
done:
  mle_http_response_release(&response);
  mle_arena_release(&memory);
  return status;
}

/* An empty file has no size in a listing, and may have no body in a request. */
static mle_status size_there(mle_rest_store *store, const char *path, int64_t *out,
                             mle_error *err) {
  mle_arena memory = MLE_ARENA;
  mle_artifact_list found = {0};
  mle_status status = MLE_OK;
  const char *slash = strrchr(path, '/');
  char *folder = mle_arena_format(&memory, "%.*s", slash == NULL ? 0 : (int)(slash - path), path);
  *out = -1;
  if (folder == NULL) status = mle_nomem(err, "looking at artifacts");
  if (status == MLE_OK) status = list(&store->base, folder, &memory, &found, err);
  for (size_t i = 0; i < found.count; i++)
    if (strcmp(found.item[i].path, path) == 0 && !found.item[i].is_folder)
      *out = found.item[i].size;
  mle_arena_release(&memory);
  return status;
}

static mle_status check_size(mle_rest_store *store, const char *path, int64_t here,
                             mle_error *err) {
  int64_t there;
  MLE_TRY(size_there(store, path, &there, err));
  if (there == here) return MLE_OK;
  return mle_fail(err, MLE_EIO, "artifact '%s' is %lld bytes here and %lld at %s", path,
                  (long long)here, (long long)there, store->settings.url);
}

static mle_status upload(mle_mlflow *base, const char *path, const char *file, mle_error *err) {
  mle_rest_store *store = mle_rest_of(base);
  struct stat info;
  int fd = open(file, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return fail_file(err, "open", file);
  mle_status status = fstat(fd, &info) != 0
                          ? fail_file(err, "look at", file)
                          : transfer(store, "PUT", path, fd, info.st_size, 0, err);
  close(fd);
  return status == MLE_OK ? check_size(store, path, info.st_size, err) : status;
}

static mle_status download(mle_mlflow *base, const char *path, const char *file,
                           mle_error *err) {
  mle_rest_store *store = mle_rest_of(base);
  struct stat info;
  int fd = open(file, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) return fail_file(err, "create", file);
  mle_status status = transfer(store, "GET", path, 0, 0, fd, err);
  if (status == MLE_OK && (fsync(fd) != 0 || fstat(fd, &info) != 0))
    status = fail_file(err, "write", file);
  close(fd);
  return status == MLE_OK ? check_size(store, path, info.st_size, err) : status;
}

const mle_artifact_calls mle_rest_artifacts = {list, upload, download};
