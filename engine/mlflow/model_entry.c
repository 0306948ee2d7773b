#include "engine/mlflow/model_entry.h"

#include "engine/base/clock.h"
#include "engine/base/hash.h"

mle_json *mle_mlflow_model_entry(mle_json *list, const mle_mlflow_model *model,
                                 const char *flavors) {
  char time[MLE_TIME_TEXT], uuid[MLE_UUID_TEXT];
  mle_json *entry = mle_json_add_object(list, NULL);
  mle_time_text(mle_now_ms(), time);
  time[10] = ' '; /* "2026-11-24 01:53:41.419", as MLflow 2 writes it */
  time[23] = '\0';
  mle_json_add_text(entry, "run_id", model->run_id);
  mle_json_add_text(entry, "artifact_path", model->name);
  mle_json_add_text(entry, "utc_time_created", time);
  mle_json_add_text(entry, "model_uuid", mle_uuid_hex(uuid));
  mle_json_add_raw(entry, "flavors", flavors);
  return entry;
}
