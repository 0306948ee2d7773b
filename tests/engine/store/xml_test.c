/* What S3 answers with, and what it should not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "engine/base/alloc.h"
#include "engine/store/xml.h"

typedef struct seen {
  char text[1024];
} seen;

static mle_status see(void *context, const char *path, const char *text, mle_error *err) {
  seen *s = context;
  size_t len = strlen(s->text);
  (void)err;
  snprintf(s->text + len, sizeof s->text - len, "%s=%s\n", path, text);
  return MLE_OK;
}

static mle_status read_text(const char *text, seen *out, mle_error *err) {
  out->text[0] = '\0';
  return mle_xml_read(text, strlen(text), see, out, err);
}

static void elements_come_with_their_paths(void **state) {
  (void)state;
  seen s;
  assert_int_equal(read_text("<?xml version=\"1.0\"?><!-- a > b -->\n<L xmlns='urn:x>y'><K a=\"/>\">a&amp;b "
                             "&lt;&#233;&#x1F600;</K><E/><s:C><Size>7</Size></s:C><K><![CDATA[<&>]]></K></L>\n",
                             &s, NULL), MLE_OK);
  assert_string_equal(s.text, "L/K=a&b <\xc3\xa9\xf0\x9f\x98\x80\nL/E=\nL/C/Size=7\nL/C=\nL/K=<&>\nL=\n");
}

static void what_is_not_whole_is_refused(void **state) {
  (void)state;
  static const char *const bad[] = {
      "", "text", "<", "<a", "<a>", "<a></b>", "</a>", "<a></a", "<a b='></a>", "<a>&", "<a>&x;</a>",
      "<a>&#0;</a>", "<a>&#x110000;</a>", "<a>&#-1;</a>", "<a>&#;</a>", "<a>&toolongentity;</a>", "<!DOCTYPE a><a/>",
      "<a><!ENTITY x></a>", "<a><![CDATA[x</a>", "<a><!-- x</a>", "<?xml", "< a/>", "<a/><b>"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    seen s;
    mle_error err;
    if (read_text(bad[i], &s, &err) != MLE_EFORMAT) fail_msg("'%s' was read", bad[i]);
  }
}

static void nesting_and_texts_have_bounds(void **state) {
  (void)state;
  char deep[500] = "";
  for (int i = 0; i < 40; i++) strcat(deep, "<a>");
  seen s;
  assert_int_equal(read_text(deep, &s, NULL), MLE_EFORMAT);
  size_t len = 200000;
  char *text = mle_alloc(len + 1);
  memset(text, 'x', len);
  memcpy(text, "<a>", 3);
  text[len] = '\0';
  assert_int_equal(read_text(text, &s, NULL), MLE_EREFUSED);
  text[2] = 'x';
  assert_int_equal(read_text(text, &s, NULL), MLE_EFORMAT);
  mle_free(text);
}

static mle_status stop(void *context, const char *path, const char *text, mle_error *err) {
  (void)context, (void)text;
  return mle_fail(err, MLE_ECANCELLED, "%s", path);
}

static void a_visitor_may_stop_it(void **state) {
  (void)state;
  mle_error err;
  assert_int_equal(mle_xml_read("<a><b/>", 7, stop, NULL, &err), MLE_ECANCELLED);
  assert_string_equal(err.message, "a/b");
}

static void out_of_memory(void **state) {
  (void)state;
  mle_status status = MLE_ENOMEM;
  for (long count = 0; status != MLE_OK; count++) {
    seen s;
    mle_alloc_fail_after(count);
    status = read_text("<a><b>text</b><c>&amp;</c></a>", &s, NULL);
    mle_alloc_fail_after(-1);
    if (status != MLE_OK) assert_int_equal(status, MLE_ENOMEM);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(elements_come_with_their_paths), cmocka_unit_test(what_is_not_whole_is_refused),
      cmocka_unit_test(nesting_and_texts_have_bounds),  cmocka_unit_test(a_visitor_may_stop_it),
      cmocka_unit_test(out_of_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
