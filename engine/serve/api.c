#include "engine/serve/api.h"

#include <stdio.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "engine/serve/admin.h"
#include "engine/serve/metrics.h"
#include "engine/serve/scoring.h"

#define SLOW_BODY ((size_t)256 << 10) /* a larger one is read and scored beside the workers */
#define REQUEST_NAME 40

void mle_api_init(mle_api *api, mle_slots *slots, const char *version) {
  uint64_t random;
  unsigned char key[32];
  memset(api, 0, sizeof *api);
  mle_random_bytes(&random, sizeof random);
  mle_random_bytes(key, sizeof key);
  api->slots = slots;
  api->version = version;
  snprintf(api->boot, sizeof api->boot, "%016llx", (unsigned long long)random);
  for (size_t i = 0; i < sizeof key; i++)
    snprintf(api->smoke_key + 2 * i, 3, "%02x", key[i]);
  mle_keyring_init(&api->keyring);
}

void mle_api_release(mle_api *api) { mle_keyring_release(&api->keyring); }

/* ====== Small answers ====== */

void mle_exchange_fail(mle_exchange *x, int status, const char *message) {
  mle_answer_error(x->answer, status, x->protocol, message);
}

void mle_exchange_fail_error(mle_exchange *x, const mle_error *err) {
  mle_exchange_fail(x, mle_answer_status(err), err->message);
}

void mle_exchange_text(mle_exchange *x, const char *type, const char *text) {
  x->answer->content_type = type;
  if (mle_buffer_puts(&x->answer->body, text, NULL) != MLE_OK)
    mle_exchange_fail(x, 503, "out of memory");
}

bool mle_exchange_is_method(mle_exchange *x, const char *wanted) {
  const char *method = x->call->method;
  char message[32];
  if (strcmp(method, wanted) == 0) return true;
  if (strcmp(wanted, "GET") == 0 && strcmp(method, "HEAD") == 0) return true;
  mle_http_answer_header(x->answer, "Allow", wanted);
  snprintf(message, sizeof message, "this path takes %s", wanted);
  mle_exchange_fail(x, 405, message);
  return false;
}

bool mle_exchange_may(mle_exchange *x, const char *endpoint, const char *key) {
  mle_access access = mle_keyring_check(&x->api->keyring, endpoint, key);
  if (access == MLE_ACCESS_GRANTED) return true;
  if (access == MLE_ACCESS_UNKNOWN) mle_http_answer_header(x->answer, "WWW-Authenticate", "Bearer");
  if (*endpoint == '\0')
    mle_exchange_fail(x, access == MLE_ACCESS_UNKNOWN ? 401 : 403,
                      "this needs the header Authorization: Bearer KEY with an admin key; mlengine "
                      "key add --admin makes one");
  else
    mle_exchange_fail(x, access == MLE_ACCESS_UNKNOWN ? 401 : 403,
                      "this endpoint needs the header Authorization: Bearer KEY with one of its "
                      "access keys");
  return false;
}

mle_slot *mle_exchange_slot(mle_exchange *x, const char *endpoint) {
  mle_slot *slot = mle_slots_find(x->api->slots, endpoint);
  if (slot != NULL) return slot;
  char message[MLE_ENDPOINT_MAX + 64];
  snprintf(message, sizeof message, "there is no endpoint '%.128s'; GET / lists them", endpoint);
  mle_exchange_fail(x, 404, message);
  return NULL;
}

void mle_exchange_none(mle_exchange *x, const mle_slot *slot, const char *version) {
  char message[MLE_ENDPOINT_MAX + 128];
  if (version == NULL)
    snprintf(message, sizeof message, "endpoint '%s' has no model", slot->endpoint);
  else
    snprintf(message, sizeof message, "endpoint '%s' serves version %.60s only", slot->endpoint,
             *version == '\0' ? "none" : version);
  mle_exchange_fail(x, 404, message);
}

const char *mle_exchange_header(const mle_exchange *x, const char *name) {
  const char *value = mle_http_call_header(x->call, name);
  return value == NULL ? "" : value;
}

const char *mle_exchange_query(const mle_exchange *x, const char *name) {
  const char *value = mle_http_call_query(x->call, name);
  return value == NULL ? "" : value;
}

char *mle_path_part(char **rest) {
  char *part = *rest;
  if (part == NULL || *part == '\0') return NULL;
  char *slash = strchr(part, '/');
  *rest = slash == NULL ? part + strlen(part) : slash + 1;
  if (slash != NULL) *slash = '\0';
  return part;
}

static bool is_part(const char *part, const char *wanted) {
  return part != NULL && strcmp(part, wanted) == 0;
}

/* ====== MLflow's paths ====== */

static void answer_only_endpoint(mle_exchange *x) {
  mle_slot *only;
  int ready = mle_slots_ready(x->api->slots, &only);
  if (ready == 1)
    mle_scoring_answer(x, only, &only->current, NULL);
  else if (ready == 0)
    mle_exchange_fail(x, 404, "no model is deployed here yet");
  else
    mle_exchange_fail(x, 404,
         "several endpoints are deployed: use /endpoints/NAME/invocations (GET / lists them)");
}

/* NAME[/staged]/invocations */
static void answer_endpoint(mle_exchange *x, char *rest) {
  char *name = mle_path_part(&rest), *verb = mle_path_part(&rest);
  bool staged = is_part(verb, "staged");
  if (staged) verb = mle_path_part(&rest);
  if (!is_part(verb, "invocations") || mle_path_part(&rest) != NULL) {
    mle_exchange_fail(x, 404, "use /endpoints/NAME/invocations");
    return;
  }
  if (!mle_exchange_is_method(x, "POST")) return;
  mle_slot *slot = mle_exchange_slot(x, name);
  if (slot == NULL) return;
  mle_scoring_answer(x, slot, staged ? &slot->staged : &slot->current, NULL);
}

static void answer_ping(mle_exchange *x) {
  mle_slot *only;
  if (mle_slots_ready(x->api->slots, &only) > 0)
    mle_exchange_text(x, "text/plain", "\n"); /* as MLflow's, which calls it JSON */
  else
    mle_exchange_fail(x, 404, "no model is deployed here yet");
}

static mle_status list_endpoints(mle_exchange *x, mle_buffer *out, mle_error *err) {
  mle_slots *slots = x->api->slots;
  int count = atomic_load(&slots->count);
  MLE_TRY(mle_buffer_printf(out, err, "{\"name\":\"mlengine\",\"version\":\"%s\",\"endpoints\":[",
                            x->api->version));
  bool first = true;
  for (int i = 0; i < count; i++) {
    mle_served *served = mle_cell_acquire(&slots->slot[i].current);
    if (served == NULL) continue;
    const char *endpoint = slots->slot[i].endpoint, *version = served->facts.version;
    mle_status status = mle_buffer_printf(
        out, err,
        "%s{\"endpoint\":\"%s\",\"invocations\":\"/endpoints/%s/invocations\",\"version\":",
        first ? "" : ",", endpoint, endpoint);
    if (status == MLE_OK) status = mle_answer_text(version == NULL ? "" : version, out, err);
    if (status == MLE_OK) status = mle_buffer_append(out, "}", 1, err);
    mle_served_release(served);
    MLE_TRY(status);
    first = false;
  }
  return mle_buffer_puts(out, "]}", err);
}

static void answer_root(mle_exchange *x) {
  mle_error err;
  if (list_endpoints(x, &x->answer->body, &err) != MLE_OK) mle_exchange_fail_error(x, &err);
}

/* ====== Open Inference V2 ====== */

static mle_status describe_model(const mle_slot *slot, const mle_served *served, mle_buffer *out,
                                 mle_error *err) {
  MLE_TRY(mle_buffer_printf(out, err, "{\"name\":\"%s\",\"versions\":[", slot->endpoint));
  if (served->facts.version != NULL) MLE_TRY(mle_answer_text(served->facts.version, out, err));
  MLE_TRY(mle_buffer_puts(out, "],\"platform\":\"xgboost\",\"inputs\":[", err));
  for (size_t i = 0; i < served->features.count; i++) {
    static const char *const types[] = {"FP64", "FP32", "INT64", "INT32", "BOOL", "BYTES"};
    MLE_TRY(mle_buffer_puts(out, i == 0 ? "{\"name\":" : ",{\"name\":", err));
    MLE_TRY(mle_answer_text(served->features.list[i].name, out, err));
    MLE_TRY(mle_buffer_printf(out, err, ",\"datatype\":\"%s\",\"shape\":[-1]}",
                              types[served->features.list[i].type]));
  }
  MLE_TRY(mle_buffer_printf(out, err, "],\"outputs\":[{\"name\":\"" MLE_V2_OUTPUT
                                      "\",\"datatype\":\"%s\",\"shape\":[-1",
                            served->labels ? "INT64" : "FP32"));
  if (served->width > 1) MLE_TRY(mle_buffer_printf(out, err, ",%zu", served->width));
  return mle_buffer_puts(out, "]}]}", err);
}

static void answer_model(mle_exchange *x, mle_slot *slot, const char *version, bool ready) {
  mle_error err;
  const char *key = mle_keyring_bearer(x->call->authorization);
  if (!ready && !mle_exchange_may(x, slot->endpoint, key)) return;
  mle_served *served = mle_cell_acquire(&slot->current);
  const char *has = served == NULL || served->facts.version == NULL ? "" : served->facts.version;
  if (served == NULL || (version != NULL && strcmp(version, has) != 0)) {
    mle_exchange_none(x, slot, served == NULL ? NULL : has);
  } else if (ready) {
    mle_exchange_text(x, "application/json", "{\"ready\":true}");
  } else if (describe_model(slot, served, &x->answer->body, &err) != MLE_OK) {
    mle_exchange_fail_error(x, &err);
  }
  mle_served_release(served);
}

/* NAME[/versions/V][/ready|/infer] */
static void answer_v2_model(mle_exchange *x, char *rest) {
  const char *version = NULL;
  char *name = mle_path_part(&rest), *verb = mle_path_part(&rest);
  if (is_part(verb, "versions")) {
    version = mle_path_part(&rest);
    verb = mle_path_part(&rest);
  }
  bool infer = is_part(verb, "infer"), ready = is_part(verb, "ready");
  if (name == NULL || (verb != NULL && !infer && !ready) || mle_path_part(&rest) != NULL) {
    mle_exchange_fail(x, 404, "use /v2/models/NAME, /v2/models/NAME/ready or /v2/models/NAME/infer");
    return;
  }
  if (!mle_exchange_is_method(x, infer ? "POST" : "GET")) return;
  mle_slot *slot = mle_exchange_slot(x, name);
  if (slot == NULL) return;
  if (infer)
    mle_scoring_answer(x, slot, &slot->current, version);
  else
    answer_model(x, slot, version, ready);
}

static void answer_v2_root(mle_exchange *x) {
  char text[256];
  snprintf(text, sizeof text, "{\"name\":\"mlengine\",\"version\":\"%s\",\"extensions\":[\"binary_tensor_data\",\"model_repository\"]}",
           x->api->version);
  mle_exchange_text(x, "application/json", text);
}

/* {"name":...,"version":...,"state":...} of each endpoint. */
static mle_status list_models(mle_exchange *x, mle_buffer *out, mle_error *err) {
  mle_slots *slots = x->api->slots;
  int count = atomic_load(&slots->count);
  MLE_TRY(mle_buffer_append(out, "[", 1, err));
  for (int i = 0; i < count; i++) {
    mle_served *served = mle_cell_acquire(&slots->slot[i].current);
    const char *version = served == NULL ? NULL : served->facts.version;
    mle_status status = mle_buffer_printf(out, err, "%s{\"name\":\"%s\",\"version\":",
                                          i == 0 ? "" : ",", slots->slot[i].endpoint);
    if (status == MLE_OK) status = mle_answer_text(version == NULL ? "" : version, out, err);
    if (status == MLE_OK)
      status = mle_buffer_printf(out, err, ",\"state\":\"%s\",\"reason\":\"\"}",
                                 served == NULL ? "UNAVAILABLE" : "READY");
    mle_served_release(served);
    MLE_TRY(status);
  }
  return mle_buffer_append(out, "]", 1, err);
}

static void answer_index(mle_exchange *x) {
  mle_error err;
  if (list_models(x, &x->answer->body, &err) != MLE_OK) mle_exchange_fail_error(x, &err);
}

static void answer_live(mle_exchange *x) {
  mle_exchange_text(x, "application/json", "{\"live\":true}");
}

static void answer_ready(mle_exchange *x) {
  mle_slot *only;
  bool ready = mle_slots_ready(x->api->slots, &only) > 0;
  mle_exchange_text(x, "application/json", ready ? "{\"live\":true,\"ready\":true}"
                                        : "{\"live\":true,\"ready\":false}");
  if (!ready) x->answer->status = 503;
}

/* ====== Paths ====== */

static void answer_version(mle_exchange *x) { mle_exchange_text(x, "text/plain", x->api->version); }

static void answer_metrics(mle_exchange *x) {
  mle_error err;
  x->answer->content_type = "text/plain; version=0.0.4; charset=utf-8";
  if (mle_metrics_write(x->api, &x->answer->body, &err) != MLE_OK) mle_exchange_fail_error(x, &err);
}

static void answer_openapi(mle_exchange *x) {
  if (x->api->openapi == NULL)
    mle_exchange_fail(x, 404, "this server has no OpenAPI document");
  else
    mle_exchange_text(x, "application/json", x->api->openapi);
}

static const struct route {
  const char *path, *method;
  void (*answer)(mle_exchange *x);
} routes[] = {
    {"/invocations", "POST", answer_only_endpoint}, /* first, as most requests are for it */
    {"/model", "POST", mle_scoring_cml},
    {"/", "GET", answer_root},
    {"/ping", "GET", answer_ping},
    {"/health", "GET", answer_ping},
    {"/version", "GET", answer_version},
    {"/metrics", "GET", answer_metrics},
    {"/openapi.json", "GET", answer_openapi},
    {"/v2", "GET", answer_v2_root},
    {"/v2/repository/index", "POST", answer_index},
    {"/v2/health/live", "GET", answer_live},
    {"/v2/health/ready", "GET", answer_ready},
};

static const struct prefix {
  const char *path;
  void (*answer)(mle_exchange *x, char *rest);
} prefixes[] = {
    {"/v2/models/", answer_v2_model},
    {"/v2/repository/models/", mle_admin_repository},
    {"/admin/", mle_admin_answer},
    {"/endpoints/", answer_endpoint},
};

static void route(mle_exchange *x) {
  char rest[1024];
  const char *path = x->call->path;
  for (size_t i = 0; i < sizeof routes / sizeof *routes; i++) {
    if (strcmp(path, routes[i].path) != 0) continue;
    if (mle_exchange_is_method(x, routes[i].method)) routes[i].answer(x);
    return;
  }
  for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
    size_t len = strlen(prefixes[i].path);
    if (strncmp(path, prefixes[i].path, len) != 0 || strlen(path + len) >= sizeof rest) continue;
    strcpy(rest, path + len);
    prefixes[i].answer(x, rest);
    return;
  }
  mle_exchange_fail(x, 404, "there is nothing at this path; GET / lists the endpoints");
}

/* ====== Before and after ====== */

static mle_protocol protocol_of(const char *path) {
  if (strncmp(path, "/v2", 3) == 0) return MLE_PROTOCOL_V2;
  return strcmp(path, "/model") == 0 ? MLE_PROTOCOL_CML : MLE_PROTOCOL_INVOCATIONS;
}

/* Requests to a model, in the one way or another. */
static bool is_counted(const mle_http_call *call) {
  size_t len = strlen(call->path);
  if (len > 1 && call->path[len - 1] == '/') len--; /* which the routes pass over */
  return strcmp(call->path, "/model") == 0 ||
         (len >= 12 && strncmp(call->path + len - 12, "/invocations", 12) == 0) ||
         (len >= 6 && strncmp(call->path, "/v2/", 4) == 0 &&
          strncmp(call->path + len - 6, "/infer", 6) == 0);
}

/* One line of JSON; never a body, a header or a query, which may hold what is secret. */
static void log_access(const mle_exchange *x, int64_t ns) {
  mle_buffer line = MLE_BUFFER(8192);
  char time[MLE_TIME_TEXT];
  mle_status status = mle_buffer_printf(&line, NULL,
                                        "{\"time\":\"%s\",\"status\":%d,\"us\":%lld,\"rows\":%zu,"
                                        "\"bytes_in\":%zu,\"bytes_out\":%zu,\"method\":",
                                        mle_time_text(mle_now_ms(), time), x->answer->status,
                                        (long long)(ns / 1000), x->rows, x->call->body_len,
                                        x->answer->body.len);
  const char *const texts[][2] = {{NULL, x->call->method},
                                  {"path", x->call->path},
                                  {"request_id", x->request_id},
                                  {"endpoint", x->endpoint == NULL ? "" : x->endpoint},
                                  {"version", x->version}};
  for (size_t i = 0; status == MLE_OK && i < sizeof texts / sizeof *texts; i++) {
    if (i > 0) status = mle_buffer_printf(&line, NULL, ",\"%s\":", texts[i][0]);
    if (status == MLE_OK) status = mle_answer_text(texts[i][1], &line, NULL);
  }
  if (status == MLE_OK) mle_log(MLE_INFO, "%s}", line.data);
  mle_buffer_release(&line);
}

static bool is_sampled(const mle_api *api, uint64_t number) {
  return api->log_share > 0 &&
         (double)(mle_mix64(number) >> 11) * 0x1p-53 < api->log_share;
}

/* BOOT-NUMBER; printf takes as long for it as a row takes to be read. */
static const char *name_request(const mle_api *api, uint64_t number, char out[REQUEST_NAME]) {
  char *at = out + REQUEST_NAME - 1;
  size_t len = strlen(api->boot);
  *at = '\0';
  do *--at = (char)('0' + number % 10);
  while ((number /= 10) > 0);
  *--at = '-';
  return memcpy(at - len, api->boot, len);
}

/* The request's own, when it sent one that fits a header; the answer has it from here on. */
static const char *identify(const mle_api *api, const mle_http_call *call, uint64_t number,
                            mle_http_answer *answer, char out[REQUEST_NAME]) {
  const char *id = call->request_id;
  int before = answer->num_headers;
  mle_http_answer_header(answer, "X-Request-Id", id);
  if (answer->num_headers > before) return id;
  id = name_request(api, number, out);
  mle_http_answer_header(answer, "X-Request-Id", id);
  return id;
}

/* `refused` is the status of one that is not to be answered, 0: it is; such are counted and logged as all others. */
static void answer(mle_api *api, const mle_http_call *call, mle_http_answer *answer, int refused, const char *why) {
  mle_exchange x = {.api = api, .call = call, .answer = answer,
                    .protocol = protocol_of(call->path)};
  char id[REQUEST_NAME];
  uint64_t number = atomic_fetch_add_explicit(&api->requests, 1, memory_order_relaxed);
  x.request_id = identify(api, call, number, answer, id);
  if (refused == 0)
    route(&x);
  else
    mle_exchange_fail(&x, refused, why);
  int64_t ns = mle_monotonic_ns() - call->received_ns;
  if (is_counted(call))
    mle_meter_count(x.meter == NULL ? &api->elsewhere : x.meter, x.protocol, answer->status, ns,
                    x.rows);
  if (is_sampled(api, number)) log_access(&x, ns);
}

void mle_api_refuse(void *context, const mle_http_call *call, const char *why, mle_http_answer *refusal) {
  answer(context, call, refusal, refusal->status, why);
}

/* ====== Requests that take long ====== */

static bool is_administration(const mle_http_call *call) {
  return strncmp(call->path, "/admin/", 7) == 0 || strncmp(call->path, "/v2/repository/models/", 22) == 0;
}

/* Who takes it off the workers; NULL: nobody. */
static mle_pool *pool_for(const mle_api *api, const mle_http_call *call) {
  if (is_administration(call)) return api->admin;
  return call->body_len > SLOW_BODY ? api->slow : NULL;
}

typedef struct slow {
  mle_api *api;
  mle_http_kept *kept;
} slow;

static void answer_slowly(void *context, bool dropped) {
  slow *s = context;
  answer(s->api, &s->kept->call, &s->kept->answer, dropped ? 503 : 0, "the server is stopping");
  mle_http_kept_send(s->kept);
  mle_free(s);
}

/* To a thread that has time; or a refusal. */
static void hand_over(mle_api *api, mle_pool *pool, const mle_http_call *call, mle_http_answer *refusal) {
  if (!mle_pool_reserve(pool)) {
    answer(api, call, refusal, 429, pool == api->admin ? "as many commands wait as may; try again"
                                                       : "as many large requests wait as may; try again");
    return;
  }
  slow *s = mle_alloc(sizeof *s);
  if (s != NULL) *s = (slow){api, mle_http_keep(call)};
  if (s != NULL && s->kept != NULL) {
    mle_pool_submit(pool, answer_slowly, s);
    return;
  }
  mle_free(s);
  mle_pool_cancel(pool);
  answer(api, call, refusal, 503, "out of memory");
}

void mle_api_answer(void *context, const mle_http_call *call, mle_http_answer *out) {
  mle_api *api = context;
  mle_pool *pool = pool_for(api, call);
  if (pool != NULL)
    hand_over(api, pool, call, out);
  else
    answer(api, call, out, 0, NULL);
}
