#include "rig.h"

#include <math.h>

#include "engine/serve/v2.h"

static mle_features features;

static mle_status parse(const char *body, mle_v2_request *request, mle_rows *rows, mle_error *err) {
  mle_rows_init(rows, features.count);
  return mle_v2_parse(&features, body, strlen(body), strlen(body), request, rows, err);
}

#define NAMED(a, b, c) "{\"inputs\":[" a "," b "," c "]}"
#define A "{\"name\":\"a\",\"shape\":[2],\"datatype\":\"FP64\",\"data\":[1.5,null]}"
#define B "{\"name\":\"b\",\"shape\":[2,1],\"datatype\":\"INT64\",\"data\":[[7],[-2]]}"
#define C "{\"name\":\"c\",\"shape\":[2],\"datatype\":\"BOOL\",\"data\":[true,false]}"

static void same_rows_in_every_form(void **state) {
  (void)state;
  static const char *const forms[] = {
      NAMED(A, B, C),
      NAMED(C, A, B),
      "{\"inputs\":[{\"data\":[true,false],\"datatype\":\"BOOL\",\"shape\":[2,1],\"name\":\"c\"}," A "," B
      ",{\"name\":\"other\",\"shape\":[5],\"datatype\":\"FP32\",\"data\":[1,2,3,4,5]}],\"parameters\":{}}",
      "{\"inputs\":[{\"name\":\"x\",\"shape\":[2,3],\"datatype\":\"FP32\",\"data\":[1.5,7,1,null,-2,0]}]}",
      "{\"inputs\":[{\"name\":\"x\",\"shape\":[2,3],\"datatype\":\"FP64\",\"data\":[[1.5,7,1],[NaN,-2,0]]}],"
      "\"outputs\":[{\"name\":\"predict\",\"parameters\":{\"binary_data\":false}}]}",
  };
  for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
    mle_rows rows;
    mle_v2_request request;
    mle_error err;
    if (parse(forms[i], &request, &rows, &err) != MLE_OK) fail_msg("%s: %s", forms[i], err.message);
    assert_int_equal(rows.count, 2);
    const float *v = rows.values;
    if (!(v[0] == 1.5F && v[1] == 7 && v[2] == 1 && isnan(v[3]) && v[4] == -2 && v[5] == 0))
      fail_msg("%s: %g %g %g %g %g %g", forms[i], v[0], v[1], v[2], v[3], v[4], v[5]);
    assert_string_equal(request.id, "");
    mle_rows_release(&rows);
  }
}

#define ONE(name, shape, type, data)                                                        \
  "{\"inputs\":[{\"name\":\"" name "\",\"shape\":" shape ",\"datatype\":\"" type "\",\"data\":" data "}]}"

static void bad_bodies_say_what_is_wrong(void **state) {
  (void)state;
  static const struct {
    const char *body, *message;
  } bad[] = {
      {"", "no JSON at byte 0"},
      {"{}", "the body needs `inputs`"},
      {"{\"inputs\":[]}", "column 'a' is missing"},
      {"{\"inputs\":[],\"inputs\":[]}", "column 'a' is missing"},
      {"{\"inputs\":[" A "]}", "column 'b' is missing"},
      {"{\"inputs\":[" A "," A "]}", "column 'a' is there twice"},
      {"{\"inputs\":[{\"shape\":[1],\"datatype\":\"FP32\",\"data\":[1]}]}", "inputs[0]: it has no name"},
      {"{\"inputs\":[" A ",5]}", "inputs[1]: byte 72 of the body: an object belongs here, not a number"},
      {"{\"inputs\":[{\"name\":7}]}", "inputs[0]: byte 19 of the body: a text belongs here, not a number"},
      {"{\"inputs\":[{\"name\":\"a\",\"name\":\"b\"}]}", "input 'a': `name` is there twice"},
      {"{\"inputs\":[{\"name\":\"a\",\"shape\":1}]}", "input 'a': byte 31 of the body: a list belongs here, not a number"},
      {"{\"inputs\":[{\"name\":\"a\",\"datatype\":\"FP32\",\"data\":[1]}]}", "input 'a': it has no shape"},
      {"{\"inputs\":[{\"name\":\"a\",\"shape\":[1],\"data\":[1]}]}", "input 'a': it has no datatype"},
      {"{\"inputs\":[{\"name\":\"a\",\"shape\":[1],\"datatype\":\"FP32\"}]}", "input 'a': it has no data"},
      {ONE("a", "[1]", "BYTES", "[\"x\"]"), "column 'a', row 0: a text, but the model takes numbers"},
      {ONE("a", "[1]", "BYTES", "[1]"), "input 'a': BYTES holds texts"},
      {ONE("a", "[1]", "FP16", "[1]"), "input 'a': the datatype must be"},
      {ONE("a", "[-1]", "FP32", "[1]"), "input 'a': a shape has whole numbers"},
      {ONE("a", "[1000001]", "FP32", "[1]"), "input 'a': a shape of more than 1000000; send the rows in parts"},
      {ONE("a", "[1,1,1]", "FP32", "[1]"), "input 'a': a shape has one or two dimensions"},
      {ONE("x", "[2,2]", "FP32", "[1,2,3,4]"), "one tensor must have the shape [rows, 3]"},
      {ONE("x", "[1,3]", "FP32", "[1,2]"), "input 'x': there are fewer values"},
      {ONE("x", "[1,3]", "FP32", "[1,2,1,4]"), "input 'x': there are more values"},
      {ONE("x", "[2,3]", "FP32", "[[1,2],[1,1,1,1]]"), "a nested row does not fit"},
      {ONE("x", "[1,3]", "FP32", "[[[1,2,1]]]"), "column 'a', row 0: a list or object"},
      {ONE("x", "[1,3]", "INT64", "[1.5,2,1]"), "INT64 holds only whole numbers"},
      {ONE("x", "[1,3]", "UINT8", "[256,2,1]"), "UINT8 holds only whole numbers"},
      {ONE("x", "[1,3]", "UINT8", "[-1,2,1]"), "UINT8 holds only whole numbers"},
      {ONE("x", "[1,3]", "FP32", "[true,2,1]"), "belong into a BOOL tensor"},
      {ONE("x", "[1,3]", "BOOL", "[1,0,1]"), "BOOL holds true and false"},
      {ONE("x", "[1,3]", "FP32", "[1,null,1]"), "column 'b', row 0: null"},
      {ONE("x", "[1,3]", "FP32", "[\"1\",2,1]"), "column 'a', row 0: a text"},
      {NAMED(A, "{\"name\":\"b\",\"shape\":[1],\"datatype\":\"INT64\",\"data\":[7]}", C), "another number of rows"},
      {"{\"inputs\":[" A "],\"outputs\":[{\"name\":\"other\"}]}", "column 'b' is missing"},
      {"{\"outputs\":[{\"name\":\"other\"}],\"inputs\":[" A "]}", "there is no output 'other'"},
  };
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    mle_rows rows;
    mle_v2_request request;
    mle_error err = {.message = ""};
    if (parse(bad[i].body, &request, &rows, &err) == MLE_OK) fail_msg("took %s", bad[i].body);
    if (strstr(err.message, bad[i].message) == NULL) fail_msg("%s: %s", bad[i].body, err.message);
    mle_rows_release(&rows);
  }
}

#define COLOURS(type, data) \
  "{\"inputs\":[{\"name\":\"colour\",\"shape\":[4],\"datatype\":\"" type "\"," data "}]}"

/* One column of categories, red and blue; its texts as JSON, then as binary data. */
static void texts_are_categories(void **state) {
  (void)state;
  static char red[] = "red", blue[] = "blue";
  char *names[] = {red, blue};
  mle_features colours;
  assert_int_equal(mle_features_init(&colours, 1, NULL), MLE_OK);
  assert_int_equal(mle_feature_name(&colours, 0, "colour", NULL), MLE_OK);
  assert_int_equal(mle_features_index(&colours, NULL), MLE_OK);
  colours.list[0].type = MLE_FEATURE_STRING;
  colours.list[0].category = (const char *const *)names;
  colours.list[0].num_categories = 2;
  static const char packed[] = "\4\0\0\0blue\3\0\0\0red\0\0\0\0\6\0\0\0purple";
#define PACKED COLOURS("BYTES", "\"parameters\":{\"binary_data_size\":29}")
  static const struct {
    const char *json;
    size_t packed; /* bytes of `packed` behind it */
    const char *message; /* NULL: these are rows */
  } table[] = {
      {COLOURS("BYTES", "\"data\":[\"blue\",\"red\",null,\"purple\"]"), 0, NULL},
      {COLOURS("BYTES", "\"data\":[\"blue\",\"red\",NaN,null]"), 0, NULL},
      {PACKED, 29, NULL},
      {PACKED, 28, "less binary data"},
      {COLOURS("BYTES", "\"parameters\":{\"binary_data_size\":28}"), 28, "input 'colour': its binary data has fewer texts"},
      {COLOURS("BYTES", "\"parameters\":{\"binary_data_size\":17}"), 17, "fewer texts"},
      {"{\"inputs\":[{\"name\":\"colour\",\"shape\":[3],\"datatype\":\"BYTES\",\"parameters\":{\"binary_data_size\":29}}]}", 29,
       "more texts"},
      {COLOURS("FP32", "\"data\":[\"blue\",\"red\",null,\"purple\"]"), 0, "input 'colour': texts belong into a BYTES tensor"},
      {COLOURS("INT32", "\"data\":[1,0,1,0]"), 0, "column 'colour', row 0: a number, but the column holds texts"},
  };
  for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
    mle_rows rows;
    mle_v2_request request;
    mle_error err = {.message = ""};
    mle_buffer body = MLE_BUFFER(4096);
    assert_int_equal(mle_buffer_puts(&body, table[i].json, NULL), MLE_OK);
    assert_int_equal(mle_buffer_append(&body, packed, table[i].packed, NULL), MLE_OK);
    mle_rows_init(&rows, 1);
    mle_status status = mle_v2_parse(&colours, body.data, body.len, strlen(table[i].json), &request, &rows, &err);
    if ((status == MLE_OK) != (table[i].message == NULL)) fail_msg("%s: %s", table[i].json, err.message);
    const float *v = rows.values;
    if (status == MLE_OK && !(v[0] == 1 && v[1] == 0 && isnan(v[2]) && isnan(v[3])))
      fail_msg("%s: %g %g %g %g", table[i].json, v[0], v[1], v[2], v[3]);
    if (status != MLE_OK && strstr(err.message, table[i].message) == NULL) fail_msg("%s: %s", table[i].json, err.message);
    mle_rows_release(&rows);
    mle_buffer_release(&body);
  }
  mle_features_release(&colours);
}

static void the_id_comes_back_as_it_was(void **state) {
  (void)state;
  mle_rows rows;
  mle_v2_request request;
  assert_int_equal(parse("{\"id\":\"a\\u0041\\\"\xC3\xA9\",\"inputs\":[" A "," B "," C "]}", &request, &rows, NULL), MLE_OK);
  assert_string_equal(request.id, "a\\u0041\\\"\xC3\xA9");
  mle_rows_release(&rows);
}

static void out_of_memory_is_an_error_and_leaks_nothing(void **state) {
  (void)state;
  for (long granted = 0;; granted++) {
    mle_rows rows;
    mle_v2_request request;
    mle_alloc_fail_after(granted);
    mle_status status = parse(NAMED(A, B, C), &request, &rows, NULL);
    mle_alloc_fail_after(-1);
    mle_rows_release(&rows);
    if (status == MLE_OK) break;
    assert_int_equal(status, MLE_ENOMEM);
    assert_true(granted < 100);
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
      cmocka_unit_test(bad_bodies_say_what_is_wrong),
      cmocka_unit_test(texts_are_categories),
      cmocka_unit_test(the_id_comes_back_as_it_was),
      cmocka_unit_test(out_of_memory_is_an_error_and_leaks_nothing),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
