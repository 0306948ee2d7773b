/* store_registry.c -- the registry's part of store.h */

#include "engine/mlflow/backend.h"
#include "engine/mlflow/rules.h"

/* ====== Registered models ====== */

mle_status mle_mlflow_create_registered_model(mle_mlflow *store, const char *name,
                                              const char *description, mle_error *err) {
  MLE_TRY(mle_mlflow_check_model_name(name, err));
  if (description != NULL)
    MLE_TRY(mle_mlflow_check_text("a model's description", description, 5000, err));
  return store->call->create_registered_model(store, name, description, err);
}

mle_status mle_mlflow_get_registered_model(mle_mlflow *store, const char *name, mle_arena *memory,
                                           mle_mlflow_registered_model *out, mle_error *err) {
  *out = (mle_mlflow_registered_model){0};
  return store->call->get_registered_model(store, name, memory, out, err);
}

mle_status mle_mlflow_search_registered_models(mle_mlflow *store, const mle_mlflow_search *search,
                                               mle_arena *memory,
                                               mle_mlflow_registered_models *out, mle_error *err) {
  mle_mlflow_search request = mle_mlflow_bounded(search);
  *out = (mle_mlflow_registered_models){0};
  return store->call->search_registered_models(store, &request, memory, out, err);
}

/* `change` checked, its tags cut; they live in `memory`. */
static mle_status check_change(const mle_mlflow_change *change, mle_arena *memory,
                               mle_mlflow_change *out, mle_error *err) {
  *out = *change;
  if (change->name != NULL) MLE_TRY(mle_mlflow_check_model_name(change->name, err));
  if (change->description != NULL)
    MLE_TRY(mle_mlflow_check_text("a description", change->description, 5000, err));
  return mle_mlflow_cut_pairs("tag", MLE_MLFLOW_VERSION_TAG_MAX, &out->set_tags, memory, err);
}

mle_status mle_mlflow_change_registered_model(mle_mlflow *store, const char *name,
                                              const mle_mlflow_change *change, mle_error *err) {
  mle_arena memory = MLE_ARENA;
  mle_mlflow_change checked;
  mle_status status = check_change(change, &memory, &checked, err);
  if (status == MLE_OK) status = store->call->change_registered_model(store, name, &checked, err);
  mle_arena_release(&memory);
  return status;
}

mle_status mle_mlflow_delete_registered_model(mle_mlflow *store, const char *name,
                                              mle_error *err) {
  return store->call->delete_registered_model(store, name, err);
}

/* ====== Versions ====== */

mle_status mle_mlflow_create_version(mle_mlflow *store, const mle_mlflow_new_version *version,
                                     int64_t *out, mle_error *err) {
  mle_arena memory = MLE_ARENA;
  mle_mlflow_new_version checked = *version;
  mle_status status;
  *out = 0;
  MLE_GO(mle_mlflow_check_model_name(version->name, err));
  MLE_GO(mle_mlflow_check_text("a version's source", version->source, 500, err));
  if (version->description != NULL)
    MLE_GO(mle_mlflow_check_text("a version's description", version->description, 5000, err));
  MLE_GO(mle_mlflow_cut_pairs("tag", MLE_MLFLOW_VERSION_TAG_MAX, &checked.tags, &memory, err));
  status = store->call->create_version(store, &checked, out, err);
done:
  mle_arena_release(&memory);
  return status;
}

mle_status mle_mlflow_get_version(mle_mlflow *store, const char *name, int64_t version,
                                  mle_arena *memory, mle_mlflow_version *out, mle_error *err) {
  *out = (mle_mlflow_version){0};
  return store->call->get_version(store, name, version, memory, out, err);
}

mle_status mle_mlflow_list_versions(mle_mlflow *store, const char *name, mle_arena *memory,
                                    mle_mlflow_versions *out, mle_error *err) {
  *out = (mle_mlflow_versions){0};
  return store->call->list_versions(store, name, memory, out, err);
}

mle_status mle_mlflow_search_versions(mle_mlflow *store, const mle_mlflow_search *search,
                                      mle_arena *memory, mle_mlflow_versions *out, mle_error *err) {
  mle_mlflow_search request = mle_mlflow_bounded(search);
  *out = (mle_mlflow_versions){0};
  return store->call->search_versions(store, &request, memory, out, err);
}

mle_status mle_mlflow_change_version(mle_mlflow *store, const char *name, int64_t version,
                                     const mle_mlflow_change *change, mle_error *err) {
  mle_arena memory = MLE_ARENA;
  mle_mlflow_change checked;
  mle_status status = check_change(change, &memory, &checked, err);
  if (status == MLE_OK) status = store->call->change_version(store, name, version, &checked, err);
  mle_arena_release(&memory);
  return status;
}

mle_status mle_mlflow_set_version_tag(mle_mlflow *store, const char *name, int64_t version,
                                      const char *key, const char *value, mle_error *err) {
  mle_mlflow_pair tag = {key, value};
  return mle_mlflow_change_version(store, name, version, &(mle_mlflow_change){.set_tags = {1, &tag}},
                                   err);
}

mle_status mle_mlflow_delete_version(mle_mlflow *store, const char *name, int64_t version,
                                     mle_error *err) {
  return store->call->delete_version(store, name, version, err);
}

/* ====== Aliases ====== */

mle_status mle_mlflow_set_alias(mle_mlflow *store, const char *name, const char *alias,
                                int64_t version, mle_error *err) {
  MLE_TRY(mle_mlflow_check_alias(alias, err));
  return store->call->set_alias(store, name, alias, version, err);
}

mle_status mle_mlflow_get_alias(mle_mlflow *store, const char *name, const char *alias,
                                int64_t *out, mle_error *err) {
  *out = 0;
  return store->call->get_alias(store, name, alias, out, err);
}

mle_status mle_mlflow_delete_alias(mle_mlflow *store, const char *name, const char *alias,
                                   mle_error *err) {
  return store->call->delete_alias(store, name, alias, err);
}
