#include "engine/mlflow/rest.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "engine/base/alloc.h"
#include "engine/base/cancel.h"
#include "engine/base/clock.h"
#include "engine/base/line.h"
#include "engine/base/percent.h"
#include "engine/http/retry.h"

#define ANSWER_MAX ((size_t)64 << 20)
#define RETRY_BASE_MS 500
#define SAID_MAX 300 /* bytes of a server's message that are told */

/* ====== Life ====== */

mle_rest_store *mle_rest_of(mle_mlflow *store) { return (mle_rest_store *)store; }

static void close_store(mle_mlflow *base) {
  mle_rest_store *store = mle_rest_of(base);
  mle_http_client_free(store->client);
  mle_arena_release(&store->memory);
  mle_free(store);
}

static mle_status open_twin(mle_mlflow *base, mle_mlflow **out, mle_error *err) {
  return mle_mlflow_open_rest(mle_rest_of(base)->uri, out, err);
}

static const mle_mlflow_calls calls = {
    .close = close_store,
    .twin = open_twin,
    .create_experiment = mle_rest_create_experiment,
    .get_experiment = mle_rest_get_experiment,
    .find_experiment = mle_rest_find_experiment,
    .search_experiments = mle_rest_search_experiments,
    .change_experiment = mle_rest_change_experiment,
    .stage_experiment = mle_rest_stage_experiment,
    .create_run = mle_rest_create_run,
    .get_run = mle_rest_get_run,
    .get_run_data = mle_rest_get_run_data,
    .metric_history = mle_rest_metric_history,
    .update_run = mle_rest_update_run,
    .search_runs = mle_rest_search_runs,
    .stage_run = mle_rest_stage_run,
    .delete_tag = mle_rest_delete_tag,
    .log_batch = mle_rest_log_batch,
    .log_dataset = mle_rest_log_dataset,
    .begin_model = mle_rest_begin_model,
    .finish_model = mle_rest_finish_model,
    .get_model = mle_rest_get_model,
    .find_model = mle_rest_find_model,
    .get_logged = mle_rest_get_logged,
    .search_logged = mle_rest_search_logged,
    .change_logged = mle_rest_change_logged,
    .delete_logged = mle_rest_delete_logged,
    .create_registered_model = mle_rest_create_registered_model,
    .get_registered_model = mle_rest_get_registered_model,
    .search_registered_models = mle_rest_search_registered_models,
    .change_registered_model = mle_rest_change_registered_model,
    .delete_registered_model = mle_rest_delete_registered_model,
    .create_version = mle_rest_create_version,
    .get_version = mle_rest_get_version,
    .list_versions = mle_rest_list_versions,
    .search_versions = mle_rest_search_versions,
    .change_version = mle_rest_change_version,
    .delete_version = mle_rest_delete_version,
    .set_alias = mle_rest_set_alias,
    .get_alias = mle_rest_get_alias,
    .delete_alias = mle_rest_delete_alias,
    .artifacts = &mle_rest_artifacts,
};

mle_status mle_mlflow_open_rest(const char *uri, mle_mlflow **out, mle_error *err) {
  mle_status status;
  *out = NULL;
  mle_rest_store *store = mle_calloc(1, sizeof *store);
  if (store == NULL) return mle_nomem(err, "opening a tracking server");
  store->base = (mle_mlflow){&calls, 1};
  MLE_GO(mle_arena_copy(&store->memory, uri, &store->uri, err));
  MLE_GO(mle_rest_settings_read(uri, &store->memory, &store->settings, err));
  MLE_GO(mle_http_client_new(&store->client, err));
  *out = &store->base;
  store = NULL;
done:
  if (store != NULL) close_store(&store->base);
  return status;
}

/* ====== What an answer that failed means ====== */

static bool is_json(const mle_http_response *response) {
  char type[64];
  return mle_http_response_header(response, "content-type", type, sizeof type) &&
         strncasecmp(type, "application/json", 16) == 0;
}

/* MLflow's names of failures; statuses where it has none. */
static mle_status status_of(const char *code, long http) {
  static const struct {
    const char *code;
    mle_status status;
  } known[] = {
      {"RESOURCE_DOES_NOT_EXIST", MLE_ENOTFOUND}, {"NOT_FOUND", MLE_ENOTFOUND},
      {"RESOURCE_ALREADY_EXISTS", MLE_EEXISTS},   {"ALREADY_EXISTS", MLE_EEXISTS},
      {"PERMISSION_DENIED", MLE_EREFUSED},        {"UNAUTHENTICATED", MLE_EREFUSED},
      {"ENDPOINT_NOT_FOUND", MLE_EUNSUPPORTED},
  };
  for (size_t i = 0; code != NULL && i < sizeof known / sizeof *known; i++)
    if (strcmp(code, known[i].code) == 0) return known[i].status;
  if (http == 401 || http == 403) return MLE_EREFUSED;
  if (http == 404 || http == 405) return MLE_EUNSUPPORTED;
  return http >= 500 || http == 429 || http == 408 ? MLE_EIO : MLE_EINVAL;
}

static const char *advice(long http, bool json) {
  if (http == 401)
    return "; set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN";
  if (http == 404 && !json) return "; is an MLflow server there, and a path before it missing?";
  return "";
}

static mle_status fail_answer(const mle_rest_store *store, const mle_rest_request *request,
                              const mle_http_response *response, mle_error *err) {
  char said[SAID_MAX] = "";
  const char *code = NULL, *message = NULL;
  mle_json *doc = NULL;
  bool json = is_json(response) &&
              mle_json_parse(response->body.data, response->body.len, &doc, NULL) == MLE_OK;
  if (json) {
    mle_json_at root = mle_json_root(doc);
    mle_json_opt_text(&root, "error_code", NULL, &code, NULL);
    mle_json_opt_text(&root, "message", NULL, &message, NULL);
  }
  if (message != NULL) mle_line_copy(message, said, sizeof said);
  mle_status status = status_of(code, response->status);
  mle_fail(err, status, "MLflow at %s, %.*s: %ld%s%s%s", store->settings.url,
           (int)strcspn(request->path, "?"), request->path, response->status,
           *said != '\0' ? ": " : "", said, advice(response->status, json));
  if (err != NULL) err->retryable = status == MLE_EIO;
  mle_json_free(doc);
  return status;
}

/* ====== Calls ====== */

static mle_status send_text(mle_rest_store *store, const mle_rest_request *request,
                            const char *url, const char *text, mle_http_response *response,
                            mle_error *err) {
  mle_http_request http = MLE_HTTP_REQUEST(request->method, url);
  http.headers = store->settings.headers;
  http.body = text;
  http.body_len = text == NULL ? 0 : strlen(text);
  http.total_ms = store->settings.timeout_ms;
  http.response_max = ANSWER_MAX;
  http.retries = request->last_words && mle_cancelled() ? 0 : store->settings.retries;
  http.retry_base_ms = RETRY_BASE_MS;
  http.idempotent = !request->once;
  http.last_words = request->last_words;
  http.ca_file = store->settings.ca_file;
  http.client_cert = store->settings.client_cert;
  http.insecure = store->settings.insecure;
  mle_status status = mle_http_send(store->client, &http, response, err);
  if (status != MLE_OK) return mle_context(err, "MLflow at %s", store->settings.url);
  if (response->status / 100 == 2) return MLE_OK;
  return fail_answer(store, request, response, err);
}

/* Answers that are empty, or no JSON, are told from those that must be read. */
static mle_status read_answer(const mle_rest_store *store, const mle_http_response *response,
                              mle_json **out, mle_error *err) {
  if (out == NULL) return MLE_OK;
  mle_status status = MLE_EFORMAT;
  if (is_json(response))
    status = mle_json_parse(response->body.data, response->body.len, out, err);
  else
    mle_fail(err, status, "it answers with no JSON; is an MLflow server there?");
  if (status != MLE_OK) mle_context(err, "MLflow at %s", store->settings.url);
  return status;
}

mle_status mle_rest_call(mle_rest_store *store, const mle_rest_request *request, mle_json **out,
                         mle_error *err) {
  mle_arena memory = MLE_ARENA;
  mle_http_response response = {0};
  mle_status status = MLE_OK;
  char *text = NULL;
  if (out != NULL) *out = NULL;
  char *url = mle_arena_format(&memory, "%s/api/2.0%s%s", store->settings.url,
                               *request->path == '/' ? "" : "/mlflow/", request->path);
  if (request->body != NULL) text = mle_json_print(request->body, false);
  if (url == NULL || (request->body != NULL && text == NULL)) {
    status = mle_nomem(err, "asking MLflow");
    goto done;
  }
  MLE_GO(send_text(store, request, url, text, &response, err));
  status = read_answer(store, &response, out, err);
done:
  mle_http_response_release(&response);
  mle_free(text);
  mle_json_free(request->body);
  mle_arena_release(&memory);
  return status;
}

mle_status mle_rest_create(mle_rest_store *store, const mle_rest_creation *creation,
                           mle_error *err) {
  for (int tried = 0;; tried++) {
    bool found = false;
    mle_status status = creation->send(store, creation->what, err);
    if (status != MLE_EUNKNOWN && status != MLE_EIO) return status;
    if (mle_cancelled()) return status;
    mle_error search; /* the first failure is the one to tell */
    mle_status looked = creation->find(store, creation->what, &found, &search);
    if (looked == MLE_OK && found) return MLE_OK;
    if (looked != MLE_OK || tried >= store->settings.retries) return status;
    mle_sleep_ms(mle_retry_wait_ms(tried + 1, RETRY_BASE_MS, -1));
  }
}

/* ====== What the server is ====== */

/* GET /version: "3.17.2". A server in front of it may hide that: then it counts as a 2. */
mle_status mle_rest_look(mle_rest_store *store, mle_error *err) {
  mle_arena memory = MLE_ARENA;
  mle_http_response response = {0};
  mle_status status = MLE_OK;
  if (store->version != NULL) return MLE_OK;
  char *url = mle_arena_format(&memory, "%s/version", store->settings.url);
  if (url == NULL) {
    status = mle_nomem(err, "asking MLflow");
    goto done;
  }
  mle_rest_request request = {.method = "GET", .path = "version"};
  MLE_GO(send_text(store, &request, url, NULL, &response, err));
  const char *text = response.body.data == NULL ? "" : response.body.data;
  size_t len = strspn(text, "0123456789.abcdefrv");
  store->logged_models = strtol(text, NULL, 10) >= 3;
  store->version = mle_arena_format(&store->memory, "%.*s", len > 30 ? 30 : (int)len, text);
  if (store->version == NULL) status = mle_nomem(err, "asking MLflow");
done:
  mle_http_response_release(&response);
  mle_arena_release(&memory);
  return status;
}

/* ====== Paths ====== */

mle_status mle_rest_query(mle_arena *memory, const char **out, mle_error *err, const char *path,
                          ...) {
  va_list args;
  const char *whole = path, *key;
  va_start(args, path);
  for (bool first = true; whole != NULL && (key = va_arg(args, const char *)) != NULL;
       first = false) {
    const char *value = mle_percent_encode(memory, va_arg(args, const char *), false);
    whole = value == NULL ? NULL
                          : mle_arena_format(memory, "%s%c%s=%s", whole, first ? '?' : '&', key,
                                             value);
  }
  va_end(args);
  *out = whole;
  return whole != NULL ? MLE_OK : mle_nomem(err, "asking MLflow");
}

/* ====== Reading answers ====== */

mle_status mle_rest_text(const mle_json_at *at, const char *key, mle_arena *memory,
                         const char **out, mle_error *err) {
  const char *text;
  MLE_TRY(mle_json_opt_text(at, key, NULL, &text, err));
  return mle_arena_copy(memory, text, out, err);
}

mle_status mle_rest_int(const mle_json_at *at, const char *key, int64_t *out, mle_error *err) {
  mle_json_at member;
  *out = 0;
  if (!mle_json_find(at, key, &member) || mle_json_is_null(&member)) return MLE_OK;
  if (!mle_json_is_text(&member)) return mle_json_int(&member, out, err);
  const char *text;
  char *end;
  MLE_TRY(mle_json_text(&member, &text, err));
  *out = strtoll(text, &end, 10);
  return *text != '\0' && *end == '\0' ? MLE_OK : mle_json_fail(&member, err, "no whole number");
}

mle_status mle_rest_pairs(const mle_json_at *at, const char *key, mle_arena *memory,
                          mle_mlflow_pairs *out, mle_error *err) {
  mle_json_at list, item;
  mle_mlflow_pair *pairs = NULL;
  *out = (mle_mlflow_pairs){0};
  if (!mle_json_find(at, key, &list)) return MLE_OK;
  for (bool more = mle_json_first(&list, &item); more; more = mle_json_next(&item)) {
    pairs = mle_arena_grow(memory, pairs, out->count, sizeof *pairs);
    if (pairs == NULL) return mle_nomem(err, "reading an answer");
    out->item = pairs;
    MLE_TRY(mle_rest_text(&item, "key", memory, &pairs[out->count].key, err));
    MLE_TRY(mle_rest_text(&item, "value", memory, &pairs[out->count].value, err));
    if (pairs[out->count].value == NULL) pairs[out->count].value = ""; /* absent when empty */
    if (pairs[out->count].key != NULL) out->count++;
  }
  return MLE_OK;
}

void mle_rest_add_pairs(mle_json *to, const char *key, const mle_mlflow_pairs *pairs) {
  mle_json *list = mle_json_add_array(to, key);
  for (size_t i = 0; i < pairs->count; i++) {
    mle_json *item = mle_json_add_object(list, NULL);
    mle_json_add_text(item, "key", pairs->item[i].key);
    mle_json_add_text(item, "value", pairs->item[i].value);
  }
}

mle_status mle_rest_with_key(const mle_mlflow_pairs *pairs, const char *key, mle_arena *memory,
                             mle_mlflow_pairs *out, mle_error *err) {
  mle_mlflow_pair *all = mle_arena_array(memory, pairs->count + 1, sizeof *all);
  if (all == NULL) return mle_nomem(err, "asking MLflow");
  if (pairs->count > 0) memcpy(all, pairs->item, pairs->count * sizeof *all);
  all[pairs->count] = (mle_mlflow_pair){MLE_REST_KEY, key};
  *out = (mle_mlflow_pairs){pairs->count + 1, all};
  return MLE_OK;
}

/* ====== Requests that are told only whether they went well ====== */

mle_status mle_rest_send(mle_rest_store *store, const char *method, const char *path,
                         mle_json *body, mle_error *err) {
  mle_rest_request request = {.method = method, .path = path, .body = body};
  return mle_rest_call(store, &request, NULL, err);
}

/* A retry may find it deleted already: gone is gone, when an earlier attempt was lost. */
mle_status mle_rest_send_tag(mle_rest_store *store, const mle_rest_tagged *what, const char *key,
                             const char *value, mle_error *err) {
  mle_json *body = mle_json_new_object();
  for (int i = 0; i < 2 && what->id[i].key != NULL; i++)
    mle_json_add_text(body, what->id[i].key, what->id[i].value);
  mle_json_add_text(body, "key", key);
  if (value != NULL) mle_json_add_text(body, "value", value);
  bool sets = value != NULL;
  return mle_rest_send(store, sets ? "POST" : what->delete_method,
                       sets ? what->set_path : what->delete_path, body, err);
}

mle_status mle_rest_change_tags(mle_rest_store *store, const mle_rest_tagged *what,
                                const mle_mlflow_change *change, mle_error *err) {
  for (size_t i = 0; i < change->set_tags.count; i++)
    MLE_TRY(mle_rest_send_tag(store, what, change->set_tags.item[i].key,
                              change->set_tags.item[i].value, err));
  return change->delete_tag == NULL ? MLE_OK
                                    : mle_rest_send_tag(store, what, change->delete_tag, NULL, err);
}

/* ====== Searches ====== */

static mle_status search_page(mle_rest_store *store, const mle_rest_search *how, void *out,
                              const char **token, mle_error *err) {
  mle_json *answer = NULL;
  mle_json_at root, list, item;
  mle_rest_request request = {0};
  mle_status status;
  MLE_GO(how->request(how, *token, &request, err));
  MLE_GO(mle_rest_call(store, &request, &answer, err));
  root = mle_json_root(answer);
  if (mle_json_find(&root, how->list, &list))
    for (bool more = mle_json_first(&list, &item); more; more = mle_json_next(&item))
      MLE_GO(how->read(&item, how->memory, out, err));
  status = mle_rest_text(&root, "next_page_token", how->memory, token, err);
  if (*token != NULL && **token == '\0') *token = NULL;
done:
  mle_json_free(answer);
  return status;
}

mle_status mle_rest_search_all(mle_rest_store *store, mle_rest_search *how, void *out,
                               const size_t *count, const char **token, mle_error *err) {
  *token = how->search->page_token;
  for (int pages = 0; *count < how->search->max; pages++) {
    size_t before = *count;
    how->left = how->search->max - before < how->page ? how->search->max - before : how->page;
    if (pages == MLE_REST_PAGES_MAX)
      return mle_fail(err, MLE_EFORMAT, "MLflow lists %s without an end", how->list);
    MLE_TRY(search_page(store, how, out, token, err));
    if (*token == NULL) break;
    if (*count == before && pages > 0) break; /* a token that leads nowhere */
  }
  return MLE_OK;
}

mle_status mle_rest_post_search(const mle_rest_search *how, const char *token,
                                mle_rest_request *out, mle_error *err) {
  static const char *const views[] = {"ACTIVE_ONLY", "DELETED_ONLY", "ALL"};
  const mle_mlflow_search *search = how->search;
  mle_json *body = mle_json_new_object();
  (void)err;
  if (search->experiment_ids != NULL) {
    mle_json *ids = mle_json_add_array(body, "experiment_ids");
    for (size_t i = 0; search->experiment_ids[i] != NULL; i++)
      mle_json_add_text(ids, NULL, search->experiment_ids[i]);
  }
  if (search->filter != NULL) mle_json_add_text(body, "filter", search->filter);
  if (how->view != NULL) mle_json_add_text(body, how->view, views[search->view]);
  mle_json_add_int(body, "max_results", (int64_t)how->left);
  mle_json *order = search->order_by == NULL ? NULL : mle_json_add_array(body, "order_by");
  for (size_t i = 0; order != NULL && search->order_by[i] != NULL; i++)
    mle_json_add_text(order, NULL, search->order_by[i]);
  if (token != NULL) mle_json_add_text(body, "page_token", token);
  *out = (mle_rest_request){.method = "POST", .path = how->path, .body = body};
  return MLE_OK;
}

/* "&key=value", encoded, behind what is there. */
static mle_status add_query(mle_arena *memory, const char **path, const char *key,
                            const char *value, mle_error *err) {
  const char *coded = mle_percent_encode(memory, value, false);
  *path = coded == NULL ? NULL : mle_arena_format(memory, "%s&%s=%s", *path, key, coded);
  return *path != NULL ? MLE_OK : mle_nomem(err, "searching");
}

mle_status mle_rest_get_search(const mle_rest_search *how, const char *token,
                               mle_rest_request *out, mle_error *err) {
  const mle_mlflow_search *search = how->search;
  const char *path = mle_arena_format(how->memory, "%s?max_results=%zu", how->path, how->left);
  if (path == NULL) return mle_nomem(err, "searching");
  if (search->filter != NULL) MLE_TRY(add_query(how->memory, &path, "filter", search->filter, err));
  for (size_t i = 0; search->order_by != NULL && search->order_by[i] != NULL; i++)
    MLE_TRY(add_query(how->memory, &path, "order_by", search->order_by[i], err));
  if (token != NULL) MLE_TRY(add_query(how->memory, &path, "page_token", token, err));
  *out = (mle_rest_request){.method = "GET", .path = path};
  return MLE_OK;
}
