#include "engine/mlflow/log_model.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/file.h"
#include "engine/mlflow/artifact_store.h"

/* Built in a folder of this machine first, then uploaded. */
static mle_status write_remote(mle_mlflow *store, const mle_mlflow_model *model,
                               const mle_flavor *flavor, mle_arena *memory, const char **flavors,
                               mle_error *err) {
  char folder[] = "/tmp/mlengine-model-XXXXXX";
  if (mkdtemp(folder) == NULL)
    return mle_fail(err, MLE_EIO, "cannot create folder '%s': %s", folder, strerror(errno));
  mle_status status = mle_flavor_write(folder, model, flavor, memory, flavors, err);
  if (status == MLE_OK)
    status = mle_mlflow_put_contents(store, model->artifact_uri, folder, err);
  mle_remove_tree(folder, NULL);
  return status;
}

static mle_status write_folder(mle_mlflow *store, const mle_mlflow_model *model, const mle_flavor *flavor,
                               mle_arena *memory, const char **flavors, mle_error *err) {
  const char *target, *aside;
  if (mle_mlflow_is_remote(model->artifact_uri))
    return write_remote(store, model, flavor, memory, flavors, err);
  MLE_TRY(mle_artifacts_folder(model->artifact_uri, memory, &target, err));
  MLE_TRY(mle_artifacts_begin(target, memory, &aside, err));
  mle_status status = mle_flavor_write(aside, model, flavor, memory, flavors, err);
  if (status == MLE_OK) status = mle_artifacts_publish(aside, target, err);
  if (status != MLE_OK) mle_remove_tree(aside, NULL);
  return status;
}

mle_status mle_mlflow_log_model(mle_mlflow *store, const char *run_id, const char *name,
                                const mle_flavor *flavor, mle_arena *memory,
                                mle_mlflow_model *out, mle_error *err) {
  const char *flavors;
  MLE_TRY(mle_mlflow_begin_model(store, run_id, name, memory, out, err));
  mle_status status = write_folder(store, out, flavor, memory, &flavors, err);
  if (status == MLE_OK) status = mle_mlflow_finish_model(store, out, true, flavors, err);
  if (status == MLE_OK) return MLE_OK;
  mle_mlflow_finish_model(store, out, false, NULL, NULL); /* the first error is the one to tell */
  mle_context(err, "logging model '%s' of run '%s'", name, run_id);
  return status;
}
