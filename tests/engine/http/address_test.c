#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/http/address.h"

static void texts_are_read(void **state) {
  (void)state;
  static const struct {
    const char *text, *host;
    int port;
  } good[] = {{"127.0.0.1:80", "127.0.0.1", 80}, {":81", "default", 81}, {"host", "host", 8700},
              {"[::1]:82", "::1", 82},           {"[::1]", "::1", 8700},  {"h:0", "h", 0}};
  for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
    mle_address at = {.host = "default", .port = 8700};
    assert_int_equal(mle_address_parse(good[i].text, &at, NULL), MLE_OK);
    assert_string_equal(at.host, good[i].host);
    assert_int_equal(at.port, good[i].port);
  }
  static const char *const bad[] = {"h:", "h:x", "h:65536", "h:-1", "[::1", "[::1]x", "h:1 "};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    mle_address at = {.host = "default"};
    if (mle_address_parse(bad[i], &at, NULL) != MLE_EINVAL) fail_msg("took %s", bad[i]);
  }
}

static void a_taken_port_names_who_has_it(void **state) {
  (void)state;
  mle_address at = {.host = "127.0.0.1", .port = 0};
  int fd, second;
  mle_error err;
  char me[64], url[MLE_URL_MAX];
  assert_int_equal(mle_address_listen(&at, &fd, NULL), MLE_OK);
  assert_true(at.port > 0);
  assert_int_equal(mle_address_listen(&at, &second, &err), MLE_EBUSY);
  assert_int_equal(second, -1);
  snprintf(me, sizeof me, "(pid %ld)", (long)getpid());
  if (strstr(err.message, me) == NULL) fail_msg("%s", err.message);
  assert_non_null(strstr(mle_address_url(&at, url), "http://127.0.0.1:"));
  close(fd);
}

static void an_unknown_host_is_an_error(void **state) {
  (void)state;
  mle_address at = {.host = "no.such.host.invalid", .port = 1};
  int fd;
  mle_error err;
  assert_int_equal(mle_address_listen(&at, &fd, &err), MLE_EIO);
  assert_non_null(strstr(err.message, "no.such.host.invalid"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(texts_are_read),
      cmocka_unit_test(a_taken_port_names_who_has_it),
      cmocka_unit_test(an_unknown_host_is_an_error),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
