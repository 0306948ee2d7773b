#include "engine/mlflow/resolve.h"

#include <stdlib.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/base/file.h"
#include "engine/mlflow/artifact_store.h"

#define STEPS_MAX 5 /* a version may name a run or another version, which names ... */

static mle_status resolve(mle_mlflow *store, const char *uri, int steps, mle_arena *memory,
                          mle_mlflow_place *out, mle_error *err);

/* Cuts `text` at its first slash; returns what follows, "" when there is none. */
static char *split_off(char *text) {
  char *slash = strchr(text, '/');
  if (slash == NULL) return text + strlen(text);
  *slash = '\0';
  return slash + 1;
}

/* Sets the place to LOCATION/MORE; a file there is fine, too. */
static mle_status go_to(mle_mlflow *store, const char *location, const char *more, const char *uri,
                        mle_arena *memory, mle_mlflow_place *out, mle_error *err) {
  const char *place, *root = location;
  bool there, remote = mle_mlflow_is_remote(location);
  if (!remote) MLE_TRY(mle_artifacts_folder(location, memory, &root, err));
  MLE_TRY(mle_mlflow_below(root, more, memory, &place, err));
  MLE_TRY(mle_mlflow_has_artifact(store, place, &there, err));
  if (!there)
    return mle_fail(err, MLE_ENOTFOUND, "nothing is at '%s', where '%s' points", place, uri);
  out->location = place;
  out->folder = remote ? NULL : place;
  return MLE_OK;
}

/* ====== runs:/ ====== */

static mle_status from_run(mle_mlflow *store, const char *uri, char *rest, mle_arena *memory,
                           mle_mlflow_place *out, mle_error *err) {
  mle_mlflow_run run;
  mle_mlflow_model model;
  char *path = split_off(rest);
  MLE_TRY(mle_mlflow_get_run(store, rest, memory, &run, err));
  out->run_id = run.id;
  mle_status found = go_to(store, run.artifact_uri, path, uri, memory, out, err);
  if (found != MLE_ENOTFOUND || *path == '\0') return found;
  char *more = split_off(path); /* not among the artifacts: a model of that name, in MLflow 3 */
  MLE_TRY(mle_mlflow_find_model(store, run.id, path, memory, &model, err));
  if (model.uri == NULL)
    return mle_fail(err, MLE_ENOTFOUND, "run '%s' has neither an artifact nor a model '%s'", run.id,
                    path);
  out->model_id = model.id;
  return go_to(store, model.artifact_uri, more, uri, memory, out, err);
}

/* ====== models:/ ====== */

static mle_status from_logged_model(mle_mlflow *store, const char *uri, char *rest,
                                    mle_arena *memory, mle_mlflow_place *out, mle_error *err) {
  mle_mlflow_model model;
  char *more = split_off(rest);
  MLE_TRY(mle_mlflow_get_model(store, rest, memory, &model, err));
  out->model_id = model.id;
  out->run_id = model.run_id;
  return go_to(store, model.artifact_uri, more, uri, memory, out, err);
}

static mle_status from_version(mle_mlflow *store, const char *uri, const char *name,
                               int64_t number, const char *more, int steps, mle_arena *memory,
                               mle_mlflow_place *out, mle_error *err) {
  mle_mlflow_version version;
  mle_mlflow_place source = {0};
  MLE_TRY(mle_mlflow_get_version(store, name, number, memory, &version, err));
  if (version.location == NULL)
    return mle_fail(err, MLE_ENOTFOUND, "version %lld of '%s' has no files", (long long)number, name);
  MLE_TRY(resolve(store, version.location, steps + 1, memory, &source, err));
  out->model_id = source.model_id;
  if (version.source != NULL && strncmp(version.source, "models:/m-", 10) == 0)
    out->model_id = version.source + strlen("models:/");
  out->run_id = version.run_id != NULL ? version.run_id : source.run_id;
  out->name = version.name;
  out->version = number;
  return go_to(store, source.location, more, uri, memory, out, err);
}

static mle_status newest_version(mle_mlflow *store, const char *name, mle_arena *memory,
                                 int64_t *out, mle_error *err) {
  mle_mlflow_versions list;
  MLE_TRY(mle_mlflow_list_versions(store, name, memory, &list, err));
  if (list.count == 0)
    return mle_fail(err, MLE_ENOTFOUND, "registered model '%s' has no version", name);
  *out = list.item[0].version;
  return MLE_OK;
}

static mle_status parse_version(mle_mlflow *store, const char *uri, const char *name,
                                const char *text, mle_arena *memory, int64_t *out, mle_error *err) {
  char *end;
  if (strcmp(text, "latest") == 0) return newest_version(store, name, memory, out, err);
  *out = strtoll(text, &end, 10);
  if (*text >= '1' && *text <= '9' && *end == '\0') return MLE_OK;
  return mle_fail(err, MLE_EINVAL, "'%s' must be models:/NAME/VERSION or models:/NAME@ALIAS", uri);
}

static mle_status from_registry(mle_mlflow *store, const char *uri, char *rest, int steps,
                                mle_arena *memory, mle_mlflow_place *out, mle_error *err) {
  int64_t number;
  char *second = split_off(rest), *at = strrchr(rest, '@');
  if (at != NULL) {
    *at = '\0';
    MLE_TRY(mle_mlflow_get_alias(store, rest, at + 1, &number, err));
    if (number == 0)
      return mle_fail(err, MLE_ENOTFOUND, "registered model '%s' has no alias '%s'", rest, at + 1);
    return from_version(store, uri, rest, number, second, steps, memory, out, err);
  }
  char *more = split_off(second);
  MLE_TRY(parse_version(store, uri, rest, second, memory, &number, err));
  return from_version(store, uri, rest, number, more, steps, memory, out, err);
}

/* ====== Any of them ====== */

static mle_status from_path(mle_mlflow *store, const char *uri, mle_arena *memory, mle_mlflow_place *out,
                            mle_error *err) {
  const char *path;
  if (mle_mlflow_is_remote(uri)) return go_to(store, uri, NULL, uri, memory, out, err);
  MLE_TRY(mle_artifacts_folder(uri, memory, &path, err));
  char *absolute = mle_path_absolute(path);
  if (absolute == NULL) return mle_nomem(err, "resolving a path");
  mle_status status = go_to(store, absolute, NULL, uri, memory, out, err);
  mle_free(absolute);
  return status;
}

static mle_status resolve(mle_mlflow *store, const char *uri, int steps, mle_arena *memory,
                          mle_mlflow_place *out, mle_error *err) {
  bool of_run = strncmp(uri, "runs:/", 6) == 0, of_model = strncmp(uri, "models:/", 8) == 0;
  if (!of_run && !of_model) return from_path(store, uri, memory, out, err);
  if (store == NULL) return mle_fail(err, MLE_EINVAL, "'%s' needs a tracking store", uri);
  if (steps > STEPS_MAX) return mle_fail(err, MLE_EFORMAT, "'%s' leads in a circle", uri);
  char *rest = mle_arena_format(memory, "%s", uri + (of_run ? 6 : 8));
  if (rest == NULL) return mle_nomem(err, "resolving a model");
  while (*rest == '/') rest++;
  if (of_run) return from_run(store, uri, rest, memory, out, err);
  if (strncmp(rest, "m-", 2) == 0 && strchr(rest, '@') == NULL && rest[strcspn(rest, "/")] == '\0')
    return from_logged_model(store, uri, rest, memory, out, err);
  return from_registry(store, uri, rest, steps, memory, out, err);
}

mle_status mle_mlflow_resolve(mle_mlflow *store, const char *uri, mle_arena *memory,
                              mle_mlflow_place *out, mle_error *err) {
  *out = (mle_mlflow_place){0};
  return resolve(store, uri, 0, memory, out, err);
}
