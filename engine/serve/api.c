#include "engine/serve/api.h"

#include <stdio.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/serve/answer.h"
#include "engine/serve/invocations.h"
#include "engine/serve/v2.h"

#define SCORES_ON_STACK 256

/* One request on its way to an answer. */
typedef struct exchange {
  mle_api *api;
  const mle_http_call *call;
  mle_http_answer *answer;
  bool v2; /* how failures are told */
} exchange;

void mle_api_init(mle_api *api, mle_slots *slots, const char *version) {
  uint64_t random;
  mle_random_bytes(&random, sizeof random);
  api->slots = slots;
  api->version = version;
  snprintf(api->boot, sizeof api->boot, "%016llx", (unsigned long long)random);
  atomic_init(&api->requests, 0);
}

/* ====== Small answers ====== */

static void fail(const exchange *x, int status, const char *message) {
  mle_answer_error(x->answer, status, x->v2, message);
}

static void fail_error(const exchange *x, const mle_error *err) {
  fail(x, mle_answer_status(err), err->message);
}

static void put_text(const exchange *x, const char *type, const char *text) {
  x->answer->content_type = type;
  if (mle_buffer_puts(&x->answer->body, text, NULL) != MLE_OK) fail(x, 503, "out of memory");
}

/* Answers 405 unless the method is `wanted`; HEAD counts as GET. */
static bool is_method(const exchange *x, const char *wanted) {
  const char *method = x->call->method;
  if (strcmp(method, wanted) == 0) return true;
  if (strcmp(wanted, "GET") == 0 && strcmp(method, "HEAD") == 0) return true;
  mle_http_answer_header(x->answer, "Allow", wanted);
  fail(x, 405, strcmp(wanted, "GET") == 0 ? "this path takes GET" : "this path takes POST");
  return false;
}

static void add_facts(const exchange *x, const mle_slot *slot, const mle_served *served) {
  char deployment[24];
  snprintf(deployment, sizeof deployment, "%lld", (long long)served->facts.deployment);
  mle_http_answer_header(x->answer, "X-Model-Deployment", deployment);
  mle_http_answer_header(x->answer, "X-Model-Endpoint", slot->endpoint);
  mle_http_answer_header(x->answer, "X-Model-Version", served->facts.version);
  mle_http_answer_header(x->answer, "X-Run-Id", served->facts.run_id);
}

static void add_request_id(const exchange *x) {
  char id[MLE_HTTP_HEADER_TEXT];
  const char *given = x->call->request_id;
  if (*given == '\0') {
    unsigned long long number = atomic_fetch_add(&x->api->requests, 1);
    snprintf(id, sizeof id, "%s-%llu", x->api->boot, number);
    given = id;
  }
  mle_http_answer_header(x->answer, "X-Request-Id", given);
}

/* ====== Scoring ====== */

typedef mle_status (*parse_fn)(const exchange *x, const mle_served *served, mle_rows *rows,
                               mle_v2_request *request, mle_error *err);
typedef mle_status (*write_fn)(const exchange *x, const mle_slot *slot, const mle_served *served,
                               const mle_v2_request *request, const float *scores, size_t rows,
                               mle_error *err);

static mle_status parse_invocations(const exchange *x, const mle_served *served, mle_rows *rows,
                                    mle_v2_request *request, mle_error *err) {
  (void)request;
  return mle_invocations_parse(&served->features, x->call->content_type, x->call->body,
                               x->call->body_len, rows, err);
}

static mle_status write_invocations(const exchange *x, const mle_slot *slot,
                                    const mle_served *served, const mle_v2_request *request,
                                    const float *scores, size_t rows, mle_error *err) {
  (void)slot, (void)request;
  return mle_answer_predictions(served, scores, rows, &x->answer->body, err);
}

static mle_status parse_v2(const exchange *x, const mle_served *served, mle_rows *rows,
                           mle_v2_request *request, mle_error *err) {
  if (*x->call->tensor_bytes != '\0')
    return mle_fail(err, MLE_EINVAL, "tensors as binary bytes are not taken; send them as JSON "
                                     "(binary_data=False)");
  return mle_v2_parse(&served->features, x->call->body, x->call->body_len, request, rows, err);
}

static mle_status write_v2(const exchange *x, const mle_slot *slot, const mle_served *served,
                           const mle_v2_request *request, const float *scores, size_t rows,
                           mle_error *err) {
  return mle_answer_v2(served, slot->endpoint, request->id, scores, rows, &x->answer->body, err);
}

/* The whole of one request, with the one model it took a reference of. */
static mle_status score(const exchange *x, const mle_slot *slot, const mle_served *served,
                        parse_fn parse, write_fn write, mle_error *err) {
  float few[SCORES_ON_STACK], *scores = few;
  mle_v2_request request;
  mle_rows rows;
  mle_rows_init(&rows, served->features.count);
  mle_status status;
  MLE_GO(parse(x, served, &rows, &request, err));
  size_t wanted = rows.count * served->width;
  if (wanted > SCORES_ON_STACK) scores = mle_realloc_array(NULL, wanted, sizeof *scores);
  if (scores == NULL) {
    status = mle_nomem(err, "scoring");
    goto done;
  }
  MLE_GO(mle_served_score(served, rows.values, rows.count, scores, err));
  MLE_GO(write(x, slot, served, &request, scores, rows.count, err));
done:
  mle_rows_release(&rows);
  if (scores != few) mle_free(scores);
  return status;
}

static void answer_scores(const exchange *x, mle_slot *slot, mle_cell *cell, const char *version,
                          parse_fn parse, write_fn write) {
  char message[MLE_ENDPOINT_MAX + 128];
  mle_served *served = mle_cell_acquire(cell);
  if (served == NULL) {
    snprintf(message, sizeof message, "endpoint '%s' has no model", slot->endpoint);
    fail(x, 404, message);
    return;
  }
  mle_error err;
  add_facts(x, slot, served);
  const char *has = served->facts.version == NULL ? "" : served->facts.version;
  if (version != NULL && strcmp(version, has) != 0) {
    snprintf(message, sizeof message, "endpoint '%s' serves version %.60s only", slot->endpoint,
             *has == '\0' ? "none" : has);
    fail(x, 404, message);
  } else if (score(x, slot, served, parse, write, &err) != MLE_OK) {
    fail_error(x, &err);
  }
  mle_served_release(served);
}

/* ====== MLflow's paths ====== */

static void answer_only_endpoint(const exchange *x) {
  mle_slot *only;
  int ready = mle_slots_ready(x->api->slots, &only);
  if (ready == 1)
    answer_scores(x, only, &only->current, NULL, parse_invocations, write_invocations);
  else if (ready == 0)
    fail(x, 404, "no model is deployed here yet");
  else
    fail(x, 404,
         "several endpoints are deployed: use /endpoints/NAME/invocations (GET / lists them)");
}

static mle_slot *find_slot(const exchange *x, const char *endpoint) {
  mle_slot *slot = mle_slots_find(x->api->slots, endpoint);
  if (slot != NULL) return slot;
  char message[MLE_ENDPOINT_MAX + 64];
  snprintf(message, sizeof message, "there is no endpoint '%.128s'; GET / lists them", endpoint);
  fail(x, 404, message);
  return NULL;
}

/* Cuts the next part of a path out: "fraud/invocations" gives "fraud"; NULL at the end. */
static char *take_part(char **rest) {
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

/* NAME[/staged]/invocations */
static void answer_endpoint(const exchange *x, char *rest) {
  char *name = take_part(&rest), *verb = take_part(&rest);
  bool staged = is_part(verb, "staged");
  if (staged) verb = take_part(&rest);
  if (!is_part(verb, "invocations") || take_part(&rest) != NULL) {
    fail(x, 404, "use /endpoints/NAME/invocations");
    return;
  }
  if (!is_method(x, "POST")) return;
  mle_slot *slot = find_slot(x, name);
  if (slot == NULL) return;
  answer_scores(x, slot, staged ? &slot->staged : &slot->current, NULL, parse_invocations,
                write_invocations);
}

static void answer_ping(const exchange *x) {
  mle_slot *only;
  if (mle_slots_ready(x->api->slots, &only) > 0)
    put_text(x, "application/json", "\n");
  else
    fail(x, 404, "no model is deployed here yet");
}

static mle_status list_endpoints(const exchange *x, mle_buffer *out, mle_error *err) {
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

static void answer_root(const exchange *x) {
  mle_error err;
  if (list_endpoints(x, &x->answer->body, &err) != MLE_OK) fail_error(x, &err);
}

/* ====== Open Inference V2 ====== */

static mle_status describe_model(const mle_slot *slot, const mle_served *served, mle_buffer *out,
                                 mle_error *err) {
  MLE_TRY(mle_buffer_printf(out, err, "{\"name\":\"%s\",\"versions\":[", slot->endpoint));
  if (served->facts.version != NULL) MLE_TRY(mle_answer_text(served->facts.version, out, err));
  MLE_TRY(mle_buffer_puts(out, "],\"platform\":\"xgboost\",\"inputs\":[", err));
  for (size_t i = 0; i < served->features.count; i++) {
    static const char *const types[] = {"FP64", "FP32", "INT64", "INT32", "BOOL"};
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

static void answer_model(const exchange *x, mle_slot *slot, const char *version, bool ready) {
  mle_error err;
  mle_served *served = mle_cell_acquire(&slot->current);
  const char *has = served == NULL || served->facts.version == NULL ? "" : served->facts.version;
  if (served == NULL || (version != NULL && strcmp(version, has) != 0)) {
    fail(x, 404, "there is no such model or version here");
  } else if (ready) {
    put_text(x, "application/json", "{\"ready\":true}");
  } else if (describe_model(slot, served, &x->answer->body, &err) != MLE_OK) {
    fail_error(x, &err);
  }
  mle_served_release(served);
}

/* NAME[/versions/V][/ready|/infer] */
static void answer_v2_model(const exchange *x, char *rest) {
  const char *version = NULL;
  char *name = take_part(&rest), *verb = take_part(&rest);
  if (is_part(verb, "versions")) {
    version = take_part(&rest);
    verb = take_part(&rest);
  }
  bool infer = is_part(verb, "infer"), ready = is_part(verb, "ready");
  if (name == NULL || (verb != NULL && !infer && !ready) || take_part(&rest) != NULL) {
    fail(x, 404, "use /v2/models/NAME, /v2/models/NAME/ready or /v2/models/NAME/infer");
    return;
  }
  if (!is_method(x, infer ? "POST" : "GET")) return;
  mle_slot *slot = find_slot(x, name);
  if (slot == NULL) return;
  if (infer)
    answer_scores(x, slot, &slot->current, version, parse_v2, write_v2);
  else
    answer_model(x, slot, version, ready);
}

static void answer_v2_root(const exchange *x) {
  char text[256];
  snprintf(text, sizeof text, "{\"name\":\"mlengine\",\"version\":\"%s\",\"extensions\":[]}",
           x->api->version);
  put_text(x, "application/json", text);
}

static void answer_live(const exchange *x) {
  put_text(x, "application/json", "{\"live\":true}");
}

static void answer_ready(const exchange *x) {
  mle_slot *only;
  bool ready = mle_slots_ready(x->api->slots, &only) > 0;
  put_text(x, "application/json", ready ? "{\"live\":true,\"ready\":true}"
                                        : "{\"live\":true,\"ready\":false}");
  if (!ready) x->answer->status = 503;
}

/* ====== Paths ====== */

static void answer_version(const exchange *x) { put_text(x, "text/plain", x->api->version); }

static const struct route {
  const char *path, *method;
  void (*answer)(const exchange *x);
} routes[] = {
    {"/", "GET", answer_root},
    {"/ping", "GET", answer_ping},
    {"/health", "GET", answer_ping},
    {"/version", "GET", answer_version},
    {"/invocations", "POST", answer_only_endpoint},
    {"/v2", "GET", answer_v2_root},
    {"/v2/health/live", "GET", answer_live},
    {"/v2/health/ready", "GET", answer_ready},
};

static const struct prefix {
  const char *path;
  void (*answer)(const exchange *x, char *rest);
} prefixes[] = {
    {"/v2/models/", answer_v2_model},
    {"/endpoints/", answer_endpoint},
};

static void route(const exchange *x) {
  char rest[1024];
  const char *path = x->call->path;
  for (size_t i = 0; i < sizeof routes / sizeof *routes; i++) {
    if (strcmp(path, routes[i].path) != 0) continue;
    if (is_method(x, routes[i].method)) routes[i].answer(x);
    return;
  }
  for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
    size_t len = strlen(prefixes[i].path);
    if (strncmp(path, prefixes[i].path, len) != 0 || strlen(path + len) >= sizeof rest) continue;
    strcpy(rest, path + len);
    prefixes[i].answer(x, rest);
    return;
  }
  fail(x, 404, "there is nothing at this path; GET / lists the endpoints");
}

void mle_api_answer(void *context, const mle_http_call *call, mle_http_answer *answer) {
  exchange x = {context, call, answer, strncmp(call->path, "/v2", 3) == 0};
  add_request_id(&x);
  route(&x);
}
