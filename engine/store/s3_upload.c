/* s3_upload.c -- a local file as one object; a large one in parts, several at once */

#include <stdio.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/base/file.h"
#include "engine/base/parallel.h"
#include "engine/base/percent.h"
#include "engine/store/s3.h"

#define PART_BYTES ((int64_t)16 << 20)
#define PARTS_MAX 10000 /* S3's own */
#define PARTS_AT_ONCE 4
#define ANSWER_MAX ((size_t)256 << 10)
#define ETAG_MAX 80
#define ID_MAX 2048

typedef struct upload {
  const char *uri, *path;
  int64_t size, part;      /* bytes of the file; of each part but the last */
  size_t count;
  char id[3 * ID_MAX];     /* percent-encoded */
  char (*etags)[ETAG_MAX];
} upload;

/* ====== One part ====== */

static mle_status put_part(upload *u, size_t index, const mle_buffer *bytes, mle_error *err) {
  char query[sizeof u->id + 64];
  mle_http_response response;
  snprintf(query, sizeof query, "partNumber=%zu&uploadId=%s", index + 1, u->id);
  const mle_s3_call call = {.doing = "writing", .method = "PUT", .uri = u->uri, .query = query,
                            .headers = mle_s3_content,
                            .body = bytes->data, .body_len = bytes->len, .response_max = ANSWER_MAX};
  mle_status status = mle_s3_send(&call, &response, err);
  if (status == MLE_OK &&
      !mle_http_response_header(&response, "etag", u->etags[index], sizeof u->etags[index]))
    status = mle_fail(err, MLE_EFORMAT, "writing %s: the server gives no ETag for a part", u->uri);
  mle_http_response_release(&response);
  return status;
}

static mle_status send_part(void *context, unsigned worker, size_t index, mle_error *err) {
  (void)worker;
  upload *u = context;
  int64_t offset = (int64_t)index * u->part, left = u->size - offset;
  mle_buffer bytes = MLE_BUFFER((size_t)u->part + 1);
  mle_status status =
      mle_file_read_range(u->path, offset, (size_t)(left < u->part ? left : u->part), &bytes, err);
  if (status == MLE_OK) status = put_part(u, index, &bytes, err);
  mle_buffer_release(&bytes);
  return status;
}

/* ====== The whole ====== */

static mle_status begin(upload *u, mle_error *err) {
  const mle_s3_call call = {.doing = "writing", .method = "POST", .uri = u->uri, .query = "uploads=",
                            .headers = mle_s3_content,
                            .response_max = ANSWER_MAX, .idempotent = true};
  char id[ID_MAX];
  mle_http_response response;
  mle_status status = mle_s3_send(&call, &response, err);
  mle_s3_element(&response, "InitiateMultipartUploadResult/UploadId", id, sizeof id);
  mle_http_response_release(&response);
  if (status != MLE_OK) return status;
  if (*id == '\0')
    return mle_fail(err, MLE_EFORMAT, "writing %s: the server does not begin an upload in parts", u->uri);
  mle_arena arena = MLE_ARENA;
  const char *encoded = mle_percent_encode(&arena, id, false);
  if (encoded != NULL) snprintf(u->id, sizeof u->id, "%s", encoded);
  mle_arena_release(&arena);
  return encoded == NULL ? mle_nomem(err, "writing to S3") : MLE_OK;
}

static mle_status put_list(const upload *u, mle_buffer *out, mle_error *err) {
  MLE_TRY(mle_buffer_puts(out, "<CompleteMultipartUpload>", err));
  for (size_t i = 0; i < u->count; i++)
    MLE_TRY(mle_buffer_printf(out, err, "<Part><PartNumber>%zu</PartNumber><ETag>%s</ETag></Part>",
                              i + 1, u->etags[i]));
  return mle_buffer_puts(out, "</CompleteMultipartUpload>", err);
}

/* It answers 200 before it is done: what follows may still be a failure. After an answer that
 * was lost the upload is not there any more, but the object is, of the right size. */
static mle_status complete(const upload *u, mle_error *err) {
  char query[sizeof u->id + 16], etag[256], code[64];
  mle_buffer list = MLE_BUFFER((size_t)4 << 20);
  mle_http_response response = {0};
  bool exists;
  int64_t size;
  mle_status status;
  snprintf(query, sizeof query, "uploadId=%s", u->id);
  MLE_GO(put_list(u, &list, err));
  const mle_s3_call call = {.doing = "writing", .method = "POST", .uri = u->uri, .query = query,
                            .headers = mle_s3_content,
                            .body = list.data, .body_len = list.len, .response_max = ANSWER_MAX,
                            .idempotent = true, .fine = 404};
  MLE_GO(mle_s3_send(&call, &response, err));
  mle_s3_element(&response, "CompleteMultipartUploadResult/ETag", etag, sizeof etag);
  if (*etag != '\0') goto done;
  MLE_GO(mle_s3_stat(u->uri, &exists, &size, err));
  mle_s3_element(&response, "Error/Code", code, sizeof code);
  if (!exists || size != u->size)
    status = mle_fail(err, MLE_EIO, "writing %s: the server could not put its parts together (%s)",
                      u->uri, *code == '\0' ? "it does not say why" : code);
done:
  mle_http_response_release(&response);
  mle_buffer_release(&list);
  return status;
}

/* Parts cost money until they are dropped. */
static void drop(const upload *u) {
  char query[sizeof u->id + 16];
  mle_http_response response;
  snprintf(query, sizeof query, "uploadId=%s", u->id);
  const mle_s3_call call = {.doing = "dropping", .method = "DELETE", .uri = u->uri, .query = query,
                            .response_max = ANSWER_MAX, .fine = 404};
  mle_s3_send(&call, &response, NULL);
  mle_http_response_release(&response);
}

static mle_status upload_parts(upload *u, mle_error *err) {
  u->part = PART_BYTES;
  while ((u->size + u->part - 1) / u->part > PARTS_MAX) u->part *= 2;
  u->count = (size_t)((u->size + u->part - 1) / u->part);
  u->etags = mle_calloc(u->count, sizeof *u->etags);
  if (u->etags == NULL) return mle_nomem(err, "writing to S3");
  mle_status status = begin(u, err);
  if (status == MLE_OK) {
    status = mle_parallel(PARTS_AT_ONCE, u->count, send_part, u, err);
    if (status == MLE_OK) status = complete(u, err);
    if (status != MLE_OK) drop(u);
  }
  mle_free(u->etags);
  return status;
}

static mle_status upload_whole(const upload *u, mle_error *err) {
  mle_buffer bytes = MLE_BUFFER((size_t)PART_BYTES + 1);
  mle_status status = mle_file_read(u->path, &bytes, err);
  if (status == MLE_OK)
    status = mle_s3_replace(u->uri, bytes.data == NULL ? "" : bytes.data, bytes.len, err);
  mle_buffer_release(&bytes);
  return status;
}

mle_status mle_s3_upload(const char *uri, const char *path, mle_error *err) {
  upload *u = mle_calloc(1, sizeof *u);
  if (u == NULL) return mle_nomem(err, "writing to S3");
  u->uri = uri;
  u->path = path;
  mle_status status = mle_file_size(path, &u->size, err);
  if (status == MLE_OK) status = u->size <= PART_BYTES ? upload_whole(u, err) : upload_parts(u, err);
  mle_free(u);
  return status;
}
