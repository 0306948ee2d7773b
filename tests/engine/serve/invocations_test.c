#include "rig.h"

#include <math.h>

#include "engine/serve/invocations.h"

#define JSON "application/json"
#define CSV "text/csv"

static mle_features features;

static mle_status parse(const char *type, const char *body, mle_rows *rows, mle_error *err) {
  mle_rows_init(rows, features.count);
  return mle_invocations_parse(&features, type, body, strlen(body), rows, err);
}

/* Two rows: 1.5, 7, 1 and missing, -2, 0. */
static void same_rows_in_every_form(void **state) {
  (void)state;
  static const struct {
    const char *type, *body;
  } forms[] = {
      {JSON, "{\"dataframe_split\":{\"columns\":[\"a\",\"b\",\"c\"],\"data\":[[1.5,7,true],[null,-2,false]]}}"},
      {JSON, "{\"dataframe_split\":{\"data\":[[1,7,9,1.5],[0,-2,9,NaN]],\"index\":[0,1],\"columns\":[\"c\",\"b\",\"x\",\"a\"]}}"},
      {JSON, "{\"dataframe_split\":{\"data\":[[1.5,7,1],[null,-2,0]]}}"},
      {JSON, "{\"dataframe_records\":[{\"a\":1.5,\"b\":7,\"c\":true},{\"c\":false,\"z\":{\"y\":[1]},\"b\":-2,\"a\":null}]}"},
      {JSON, "{\"instances\":[[1.5,7,true],[null,-2,false]],\"params\":{\"k\":[1,{}]}}"},
      {JSON, "{\"signature_name\":\"s\",\"instances\":[{\"a\":1.5,\"b\":7,\"c\":1},{\"a\":null,\"b\":-2,\"c\":0}]}"},
      {JSON, "{\"inputs\":{\"b\":[7,-2],\"a\":[1.5,null],\"q\":[\"x\",2],\"c\":[true,false]}}"},
      {JSON, "{\"inputs\":[[1.5,7.9,1],[NaN,-2,0]]}"},
      {"application/json; charset=utf-8", "{\"inputs\":[{\"a\":1.5e0,\"b\":7,\"c\":true},[null,-2,false]]}"},
      {CSV, "a,b,c\n1.5,7,true\n,-2,0\n"},
      {CSV, "\xEF\xBB\xBF\"c\",x,b,\"a\"\r\n1,q,7,1.5\r\nFalse,\"a,\"\"b\",-2,NA"},
      {"TEXT/CSV;charset=\"UTF-8\"", "a,b,c\n\n 1.5 ,7,1\nnan,-2,0"},
  };
  for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
    mle_rows rows;
    mle_error err;
    if (parse(forms[i].type, forms[i].body, &rows, &err) != MLE_OK)
      fail_msg("%s: %s", forms[i].body, err.message);
    assert_int_equal(rows.count, 2);
    const float *v = rows.values;
    if (!(v[0] == 1.5F && v[1] == 7 && v[2] == 1 && isnan(v[3]) && v[4] == -2 && v[5] == 0))
      fail_msg("%s: %g %g %g %g %g %g", forms[i].body, v[0], v[1], v[2], v[3], v[4], v[5]);
    mle_rows_release(&rows);
  }
}

static void check_split(const char *columns, const char *row, const char *problem) {
  char body[256];
  mle_rows rows;
  mle_error err;
  snprintf(body, sizeof body, "{\"dataframe_split\":{\"columns\":%s,\"data\":[%s]}}", columns, row);
  mle_status status = parse(JSON, body, &rows, &err);
  if (problem == NULL) {
    if (status != MLE_OK) fail_msg("%s: %s", body, err.message);
    const float *v = rows.values;
    if (rows.count != 1 || !(v[0] == 1.5F && v[1] == 7 && v[2] == 1)) fail_msg("%s: %g %g %g", body, v[0], v[1], v[2]);
  } else if (status == MLE_OK || strstr(err.message, problem) == NULL) {
    fail_msg("%s: %s", body, status == MLE_OK ? "was taken" : err.message);
  }
  mle_rows_release(&rows);
}

/* More lists than are kept, each twice and again; what only begins as one of them is read for itself. */
static void lists_of_columns_seen_before_mean_the_same(void **state) {
  (void)state;
  for (int round = 0; round < 3; round++) {
    check_split("[\"a\",\"b\",\"c\"]", "[1.5,7,true]", NULL);
    check_split("[\"a\",\"b\",\"c\"]", "[1.5,7]", "row 0 does not have 3 values");
    check_split("[\"c\",\"b\",\"a\"]", "[1,7,1.5]", NULL);
    check_split(" [\"a\",\"b\",\"c\", \"d\"] ", "[1.5,7,1,\"x\"]", NULL);
    check_split("[\"a\",\"b\",\"c\"", "[1.5,7,true]", "expected ',' or ']'");
    check_split("[\"a\",\"b\",\"c\",\"a\"]", "[1.5,7,1,1.5]", "column 'a' is there twice");
    check_split("[\"a\",\"b\"]", "[1.5,7]", "column 'c' is missing");
    check_split("[\"b\",\"a\",\"c\"]", "[7,1.5,1]", NULL);
    check_split("[\"b\",\"c\",\"a\"]", "[7,1,1.5]", NULL);
    check_split("[\"b\",\"c\",\"q\",\"a\"]", "[7,1,null,1.5]", NULL);
  }
}

static void bad_bodies_name_column_and_row(void **state) {
  (void)state;
  static const struct {
    const char *type, *body;
    mle_status status;
    const char *message;
  } bad[] = {
      {JSON, "", MLE_EFORMAT, "the body is no JSON at byte 0: expected '{'"},
      {JSON, "[]", MLE_EINVAL, "byte 0 of the body: an object belongs here, not a list"},
      {JSON, "{\"instances\":5}", MLE_EINVAL, "byte 13 of the body: a list belongs here, not a number"},
      {JSON, "{\"dataframe_records\":{\"a\":1}}", MLE_EINVAL, "a list belongs here, not an object"},
      {JSON, "{\"dataframe_split\":null}", MLE_EINVAL, "an object belongs here, not null"},
      {JSON, "{\"inputs\":{\"a\":1.5}}", MLE_EINVAL, "column 'a': byte 15 of the body: a list belongs here, not a number"},
      {JSON, "{\"inputs\":{\"a\":'x'}}", MLE_EFORMAT, "column 'a': the body is no JSON at byte 15: expected '['"},
      {JSON, "{}", MLE_EINVAL, "the body needs one of dataframe_split"},
      {JSON, "{\"inputs\":[],\"instances\":[]}", MLE_EINVAL, "may have only one of"},
      {JSON, "{\"dataframe_split\":{\"columns\":[\"a\",\"b\"],\"data\":[]}}", MLE_EINVAL, "column 'c' is missing"},
      {JSON, "{\"dataframe_split\":{\"columns\":[\"a\",\"b\",\"c\",\"a\"],\"data\":[]}}", MLE_EINVAL, "column 'a' is there twice"},
      {JSON, "{\"dataframe_split\":{\"columns\":[1],\"data\":[]}}", MLE_EINVAL, "`columns` must be a list of texts"},
      {JSON, "{\"dataframe_split\":{\"columns\":[\"a\",\"b\",\"c\"]}}", MLE_EINVAL, "needs `data`"},
      {JSON, "{\"dataframe_split\":{\"columns\":[\"a\",\"b\",\"c\"],\"data\":[[1,2,1],[1,2]]}}", MLE_EINVAL, "row 1 does not have 3 values"},
      {JSON, "{\"inputs\":[[1,2,1,4]]}", MLE_EINVAL, "row 0 does not have 3 values"},
      {JSON, "{\"inputs\":[1,2,3]}", MLE_EINVAL, "each row must be a list of values or an object"},
      {JSON, "{\"dataframe_records\":[[1,2,3]]}", MLE_EINVAL, "must be a list of objects"},
      {JSON, "{\"dataframe_records\":[{\"a\":1,\"c\":true}]}", MLE_EINVAL, "row 0: column 'b' is missing"},
      {JSON, "{\"dataframe_records\":[{\"a\":1,\"a\":1,\"b\":2,\"c\":true}]}", MLE_EINVAL, "column 'a' is there twice"},
      {JSON, "{\"inputs\":{\"a\":[1],\"b\":[1,2],\"c\":[true]}}", MLE_EINVAL, "column 'b' has another number of values"},
      {JSON, "{\"inputs\":{\"a\":[1,2],\"b\":[1],\"c\":[true]}}", MLE_EINVAL, "column 'b' has another number of values"},
      {JSON, "{\"inputs\":{\"a\":[1],\"b\":[1]}}", MLE_EINVAL, "column 'c' is missing"},
      {JSON, "{\"inputs\":[[\"1\",2,1]]}", MLE_EINVAL, "column 'a', row 0: a text, but"},
      {JSON, "{\"inputs\":[[[1],2,1]]}", MLE_EINVAL, "column 'a', row 0: a list or object"},
      {JSON, "{\"inputs\":[[1,null,1]]}", MLE_EINVAL, "column 'b', row 0: null, but the column is declared long"},
      {JSON, "{\"inputs\":[[1,2,null]]}", MLE_EINVAL, "column 'c', row 0: null, but the column is declared boolean"},
      {JSON, "{\"inputs\":[[1,NaN,1]]}", MLE_EINVAL, "column 'b', row 0: NaN"},
      {JSON, "{\"inputs\":[[1,1e19,1]]}", MLE_EINVAL, "column 'b', row 0: does not fit 64 bits"},
      {JSON, "{\"inputs\":[[1,2,0.5]]}", MLE_EINVAL, "column 'c', row 0: a boolean is"},
      {JSON, "{\"inputs\":[[Infinity,2,1]]}", MLE_EINVAL, "column 'a', row 0: infinity"},
      {JSON, "{\"inputs\":[[1e308,2,1]]}", MLE_EINVAL, "column 'a', row 0: infinity, or too large"},
      {JSON, "{\"inputs\":[[1,2,1]]} x", MLE_EFORMAT, "expected the end of the text"},
      {JSON, "{\"inputs\":[[1,2,1\xFF]]}", MLE_EFORMAT, "not UTF-8"},
      {"application/json; charset=latin-1", "{}", MLE_EUNSUPPORTED, "content type"},
      {"application/jsonx", "{}", MLE_EUNSUPPORTED, "content type"},
      {"", "{}", MLE_EUNSUPPORTED, "content type ''"},
      {CSV, "", MLE_EINVAL, "column 'a' is missing"},
      {CSV, "a,b\n1,2\n", MLE_EINVAL, "column 'c' is missing"},
      {CSV, "a,b,c\n1,2\n", MLE_EINVAL, "row 0 does not have 3 fields"},
      {CSV, "a,b,c\n1,2,1,4\n", MLE_EINVAL, "row 0 does not have 3 fields"},
      {CSV, "a,b,c\n1,x,1\n", MLE_EINVAL, "column 'b', row 0: 'x' is no number"},
      {CSV, "a,b,c\n1,,1\n", MLE_EINVAL, "column 'b', row 0: null"},
      {CSV, "a,b,c\n\"1,2,1\n", MLE_EFORMAT, "does not end"},
      {CSV, "a,b,c\n\"1\"x,2,1\n", MLE_EFORMAT, "behind its closing quote"},
      {CSV, "a,b,c\n0x10,2,1\n", MLE_EINVAL, "is no number"},
  };
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    mle_rows rows;
    mle_error err = {.message = ""};
    if (parse(bad[i].type, bad[i].body, &rows, &err) != bad[i].status)
      fail_msg("%s: %s", bad[i].body, err.message);
    if (strstr(err.message, bad[i].message) == NULL) fail_msg("%s: %s", bad[i].body, err.message);
    mle_rows_release(&rows);
  }
}

static void rows_are_bounded(void **state) {
  (void)state;
  mle_rows rows;
  mle_rows_init(&rows, 3);
  assert_int_equal(mle_rows_resize(&rows, MLE_ROWS_MAX + 1, NULL), MLE_EREFUSED);
  rows.columns = 1 << 20;
  assert_int_equal(mle_rows_resize(&rows, 17, NULL), MLE_EREFUSED);
  assert_null(rows.values);
}

/* Room is made for twice as many, but not for more than a request may have. */
static void rows_that_come_one_by_one_are_bounded(void **state) {
  (void)state;
  static const size_t columns[] = {1, 1 << 20}, most[] = {MLE_ROWS_MAX, 16};
  for (size_t i = 0; i < 2; i++) {
    mle_rows rows;
    float *row;
    mle_error err;
    mle_rows_init(&rows, columns[i]);
    assert_int_equal(mle_rows_resize(&rows, most[i] - most[i] / 4, NULL), MLE_OK);
    while (rows.count < most[i]) assert_int_equal(mle_rows_add(&rows, &row, NULL), MLE_OK);
    assert_int_equal(mle_rows_add(&rows, &row, &err), MLE_EREFUSED);
    assert_non_null(strstr(err.message, i == 0 ? "more than 1000000 rows of 1 columns" : "more than 16 rows"));
    mle_rows_release(&rows);
  }
}

static void float32_is_made_as_pyfunc_makes_it(void **state) {
  (void)state;
  mle_rows rows;
  assert_int_equal(parse(JSON, "{\"inputs\":[[0.1,16777217,1],[1e-46,9223372036854775807,0]]}", &rows, NULL), MLE_OK);
  assert_true(rows.values[0] == 0.1F);
  assert_true(rows.values[1] == 16777216.0F);
  assert_true(rows.values[3] == (float)1e-46);
  assert_true(rows.values[4] == (float)INT64_MAX);
  mle_rows_release(&rows);
}

static void out_of_memory_is_an_error_and_leaks_nothing(void **state) {
  (void)state;
  static const char *const bodies[] = {
      "{\"dataframe_split\":{\"columns\":[\"a\",\"b\",\"c\"],\"data\":[[1,2,1],[1,2,1],[1,2,1]]}}",
      "{\"inputs\":{\"a\":[1,2],\"b\":[1,2],\"c\":[true,false]}}"};
  for (size_t i = 0; i < 2; i++) {
    for (long granted = 0;; granted++) {
      mle_rows rows;
      mle_alloc_fail_after(granted);
      mle_status status = parse(JSON, bodies[i], &rows, NULL);
      mle_alloc_fail_after(-1);
      mle_rows_release(&rows);
      if (status == MLE_OK) break;
      assert_int_equal(status, MLE_ENOMEM);
      assert_true(granted < 100);
    }
  }
}

static int set_up(void **state) {
  (void)state;
  features = make_features();
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  mle_features_release(&features);
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(same_rows_in_every_form),
      cmocka_unit_test(lists_of_columns_seen_before_mean_the_same),
      cmocka_unit_test(bad_bodies_name_column_and_row),
      cmocka_unit_test(rows_are_bounded), cmocka_unit_test(rows_that_come_one_by_one_are_bounded),
      cmocka_unit_test(float32_is_made_as_pyfunc_makes_it),
      cmocka_unit_test(out_of_memory_is_an_error_and_leaks_nothing),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
