#include "engine/store/s3.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/base/parallel.h"
#include "engine/store/cache.h"

#define SMALL_ANSWER ((size_t)256 << 10)
#define RANGE_BYTES ((size_t)8 << 20) /* of one request; larger objects come in several at once */
#define RANGES_AT_ONCE 8

const char *const mle_s3_content[] = {MLE_S3_CONTENT, NULL};

/* ====== Reading ====== */

typedef struct ranges {
  const char *uri;
  int64_t offset;
  char *to;
  size_t len;
} ranges;

static mle_status get_range(const char *uri, int64_t offset, size_t len, bool may_be_short,
                            mle_http_response *out, mle_error *err) {
  char range[80];
  const char *const headers[] = {range, NULL};
  snprintf(range, sizeof range, "Range: bytes=%" PRId64 "-%" PRId64, offset,
           offset + (int64_t)len - 1);
  const mle_s3_call call = {.doing = "reading", .method = "GET", .uri = uri, .headers = headers,
                            .response_max = len + SMALL_ANSWER, .fine = may_be_short ? 416 : 0};
  MLE_TRY(mle_s3_send(&call, out, err));
  if (out->status == 206 && out->body.len <= len && (may_be_short || out->body.len == len))
    return MLE_OK;
  if (may_be_short && (out->status == 416 || (out->status == 200 && out->body.len <= len)))
    return MLE_OK; /* an empty object; a server without ranges */
  return mle_fail(err, MLE_EFORMAT,
                  "reading %s: wanted %zu bytes from %" PRId64 ", got %zu with status %ld (truncated?)",
                  uri, len, offset, out->body.len, out->status);
}

static mle_status read_one(void *context, unsigned worker, size_t index, mle_error *err) {
  (void)worker;
  const ranges *r = context;
  size_t from = index * RANGE_BYTES, len = r->len - from < RANGE_BYTES ? r->len - from : RANGE_BYTES;
  mle_http_response response = {0};
  mle_status status = get_range(r->uri, r->offset + (int64_t)from, len, false, &response, err);
  if (status == MLE_OK) memcpy(r->to + from, response.body.data, len);
  mle_http_response_release(&response);
  return status;
}

mle_status mle_s3_read_range(const char *uri, int64_t offset, size_t len, mle_buffer *out,
                             mle_error *err) {
  if (len == 0) return MLE_OK;
  MLE_TRY(mle_buffer_reserve(out, len, err));
  ranges r = {uri, offset, out->data + out->len, len};
  MLE_TRY(mle_parallel(RANGES_AT_ONCE, (len + RANGE_BYTES - 1) / RANGE_BYTES, read_one, &r, err));
  out->len += len;
  out->data[out->len] = '\0';
  return MLE_OK;
}

/* "bytes 0-8388607/20000000" has the object's size; -1: it says none. */
static int64_t whole_size(const mle_http_response *response) {
  char value[80];
  if (!mle_http_response_header(response, "content-range", value, sizeof value)) return -1;
  const char *slash = strchr(value, '/');
  return slash == NULL || slash[1] == '*' ? -1 : strtoll(slash + 1, NULL, 10);
}

/* The first piece tells the size; what follows comes in several at once. */
static mle_status read_whole(const char *uri, mle_buffer *out, mle_error *err) {
  mle_http_response first = {0};
  mle_status status;
  int64_t size;
  MLE_GO(get_range(uri, 0, RANGE_BYTES, true, &first, err));
  if (first.status == 416) goto done;
  size = first.status == 206 ? whole_size(&first) : (int64_t)first.body.len;
  if (size < (int64_t)first.body.len || (size > (int64_t)RANGE_BYTES && first.body.len < RANGE_BYTES))
    MLE_GO(mle_fail(err, MLE_EFORMAT, "reading %s: the server does not say how large it is", uri));
  if (out->len + (size_t)size > out->max)
    MLE_GO(mle_fail(err, MLE_EREFUSED, "'%s' is larger than the %zu bytes allowed", uri, out->max));
  MLE_GO(mle_buffer_reserve(out, (size_t)size, err));
  MLE_GO(mle_buffer_append(out, first.body.data == NULL ? "" : first.body.data, first.body.len, err));
  status = mle_s3_read_range(uri, (int64_t)first.body.len, (size_t)size - first.body.len, out, err);
done:
  mle_http_response_release(&first);
  return status;
}

mle_status mle_s3_read(const char *uri, mle_buffer *out, mle_error *err) {
  bool kept = mle_cache_takes(uri), found = false;
  size_t before = out->len;
  if (kept) MLE_TRY(mle_cache_get(uri, out, &found, err));
  if (found) return MLE_OK;
  MLE_TRY(read_whole(uri, out, err));
  if (kept) mle_cache_put(uri, out->data == NULL ? "" : out->data + before, out->len - before);
  return MLE_OK;
}

/* ====== Writing ====== */

static mle_status put(const char *uri, const void *bytes, size_t len, bool exclusive, long fine,
                      long *out_status, mle_error *err) {
  static const char *const headers[] = {MLE_S3_CONTENT, "If-None-Match: *", NULL};
  const mle_s3_call call = {.doing = "writing", .method = "PUT", .uri = uri,
                            .headers = exclusive ? headers : mle_s3_content, .body = bytes, .body_len = len,
                            .response_max = SMALL_ANSWER, .fine = fine};
  mle_http_response response;
  mle_status status = mle_s3_send(&call, &response, err);
  *out_status = response.status;
  mle_http_response_release(&response);
  return status;
}

/* After an answer that was lost a repeated request finds what the first one wrote. */
static mle_status settle_taken(const char *uri, const void *bytes, size_t len, mle_error *err) {
  mle_buffer there = MLE_BUFFER(len + 1);
  mle_status status = read_whole(uri, &there, err);
  bool ours = status == MLE_OK && there.len == len && (len == 0 || memcmp(there.data, bytes, len) == 0);
  mle_buffer_release(&there);
  if (ours) return MLE_OK;
  if (status != MLE_OK && status != MLE_EREFUSED && status != MLE_ENOTFOUND) return status;
  return mle_fail(err, MLE_EEXISTS, "'%s' exists already", uri);
}

mle_status mle_s3_create(const char *uri, const void *bytes, size_t len, mle_error *err) {
  long http;
  mle_cache_drop(uri);
  MLE_TRY(put(uri, bytes, len, true, 412, &http, err));
  return http == 412 ? settle_taken(uri, bytes, len, err) : MLE_OK;
}

mle_status mle_s3_replace(const char *uri, const void *bytes, size_t len, mle_error *err) {
  long http;
  mle_cache_drop(uri);
  return put(uri, bytes, len, false, 0, &http, err);
}

mle_status mle_s3_remove(const char *uri, mle_error *err) {
  const mle_s3_call call = {.doing = "removing", .method = "DELETE", .uri = uri,
                            .response_max = SMALL_ANSWER, .fine = 404};
  mle_http_response response;
  mle_cache_drop(uri);
  mle_status status = mle_s3_send(&call, &response, err);
  mle_http_response_release(&response);
  return status;
}

mle_status mle_s3_stat(const char *uri, bool *exists, int64_t *size, mle_error *err) {
  const mle_s3_call call = {.doing = "looking for", .method = "HEAD", .uri = uri,
                            .response_max = SMALL_ANSWER, .fine = 404};
  char value[32];
  mle_http_response response;
  mle_status status = mle_s3_send(&call, &response, err);
  *exists = status == MLE_OK && response.status != 404;
  *size = -1;
  if (*exists && mle_http_response_header(&response, "content-length", value, sizeof value))
    *size = strtoll(value, NULL, 10);
  mle_http_response_release(&response);
  return status;
}
