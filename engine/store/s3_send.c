#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/base/clock.h"
#include "engine/base/hash.h"
#include "engine/base/percent.h"
#include "engine/store/grant.h"
#include "engine/store/s3.h"
#include "engine/store/xml.h"

#define CLIENTS_MAX 64
#define BUCKET_MAX 256
#define REGION_MAX 64
#define REGIONS_MAX 64
#define RETRIES 5
#define RETRY_BASE_MS 200
#define ERROR_TEXT 256

static mle_status no_memory(mle_error *err) { return mle_nomem(err, "sending a request to S3"); }

/* ====== Clients: each keeps its connections, so they are used again ====== */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards clients and regions */
static mle_http_client *idle[CLIENTS_MAX];
static size_t num_idle;

static mle_status take_client(mle_http_client **out, mle_error *err) {
  pthread_mutex_lock(&lock);
  *out = num_idle > 0 ? idle[--num_idle] : NULL;
  pthread_mutex_unlock(&lock);
  return *out != NULL ? MLE_OK : mle_http_client_new(out, err);
}

static void give_client(mle_http_client *client) {
  pthread_mutex_lock(&lock);
  bool kept = client != NULL && num_idle < CLIENTS_MAX;
  if (kept) idle[num_idle++] = client;
  pthread_mutex_unlock(&lock);
  if (!kept) mle_http_client_free(client);
}

/* ====== URIs and regions ====== */

static const char *bucket_of(const char *uri) { return strstr(uri, "://") + 3; }

const char *mle_s3_key(const char *uri) {
  const char *bucket = bucket_of(uri), *slash = strchr(bucket, '/');
  return slash == NULL ? bucket + strlen(bucket) : slash + 1;
}

/* Regions that differ from what was configured, as servers told; the newest push out the oldest. */
static struct {
  char bucket[BUCKET_MAX], endpoint[BUCKET_MAX], region[REGION_MAX];
} regions[REGIONS_MAX];
static size_t num_regions;

static bool is_region_of(size_t i, const char *bucket, size_t len, const mle_access *access) {
  return strlen(regions[i].bucket) == len && memcmp(regions[i].bucket, bucket, len) == 0 &&
         strncmp(regions[i].endpoint, access->endpoint, BUCKET_MAX - 1) == 0;
}

void mle_store_region(const char *uri, const mle_access *access, char *out, size_t size) {
  const char *bucket = bucket_of(uri);
  size_t len = strcspn(bucket, "/");
  snprintf(out, size, "%s", access->region);
  pthread_mutex_lock(&lock);
  for (size_t i = 0; i < num_regions && i < REGIONS_MAX; i++)
    if (is_region_of(i, bucket, len, access)) snprintf(out, size, "%s", regions[i].region);
  pthread_mutex_unlock(&lock);
}

static void remember_region(const char *uri, const mle_access *access, const char *region) {
  const char *bucket = bucket_of(uri);
  size_t len = strcspn(bucket, "/"), at = 0;
  if (len >= BUCKET_MAX) return;
  pthread_mutex_lock(&lock);
  while (at < num_regions && at < REGIONS_MAX && !is_region_of(at, bucket, len, access)) at++;
  if (at == num_regions || at == REGIONS_MAX) at = num_regions++ % REGIONS_MAX;
  snprintf(regions[at].bucket, BUCKET_MAX, "%.*s", (int)len, bucket);
  snprintf(regions[at].endpoint, BUCKET_MAX, "%s", access->endpoint);
  snprintf(regions[at].region, REGION_MAX, "%s", region);
  pthread_mutex_unlock(&lock);
}

/* ====== The url ====== */

static char *endpoint_in(const mle_access *access, const char *region, mle_arena *arena) {
  const char *china = strncmp(region, "cn-", 3) == 0 ? ".cn" : "";
  if (!access->is_aws) return mle_arena_format(arena, "%s", access->endpoint);
  return mle_arena_format(arena, "https://s3.%s.amazonaws.com%s", region, china);
}

/* A certificate for *.s3.amazonaws.com is not for a name with a dot in its first part. */
static bool in_host(const mle_access *access, const char *bucket, size_t len) {
  return access->virtual_host && (!access->is_aws || memchr(bucket, '.', len) == NULL);
}

static mle_status make_url(const mle_s3_call *call, const mle_access *access, const char *region,
                           mle_arena *arena, const char **out, mle_error *err) {
  const char *bucket = bucket_of(call->uri), *endpoint = endpoint_in(access, region, arena);
  size_t len = strcspn(bucket, "/");
  if (len == 0) return mle_fail(err, MLE_EINVAL, "'%s' names no bucket", call->uri);
  for (size_t i = 0; i < len; i++) /* it becomes part of a host's name */
    if (strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_", bucket[i]) == NULL)
      return mle_fail(err, MLE_EINVAL, "'%.*s' is not a bucket's name", (int)len, bucket);
  char *key = mle_percent_encode(arena, call->of_bucket ? "" : mle_s3_key(call->uri), true);
  if (endpoint == NULL || key == NULL) return no_memory(err);
  const char *host = strstr(endpoint, "://") + 3, *mark = call->query == NULL ? "" : "?";
  const char *query = call->query == NULL ? "" : call->query;
  *out = in_host(access, bucket, len)
             ? mle_arena_format(arena, "%.*s%.*s.%s/%s%s%s", (int)(host - endpoint), endpoint, (int)len,
                                bucket, host, key, mark, query)
             : mle_arena_format(arena, "%s/%.*s/%s%s%s", endpoint, (int)len, bucket, key, mark, query);
  return *out == NULL ? no_memory(err) : MLE_OK;
}

/* ====== One signed attempt ====== */

static mle_status set_headers(const mle_s3_call *call, const mle_access *access, const char *region,
                              mle_arena *arena, mle_http_request *request, mle_error *err) {
  char digest[MLE_SHA256_HEX];
  request->headers = call->headers;
  if (access->anonymous) return MLE_OK;
  MLE_TRY(mle_sha256_hex(call->body == NULL ? "" : call->body, call->body_len, digest, err));
  const mle_aws_request what = {.method = call->method, .url = request->url, .region = region,
                                .service = "s3", .headers = call->headers,
                                .payload_sha256 = digest, .now_ms = mle_now_ms()};
  return mle_aws_sign(&what, &access->keys, arena, &request->headers, err);
}

static mle_status send_signed(const mle_s3_call *call, const mle_access *access, const char *region,
                              mle_http_response *out, mle_error *err) {
  mle_arena arena = MLE_ARENA;
  mle_http_client *client = NULL;
  const char *url;
  mle_http_request request = MLE_HTTP_REQUEST(call->method, NULL);
  mle_status status;
  *out = (mle_http_response){0};
  MLE_GO(make_url(call, access, region, &arena, &url, err));
  request.url = url;
  request.body = call->body == NULL && call->method[0] == 'P' ? "" : call->body;
  request.body_len = call->body_len;
  request.response_max = call->response_max;
  request.idempotent = call->idempotent;
  request.path_as_is = true;
  request.proxy = access->proxy;
  request.ca_file = access->ca_file;
  request.connect_ms = access->connect_ms;
  request.total_ms = access->request_ms;
  request.retries = RETRIES;
  request.retry_base_ms = RETRY_BASE_MS;
  MLE_GO(set_headers(call, access, region, &arena, &request, err));
  MLE_GO(take_client(&client, err));
  status = mle_http_send(client, &request, out, err);
done:
  give_client(client);
  mle_arena_release(&arena);
  return status;
}

/* ====== Answers that are none ====== */

typedef struct wanted {
  const char *path;
  char *out;
  size_t size;
} wanted;

static mle_status see(void *context, const char *path, const char *text, mle_error *err) {
  const wanted *w = context;
  (void)err;
  if (strcmp(path, w->path) == 0 && strlen(text) < w->size) snprintf(w->out, w->size, "%s", text);
  return MLE_OK;
}

void mle_s3_element(const mle_http_response *response, const char *path, char *out, size_t size) {
  wanted w = {path, out, size};
  out[0] = '\0';
  if (response->body.data == NULL) return;
  if (mle_xml_read(response->body.data, response->body.len, see, &w, NULL) != MLE_OK) out[0] = '\0';
}

/* The first `size` bytes of what the server says, on one line. */
static void read_message(const mle_http_response *response, char *out, size_t size) {
  char whole[4 * ERROR_TEXT];
  mle_s3_element(response, "Error/Message", whole, sizeof whole);
  size_t len = strlen(whole) < size ? strlen(whole) : size - 1;
  while (len > 0 && len < strlen(whole) && (whole[len] & 0xC0) == 0x80) len--; /* not within a character */
  memcpy(out, whole, len);
  out[len] = '\0';
  for (char *at = out; *at != '\0'; at++)
    if ((unsigned char)*at < ' ') *at = ' ';
}

static mle_status status_for(long http, const char *code) {
  if (http == 404) return MLE_ENOTFOUND;
  if (http == 412) return MLE_EEXISTS;
  if (http == 403 || http == 401 || strcmp(code, "ExpiredToken") == 0) return MLE_EREFUSED;
  return MLE_EIO;
}

static const char *advice(long http, const char *code) {
  if (strcmp(code, "SignatureDoesNotMatch") == 0 || strcmp(code, "InvalidAccessKeyId") == 0)
    return "; check the key and its secret";
  if (strstr(code, "Expired") != NULL) return "; get new ones";
  if (http == 403) return "; check what these credentials may do";
  if (http == 301) return "; set s3.region to the bucket's region, s3.endpoint to that region's";
  return "";
}

/* "reading s3://b/k: 403 SignatureDoesNotMatch: The request ... (credentials: AWS_ACCESS_KEY_ID); check ..." */
static mle_status fail(const mle_s3_call *call, const mle_access *access,
                       const mle_http_response *response, mle_error *err) {
  char code[64], message[ERROR_TEXT];
  long http = response->status;
  mle_s3_element(response, "Error/Code", code, sizeof code);
  read_message(response, message, sizeof message);
  mle_status status = status_for(http, code);
  mle_fail(err, status, "%s %s: %ld%s%s%s%s%s%s%s%s", call->doing, call->uri, http,
           *code == '\0' ? "" : " ", code, *message == '\0' ? "" : ": ", message,
           http == 404 ? "" : " (credentials: ", http == 404 ? "" : access->source,
           http == 404 ? "" : ")", advice(http, code));
  if (err == NULL) return status;
  mle_access_mask(access, err->message);
  err->retryable = http >= 500 || http == 429 || strstr(code, "Expired") != NULL;
  return status;
}

/* ====== Attempts with another region, other credentials ====== */

static bool is_region(const char *text) {
  return *text != '\0' && text[strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-")] == '\0';
}

/* The region that the answer says the bucket is in; false when it says none, or the same. */
static bool other_region(const mle_http_response *response, const char *region,
                         char out[REGION_MAX]) {
  if (response->status / 100 != 3 && response->status != 400 && response->status != 403) return false;
  if (!mle_http_response_header(response, "x-amz-bucket-region", out, REGION_MAX)) {
    char code[64];
    mle_s3_element(response, "Error/Code", code, sizeof code);
    if (strcmp(code, "AuthorizationHeaderMalformed") != 0) return false;
    mle_s3_element(response, "Error/Region", out, REGION_MAX);
  }
  return is_region(out) && strcmp(out, region) != 0;
}

static bool is_expired(const mle_http_response *response) {
  static const char *const codes[] = {"ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired",
                                      "InvalidToken"};
  char code[64];
  if (response->status != 400 && response->status != 401 && response->status != 403) return false;
  mle_s3_element(response, "Error/Code", code, sizeof code);
  for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
    if (strcmp(code, codes[i]) == 0) return true;
  return false;
}

/* Puts newer credentials in the place of `access`; false where there are none. */
static bool renew(const char *uri, const mle_access **access) {
  const mle_access *newer;
  if (mle_store_access_anew(uri, *access, &newer, NULL) != MLE_OK) return false;
  bool is_newer = newer->number != (*access)->number;
  mle_access_free(*access);
  *access = newer;
  return is_newer;
}

static bool is_answer(const mle_s3_call *call, const mle_http_response *response) {
  return response->status / 100 == 2 || (call->fine != 0 && response->status == call->fine);
}

static mle_status send_until(const mle_s3_call *call, const mle_access **access,
                             mle_http_response *out, mle_error *err) {
  char region[REGION_MAX], other[REGION_MAX];
  mle_store_region(call->uri, *access, region, sizeof region);
  for (bool moved = false, renewed = false;;) {
    mle_status status = send_signed(call, *access, region, out, err);
    if (status != MLE_OK)
      return status == MLE_ENOMEM ? status : mle_context(err, "%s %s", call->doing, call->uri);
    if (is_answer(call, out)) return MLE_OK;
    if (!moved && other_region(out, region, other)) {
      remember_region(call->uri, *access, other);
      memcpy(region, other, sizeof region);
      moved = true;
    } else if (!renewed && is_expired(out) && renew(call->uri, access)) {
      renewed = true;
    } else {
      return fail(call, *access, out, err);
    }
    mle_http_response_release(out);
  }
}

mle_status mle_s3_send(const mle_s3_call *call, mle_http_response *out, mle_error *err) {
  const mle_access *access;
  *out = (mle_http_response){0};
  mle_status status = mle_store_access(call->uri, &access, err);
  if (status != MLE_OK)
    return status == MLE_ENOMEM ? status : mle_context(err, "%s %s", call->doing, call->uri);
  status = send_until(call, &access, out, err);
  mle_access_free(access);
  return status;
}
