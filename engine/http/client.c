#include "engine/http/client.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "engine/base/alloc.h"
#include "engine/base/cancel.h"
#include "engine/base/clock.h"
#include "engine/http/curl.h"
#include "engine/http/retry.h"

#define HEADERS_MAX ((size_t)64 << 10)
#define LAST_WORDS_MS 5000

struct mle_http_client {
  CURL *easy;
  char detail[CURL_ERROR_SIZE];
};

static _Atomic(const mle_curl *) curl; /* every client sets the same */

mle_status mle_http_client_new(mle_http_client **out, mle_error *err) {
  *out = NULL;
  const mle_curl *opened;
  MLE_TRY(mle_curl_open(&opened, err));
  curl = opened;
  mle_http_client *client = mle_calloc(1, sizeof *client);
  if (client != NULL) client->easy = curl->easy_init();
  if (client == NULL || client->easy == NULL) {
    mle_free(client);
    return mle_nomem(err, "making an HTTP client");
  }
  *out = client;
  return MLE_OK;
}

void mle_http_client_free(mle_http_client *client) {
  if (client == NULL) return;
  curl->easy_cleanup(client->easy);
  mle_free(client);
}

/* ====== What libcurl calls; a short count makes it stop with a write error ====== */

/* One answer on its way in. */
typedef struct receiver {
  const mle_http_request *request;
  mle_http_response *response;
  CURL *easy;
  bool failed;    /* the file could not be written */
  bool no_memory; /* for what was answered */
} receiver;

static bool write_whole(int fd, const char *bytes, size_t len) {
  for (size_t done = 0; done < len;) {
    ssize_t put = write(fd, bytes + done, len - done);
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return false;
    done += (size_t)put;
  }
  return true;
}

/* What an error says goes to the buffer, also where the answer was to go to a file. */
static size_t on_body(char *bytes, size_t size, size_t count, void *to) {
  receiver *r = to;
  size_t len = size * count;
  long status = 0;
  if (r->request->answer_fd > 0) curl->easy_getinfo(r->easy, CURLINFO_RESPONSE_CODE, &status);
  if (status / 100 == 2) {
    r->failed = !write_whole(r->request->answer_fd, bytes, len);
    return r->failed ? 0 : len;
  }
  mle_status kept = mle_buffer_append(&r->response->body, bytes, len, NULL);
  r->no_memory = kept == MLE_ENOMEM;
  return kept == MLE_OK ? len : 0;
}

static size_t on_read(char *bytes, size_t size, size_t count, void *from) {
  const mle_http_request *request = from;
  ssize_t got;
  do got = read(request->body_fd, bytes, size * count);
  while (got < 0 && errno == EINTR);
  return got < 0 ? CURL_READFUNC_ABORT : (size_t)got;
}

/* libcurl goes back when a connection that was kept turns out to be closed. */
static int on_seek(void *from, curl_off_t offset, int origin) {
  const mle_http_request *request = from;
  return lseek(request->body_fd, offset, origin) < 0 ? CURL_SEEKFUNC_FAIL : CURL_SEEKFUNC_OK;
}

static size_t on_header(char *bytes, size_t size, size_t count, void *to) {
  receiver *r = to;
  mle_buffer *headers = &r->response->headers;
  size_t len = size * count, kept = len;
  if (len >= 5 && strncasecmp(bytes, "HTTP/", 5) == 0) { /* a new answer begins */
    mle_buffer_clear(headers);
    return len;
  }
  while (kept > 0 && strchr("\r\n \t", bytes[kept - 1]) != NULL) kept--;
  if (kept == 0) return len;
  size_t start = headers->len;
  mle_status status = mle_buffer_append(headers, bytes, kept, NULL);
  if (status == MLE_OK) status = mle_buffer_append(headers, "\n", 1, NULL);
  r->no_memory = status == MLE_ENOMEM;
  if (status != MLE_OK) return 0;
  for (char *at = headers->data + start; *at != ':' && *at != '\n'; at++)
    *at = (char)tolower((unsigned char)*at);
  return len;
}

static bool must_stop(const mle_http_request *request) {
  return mle_cancelled() && !request->last_words;
}

static int on_progress(void *request, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d) {
  (void)a, (void)b, (void)c, (void)d;
  return must_stop(request) ? 1 : 0;
}

bool mle_http_response_header(const mle_http_response *response, const char *name, char *value,
                              size_t size) {
  size_t len = strlen(name);
  const char *line = response->headers.data;
  for (; line != NULL && *line != '\0'; line = strchr(line, '\n') + 1) {
    if (strncasecmp(line, name, len) != 0 || line[len] != ':') continue;
    const char *start = line + len + 1;
    while (*start == ' ' || *start == '\t') start++;
    size_t kept = (size_t)(strchr(start, '\n') - start);
    if (kept >= size) return false;
    memcpy(value, start, kept);
    value[kept] = '\0';
    return true;
  }
  return false;
}

/* ====== One attempt ====== */

static bool has_header(const char *const *headers, const char *name) {
  size_t len = strlen(name);
  for (; headers != NULL && *headers != NULL; headers++)
    if (strncasecmp(*headers, name, len) == 0 && (*headers)[len] == ':') return true;
  return false;
}

static mle_status add_line(struct curl_slist **list, const char *line, mle_error *err) {
  if (strpbrk(line, "\r\n") != NULL)
    return mle_fail(err, MLE_EINVAL, "a header may not hold a line break");
  struct curl_slist *longer = curl->slist_append(*list, line);
  if (longer == NULL) return mle_nomem(err, "building a request");
  *list = longer;
  return MLE_OK;
}

static mle_status build_headers(const mle_http_request *request, struct curl_slist **out,
                                mle_error *err) {
  if (!has_header(request->headers, "User-Agent"))
    MLE_TRY(add_line(out, "User-Agent: mlengine", err));
  MLE_TRY(add_line(out, "Expect:", err)); /* no round trip before a body */
  for (const char *const *h = request->headers; h != NULL && *h != NULL; h++)
    MLE_TRY(add_line(out, *h, err));
  return MLE_OK;
}

static void set_body(CURL *easy, const mle_http_request *request) {
  bool head = strcmp(request->method, "HEAD") == 0;
  if (request->body_fd > 0) {
    curl->easy_setopt(easy, CURLOPT_UPLOAD, 1L);
    curl->easy_setopt(easy, CURLOPT_READFUNCTION, on_read);
    curl->easy_setopt(easy, CURLOPT_READDATA, request);
    curl->easy_setopt(easy, CURLOPT_SEEKFUNCTION, on_seek);
    curl->easy_setopt(easy, CURLOPT_SEEKDATA, request);
    curl->easy_setopt(easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t)request->body_len);
  }
  if (request->body != NULL) {
    curl->easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body_len);
    curl->easy_setopt(easy, CURLOPT_POSTFIELDS, request->body);
  }
  if (head) curl->easy_setopt(easy, CURLOPT_NOBODY, 1L);
  if (!head) curl->easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request->method);
}

static bool is_idempotent(const mle_http_request *request) {
  static const char *const methods[] = {"GET", "HEAD", "PUT", "DELETE"};
  for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
    if (strcmp(request->method, methods[i]) == 0) return true;
  return request->idempotent;
}

/* A deletion that is not to be repeated, too: the second one finds nothing. */
static bool goes_once(const mle_http_request *request) {
  return !is_idempotent(request) || (request->retries == 0 && strcmp(request->method, "DELETE") == 0);
}

static void set_trust(CURL *easy, const mle_http_request *request) {
  if (request->ca_file != NULL) curl->easy_setopt(easy, CURLOPT_CAINFO, request->ca_file);
  if (request->client_cert != NULL) curl->easy_setopt(easy, CURLOPT_SSLCERT, request->client_cert);
  if (!request->insecure) return;
  curl->easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 0L);
  curl->easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 0L);
}

static void set_options(mle_http_client *client, const mle_http_request *request, receiver *to) {
  CURL *easy = client->easy;
  curl->easy_reset(easy); /* keeps the connections */
  client->detail[0] = '\0';
  curl->easy_setopt(easy, CURLOPT_ERRORBUFFER, client->detail);
  curl->easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  curl->easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
  curl->easy_setopt(easy, CURLOPT_URL, request->url);
  curl->easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)request->connect_ms);
  bool hurry = mle_cancelled() && request->total_ms > LAST_WORDS_MS;
  curl->easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)(hurry ? LAST_WORDS_MS : request->total_ms));
  if (request->proxy != NULL) curl->easy_setopt(easy, CURLOPT_PROXY, request->proxy);
  if (request->path_as_is) curl->easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
  if (request->unix_socket != NULL)
    curl->easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, request->unix_socket);
  curl->easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
  curl->easy_setopt(easy, CURLOPT_WRITEDATA, to);
  curl->easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
  curl->easy_setopt(easy, CURLOPT_HEADERDATA, to);
  curl->easy_setopt(easy, CURLOPT_XFERINFOFUNCTION, on_progress);
  curl->easy_setopt(easy, CURLOPT_XFERINFODATA, request);
  curl->easy_setopt(easy, CURLOPT_NOPROGRESS, 0L);
  /* libcurl repeats by itself what a kept connection swallowed: so none for what may go once only */
  if (goes_once(request)) curl->easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
  set_trust(easy, request);
  set_body(easy, request);
}

/* The url as messages show it: without "user:password@" and without the query. */
static void shown_url(const char *url, char *out, size_t size) {
  const char *host = strstr(url, "://");
  host = host == NULL ? url : host + 3;
  size_t scheme = (size_t)(host - url), len = strcspn(host, "?#");
  const char *at = memrchr(host, '@', strcspn(host, "/?#"));
  if (at != NULL) {
    len -= (size_t)(at + 1 - host);
    host = at + 1;
  }
  snprintf(out, size, "%.*s%.*s", (int)scheme, url, (int)len, host);
}

static bool never_sent(CURLcode code) {
  return code == CURLE_COULDNT_RESOLVE_HOST || code == CURLE_COULDNT_CONNECT ||
         code == CURLE_COULDNT_RESOLVE_PROXY || code == CURLE_SSL_CONNECT_ERROR ||
         code == CURLE_PEER_FAILED_VERIFICATION ||
         code == CURLE_URL_MALFORMAT || code == CURLE_UNSUPPORTED_PROTOCOL;
}

static mle_status status_of(CURLcode code, const mle_http_request *request) {
  if (code == CURLE_ABORTED_BY_CALLBACK) return MLE_ECANCELLED;
  if (code == CURLE_OUT_OF_MEMORY) return MLE_ENOMEM;
  if (code == CURLE_URL_MALFORMAT || code == CURLE_UNSUPPORTED_PROTOCOL) return MLE_EINVAL;
  if (!never_sent(code) && !is_idempotent(request)) return MLE_EUNKNOWN;
  return code == CURLE_OPERATION_TIMEDOUT ? MLE_ETIMEOUT : MLE_EIO;
}

static mle_status fail_attempt(const mle_http_client *client, const mle_http_request *request,
                               const receiver *to, CURLcode code, mle_error *err) {
  char url[512];
  shown_url(request->url, url, sizeof url);
  if (to->failed)
    return mle_fail(err, MLE_EIO, "%s %s: cannot write what it answers: %s", request->method, url,
                    strerror(errno));
  if (to->no_memory) return mle_nomem(err, "taking an answer");
  if (code == CURLE_WRITE_ERROR)
    return mle_fail(err, MLE_EREFUSED, "%s %s: the answer is larger than the %zu bytes allowed",
                    request->method, url, request->response_max);
  const char *what = client->detail[0] != '\0' ? client->detail : curl->easy_strerror(code);
  mle_status status =
      mle_fail(err, status_of(code, request), "%s %s: %s", request->method, url, what);
  if (err != NULL)
    err->retryable = (status == MLE_EIO || status == MLE_ETIMEOUT) && code != CURLE_PEER_FAILED_VERIFICATION;
  return status;
}

/* Each attempt begins with both files as the first one did. */
static mle_status rewind_files(const mle_http_request *request, mle_error *err) {
  bool fine = request->body_fd <= 0 || lseek(request->body_fd, 0, SEEK_SET) == 0;
  if (fine && request->answer_fd > 0)
    fine = lseek(request->answer_fd, 0, SEEK_SET) == 0 && ftruncate(request->answer_fd, 0) == 0;
  return fine ? MLE_OK
              : mle_fail(err, MLE_EIO, "%s: cannot begin its file anew: %s", request->method,
                         strerror(errno));
}

static mle_status attempt(mle_http_client *client, const mle_http_request *request,
                          mle_http_response *response, CURLcode *out_code, mle_error *err) {
  struct curl_slist *headers = NULL;
  receiver to = {request, response, client->easy, false, false};
  mle_buffer_clear(&response->body);
  mle_buffer_clear(&response->headers);
  response->status = 0;
  *out_code = CURLE_OUT_OF_MEMORY;
  set_options(client, request, &to);
  mle_status status;
  MLE_GO(rewind_files(request, err));
  MLE_GO(build_headers(request, &headers, err));
  curl->easy_setopt(client->easy, CURLOPT_HTTPHEADER, headers);
  *out_code = curl->easy_perform(client->easy);
  long request_bytes = 1;
  curl->easy_getinfo(client->easy, CURLINFO_REQUEST_SIZE, &request_bytes);
  response->sent |= request_bytes > 0;
  if (*out_code != CURLE_OK)
    status = fail_attempt(client, request, &to, *out_code, err);
  else
    curl->easy_getinfo(client->easy, CURLINFO_RESPONSE_CODE, &response->status);
done:
  curl->slist_free_all(headers);
  return status;
}

/* ====== Attempts until one holds ====== */

static bool worth_repeating(const mle_http_request *request, mle_status status, CURLcode code,
                            long http_status) {
  if (status == MLE_OK) return mle_retry_status(http_status) && is_idempotent(request);
  if (code == CURLE_WRITE_ERROR || code == CURLE_PEER_FAILED_VERIFICATION) return false;
  return status == MLE_EIO || status == MLE_ETIMEOUT; /* status_of saw to idempotence */
}

static int64_t server_wait_s(const mle_http_response *response) {
  char value[64];
  if (!mle_http_response_header(response, "retry-after", value, sizeof value)) return -1;
  return mle_retry_after_s(value, mle_now_ms() / 1000);
}

mle_status mle_http_send(mle_http_client *client, const mle_http_request *request,
                         mle_http_response *out, mle_error *err) {
  *out = (mle_http_response){.body = MLE_BUFFER(request->response_max), .headers = MLE_BUFFER(HEADERS_MAX)};
  for (int tried = 0;; tried++) {
    CURLcode code;
    mle_status status = attempt(client, request, out, &code, err);
    if (tried >= request->retries || !worth_repeating(request, status, code, out->status))
      return status;
    mle_sleep_ms(mle_retry_wait_ms(tried + 1, request->retry_base_ms, server_wait_s(out)));
    if (mle_cancelled()) return mle_cancel_fail(err, "waiting to repeat a request");
  }
}

void mle_http_response_release(mle_http_response *response) {
  mle_buffer_release(&response->body);
  mle_buffer_release(&response->headers);
}
