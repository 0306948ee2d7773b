#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "engine/mlflow/filter.h"
#include "engine/mlflow/origin.h"
#include "engine/mlflow/rules.h"

static void keys_are_as_mlflow_wants_them(void **state) {
  (void)state;
  static const char *const good[] = {"auc", "test-auc", "a b", "system/cpu", "x:y", "a.b_c", "\xC3\xA9t\xC3\xA9"};
  static const char *const bad[] = {"",   "/a",   "a/",  "a//b", "a/../b", "..",  ".",
                                    "a@b", "a#b", "a%b", "a(b)", "\xC3",   "a\nb"};
  for (size_t i = 0; i < sizeof good / sizeof *good; i++)
    assert_int_equal(mle_mlflow_check_key("metric", good[i], NULL), MLE_OK);
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    assert_int_equal(mle_mlflow_check_key("metric", bad[i], NULL), MLE_EINVAL);
}

static void characters_are_counted_not_bytes(void **state) {
  (void)state;
  static const char *const bad[] = {"\x80", "\xC0\x80", "\xE0\x80\x80", "\xED\xA0\x80", "\xF4\x90\x80\x80", "\xE2\x82"};
  assert_int_equal(mle_mlflow_characters("a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80"), 4);
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    assert_int_equal(mle_mlflow_characters(bad[i]), -1);
  char key[600] = "";
  for (int i = 0; i < 250; i++) strcat(key, "\xC3\xA9");
  assert_int_equal(mle_mlflow_check_key("tag", key, NULL), MLE_OK);
  strcat(key, "x");
  assert_int_equal(mle_mlflow_check_key("tag", key, NULL), MLE_EINVAL);
}

static void values_are_cut_between_characters(void **state) {
  (void)state;
  mle_arena memory = MLE_ARENA;
  const char *cut;
  assert_int_equal(mle_mlflow_cut_value("v", "a\xC3\xA9" "b", 2, &memory, &cut, NULL), MLE_OK);
  assert_string_equal(cut, "a\xC3\xA9");
  assert_int_equal(mle_mlflow_cut_value("v", "ab", 2, &memory, &cut, NULL), MLE_OK);
  assert_string_equal(cut, "ab");
  assert_int_equal(mle_mlflow_cut_value("v", NULL, 2, &memory, &cut, NULL), MLE_OK);
  assert_string_equal(cut, "");
  mle_arena_release(&memory);
}

static void aliases_and_names_have_their_rules(void **state) {
  (void)state;
  assert_int_equal(mle_mlflow_check_alias("champion_2-x", NULL), MLE_OK);
  assert_int_equal(mle_mlflow_check_alias("v12", NULL), MLE_EINVAL);
  assert_int_equal(mle_mlflow_check_alias("Latest", NULL), MLE_EINVAL);
  assert_int_equal(mle_mlflow_check_alias("a b", NULL), MLE_EINVAL);
  assert_int_equal(mle_mlflow_check_alias("version", NULL), MLE_OK);
  assert_int_equal(mle_mlflow_check_model_name("a/b", NULL), MLE_EINVAL);
  assert_int_equal(mle_mlflow_check_logged_name("model.x", NULL), MLE_EINVAL);
  assert_int_equal(mle_mlflow_check_status("DONE", NULL), MLE_EINVAL);
}

static void run_names_are_like_mlflows(void **state) {
  (void)state;
  char name[MLE_RUN_NAME_TEXT];
  mle_mlflow_run_name(name);
  assert_true(strlen(name) > 5);
  assert_non_null(strchr(name, '-'));
  assert_int_equal(mle_mlflow_check_key("run", name, NULL), MLE_OK);
}

/* ====== Filters ====== */

static void filters_are_parsed(void **state) {
  (void)state;
  mle_arena memory = MLE_ARENA;
  mle_filter f;
  const char *text =
      "metrics.`odd key` >= -1.5e3 AND params.a.b = \"it's\" and tags.\"x y\" ILIKE '%z%' "
      "and status != 'FAILED' and attributes.run_id IN ('a', 'b') and dataset.name LIKE 'x%'";
  assert_int_equal(mle_filter_parse(&mle_filter_runs, text, &memory, &f, NULL), MLE_OK);
  assert_int_equal(f.count, 6);
  assert_int_equal(f.condition[0].entity, MLE_FILTER_METRIC);
  assert_string_equal(f.condition[0].key, "odd key");
  assert_true(f.condition[0].is_number && f.condition[0].number == -1500);
  assert_string_equal(f.condition[1].key, "a.b");
  assert_string_equal(f.condition[1].text[0], "it's");
  assert_string_equal(f.condition[2].operator, "ILIKE");
  assert_int_equal(f.condition[3].entity, MLE_FILTER_ATTRIBUTE);
  assert_int_equal(f.condition[4].num_texts, 2);
  assert_string_equal(f.condition[4].text[1], "b");
  assert_int_equal(f.condition[5].entity, MLE_FILTER_DATASET);
  assert_int_equal(mle_filter_parse(&mle_filter_runs, "  ", &memory, &f, NULL), MLE_OK);
  assert_int_equal(f.count, 0);
  mle_arena_release(&memory);
}

static void lists_are_parsed_and_doubled_quotes_kept(void **state) {
  (void)state;
  mle_arena memory = MLE_ARENA;
  mle_filter f;
  const char *text = "dataset.digest NOT  IN ('a', 'b',) and `Run name` = 'it''s' and Created > 1 and params.x = ''";
  assert_int_equal(mle_filter_parse(&mle_filter_runs, text, &memory, &f, NULL), MLE_OK);
  assert_int_equal(f.count, 4);
  assert_string_equal(f.condition[0].operator, "NOT IN");
  assert_int_equal(f.condition[0].num_texts, 2);
  assert_string_equal(f.condition[1].attribute->column, "name");
  assert_string_equal(f.condition[1].text[0], "it''s");
  assert_string_equal(f.condition[2].attribute->column, "start_time");
  assert_string_equal(f.condition[3].text[0], "");
  text = "params.x IN ('a') and status NOT IN ('2')";
  assert_int_equal(mle_filter_parse(&mle_filter_logged_models, text, &memory, &f, NULL), MLE_OK);
  mle_arena_release(&memory);
}

static void bad_filters_are_refused_where_they_are_wrong(void **state) {
  (void)state;
  static const char *const bad[] = {
      "metrics.a > 'x'", "metrics.a LIKE 1", "params.a = 1",      "params.a > 'x'",
      "metrics.a > 1 or metrics.b > 2",      "nonsense = 'x'",    "params.a =",
      "params.a = 'x",   "status IN ('a')",  "run_id IN ('a'",    "metrics. = 1",
      "dataset.x = 'y'", "metrics.a > 1x",   "a",                 "metrics.a > 1 and",
      "metrics.a > 1e999", "metrics.a < -inf",  "metrics.a = nan",
      "params.a IN ('b')", "run_id NOT LIKE 'a'", "run_id IN ()", "run_id IN (,)", "run_id = 'a''"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    mle_arena memory = MLE_ARENA;
    mle_filter f;
    mle_error err;
    if (mle_filter_parse(&mle_filter_runs, bad[i], &memory, &f, &err) != MLE_EINVAL) fail_msg("taken: %s", bad[i]);
    assert_non_null(strstr(err.message, " at '"));
    mle_arena_release(&memory);
  }
}

static void orders_are_parsed(void **state) {
  (void)state;
  mle_arena memory = MLE_ARENA;
  mle_filter_order order;
  assert_int_equal(mle_filter_parse_order(&mle_filter_runs, "metrics.auc desc", &memory, &order, NULL), MLE_OK);
  assert_true(order.entity == MLE_FILTER_METRIC && order.descending);
  assert_int_equal(mle_filter_parse_order(&mle_filter_runs, "start_time", &memory, &order, NULL), MLE_OK);
  assert_false(order.descending);
  assert_int_equal(mle_filter_parse_order(&mle_filter_runs, "dataset.name", &memory, &order, NULL), MLE_EINVAL);
  assert_int_equal(mle_filter_parse_order(&mle_filter_runs, "start_time down", &memory, &order, NULL), MLE_EINVAL);
  mle_arena_release(&memory);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(keys_are_as_mlflow_wants_them),
      cmocka_unit_test(characters_are_counted_not_bytes),
      cmocka_unit_test(values_are_cut_between_characters),
      cmocka_unit_test(aliases_and_names_have_their_rules),
      cmocka_unit_test(run_names_are_like_mlflows),
      cmocka_unit_test(filters_are_parsed),
      cmocka_unit_test(lists_are_parsed_and_doubled_quotes_kept),
      cmocka_unit_test(bad_filters_are_refused_where_they_are_wrong),
      cmocka_unit_test(orders_are_parsed),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
