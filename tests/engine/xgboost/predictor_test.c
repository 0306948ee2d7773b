#include "tests/engine/xgboost/trained.h"

#include "engine/base/alloc.h"
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
    {"categories", 2, true, {"objective", "binary:logistic"}},
    {"one hot", 2, true, {"objective", "binary:logistic", "max_cat_to_onehot", "100"}},
    {"pruned categories", 2, true, {"objective", "binary:logistic", "gamma", "9", "max_depth", "8"}},
    {"base given", 2, false, {"objective", "binary:logistic", "base_score", "0.5"}},
};
#define SAMPLES (sizeof samples / sizeof *samples)

static float rows[ROWS * FEATURES];

static const float *library_predict(BoosterHandle booster, DMatrixHandle matrix, int type,
                                    size_t *out_width) {
  char config[128];
  const uint64_t *shape;
  uint64_t dim;
  const float *result;
  snprintf(config, sizeof config,
           "{\"type\":%d,\"iteration_begin\":0,\"iteration_end\":0,\"training\":false,"
           "\"strict_shape\":true}", type);
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
  const float *theirs = library_predict(booster, matrix, margin ? 1 : 0, &width);
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
  make_rows(rows, ROWS, 1);
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
      cmocka_unit_test(batches_equal_rows),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
