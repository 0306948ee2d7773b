#include "tests/engine/xgboost/trained.h"

#include <stdlib.h>

#include "tests/engine/xgboost/synthetic.h"

#include "engine/base/alloc.h"
#include "engine/xgboost/booster.h"
#include "engine/xgboost/library.h"
#include "engine/xgboost/predictor.h"

enum { WIDE = FEATURES + 1, TEST_ROWS = 500 };

static float all[ROWS * WIDE]; /* features and label */
static float features[ROWS * FEATURES];
static synthetic source;

static const char *names[] = {"a", "b", "c", "d", "e"};
static const char *types[] = {"float", "float", "float", "float", "float"};

static void fill(int classes) {
  uint32_t seed = 99;
  make_rows(features, ROWS, 3);
  for (size_t r = 0; r < ROWS; r++) {
    memcpy(all + r * WIDE, features + r * FEATURES, FEATURES * sizeof(float));
    all[r * WIDE + FEATURES] = label_of(features + r * FEATURES, classes, &seed);
  }
}

static mle_matrix_field label_field[] = {{"label", "y", 1}, {"weight", "w", 1}};

static mle_matrix_options options_for(const char *objective) {
  return (mle_matrix_options){
      .what = "dtrain",
      .num_features = FEATURES,
      .names = names,
      .types = types,
      .fields = label_field,
      .num_fields = 1,
      .label = {.objective = mle_objective_find(objective), .training = true},
      .num_threads = 1,
  };
}

static mle_status read_matrix(const mle_matrix_options *o, size_t first, size_t count,
                              mle_matrix **out, mle_error *err) {
  return mle_matrix_read(synthetic_open(&source, all + first * WIDE, count, WIDE, 300), o, out, err);
}

static mle_matrix *matrix(const mle_matrix_options *o, size_t first, size_t count) {
  mle_matrix *m;
  mle_error err;
  if (read_matrix(o, first, count, &m, &err) != MLE_OK) fail_msg("%s", err.message);
  return m;
}

/* The same training by the library alone, on one in-memory matrix. */
static BoosterHandle reference(const mle_parameter *params, size_t count, int rounds) {
  DMatrixHandle d;
  BoosterHandle b;
  static float labels[ROWS];
  for (size_t r = 0; r < ROWS; r++) labels[r] = all[r * WIDE + FEATURES];
  XGB(XGDMatrixCreateFromMat(features, ROWS, FEATURES, NAN, &d));
  XGB(XGDMatrixSetFloatInfo(d, "label", labels, ROWS));
  XGB(XGBoosterCreate(&d, 1, &b));
  for (size_t i = 0; i < count; i++) XGB(XGBoosterSetParam(b, params[i].name, params[i].value));
  XGB(XGBoosterSetStrFeatureInfo(b, "feature_name", names, FEATURES));
  XGB(XGBoosterSetStrFeatureInfo(b, "feature_type", types, FEATURES));
  for (int i = 0; i < rounds; i++) XGB(XGBoosterUpdateOneIter(b, i, d));
  XGDMatrixFree(d);
  return b;
}

static mle_booster *begin(const mle_training *t) {
  mle_booster *b;
  mle_error err;
  if (mle_booster_new(t, &b, &err) != MLE_OK) fail_msg("%s", err.message);
  return b;
}

static void train(mle_booster *b) {
  mle_error err;
  for (bool more = true; more;)
    if (mle_booster_round(b, &more, &err) != MLE_OK) fail_msg("%s", err.message);
}

static mle_buffer saved(const mle_booster *b, const char *format) {
  mle_buffer bytes = MLE_BUFFER((size_t)64 << 20);
  assert_int_equal(mle_booster_save(b, format, &bytes, NULL), MLE_OK);
  return bytes;
}

static void models_equal_the_library_alone(void **state) {
  (void)state;
  static const struct {
    int classes;
    size_t count;
    mle_parameter params[5];
  } samples[] = {
      {2, 2, {{"nthread", "1"}, {"objective", "binary:logistic"}}},
      {0, 2, {{"nthread", "1"}, {"objective", "reg:squarederror"}}},
      {3, 3, {{"nthread", "1"}, {"objective", "multi:softprob"}, {"num_class", "3"}}},
      {2, 4, {{"nthread", "1"}, {"objective", "binary:logistic"}, {"subsample", "0.7"}, {"colsample_bytree", "0.6"}}},
      {2, 4, {{"nthread", "1"}, {"objective", "binary:logistic"}, {"booster", "dart"}, {"rate_drop", "0.3"}}},
  };
  for (size_t i = 0; i < sizeof samples / sizeof *samples; i++) {
    fill(samples[i].classes);
    mle_matrix_options o = options_for(samples[i].params[1].value);
    mle_matrix *m = matrix(&o, 0, ROWS);
    mle_training t = {.params = samples[i].params, .num_params = samples[i].count, .columns = &o,
                      .train = m, .num_rounds = 8, .maximize = -1};
    mle_booster *b = begin(&t);
    train(b);
    assert_int_equal(mle_booster_finish(b, false, NULL), MLE_OK);
    mle_buffer ours = saved(b, "ubj");
    BoosterHandle r = reference(samples[i].params, samples[i].count, 8);
    const char *theirs;
    uint64_t len;
    save(r, "ubj", &theirs, &len);
    assert_int_equal(ours.len, len);
    assert_memory_equal(ours.data, theirs, len);
    mle_buffer_release(&ours);
    mle_booster_free(b);
    XGBoosterFree(r);
    mle_matrix_free(m);
  }
}

static void metrics_and_early_stopping_are_reported(void **state) {
  (void)state;
  fill(2);
  mle_matrix_options o = options_for("binary:logistic"), v = o;
  mle_matrix *m = matrix(&o, 0, ROWS - TEST_ROWS);
  v.ref = m;
  v.label.training = false;
  mle_matrix *test = matrix(&v, ROWS - TEST_ROWS, TEST_ROWS);
  mle_matrix *const evals[] = {m, test};
  const mle_parameter params[] = {{"nthread", "1"}, {"objective", "binary:logistic"},
                                  {"eval_metric", "auc"}, {"eval_metric", "logloss"}};
  mle_training t = {.params = params, .num_params = 4, .columns = &o, .train = m, .evals = evals,
                    .num_evals = 2, .num_rounds = 200, .early_stopping_rounds = 5, .maximize = -1};
  mle_booster *b = begin(&t);
  double best = INFINITY;
  int best_round = -1, rounds = 0;
  for (bool more = true; more; rounds++) {
    size_t count;
    assert_int_equal(mle_booster_round(b, &more, NULL), MLE_OK);
    const mle_metric *metric = mle_booster_metrics(b, &count);
    assert_int_equal(count, 4);
    assert_string_equal(metric[0].name, "auc");
    assert_string_equal(metric[3].name, "logloss");
    assert_int_equal(metric[1].set, 0);
    assert_int_equal(metric[3].set, 1);
    if (metric[3].value < best) {
      best = metric[3].value;
      best_round = rounds;
    }
  }
  assert_true(rounds < 200);
  assert_int_equal(rounds, best_round + 6);
  assert_int_equal(mle_booster_best_round(b), best_round);
  assert_true(mle_booster_best_score(b) == best);
  assert_int_equal(mle_booster_finish(b, true, NULL), MLE_OK);
  assert_int_equal(mle_booster_num_rounds(b), best_round + 1);
  mle_buffer bytes = saved(b, "json");
  mle_model *model;
  assert_int_equal(mle_model_parse(bytes.data, bytes.len, &model, NULL), MLE_OK);
  assert_int_equal(mle_model_num_rounds(model), best_round + 1);
  assert_int_equal(atoi(mle_model_attribute(model, "best_iteration")), best_round);
  assert_true(strtod(mle_model_attribute(model, "best_score"), NULL) == best);
  mle_model_free(model);
  mle_buffer_release(&bytes);
  mle_booster_free(b);
  mle_matrix_free(test);
  mle_matrix_free(m);
}

static void a_saved_model_scores_as_it_did(void **state) {
  (void)state;
  fill(3);
  mle_matrix_options o = options_for("multi:softprob");
  o.label.num_classes = 3;
  mle_matrix *m = matrix(&o, 0, ROWS);
  const mle_parameter params[] = {{"nthread", "1"}, {"objective", "multi:softprob"}, {"num_class", "3"}};
  mle_training t = {.params = params, .num_params = 3, .columns = &o, .train = m, .num_rounds = 3};
  mle_booster *b = begin(&t), *loaded, *none;
  train(b);
  mle_buffer bytes = saved(b, "ubj");
  mle_model *model;
  mle_error err;
  assert_int_equal(mle_model_parse(bytes.data, bytes.len, &model, &err), MLE_OK);
  assert_int_equal(mle_booster_load(bytes.data, bytes.len, &loaded, &err), MLE_OK);
  mle_buffer again = saved(loaded, "ubj");
  assert_int_equal(again.len, bytes.len);
  assert_memory_equal(again.data, bytes.data, bytes.len);

  mle_batch batch, narrow;
  float theirs[300 * 3], ours[300 * 3];
  const mle_predict_options margin = {.kind = MLE_PREDICT_MARGIN};
  synthetic_open(&source, features, 300, FEATURES, 300);
  assert_int_equal(mle_stream_next(&source.stream, &batch, &err), MLE_OK);
  assert_int_equal(mle_booster_predict(loaded, &batch, &margin, 3, theirs, &err), MLE_OK);
  assert_int_equal(mle_predictor_batch(model, &batch, true, ours, &err), MLE_OK);
  assert_memory_equal(ours, theirs, sizeof ours);
  narrow = batch;
  narrow.num_columns = 4;
  assert_int_equal(mle_booster_predict(loaded, &narrow, &margin, 3, theirs, &err), MLE_EINVAL);
  assert_int_equal(mle_booster_load(bytes.data, bytes.len - 1, &none, &err), MLE_EFORMAT);
  assert_null(none);
  mle_booster_free(b);
  mle_model_free(model);
  mle_booster_free(loaded);
  mle_buffer_release(&bytes);
  mle_buffer_release(&again);
  mle_matrix_free(m);
}

/* ====== What is refused ====== */

static void expect_parameters(const mle_parameter *params, size_t count, const char *message) {
  mle_error err;
  if (mle_booster_check(params, count, FEATURES, &err) == MLE_OK)
    fail_msg("accepted %s = %s", params[0].name, params[0].value);
  if (strstr(err.message, message) == NULL) fail_msg("wanted '%s', got '%s'", message, err.message);
  if (strchr(err.message, '\n') != NULL) fail_msg("two lines: %s", err.message);
}

static void bad_parameters_are_refused_before_any_row(void **state) {
  (void)state;
  static const struct {
    mle_parameter param;
    const char *message;
  } bad[] = {
      {{"objective", "binary:logisti"}, "params: XGBoost: Unknown objective function: `binary:logisti`"},
      {{"max_depth", "-1"}, "value -1 for Parameter max_depth should be greater equal to 0"},
      {{"eta", "x"}, "Invalid Parameter format for learning_rate expect float but value='x'"},
      {{"eval_metric", "acu"}, "Unknown metric function acu"},
      {{"objective", "multi:softprob"}, "value 0 for Parameter num_class should be greater equal to 1"},
      {{"device", "cuda"}, "built for the CPU only"},
      {{"process_type", "update"}, "continue the model with xgb_model"},
      {{"multi_strategy", "multi_output_tree"}, "one_output_per_tree"},
      {{"interaction_constraints", "[[0,1],[2,99]]"}, "feature 99; there are 0 to 4"},
  };
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    expect_parameters(&bad[i].param, 1, bad[i].message);
}

static void unused_parameters_are_told(void **state) {
  (void)state;
  const mle_parameter params[] = {{"max_depht", "3"}, {"n_estimators", "5"}, {"verbosity", "0"}};
  assert_int_equal(mle_booster_check(params, 3, FEATURES, NULL), MLE_OK);
  assert_string_equal(mle_booster_unused(), "max_depht, n_estimators");
  assert_int_equal(mle_booster_check(params + 2, 1, FEATURES, NULL), MLE_OK);
  assert_string_equal(mle_booster_unused(), "");
}

static void expect_rows_refused(const mle_matrix_options *o, const char *message) {
  mle_matrix *m;
  mle_error err;
  if (read_matrix(o, 0, ROWS, &m, &err) == MLE_OK) fail_msg("accepted; wanted '%s'", message);
  assert_null(m);
  if (strcmp(err.message, message) != 0) fail_msg("wanted '%s', got '%s'", message, err.message);
}

static void bad_labels_are_counted(void **state) {
  (void)state;
  float *label = all + FEATURES; /* of row 0 */
  mle_matrix_options o = options_for("binary:logistic");
  fill(2);
  label[0] = label[WIDE] = NAN;
  expect_rows_refused(&o, "dtrain: label 'y': 2 of 2000 rows have none (null or NaN); leave them out "
                          "first, for example with frame:where(\"y is not null\")");
  label[0] = 2;
  label[WIDE] = 1;
  expect_rows_refused(&o, "dtrain: label 'y': 1 of 2000 rows are neither 0 nor 1 (the first is 2), "
                          "which binary:logistic needs");
  for (size_t r = 0; r < ROWS; r++) label[r * WIDE] = 1;
  expect_rows_refused(&o, "dtrain: label 'y': all 2000 rows are 1; binary:logistic needs rows of "
                          "both classes to learn from");
  label[0] = INFINITY;
  expect_rows_refused(&o, "dtrain: label 'y': 1 of 2000 rows are infinite or beyond float32");
  label[0] = 7;
  o = options_for("multi:softprob");
  o.label.num_classes = 3;
  expect_rows_refused(&o, "dtrain: label 'y': 1 of 2000 rows are no class from 0 to 2 (num_class is "
                          "3); the first is 7");
  label[0] = -1;
  o = options_for("count:poisson");
  expect_rows_refused(&o, "dtrain: label 'y': 1 of 2000 rows are below 0 (the first is -1), which "
                          "count:poisson refuses");
}

static void bad_features_and_weights_are_named(void **state) {
  (void)state;
  mle_matrix_options o = options_for("reg:squarederror");
  mle_matrix *m;
  mle_error err;
  fill(0);
  all[1] = INFINITY;
  expect_rows_refused(&o, "dtrain: column 'b': 1 of 2000 rows are infinite or beyond float32, which "
                          "XGBoost refuses; make them null, or leave the column out");
  fill(0);
  assert_int_equal(read_matrix(&o, 0, 0, &m, &err), MLE_EINVAL);
  assert_string_equal(err.message, "dtrain: it has no rows");
  o.num_features = FEATURES - 1; /* so the fifth is the label and the sixth the weight */
  o.num_fields = 2;
  for (size_t r = 0; r < ROWS; r++) {
    all[r * WIDE + FEATURES - 1] = 1;
    all[r * WIDE + FEATURES] = r < 3 ? -1 : 1;
  }
  expect_rows_refused(&o, "dtrain: weight 'w': 3 of 2000 rows have none, or one that is negative or "
                          "infinite");
}

static void a_source_that_breaks_says_so(void **state) {
  (void)state;
  mle_matrix_options o = options_for("reg:squarederror");
  mle_matrix *m;
  mle_error err;
  fill(0);
  synthetic_open(&source, all, ROWS, WIDE, 300);
  source.fail_at = 900;
  assert_int_equal(mle_matrix_read(&source.stream, &o, &m, &err), MLE_EIO);
  assert_string_equal(err.message, "dtrain: the source broke");
}

static mle_status train_once(void) {
  mle_matrix_options o = options_for("binary:logistic");
  mle_matrix *m = NULL;
  mle_booster *b = NULL;
  mle_buffer bytes = MLE_BUFFER((size_t)1 << 24);
  mle_error *err = NULL;
  const mle_parameter params[] = {{"nthread", "1"}, {"objective", "binary:logistic"}};
  mle_status status = read_matrix(&o, 0, ROWS, &m, err);
  mle_matrix *const evals[] = {m};
  mle_training t = {.params = params, .num_params = 2, .columns = &o, .train = m, .evals = evals,
                    .num_evals = 1, .num_rounds = 2, .early_stopping_rounds = 1, .maximize = -1};
  if (status == MLE_OK) status = mle_booster_new(&t, &b, err);
  for (bool more = true; status == MLE_OK && more;) status = mle_booster_round(b, &more, err);
  if (status == MLE_OK) status = mle_booster_finish(b, true, err);
  if (status == MLE_OK) status = mle_booster_save(b, "ubj", &bytes, err);
  mle_buffer_release(&bytes);
  mle_booster_free(b);
  mle_matrix_free(m);
  return status;
}

static void running_out_of_memory_is_clean(void **state) {
  (void)state;
  mle_status status = MLE_ENOMEM;
  fill(2);
  for (long n = 0; status != MLE_OK; n++) {
    mle_alloc_fail_after(n);
    status = train_once();
    mle_alloc_fail_after(-1);
    if (status != MLE_OK && status != MLE_ENOMEM) fail_msg("%ld: status %d", n, status);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(models_equal_the_library_alone),
      cmocka_unit_test(metrics_and_early_stopping_are_reported),
      cmocka_unit_test(a_saved_model_scores_as_it_did),
      cmocka_unit_test(bad_parameters_are_refused_before_any_row),
      cmocka_unit_test(unused_parameters_are_told),
      cmocka_unit_test(bad_labels_are_counted),
      cmocka_unit_test(bad_features_and_weights_are_named),
      cmocka_unit_test(a_source_that_breaks_says_so),
      cmocka_unit_test(running_out_of_memory_is_clean),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
