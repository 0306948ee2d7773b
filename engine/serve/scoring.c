#include "engine/serve/scoring.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/base/clock.h"
#include "engine/serve/cml.h"
#include "engine/serve/invocations.h"
#include "engine/serve/v2.h"

#define SCORES_ON_STACK 256

/* A request's rows, as they came. */
typedef struct input {
  mle_protocol protocol;
  const char *content_type, *body;
  size_t len, json_len;
  unsigned long long trial; /* the one under way when it came */
} input;

/* Rows and their scores by one model. */
typedef struct scored {
  mle_v2_request request;
  mle_rows rows;
  float few[SCORES_ON_STACK], *scores;
} scored;

static mle_status parse(const input *in, const mle_features *features, scored *s, mle_error *err) {
  switch (in->protocol) {
    case MLE_PROTOCOL_V2:
      return mle_v2_parse(features, in->body, in->len, in->json_len, &s->request, &s->rows, err);
    case MLE_PROTOCOL_CML: return mle_invocations_json(features, in->body, in->len, &s->rows, err);
    default:
      return mle_invocations_parse(features, in->content_type, in->body, in->len, &s->rows, err);
  }
}

static mle_status score(const input *in, const mle_served *served, scored *s, mle_error *err) {
  s->scores = s->few;
  mle_rows_init(&s->rows, served->features.count);
  MLE_TRY(parse(in, &served->features, s, err));
  size_t wanted = s->rows.count * served->width;
  if (wanted > SCORES_ON_STACK) s->scores = mle_realloc_array(NULL, wanted, sizeof *s->scores);
  if (s->scores == NULL) return mle_nomem(err, "scoring");
  return mle_served_score(served, s->rows.values, s->rows.count, s->scores, err);
}

static void release(scored *s) {
  mle_rows_release(&s->rows);
  if (s->scores != s->few) mle_free(s->scores);
}

/* ====== Answering ====== */

static void add_facts(mle_exchange *x, const mle_slot *slot, const mle_served *served) {
  const char *version = served->facts.version;
  mle_http_answer_header(x->answer, "X-Model-Deployment", served->deployment);
  mle_http_answer_header(x->answer, "X-Model-Endpoint", slot->endpoint);
  mle_http_answer_header(x->answer, "X-Model-Version", version);
  mle_http_answer_header(x->answer, "X-Run-Id", served->facts.run_id);
  if (x->api->log_share > 0) snprintf(x->version, sizeof x->version, "%s", version == NULL ? "" : version);
  x->meter = served->meter;
}

static mle_status put_v2(mle_exchange *x, const mle_slot *slot, const mle_served *served,
                         const scored *s, mle_error *err) {
  size_t json_len;
  MLE_TRY(mle_answer_v2(served, slot->endpoint, &s->request, s->scores, s->rows.count,
                        &x->answer->body, &json_len, err));
  if (json_len == 0) return MLE_OK;
  char text[24];
  snprintf(text, sizeof text, "%zu", json_len);
  x->answer->content_type = "application/octet-stream";
  mle_http_answer_header(x->answer, "Inference-Header-Content-Length", text);
  return MLE_OK;
}

static mle_status put_body(mle_exchange *x, const mle_slot *slot, const mle_served *served,
                           const scored *s, mle_error *err) {
  mle_buffer *out = &x->answer->body;
  switch (x->protocol) {
    case MLE_PROTOCOL_V2: return put_v2(x, slot, served, s, err);
    case MLE_PROTOCOL_CML: return mle_answer_cml(served, s->scores, s->rows.count, out, err);
    default: return mle_answer_predictions(served, s->scores, s->rows.count, out, err);
  }
}

static mle_status put_answer(mle_exchange *x, const mle_slot *slot, const mle_served *served,
                             const scored *s, mle_error *err) {
  mle_status status = put_body(x, slot, served, s, err);
  if (status != MLE_EREFUSED) return status;
  return mle_fail(err, status, "the answer is larger than the %zu bytes allowed; send the rows in parts",
                  x->answer->body.max);
}

/* One model's whole answer to the request. */
static mle_status answer_with(mle_exchange *x, mle_slot *slot, const mle_served *served,
                              const input *in, scored *s, mle_error *err) {
  mle_status status = score(in, served, s, err);
  if (status == MLE_OK) status = put_answer(x, slot, served, s, err);
  if (status == MLE_OK) x->rows = s->rows.count;
  return status;
}

/* ====== What a trial is told ====== */

static void note_answer(mle_slot *slot, const input *in, mle_side side, const mle_served *served, const scored *s) {
  if (mle_trial_watches(&slot->trial))
    mle_trial_note(&slot->trial, in->trial, side, NULL, s->scores, s->rows.count * served->width);
}

static void note_failure(mle_slot *slot, const input *in, mle_side side, const mle_error *err) {
  if (mle_trial_watches(&slot->trial)) mle_trial_note(&slot->trial, in->trial, side, err->message, NULL, 0);
}

/*
 * What the live model did, after the canary failed (`tried`) or was not asked. A request that neither could answer is the
 * caller's fault, and no sample of either: a handful of these among the first hundred would tell two equal models apart.
 */
static void note_live(mle_slot *slot, const input *in, const mle_served *served, const scored *s, const mle_error *failed,
                      const mle_error *tried) {
  if (tried != NULL && failed == NULL)
    note_failure(slot, in, MLE_SIDE_TRIED, tried);
  else if (tried == NULL && failed == NULL)
    note_answer(slot, in, MLE_SIDE_LIVE, served, s);
  else if (tried == NULL && mle_answer_status(failed) >= 500)
    note_failure(slot, in, MLE_SIDE_LIVE, failed);
}

/* ====== A shadow ====== */

typedef struct mirrored {
  mle_slot *slot;
  mle_served *served;
  input in;
  float *scores; /* the live model's */
  size_t count;
} mirrored;

static void free_mirrored(mirrored *m) {
  mle_served_release(m->served);
  mle_free((char *)(uintptr_t)m->in.content_type);
  mle_free((char *)(uintptr_t)m->in.body);
  mle_free(m->scores);
  mle_free(m);
}

/* Answers of another shape differ, whatever they say. */
static void compare_shapes(const mirrored *m) {
  const float none = NAN;
  for (size_t i = 0; i < m->count; i++)
    mle_trial_compare(&m->slot->trial, m->in.trial, &m->scores[i], &none, 1);
}

static void score_mirrored(void *context, bool dropped) {
  mirrored *m = context;
  mle_error err;
  if (!dropped) {
    scored s;
    bool good = score(&m->in, m->served, &s, &err) == MLE_OK;
    size_t count = good ? s.rows.count * m->served->width : 0;
    mle_trial_note(&m->slot->trial, m->in.trial, MLE_SIDE_TRIED, good ? NULL : err.message, s.scores, count);
    if (good && count == m->count)
      mle_trial_compare(&m->slot->trial, m->in.trial, m->scores, s.scores, count);
    else if (good)
      compare_shapes(m);
    release(&s);
  }
  free_mirrored(m);
}

/* A copy of the request and of what was answered; false when out of memory. */
static bool copy_request(mirrored *m, const input *in, const scored *s, size_t width) {
  m->in = *in;
  m->count = s->rows.count * width;
  m->in.content_type = mle_strdup(in->content_type);
  char *body = mle_alloc(in->len + 1);
  m->in.body = body;
  m->scores = mle_realloc_array(NULL, m->count, sizeof *m->scores);
  if (m->in.content_type == NULL || body == NULL || m->scores == NULL) return false;
  memcpy(body, in->body, in->len);
  body[in->len] = '\0';
  if (m->count > 0) memcpy(m->scores, s->scores, m->count * sizeof *m->scores);
  return true;
}

static void mirror(mle_exchange *x, mle_slot *slot, const mle_served *live, const input *in,
                   const scored *s) {
  mle_pool *pool = x->api->mirror;
  if (pool == NULL || !atomic_load_explicit(&slot->trial.shadow, memory_order_relaxed)) return;
  mle_served *staged = mle_cell_acquire(&slot->staged);
  mirrored *m = staged == NULL ? NULL : mle_calloc(1, sizeof *m);
  if (m == NULL) {
    mle_served_release(staged);
    return;
  }
  m->slot = slot;
  m->served = staged;
  if (copy_request(m, in, s, live->width) && mle_pool_reserve(pool)) {
    mle_pool_submit(pool, score_mirrored, m);
    return;
  }
  mle_trial_drop(&slot->trial);
  free_mirrored(m);
}

/* ====== Which model ====== */

/* True when the canary answered; what it could not do leaves no trace in the answer. `err` is as it was when there is none. */
static bool answer_by_canary(mle_exchange *x, mle_slot *slot, const input *in, mle_error *err) {
  mle_served *tried = mle_cell_acquire(&slot->staged);
  if (tried == NULL) return false;
  scored s;
  int headers = x->answer->num_headers;
  bool good = answer_with(x, slot, tried, in, &s, err) == MLE_OK;
  if (good) {
    note_answer(slot, in, MLE_SIDE_TRIED, tried, &s);
    add_facts(x, slot, tried);
  } else {
    mle_buffer_clear(&x->answer->body);
    x->answer->num_headers = headers;
    x->answer->content_type = "application/json";
  }
  release(&s);
  mle_served_release(tried);
  return good;
}

/* `tried` is the canary's failure to answer the same, NULL: it was not asked. */
static void answer_by(mle_exchange *x, mle_slot *slot, const mle_served *served, const input *in,
                      bool live, const mle_error *tried) {
  mle_error err;
  scored s;
  mle_status status = answer_with(x, slot, served, in, &s, &err);
  if (live) note_live(slot, in, served, &s, status == MLE_OK ? NULL : &err, tried); /* what is staged has no traffic */
  if (status != MLE_OK)
    mle_exchange_fail_error(x, &err);
  else if (live)
    mirror(x, slot, served, in, &s);
  add_facts(x, slot, served);
  release(&s);
}

static void answer(mle_exchange *x, mle_slot *slot, mle_cell *cell, const char *version,
                   input *in) {
  bool live = cell == &slot->current;
  mle_error tried; /* not all of it is set for each request */
  tried.status = MLE_OK;
  in->trial = mle_trial_number(&slot->trial);
  x->endpoint = slot->endpoint;
  if (live && version == NULL && mle_trial_takes(&slot->trial) && answer_by_canary(x, slot, in, &tried))
    return;
  mle_served *served = mle_cell_acquire(cell);
  const char *has = served == NULL || served->facts.version == NULL ? "" : served->facts.version;
  if (served == NULL || (version != NULL && strcmp(version, has) != 0))
    mle_exchange_none(x, slot, served == NULL ? NULL : has);
  else
    answer_by(x, slot, served, in, live, tried.status == MLE_OK ? NULL : &tried);
  mle_served_release(served);
}

/* ====== Requests ====== */

/* The length of the JSON in front of binary tensors; false when the header is no number. */
static bool read_json_len(const mle_exchange *x, size_t *out) {
  const char *text = mle_exchange_header(x, "Inference-Header-Content-Length");
  *out = x->call->body_len;
  if (*text == '\0') return true;
  if (strlen(text) > 18 || strspn(text, "0123456789") != strlen(text)) return false;
  *out = (size_t)strtoull(text, NULL, 10);
  return true;
}

void mle_scoring_answer(mle_exchange *x, mle_slot *slot, mle_cell *cell, const char *version) {
  input in = {.protocol = x->protocol,
              .content_type = x->call->content_type,
              .body = x->call->body,
              .len = x->call->body_len,
              .json_len = x->call->body_len};
  const char *key = mle_keyring_bearer(x->call->authorization);
  bool smoke = cell == &slot->staged && mle_keyring_same(key, x->api->smoke_key);
  if (!smoke && !mle_exchange_may(x, slot->endpoint, key)) return;
  if (x->protocol == MLE_PROTOCOL_V2 && !read_json_len(x, &in.json_len)) {
    mle_exchange_fail(x, 400, "Inference-Header-Content-Length must be a number of bytes");
    return;
  }
  answer(x, slot, cell, version, &in);
}

static void answer_cml(mle_exchange *x, const mle_cml *body) {
  char endpoint[MLE_ENDPOINT_MAX];
  const char *key = body->key;
  if (*key == '\0') key = mle_exchange_query(x, "accessKey");
  if (*key == '\0') key = mle_keyring_bearer(x->call->authorization);
  if (!mle_keyring_endpoint(&x->api->keyring, key, endpoint)) {
    mle_exchange_fail(x, 401, "the access key is not known here; mlengine key add ENDPOINT makes "
                              "one");
    return;
  }
  mle_slot *slot = mle_exchange_slot(x, endpoint);
  if (slot == NULL) return;
  size_t len = strlen(body->request);
  input in = {.protocol = MLE_PROTOCOL_CML, .content_type = "application/json",
              .body = body->request, .len = len, .json_len = len};
  answer(x, slot, &slot->current, NULL, &in);
}

void mle_scoring_cml(mle_exchange *x) {
  mle_cml body;
  mle_error err;
  if (mle_cml_parse(x->call->body, x->call->body_len, &body, &err) != MLE_OK)
    mle_exchange_fail_error(x, &err);
  else
    answer_cml(x, &body);
  mle_free(body.request);
}
