#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "engine/base/alloc.h"
#include "engine/http/encoding.h"

static mle_buffer make(const char *text, size_t max) {
  mle_buffer body = MLE_BUFFER(max);
  assert_int_equal(mle_buffer_puts(&body, text, NULL), MLE_OK);
  return body;
}

static void what_is_compressed_comes_back(void **state) {
  (void)state;
  mle_buffer body = MLE_BUFFER(1000000);
  for (int i = 0; i < 20000; i++) mle_buffer_printf(&body, NULL, "%d,", i * 7919);
  char *plain = mle_strndup(body.data, body.len);
  size_t len = body.len;
  assert_int_equal(mle_http_gzip(&body, NULL), MLE_OK);
  assert_true(body.len < len);
  assert_int_equal(mle_http_decode("gzip", &body, NULL), MLE_OK);
  assert_int_equal(body.len, len);
  assert_memory_equal(body.data, plain, len);
  mle_free(plain);
  mle_buffer_release(&body);
}

static void damage_bombs_and_others_are_refused(void **state) {
  (void)state;
  mle_buffer body = make("not compressed", 100);
  assert_int_equal(mle_http_decode("", &body, NULL), MLE_OK);
  assert_int_equal(mle_http_decode("identity", &body, NULL), MLE_OK);
  assert_int_equal(mle_http_decode("br", &body, NULL), MLE_EUNSUPPORTED);
  assert_int_equal(mle_http_decode("gzip", &body, NULL), MLE_EFORMAT);
  mle_buffer_release(&body);
  body = MLE_BUFFER(2000000);
  for (int i = 0; i < 100000; i++) mle_buffer_append(&body, "0000000000", 10, NULL);
  assert_int_equal(mle_http_gzip(&body, NULL), MLE_OK);
  body.max = 500000; /* a million zeros come out */
  assert_int_equal(mle_http_decode("gzip", &body, NULL), MLE_EREFUSED);
  body.max = 2000000;
  body.len /= 2;
  assert_int_equal(mle_http_decode("gzip", &body, NULL), MLE_EFORMAT);
  mle_buffer_release(&body);
}

static void out_of_memory_leaves_the_body(void **state) {
  (void)state;
  mle_buffer body = make("some text", 100);
  mle_alloc_fail_after(0);
  assert_int_equal(mle_http_gzip(&body, NULL), MLE_ENOMEM);
  mle_alloc_fail_after(-1);
  assert_string_equal(body.data, "some text");
  mle_buffer_release(&body);
}

static void who_takes_gzip(void **state) {
  (void)state;
  assert_true(mle_http_accepts_gzip("gzip"));
  assert_true(mle_http_accepts_gzip("br;q=1.0, gzip;q=0.5, *;q=0"));
  assert_true(mle_http_accepts_gzip("gzip, deflate;q=0"));
  assert_false(mle_http_accepts_gzip(""));
  assert_false(mle_http_accepts_gzip("br"));
  assert_false(mle_http_accepts_gzip("gzip;q=0"));
  assert_false(mle_http_accepts_gzip("gzip;q=0.0, br"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_is_compressed_comes_back),
      cmocka_unit_test(damage_bombs_and_others_are_refused),
      cmocka_unit_test(out_of_memory_leaves_the_body),
      cmocka_unit_test(who_takes_gzip),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
