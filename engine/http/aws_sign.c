#include "engine/http/aws_sign.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "engine/base/buffer.h"
#include "engine/base/hash.h"
#include "engine/base/percent.h"

#define HEADERS_MAX 16
#define PARAMETERS_MAX 64
#define CANONICAL_MAX ((size_t)64 << 10)
#define EMPTY_SHA256 "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static mle_status no_memory(mle_error *err) { return mle_nomem(err, "signing a request"); }

/* ====== The parts of a url ====== */

typedef struct url_parts {
  const char *host; /* with a port that is not the scheme's own */
  const char *path, *query; /* as they go out; query without '?' */
} url_parts;

static mle_status split_url(const char *url, mle_arena *arena, url_parts *out, mle_error *err) {
  const char *host = strstr(url, "://");
  if (host == NULL) return mle_fail(err, MLE_EINVAL, "cannot sign a request to no host");
  bool secure = strncmp(url, "https:", 6) == 0;
  host += 3;
  size_t len = strcspn(host, "/?");
  const char *path = host + len, *query = strchr(path, '?');
  const char *plain = secure ? ":443" : ":80";
  size_t port = strlen(plain);
  if (len > port && strncmp(host + len - port, plain, port) == 0) len -= port;
  out->host = mle_arena_text(arena, host, len);
  size_t path_len = query == NULL ? strlen(path) : (size_t)(query - path);
  out->path = path_len == 0 ? "/" : mle_arena_text(arena, path, path_len);
  out->query = query == NULL ? "" : query + 1;
  return out->host == NULL || out->path == NULL ? no_memory(err) : MLE_OK;
}

static int by_text(const void *a, const void *b) {
  return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Sorted by name, each with its '='. Encoded text sorts as its bytes do but for '=' itself,
 * which ends the name: so the pairs are compared with \1 in its place. */
static mle_status put_query(const char *query, mle_arena *arena, mle_buffer *out, mle_error *err) {
  char *pairs[PARAMETERS_MAX], *copy = mle_arena_text(arena, query, strlen(query)), *rest;
  size_t count = 0;
  if (copy == NULL) return no_memory(err);
  for (char *at = strtok_r(copy, "&", &rest); at != NULL; at = strtok_r(NULL, "&", &rest)) {
    if (count == PARAMETERS_MAX) return mle_fail(err, MLE_EINVAL, "a request has too many parameters");
    char *equals = strchr(at, '=');
    if (equals != NULL) *equals = '\1';
    pairs[count] = equals != NULL ? at : mle_arena_format(arena, "%s\1", at);
    if (pairs[count++] == NULL) return no_memory(err);
  }
  qsort(pairs, count, sizeof *pairs, by_text);
  for (size_t i = 0; i < count; i++) {
    *strchr(pairs[i], '\1') = '=';
    MLE_TRY(mle_buffer_printf(out, err, "%s%s", i > 0 ? "&" : "", pairs[i]));
  }
  return mle_buffer_puts(out, "\n", err);
}

/* S3 signs the path as it is; all others sign it encoded once more. */
static mle_status put_path(const mle_aws_request *request, const char *path, mle_arena *arena,
                           mle_buffer *out, mle_error *err) {
  if (strcmp(request->service, "s3") != 0 && (path = mle_percent_encode(arena, path, true)) == NULL)
    return no_memory(err);
  return mle_buffer_printf(out, err, "%s\n", path);
}

/* ====== Headers ====== */

typedef struct signer {
  const mle_aws_request *request;
  mle_arena *arena;
  char stamp[20];                    /* 20130524T000000Z */
  const char *sent[HEADERS_MAX + 5]; /* as they go out */
  size_t num_sent;
  char *signed_[HEADERS_MAX + 5];    /* "name:value", names in lower case */
  size_t num_signed;
} signer;

/* "Range:  bytes=0-9 " becomes "range:bytes=0-9". */
static mle_status sign_header(signer *s, const char *line, mle_error *err) {
  const char *colon = strchr(line, ':');
  if (colon == NULL || s->num_signed == HEADERS_MAX + 5)
    return mle_fail(err, MLE_EINVAL, "cannot sign a request with these headers");
  const char *value = colon + 1 + strspn(colon + 1, " ");
  size_t len = strlen(value);
  while (len > 0 && value[len - 1] == ' ') len--;
  char *made = mle_arena_format(s->arena, "%.*s:%.*s", (int)(colon - line), line, (int)len, value);
  if (made == NULL) return no_memory(err);
  char *to = made;
  for (; *to != ':'; to++) *to = (char)tolower((unsigned char)*to);
  for (const char *at = to; *at != '\0'; at++) /* several spaces count as one */
    if (*at != ' ' || to[-1] != ' ') *to++ = *at;
  *to = '\0';
  s->signed_[s->num_signed++] = made;
  return MLE_OK;
}

static mle_status add_header(signer *s, const char *line, mle_error *err) {
  if (line == NULL) return no_memory(err);
  s->sent[s->num_sent++] = line;
  return sign_header(s, line, err);
}

static mle_status add_headers(signer *s, const mle_aws_keys *keys, const char *host,
                              const char *payload, mle_error *err) {
  const char *line = mle_arena_format(s->arena, "host:%s", host);
  if (line == NULL) return no_memory(err);
  MLE_TRY(sign_header(s, line, err)); /* which the client sends by itself */
  size_t count = 0;
  for (const char *const *h = s->request->headers; h != NULL && *h != NULL; h++) {
    if (count++ == HEADERS_MAX) return mle_fail(err, MLE_EINVAL, "a request has too many headers");
    MLE_TRY(add_header(s, *h, err));
  }
  MLE_TRY(add_header(s, mle_arena_format(s->arena, "x-amz-date: %s", s->stamp), err));
  if (strncmp(s->request->service, "s3", 2) == 0)
    MLE_TRY(add_header(s, mle_arena_format(s->arena, "x-amz-content-sha256: %s", payload), err));
  if (keys->session_token == NULL) return MLE_OK;
  return add_header(
      s, mle_arena_format(s->arena, "x-amz-security-token: %s", keys->session_token), err);
}

static mle_status put_names(signer *s, mle_buffer *out, mle_error *err) {
  for (size_t i = 0; i < s->num_signed; i++)
    MLE_TRY(mle_buffer_printf(out, err, "%s%.*s", i > 0 ? ";" : "",
                              (int)strcspn(s->signed_[i], ":"), s->signed_[i]));
  return MLE_OK;
}

static mle_status put_canonical(signer *s, const url_parts *url, const char *payload,
                                mle_buffer *out, mle_error *err) {
  qsort(s->signed_, s->num_signed, sizeof *s->signed_, by_text);
  MLE_TRY(mle_buffer_printf(out, err, "%s\n", s->request->method));
  MLE_TRY(put_path(s->request, url->path, s->arena, out, err));
  MLE_TRY(put_query(url->query, s->arena, out, err));
  for (size_t i = 0; i < s->num_signed; i++)
    MLE_TRY(mle_buffer_printf(out, err, "%s\n", s->signed_[i]));
  MLE_TRY(mle_buffer_puts(out, "\n", err));
  MLE_TRY(put_names(s, out, err));
  return mle_buffer_printf(out, err, "\n%s", payload);
}

/* ====== The signature ====== */

static mle_status mix(unsigned char key[MLE_SHA256_BYTES], const char *text, mle_error *err) {
  return mle_hmac_sha256(key, MLE_SHA256_BYTES, text, strlen(text), key, err);
}

static mle_status sign_text(const signer *s, const char *secret, const char *text,
                            char out[MLE_SHA256_HEX], mle_error *err) {
  unsigned char key[MLE_SHA256_BYTES];
  char day[9];
  snprintf(day, sizeof day, "%.8s", s->stamp);
  char *first = mle_arena_format(s->arena, "AWS4%s", secret);
  if (first == NULL) return no_memory(err);
  MLE_TRY(mle_hmac_sha256(first, strlen(first), day, 8, key, err));
  MLE_TRY(mix(key, s->request->region, err));
  MLE_TRY(mix(key, s->request->service, err));
  MLE_TRY(mix(key, "aws4_request", err));
  MLE_TRY(mix(key, text, err));
  mle_hex(key, sizeof key, out);
  return MLE_OK;
}

static mle_status authorize(signer *s, const mle_aws_keys *keys, const mle_buffer *canonical,
                            mle_error *err) {
  char digest[MLE_SHA256_HEX], signature[MLE_SHA256_HEX];
  mle_buffer names = MLE_BUFFER(CANONICAL_MAX);
  mle_status status;
  char *scope = mle_arena_format(s->arena, "%.8s/%s/%s/aws4_request", s->stamp, s->request->region,
                                 s->request->service), *text;
  MLE_GO(mle_sha256_hex(canonical->data, canonical->len, digest, err));
  text = scope == NULL ? NULL : mle_arena_format(s->arena, "AWS4-HMAC-SHA256\n%s\n%s\n%s", s->stamp,
                                                 scope, digest);
  if (text == NULL) MLE_GO(no_memory(err));
  MLE_GO(sign_text(s, keys->secret_access_key, text, signature, err));
  MLE_GO(put_names(s, &names, err));
  s->sent[s->num_sent] = mle_arena_format(
      s->arena, "Authorization: AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=%s",
      keys->access_key_id, scope, names.data, signature);
  status = s->sent[s->num_sent++] == NULL ? no_memory(err) : MLE_OK;
done:
  mle_buffer_release(&names);
  return status;
}

mle_status mle_aws_sign(const mle_aws_request *request, const mle_aws_keys *keys, mle_arena *arena,
                        const char *const **out, mle_error *err) {
  signer s = {.request = request, .arena = arena};
  mle_buffer canonical = MLE_BUFFER(CANONICAL_MAX);
  const char *payload = request->payload_sha256 == NULL ? EMPTY_SHA256 : request->payload_sha256;
  time_t now = (time_t)(request->now_ms / 1000);
  struct tm utc;
  url_parts url = {0};
  const char **lines;
  mle_status status;
  strftime(s.stamp, sizeof s.stamp, "%Y%m%dT%H%M%SZ", gmtime_r(&now, &utc));
  MLE_GO(split_url(request->url, arena, &url, err));
  MLE_GO(add_headers(&s, keys, url.host, payload, err));
  MLE_GO(put_canonical(&s, &url, payload, &canonical, err));
  MLE_GO(authorize(&s, keys, &canonical, err));
  lines = mle_arena_array(arena, s.num_sent + 1, sizeof *lines);
  if (lines == NULL) MLE_GO(no_memory(err));
  memcpy(lines, s.sent, s.num_sent * sizeof *lines);
  *out = lines;
done:
  mle_buffer_release(&canonical);
  return status;
}
