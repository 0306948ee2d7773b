#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <xgboost/c_api.h>

#include "engine/base/alloc.h"
#include "engine/base/buffer.h"
#include "engine/base/file.h"
#include "engine/xgboost/predictor.h"

#define FOLDER "tests/fuzz/corpus/model/"
#define BYTES_MAX ((size_t)1 << 20)

static const char *const files[] = {"binary.ubj",  "binary.json",     "dart.ubj",
                                    "pruned.json", "categories.json", "categories.ubj"};
#define FILES (sizeof files / sizeof *files)

static mle_buffer read_corpus(const char *name) {
  char path[200];
  mle_error err;
  mle_buffer bytes = MLE_BUFFER(BYTES_MAX);
  snprintf(path, sizeof path, FOLDER "%s", name);
  if (mle_file_read(path, &bytes, &err) != MLE_OK) fail_msg("%s", err.message);
  return bytes;
}

static void a_model_tells_what_it_is(void **state) {
  (void)state;
  mle_model *model;
  mle_error err;
  int major, minor;
  if (mle_model_read(FOLDER "binary.ubj", &model, &err) != MLE_OK) fail_msg("%s", err.message);
  assert_int_equal(mle_model_num_features(model), 3);
  assert_int_equal(mle_model_num_outputs(model), 1);
  assert_int_equal(mle_model_num_trees(model), 2);
  assert_string_equal(mle_model_objective(model), "binary:logistic");
  assert_string_equal(mle_model_feature_name(model, 0), "amount");
  assert_string_equal(mle_model_feature_type(model, 1), "int");
  assert_null(mle_model_feature_name(model, 3));
  assert_string_equal(mle_model_attribute(model, "best_iteration"), "1");
  assert_null(mle_model_attribute(model, "scikit_learn"));
  mle_model_version(model, &major, &minor);
  assert_int_equal(major, 3);
  assert_int_equal(minor, 2);
  mle_model_free(model);
  assert_int_equal(mle_model_read(FOLDER "absent", &model, &err), MLE_ENOTFOUND);
}

static void json_and_ubjson_score_the_same(void **state) {
  (void)state;
  mle_model *a, *b;
  const float rows[3][3] = {{0.5f, -1, NAN}, {NAN, NAN, NAN}, {-2, 0.25f, 1}};
  assert_int_equal(mle_model_read(FOLDER "binary.ubj", &a, NULL), MLE_OK);
  assert_int_equal(mle_model_read(FOLDER "binary.json", &b, NULL), MLE_OK);
  for (size_t i = 0; i < 3; i++) {
    float x, y;
    mle_predictor_predict(a, rows[i], &x);
    mle_predictor_predict(b, rows[i], &y);
    assert_memory_equal(&x, &y, sizeof x);
  }
  mle_model_free(a);
  mle_model_free(b);
}

/* ====== What is refused, and how it is said ====== */

static char *replaced(const mle_buffer *text, const char *from, const char *to) {
  const char *at = strstr(text->data, from);
  if (at == NULL) fail_msg("the sample has no '%s'", from);
  return mle_format("%.*s%s%s", (int)(at - text->data), text->data, to, at + strlen(from));
}

static void each_broken_part_is_named(void **state) {
  (void)state;
  static const struct {
    const char *from, *to, *message;
  } parts[] = {
      {"\"left_children\":[1,", "\"left_children\":[9,", "tree 0: node 0: its children"},
      {"\"left_children\":[1,", "\"left_children\":[0,", "tree 0: node 0: its children"},
      {"\"right_children\":[2,", "\"right_children\":[1,", "tree 0: node 0: its children"},
      {"\"parents\":[2147483647,", "\"parents\":[1,", "tree 0: the root has a parent"},
      {"\"split_indices\":[0,", "\"split_indices\":[3,", "tree 0: node 0 splits on feature 3 of 3"},
      {"\"default_left\":[", "\"default_left\":[7,", "tree 0: default_left must be"},
      {"\"num_deleted\":\"0\"", "\"num_deleted\":\"1\"", "tree 0: num_deleted differs"},
      {"\"num_nodes\":\"", "\"num_nodes\":\"-", "tree 0: num_nodes must be a number from 1"},
      {"\"size_leaf_vector\":\"1\"", "\"size_leaf_vector\":\"2\"", "its leaves are vectors"},
      {"\"tree_info\":[0", "\"tree_info\":[1", "tree_info must name an output"},
      {"\"iteration_indptr\":[0,1", "\"iteration_indptr\":[0,3", "iteration_indptr must rise"},
      {"\"num_trees\":\"2\"", "\"num_trees\":\"3\"", "num_trees differs from the trees"},
      {"\"num_parallel_tree\":\"1\"", "\"num_parallel_tree\":\"0\"", "num_parallel_tree must be"},
      {"\"num_class\":\"0\",\"num_feature\":\"3\"", "\"num_feature\":\"0\"", "num_feature must be"},
      {"\"num_class\":\"0\",\"num_feature\":\"3\"", "\"num_feature\":\"4\"", "feature_names must be 4 texts"},
      {"\"base_score\":\"[", "\"base_score\":\"[1,", "base_score must be one number"},
      {"\"base_score\":\"[", "\"base_score\":\"[nan", "base_score must be one number"},
      {"binary:logistic", "mine", "its objective 'mine' is not known here"},
      {"\"name\":\"gbtree\"", "\"name\":\"gblinear\"", "weights must be"},
      {"\"version\":[3", "\"version\":[4", "written by XGBoost 4; read are versions 1 to 3"},
      {"\"learner\"", "\"teacher\"", "these bytes are no XGBoost model"},
      {"\"amount\"", "5", "feature_names must be texts"},
      {"\"enc\":[]", "\"enc\":[1]", "category names: enc must have an element"},
  };
  mle_buffer text = read_corpus("binary.json");
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
    char *bad = replaced(&text, parts[i].from, parts[i].to);
    mle_model *model;
    mle_error err = {0};
    if (mle_model_parse(bad, strlen(bad), &model, &err) == MLE_OK)
      fail_msg("accepted: %s", parts[i].to);
    assert_null(model);
    if (strstr(err.message, parts[i].message) == NULL || strncmp(err.message, "XGBoost model: ", 15) != 0)
      fail_msg("%s: said '%s'", parts[i].message, err.message);
    mle_free(bad);
  }
  mle_buffer_release(&text);
}

static void other_formats_are_named(void **state) {
  (void)state;
  static const struct {
    const char *bytes;
    size_t len;
    const char *message;
  } others[] = {
      {"binf....", 8, "old binary format"}, {"\x80\x04\x95", 3, "Python pickle"},
      {"", 0, "empty"},                     {"{", 1, "a length must be"},
      {"PAR1", 4, "unknown type of value"}, {"{\"a\":1", 6, "not JSON"},
      {"[#L\x7f\xff\xff\xff\xff\xff\xff\xff", 11, "bytes end"},
      {"{i\x01" "aSL\x7f\xff\xff\xff\xff\xff\xff\xff", 14, "longer than the bytes"},
      {"{i\x01" "a[$d#L\x40\x00\x00\x00\x00\x00\x00\x00}", 18, "longer than the bytes"},
      {"{i\x01" "aZi\x01" "aZ}", 9, "stands twice"},
  };
  for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
    mle_model *model;
    mle_error err = {0};
    assert_int_not_equal(mle_model_parse(others[i].bytes, others[i].len, &model, &err), MLE_OK);
    if (strstr(err.message, others[i].message) == NULL) fail_msg("%zu: '%s'", i, err.message);
  }
}

static void nesting_is_bounded(void **state) {
  (void)state;
  char deep[5000];
  mle_model *model;
  mle_error err;
  memset(deep, '[', sizeof deep);
  assert_int_equal(mle_model_parse(deep, sizeof deep, &model, &err), MLE_EFORMAT);
  assert_non_null(strstr(err.message, "nested"));
}

static void every_truncation_is_refused(void **state) {
  (void)state;
  for (size_t f = 0; f < FILES; f++) {
    mle_buffer bytes = read_corpus(files[f]);
    for (size_t len = 0; len < bytes.len; len++) {
      mle_model *model;
      if (mle_model_parse(bytes.data, len, &model, NULL) == MLE_OK)
        fail_msg("%s: accepted %zu of %zu bytes", files[f], len, bytes.len);
    }
    mle_buffer_release(&bytes);
  }
}

static void running_out_of_memory_is_clean(void **state) {
  (void)state;
  for (size_t f = 0; f < FILES; f++) {
    mle_buffer bytes = read_corpus(files[f]);
    mle_status status = MLE_ENOMEM;
    for (long n = 0; status != MLE_OK; n++) {
      mle_model *model;
      mle_error err;
      mle_alloc_fail_after(n);
      status = mle_model_parse(bytes.data, bytes.len, &model, &err);
      mle_alloc_fail_after(-1);
      if (status != MLE_OK && status != MLE_ENOMEM && status != MLE_EFORMAT)
        fail_msg("%s: %s", files[f], err.message);
      mle_model_free(model);
      if (n > 10000) fail_msg("%s: never succeeds", files[f]);
    }
    mle_buffer_release(&bytes);
  }
}

/* ====== Mutations ====== */

static uint32_t next_random(uint32_t *seed) {
  *seed = *seed * 1664525u + 1013904223u;
  return *seed >> 8;
}

/* One to three edits: a byte, a big-endian word of an extreme, or a stretch copied over another. */
static void mutate(char *bytes, size_t len, uint32_t *seed) {
  static const uint32_t extremes[] = {0, 1, 0xffffffff, 0x7fffffff, 0x80000000, 1000, 0x1000000};
  for (uint32_t edits = 1 + next_random(seed) % 3; edits > 0; edits--) {
    size_t at = next_random(seed) % (len - 8), from = next_random(seed) % (len - 8);
    uint32_t word = __builtin_bswap32(extremes[next_random(seed) % 7]);
    switch (next_random(seed) % 4) {
      case 0: bytes[at] = (char)next_random(seed); break;
      case 1: bytes[at] = (char)(bytes[at] ^ (1 << next_random(seed) % 8)); break;
      case 2: memcpy(bytes + at, &word, 4); break;
      default: memmove(bytes + at, bytes + from, 8); break;
    }
  }
}

static void score(const mle_model *model) {
  static float row[64], out[64];
  if (mle_model_num_features(model) > 64 || mle_model_num_outputs(model) > 64) return;
  for (int i = 0; i < 4; i++) {
    const float values[] = {NAN, -1e30f, 2, INFINITY};
    for (int f = 0; f < 64; f++) row[f] = values[(i + f) % 4];
    mle_predictor_predict(model, row, out);
  }
}

static void mutations_are_refused_or_harmless(void **state) {
  (void)state;
  char copy[16384];
  for (size_t f = 0; f < FILES; f++) {
    mle_buffer bytes = read_corpus(files[f]);
    assert_true(bytes.len < sizeof copy);
    for (uint32_t i = 0; i < 4000; i++) {
      uint32_t seed = i + (uint32_t)f * 10000;
      mle_model *model;
      memcpy(copy, bytes.data, bytes.len);
      mutate(copy, bytes.len, &seed);
      if (mle_model_parse(copy, bytes.len, &model, NULL) == MLE_OK) score(model);
      mle_model_free(model);
    }
    mle_buffer_release(&bytes);
  }
}

/* Loads, scores and saves with the library itself; refusing is fine, dying is not. */
static void use_library(const char *bytes, size_t len) {
  BoosterHandle booster;
  const float rows[4][3] = {{0, 1, 2}, {NAN, NAN, NAN}, {-5, 7, 1e9f}, {2, 0, 1}};
  DMatrixHandle matrix;
  bst_ulong shape_len;
  uint64_t len_out;
  const uint64_t *shape;
  const float *result;
  const char *out;
  const char *const quiet = "{\"verbosity\":0,\"nthread\":1}";
  XGBSetGlobalConfig(quiet);
  if (XGBoosterCreate(NULL, 0, &booster) != 0) return;
  if (XGBoosterLoadModelFromBuffer(booster, bytes, len) != 0) return;
  if (XGDMatrixCreateFromMat(&rows[0][0], 4, 3, NAN, &matrix) != 0) return;
  XGBoosterPredictFromDMatrix(booster, matrix,
                              "{\"type\":1,\"iteration_begin\":0,\"iteration_end\":0,"
                              "\"training\":false,\"strict_shape\":false}",
                              &shape, &shape_len, &result);
  XGBoosterSaveModelToBuffer(booster, "{\"format\":\"ubj\"}", &len_out, &out);
  XGBoosterFree(booster);
  XGDMatrixFree(matrix);
}

/* A crash inside the library ends the child, not the test. */
static bool library_survives(const char *bytes, size_t len) {
  int status;
  fflush(NULL);
  pid_t child = fork();
  if (child == 0) {
    alarm(20);
    use_library(bytes, len);
    _exit(0);
  }
  assert_true(child > 0 && waitpid(child, &status, 0) == child);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void the_library_survives_what_is_accepted(void **state) {
  (void)state;
  char copy[16384];
  int accepted = 0;
  for (size_t f = 0; f < FILES; f++) {
    mle_buffer bytes = read_corpus(files[f]);
    for (uint32_t i = 0; i < 400; i++) {
      uint32_t seed = i + (uint32_t)f * 10000 + 500000;
      mle_model *model;
      memcpy(copy, bytes.data, bytes.len);
      mutate(copy, bytes.len, &seed);
      if (mle_model_parse(copy, bytes.len, &model, NULL) != MLE_OK) continue;
      mle_model_free(model);
      accepted++;
      if (!library_survives(copy, bytes.len))
        fail_msg("%s, mutation %u kills the library", files[f], i);
    }
    mle_buffer_release(&bytes);
  }
  assert_true(accepted > 100); /* else the mutations say nothing */
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_library_survives_what_is_accepted), /* first: it forks */
      cmocka_unit_test(a_model_tells_what_it_is),
      cmocka_unit_test(json_and_ubjson_score_the_same),
      cmocka_unit_test(each_broken_part_is_named),
      cmocka_unit_test(other_formats_are_named),
      cmocka_unit_test(nesting_is_bounded),
      cmocka_unit_test(every_truncation_is_refused),
      cmocka_unit_test(running_out_of_memory_is_clean),
      cmocka_unit_test(mutations_are_refused_or_harmless),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
