/* rig.h -- what the tests of serve share: features to parse for, model folders to load, versions of them. */
#ifndef RIG_H
#define RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/base/alloc.h"
#include "engine/base/file.h"
#include "engine/serve/rows.h"
#include "engine/serve/slots.h"

#define MODELS "tests/fuzz/corpus/model/"

/* a double, b long, c boolean: one of each way to become a float32. */
static inline mle_features make_features(void) {
  static const char *const names[] = {"a", "b", "c"};
  static const mle_feature_type types[] = {MLE_FEATURE_DOUBLE, MLE_FEATURE_LONG,
                                           MLE_FEATURE_BOOLEAN};
  mle_features features;
  assert_int_equal(mle_features_init(&features, 3, NULL), MLE_OK);
  for (size_t i = 0; i < 3; i++) {
    assert_int_equal(mle_feature_name(&features, i, names[i], NULL), MLE_OK);
    features.list[i].type = types[i];
  }
  assert_int_equal(mle_features_index(&features, NULL), MLE_OK);
  return features;
}

static inline void write_in(const char *folder, const char *name, const char *text, size_t len) {
  char *path = mle_path_join(folder, name);
  assert_int_equal(mle_file_replace(path, text, len, 0600, NULL), MLE_OK);
  mle_free(path);
}

static inline void copy_model(const char *model, const char *folder) {
  mle_buffer bytes = MLE_BUFFER((size_t)1 << 20);
  char *path = mle_path_join(MODELS, model);
  assert_int_equal(mle_file_read(path, &bytes, NULL), MLE_OK);
  write_in(folder, "model.ubj", bytes.data, bytes.len);
  mle_buffer_release(&bytes);
  mle_free(path);
}

#define MLMODEL_OF(class)                                                               \
  "flavors:\n  python_function:\n    loader_module: mlflow.xgboost\n  xgboost:\n"       \
  "    data: model.ubj\n    model_class: " class "\n    model_format: ubj\n"            \
  "run_id: 0123456789abcdef0123456789abcdef\nsignature:\n"                              \
  "  inputs: '[{\"type\": \"double\", \"name\": \"amount\", \"required\": true}, {\"type\":\n" \
  "    \"long\", \"name\": \"hour\", \"required\": true}, {\"type\": \"double\", \"name\":\n"  \
  "    \"age\", \"required\": true}]'\n  outputs: null\n"

#define EXAMPLE                                                                      \
  "{\"dataframe_split\": {\"columns\": [\"amount\", \"hour\", \"age\"], \"data\": "  \
  "[[1.5, 3, 40], [NaN, 23, 18.25], [-7, 0, null]]}}"

/* A model folder as MLflow writes it; freed with drop_folder. */
static inline char *make_folder(const char *model, const char *mlmodel) {
  char *folder = mle_strdup("/tmp/mlengine-serve-XXXXXX");
  assert_non_null(mkdtemp(folder));
  write_in(folder, "MLmodel", mlmodel, strlen(mlmodel));
  write_in(folder, "serving_input_example.json", EXAMPLE, strlen(EXAMPLE));
  copy_model(model, folder);
  return folder;
}

static inline void drop_folder(char *folder) {
  mle_remove_tree(folder, NULL);
  mle_free(folder);
}

/* The folder's model as a version's deployment, counted in the slot. */
static inline mle_served *load_version(const char *folder, mle_slots *slots, mle_slot *slot, int version) {
  char text[16];
  mle_served *served;
  snprintf(text, sizeof text, "%d", version);
  mle_served_facts facts = {.deployment = version, .uri = "m", .version = text};
  assert_int_equal(mle_served_load(folder, &facts, &served, NULL), MLE_OK);
  mle_slot_meter(slots, slot, served);
  return served;
}

#endif
