#include "tests/engine/xgboost/trained.h"

#include <float.h>

#include "engine/base/alloc.h"
#include "engine/xgboost/forest.h"
#include "engine/xgboost/predictor.h"

typedef struct sample {
  const char *name;
  int classes;
  bool categorical;
  const char *params[12];
} sample;

static const sample samples[] = {
    {"logistic", 2, false, {"objective", "binary:logistic", "max_depth", "6"}},
    {"logitraw", 2, false, {"objective", "binary:logitraw"}},
    {"hinge", 2, false, {"objective", "binary:hinge"}},
    {"squared", 0, false, {"objective", "reg:squarederror"}},
    {"absolute", 0, false, {"objective", "reg:absoluteerror"}},
    {"huber", 0, false, {"objective", "reg:pseudohubererror"}},
    {"quantiles", 0, false, {"objective", "reg:quantileerror", "quantile_alpha", "[0.1,0.5,0.9]"}},
    {"gamma", 0, false, {"objective", "reg:gamma"}},
    {"tweedie", 0, false, {"objective", "reg:tweedie"}},
    {"poisson", 4, false, {"objective", "count:poisson"}},
    {"cox", 0, false, {"objective", "survival:cox"}},
    {"softprob", 3, false, {"objective", "multi:softprob", "num_class", "3"}},
    {"softmax", 3, false, {"objective", "multi:softmax", "num_class", "3"}},
    {"pruned", 2, false, {"objective", "binary:logistic", "tree_method", "exact", "gamma", "5"}},
    {"forest", 2, false, {"objective", "binary:logistic", "num_parallel_tree", "3", "subsample", "0.5"}},
    {"dart", 2, false, {"objective", "binary:logistic", "booster", "dart", "rate_drop", "0.5"}},
    {"dart3", 3, false, {"objective", "multi:softprob", "num_class", "3", "booster", "dart", "rate_drop", "0.5"}},
    {"leaves only", 2, false, {"objective", "binary:logistic", "gamma", "1000000"}},
    {"deep", 2, false, {"objective", "binary:logistic", "grow_policy", "lossguide", "max_leaves", "60", "max_depth", "30"}},
    {"deep3", 3, false, {"objective", "multi:softprob", "num_class", "3", "max_depth", "17", "min_child_weight", "0"}},
    {"categories", 2, true, {"objective", "binary:logistic"}},
    {"one hot", 2, true, {"objective", "binary:logistic", "max_cat_to_onehot", "100"}},
    {"pruned categories", 2, true, {"objective", "binary:logistic", "gamma", "9", "max_depth", "8"}},
    {"base given", 2, false, {"objective", "binary:logistic", "base_score", "0.5"}},
};
#define SAMPLES (sizeof samples / sizeof *samples)

static float rows[ROWS * FEATURES];

/* Each value missing once where the others are there, and all at once. */
static void make_all_rows(uint32_t seed) {
  make_rows(rows, ROWS, seed);
  for (size_t i = 0; i < FEATURES * FEATURES; i++) rows[i] = i % (FEATURES + 1) == 0 ? NAN : (float)(i % 7);
  for (size_t i = FEATURES * FEATURES; i < FEATURES * (FEATURES + 1); i++) rows[i] = NAN;
}

static const float *library_predict(BoosterHandle booster, DMatrixHandle matrix, int type, size_t begin, size_t end,
                                    size_t *out_width) {
  char config[160];
  const uint64_t *shape;
  uint64_t dim;
  const float *result;
  snprintf(config, sizeof config,
           "{\"type\":%d,\"iteration_begin\":%zu,\"iteration_end\":%zu,\"training\":false,"
           "\"strict_shape\":true}", type, begin, end);
  XGB(XGBoosterPredictFromDMatrix(booster, matrix, config, &shape, &dim, &result));
  *out_width = dim > 1 ? (size_t)shape[1] : 1;
  return result;
}

static mle_model *parse(const char *bytes, uint64_t len) {
  mle_model *model;
  mle_error err;
  if (mle_model_parse(bytes, len, &model, &err) != MLE_OK) fail_msg("%s", err.message);
  return model;
}

static void compare(const sample *s, const mle_model *model, BoosterHandle booster,
                    DMatrixHandle matrix, bool margin) {
  float ours[8];
  size_t width, expected = margin ? mle_model_num_outputs(model) : mle_predictor_width(model);
  const float *theirs = library_predict(booster, matrix, margin ? 1 : 0, 0, 0, &width);
  if (width != expected) fail_msg("%s: width %zu, library %zu", s->name, expected, width);
  for (size_t r = 0; r < ROWS; r++) {
    (margin ? mle_predictor_margin : mle_predictor_predict)(model, rows + r * FEATURES, ours);
    if (memcmp(ours, theirs + r * width, width * sizeof *ours) != 0)
      fail_msg("%s: row %zu: %.9g, library %.9g", s->name, r, (double)ours[0],
               (double)theirs[r * width]);
  }
}

/* Margins and predictions of every objective, from UBJSON and from JSON. */
static void scores_equal_the_library(void **state) {
  (void)state;
  make_all_rows(1);
  for (const sample *s = samples; s < samples + SAMPLES; s++) {
    DMatrixHandle matrix = make_matrix(rows, ROWS, s->classes, s->categorical);
    BoosterHandle booster = train_rounds(matrix, s->params, 5, s->categorical);
    for (int json = 0; json < 2; json++) {
      const char *bytes;
      uint64_t len;
      save(booster, json ? "json" : "ubj", &bytes, &len);
      mle_model *model = parse(bytes, len);
      assert_int_equal(mle_model_num_rounds(model), 5);
      compare(s, model, booster, matrix, true);
      compare(s, model, booster, matrix, false);
      mle_model_free(model);
    }
    XGBoosterFree(booster);
    XGDMatrixFree(matrix);
  }
}

/* Trees with categories among trees without, as column 4 is drawn or not; every run of them, since trees are walked
 * several at a time, and every number of rows. */
static const sample runs[] = {
    {"mixed", 2, true, {"objective", "binary:logistic", "colsample_bytree", "0.4"}},
    {"mixed3", 3, true, {"objective", "multi:softprob", "num_class", "3", "colsample_bytree", "0.4"}},
    {"mixed dart", 2, true, {"objective", "binary:logistic", "booster", "dart", "rate_drop", "0.5", "colsample_bytree", "0.4"}},
    {"uneven", 2, false, {"objective", "binary:logistic", "grow_policy", "lossguide", "max_leaves", "14", "max_depth", "30"}},
};
#define ROUNDS 19
#define SOME_ROWS 150

static void compare_run(const sample *s, const char *bytes, uint64_t len, BoosterHandle booster, DMatrixHandle matrix,
                        size_t begin, size_t end) {
  float ours[SOME_ROWS * 3], scratch[MLE_PREDICTOR_BLOCK * 3];
  size_t width, count = 1 + (begin * ROUNDS + end) % SOME_ROWS;
  mle_model *model = parse(bytes, len);
  const float *theirs = library_predict(booster, matrix, 0, begin, end, &width);
  assert_int_equal(mle_model_keep_range(model, begin, end, NULL), MLE_OK);
  mle_predictor_rows(model, rows, count, scratch, ours);
  if (memcmp(ours, theirs, count * width * sizeof *ours) != 0)
    fail_msg("%s: %zu rows, trees of the rounds %zu to %zu", s->name, count, begin, end);
  mle_model_free(model);
}

static void any_run_of_trees_equals_the_library(void **state) {
  (void)state;
  make_all_rows(3);
  for (const sample *s = runs; s < runs + sizeof runs / sizeof *runs; s++) {
    DMatrixHandle matrix = make_matrix(rows, ROWS, s->classes, s->categorical);
    DMatrixHandle some = make_matrix(rows, SOME_ROWS, s->classes, s->categorical);
    BoosterHandle booster = train_rounds(matrix, s->params, ROUNDS, s->categorical);
    const char *bytes;
    uint64_t len;
    save(booster, "ubj", &bytes, &len);
    for (size_t begin = 0; begin < ROUNDS; begin++)
      for (size_t end = begin + 1; end <= ROUNDS; end++) compare_run(s, bytes, len, booster, some, begin, end);
    XGBoosterFree(booster);
    XGDMatrixFree(some);
    XGDMatrixFree(matrix);
  }
}

/* Rows whose keys have room for blocks of 64, for a few, for one, for none. */
static void wide_rows_equal_the_library(void **state) {
  (void)state;
  enum { COUNT = 130 };
  static const size_t widths[] = {33, 500, 2048, 2049};
  static float wide[COUNT * 2049], labels[COUNT], ours[COUNT], scratch[MLE_PREDICTOR_BLOCK];
  static const char *const params[] = {"objective", "reg:squarederror", "min_child_weight", "0", NULL};
  for (size_t w = 0; w < sizeof widths / sizeof *widths; w++) {
    uint32_t seed = 5;
    for (size_t i = 0; i < COUNT * widths[w]; i++) wide[i] = noise(&seed) < 0.2f ? NAN : noise(&seed) - 0.5f;
    for (size_t r = 0; r < COUNT; r++) labels[r] = noise(&seed);
    DMatrixHandle matrix;
    BoosterHandle booster;
    const char *bytes;
    uint64_t len;
    size_t width;
    XGB(XGDMatrixCreateFromMat(wide, COUNT, widths[w], NAN, &matrix));
    XGB(XGDMatrixSetFloatInfo(matrix, "label", labels, COUNT));
    XGB(XGBoosterCreate(&matrix, 1, &booster));
    for (size_t i = 0; params[i] != NULL; i += 2) XGB(XGBoosterSetParam(booster, params[i], params[i + 1]));
    for (int i = 0; i < 11; i++) XGB(XGBoosterUpdateOneIter(booster, i, matrix));
    save(booster, "ubj", &bytes, &len);
    mle_model *model = parse(bytes, len);
    const float *theirs = library_predict(booster, matrix, 0, 0, 0, &width);
    mle_predictor_rows(model, wide, COUNT, scratch, ours);
    assert_memory_equal(ours, theirs, sizeof ours);
    mle_model_free(model);
    XGBoosterFree(booster);
    XGDMatrixFree(matrix);
  }
}

static void keys_are_in_the_order_of_values(void **state) {
  (void)state;
  static const float values[] = {-INFINITY, -FLT_MAX, -1.5f, -FLT_MIN, -0x1p-149f, -0.0f, 0.0f, 0x1p-149f, FLT_MIN,
                                 1, 1.0000001f, FLT_MAX, INFINITY};
  enum { VALUES = sizeof values / sizeof *values };
  for (size_t i = 0; i < VALUES; i++) {
    assert_true(mle_forest_key(values[i]) > MLE_KEY_ALL_RIGHT);
    assert_true(mle_forest_key(values[i]) < MLE_KEY_MISSING_RIGHT);
    for (size_t j = 0; j < VALUES; j++)
      assert_int_equal(values[i] < values[j], mle_forest_key(values[i]) < mle_forest_key(values[j]));
  }
}

/* Columns of several types with validity bits give what rows of floats give. */
static void batches_equal_rows(void **state) {
  (void)state;
  enum { COUNT = 200 };
  static float column[4][COUNT];
  static int64_t whole[COUNT];
  static uint64_t valid[(COUNT + 63) / 64];
  make_rows(rows, ROWS, 7);
  DMatrixHandle matrix = make_matrix(rows, ROWS, 3, false);
  const char *const params[] = {"objective", "multi:softmax", "num_class", "3", NULL};
  BoosterHandle booster = train_rounds(matrix, params, 4, false);
  const char *bytes;
  uint64_t len;
  save(booster, "ubj", &bytes, &len);
  mle_model *model = parse(bytes, len);

  for (size_t r = 0; r < COUNT; r++) {
    for (size_t c = 0; c < 4; c++) column[c][r] = rows[r * FEATURES + c];
    float x = rows[r * FEATURES + 4];
    whole[r] = isnan(x) ? 12345 : (int64_t)x;
    if (!isnan(x)) valid[r / 64] |= UINT64_C(1) << (r % 64);
  }
  const mle_column columns[] = {{MLE_FLOAT, column[0], NULL}, {MLE_FLOAT, column[1], NULL},
                                {MLE_FLOAT, column[2], NULL}, {MLE_FLOAT, column[3], NULL},
                                {MLE_INT64, whole, valid}};
  const mle_batch batch = {COUNT, 5, columns}, narrow = {COUNT, 4, columns};
  float margins[COUNT * 3], classes[COUNT], one[3];
  mle_error err;
  assert_int_equal(mle_predictor_batch(model, &batch, true, margins, &err), MLE_OK);
  assert_int_equal(mle_predictor_batch(model, &batch, false, classes, &err), MLE_OK);
  for (size_t r = 0; r < COUNT; r++) {
    mle_predictor_margin(model, rows + r * FEATURES, one);
    assert_memory_equal(one, margins + r * 3, sizeof one);
    mle_predictor_predict(model, rows + r * FEATURES, one);
    assert_memory_equal(one, &classes[r], sizeof *one);
  }
  assert_int_equal(mle_predictor_batch(model, &narrow, true, margins, &err), MLE_EINVAL);
  mle_alloc_fail_after(0);
  assert_int_equal(mle_predictor_batch(model, &batch, true, margins, &err), MLE_ENOMEM);
  mle_alloc_fail_after(-1);
  mle_model_free(model);
  XGBoosterFree(booster);
  XGDMatrixFree(matrix);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(scores_equal_the_library),
      cmocka_unit_test(any_run_of_trees_equals_the_library),
      cmocka_unit_test(wide_rows_equal_the_library),
      cmocka_unit_test(keys_are_in_the_order_of_values),
      cmocka_unit_test(batches_equal_rows),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
