#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "engine/base/alloc.h"
#include "engine/mlflow/flavor.h"
#include "engine/mlflow/yaml.h"

/* Reads YAML and prints it as JSON; the caller frees. */
static char *to_json(const char *yaml) {
  mle_json *doc;
  mle_error err;
  if (mle_yaml_read(yaml, strlen(yaml), &doc, &err) != MLE_OK) fail_msg("%s", err.message);
  char *text = mle_json_print(doc, false);
  mle_json_free(doc);
  return text;
}

static void assert_reads(const char *yaml, const char *json) {
  char *text = to_json(yaml);
  assert_string_equal(text, json);
  mle_free(text);
}

static void what_pyyaml_writes_is_read(void **state) {
  (void)state;
  assert_reads("a: 1\nb:\n  c: x y\n  d: null\n", "{\"a\":1,\"b\":{\"c\":\"x y\",\"d\":null}}");
  assert_reads("- 1\n- - 2\n  - b: 3\n    c: 4\n-\n  x\n", "[1,[2,{\"b\":3,\"c\":4}],\"x\"]");
  assert_reads("list:\n- a\n- 'b'\nnext: {}\nlast: []\n",
               "{\"list\":[\"a\",\"b\"],\"next\":{},\"last\":[]}");
  assert_reads("a: 3.11.7\nb: 3.5\nc: 1.5e-07\nd: 1e5\ne: -4\nf: 007\ng: true\nh: 'true'\ni: ~\n",
               "{\"a\":\"3.11.7\",\"b\":3.5,\"c\":1.5e-07,\"d\":\"1e5\",\"e\":-4,\"f\":\"007\","
               "\"g\":true,\"h\":\"true\",\"i\":null}");
}

static void scalars_fold(void **state) {
  (void)state;
  assert_reads("a: '[{\"x\": 1},\n    {\"y\": 2}]'\n", "{\"a\":\"[{\\\"x\\\": 1}, {\\\"y\\\": 2}]\"}");
  assert_reads("a: 'it''s\n\n  two'\n", "{\"a\":\"it's\\ntwo\"}");
  assert_reads("a: \"one \\\n  \\ two\\t\\x41\\u00e9\\U0001F600\"\n",
               "{\"a\":\"one  two\\tA\xC3\xA9\xF0\x9F\x98\x80\"}");
  assert_reads("a: long words\n  go on\nb: 1\n", "{\"a\":\"long words go on\",\"b\":1}");
  assert_reads("a: |-\n  one\n   two\n\n  three\nb: >\n  x\n  y\n",
               "{\"a\":\"one\\n two\\n\\nthree\",\"b\":\"x y\\n\"}");
}

static void comments_and_markers_are_skipped(void **state) {
  (void)state;
  assert_reads("# head\n---\na: 1 # one\n\n# between\nb: x#y\n...\n", "{\"a\":1,\"b\":\"x#y\"}");
  assert_reads("", "null");
  assert_reads("a:\r\n  b: 1\r\n", "{\"a\":{\"b\":1}}");
}

static void what_is_not_understood_is_named(void **state) {
  (void)state;
  static const char *const bad[][2] = {
      {"a: &x 1\n", "line 1: anchors"},    {"a: *x\n", "line 1: anchors"},
      {"b: 1\na: !!python/x y\n", "line 2: tags"}, {"a: {b: 1}\n", "contents"},
      {"? a\n: b\n", "complex keys"},      {"a: 'x\n", "not closed"},
      {"a: \"\\q\"\n", "escape"},          {"a: \"\\ud800\"\n", "no such character"},
      {"\ta: 1\n", "tab"},                 {"a: b: c\n", "second ':'"},
      {"a: 1\n  b: 2\n", "line 2"},        {"a: 1\na: 2\n", "a"},
      {"a\nb: 1\n", ":"},                  {"a: - b\n", "list must begin"},
  };
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    mle_json *doc;
    mle_error err;
    assert_int_equal(mle_yaml_read(bad[i][0], strlen(bad[i][0]), &doc, &err), MLE_EFORMAT);
    assert_null(doc);
    if (strstr(err.message, bad[i][1]) == NULL) fail_msg("%s: %s", bad[i][0], err.message);
  }
}

static void nesting_is_bounded(void **state) {
  (void)state;
  char deep[4000];
  mle_json *doc;
  memset(deep, ' ', sizeof deep);
  for (size_t i = 0; i + 1 < sizeof deep; i += 2) deep[i] = '-';
  assert_int_equal(mle_yaml_read(deep, sizeof deep, &doc, NULL), MLE_EFORMAT);
}

static void assert_round_trip(const char *json) {
  mle_json *doc;
  mle_buffer yaml = MLE_BUFFER(MLE_YAML_MAX);
  mle_error err;
  assert_int_equal(mle_json_parse(json, strlen(json), &doc, &err), MLE_OK);
  mle_json_at root = mle_json_root(doc);
  assert_int_equal(mle_yaml_print(&root, &yaml, &err), MLE_OK);
  assert_reads(yaml.data, json);
  mle_buffer_release(&yaml);
  mle_json_free(doc);
}

static void what_is_printed_reads_the_same(void **state) {
  (void)state;
  assert_round_trip("{\"a\":{\"b\":[1,[2,{\"c\":null}],{}],\"d\":[]},\"e\":\"x\"}");
  assert_round_trip("[\"yes\",\"null\",\"12\",\"1.5\",\"\",\" a \",\"- b\",\"a: b\",\"#c\",\"it's\",\"\\\"q\\\"\"]");
  assert_round_trip("{\"yes\":1,\"a b\":2,\"12\":3,\"'\":\"l1\\nl2\\tx\\u0001\",\"\xC3\xA9\":\"\xE2\x82\xAC\"}");
  assert_round_trip("[0.1,-2.5,123456789012345678,true,false]");
}

/* ====== MLmodel ====== */

static mle_status parse(const char *text, mle_arena *memory, mle_flavor_info *info, mle_error *err) {
  return mle_flavor_parse("/m", text, strlen(text), memory, info, err);
}

static void the_least_mlmodel_is_read(void **state) {
  (void)state;
  mle_arena memory = MLE_ARENA;
  mle_flavor_info info;
  assert_int_equal(parse("flavors:\n  xgboost:\n    data: model.xgb\n", &memory, &info, NULL), MLE_OK);
  assert_string_equal(info.data, "/m/model.xgb");
  assert_string_equal(info.model_class, "Booster");
  assert_null(info.inputs);
  mle_arena_release(&memory);
}

static void other_models_are_refused(void **state) {
  (void)state;
  mle_arena memory = MLE_ARENA;
  mle_flavor_info info;
  mle_error err;
  assert_int_equal(parse("flavors:\n  sklearn:\n    x: 1\n  python_function: {}\n", &memory, &info, &err),
                   MLE_EUNSUPPORTED);
  assert_non_null(strstr(err.message, "sklearn, python_function"));
  assert_int_equal(parse("flavors:\n  xgboost:\n    data: ../../etc/passwd\n", &memory, &info, &err),
                   MLE_EINVAL);
  assert_null(info.data);
  assert_int_equal(parse("flavors:\n  xgboost:\n    data: 5\n", &memory, &info, &err), MLE_EFORMAT);
  assert_int_equal(parse("- 1\n", &memory, &info, &err), MLE_EFORMAT);
  mle_arena_release(&memory);
}

static void out_of_memory_is_an_error_and_leaks_nothing(void **state) {
  (void)state;
  static const char text[] = "flavors:\n  xgboost:\n    data: model.ubj\nmetadata:\n  a: [ ]\n"
                             "signature:\n  inputs: '[]'\n  outputs: \"x\\\n    y\"\n";
  long granted = 0;
  for (mle_status status = MLE_ENOMEM; status != MLE_OK; granted++) {
    mle_arena memory = MLE_ARENA;
    mle_flavor_info info;
    mle_alloc_fail_after(granted);
    status = mle_flavor_parse("/m", text, sizeof text - 1, &memory, &info, NULL);
    mle_alloc_fail_after(-1);
    mle_arena_release(&memory);
    assert_true(status == MLE_OK || status == MLE_ENOMEM || status == MLE_EFORMAT);
  }
  assert_true(granted > 5);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_pyyaml_writes_is_read),
      cmocka_unit_test(scalars_fold),
      cmocka_unit_test(comments_and_markers_are_skipped),
      cmocka_unit_test(what_is_not_understood_is_named),
      cmocka_unit_test(nesting_is_bounded),
      cmocka_unit_test(what_is_printed_reads_the_same),
      cmocka_unit_test(the_least_mlmodel_is_read),
      cmocka_unit_test(other_models_are_refused),
      cmocka_unit_test(out_of_memory_is_an_error_and_leaks_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
