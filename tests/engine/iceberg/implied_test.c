/* implied.c: what a condition says of single columns. */
#include "tests/engine/iceberg/support.h"

#include "engine/frame/frame.h"
#include "engine/iceberg/implied.h"

static const mle_type t_long = {.kind = MLE_TYPE_LONG}, t_double = {.kind = MLE_TYPE_DOUBLE}, t_string = {.kind = MLE_TYPE_STRING},
                      t_stamp = {.kind = MLE_TYPE_TIMESTAMP}, t_price = {.kind = MLE_TYPE_DECIMAL, .precision = 9, .scale = 2};
static const mle_field fields[] = {{.id = 1, .name = "a", .type = &t_long},   {.id = 2, .name = "s", .type = &t_string},
                                   {.id = 3, .name = "d", .type = &t_double}, {.id = 4, .name = "t", .type = &t_stamp},
                                   {.id = 5, .name = "odd \"name\"", .type = &t_price}};
static const mle_schema schema = {.num_fields = sizeof fields / sizeof *fields, .fields = fields};

static mle_session *session;

static void says(const char *where, const char *expected) {
  mle_arena arena = MLE_ARENA;
  mle_buffer tree = MLE_BUFFER(1 << 20), text = MLE_BUFFER(1 << 20);
  const mle_condition *condition;
  must(mle_sql_where_tree(session, where, &tree, err));
  must(mle_condition_parse(tree.data, &schema, &arena, &condition, err));
  must(mle_condition_implied(condition, &schema, &text, err));
  assert_string_equal(text.data == NULL ? "" : text.data, expected);
  mle_buffer_release(&text);
  mle_buffer_release(&tree);
  mle_arena_release(&arena);
}

#define A(sign, value) "\"a\" " sign " CAST('" value "' AS BIGINT)"

static void columns_by_themselves(void **state) {
  (void)state;
  says("a in (5, 6) or a = 9", "\"a\" IN (CAST('5' AS BIGINT), CAST('6' AS BIGINT), CAST('9' AS BIGINT))");
  says("a = 9 or a in (9, 5)", "\"a\" IN (CAST('5' AS BIGINT), CAST('9' AS BIGINT))");
  says("a between 1 and 3 or a between 7 and 9", A(">=", "1") " AND " A("<=", "9") " AND (" A("<=", "3") " OR " A(">=", "7") ")");
  says("a < 3 or a > 7", "(" A("<=", "2") " OR " A(">=", "8") ")");
  says("a > 9223372036854775806 or a < -9223372036854775806",
       "(" A("<=", "-9223372036854775807") " OR " A(">=", "9223372036854775807") ")");
  says("not (a not in (2)) or not (a <= 9)", A(">=", "2") " AND (" A("<=", "2") " OR " A(">=", "10") ")");
  says("a between 1 and 5 or a between 4 and 9", A(">=", "1") " AND " A("<=", "9"));
  says("(a < 3 or a > 7) and a > 1 and a < 9", "\"a\" IN (CAST('2' AS BIGINT), CAST('8' AS BIGINT))");
  says("a = 1 and d > 2 or a = 2 and s = 'it''s'", "\"a\" IN (CAST('1' AS BIGINT), CAST('2' AS BIGINT))");
  says("s = 'it''s' or s like 'z%'", "\"s\" >= CAST('it''s' AS VARCHAR) AND (\"s\" <= CAST('it''s' AS VARCHAR) OR \"s\" >= CAST('z' AS VARCHAR))");
  says("t = timestamp '2026-01-02 03:04:05.6' or t = '1969-12-31'",
       "\"t\" IN (CAST('1969-12-31 00:00:00' AS TIMESTAMP), CAST('2026-01-02 03:04:05.600000' AS TIMESTAMP))");
  says("\"odd \"\"name\"\"\" = 1.5 or \"odd \"\"name\"\"\" = -2",
       "\"odd \"\"name\"\"\" IN (CAST('-2.00' AS DECIMAL(9,2)), CAST('1.50' AS DECIMAL(9,2)))");
}

static void nothing_where_a_row_may_be_missed(void **state) {
  (void)state;
  says("a = 1 or a is null", "");
  says("a = 1 or d > 2", "");
  says("a = 1 or a + 1 = 7", "");
  says("a < 5 or a > 3", "");
  says("t < 'infinity' or t = '-infinity'", "");
  says("a <> 1 or a = 2", "");
  says("d = 1 or d = 2", ""); /* NaN */
  says("a = 1 or coalesce(a, 3) = 3", "");
}

static void nothing_where_it_needs_no_help(void **state) {
  (void)state;
  says("a = 1", "");
  says("a > 1 and a < 9 and s in ('x', 'y')", "");
  says("d > 1 and random() < 0.5", "");
}

static int open_session(void **state) {
  (void)state;
  mle_error err;
  return mle_session_open(&(mle_session_options){0}, &session, &err) == MLE_OK ? 0 : -1;
}

static int close_session(void **state) {
  (void)state;
  mle_session_close(session);
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(columns_by_themselves),
      cmocka_unit_test(nothing_where_a_row_may_be_missed),
      cmocka_unit_test(nothing_where_it_needs_no_help),
  };
  return cmocka_run_group_tests(tests, open_session, close_session);
}
