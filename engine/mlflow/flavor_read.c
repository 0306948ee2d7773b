#include <string.h>

#include "engine/base/alloc.h"
#include "engine/base/buffer.h"
#include "engine/base/file.h"
#include "engine/json/json.h"
#include "engine/mlflow/artifacts.h"
#include "engine/mlflow/flavor.h"
#include "engine/mlflow/yaml.h"

/* A text member, copied; NULL when absent, null, or of a plain number or boolean. */
static mle_status get_text(const mle_json_at *at, const char *key, mle_arena *memory,
                           const char **out, mle_error *err) {
  mle_json_at member;
  *out = NULL;
  if (!mle_json_find(at, key, &member) || !mle_json_is_text(&member)) return MLE_OK;
  const char *text;
  MLE_TRY(mle_json_text(&member, &text, err));
  return mle_arena_copy(memory, text, out, err);
}

/* A file of the folder, by a path that the MLmodel gives. */
static mle_status file_in(const char *folder, const char *path, mle_arena *memory,
                          const char **out, mle_error *err) {
  if (*path == '\0') return mle_fail(err, MLE_EFORMAT, "the path of a file is empty");
  return mle_artifacts_path(folder, path, memory, out, err);
}

/* The names of the flavours there are, for a message. */
static mle_status fail_flavors(const mle_json_at *flavors, mle_error *err) {
  char names[200] = "";
  mle_json_at item;
  for (bool more = mle_json_first(flavors, &item); more; more = mle_json_next(&item)) {
    if (item.key == NULL || strlen(names) + strlen(item.key) + 3 > sizeof names) break;
    if (*names != '\0') strcat(names, ", ");
    strcat(names, item.key);
  }
  return mle_fail(err, MLE_EUNSUPPORTED,
                  "the model is of flavour %s; only xgboost models are understood",
                  *names == '\0' ? "none" : names);
}

/* "xgboost.sklearn.XGBClassifier" gives "XGBClassifier"; older files name none. */
static const char *short_class(const char *name) {
  if (name == NULL) return "Booster";
  const char *dot = strrchr(name, '.');
  return dot == NULL ? name : dot + 1;
}

static mle_status read_xgboost(const char *folder, const mle_json_at *root, mle_arena *memory,
                               mle_flavor_info *out, mle_error *err) {
  mle_json_at flavors, xgboost;
  const char *data, *name;
  MLE_TRY(mle_json_get_object(root, "flavors", &flavors, err));
  if (!mle_json_find(&flavors, "xgboost", &xgboost)) return fail_flavors(&flavors, err);
  MLE_TRY(mle_json_get_text(&xgboost, "data", &data, err));
  MLE_TRY(file_in(folder, data, memory, &out->data, err));
  MLE_TRY(get_text(&xgboost, "model_class", memory, &name, err));
  out->model_class = short_class(name);
  MLE_TRY(get_text(&xgboost, "model_format", memory, &out->model_format, err));
  return get_text(&xgboost, "xgb_version", memory, &out->xgb_version, err);
}

static mle_status read_signature(const mle_json_at *root, mle_arena *memory, mle_flavor_info *out,
                                 mle_error *err) {
  mle_json_at signature;
  if (!mle_json_find(root, "signature", &signature) || !mle_json_is_object(&signature)) return MLE_OK;
  MLE_TRY(get_text(&signature, "inputs", memory, &out->inputs, err));
  return get_text(&signature, "outputs", memory, &out->outputs, err);
}

static mle_status read_example(const char *folder, const mle_json_at *root, mle_arena *memory,
                               mle_flavor_info *out, mle_error *err) {
  mle_json_at info;
  const char *path;
  if (!mle_json_find(root, "saved_input_example_info", &info) || !mle_json_is_object(&info))
    return MLE_OK;
  MLE_TRY(get_text(&info, "artifact_path", memory, &path, err));
  return path == NULL ? MLE_OK : file_in(folder, path, memory, &out->example, err);
}

static mle_status read_metadata(const mle_json_at *root, mle_arena *memory, mle_flavor_info *out,
                                mle_error *err) {
  mle_json_at metadata;
  if (!mle_json_find(root, "metadata", &metadata) || !mle_json_is_object(&metadata)) return MLE_OK;
  char *text = mle_json_print(metadata.node, false);
  if (text == NULL) return mle_nomem(err, "reading a model");
  mle_status status = mle_arena_copy(memory, text, &out->metadata, err);
  mle_free(text);
  return status;
}

static mle_status read_document(const char *folder, const mle_json_at *root, mle_arena *memory,
                                mle_flavor_info *out, mle_error *err) {
  MLE_TRY(read_xgboost(folder, root, memory, out, err));
  MLE_TRY(read_signature(root, memory, out, err));
  MLE_TRY(read_example(folder, root, memory, out, err));
  MLE_TRY(read_metadata(root, memory, out, err));
  MLE_TRY(get_text(root, "mlflow_version", memory, &out->mlflow_version, err));
  MLE_TRY(get_text(root, "run_id", memory, &out->run_id, err));
  MLE_TRY(get_text(root, "model_id", memory, &out->model_id, err));
  return get_text(root, "utc_time_created", memory, &out->utc_time_created, err);
}

mle_status mle_flavor_parse(const char *folder, const char *text, size_t len, mle_arena *memory,
                            mle_flavor_info *out, mle_error *err) {
  mle_json *doc;
  *out = (mle_flavor_info){0};
  MLE_TRY(mle_yaml_read(text, len, &doc, err));
  mle_json_at root = mle_json_root(doc);
  mle_status status = read_document(folder, &root, memory, out, err);
  mle_json_free(doc);
  if (status != MLE_OK) *out = (mle_flavor_info){0};
  return status;
}

mle_status mle_flavor_read(const char *folder, mle_arena *memory, mle_flavor_info *out,
                           mle_error *err) {
  mle_buffer text = MLE_BUFFER(MLE_YAML_MAX);
  char *path = mle_path_join(folder, "MLmodel");
  mle_status status = path == NULL ? mle_nomem(err, "reading a model") : MLE_OK;
  *out = (mle_flavor_info){0};
  if (status == MLE_OK) status = mle_file_read(path, &text, err);
  if (status == MLE_OK) {
    const char *bytes = text.data == NULL ? "" : text.data;
    status = mle_flavor_parse(folder, bytes, text.len, memory, out, err);
    if (status != MLE_OK) mle_context(err, "model '%s'", path);
  }
  mle_free(path);
  mle_buffer_release(&text);
  return status;
}
