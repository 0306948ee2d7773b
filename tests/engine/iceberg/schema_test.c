#include "tests/engine/iceberg/support.h"

#include "engine/iceberg/schema.h"
#include "engine/iceberg/sql_type.h"

static const char every_type[] =
    "{\"type\":\"struct\",\"schema-id\":3,\"identifier-field-ids\":[1],\"fields\":["
    "{\"id\":1,\"name\":\"a\",\"type\":\"boolean\",\"required\":true,\"doc\":\"first\"},"
    "{\"id\":2,\"name\":\"b\",\"type\":\"decimal(9, 2)\",\"required\":false},"
    "{\"id\":3,\"name\":\"c\",\"type\":\"fixed[16]\",\"required\":false},"
    "{\"id\":4,\"name\":\"d\",\"type\":\"timestamptz_ns\",\"required\":false},"
    "{\"id\":5,\"name\":\"e\",\"type\":\"geometry(srid:3857)\",\"required\":false},"
    "{\"id\":6,\"name\":\"f\",\"type\":{\"type\":\"list\",\"element-id\":7,\"element\":"
    "{\"type\":\"struct\",\"fields\":[{\"id\":8,\"name\":\"x\",\"type\":\"int\",\"required\":true}]"
    "},"
    "\"element-required\":false},\"required\":false},"
    "{\"id\":9,\"name\":\"g\",\"type\":{\"type\":\"map\",\"key-id\":10,\"key\":\"string\",\"value-"
    "id\":11,"
    "\"value\":\"uuid\",\"value-required\":true},\"required\":false,\"initial-default\":null}]}";

static mle_status read_and_print(mle_error *err) {
  mle_arena arena = MLE_ARENA;
  mle_json *doc = NULL;
  const mle_schema *schema;
  mle_status status;
  MLE_GO(mle_json_parse(every_type, strlen(every_type), &doc, err));
  mle_json_at root = mle_json_root(doc);
  MLE_GO(mle_schema_parse(&root, &arena, &schema, err));
  mle_buffer printed = MLE_BUFFER(1 << 16);
  status = mle_schema_print(schema, &printed, err);
  if (status == MLE_OK && strstr(printed.data, "\"decimal(9, 2)\"") == NULL) fail();
  mle_buffer_release(&printed);
done:
  mle_json_free(doc);
  mle_arena_release(&arena);
  return status;
}

static void every_type_survives_a_round_trip(void **state) {
  (void)state;
  mle_arena arena = MLE_ARENA;
  mle_json *doc;
  const mle_schema *schema;
  must(mle_json_parse(every_type, strlen(every_type), &doc, err));
  mle_json_at root = mle_json_root(doc);
  must(mle_schema_parse(&root, &arena, &schema, err));
  mle_buffer once = MLE_BUFFER(1 << 16), twice = MLE_BUFFER(1 << 16);
  must(mle_schema_print(schema, &once, err));
  mle_json_free(doc);
  must(mle_json_parse(once.data, once.len, &doc, err));
  root = mle_json_root(doc);
  must(mle_schema_parse(&root, &arena, &schema, err));
  must(mle_schema_print(schema, &twice, err));
  assert_string_equal(once.data, twice.data);
  assert_int_equal(schema->id, 3);
  assert_int_equal(schema->identifiers[0], 1);
  assert_string_equal(schema->fields[0].doc, "first");
  mle_buffer_release(&once);
  mle_buffer_release(&twice);
  mle_json_free(doc);
  mle_arena_release(&arena);
}

static void assert_refused(const char *type, const char *why) {
  mle_arena arena = MLE_ARENA;
  mle_json *doc;
  const mle_type *out;
  mle_error err;
  must(mle_json_parse(type, strlen(type), &doc, err));
  mle_json_at root = mle_json_root(doc);
  assert_int_equal(mle_type_parse(&root, &arena, &out, &err), MLE_EFORMAT);
  assert_message(err, why);
  mle_json_free(doc);
  mle_arena_release(&arena);
}

static void bad_types_are_refused_with_their_place(void **state) {
  (void)state;
  assert_refused("\"decimal(39, 2)\"", "decimal(39, 2)");
  assert_refused("\"decimal(9)\"", "decimal(9)");
  assert_refused("\"fixed[-1]\"", "fixed[-1]");
  assert_refused("\"\"", "$");
  assert_refused(
      "{\"type\":\"list\",\"element-id\":1,\"element\":\"integer\",\"element-required\":true}",
      "$.element");
  assert_refused("{\"type\":\"struct\",\"fields\":[{\"id\":1,\"name\":\"x\",\"required\":true}]}",
                 "$.fields[0]");
}

/* ====== DuckDB's names ====== */

static mle_status sql_round_trip(const char *sql, const char *wanted, mle_error *err) {
  mle_arena arena = MLE_ARENA;
  const mle_type *type;
  mle_buffer text = MLE_BUFFER(1 << 16);
  mle_status status = mle_sql_type_parse(sql, &arena, &type, err);
  if (status == MLE_OK) status = mle_sql_type_print(type, &text, err);
  if (status == MLE_OK) assert_string_equal(text.data, wanted);
  mle_buffer_release(&text);
  mle_arena_release(&arena);
  return status;
}

static void sql_types_are_read_and_printed(void **state) {
  (void)state;
  static const char *const cases[][2] = {
      {"TINYINT", "INTEGER"},
      {"UINTEGER", "BIGINT"},
      {"TIMESTAMP_S", "TIMESTAMP"},
      {"TIMESTAMP WITH TIME ZONE", "TIMESTAMP WITH TIME ZONE"},
      {"DECIMAL(18,3)", "DECIMAL(18,3)"},
      {"ENUM('a', 'it''s (odd)', ')')", "VARCHAR"},
      {"INTEGER[][3]", "INTEGER[][]"},
      {"STRUCT(\"a \"\"b\"\"\" INTEGER, c VARCHAR[])[]",
       "STRUCT(\"a \"\"b\"\"\" INTEGER, \"c\" VARCHAR[])[]"},
      {"MAP(VARCHAR, STRUCT(x DOUBLE))", "MAP(VARCHAR, STRUCT(\"x\" DOUBLE))"},
      {"BLOB", "BLOB"},
      {"UUID", "UUID"}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
    must(sql_round_trip(cases[i][0], cases[i][1], err));
}

static void sql_types_without_a_home_come_with_advice(void **state) {
  (void)state;
  static const char *const cases[][2] = {{"HUGEINT", "DECIMAL(38,0)"},
                                         {"UBIGINT", "DECIMAL(20,0)"},
                                         {"TIMESTAMP_NS", "cast it to TIMESTAMP"},
                                         {"STRUCT(a INTERVAL)", "seconds"},
                                         {"\"NULL\"", "NULL::DOUBLE"},
                                         {"UNION(a INTEGER)", "members"}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    mle_error err = {0};
    assert_int_equal(sql_round_trip(cases[i][0], "", &err), MLE_EUNSUPPORTED);
    assert_message(err, cases[i][1]);
  }
  static const char *const bad[] = {
      "",           "NOTHING",  "STRUCT(",   "STRUCT(a)",     "MAP(INTEGER)",
      "DECIMAL(3)", "INTEGER[", "INTEGER x", "DECIMAL(40,1)", "ENUM('"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    assert_int_equal(sql_round_trip(bad[i], "", NULL), MLE_EUNSUPPORTED);
}

static void deep_sql_types_are_refused(void **state) {
  (void)state;
  char deep[4000] = "";
  for (int i = 0; i < 300; i++) strcat(deep, "MAP(INTEGER,");
  assert_int_equal(sql_round_trip(deep, "", NULL), MLE_EUNSUPPORTED);
}

/* PyIceberg and Java number the top level first, then what each field holds. */
static void new_schemas_are_numbered_level_by_level(void **state) {
  (void)state;
  mle_arena arena = MLE_ARENA;
  const mle_column_spec columns[] = {{"id", "BIGINT", false},
                                     {"st", "STRUCT(x INTEGER, y DOUBLE)", true},
                                     {"li", "STRUCT(a BIGINT)[]", true},
                                     {"mp", "MAP(VARCHAR, BIGINT)", true}};
  const mle_schema *schema;
  int last;
  must(mle_schema_from_columns(columns, 4, &arena, &schema, &last, err));
  assert_int_equal(last, 10);
  assert_true(schema->fields[0].required);
  assert_int_equal(schema->fields[1].type->fields[1].id, 6);
  assert_int_equal(schema->fields[2].type->fields[0].id, 7);
  assert_int_equal(schema->fields[2].type->fields[0].type->fields[0].id, 8);
  assert_int_equal(schema->fields[3].type->fields[1].id, 10);
  mle_buffer ids = MLE_BUFFER(1000);
  must(mle_sql_field_ids(schema, &ids, err));
  assert_string_equal(
      ids.data,
      "'id': 1, 'st': {__duckdb_field_id: 2, 'x': 5, 'y': 6}, 'li': {__duckdb_field_id: 3, "
      "'element': "
      "{__duckdb_field_id: 7, 'a': 8}}, 'mp': {__duckdb_field_id: 4, 'key': 9, 'value': 10}");
  mle_buffer_release(&ids);
  mle_arena_release(&arena);
}

static void column_names_must_differ_by_more_than_case(void **state) {
  (void)state;
  mle_arena arena = MLE_ARENA;
  const mle_column_spec columns[] = {{"a", "BIGINT", true}, {"A", "BIGINT", true}};
  const mle_schema *schema;
  mle_error err;
  int last;
  assert_int_equal(mle_schema_from_columns(columns, 2, &arena, &schema, &last, &err), MLE_EINVAL);
  assert_message(err, "'a' and 'A'");
  assert_int_equal(mle_schema_from_columns(columns, 0, &arena, &schema, &last, &err), MLE_EINVAL);
  mle_arena_release(&arena);
}

static bool widens(const char *from, const char *to) {
  mle_arena arena = MLE_ARENA;
  const mle_type *a, *b;
  must(mle_sql_type_parse(from, &arena, &a, err));
  must(mle_sql_type_parse(to, &arena, &b, err));
  bool result = mle_type_widens(a, b);
  mle_arena_release(&arena);
  return result;
}

static void only_lossless_promotions_widen(void **state) {
  (void)state;
  assert_true(widens("INTEGER", "BIGINT"));
  assert_true(widens("FLOAT", "DOUBLE"));
  assert_true(widens("DECIMAL(9,2)", "DECIMAL(18,2)"));
  assert_true(widens("STRUCT(a INTEGER)", "STRUCT(b VARCHAR, a BIGINT)"));
  assert_true(widens("INTEGER[]", "BIGINT[]"));
  assert_false(widens("BIGINT", "INTEGER"));
  assert_false(widens("DECIMAL(9,2)", "DECIMAL(9,3)"));
  assert_false(widens("VARCHAR", "FLOAT"));
  assert_false(widens("STRUCT(a INTEGER, c DATE)", "STRUCT(a INTEGER)"));
  assert_false(widens("INTEGER", "INTEGER[]"));
}

static void out_of_memory_leaks_nothing(void **state) {
  (void)state;
  assert_true(exhaust_memory(read_and_print) > 20);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_type_survives_a_round_trip),
      cmocka_unit_test(bad_types_are_refused_with_their_place),
      cmocka_unit_test(sql_types_are_read_and_printed),
      cmocka_unit_test(sql_types_without_a_home_come_with_advice),
      cmocka_unit_test(deep_sql_types_are_refused),
      cmocka_unit_test(new_schemas_are_numbered_level_by_level),
      cmocka_unit_test(column_names_must_differ_by_more_than_case),
      cmocka_unit_test(only_lossless_promotions_widen),
      cmocka_unit_test(out_of_memory_leaks_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
