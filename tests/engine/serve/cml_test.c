#include "rig.h"

#include "engine/serve/cml.h"

static mle_status parse(const char *body, mle_cml *out, mle_error *err) {
  return mle_cml_parse(body, strlen(body), out, err);
}

static void a_request_is_a_form_or_a_record(void **state) {
  (void)state;
  static const struct {
    const char *body, *key, *request;
  } table[] = {
      {"{\"accessKey\":\"k\",\"request\":{\"a\":1}}", "k", "{\"dataframe_records\":[{\"a\":1}]}"},
      {"{\"request\":{\"a\":1,\"b\":[{\"x\":null}]},\"accessKey\":\"\"}", "", "{\"dataframe_records\":[{\"a\":1,\"b\":[{\"x\":null}]}]}"},
      {"{\"more\":[1],\"request\":{\"inputs\":[[1]]}}", "", "{\"inputs\":[[1]]}"},
      {"{\"request\":{\"dataframe_split\":{\"columns\":[],\"data\":[]}}}", "", "{\"dataframe_split\":{\"columns\":[],\"data\":[]}}"},
      {"{\"accessKey\":\"\\u006b\",\"request\":{}}", "k", "{\"dataframe_records\":[{}]}"},
  };
  for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
    mle_cml cml;
    mle_error err;
    if (parse(table[i].body, &cml, &err) != MLE_OK) fail_msg("%s: %s", table[i].body, err.message);
    assert_string_equal(cml.key, table[i].key);
    assert_string_equal(cml.request, table[i].request);
    mle_free(cml.request);
  }
}

static void what_it_is_not_is_said(void **state) {
  (void)state;
  static const char *const table[][2] = {
      {"", ""}, {"[]", ""}, {"{", ""},
      {"{}", "needs `request`"},
      {"{\"accessKey\":\"k\"}", "needs `request`"},
      {"{\"request\":[1]}", "`request` must be an object"},
      {"{\"request\":null}", "`request` must be an object"},
      {"{\"request\":{},\"request\":{}}", "`request` is there twice"},
      {"{\"accessKey\":\"a\",\"accessKey\":\"b\",\"request\":{}}", "`accessKey` is there twice"},
      {"{\"accessKey\":1,\"request\":{}}", ""},
      {"{\"request\":{}} x", ""},
      {"{\"request\":{\"a\":\"\xFF\"}}", "not UTF-8"},
  };
  for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
    mle_cml cml;
    mle_error err;
    assert_int_not_equal(parse(table[i][0], &cml, &err), MLE_OK);
    assert_null(cml.request);
    if (strstr(err.message, table[i][1]) == NULL) fail_msg("%s: %s", table[i][0], err.message);
  }
  char body[MLE_CML_KEY_MAX + 64];
  snprintf(body, sizeof body, "{\"accessKey\":\"%0*d\",\"request\":{}}", MLE_CML_KEY_MAX, 1);
  mle_cml cml;
  mle_error err;
  assert_int_equal(parse(body, &cml, &err), MLE_EINVAL);
  assert_non_null(strstr(err.message, "too long"));
}

static void out_of_memory_is_an_error(void **state) {
  (void)state;
  mle_cml cml;
  mle_alloc_fail_after(0);
  mle_status status = parse("{\"request\":{\"a\":1}}", &cml, NULL);
  mle_alloc_fail_after(-1);
  assert_int_equal(status, MLE_ENOMEM);
  assert_null(cml.request);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_request_is_a_form_or_a_record),
      cmocka_unit_test(what_it_is_not_is_said),
      cmocka_unit_test(out_of_memory_is_an_error),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
