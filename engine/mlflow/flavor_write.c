#include <string.h>

#include "engine/base/alloc.h"
#include "engine/base/buffer.h"
#include "engine/base/clock.h"
#include "engine/base/file.h"
#include "engine/base/hash.h"
#include "engine/json/json.h"
#include "engine/mlflow/flavor.h"
#include "engine/mlflow/flavor_texts.h"
#include "engine/mlflow/yaml.h"
#include "engine/xgboost/model.h"

#define DATA_FILE "model.ubj"
#define EXAMPLE_FILE "input_example.json"
#define SERVING_FILE "serving_input_example.json"
#define PYTHON "3.11.7"

/* ====== Files ====== */

static mle_status write_file(const char *folder, const char *name, const void *bytes, size_t len,
                             mle_error *err) {
  char *path = mle_path_join(folder, name);
  if (path == NULL) return mle_nomem(err, "writing a model");
  mle_status status = mle_file_replace(path, bytes, len, 0644, err);
  mle_free(path);
  return status;
}

/* Prints a document that was built, as YAML, and frees it. */
static mle_status write_yaml(const char *folder, const char *name, mle_json *take, mle_error *err) {
  mle_buffer yaml = MLE_BUFFER(MLE_YAML_MAX);
  mle_json *parsed = NULL;
  mle_status status;
  char *text = mle_json_print(take, false);
  if (text == NULL) {
    status = mle_nomem(err, "writing a model");
    goto done;
  }
  MLE_GO(mle_json_parse(text, strlen(text), &parsed, err));
  mle_json_at root = mle_json_root(parsed);
  MLE_GO(mle_yaml_print(&root, &yaml, err));
  status = write_file(folder, name, yaml.data, yaml.len, err);
done:
  mle_buffer_release(&yaml);
  mle_json_free(parsed);
  mle_free(text);
  mle_json_free(take);
  return status;
}

/* ====== Environments ====== */

static mle_status write_conda(const char *folder, const char *mlflow, const char *xgboost,
                              mle_error *err) {
  mle_json *doc = mle_json_new_object();
  mle_json_add_text(mle_json_add_array(doc, "channels"), NULL, "conda-forge");
  mle_json *dependencies = mle_json_add_array(doc, "dependencies");
  mle_json_add_text(dependencies, NULL, "python=" PYTHON);
  mle_json_add_text(dependencies, NULL, "pip");
  mle_json *pip = mle_json_add_array(mle_json_add_object(dependencies, NULL), "pip");
  mle_json_add_text(pip, NULL, mlflow);
  mle_json_add_text(pip, NULL, xgboost);
  mle_json_add_text(doc, "name", "mlflow-env");
  return write_yaml(folder, "conda.yaml", doc, err);
}

static mle_status write_python_env(const char *folder, mle_error *err) {
  mle_json *doc = mle_json_new_object();
  mle_json_add_text(doc, "python", PYTHON);
  mle_json *build = mle_json_add_array(doc, "build_dependencies");
  mle_json_add_text(build, NULL, "pip");
  mle_json_add_text(build, NULL, "setuptools");
  mle_json_add_text(build, NULL, "wheel");
  mle_json_add_text(mle_json_add_array(doc, "dependencies"), NULL, "-r requirements.txt");
  return write_yaml(folder, "python_env.yaml", doc, err);
}

static mle_status write_environments(const char *folder, const mle_mlflow_model *model,
                                     const mle_flavor *flavor, mle_arena *memory, mle_error *err) {
  const char *mlflow = mle_arena_format(memory, "mlflow==%s", model->format);
  const char *xgboost = mle_arena_format(memory, "xgboost==%s", flavor->xgb_version);
  if (mlflow == NULL || xgboost == NULL) return mle_nomem(err, "writing a model");
  char *text = mle_arena_format(memory, "%s\n%s\n", mlflow, xgboost);
  if (text == NULL) return mle_nomem(err, "writing a model");
  MLE_TRY(write_file(folder, "requirements.txt", text, strlen(text), err));
  MLE_TRY(write_conda(folder, mlflow, xgboost, err));
  return write_python_env(folder, err);
}

/* ====== Example ====== */

static mle_status write_example(const char *folder, const char *example, mle_arena *memory,
                                size_t *out_size, mle_error *err) {
  *out_size = 0;
  if (example == NULL) return MLE_OK;
  char *serving = mle_arena_format(memory, "{\"dataframe_split\": %s}", example);
  if (serving == NULL) return mle_nomem(err, "writing a model");
  *out_size = strlen(example) + strlen(serving);
  MLE_TRY(write_file(folder, EXAMPLE_FILE, example, strlen(example), err));
  return write_file(folder, SERVING_FILE, serving, strlen(serving), err);
}

static void add_example_info(mle_json *doc) {
  mle_json *info = mle_json_add_object(doc, "saved_input_example_info");
  mle_json_add_text(info, "artifact_path", EXAMPLE_FILE);
  mle_json_add_text(info, "pandas_orient", "split");
  mle_json_add_text(info, "serving_input_path", SERVING_FILE);
  mle_json_add_text(info, "type", "dataframe");
}

/* ====== MLmodel ====== */

static void add_flavors(mle_json *flavors, const mle_flavor *flavor) {
  bool is_booster = strcmp(flavor->model_class, "Booster") == 0;
  mle_json *python = mle_json_add_object(flavors, "python_function");
  if (flavor->texts != NULL) mle_json_add_text(python, "code", MLE_FLAVOR_TEXTS_CODE);
  mle_json_add_text(python, "data", DATA_FILE);
  mle_json *env = mle_json_add_object(python, "env");
  mle_json_add_text(env, "conda", "conda.yaml");
  mle_json_add_text(env, "virtualenv", "python_env.yaml");
  mle_json_add_text(python, "loader_module",
                    flavor->texts != NULL ? MLE_FLAVOR_TEXTS_LOADER : "mlflow.xgboost");
  mle_json_add_text(python, "python_version", PYTHON);
  mle_json *xgboost = mle_json_add_object(flavors, "xgboost");
  mle_json_add_null(xgboost, "code");
  mle_json_add_text(xgboost, "data", DATA_FILE);
  char name[64] = "";
  strcat(name, is_booster ? "xgboost.core." : "xgboost.sklearn.");
  strncat(name, flavor->model_class, sizeof name - strlen(name) - 1);
  mle_json_add_text(xgboost, "model_class", name);
  mle_json_add_text(xgboost, "model_format", "ubj");
  mle_json_add_text(xgboost, "xgb_version", flavor->xgb_version);
}

static void add_signature(mle_json *doc, const mle_flavor *flavor) {
  if (flavor->inputs == NULL) return;
  mle_json *signature = mle_json_add_object(doc, "signature");
  mle_json_add_text(signature, "inputs", flavor->inputs);
  mle_json_add_text(signature, "outputs", flavor->outputs);
  mle_json_add_null(signature, "params");
}

static void add_time(mle_json *doc) {
  char text[MLE_TIME_TEXT + 4];
  mle_time_text(mle_now_ms(), text);
  text[10] = ' ';
  memcpy(text + 23, "000", 4); /* MLflow writes microseconds, and no Z */
  mle_json_add_text(doc, "utc_time_created", text);
}

/* MLflow 2 keeps the model's name and a uuid, MLflow 3 its place and id. */
static mle_json *build_mlmodel(const mle_mlflow_model *model, const mle_flavor *flavor,
                               size_t example_size) {
  char uuid[MLE_UUID_TEXT];
  mle_json *doc = mle_json_new_object();
  mle_json_add_text(doc, "artifact_path", model->id != NULL ? model->artifact_uri : model->name);
  add_flavors(mle_json_add_object(doc, "flavors"), flavor);
  mle_json_add_bool(doc, "is_signature_from_type_hint", false);
  if (flavor->metadata != NULL) mle_json_add_raw(doc, "metadata", flavor->metadata);
  mle_json_add_text(doc, "mlflow_version", model->format);
  if (model->id != NULL) mle_json_add_text(doc, "model_id", model->id);
  mle_json_add_int(doc, "model_size_bytes", (int64_t)(flavor->len + example_size));
  mle_json_add_text(doc, "model_uuid", model->id != NULL ? model->id : mle_uuid_hex(uuid));
  mle_json_add_null(doc, "prompts");
  if (model->run_id != NULL) mle_json_add_text(doc, "run_id", model->run_id);
  if (example_size > 0) add_example_info(doc);
  add_signature(doc, flavor);
  mle_json_add_bool(doc, "type_hint_from_example", false);
  add_time(doc);
  return doc;
}

static mle_status print_flavors(const mle_flavor *flavor, mle_arena *memory, const char **out,
                                mle_error *err) {
  mle_json *doc = mle_json_new_object();
  add_flavors(doc, flavor);
  char *text = mle_json_print(doc, false);
  mle_status status = text == NULL ? mle_nomem(err, "writing a model")
                                   : mle_arena_copy(memory, text, out, err);
  mle_free(text);
  mle_json_free(doc);
  return status;
}

static mle_status check_class(const char *name, mle_error *err) {
  static const char *const known[] = {"Booster", "XGBClassifier", "XGBRegressor"};
  for (size_t i = 0; i < sizeof known / sizeof *known; i++)
    if (strcmp(name, known[i]) == 0) return MLE_OK;
  return mle_fail(err, MLE_EINVAL, "model_class '%s' must be Booster, XGBClassifier or XGBRegressor",
                  name);
}

/* ====== What the model itself says ====== */

/* Python's predict() for each class: labels of a classifier, else float32, a column
 * for each class or target. */
static const char *outputs_of(const mle_model *model, const char *model_class, mle_arena *memory) {
  const char *dtype = strcmp(model_class, "XGBClassifier") == 0 ? "int64" : "float32";
  size_t columns = model == NULL ? 1 : mle_model_num_outputs(model);
  bool is_one = columns <= 1 || dtype[0] == 'i' ||
                strcmp(mle_model_objective(model), "multi:softmax") == 0;
  if (is_one)
    return mle_arena_format(
        memory, "[{\"type\": \"tensor\", \"tensor-spec\": {\"dtype\": \"%s\", \"shape\": [-1]}}]",
        dtype);
  return mle_arena_format(
      memory, "[{\"type\": \"tensor\", \"tensor-spec\": {\"dtype\": \"%s\", \"shape\": [-1, %zu]}}]",
      dtype, columns);
}

static const char *version_of(const mle_model *model, mle_arena *memory) {
  int major = 3, minor = 2;
  if (model != NULL) mle_model_version(model, &major, &minor);
  return mle_arena_format(memory, "%d.%d.0", major, minor);
}

/* Fills in what was left NULL. Kinds of models that are not read here are logged all the same. */
static mle_status complete(const mle_flavor *given, mle_arena *memory, mle_flavor *out,
                           mle_error *err) {
  mle_model *model = NULL;
  *out = *given;
  mle_status status = mle_model_parse(given->bytes, given->len, &model, err);
  if (status != MLE_OK && status != MLE_EUNSUPPORTED) return status;
  if (out->xgb_version == NULL) out->xgb_version = version_of(model, memory);
  if (out->outputs == NULL) out->outputs = outputs_of(model, out->model_class, memory);
  status = model != NULL && out->inputs != NULL
               ? mle_flavor_texts(model, out->inputs, memory, &out->texts, err)
               : MLE_OK;
  mle_model_free(model);
  if (status != MLE_OK) return status;
  if (out->xgb_version != NULL && out->outputs != NULL) return MLE_OK;
  return mle_nomem(err, "writing a model");
}

mle_status mle_flavor_write(const char *folder, const mle_mlflow_model *model,
                            const mle_flavor *flavor, mle_arena *memory, const char **flavors,
                            mle_error *err) {
  size_t example_size;
  mle_flavor full;
  *flavors = NULL;
  MLE_TRY(check_class(flavor->model_class, err));
  MLE_TRY(complete(flavor, memory, &full, err));
  MLE_TRY(write_file(folder, DATA_FILE, full.bytes, full.len, err));
  MLE_TRY(write_example(folder, full.example, memory, &example_size, err));
  if (full.texts != NULL) MLE_TRY(mle_flavor_write_texts(folder, full.texts, err));
  MLE_TRY(write_environments(folder, model, &full, memory, err));
  MLE_TRY(write_yaml(folder, "MLmodel", build_mlmodel(model, &full, example_size), err));
  return print_flavors(&full, memory, flavors, err);
}
