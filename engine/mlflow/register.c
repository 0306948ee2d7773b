#include "engine/mlflow/register.h"

#include <string.h>

#include "engine/mlflow/resolve.h"

static bool has_same(const mle_mlflow_pairs *a, const mle_mlflow_pairs *b, const char *key) {
  const char *left = mle_mlflow_find_pair(a, key), *right = mle_mlflow_find_pair(b, key);
  return left != NULL && right != NULL && strcmp(left, right) == 0;
}

/* ====== Creating ====== */

static mle_status need_model(mle_mlflow *store, const char *name, mle_arena *memory,
                             mle_error *err) {
  mle_mlflow_registered_model model;
  mle_status status = mle_mlflow_get_registered_model(store, name, memory, &model, err);
  if (status != MLE_ENOTFOUND) return status;
  status = mle_mlflow_create_registered_model(store, name, NULL, err);
  return status == MLE_EEXISTS ? MLE_OK : status; /* another was faster */
}

/* Readers go by the location; the source is what MLflow shows: the entity in its
 * version 3, a copied version, or the folder. */
static mle_status describe(const char *uri, const char *name, const mle_mlflow_place *place,
                           const mle_mlflow_pairs *tags, mle_arena *memory,
                           mle_mlflow_new_version *out, mle_error *err) {
  *out = (mle_mlflow_new_version){.name = name,
                                  .source = place->location,
                                  .location = place->location,
                                  .run_id = place->run_id,
                                  .model_id = place->model_id,
                                  .tags = *tags};
  if (place->version > 0) out->source = uri;
  if (place->model_id == NULL || place->version > 0) return MLE_OK;
  out->source = mle_arena_format(memory, "models:/%s", place->model_id);
  return out->source != NULL ? MLE_OK : mle_nomem(err, "registering a model");
}

/* ====== Superseding ====== */

static mle_status run_failed(mle_mlflow *store, const char *run_id, mle_arena *memory, bool *out,
                             mle_error *err) {
  mle_mlflow_run run;
  *out = true;
  if (run_id == NULL) return MLE_OK;
  mle_status status = mle_mlflow_get_run(store, run_id, memory, &run, err);
  if (status == MLE_OK) *out = run.status == NULL || strcmp(run.status, MLE_MLFLOW_FINISHED) != 0;
  return status == MLE_ENOTFOUND ? MLE_OK : status;
}

static mle_status supersede(mle_mlflow *store, const mle_mlflow_new_version *version,
                            int64_t number, mle_arena *memory, mle_error *err) {
  mle_mlflow_versions list;
  char *by = mle_arena_format(memory, "%lld", (long long)number);
  if (by == NULL) return mle_nomem(err, "registering a model");
  if (mle_mlflow_find_pair(&version->tags, MLE_TAG_CONSUMER) == NULL) return MLE_OK;
  MLE_TRY(mle_mlflow_list_versions(store, version->name, memory, &list, err));
  for (size_t i = 0; i < list.count; i++) {
    const mle_mlflow_version *old = &list.item[i];
    bool failed, own = old->run_id != NULL && version->run_id != NULL &&
                       strcmp(old->run_id, version->run_id) == 0;
    if (own || old->version == number || mle_mlflow_find_pair(&old->tags, MLE_TAG_SUPERSEDED_BY) != NULL) continue;
    if (!has_same(&old->tags, &version->tags, MLE_TAG_CONSUMER)) continue;
    if (!has_same(&old->tags, &version->tags, MLE_TAG_RANGE)) continue;
    MLE_TRY(run_failed(store, old->run_id, memory, &failed, err));
    if (!failed) continue;
    MLE_TRY(mle_mlflow_set_version_tag(store, old->name, old->version, MLE_TAG_SUPERSEDED_BY, by,
                                       err));
  }
  return MLE_OK;
}

static mle_status do_register(mle_mlflow *store, const char *uri, const char *name,
                              const mle_mlflow_pairs *tags, mle_arena *memory, int64_t *out,
                              mle_error *err) {
  mle_mlflow_place place;
  mle_mlflow_new_version version;
  MLE_TRY(mle_mlflow_resolve(store, uri, memory, &place, err));
  MLE_TRY(describe(uri, name, &place, tags, memory, &version, err));
  MLE_TRY(need_model(store, name, memory, err));
  MLE_TRY(mle_mlflow_create_version(store, &version, out, err));
  return supersede(store, &version, *out, memory, err);
}

mle_status mle_mlflow_register(mle_mlflow *store, const char *uri, const char *name,
                               const mle_mlflow_pairs *tags, int64_t *out, mle_error *err) {
  mle_arena memory = MLE_ARENA;
  *out = 0;
  mle_status status = do_register(store, uri, name, tags, &memory, out, err);
  mle_arena_release(&memory);
  if (status != MLE_OK) mle_context(err, "registering '%s' as '%s'", uri, name);
  return status;
}

/* ====== Copying ====== */

static mle_status do_copy(mle_mlflow *store, const char *name, int64_t number, const char *to,
                          mle_arena *memory, int64_t *out, mle_error *err) {
  mle_mlflow_version from;
  mle_mlflow_place place;
  char *uri = mle_arena_format(memory, "models:/%s/%lld", name, (long long)number);
  if (uri == NULL) return mle_nomem(err, "copying a version");
  MLE_TRY(mle_mlflow_get_version(store, name, number, memory, &from, err));
  MLE_TRY(mle_mlflow_resolve(store, uri, memory, &place, err));
  MLE_TRY(need_model(store, to, memory, err));
  mle_mlflow_new_version copy = {.name = to,
                                 .source = uri,
                                 .location = place.location,
                                 .run_id = from.run_id,
                                 .description = from.description,
                                 .tags = from.tags};
  return mle_mlflow_create_version(store, &copy, out, err);
}

mle_status mle_mlflow_copy_version(mle_mlflow *store, const char *name, int64_t version,
                                   const char *to, int64_t *out, mle_error *err) {
  mle_arena memory = MLE_ARENA;
  *out = 0;
  mle_status status = do_copy(store, name, version, to, &memory, out, err);
  mle_arena_release(&memory);
  if (status != MLE_OK)
    mle_context(err, "copying 'models:/%s/%lld' to '%s'", name, (long long)version, to);
  return status;
}
