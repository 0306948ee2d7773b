#include "rig.h"

#include <math.h>
#include <pthread.h>

#include "engine/serve/checker.h"
#include "engine/serve/served.h"

#define BOOSTER MLMODEL_OF("xgboost.core.Booster")

static const mle_served_facts facts = {.deployment = 7, .uri = "models:/M/2", .name = "M", .version = "2"};

static void a_folder_is_loaded_and_scored(void **state) {
  (void)state;
  char *folder = make_folder("binary.ubj", BOOSTER);
  mle_served *served;
  mle_error err;
  if (mle_served_load(folder, &facts, &served, &err) != MLE_OK) fail_msg("%s", err.message);
  assert_int_equal(served->features.count, 3);
  assert_string_equal(served->features.list[1].name, "hour");
  assert_int_equal(served->features.list[1].type, MLE_FEATURE_LONG);
  assert_string_equal(served->facts.run_id, "0123456789abcdef0123456789abcdef");
  assert_string_equal(served->facts.version, "2");
  mle_rows rows;
  assert_int_equal(mle_served_example(served, folder, &rows, NULL), MLE_OK);
  assert_int_equal(rows.count, 3);
  float ours[3], theirs;
  assert_int_equal(mle_served_score(served, rows.values, 3, ours, NULL), MLE_OK);
  mle_predictor_predict(served->model, rows.values + 3, &theirs);
  assert_true(ours[1] == theirs);
  mle_rows_release(&rows);
  mle_served_release(served);
  assert_int_equal(mle_served_live(), 0);
  drop_folder(folder);
}

typedef struct batch {
  const mle_served *served;
  const float *rows;
  size_t count;
  float *out;
  mle_status status;
} batch;

static void *score_batch(void *context) {
  batch *b = context;
  b->status = mle_served_score(b->served, b->rows, b->count, b->out, NULL);
  return NULL;
}

/* Split over threads or not, several at once: each row scores as it does alone. */
static void a_large_batch_scores_as_its_rows_do(void **state) {
  (void)state;
  enum { ROWS = 60001, AT_ONCE = 3 };
  static const char *const models[][2] = {{"binary.ubj", BOOSTER}, {"dart.ubj", MLMODEL_OF("xgboost.sklearn.XGBClassifier")}};
  for (size_t m = 0; m < 2; m++) {
    char *folder = make_folder(models[m][0], models[m][1]);
    mle_served *served;
    assert_int_equal(mle_served_load(folder, &facts, &served, NULL), MLE_OK);
    size_t features = served->features.count, width = served->width;
    float *rows = mle_realloc_array(NULL, ROWS * features, sizeof *rows), *alone = mle_realloc_array(NULL, ROWS * width, sizeof *alone);
    for (size_t i = 0; i < ROWS * features; i++) rows[i] = i % 11 == 0 ? NAN : (float)(i * 7919 % 1000) / 10;
    for (size_t i = 0; i < ROWS; i++)
      assert_int_equal(mle_served_score(served, rows + i * features, 1, alone + i * width, NULL), MLE_OK);
    batch batches[AT_ONCE];
    pthread_t threads[AT_ONCE];
    for (size_t i = 0; i < AT_ONCE; i++) {
      batches[i] = (batch){served, rows, ROWS - i, mle_realloc_array(NULL, ROWS * width, sizeof(float)), MLE_EIO};
      assert_int_equal(pthread_create(&threads[i], NULL, score_batch, &batches[i]), 0);
    }
    for (size_t i = 0; i < AT_ONCE; i++) {
      pthread_join(threads[i], NULL);
      assert_int_equal(batches[i].status, MLE_OK);
      assert_memory_equal(batches[i].out, alone, (ROWS - i) * width * sizeof(float));
      mle_free(batches[i].out);
    }
    mle_free(rows);
    mle_free(alone);
    mle_served_release(served);
    drop_folder(folder);
  }
}

static void a_classifier_answers_labels(void **state) {
  (void)state;
  char *folder = make_folder("dart.ubj", MLMODEL_OF("xgboost.sklearn.XGBClassifier"));
  mle_served *served;
  mle_error err;
  if (mle_served_load(folder, &facts, &served, &err) != MLE_OK) fail_msg("%s", err.message);
  assert_true(served->labels);
  assert_int_equal(served->width, 1);
  float row[16] = {0}, label;
  assert_int_equal(mle_served_score(served, row, 1, &label, NULL), MLE_OK);
  assert_true(label == (float)(int)label);
  mle_served_release(served);
  drop_folder(folder);
}

/* binary.ubj has two rounds and best_iteration 1; its twin in JSON is cut to the first. */
static void a_classifier_leaves_out_rounds_behind_its_best(void **state) {
  (void)state;
  mle_buffer text = MLE_BUFFER((size_t)1 << 20);
  assert_int_equal(mle_file_read(MODELS "binary.json", &text, NULL), MLE_OK);
  char *best = strstr(text.data, "\"best_iteration\":\"1\"");
  assert_non_null(best);
  best[strlen("\"best_iteration\":\"")] = '0';
  size_t trees[2];
  static const char *const classes[] = {BOOSTER, MLMODEL_OF("xgboost.sklearn.XGBClassifier")};
  for (int i = 0; i < 2; i++) {
    char *folder = make_folder("binary.ubj", classes[i]);
    write_in(folder, "model.ubj", text.data, text.len);
    mle_served *served;
    assert_int_equal(mle_served_load(folder, &facts, &served, NULL), MLE_OK);
    trees[i] = mle_model_num_trees(served->model);
    mle_served_release(served);
    drop_folder(folder);
  }
  assert_int_equal(trees[0], 2);
  assert_int_equal(trees[1], 1);
  mle_buffer_release(&text);
}

static void what_cannot_be_served_is_refused_by_name(void **state) {
  (void)state;
  static const struct {
    const char *mlmodel, *message;
  } bad[] = {
      {"flavors:\n  sklearn:\n    data: model.pkl\n", "has no xgboost flavour"},
      {"flavors:\n  xgboost:\n    data: ../model.ubj\n", "is outside of the folder"},
      {"flavors:\n  xgboost:\n    data: absent.ubj\n", "absent.ubj"},
      {MLMODEL_OF("xgboost.sklearn.XGBRanker"), "models of the class xgboost.sklearn.XGBRanker"},
      {"flavors:\n  xgboost:\n    data: model.ubj\nsignature:\n  inputs: '[{\"type\":\"string\",\"name\":\"hour\"}]'\n",
       "declares column 'hour' as string"},
      {"flavors:\n  xgboost:\n    data: model.ubj\nsignature:\n  inputs: '[{'\n", "MLmodel: signature"},
      {"flavors: 'open", "MLmodel: line 1: a quoted text does not end"},
  };
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    char *folder = make_folder("binary.ubj", bad[i].mlmodel);
    mle_served *served;
    mle_error err;
    assert_int_not_equal(mle_served_load(folder, &facts, &served, &err), MLE_OK);
    assert_null(served);
    if (strstr(err.message, bad[i].message) == NULL) fail_msg("%s: %s", bad[i].mlmodel, err.message);
    drop_folder(folder);
  }
  assert_int_equal(mle_served_live(), 0);
}

static void a_corrupt_model_is_refused(void **state) {
  (void)state;
  char *folder = make_folder("binary.ubj", BOOSTER);
  write_in(folder, "model.ubj", "{L\x00\x00\x00\x00", 6);
  mle_served *served;
  mle_error err;
  assert_int_equal(mle_served_load(folder, &facts, &served, &err), MLE_EFORMAT);
  assert_non_null(strstr(err.message, folder));
  drop_folder(folder);
}

static void a_check_reports_scores_of_the_example(void **state) {
  (void)state;
  char *folder = make_folder("binary.ubj", BOOSTER), *report;
  mle_error err;
  if (mle_check(folder, &report, &err) != MLE_OK) fail_msg("%s", err.message);
  assert_non_null(strstr(report, "\"columns\":[\"amount\",\"hour\",\"age\"]"));
  assert_non_null(strstr(report, "\"example\":[[1.5,3,40],[null,23,18.25],[-7,0,null]]"));
  mle_free(report);
  char *path = mle_path_join(folder, "serving_input_example.json");
  mle_file_remove(path, NULL);
  mle_free(path);
  assert_int_equal(mle_check(folder, &report, NULL), MLE_OK);
  assert_non_null(strstr(report, "\"example\":null,\"scores\":null"));
  mle_free(report);
  drop_folder(folder);
}

static void out_of_memory_is_an_error_and_leaks_nothing(void **state) {
  (void)state;
  char *folder = make_folder("binary.ubj", BOOSTER);
  long granted = 0;
  for (;; granted++) {
    char *report;
    mle_alloc_fail_after(granted);
    mle_status status = mle_check(folder, &report, NULL);
    mle_alloc_fail_after(-1);
    assert_int_equal(mle_served_live(), 0);
    if (status == MLE_OK) {
      mle_free(report);
      break;
    }
    assert_null(report);
    assert_true(granted < 5000);
  }
  assert_true(granted > 20);
  drop_folder(folder);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_folder_is_loaded_and_scored),
      cmocka_unit_test(a_large_batch_scores_as_its_rows_do),
      cmocka_unit_test(a_classifier_answers_labels),
      cmocka_unit_test(a_classifier_leaves_out_rounds_behind_its_best),
      cmocka_unit_test(what_cannot_be_served_is_refused_by_name),
      cmocka_unit_test(a_corrupt_model_is_refused),
      cmocka_unit_test(a_check_reports_scores_of_the_example),
      cmocka_unit_test(out_of_memory_is_an_error_and_leaks_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
