#include "rig.h"

#include <math.h>

#include "engine/base/alloc.h"
#include "engine/serve/pull.h"

static mle_status pass_over(const char *text, mle_error *err) {
  mle_pull p;
  mle_pull_init(&p, text, strlen(text));
  MLE_TRY(mle_pull_skip(&p, err));
  return mle_pull_end(&p, err);
}

static void numbers_are_those_of_strtod(void **state) {
  (void)state;
  static const char *const texts[] = {
      "0", "-0", "1", "-1", "0.1", "123456789012345678", "9223372036854775807",
      "-9223372036854775808", "9223372036854775808", "1e22", "1e23", "1.7976931348623157e308",
      "5e-324", "2.2250738585072011e-308", "0.3", "1e400", "9007199254740993", "1E+2", "1.5e-7",
      "0.000000000000000000000000000000000000001", "123456.789e-3", "3.4028236e38"};
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
    mle_pull_value value;
    const char *end = texts[i] + strlen(texts[i]);
    assert_ptr_equal(mle_number_scan(texts[i], end, &value), end);
    double wanted = strtod(texts[i], NULL);
    if (memcmp(&value.real, &wanted, sizeof wanted) != 0) fail_msg("%s: %.17g", texts[i], value.real);
  }
}

static void random_numbers_round_trip(void **state) {
  (void)state;
  uint64_t seed = 1;
  for (int i = 0; i < 200000; i++) {
    char text[64];
    double wanted;
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    memcpy(&wanted, &seed, sizeof wanted);
    if (!isfinite(wanted)) continue;
    snprintf(text, sizeof text, i % 2 == 0 ? "%.17g" : "%.6g", wanted);
    mle_pull_value value;
    assert_non_null(mle_number_scan(text, text + strlen(text), &value));
    assert_true(value.real == strtod(text, NULL));
  }
}

/* At the end of its memory, which ASan watches, and with more behind it. */
static void check_number(const char *text) {
  size_t len = strlen(text);
  double wanted = strtod(text, NULL);
  for (int more = 0; more < 2; more++) {
    mle_pull_value value;
    char *copy = mle_format("%s%s", text, more ? ", 12345678.125" : "");
    assert_ptr_equal(mle_number_scan(copy, copy + strlen(copy), &value), copy + len);
    if (memcmp(&value.real, &wanted, sizeof wanted) != 0) fail_msg("%s: %.17g", text, value.real);
    mle_free(copy);
  }
}

/* Quotients by powers of ten that leave nothing, or next to nothing: what is read depends on the last bit. */
static void quotients_are_exact(void **state) {
  (void)state;
  uint64_t seed = 4, power = 1;
  for (int digits = 1; digits <= 17; digits++) {
    power *= 5;
    for (int i = 0; i < 4000; i++) {
      seed = seed * 6364136223846793005u + 1442695040888963407u;
      uint64_t most = UINT64_C(999999999999999999) / power, some = most - (seed >> 20) % (most / 4 + 1);
      uint64_t mantissa = some * power + (uint64_t)(i % 3) - 1;
      char text[64];
      int len = snprintf(text, sizeof text, "%018llu", (unsigned long long)mantissa);
      if (len != 18 || *text == '0') continue;
      memmove(text + len - digits + 1, text + len - digits, (size_t)digits + 1);
      text[len - digits] = '.';
      check_number(text);
    }
  }
}

static void parts_of_any_length_are_read(void **state) {
  (void)state;
  static const char digits[] = "98765432109876543210987654";
  for (int before = 1; before < 22; before++)
    for (int behind = 0; behind < 26; behind++) {
      char text[64];
      snprintf(text, sizeof text, "%.*s%s%.*s", before, digits, behind > 0 ? "." : "", behind, digits);
      check_number(text);
      snprintf(text, sizeof text, "-%.*s%s%.*se-7", before, digits, behind > 0 ? "." : "", behind, digits);
      check_number(text);
      if (before > 1) continue;
      snprintf(text, sizeof text, "-0%s%.*s", behind > 0 ? "." : "", behind, digits);
      check_number(text);
    }
}

/* As repr() writes them: more digits than a double holds, none of them in an exponent. */
static void decimals_of_many_digits_are_those_of_strtod(void **state) {
  (void)state;
  uint64_t seed = 2;
  for (int i = 0; i < 200000; i++) {
    char text[64];
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    uint64_t mantissa = (seed >> 1) >> (i % 12);
    int part = i % 20, len = snprintf(text, sizeof text, "%s%020llu", i % 3 == 0 ? "-" : "", (unsigned long long)mantissa);
    char *point = text + len - part, *first = text + (*text == '-');
    memmove(point + 1, point, (size_t)part + 1);
    *point = '.';
    if (part == 0) *point = '\0';
    while (first[0] == '0' && first[1] >= '0' && first[1] <= '9') memmove(first, first + 1, strlen(first));
    check_number(text);
  }
}

/* Halfway between two doubles, and next to it. */
static void ties_go_to_the_even_double(void **state) {
  (void)state;
  uint64_t seed = 3;
  for (int i = 0; i < 50000; i++) {
    static const char *const parts[] = {"", ".5", ".25", ".75", ".500", ".49", ".51", ".501", ".499", ".250", ".251", ".749"};
    char text[64];
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    snprintf(text, sizeof text, "%llu%s", (unsigned long long)(seed >> (10 + i % 3) | 1), parts[i % 12]);
    check_number(text);
  }
}

static void whole_numbers_keep_64_bits(void **state) {
  (void)state;
  mle_pull_value value;
  mle_pull p;
  mle_pull_init(&p, "9223372036854775807", 19);
  assert_int_equal(mle_pull_number(&p, &value, NULL), MLE_OK);
  assert_true(value.is_whole && value.whole == INT64_MAX);
  mle_pull_init(&p, "9223372036854775808", 19);
  assert_int_equal(mle_pull_number(&p, &value, NULL), MLE_OK);
  assert_false(value.is_whole);
}

static void texts_are_decoded(void **state) {
  (void)state;
  static const struct {
    const char *json, *wanted;
  } texts[] = {
      {"\"plain\"", "plain"},
      {"\"a\\\"b\\\\\\/\\b\\f\\n\\r\\t\"", "a\"b\\/\b\f\n\r\t"},
      {"\"\\u00e9\\u20ac\\ud83d\\ude00\"", "\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80"},
  };
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
    mle_pull p;
    mle_pull_slice text;
    mle_pull_init(&p, texts[i].json, strlen(texts[i].json));
    assert_int_equal(mle_pull_string(&p, &text, NULL), MLE_OK);
    assert_true(mle_pull_is(text, texts[i].wanted));
    assert_int_equal(mle_pull_end(&p, NULL), MLE_OK);
  }
}

static void values_are_passed_over(void **state) {
  (void)state;
  static const char *const good[] = {
      "1", "[]", "{}", "[[],[{}],{\"a\":[1,2,{\"b\":null}]}]", " { \"a\" : true , \"b\" : [ ] } ",
      "NaN", "[-Infinity, Infinity]", "\"\"", "false"};
  for (size_t i = 0; i < sizeof good / sizeof *good; i++)
    if (pass_over(good[i], NULL) != MLE_OK) fail_msg("%s", good[i]);
}

static void failures_name_the_byte(void **state) {
  (void)state;
  static const struct {
    const char *text, *message;
  } bad[] = {
      {"", "at byte 0: expected a number"},
      {"[1 2]", "at byte 3: expected ',' or ']'"},
      {"{\"a\" 1}", "at byte 5: expected ':'"},
      {"{a:1}", "at byte 1: expected '\"'"},
      {"[1,]", "at byte 3: expected a number"},
      {"01", "at byte 0: expected a number"},
      {"1.", "at byte 0: expected a number"},
      {"-", "at byte 0: expected a number"},
      {"1e", "at byte 0: expected a number"},
      {"nul", "at byte 0: expected a value"},
      {"\"a", "at byte 2: the text does not end"},
      {"\"\\x\"", "a bad escape in a text"},
      {"\"\\ud800\"", "a bad escape in a text"},
      {"\"\\udc00\"", "a bad escape in a text"},
      {"\"a\nb\"", "the text does not end"},
      {"1 2", "at byte 2: expected the end of the text"},
      {"[1", "at byte 2: expected ',' or ']'"},
      {"{\"a\":1,}", "at byte 7: expected '\"'"},
  };
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    mle_error err;
    if (pass_over(bad[i].text, &err) != MLE_EFORMAT) fail_msg("took %s", bad[i].text);
    if (strstr(err.message, bad[i].message) == NULL) fail_msg("%s: %s", bad[i].text, err.message);
  }
}

static void nesting_and_texts_are_bounded(void **state) {
  (void)state;
  char deep[200], text[MLE_PULL_TEXT + 64];
  memset(deep, '[', sizeof deep);
  deep[sizeof deep - 1] = '\0';
  assert_int_equal(pass_over(deep, NULL), MLE_EFORMAT);
  memset(text, 'x', sizeof text);
  memcpy(text, "\"\\n", 3);
  memcpy(text + sizeof text - 2, "\"", 2);
  assert_int_equal(pass_over(text, NULL), MLE_EFORMAT); /* escapes, and too long to decode */
  text[1] = text[2] = 'x';
  assert_int_equal(pass_over(text, NULL), MLE_OK); /* no escapes: nothing is copied */
}

static void utf8_is_checked(void **state) {
  (void)state;
  static const char *const bad[] = {"\x80", "\xC0\x80", "\xE0\x80\x80", "\xED\xA0\x80", "\xF5\x80\x80\x80",
                                    "\xC3", "12345678\xFF", "\xF4\x90\x80\x80"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    assert_false(mle_utf8_valid(bad[i], strlen(bad[i])));
  for (int before = 0; before < 80; before++) { /* wherever the bytes that are looked at together begin */
    char text[128];
    snprintf(text, sizeof text, "%*s\xC3\xA9%*s", before, "", 40, "");
    assert_true(mle_utf8_valid(text, strlen(text)));
    text[before] = '\xFF';
    assert_false(mle_utf8_valid(text, strlen(text)));
  }
  static const char good[] = "ascii and \xC3\xA9 \xE2\x82\xAC \xF0\x9F\x98\x80 more";
  assert_true(mle_utf8_valid(good, strlen(good)));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(numbers_are_those_of_strtod), cmocka_unit_test(random_numbers_round_trip),
      cmocka_unit_test(decimals_of_many_digits_are_those_of_strtod), cmocka_unit_test(ties_go_to_the_even_double),
      cmocka_unit_test(quotients_are_exact),         cmocka_unit_test(parts_of_any_length_are_read),
      cmocka_unit_test(whole_numbers_keep_64_bits),  cmocka_unit_test(texts_are_decoded),
      cmocka_unit_test(values_are_passed_over),      cmocka_unit_test(failures_name_the_byte),
      cmocka_unit_test(nesting_and_texts_are_bounded), cmocka_unit_test(utf8_is_checked),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
