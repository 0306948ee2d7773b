#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/hash.h"
#include "engine/mlflow/rest.h"

#define PAGE 200

static mle_json *name_of(const char *name) {
  mle_json *body = mle_json_new_object();
  mle_json_add_text(body, "name", name);
  return body;
}

static void add_version(mle_json *body, int64_t version) {
  char text[24];
  snprintf(text, sizeof text, "%lld", (long long)version);
  mle_json_add_text(body, "version", text); /* a number would be refused */
}

/* ====== Registered models ====== */

mle_status mle_rest_create_registered_model(mle_mlflow *base, const char *name,
                                            const char *description, mle_error *err) {
  mle_json *body = name_of(name);
  if (description != NULL) mle_json_add_text(body, "description", description);
  return mle_rest_send(mle_rest_of(base), "POST", "registered-models/create", body, err);
}

/* [{alias, version}] as pairs. */
static mle_status read_aliases(const mle_json_at *model, mle_arena *memory, mle_mlflow_pairs *out,
                               mle_error *err) {
  mle_json_at list, item;
  mle_mlflow_pair *all = NULL;
  if (!mle_json_find(model, "aliases", &list)) return MLE_OK;
  for (bool more = mle_json_first(&list, &item); more; more = mle_json_next(&item)) {
    int64_t version;
    all = mle_arena_grow(memory, all, out->count, sizeof *all);
    if (all == NULL) return mle_nomem(err, "reading a registered model");
    out->item = all;
    MLE_TRY(mle_rest_text(&item, "alias", memory, &all[out->count].key, err));
    MLE_TRY(mle_rest_int(&item, "version", &version, err));
    all[out->count].value = mle_arena_format(memory, "%lld", (long long)version);
    if (all[out->count].value == NULL) return mle_nomem(err, "reading a registered model");
    if (all[out->count].key != NULL) out->count++;
  }
  return MLE_OK;
}

static mle_status read_model(const mle_json_at *model, mle_arena *memory,
                             mle_mlflow_registered_model *out, mle_error *err) {
  MLE_TRY(mle_rest_text(model, "name", memory, &out->name, err));
  MLE_TRY(mle_rest_text(model, "description", memory, &out->description, err));
  MLE_TRY(mle_rest_int(model, "creation_timestamp", &out->creation_time, err));
  MLE_TRY(mle_rest_int(model, "last_updated_timestamp", &out->last_updated_time, err));
  MLE_TRY(mle_rest_pairs(model, "tags", memory, &out->tags, err));
  MLE_TRY(read_aliases(model, memory, &out->aliases, err));
  return out->name != NULL ? MLE_OK : mle_json_fail(model, err, "a registered model without a name");
}

mle_status mle_rest_get_registered_model(mle_mlflow *base, const char *name, mle_arena *memory,
                                         mle_mlflow_registered_model *out, mle_error *err) {
  const char *path;
  mle_json *answer = NULL;
  mle_json_at root, model;
  mle_status status;
  MLE_GO(mle_rest_query(memory, &path, err, "registered-models/get", "name", name, NULL));
  MLE_GO(mle_rest_call(mle_rest_of(base), &(mle_rest_request){.method = "GET", .path = path},
                       &answer, err));
  root = mle_json_root(answer);
  MLE_GO(mle_json_get_object(&root, "registered_model", &model, err));
  status = read_model(&model, memory, out, err);
done:
  mle_json_free(answer);
  return status;
}

static mle_status read_found(const mle_json_at *item, mle_arena *memory, void *list,
                             mle_error *err) {
  mle_mlflow_registered_models *out = list;
  mle_mlflow_registered_model *all = (void *)(uintptr_t)out->item;
  all = mle_arena_grow(memory, all, out->count, sizeof *all);
  if (all == NULL) return mle_nomem(err, "searching registered models");
  out->item = all;
  all[out->count] = (mle_mlflow_registered_model){0};
  return read_model(item, memory, &all[out->count++], err);
}

mle_status mle_rest_search_registered_models(mle_mlflow *base, const mle_mlflow_search *search,
                                             mle_arena *memory,
                                             mle_mlflow_registered_models *out, mle_error *err) {
  mle_rest_search how = {search, "registered-models/search", "registered_models", NULL, PAGE,
                         mle_rest_get_search, read_found, memory, 0};
  return mle_rest_search_all(mle_rest_of(base), &how, out, &out->count, &out->next_page_token, err);
}

mle_status mle_rest_change_registered_model(mle_mlflow *base, const char *name,
                                            const mle_mlflow_change *change, mle_error *err) {
  mle_rest_store *store = mle_rest_of(base);
  mle_rest_tagged what = {{{"name", name}}, "registered-models/set-tag",
                          "registered-models/delete-tag", "DELETE"};
  MLE_TRY(mle_rest_change_tags(store, &what, change, err));
  if (change->description != NULL) {
    mle_json *body = name_of(name);
    mle_json_add_text(body, "description", change->description);
    MLE_TRY(mle_rest_send(store, "PATCH", "registered-models/update", body, err));
  }
  if (change->name == NULL || strcmp(change->name, name) == 0) return MLE_OK;
  mle_json *body = name_of(name);
  mle_json_add_text(body, "new_name", change->name);
  return mle_rest_send(store, "POST", "registered-models/rename", body, err);
}

mle_status mle_rest_delete_registered_model(mle_mlflow *base, const char *name, mle_error *err) {
  return mle_rest_send(mle_rest_of(base), "DELETE", "registered-models/delete", name_of(name), err);
}

/* ====== Aliases ====== */

mle_status mle_rest_set_alias(mle_mlflow *base, const char *name, const char *alias,
                              int64_t version, mle_error *err) {
  mle_json *body = name_of(name);
  mle_json_add_text(body, "alias", alias);
  add_version(body, version);
  return mle_rest_send(mle_rest_of(base), "POST", "registered-models/alias", body, err);
}

mle_status mle_rest_delete_alias(mle_mlflow *base, const char *name, const char *alias,
                                 mle_error *err) {
  mle_json *body = name_of(name);
  mle_json_add_text(body, "alias", alias);
  return mle_rest_send(mle_rest_of(base), "DELETE", "registered-models/alias", body, err);
}

/* A missing alias is 400 "alias ... not found", a missing model 404: neither is set. */
mle_status mle_rest_get_alias(mle_mlflow *base, const char *name, const char *alias, int64_t *out,
                              mle_error *err) {
  mle_arena memory = MLE_ARENA;
  mle_error own;
  mle_error *told = err != NULL ? err : &own;
  const char *path;
  mle_json *answer = NULL;
  mle_json_at root, at;
  mle_status status;
  MLE_GO(mle_rest_query(&memory, &path, told, "registered-models/alias", "name", name, "alias",
                        alias, NULL));
  status = mle_rest_call(mle_rest_of(base), &(mle_rest_request){.method = "GET", .path = path},
                         &answer, told);
  bool unset = status == MLE_ENOTFOUND ||
               (status == MLE_EINVAL && strstr(told->message, "not found") != NULL);
  if (unset) status = MLE_OK;
  if (unset || status != MLE_OK) goto done;
  root = mle_json_root(answer);
  MLE_GO(mle_json_get_object(&root, "model_version", &at, told));
  status = mle_rest_int(&at, "version", out, told);
done:
  mle_json_free(answer);
  mle_arena_release(&memory);
  return status;
}
