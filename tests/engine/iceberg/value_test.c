#include "tests/engine/iceberg/support.h"

#include "engine/iceberg/sql_type.h"
#include "engine/iceberg/value.h"

static mle_arena arena;

static const mle_type *type_of(const char *sql) {
  const mle_type *type;
  must(mle_sql_type_parse(sql, &arena, &type, err));
  return type;
}

static mle_bytes bound(const char *sql, mle_bound which, const char *text) {
  mle_bytes out;
  must(mle_value_bound(type_of(sql), which, text, strlen(text), &arena, &out, err));
  return out;
}

static void assert_bytes(mle_bytes found, const void *wanted, size_t len) {
  assert_non_null(found.data);
  assert_int_equal(found.len, len);
  assert_memory_equal(found.data, wanted, len);
}

static void assert_long(const char *sql, const char *text, int64_t wanted) {
  assert_bytes(bound(sql, MLE_BOUND_LOWER, text), &wanted, sizeof wanted);
}

static void assert_int(const char *sql, const char *text, int32_t wanted) {
  assert_bytes(bound(sql, MLE_BOUND_LOWER, text), &wanted, sizeof wanted);
}

/* The dates and times are those of the spec's Appendix B. */
static void numbers_and_times_are_little_endian(void **state) {
  (void)state;
  assert_int("INTEGER", "34", 34);
  assert_int("INTEGER", "-2147483648", INT32_MIN);
  assert_long("BIGINT", "9223372036854775807", INT64_MAX);
  assert_int("DATE", "2017-11-16", 17486);
  assert_int("DATE", "1969-12-31", -1);
  assert_long("TIME", "22:31:08", 81068000000);
  assert_long("TIMESTAMP", "2017-11-16 22:31:08", 1510871468000000);
  assert_long("TIMESTAMP", "2017-11-16 22:31:08.000001", 1510871468000001);
  assert_long("TIMESTAMP WITH TIME ZONE", "1969-12-31 23:59:59.999999+00", -1);
  assert_bytes(bound("BOOLEAN", MLE_BOUND_LOWER, "1"), "\1", 1);
}

static void decimals_of_more_than_128_bits_are_none(void **state) {
  (void)state;
  static const char text[] = "666666666666666666666666666666666666666";
  const mle_type price = {.kind = MLE_TYPE_DECIMAL, .precision = 9, .scale = 2};
  mle_arena arena = MLE_ARENA;
  mle_bytes bytes;
  mle_error err = {0};
  assert_int_equal(mle_value_bound(&price, MLE_BOUND_LOWER, text, strlen(text), &arena, &bytes, &err), MLE_EFORMAT);
  mle_arena_release(&arena);
}

static void decimals_take_the_fewest_bytes(void **state) {
  (void)state;
  assert_bytes(bound("DECIMAL(9,2)", MLE_BOUND_LOWER, "14.20"), "\x05\x8c", 2);
  assert_bytes(bound("DECIMAL(9,2)", MLE_BOUND_LOWER, "-14.20"), "\xfa\x74", 2);
  assert_bytes(bound("DECIMAL(9,2)", MLE_BOUND_LOWER, "0.00"), "\0", 1);
  assert_bytes(bound("DECIMAL(9,2)", MLE_BOUND_LOWER, "1.27"), "\x7f", 1);
  assert_bytes(bound("DECIMAL(9,2)", MLE_BOUND_LOWER, "1.28"), "\x00\x80", 2);
  assert_bytes(bound("DECIMAL(9,2)", MLE_BOUND_LOWER, "-1.28"), "\x80", 1);
  assert_bytes(bound("DECIMAL(38,0)", MLE_BOUND_LOWER, "99999999999999999999999999999999999999"),
               "\x4b\x3b\x4c\xa8\x5a\x86\xc4\x7a\x09\x8a\x22\x3f\xff\xff\xff\xff", 16);
}

static void uuids_and_binaries_are_big_endian(void **state) {
  (void)state;
  assert_bytes(bound("UUID", MLE_BOUND_LOWER, "f79c3e09-677c-4bbd-a479-3f349cb785e7"),
               "\xf7\x9c\x3e\x09\x67\x7c\x4b\xbd\xa4\x79\x3f\x34\x9c\xb7\x85\xe7", 16);
  assert_bytes(bound("BLOB", MLE_BOUND_LOWER, "00010203"), "\0\1\2\3", 4);
  assert_bytes(bound("BLOB", MLE_BOUND_UPPER, "00112233445566778899AABBCCDDEEFF00"),
               "\x00\x11\x22\x33\x44\x55\x66\x77\x88\x99\xaa\xbb\xcc\xdd\xef", 15);
  assert_null(bound("BLOB", MLE_BOUND_UPPER, "FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF").data);
}

static void zero_bounds_have_signs_and_nan_is_none(void **state) {
  (void)state;
  double below = -0.0, above = 0.0;
  float narrow = 0.5F;
  assert_bytes(bound("DOUBLE", MLE_BOUND_LOWER, "0.0"), &below, sizeof below);
  assert_bytes(bound("DOUBLE", MLE_BOUND_UPPER, "-0.0"), &above, sizeof above);
  assert_bytes(bound("FLOAT", MLE_BOUND_UPPER, "0.5"), &narrow, sizeof narrow);
  assert_null(bound("DOUBLE", MLE_BOUND_UPPER, "nan").data);
}

static void texts_are_cut_at_16_characters_and_upper_ones_grow(void **state) {
  (void)state;
  assert_bytes(bound("VARCHAR", MLE_BOUND_LOWER, ""), "", 0);
  assert_bytes(bound("VARCHAR", MLE_BOUND_UPPER, "iceberg"), "iceberg", 7);
  assert_bytes(bound("VARCHAR", MLE_BOUND_LOWER, "0123456789abcdefg"), "0123456789abcdef", 16);
  assert_bytes(bound("VARCHAR", MLE_BOUND_UPPER, "0123456789abcdefg"), "0123456789abcdeg", 16);
  assert_bytes(bound("VARCHAR", MLE_BOUND_UPPER, "0123456789abcdef"), "0123456789abcdef", 16);
  /* 16 characters, not bytes; after U+D7FF comes U+E000 */
  assert_bytes(bound("VARCHAR", MLE_BOUND_UPPER, "äääääääääääääää\xed\x9f\xbfx"),
               "äääääääääääääää\xee\x80\x80", 33);
  assert_bytes(bound("VARCHAR", MLE_BOUND_UPPER, "äaaaaaaaaaaaaaa\xf4\x8f\xbf\xbfx"),
               "äaaaaaaaaaaaaab", 16);
  assert_null(bound("VARCHAR", MLE_BOUND_LOWER, "\xff").data);
}

static void what_has_no_bound_gives_none(void **state) {
  (void)state;
  assert_null(bound("DATE", MLE_BOUND_LOWER, "0044-03-15 (BC)").data);
  assert_null(bound("TIMESTAMP", MLE_BOUND_UPPER, "infinity").data);
  assert_null(bound("INTEGER[]", MLE_BOUND_LOWER, "1").data);
}

static void text_of_another_type_is_refused(void **state) {
  (void)state;
  mle_bytes out;
  mle_error err;
  static const char *const bad[][2] = {{"INTEGER", "x"},          {"DATE", "2020-13-01"},
                                       {"TIME", "1:2"},           {"UUID", "12"},
                                       {"DECIMAL(9,2)", "1.234"}, {"TIMESTAMP", "2020-01-01"}};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    const mle_type *type = type_of(bad[i][0]);
    assert_int_equal(
        mle_value_bound(type, MLE_BOUND_LOWER, bad[i][1], strlen(bad[i][1]), &arena, &out, &err),
        MLE_EFORMAT);
  }
}

static void printing_reads_bounds_back(void **state) {
  (void)state;
  static const char *const cases[][2] = {
      {"INTEGER", "-34"},
      {"DECIMAL(9,2)", "-0.05"},
      {"DECIMAL(38,0)", "99999999999999999999999999999999999999"},
      {"DATE", "0001-01-01"},
      {"DATE", "2020-02-29"},
      {"TIMESTAMP", "1969-12-31 23:59:59.999999"},
      {"DOUBLE", "0.1"},
      {"TIMESTAMP WITH TIME ZONE", "9999-12-31 00:00:00+00"},
      {"TIME", "23:59:59"}};
  mle_buffer text = MLE_BUFFER(1000);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    mle_buffer_clear(&text);
    must(mle_value_print(type_of(cases[i][0]), bound(cases[i][0], MLE_BOUND_LOWER, cases[i][1]),
                         &text, err));
    assert_string_equal(text.data, cases[i][1]);
  }
  mle_buffer_clear(&text);
  must(mle_value_print(type_of("BIGINT"), (mle_bytes){"\1\0\0\0", 4}, &text,
                       err)); /* an int promoted to long */
  assert_string_equal(text.data, "1");
  mle_buffer_release(&text);
}

static int release_all(void **state) {
  (void)state;
  mle_arena_release(&arena);
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(numbers_and_times_are_little_endian),
      cmocka_unit_test(decimals_take_the_fewest_bytes),
      cmocka_unit_test(decimals_of_more_than_128_bits_are_none),
      cmocka_unit_test(uuids_and_binaries_are_big_endian),
      cmocka_unit_test(zero_bounds_have_signs_and_nan_is_none),
      cmocka_unit_test(texts_are_cut_at_16_characters_and_upper_ones_grow),
      cmocka_unit_test(what_has_no_bound_gives_none),
      cmocka_unit_test(text_of_another_type_is_refused),
      cmocka_unit_test(printing_reads_bounds_back),
  };
  return cmocka_run_group_tests(tests, NULL, release_all);
}
