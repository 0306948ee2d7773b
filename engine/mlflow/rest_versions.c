/* rest_versions.c -- the versions of registered models, behind a server */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/hash.h"
#include "engine/mlflow/rest.h"

#define PAGE 200
#define LISTED_MAX 2000000 /* versions of one model */

static mle_json *name_of(const char *name) {
  mle_json *body = mle_json_new_object();
  mle_json_add_text(body, "name", name);
  return body;
}

/* ====== Reading ====== */

static const char *given(const char *text) { return text == NULL || *text == '\0' ? NULL : text; }

static mle_status read_version(const mle_json_at *at, mle_arena *memory, mle_mlflow_version *out,
                               mle_error *err) {
  MLE_TRY(mle_rest_text(at, "name", memory, &out->name, err));
  MLE_TRY(mle_rest_int(at, "version", &out->version, err));
  MLE_TRY(mle_rest_text(at, "status", memory, &out->status, err));
  MLE_TRY(mle_rest_text(at, "current_stage", memory, &out->stage, err));
  MLE_TRY(mle_rest_text(at, "source", memory, &out->source, err));
  MLE_TRY(mle_rest_text(at, "run_id", memory, &out->run_id, err));
  MLE_TRY(mle_rest_text(at, "description", memory, &out->description, err));
  MLE_TRY(mle_rest_int(at, "creation_timestamp", &out->creation_time, err));
  MLE_TRY(mle_rest_int(at, "last_updated_timestamp", &out->last_updated_time, err));
  MLE_TRY(mle_rest_pairs(at, "tags", memory, &out->tags, err));
  out->run_id = given(out->run_id);
  if (out->name == NULL || out->version <= 0)
    return mle_json_fail(at, err, "a version without name or number");
  return MLE_OK;
}

/* Where its files are: that may again be runs:/ or models:/. */
static mle_status find_location(mle_rest_store *store, const char *name, const char *number,
                                mle_arena *memory, mle_mlflow_version *out, mle_error *err) {
  const char *path;
  mle_json *answer = NULL;
  mle_json_at root;
  mle_status status;
  MLE_GO(mle_rest_query(memory, &path, err, "model-versions/get-download-uri", "name", name,
                        "version", number, NULL));
  MLE_GO(mle_rest_call(store, &(mle_rest_request){.method = "GET", .path = path}, &answer, err));
  root = mle_json_root(answer);
  status = mle_rest_text(&root, "artifact_uri", memory, &out->location, err);
  out->location = given(out->location);
done:
  mle_json_free(answer);
  return status;
}

mle_status mle_rest_get_version(mle_mlflow *base, const char *name, int64_t version,
                                mle_arena *memory, mle_mlflow_version *out, mle_error *err) {
  const char *path;
  mle_rest_store *store = mle_rest_of(base);
  mle_json *answer = NULL;
  mle_json_at root, at;
  mle_status status;
  char *number = mle_arena_format(memory, "%lld", (long long)version);
  if (number == NULL) return mle_nomem(err, "reading a version");
  MLE_GO(mle_rest_query(memory, &path, err, "model-versions/get", "name", name, "version", number,
                        NULL));
  MLE_GO(mle_rest_call(store, &(mle_rest_request){.method = "GET", .path = path}, &answer, err));
  root = mle_json_root(answer);
  MLE_GO(mle_json_get_object(&root, "model_version", &at, err));
  MLE_GO(read_version(&at, memory, out, err));
  status = find_location(store, name, number, memory, out, err);
done:
  mle_json_free(answer);
  return status;
}

static mle_status read_found(const mle_json_at *item, mle_arena *memory, void *list,
                             mle_error *err) {
  mle_mlflow_versions *out = list;
  mle_mlflow_version *all = (void *)(uintptr_t)out->item;
  all = mle_arena_grow(memory, all, out->count, sizeof *all);
  if (all == NULL) return mle_nomem(err, "searching versions");
  out->item = all;
  all[out->count] = (mle_mlflow_version){0};
  return read_version(item, memory, &all[out->count++], err);
}

mle_status mle_rest_search_versions(mle_mlflow *base, const mle_mlflow_search *search,
                                    mle_arena *memory, mle_mlflow_versions *out, mle_error *err) {
  mle_rest_search how = {search, "model-versions/search", "model_versions", NULL, PAGE,
                         mle_rest_get_search, read_found, memory, 0};
  return mle_rest_search_all(mle_rest_of(base), &how, out, &out->count, &out->next_page_token, err);
}

static int newest_first(const void *a, const void *b) {
  const mle_mlflow_version *left = a, *right = b;
  return left->version > right->version ? -1 : left->version < right->version;
}

mle_status mle_rest_list_versions(mle_mlflow *base, const char *name, mle_arena *memory,
                                  mle_mlflow_versions *out, mle_error *err) {
  const char *quote = strchr(name, '\'') == NULL ? "'" : "\"";
  if (strchr(name, *quote) != NULL)
    return mle_fail(err, MLE_EUNSUPPORTED,
                    "MLflow cannot search for the versions of %s: its name has both quotes", name);
  char *filter = mle_arena_format(memory, "name = %s%s%s", quote, name, quote);
  if (filter == NULL) return mle_nomem(err, "listing versions");
  mle_mlflow_search search = {.filter = filter, .max = LISTED_MAX};
  MLE_TRY(mle_rest_search_versions(base, &search, memory, out, err));
  if (out->count > 1)
    qsort((void *)(uintptr_t)out->item, out->count, sizeof *out->item, newest_first);
  return MLE_OK;
}

/* ====== Creating ====== */

typedef struct new_version {
  const mle_mlflow_new_version *version;
  mle_mlflow_pairs tags;
  char key[MLE_UUID_TEXT];
  mle_arena *memory;
  int64_t *out;
} new_version;

static mle_status send_version(mle_rest_store *store, void *what, mle_error *err) {
  const new_version *n = what;
  mle_json *answer, *body = name_of(n->version->name);
  mle_json_at root, at;
  mle_status status;
  mle_json_add_text(body, "source", n->version->source);
  if (n->version->run_id != NULL) mle_json_add_text(body, "run_id", n->version->run_id);
  if (n->version->model_id != NULL) mle_json_add_text(body, "model_id", n->version->model_id);
  if (n->version->description != NULL)
    mle_json_add_text(body, "description", n->version->description);
  mle_rest_add_pairs(body, "tags", &n->tags);
  mle_rest_request request = {
      .method = "POST", .path = "model-versions/create", .body = body, .once = true};
  MLE_GO(mle_rest_call(store, &request, &answer, err));
  root = mle_json_root(answer);
  MLE_GO(mle_json_get_object(&root, "model_version", &at, err));
  status = mle_rest_int(&at, "version", n->out, err);
done:
  mle_json_free(answer);
  return status;
}

static mle_status find_version(mle_rest_store *store, void *what, bool *out_found,
                               mle_error *err) {
  const new_version *n = what;
  mle_mlflow_versions list = {0};
  MLE_TRY(mle_rest_list_versions(&store->base, n->version->name, n->memory, &list, err));
  for (size_t i = 0; i < list.count && !*out_found; i++) {
    const char *key = mle_mlflow_find_pair(&list.item[i].tags, MLE_REST_KEY);
    *out_found = key != NULL && strcmp(key, n->key) == 0;
    if (*out_found) *n->out = list.item[i].version;
  }
  return MLE_OK;
}

mle_status mle_rest_create_version(mle_mlflow *base, const mle_mlflow_new_version *version,
                                   int64_t *out, mle_error *err) {
  mle_arena memory = MLE_ARENA;
  new_version n = {.version = version, .memory = &memory, .out = out};
  mle_status status;
  mle_uuid_hex(n.key);
  MLE_GO(mle_rest_with_key(&version->tags, n.key, &memory, &n.tags, err));
  status = mle_rest_create(mle_rest_of(base),
                           &(mle_rest_creation){send_version, find_version, &n}, err);
done:
  mle_arena_release(&memory);
  return status;
}

/* ====== Changing ====== */

mle_status mle_rest_change_version(mle_mlflow *base, const char *name, int64_t version,
                                   const mle_mlflow_change *change, mle_error *err) {
  char number[24];
  snprintf(number, sizeof number, "%lld", (long long)version);
  mle_rest_tagged what = {{{"name", name}, {"version", number}}, "model-versions/set-tag",
                          "model-versions/delete-tag", "DELETE"};
  MLE_TRY(mle_rest_change_tags(mle_rest_of(base), &what, change, err));
  if (change->description == NULL) return MLE_OK;
  mle_json *body = name_of(name);
  mle_json_add_text(body, "version", number);
  mle_json_add_text(body, "description", change->description);
  return mle_rest_send(mle_rest_of(base), "PATCH", "model-versions/update", body, err);
}

mle_status mle_rest_delete_version(mle_mlflow *base, const char *name, int64_t version,
                                   mle_error *err) {
  char number[24];
  snprintf(number, sizeof number, "%lld", (long long)version);
  mle_json *body = name_of(name);
  mle_json_add_text(body, "version", number);
  return mle_rest_send(mle_rest_of(base), "DELETE", "model-versions/delete", body, err);
}
