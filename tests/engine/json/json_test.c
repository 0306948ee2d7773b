#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/base/alloc.h"
#include "engine/base/buffer.h"
#include "engine/json/json.h"

static mle_json *parse(const char *text) {
  mle_json *doc;
  mle_error err;
  if (mle_json_parse(text, strlen(text), &doc, &err) != MLE_OK) fail_msg("%s", err.message);
  return doc;
}

static void snapshot_ids_keep_all_bits(void **state) {
  (void)state;
  mle_json *doc = parse("{\"id\": 9223372036854775807, \"ids\": [-9223372036854775808, 1]}");
  mle_json_at root = mle_json_root(doc), ids, id;
  int64_t value;
  assert_int_equal(mle_json_get_int(&root, "id", &value, NULL), MLE_OK);
  assert_true(value == INT64_MAX);
  assert_int_equal(mle_json_get_array(&root, "ids", &ids, NULL), MLE_OK);
  assert_true(mle_json_first(&ids, &id));
  assert_int_equal(mle_json_int(&id, &value, NULL), MLE_OK);
  assert_true(value == INT64_MIN);
  char *text = mle_json_print(doc, false);
  assert_string_equal(text, "{\"id\":9223372036854775807,\"ids\":[-9223372036854775808,1]}");
  mle_free(text);
  mle_json_free(doc);
}

static void doubles_print_exactly(void **state) {
  (void)state;
  mle_json *doc = parse("[7777777388888888.7, 0.1, 1e300, -0.0, 3, 0.30000000000000004]");
  char *text = mle_json_print(doc, false);
  assert_string_equal(text, "[7777777388888889,0.1,1e+300,-0,3,0.30000000000000004]");
  mle_free(text);
  mle_json_free(doc);
}

static void failure_names_the_path(void **state) {
  (void)state;
  mle_json *doc = parse("{\"schemas\": [{}, {\"fields\": [{\"id\": \"x\"}]}]}");
  mle_json_at root = mle_json_root(doc), schemas, schema, fields, field;
  int64_t id;
  mle_error err;
  mle_json_get_array(&root, "schemas", &schemas, NULL);
  mle_json_first(&schemas, &schema);
  mle_json_next(&schema);
  mle_json_get_array(&schema, "fields", &fields, NULL);
  mle_json_first(&fields, &field);
  assert_int_equal(mle_json_get_int(&field, "id", &id, &err), MLE_EFORMAT);
  assert_string_equal(err.message, "$.schemas[1].fields[0].id: must be a whole number of 64 bits");
  mle_json_free(doc);
}

static void bad_texts_are_refused(void **state) {
  (void)state;
  static const char *const bad[] = {
      "",         "{",          "{\"a\":1,\"a\":2}", "[1] x",       "nul",         "{\"a\":}",   "[1,]",       "{\"a\":1,}",
      "[,1]",     "[1 2]",      "{\"a\" 1}",         "{a:1}",       "'a'",         "01",         "1.",         ".5",
      "-",        "1e",         "+1",                "0x1",         "NaN",         "Infinity",   "\"",         "\"\\\"",
      "\"\\x\"", "\"\\u12\"", "\"\\u000g\"",     "\"\\u0000\"", "\"\\ud800\"", "\"\\udc00\"", "\"\\ud800\\u0041\"", "tru",
      "[\"a\\\"]", "]",        "[}",                "{\"a\":1]",    "nullx",       "[nullx]",    "1 2",        "\xEF\xBB"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    mle_json *doc;
    mle_error err;
    assert_int_equal(mle_json_parse(bad[i], strlen(bad[i]), &doc, &err), MLE_EFORMAT);
    assert_null(doc);
  }
}

static void assert_text(const char *json, const char *text) {
  mle_json *doc = parse(json);
  mle_json_at root = mle_json_root(doc);
  const char *found;
  assert_int_equal(mle_json_text(&root, &found, NULL), MLE_OK);
  assert_string_equal(found, text);
  mle_json_free(doc);
}

static void texts_are_unescaped(void **state) {
  (void)state;
  assert_text("\"\"", "");
  assert_text(" \t\r\n\"plain, of more than eight bytes\" ", "plain, of more than eight bytes");
  assert_text("\xEF\xBB\xBF\"mark\"", "mark");
  assert_text("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\b\f\n\r\t");
  assert_text("\"\x7f" "1\"", "\x7f" "1");
  assert_text("\"\\u0041\\u00e9\\u20AC\\ud83d\\ude00.\"", "A\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80.");
  for (int before = 0; before < 20; before++) { /* wherever the eight bytes that are looked at together begin */
    char json[64], text[64];
    snprintf(json, sizeof json, "\"%.*s\\n%.*s\"", before, "abcdefghijklmnopqrst", 19 - before, "ABCDEFGHIJKLMNOPQRST");
    snprintf(text, sizeof text, "%.*s\n%.*s", before, "abcdefghijklmnopqrst", 19 - before, "ABCDEFGHIJKLMNOPQRST");
    assert_text(json, text);
  }
}

static void a_failure_names_line_and_place(void **state) {
  (void)state;
  mle_json *doc;
  mle_error err;
  static const char text[] = "{\"a\": 1,\n \"b\": [true,\n flase]}";
  assert_int_equal(mle_json_parse(text, sizeof text - 1, &doc, &err), MLE_EFORMAT);
  assert_string_equal(err.message, "not JSON: line 3, near 'flase]}'");
  assert_int_equal(mle_json_parse("[1\0]", 4, &doc, &err), MLE_EFORMAT);
}

static void many_members_are_found(void **state) {
  (void)state;
  mle_buffer text = MLE_BUFFER(1 << 20);
  mle_buffer_puts(&text, "{", NULL);
  for (int i = 0; i < 1000; i++) mle_buffer_printf(&text, NULL, "%s\"k%d\": %d", i == 0 ? "" : ", ", i, i);
  mle_buffer_puts(&text, "}", NULL);
  mle_json *doc = parse(text.data);
  mle_json_at root = mle_json_root(doc), item;
  int64_t value;
  assert_int_equal(mle_json_count(&root), 1000);
  assert_int_equal(mle_json_get_int(&root, "k999", &value, NULL), MLE_OK);
  assert_int_equal(value, 999);
  assert_false(mle_json_find(&root, "k", &item));
  mle_json_free(doc);
  memcpy(strstr(text.data, "k998"), "k123", 4);
  mle_error err;
  assert_int_equal(mle_json_parse(text.data, text.len, &doc, &err), MLE_EFORMAT);
  assert_string_equal(err.message, "the key \"k123\" stands twice in one object");
  mle_buffer_release(&text);
}

/* What was parsed may be put into what is built, and outlives its document there. */
static void a_document_is_moved_as_a_copy(void **state) {
  (void)state;
  mle_json *built = mle_json_new_object();
  mle_json *part = parse("{\"id\": 9007199254740993, \"list\": [0.1, {\"x\": null}]}");
  mle_json_add_copy(built, "copy", part);
  mle_json_add(built, "moved", part);
  char *text = mle_json_print(built, false);
  assert_string_equal(text, "{\"copy\":{\"id\":9007199254740993,\"list\":[0.1,{\"x\":null}]},"
                            "\"moved\":{\"id\":9007199254740993,\"list\":[0.1,{\"x\":null}]}}");
  mle_free(text);
  mle_json_free(built);
}

static void nesting_is_bounded(void **state) {
  (void)state;
  char deep[1000];
  mle_json *doc;
  memset(deep, '[', sizeof deep);
  assert_int_equal(mle_json_parse(deep, sizeof deep, &doc, NULL), MLE_EFORMAT);
}

/* Builds, prints, parses under each number of granted allocations until all succeed. */
static mle_status round_trip(void) {
  mle_json *doc = mle_json_new_object(), *back = NULL;
  mle_json_add_int(doc, "id", INT64_MAX);
  mle_json_add_double(mle_json_add_array(doc, "list"), NULL, 0.1);
  mle_json_add_text(mle_json_add_object(doc, "object"), "name", "value");
  char *text = mle_json_print(doc, true);
  mle_status status = text == NULL ? MLE_ENOMEM : mle_json_parse(text, strlen(text), &back, NULL);
  mle_json_free(back);
  mle_free(text);
  mle_json_free(doc);
  return status;
}

static void out_of_memory_is_an_error_and_leaks_nothing(void **state) {
  (void)state;
  long granted = 0;
  for (;; granted++) {
    mle_alloc_fail_after(granted);
    mle_status status = round_trip();
    mle_alloc_fail_after(-1);
    if (status == MLE_OK) break;
    assert_true(status == MLE_ENOMEM || status == MLE_EFORMAT);
  }
  assert_true(granted > 10);
}

/* By trying, as it was done before it was computed: what these texts are compared with. */
static void try_digits(double value, bool single, char *out) {
  for (int digits = single ? 6 : 15; digits <= (single ? 9 : 17); digits++) {
    snprintf(out, MLE_NUMBER_TEXT, "%.*g", digits, value);
    if (single ? (double)strtof(out, NULL) == value : strtod(out, NULL) == value) break;
  }
}

/* Scores as they are answered: any bits, probabilities, halves and their parts, ties, all powers. */
static void float32_prints_as_printf_does(void **state) {
  (void)state;
  uint64_t random = 88172645463325252U;
  for (int i = 0; i < 200000; i++) {
    char ours[MLE_NUMBER_TEXT], theirs[MLE_NUMBER_TEXT];
    random ^= random << 13, random ^= random >> 7, random ^= random << 17;
    uint32_t bits = (uint32_t)(random >> 32);
    float value = (float)bits / 0x1p32F;
    if (i % 4 == 1) value = (float)(bits % 100000) / (float)(1 << bits % 18);
    if (i % 4 == 2) bits = (bits & 0x807FFFFF) | (86 + bits % 75) << 23;
    if (i % 40 == 2) bits &= 0xFF800000; /* powers of two, nearer to the value below */
    if (i % 40 == 6) bits |= 0x7FFFFF;
    if (i % 4000 == 2) bits &= 0x80000000;
    if (i % 4 >= 2) memcpy(&value, &bits, sizeof value);
    if (value != value) continue;
    try_digits((double)value, false, theirs);
    assert_string_equal(mle_double_text((double)value, ours), theirs);
    try_digits((double)value, true, theirs);
    assert_string_equal(mle_float_text(value, ours), theirs);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(snapshot_ids_keep_all_bits),
      cmocka_unit_test(doubles_print_exactly),
      cmocka_unit_test(float32_prints_as_printf_does),
      cmocka_unit_test(failure_names_the_path),
      cmocka_unit_test(bad_texts_are_refused),
      cmocka_unit_test(texts_are_unescaped),
      cmocka_unit_test(a_failure_names_line_and_place),
      cmocka_unit_test(many_members_are_found),
      cmocka_unit_test(a_document_is_moved_as_a_copy),
      cmocka_unit_test(nesting_is_bounded),
      cmocka_unit_test(out_of_memory_is_an_error_and_leaks_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
