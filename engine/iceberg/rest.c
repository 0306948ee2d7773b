#include "engine/iceberg/rest.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "engine/base/alloc.h"
#include "engine/base/cancel.h"
#include "engine/base/clock.h"
#include "engine/base/percent.h"
#include "engine/http/retry.h"
#include "engine/iceberg/rest_answer.h"

#define ANSWER_MAX ((size_t)512 << 20) /* as of a metadata file */
#define SENT_MAX 5 /* times that one change is asked for */
#define URL_BYTES_MAX ((size_t)64 << 10)
#define HEADERS_MAX 32
#define SEPARATOR "%1F" /* between the levels of a namespace, unless the server says otherwise */

/* ====== Endpoints, as a server lists them ====== */

static const struct endpoint {
  const char *method, *path;
  bool listed_only; /* younger than the list itself: there only when listed */
} endpoints[] = {
    [MLE_IRC_CONFIG] = {"GET", "/v1/config", false},
    [MLE_IRC_LIST_NAMESPACES] = {"GET", "/v1/{prefix}/namespaces", false},
    [MLE_IRC_CREATE_NAMESPACE] = {"POST", "/v1/{prefix}/namespaces", false},
    [MLE_IRC_LOAD_NAMESPACE] = {"GET", "/v1/{prefix}/namespaces/{namespace}", false},
    [MLE_IRC_NAMESPACE_EXISTS] = {"HEAD", "/v1/{prefix}/namespaces/{namespace}", true},
    [MLE_IRC_UPDATE_NAMESPACE] = {"POST", "/v1/{prefix}/namespaces/{namespace}/properties", false},
    [MLE_IRC_DROP_NAMESPACE] = {"DELETE", "/v1/{prefix}/namespaces/{namespace}", false},
    [MLE_IRC_LIST_TABLES] = {"GET", "/v1/{prefix}/namespaces/{namespace}/tables", false},
    [MLE_IRC_CREATE_TABLE] = {"POST", "/v1/{prefix}/namespaces/{namespace}/tables", false},
    [MLE_IRC_LOAD_TABLE] = {"GET", "/v1/{prefix}/namespaces/{namespace}/tables/{table}", false},
    [MLE_IRC_TABLE_EXISTS] = {"HEAD", "/v1/{prefix}/namespaces/{namespace}/tables/{table}", true},
    [MLE_IRC_COMMIT_TABLE] = {"POST", "/v1/{prefix}/namespaces/{namespace}/tables/{table}", false},
    [MLE_IRC_DROP_TABLE] = {"DELETE", "/v1/{prefix}/namespaces/{namespace}/tables/{table}", false},
    [MLE_IRC_REGISTER_TABLE] = {"POST", "/v1/{prefix}/namespaces/{namespace}/register", false},
    [MLE_IRC_RENAME_TABLE] = {"POST", "/v1/{prefix}/tables/rename", false},
    [MLE_IRC_LOAD_CREDENTIALS] =
        {"GET", "/v1/{prefix}/namespaces/{namespace}/tables/{table}/credentials", true},
};

/* ====== The server ====== */

typedef struct properties {
  mle_property *items;
  size_t count;
} properties;

struct mle_irc {
  mle_arena memory;
  const char *uri; /* without a final slash */
  properties given, merged;
  mle_http_client *client;  /* NULL until used */
  mle_irc_auth *auth;
  mle_irc_signer *signer;   /* NULL: requests are not signed */
  mle_json *config;         /* the server's answer; NULL until asked */
  const char *headers[HEADERS_MAX]; /* of every request, the first ones */
  size_t num_headers;
};

/* Puts `value` under `key`; an older value gives way. */
static mle_status put(mle_irc *s, properties *to, const char *key, const char *value,
                      mle_error *err) {
  size_t i = 0;
  while (i < to->count && strcmp(to->items[i].key, key) != 0) i++;
  if (i == to->count) {
    mle_property *longer = mle_arena_grow(&s->memory, to->items, to->count, sizeof *longer);
    if (longer == NULL) return mle_nomem(err, "opening a catalog");
    to->items = longer;
    MLE_TRY(mle_arena_copy(&s->memory, key, &to->items[i].key, err));
  }
  MLE_TRY(mle_arena_copy(&s->memory, value, &to->items[i].value, err));
  if (i == to->count) to->count++;
  return MLE_OK;
}

static mle_status read_uri(mle_irc *s, mle_error *err) {
  const char *uri = mle_property_find(s->given.items, s->given.count, "uri");
  size_t len = uri == NULL ? 0 : strlen(uri);
  bool web = uri != NULL && (strncmp(uri, "http://", 7) == 0 || strncmp(uri, "https://", 8) == 0);
  if (!web)
    return mle_fail(err, MLE_EINVAL, "a REST catalog's uri begins with http:// or https://");
  if (memchr(uri + 8, '@', strcspn(uri + 8, "/?#")) != NULL)
    return mle_fail(err, MLE_EINVAL,
                    "uri may not hold user and password; set auth.type = \"basic\", token or "
                    "credential");
  while (len > 8 && uri[len - 1] == '/') len--;
  s->uri = mle_arena_text(&s->memory, uri, len);
  return s->uri == NULL ? mle_nomem(err, "opening a catalog") : MLE_OK;
}

mle_status mle_irc_open(const mle_property *given, size_t count, mle_irc **out, mle_error *err) {
  mle_status status = MLE_OK;
  *out = NULL;
  mle_irc *s = mle_calloc(1, sizeof *s);
  if (s == NULL) return mle_nomem(err, "opening a catalog");
  for (size_t i = 0; i < count; i++)
    MLE_GO(put(s, &s->given, given[i].key, given[i].value, err));
  MLE_GO(read_uri(s, err));
  if (mle_irc_property(s, "ssl.client.key") != NULL) {
    status = mle_fail(err, MLE_EUNSUPPORTED, "property ssl.client.key is not spoken: put the key into "
                                             "the PEM file that ssl.client.cert names");
    goto done;
  }
  /* what is wrong with how we are to ask should not wait for the first question */
  MLE_GO(mle_irc_auth_new(s->uri, s->given.items, s->given.count, &s->auth, err));
  *out = s;
  s = NULL;
done:
  mle_irc_close(s);
  return status;
}

void mle_irc_close(mle_irc *s) {
  if (s == NULL) return;
  mle_irc_auth_free(s->auth);
  mle_irc_signer_free(s->signer);
  mle_http_client_free(s->client);
  mle_json_free(s->config);
  mle_arena_release(&s->memory);
  mle_free(s);
}

const char *mle_irc_property(const mle_irc *s, const char *key) {
  const properties *all = s->config == NULL ? &s->given : &s->merged;
  return mle_property_find(all->items, all->count, key);
}

const mle_property *mle_irc_properties(const mle_irc *s, size_t *count) {
  const properties *all = s->config == NULL ? &s->given : &s->merged;
  *count = all->count;
  return all->items;
}

static int64_t number_of(const mle_irc *s, const char *key, int64_t fallback) {
  const char *text = mle_irc_property(s, key);
  char *end;
  int64_t value = text == NULL ? 0 : strtoll(text, &end, 10);
  return text == NULL || *end != '\0' || value < 1 || value > 86400000 ? fallback : value;
}

/* ====== Addresses ====== */

/* "a.b" as the spec has it in a path: levels between separators, each encoded. */
static mle_status put_namespace(mle_irc *s, mle_arena *memory, mle_buffer *url, const char *space,
                                mle_error *err) {
  const char *separator = mle_irc_property(s, "namespace-separator");
  if (separator == NULL) separator = SEPARATOR;
  for (const char *at = space;; at++) {
    size_t len = strcspn(at, ".");
    char *level = mle_arena_text(memory, at, len);
    char *coded = level == NULL ? NULL : mle_percent_encode(memory, level, false);
    if (coded == NULL) return mle_nomem(err, "asking a catalog");
    MLE_TRY(mle_buffer_printf(url, err, "%s%s", at == space ? "" : separator, coded));
    at += len;
    if (*at == '\0') return MLE_OK;
  }
}

static mle_status put_text(mle_arena *memory, mle_buffer *url, const char *text, bool slashes,
                           mle_error *err) {
  char *coded = mle_percent_encode(memory, text, slashes);
  return coded == NULL ? mle_nomem(err, "asking a catalog") : mle_buffer_puts(url, coded, err);
}

/* The endpoint's path with its names filled in. */
static mle_status build_url(mle_irc *s, const mle_irc_request *request, mle_arena *memory,
                            mle_buffer *url, mle_error *err) {
  const char *prefix = mle_irc_property(s, "prefix");
  MLE_TRY(mle_buffer_puts(url, s->uri, err));
  for (const char *at = endpoints[request->endpoint].path; *at != '\0';) {
    if (strncmp(at, "/{prefix}", 9) == 0) {
      if (prefix != NULL) MLE_TRY(mle_buffer_puts(url, "/", err));
      if (prefix != NULL) MLE_TRY(put_text(memory, url, prefix, true, err));
      at += 9;
    } else if (strncmp(at, "{namespace}", 11) == 0) {
      MLE_TRY(put_namespace(s, memory, url, request->name.space, err));
      at += 11;
    } else if (strncmp(at, "{table}", 7) == 0) {
      MLE_TRY(put_text(memory, url, request->name.name, false, err));
      at += 7;
    } else {
      MLE_TRY(mle_buffer_append(url, at++, 1, err));
    }
  }
  const char *const *q = request->query;
  for (const char *join = "?"; q != NULL && *q != NULL; q += 2, join = "&") {
    MLE_TRY(mle_buffer_printf(url, err, "%s%s=", join, q[0]));
    if (strcmp(q[0], "parent") == 0)
      MLE_TRY(put_namespace(s, memory, url, q[1], err));
    else
      MLE_TRY(put_text(memory, url, q[1], false, err));
  }
  return MLE_OK;
}

void mle_irc_add_namespace(mle_json *to, const char *key, const char *space) {
  mle_json *levels = mle_json_add_array(to, key);
  char level[256]; /* names have 255 bytes at most */
  for (const char *at = space;; at++) {
    size_t len = strcspn(at, ".");
    if (len >= sizeof level) len = sizeof level - 1;
    memcpy(level, at, len);
    level[len] = '\0';
    mle_json_add_text(levels, NULL, level);
    at += len;
    if (*at == '\0') return;
  }
}

/* ====== What an answer means ====== */

static mle_status fail_answer(const mle_irc *s, const mle_irc_request *request,
                              const mle_http_response *response, mle_error *err) {
  const struct endpoint *to = &endpoints[request->endpoint];
  const mle_irc_asked asked = {s->uri, to->method, to->path, s->auth, s->signer};
  return mle_irc_answer_fail(&asked, response, err);
}

static mle_status take_answer(const mle_irc *s, const mle_irc_request *request,
                              const mle_http_response *response, mle_json **out, mle_error *err) {
  if (out == NULL || strcmp(endpoints[request->endpoint].method, "HEAD") == 0) return MLE_OK;
  const char *text = response->body.data == NULL ? "" : response->body.data;
  mle_status status = mle_json_parse(text, response->body.len, out, err);
  mle_json_at root = mle_json_root(*out);
  if (status == MLE_OK && !mle_json_is_object(&root)) {
    mle_json_free(*out);
    *out = NULL;
    status = mle_fail(err, MLE_EFORMAT, "no object");
  }
  return status == MLE_OK ? MLE_OK : mle_context(err, "what %s answers", s->uri);
}

/* ====== Sending ====== */

/* A failure of ours, be it no memory or a cancel, is none of a change that went out. */
static mle_status unless_it_went_out(mle_status status, bool went_out, mle_error *err) {
  if (status == MLE_OK || !went_out) return status;
  if (err != NULL) err->status = MLE_EUNKNOWN, err->retryable = false;
  return MLE_EUNKNOWN;
}

static mle_status attempt(mle_irc *s, const mle_irc_request *request, const char *url,
                          const char *body, mle_arena *memory, mle_http_response *response,
                          mle_error *err) {
  const struct endpoint *to = &endpoints[request->endpoint];
  const char *headers[HEADERS_MAX + 3] = {0}, *authorization = NULL;
  mle_http_request http = MLE_HTTP_REQUEST(to->method, url);
  size_t count = s->num_headers;
  bool reads = strcmp(to->method, "GET") == 0 || strcmp(to->method, "HEAD") == 0;
  if (count > 0) memcpy(headers, s->headers, count * sizeof *headers);
  mle_status status = mle_irc_auth_line(s->auth, s->client, &authorization, err);
  *response = (mle_http_response){0};
  if (status != MLE_OK) return status;
  if (authorization != NULL && s->signer == NULL) headers[count++] = authorization;
  if (body != NULL) headers[count++] = "Content-Type: application/json";
  http.headers = headers;
  if (s->signer != NULL)
    MLE_TRY(mle_irc_sign(s->signer, to->method, url, headers, body, memory, &http.headers, err));
  http.body = body;
  http.body_len = body == NULL ? 0 : strlen(body);
  http.response_max = ANSWER_MAX;
  http.connect_ms = number_of(s, "rest.client.connection-timeout-ms", http.connect_ms);
  http.total_ms = number_of(s, "rest.client.socket-timeout-ms", http.total_ms);
  http.ca_file = mle_irc_property(s, "ssl.cabundle");
  http.client_cert = mle_irc_property(s, "ssl.client.cert");
  if (!reads) http.retries = 0;
  status = mle_http_send(s->client, &http, response, err);
  return unless_it_went_out(status, !reads && response->sent, err);
}

static mle_status send(mle_irc *s, const mle_irc_request *request, const char *url,
                       const char *body, mle_arena *memory, mle_json **out, mle_error *err) {
  mle_http_response response;
  mle_status status = attempt(s, request, url, body, memory, &response, err);
  if (status == MLE_OK && (response.status == 401 || response.status == 419)) {
    bool renewed;
    status = mle_irc_auth_renew(s->auth, s->client, &renewed, err);
    if (status == MLE_OK && renewed) {
      mle_http_response_release(&response);
      status = attempt(s, request, url, body, memory, &response, err);
    }
  }
  const char *method = endpoints[request->endpoint].method;
  if (status == MLE_OK && response.status / 100 == 2)
    status = unless_it_went_out(take_answer(s, request, &response, out, err), strcmp(method, "POST") == 0, err);
  else if (status == MLE_OK)
    status = fail_answer(s, request, &response, err);
  mle_http_response_release(&response);
  return status;
}

/* Asks without looking at the configuration. */
static mle_status call(mle_irc *s, const mle_irc_request *request, const char *body,
                       mle_json **out, mle_error *err) {
  mle_arena memory = MLE_ARENA;
  mle_buffer url = MLE_BUFFER(URL_BYTES_MAX);
  mle_status status = build_url(s, request, &memory, &url, err);
  if (status == MLE_OK) status = send(s, request, url.data, body, &memory, out, err);
  mle_buffer_release(&url);
  mle_arena_release(&memory);
  return status;
}

/* ====== Configuration ====== */

static mle_status add_header(mle_irc *s, const char *name, const char *value, mle_error *err) {
  if (s->num_headers == HEADERS_MAX)
    return mle_fail(err, MLE_EINVAL, "more than %d properties begin with header.", HEADERS_MAX);
  char *line = mle_arena_format(&s->memory, "%s: %s", name, value);
  if (line == NULL) return mle_nomem(err, "opening a catalog");
  s->headers[s->num_headers++] = line;
  return MLE_OK;
}

/* Every request asks for credentials of the table's own, as PyIceberg's do. */
static mle_status read_headers(mle_irc *s, const properties *from, mle_error *err) {
  bool delegation = false;
  s->num_headers = 0;
  for (size_t i = 0; i < from->count; i++) {
    if (strncmp(from->items[i].key, "header.", 7) != 0) continue;
    delegation |= strcasecmp(from->items[i].key + 7, "X-Iceberg-Access-Delegation") == 0;
    if (from->items[i].value[0] == '\0') continue; /* how one asks for none */
    MLE_TRY(add_header(s, from->items[i].key + 7, from->items[i].value, err));
  }
  return delegation ? MLE_OK
                    : add_header(s, "X-Iceberg-Access-Delegation", "vended-credentials", err);
}

static mle_status merge(mle_irc *s, const mle_json_at *root, const char *key, mle_error *err) {
  mle_json_at list, item;
  const char *value;
  if (!mle_json_find(root, key, &list)) return MLE_OK;
  for (bool more = mle_json_first(&list, &item); more; more = mle_json_next(&item)) {
    if (mle_json_is_null(&item)) continue;
    MLE_TRY(mle_json_text(&item, &value, err));
    MLE_TRY(put(s, &s->merged, item.key, value, err));
  }
  return MLE_OK;
}

/* null is none, as in Java. */
static bool has_endpoints(const mle_json_at *root, mle_json_at *out) {
  return mle_json_find(root, "endpoints", out) && !mle_json_is_null(out);
}

/* Spec: defaults below what the client was given, overrides above it. */
static mle_status merge_all(mle_irc *s, const mle_json *config, mle_error *err) {
  mle_json_at root = mle_json_root(config), list;
  s->merged = (properties){0};
  MLE_TRY(merge(s, &root, "defaults", err));
  for (size_t i = 0; i < s->given.count; i++)
    MLE_TRY(put(s, &s->merged, s->given.items[i].key, s->given.items[i].value, err));
  MLE_TRY(merge(s, &root, "overrides", err));
  if (has_endpoints(&root, &list) && !mle_json_is_array(&list))
    return mle_json_fail(&list, err, "no list");
  return read_headers(s, &s->merged, err);
}

static mle_status read_signer(mle_irc *s, const properties *from, mle_error *err) {
  mle_irc_signer_free(s->signer);
  s->signer = NULL;
  if (!mle_irc_signer_wanted(from->items, from->count)) return MLE_OK;
  return mle_irc_signer_new(from->items, from->count, &s->signer, err);
}

/* The server may send another address, and another way to ask. */
static mle_status adopt(mle_irc *s, mle_json *config, mle_error *err) {
  mle_irc_auth *auth = NULL;
  MLE_TRY(merge_all(s, config, err));
  const char *uri = mle_property_find(s->merged.items, s->merged.count, "uri");
  size_t len = uri == NULL ? 0 : strlen(uri);
  while (len > 8 && uri[len - 1] == '/') len--;
  const char *at = mle_arena_text(&s->memory, uri == NULL ? "" : uri, len);
  if (at == NULL) return mle_nomem(err, "opening a catalog");
  static const char *const ours[] = {"token", "credential", "scope", "oauth2-server-uri", "uri"};
  bool same = true;
  for (size_t i = 0; i < sizeof ours / sizeof *ours; i++) {
    const char *a = mle_property_find(s->given.items, s->given.count, ours[i]);
    const char *b = mle_property_find(s->merged.items, s->merged.count, ours[i]);
    same &= a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
  }
  if (!same) {
    MLE_TRY(mle_irc_auth_new(at, s->merged.items, s->merged.count, &auth, err));
    mle_irc_auth_free(s->auth);
    s->auth = auth;
  }
  s->uri = at;
  return read_signer(s, &s->merged, err);
}

static mle_status connect(mle_irc *s, mle_error *err) {
  const char *warehouse = mle_property_find(s->given.items, s->given.count, "warehouse");
  const char *const query[] = {"warehouse", warehouse, NULL};
  const mle_irc_request request = {.endpoint = MLE_IRC_CONFIG,
                                   .query = warehouse == NULL ? NULL : query};
  mle_json *config = NULL;
  if (s->config != NULL) return MLE_OK;
  if (s->client == NULL) MLE_TRY(mle_http_client_new(&s->client, err));
  MLE_TRY(read_headers(s, &s->given, err));
  MLE_TRY(read_signer(s, &s->given, err));
  MLE_TRY(call(s, &request, NULL, &config, err));
  mle_status status = adopt(s, config, err);
  if (status == MLE_OK) {
    s->config = config;
    return MLE_OK;
  }
  mle_json_free(config);
  return mle_context(err, "the configuration that %s answers", s->uri);
}

static bool is_listed(const mle_irc *s, mle_irc_endpoint endpoint) {
  const struct endpoint *e = &endpoints[endpoint];
  mle_json_at root = mle_json_root(s->config), list, item;
  const char *text;
  if (!has_endpoints(&root, &list)) return !e->listed_only;
  for (bool more = mle_json_first(&list, &item); more; more = mle_json_next(&item)) {
    size_t len = strlen(e->method);
    if (mle_json_text(&item, &text, NULL) == MLE_OK && strncmp(text, e->method, len) == 0 &&
        text[len] == ' ' && strcmp(text + len + 1, e->path) == 0)
      return true;
  }
  return false;
}

mle_status mle_irc_has(mle_irc *s, mle_irc_endpoint endpoint, bool *out, mle_error *err) {
  *out = false;
  MLE_TRY(connect(s, err));
  *out = is_listed(s, endpoint);
  return MLE_OK;
}

/* Until it is known what became of it. */
static mle_status change(mle_irc *s, const mle_irc_request *request, const char *body, mle_json **out,
                         mle_error *err) {
  bool doubtful = false, done = false;
  for (int sent = 1;; sent++) {
    mle_status status = call(s, request, body, out, err);
    doubtful |= status == MLE_EUNKNOWN;
    if (request->is_done == NULL || status == MLE_OK || !doubtful) return status;
    mle_status looked = request->is_done(request->context, &done, NULL);
    if (looked == MLE_OK && done) return MLE_OK;
    if (looked == MLE_OK && status != MLE_EUNKNOWN) return status;
    if (looked != MLE_OK || sent == SENT_MAX || mle_cancelled()) {
      mle_context(err, "whether it was done is not known, look before trying again");
      return MLE_EUNKNOWN;
    }
    mle_sleep_ms(mle_retry_wait_ms(sent, 200, -1));
  }
}

mle_status mle_irc_call(mle_irc *s, const mle_irc_request *request, mle_json **out,
                        mle_error *err) {
  const struct endpoint *e = &endpoints[request->endpoint];
  char *body = request->body == NULL ? NULL : mle_json_print(request->body, false);
  bool printed = request->body == NULL || body != NULL;
  mle_json_free(request->body);
  mle_status status = printed ? connect(s, err) : mle_nomem(err, "asking a catalog");
  if (out != NULL) *out = NULL;
  if (status == MLE_OK && !is_listed(s, request->endpoint))
    status = mle_fail(err, MLE_EUNSUPPORTED, "the catalog at %s does not have %s %s", s->uri,
                      e->method, e->path);
  if (status == MLE_OK) status = change(s, request, body, out, err);
  mle_free(body);
  return status;
}
