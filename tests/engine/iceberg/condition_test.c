/* condition.c, prune.c, transform.c: the spec's vectors; what a filter leaves out, and what it must not. */
#include "tests/engine/iceberg/support.h"

#include <math.h>

#include "engine/iceberg/prune.h"
#include "engine/iceberg/transform.h"

#define DAY_US ((int64_t)86400 * 1000000)

static const mle_type t_int = {.kind = MLE_TYPE_INT}, t_long = {.kind = MLE_TYPE_LONG}, t_float = {.kind = MLE_TYPE_FLOAT},
                      t_double = {.kind = MLE_TYPE_DOUBLE}, t_string = {.kind = MLE_TYPE_STRING}, t_date = {.kind = MLE_TYPE_DATE},
                      t_time = {.kind = MLE_TYPE_TIME}, t_stamp = {.kind = MLE_TYPE_TIMESTAMP}, t_nano = {.kind = MLE_TYPE_TIMESTAMP_NS},
                      t_uuid = {.kind = MLE_TYPE_UUID}, t_binary = {.kind = MLE_TYPE_BINARY}, t_bool = {.kind = MLE_TYPE_BOOLEAN},
                      t_decimal = {.kind = MLE_TYPE_DECIMAL, .precision = 9, .scale = 2};
static const mle_field fields[] = {
    {.id = 1, .name = "i", .type = &t_int},      {.id = 2, .name = "l", .type = &t_long},   {.id = 3, .name = "f", .type = &t_float},
    {.id = 4, .name = "d", .type = &t_double},   {.id = 5, .name = "s", .type = &t_string}, {.id = 6, .name = "day", .type = &t_date},
    {.id = 7, .name = "ts", .type = &t_stamp},   {.id = 8, .name = "b", .type = &t_bool},   {.id = 9, .name = "price", .type = &t_decimal},
};
static const mle_schema schema = {.num_fields = sizeof fields / sizeof *fields, .fields = fields};

static mle_literal whole(mle_wide value) { return (mle_literal){.kind = MLE_LITERAL_WHOLE, .whole = value}; }

static mle_literal bytes(const char *text, size_t len) {
  return (mle_literal){.kind = MLE_LITERAL_BYTES, .bytes = {text, len}};
}

/* ====== Transforms ====== */

static void hashes(const mle_type *type, mle_literal value, int32_t hash) {
  assert_int_equal(mle_bucket_hash(type, &value), hash);
}

/* Spec, Appendix B "32-bit Hash Requirements". */
static void bucket_hashes_are_the_specs(void **state) {
  (void)state;
  static const char uuid[] = "\xf7\x9c\x3e\x09\x67\x7c\x4b\xbd\xa4\x79\x3f\x34\x9c\xb7\x85\xe7";
  hashes(&t_int, whole(34), 2017239379);
  hashes(&t_long, whole(34), 2017239379);
  hashes(&t_decimal, whole(1420), -500754589);
  hashes(&t_date, whole(17486), -653330422);
  hashes(&t_time, whole((mle_wide)((22 * 60 + 31) * 60 + 8) * 1000000), -662762989);
  hashes(&t_stamp, whole((mle_wide)17486 * DAY_US + (mle_wide)((22 * 60 + 31) * 60 + 8) * 1000000), -2047944441);
  hashes(&t_stamp, whole((mle_wide)17486 * DAY_US + (mle_wide)((22 * 60 + 31) * 60 + 8) * 1000000 + 1), -1207196810);
  hashes(&t_nano, whole(((mle_wide)17486 * DAY_US + (mle_wide)((22 * 60 + 31) * 60 + 8) * 1000000 + 1) * 1000 + 1), -1207196810);
  hashes(&t_string, bytes("iceberg", 7), 1210000089);
  hashes(&t_uuid, bytes(uuid, 16), 1488055340);
  hashes(&t_binary, bytes("\0\1\2\3", 4), -188683207);
}

static int64_t applied(const char *name, const mle_type *type, mle_wide value) {
  mle_transform transform = mle_transform_parse(name);
  mle_literal in = whole(value), out = mle_transform_apply(&transform, type, &in);
  assert_int_equal(out.kind, MLE_LITERAL_WHOLE);
  return (int64_t)out.whole;
}

/* Java's TestDates, TestTimestamps, TestTruncate. */
static void times_and_numbers_round_down(void **state) {
  (void)state;
  assert_int_equal(applied("year", &t_date, 17501), 47); /* 2017-12-01 */
  assert_int_equal(applied("month", &t_date, 17501), 575);
  assert_int_equal(applied("day", &t_date, 17501), 17501);
  assert_int_equal(applied("year", &t_date, -1), -1);
  assert_int_equal(applied("month", &t_date, -1), -1);
  assert_int_equal(applied("month", &t_date, 0), 0);
  assert_int_equal(applied("hour", &t_stamp, -1), -1);
  assert_int_equal(applied("day", &t_stamp, -1), -1);
  assert_int_equal(applied("hour", &t_stamp, 3600 * (int64_t)1000000), 1);
  assert_int_equal(applied("day", &t_nano, -1), -1);
  assert_int_equal(applied("truncate[10]", &t_int, 1), 0);
  assert_int_equal(applied("truncate[10]", &t_int, -1), -10);
  assert_int_equal(applied("truncate[50]", &t_decimal, 1065), 1050);
  assert_int_equal(applied("bucket[16]", &t_int, 34), 2017239379 % 16);
}

static bool gives_none(const char *name, const mle_type *type, mle_wide value) {
  mle_transform transform = mle_transform_parse(name);
  mle_literal in = whole(value);
  return mle_transform_apply(&transform, type, &in).kind == MLE_LITERAL_NONE;
}

/* The years are those of Python's proleptic calendar, continued; 400 of them have 146097 days. */
static void extreme_values_have_a_part_or_none(void **state) {
  (void)state;
  const mle_wide widest = ((mle_wide)INT64_MAX << 64) + (mle_wide)UINT64_MAX;
  static const char *const parts[] = {"year", "month", "day", "hour"};
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
    assert_true(gives_none(parts[i], &t_date, INT64_MAX) && gives_none(parts[i], &t_date, INT64_MIN));
    assert_true(gives_none(parts[i], &t_date, (mle_wide)INT32_MAX + 1) && gives_none(parts[i], &t_date, (mle_wide)INT32_MIN - 1));
    assert_true(gives_none(parts[i], &t_stamp, (mle_wide)INT64_MAX + 1) && gives_none(parts[i], &t_stamp, -widest - 1));
    assert_true(gives_none(parts[i], &t_nano, (mle_wide)INT64_MIN - 1) && gives_none(parts[i], &t_nano, widest));
  }
  assert_int_equal(applied("year", &t_date, INT32_MAX), 5879610); /* 5881580-07-11 */
  assert_int_equal(applied("month", &t_date, INT32_MAX), 5879610 * 12 + 6);
  assert_int_equal(applied("year", &t_date, INT32_MIN), -5879611); /* -5877641-06-23 */
  assert_int_equal(applied("month", &t_date, INT32_MIN), -5879611 * 12 + 5);
  assert_int_equal(applied("year", &t_stamp, INT64_MAX), 292277); /* 294247-01-10 */
  assert_int_equal(applied("month", &t_stamp, INT64_MAX), 292277 * 12);
  assert_int_equal(applied("year", &t_stamp, INT64_MIN), -292278); /* -290308-12-21 */
  assert_int_equal(applied("month", &t_stamp, INT64_MIN), -292278 * 12 + 11);
  assert_int_equal(applied("day", &t_nano, INT64_MAX), 106751); /* 2262-04-11 23:47 */
  assert_int_equal(applied("hour", &t_nano, INT64_MAX), 106751 * 24 + 23);
  assert_int_equal(applied("day", &t_nano, INT64_MIN), -106752);
  assert_int_equal(applied("hour", &t_nano, INT64_MIN), -106752 * 24);
  assert_int_equal(applied("bucket[16]", &t_long, INT64_MIN), applied("bucket[16]", &t_stamp, INT64_MIN));
  assert_int_equal(applied("truncate[10]", &t_long, INT64_MAX), INT64_MAX - 7);
  assert_int_equal(applied("truncate[8]", &t_long, INT64_MIN), INT64_MIN);
  assert_int_equal(applied("truncate[10]", &t_int, (mle_wide)INT32_MIN + 8), INT32_MIN + 8);
  assert_true(gives_none("truncate[10]", &t_int, INT32_MIN) && gives_none("truncate[10]", &t_long, INT64_MIN));
  assert_true(gives_none("truncate[10]", &t_decimal, -widest - 1));
}

static void texts_are_cut_by_characters(void **state) {
  (void)state;
  mle_transform transform = mle_transform_parse("truncate[3]");
  mle_literal in = bytes("n\xc3\xa4m\xc3\xa9", 6), out = mle_transform_apply(&transform, &t_string, &in);
  assert_int_equal(out.bytes.len, 4);
  out = mle_transform_apply(&transform, &t_binary, &in);
  assert_int_equal(out.bytes.len, 3);
  assert_int_equal(mle_transform_parse("bucket[0]").kind, MLE_TRANSFORM_UNKNOWN);
  assert_int_equal(mle_transform_parse("zorder").kind, MLE_TRANSFORM_UNKNOWN);
}

/* ====== Conditions ====== */

static mle_arena arena;

/* DuckDB's trees, as short as they are read. */
#define COLUMN(name) "{\"class\":\"COLUMN_REF\",\"column_names\":[\"" name "\"]}"
#define WHOLE(text) "{\"class\":\"CONSTANT\",\"value\":{\"type\":{\"id\":\"INTEGER\"},\"value\":" text "}}"
#define TEXT(text) "{\"class\":\"CONSTANT\",\"value\":{\"type\":{\"id\":\"VARCHAR\"},\"value\":\"" text "\"}}"
#define NUMBER(text, scale) \
  "{\"class\":\"CONSTANT\",\"value\":{\"type\":{\"id\":\"DECIMAL\",\"type_info\":{\"scale\":" scale "}},\"value\":" text "}}"
#define CAST(type, child) "{\"class\":\"CAST\",\"cast_type\":{\"id\":\"" type "\"},\"child\":" child "}"
#define COMPARE(op, left, right) "{\"class\":\"COMPARISON\",\"type\":\"COMPARE_" op "\",\"left\":" left ",\"right\":" right "}"
#define AND(a, b) "{\"class\":\"CONJUNCTION\",\"type\":\"CONJUNCTION_AND\",\"children\":[" a "," b "]}"
#define OR(a, b) "{\"class\":\"CONJUNCTION\",\"type\":\"CONJUNCTION_OR\",\"children\":[" a "," b "]}"
#define NOT(a) "{\"class\":\"OPERATOR\",\"type\":\"OPERATOR_NOT\",\"children\":[" a "]}"
#define LIKE(a, b) "{\"class\":\"FUNCTION\",\"function_name\":\"~~\",\"children\":[" a "," b "]}"
#define OTHER "{\"class\":\"FUNCTION\",\"function_name\":\"random\",\"children\":[]}"

static const mle_condition *parse(const char *where) {
  const mle_condition *condition;
  char *tree = mle_format("{\"statements\":[{\"node\":{\"where_clause\":%s}}]}", where);
  must(mle_condition_parse(tree, &schema, &arena, &condition, err));
  mle_free(tree);
  return condition;
}

static void reads_as(const char *where, const char *text) {
  mle_buffer out = MLE_BUFFER(10000);
  const mle_condition *condition = parse(where);
  if (condition == NULL)
    must(mle_buffer_puts(&out, "nothing", err));
  else
    must(mle_condition_print(condition, &out, err));
  assert_string_equal(out.data, text);
  mle_buffer_release(&out);
}

static void what_is_understood_is_kept_and_the_rest_is_anything(void **state) {
  (void)state;
  reads_as(COMPARE("GREATERTHAN", COLUMN("I"), WHOLE("5")), "i > 5");
  reads_as(COMPARE("GREATERTHAN", WHOLE("5"), COLUMN("i")), "i < 5");
  reads_as(NOT(COMPARE("GREATERTHAN", COLUMN("i"), WHOLE("5"))), "i <= 5");
  reads_as(AND(COMPARE("EQUAL", COLUMN("i"), WHOLE("5")), OTHER), "i = 5");
  reads_as(OR(COMPARE("EQUAL", COLUMN("i"), WHOLE("5")), OTHER), "nothing");
  reads_as(NOT(AND(COMPARE("EQUAL", COLUMN("i"), WHOLE("5")), OTHER)), "nothing");
  reads_as(NOT(OR(COMPARE("LESSTHAN", COLUMN("i"), WHOLE("5")), OTHER)), "i >= 5");
  reads_as(COMPARE("NOTEQUAL", COLUMN("i"), WHOLE("5")), "i IS NOT NULL");
  reads_as(NOT(COMPARE("NOTEQUAL", COLUMN("i"), WHOLE("5"))), "i IS NOT NULL");
  reads_as(COMPARE("EQUAL", COLUMN("i"), COLUMN("l")), "nothing");
  reads_as(COMPARE("GREATERTHAN", COLUMN("i"), NUMBER("1005", "1")), "i >= 100");
  reads_as(COMPARE("LESSTHAN", COLUMN("i"), NUMBER("1005", "1")), "i <= 101");
  reads_as(COMPARE("LESSTHAN", COLUMN("i"), NUMBER("-1000", "1")), "i < -100");
  reads_as(COMPARE("EQUAL", COLUMN("price"), NUMBER("15", "1")), "price = 1.50");
  reads_as(COMPARE("EQUAL", COLUMN("i"), TEXT("12")), "i = 12");
  reads_as(COMPARE("EQUAL", COLUMN("s"), WHOLE("12")), "nothing"); /* DuckDB casts the column */
  reads_as(COMPARE("LESSTHAN", COLUMN("day"), CAST("DATE", TEXT("1969-12-31"))), "day < 1969-12-31");
  reads_as(COMPARE("LESSTHAN", COLUMN("day"), CAST("TIMESTAMP", TEXT("1969-12-31"))), "nothing");
  reads_as(COMPARE("LESSTHAN", COLUMN("ts"), TEXT("1970-01-01 00:00:01")), "ts < 1970-01-01 00:00:01");
  reads_as(COMPARE("LESSTHAN", COLUMN("ts"), TEXT("1970-01-01")), "ts < 1970-01-01 00:00:00");
  reads_as(COMPARE("EQUAL", COLUMN("b"), CAST("BOOLEAN", TEXT("t"))), "b = true");
  reads_as(LIKE(COLUMN("s"), TEXT("ab%c_")), "s begins with 'ab'");
  reads_as(LIKE(COLUMN("s"), TEXT("ab")), "s = 'ab'");
  reads_as(NOT(LIKE(COLUMN("s"), TEXT("ab%"))), "nothing");
}

/* ====== Bounds ====== */

static const char *tree_of(const char *op, const char *column, const char *value) {
  return mle_arena_format(&arena,
                          "{\"class\":\"COMPARISON\",\"type\":\"COMPARE_%s\",\"left\":{\"class\":\"COLUMN_REF\",\"column_names\":[\"%s\"]},"
                          "\"right\":{\"class\":\"CONSTANT\",\"value\":{\"type\":{\"id\":\"INTEGER\"},\"value\":%s}}}",
                          op, column, value);
}

static bool reads_file(const char *where, int id, const void *lower, size_t lower_len, const void *upper, size_t upper_len) {
  const mle_key_bytes low = {id, {lower, lower_len}}, high = {id, {upper, upper_len}};
  const mle_data_file file = {.lower_bounds = {&low, 1}, .upper_bounds = {&high, 1}};
  return mle_prune_file(parse(where), &file) == NULL;
}

static bool ints(const char *op, const char *value, int32_t low, int32_t high) {
  return reads_file(tree_of(op, "i", value), 1, &low, sizeof low, &high, sizeof high);
}

static void bounds_of_a_file(void **state) {
  (void)state;
  assert_false(ints("LESSTHAN", "30", 30, 79));
  assert_true(ints("LESSTHAN", "31", 30, 79));
  assert_true(ints("LESSTHANOREQUALTO", "30", 30, 79));
  assert_false(ints("GREATERTHAN", "79", 30, 79));
  assert_true(ints("GREATERTHANOREQUALTO", "79", 30, 79));
  assert_false(ints("GREATERTHANOREQUALTO", "80", 30, 79));
  assert_false(ints("EQUAL", "29", 30, 79));
  assert_false(ints("EQUAL", "80", 30, 79));
  assert_true(ints("EQUAL", "30", 30, 79));
  assert_true(ints("NOTEQUAL", "30", 30, 30)); /* bounds are never taken for values */
  assert_true(ints("EQUAL", "5", 79, 30));     /* inverted */
  int32_t low = 3, high = 9; /* a long that was an int */
  assert_false(reads_file(tree_of("EQUAL", "l", "10"), 2, &low, 4, &high, 4));
  int64_t wide[] = {3, 9}; /* some write ints in 8 bytes */
  assert_false(reads_file(tree_of("EQUAL", "i", "10"), 1, &wide[0], 8, &wide[1], 8));
  assert_true(reads_file(tree_of("EQUAL", "i", "10"), 1, "abc", 3, "abd", 3));
}

static void nan_is_above_all_numbers_and_in_no_bound(void **state) {
  (void)state;
  double low = 1, high = 2, nan_ = NAN;
  const mle_key_bytes lower = {4, {(char *)&low, 8}}, upper = {4, {(char *)&high, 8}};
  const mle_key_long none = {4, 0}, some = {4, 1};
  mle_data_file file = {.lower_bounds = {&lower, 1}, .upper_bounds = {&upper, 1}};
  const mle_condition *above = parse(COMPARE("GREATERTHAN", COLUMN("d"), WHOLE("5")));
  assert_null(mle_prune_file(above, &file));
  file.nan_counts = (mle_list){&some, 1};
  assert_null(mle_prune_file(above, &file));
  file.nan_counts = (mle_list){&none, 1};
  assert_non_null(mle_prune_file(above, &file));
  assert_non_null(mle_prune_file(parse(COMPARE("LESSTHAN", COLUMN("d"), WHOLE("1"))), &file));
  assert_true(reads_file(tree_of("LESSTHAN", "d", "0"), 4, &nan_, 8, &nan_, 8));
}

static void nulls_are_counted(void **state) {
  (void)state;
  const mle_key_long four = {1, 4}, zero = {1, 0};
  const mle_data_file only = {.value_counts = {&four, 1}, .null_counts = {&four, 1}};
  const mle_data_file no = {.value_counts = {&four, 1}, .null_counts = {&zero, 1}};
  const mle_data_file unknown = {.value_counts = {NULL, 0}};
  const mle_condition *is_null = parse("{\"class\":\"OPERATOR\",\"type\":\"OPERATOR_IS_NULL\",\"children\":[" COLUMN("i") "]}");
  const mle_condition *equal = parse(COMPARE("EQUAL", COLUMN("i"), WHOLE("1")));
  assert_non_null(mle_prune_file(equal, &only));
  assert_null(mle_prune_file(is_null, &only));
  assert_non_null(mle_prune_file(is_null, &no));
  assert_null(mle_prune_file(equal, &no));
  assert_null(mle_prune_file(equal, &unknown));
  assert_null(mle_prune_file(is_null, &unknown));
}

static void texts_by_their_cut_bounds(void **state) {
  (void)state;
  assert_true(reads_file(LIKE(COLUMN("s"), TEXT("abc%")), 5, "ab", 2, "abd", 3));
  assert_false(reads_file(LIKE(COLUMN("s"), TEXT("abe%")), 5, "ab", 2, "abd", 3));
  assert_false(reads_file(LIKE(COLUMN("s"), TEXT("a%")), 5, "b", 1, "c", 1));
  assert_false(reads_file(COMPARE("EQUAL", COLUMN("s"), TEXT("b")), 5, "ab", 2, "abd", 3));
}

/* ====== Partitions ====== */

static bool reads_part(const char *transform, int source, const char *where, mle_datum value) {
  const mle_partition_field part = {source, 1000, "p", transform};
  const mle_partition_spec spec = {0, 1, &part};
  value.field_id = 1000;
  const mle_list tuple = {&value, 1};
  return mle_prune_partition(parse(where), &spec, &tuple) == NULL;
}

#define INT(value) (mle_datum){.kind = MLE_DATUM_INT, .integer = (value)}
#define STR(value) (mle_datum){.kind = MLE_DATUM_TEXT, .bytes = {value, sizeof value - 1}}
#define NIL (mle_datum){.kind = MLE_DATUM_NULL}

static void partitions_by_every_transform(void **state) {
  (void)state;
  const char *is_34 = COMPARE("EQUAL", COLUMN("i"), WHOLE("34")), *above = COMPARE("GREATERTHAN", COLUMN("i"), WHOLE("34"));
  assert_true(reads_part("bucket[16]", 1, is_34, INT(2017239379 % 16)));
  assert_false(reads_part("bucket[16]", 1, is_34, INT(4)));
  assert_true(reads_part("bucket[16]", 1, above, INT(4))); /* buckets have no order */
  assert_false(reads_part("bucket[16]", 1, above, NIL));   /* but nulls pass no comparison */
  assert_false(reads_part("truncate[10]", 1, above, INT(20)));
  assert_true(reads_part("truncate[10]", 1, above, INT(30)));
  assert_true(reads_part("identity", 5, LIKE(COLUMN("s"), TEXT("ab%")), STR("abc")));
  assert_false(reads_part("truncate[2]", 5, LIKE(COLUMN("s"), TEXT("abc%")), STR("ac")));
  assert_true(reads_part("truncate[2]", 5, LIKE(COLUMN("s"), TEXT("abc%")), STR("ab")));
  assert_false(reads_part("truncate[4]", 5, LIKE(COLUMN("s"), TEXT("b%")), STR("abcd")));
  const char *late = COMPARE("GREATERTHANOREQUALTO", COLUMN("ts"), TEXT("2020-03-01"));
  assert_true(reads_part("year", 7, late, INT(50)));
  assert_false(reads_part("year", 7, late, INT(49)));
  assert_false(reads_part("month", 7, late, INT(601)));
  assert_true(reads_part("month", 7, late, INT(602)));
  assert_false(reads_part("day", 7, late, INT(18321)));
  assert_true(reads_part("hour", 7, late, INT(18322 * 24)));
  const char *old = COMPARE("EQUAL", COLUMN("ts"), TEXT("1969-12-31 23:00:00"));
  assert_true(reads_part("day", 7, old, INT(-1)));
  assert_true(reads_part("day", 7, old, INT(0))); /* old writers rounded towards zero */
  assert_false(reads_part("day", 7, old, INT(1)));
  assert_true(reads_part("void", 1, is_34, NIL));
  assert_true(reads_part("zorder", 1, is_34, INT(0)));
}

static void manifests_by_their_summaries(void **state) {
  (void)state;
  const int32_t low = 10, high = 20;
  mle_field_summary summary = {.contains_nan = MLE_NULL_BOOL, .lower = {(const char *)&low, 4}, .upper = {(const char *)&high, 4}};
  const mle_partition_field part = {1, 1000, "p", "identity"};
  const mle_partition_spec spec = {0, 1, &part};
  mle_manifest_file manifest = {.partitions = {&summary, 1}};
  const mle_condition *condition = parse(COMPARE("GREATERTHAN", COLUMN("i"), WHOLE("20")));
  assert_ptr_equal(mle_prune_manifest(condition, &spec, &manifest), condition);
  assert_null(mle_prune_manifest(parse(COMPARE("EQUAL", COLUMN("i"), WHOLE("20"))), &spec, &manifest));
  summary.lower = summary.upper = (mle_bytes){NULL, 0}; /* some leave them out */
  assert_null(mle_prune_manifest(condition, &spec, &manifest));
  manifest.partitions.count = 0;
  assert_null(mle_prune_manifest(condition, &spec, &manifest));
}

static int release(void **state) {
  (void)state;
  mle_arena_release(&arena);
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(bucket_hashes_are_the_specs),
      cmocka_unit_test(times_and_numbers_round_down),
      cmocka_unit_test(extreme_values_have_a_part_or_none),
      cmocka_unit_test(texts_are_cut_by_characters),
      cmocka_unit_test(what_is_understood_is_kept_and_the_rest_is_anything),
      cmocka_unit_test(bounds_of_a_file),
      cmocka_unit_test(nan_is_above_all_numbers_and_in_no_bound),
      cmocka_unit_test(nulls_are_counted),
      cmocka_unit_test(texts_by_their_cut_bounds),
      cmocka_unit_test(partitions_by_every_transform),
      cmocka_unit_test(manifests_by_their_summaries),
  };
  return cmocka_run_group_tests(tests, NULL, release);
}
