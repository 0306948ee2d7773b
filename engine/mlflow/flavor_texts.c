#include "engine/mlflow/flavor_texts.h"

#include <string.h>

#include "engine/base/alloc.h"
#include "engine/base/file.h"
#include "engine/json/json.h"

#define TEXTS_FILE "categories.json"

static const char loader[] =
    "\"\"\"Loads the model beside this folder for mlflow.pyfunc: a text becomes the number that the model knows it by.\n"
    "\n"
    "Written by mlengine. A text that training did not see is a missing value.\n"
    "\"\"\"\n"
    "import json\n"
    "import os\n"
    "\n"
    "import mlflow.xgboost\n"
    "import numpy\n"
    "import pandas\n"
    "\n"
    "\n"
    "class Model:\n"
    "    def __init__(self, wrapped, categories):\n"
    "        self.wrapped = wrapped\n"
    "        self.categories = categories\n"
    "\n"
    "    def get_raw_model(self):\n"
    "        return self.wrapped.get_raw_model()\n"
    "\n"
    "    def predict(self, dataframe, params=None):\n"
    "        coded = dataframe.copy()\n"
    "        for name, texts in self.categories.items():\n"
    "            codes = pandas.Index(texts, dtype=object).get_indexer(coded[name].astype(object))\n"
    "            coded[name] = numpy.where(codes < 0, numpy.nan, codes)\n"
    "        raw = self.get_raw_model()\n"
    "        if hasattr(raw, \"get_booster\"):  # scikit-learn's classes take a frame's columns for what they were trained as\n"
    "            coded = coded[raw.get_booster().feature_names].astype(\"float32\").to_numpy()\n"
    "        return self.wrapped.predict(coded, params=params)\n"
    "\n"
    "\n"
    "def _load_pyfunc(path):\n"
    "    with open(os.path.join(os.path.dirname(path), \"" TEXTS_FILE "\"), encoding=\"utf-8\") as file:\n"
    "        categories = json.load(file)\n"
    "    return Model(mlflow.xgboost._load_pyfunc(path), categories)\n";

/* The feature of that name; the number of features when there is none. */
static size_t find_feature(const mle_model *model, const char *name) {
  size_t count = mle_model_num_features(model);
  for (size_t i = 0; i < count; i++) {
    const char *known = mle_model_feature_name(model, i);
    if (known != NULL && strcmp(known, name) == 0) return i;
  }
  return count;
}

static mle_status add_column(mle_json *doc, const mle_model *model, const mle_json_at *column, mle_error *err) {
  const char *type, *name;
  MLE_TRY(mle_json_opt_text(column, "type", "", &type, err));
  MLE_TRY(mle_json_opt_text(column, "name", NULL, &name, err));
  if (name == NULL || strcmp(type, "string") != 0) return MLE_OK;
  size_t feature = find_feature(model, name);
  size_t count = feature < mle_model_num_features(model) ? mle_model_num_categories(model, feature) : 0;
  if (count == 0) return MLE_OK;
  mle_json *list = mle_json_add_array(doc, name);
  for (size_t i = 0; i < count; i++) mle_json_add_text(list, NULL, mle_model_category(model, feature, i));
  return MLE_OK;
}

mle_status mle_flavor_texts(const mle_model *model, const char *inputs, mle_arena *memory,
                            const char **out, mle_error *err) {
  mle_json *parsed, *doc = NULL;
  mle_json_at column;
  char *text = NULL;
  mle_status status;
  *out = NULL;
  MLE_TRY(mle_json_parse(inputs, strlen(inputs), &parsed, err));
  mle_json_at root = mle_json_root(parsed);
  doc = mle_json_new_object();
  for (bool more = mle_json_first(&root, &column); more; more = mle_json_next(&column))
    MLE_GO(add_column(doc, model, &column, err));
  text = mle_json_print(doc, false);
  if (text == NULL)
    status = mle_nomem(err, "writing a model's categories");
  else
    status = strcmp(text, "{}") == 0 ? MLE_OK : mle_arena_copy(memory, text, out, err);
done:
  mle_free(text);
  mle_json_free(doc);
  mle_json_free(parsed);
  return status;
}

mle_status mle_flavor_write_texts(const char *folder, const char *texts, mle_error *err) {
  char *categories = mle_path_join(folder, TEXTS_FILE), *code = mle_path_join(folder, MLE_FLAVOR_TEXTS_CODE);
  char *path = code != NULL ? mle_path_join(code, MLE_FLAVOR_TEXTS_LOADER ".py") : NULL;
  mle_status status;
  if (categories == NULL || path == NULL) {
    status = mle_nomem(err, "writing a model");
    goto done;
  }
  MLE_GO(mle_make_folders(code, 0755, err));
  MLE_GO(mle_file_replace(categories, texts, strlen(texts), 0644, err));
  status = mle_file_replace(path, loader, sizeof loader - 1, 0644, err);
done:
  mle_free(path);
  mle_free(code);
  mle_free(categories);
  return status;
}
