/* Boosters of four lanes on one matrix end in the bytes that each has when it trains alone. */
#include "tests/engine/xgboost/trained.h"

#include "tests/engine/xgboost/synthetic.h"

#include "engine/xgboost/lanes.h"

enum { WIDE = FEATURES + 1, LANES = 4, ROUNDS = 6 };

static float all[ROWS * WIDE]; /* features and label */
static synthetic source;

static const char *names[] = {"a", "b", "c", "d", "e"};
static const char *types[] = {"float", "float", "float", "float", "float"};
static mle_matrix_field label_field[] = {{"label", "y", 1}};

static mle_matrix_options options(void) {
  return (mle_matrix_options){
      .what = "dtrain",
      .num_features = FEATURES,
      .names = names,
      .types = types,
      .fields = label_field,
      .num_fields = 1,
      .label = {.objective = mle_objective_find("binary:logistic"), .training = true},
      .num_threads = 1,
  };
}

static mle_matrix *matrix(const mle_matrix_options *o) {
  static float features[ROWS * FEATURES];
  uint32_t seed = 99;
  mle_matrix *m;
  mle_error err;
  make_rows(features, ROWS, 3);
  for (size_t r = 0; r < ROWS; r++) {
    memcpy(all + r * WIDE, features + r * FEATURES, FEATURES * sizeof(float));
    all[r * WIDE + FEATURES] = label_of(features + r * FEATURES, 2, &seed);
  }
  if (mle_matrix_read(synthetic_open(&source, all, ROWS, WIDE, 300), o, &m, &err) != MLE_OK)
    fail_msg("%s", err.message);
  return m;
}

static const mle_parameter parameters[LANES][5] = {
    {{"objective", "binary:logistic"}, {"nthread", "1"}, {"subsample", "0.5"}, {"seed", "1"}, {"max_depth", "3"}},
    {{"objective", "binary:logistic"}, {"nthread", "1"}, {"subsample", "0.7"}, {"seed", "2"}, {"max_depth", "6"}},
    {{"objective", "binary:logistic"}, {"nthread", "1"}, {"colsample_bytree", "0.6"}, {"seed", "3"}, {"max_depth", "2"}},
    {{"objective", "binary:logistic"}, {"nthread", "1"}, {"booster", "dart"}, {"rate_drop", "0.5"}, {"max_depth", "4"}},
};

static mle_training training(const mle_matrix_options *o, mle_matrix *const *m, size_t i) {
  return (mle_training){.params = parameters[i], .num_params = 5, .columns = o, .train = *m,
                        .evals = m, .num_evals = 1, .num_rounds = ROUNDS};
}

static mle_buffer saved(const mle_booster *b) {
  mle_buffer bytes = MLE_BUFFER((size_t)64 << 20);
  assert_int_equal(mle_booster_save(b, "ubj", &bytes, NULL), MLE_OK);
  return bytes;
}

static mle_buffer trained_alone(const mle_training *t) {
  mle_booster *b;
  mle_error err;
  if (mle_booster_new(t, &b, &err) != MLE_OK) fail_msg("%s", err.message);
  for (bool more = true; more;)
    if (mle_booster_round(b, &more, &err) != MLE_OK) fail_msg("%s", err.message);
  mle_buffer bytes = saved(b);
  mle_booster_free(b);
  return bytes;
}

static void begin(mle_lanes *lanes, size_t lane, mle_booster *b) {
  mle_error err;
  if (mle_lanes_begin(lanes, lane, &b, 1, &err) != MLE_OK) fail_msg("%s", err.message);
}

static void lanes_end_in_the_same_bytes(void **state) {
  mle_matrix_options o = options();
  mle_matrix *m = matrix(&o);
  mle_booster *b[LANES];
  mle_lanes *lanes;
  mle_error err;
  size_t lane;
  (void)state;
  assert_int_equal(mle_lanes_start(LANES, &lanes, &err), MLE_OK);
  assert_int_equal(mle_lanes_count(lanes), LANES);
  for (size_t i = 0; i < LANES; i++) {
    mle_training t = training(&o, &m, i);
    assert_int_equal(mle_lanes_new(lanes, i, &t, &b[i], &err), MLE_OK);
    begin(lanes, i, b[i]);
  }
  while (mle_lanes_wait(lanes, &lane)) {
    bool more;
    assert_int_equal(mle_lanes_result(lanes, lane, &err), MLE_OK);
    assert_int_equal(mle_booster_end_round(b[lane], &more, &err), MLE_OK);
    if (more) begin(lanes, lane, b[lane]);
  }
  for (size_t i = 0; i < LANES; i++) {
    mle_training t = training(&o, &m, i);
    mle_buffer ours = saved(b[i]), alone = trained_alone(&t);
    assert_int_equal(ours.len, alone.len);
    assert_memory_equal(ours.data, alone.data, alone.len);
    mle_buffer_release(&ours);
    mle_buffer_release(&alone);
    mle_booster_free(b[i]);
  }
  mle_lanes_free(lanes);
  mle_matrix_free(m);
}

/* Neither the booster nor the lanes have to be waited for by hand. */
static void what_runs_is_waited_for(void **state) {
  mle_matrix_options o = options();
  mle_matrix *m = matrix(&o);
  mle_training t = training(&o, &m, 0);
  mle_booster *b, *other;
  mle_lanes *lanes;
  mle_error err;
  (void)state;
  assert_int_equal(mle_lanes_start(2, &lanes, &err), MLE_OK);
  assert_int_equal(mle_lanes_new(lanes, 0, &t, &b, &err), MLE_OK);
  begin(lanes, 0, b);
  assert_int_equal(mle_lanes_begin(lanes, 0, &b, 1, &err), MLE_EINVAL);
  assert_int_equal(mle_lanes_new(lanes, 0, &t, &other, &err), MLE_EINVAL);
  mle_booster_free(b);
  mle_lanes_free(lanes);
  mle_matrix_free(m);
}

static void what_fails_is_told(void **state) {
  static const mle_parameter wrong[] = {{"objective", "binary:logistic"}, {"max_depth", "deep"}};
  mle_matrix_options o = options();
  mle_matrix *m = matrix(&o);
  mle_training t = training(&o, &m, 0);
  mle_booster *b = NULL;
  mle_lanes *lanes;
  mle_error err;
  size_t lane;
  (void)state;
  t.params = wrong;
  t.num_params = 2;
  assert_int_equal(mle_lanes_start(1, &lanes, &err), MLE_OK);
  if (mle_lanes_new(lanes, 0, &t, &b, &err) == MLE_OK) { /* the library judges at the first round */
    begin(lanes, 0, b);
    assert_true(mle_lanes_wait(lanes, &lane));
    assert_int_equal(mle_lanes_result(lanes, lane, &err), MLE_EINVAL);
    assert_false(mle_lanes_wait(lanes, &lane));
  }
  assert_non_null(strstr(err.message, "max_depth"));
  mle_booster_free(b);
  mle_lanes_free(lanes);
  mle_matrix_free(m);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(lanes_end_in_the_same_bytes),
      cmocka_unit_test(what_runs_is_waited_for),
      cmocka_unit_test(what_fails_is_told),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
