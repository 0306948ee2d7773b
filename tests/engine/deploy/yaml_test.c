#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "engine/base/alloc.h"
#include "engine/deploy/yaml.h"

static const char text[] =
    "# a comment\n"
    "flavors:\n"
    "  python_function:\n"
    "    env:\n"
    "      conda: conda.yaml\n"
    "    python_version: 3.11.7\n"
    "  xgboost:\n"
    "    code: null\n"
    "    data: model.ubj   # behind a value\n"
    "    deep:\n"
    "      list:\n"
    "      - a: 1\n"
    "        b: 2\n"
    "      - c\n"
    "      after: yes\n"
    "block: |\n"
    "  key: not a key\n"
    "\n"
    "  more\n"
    "plain: goes on\n"
    "  here\n"
    "single: 'it''s folded\n"
    "  twice\n"
    "\n"
    "  with a break'\n"
    "double: \"a\\tb\\u00e9\\\n"
    "  \\ c\\x41\"\n"
    "\"quoted key\": 'x'\n"
    "empty:\n"
    "url: http://h:80/p\n"
    "quoted_null: 'null'\n"
    "last: z";

static void scalars_are_found_by_path(void **state) {
  (void)state;
  static const struct {
    const char *path, *wanted;
  } table[] = {
      {"flavors.python_function.env.conda", "conda.yaml"},
      {"flavors.python_function.python_version", "3.11.7"},
      {"flavors.xgboost.code", NULL},
      {"flavors.xgboost.data", "model.ubj"},
      {"flavors.xgboost.deep.after", "yes"},
      {"flavors.xgboost.deep.list.a", NULL},
      {"block", NULL},
      {"block.key", NULL},
      {"key", NULL},
      {"plain", "goes on here"},
      {"single", "it's folded twice\nwith a break"},
      {"double", "a\tb\xC3\xA9 cA"},
      {"quoted key", "x"},
      {"empty", NULL},
      {"url", "http://h:80/p"},
      {"quoted_null", "null"},
      {"last", "z"},
  };
  mle_arena memory = MLE_ARENA;
  mle_yaml *doc;
  mle_error err;
  if (mle_yaml_parse(text, strlen(text), &memory, &doc, &err) != MLE_OK) fail_msg("%s", err.message);
  for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
    const char *found = mle_yaml_find(doc, table[i].path);
    if (table[i].wanted == NULL)
      assert_null(found);
    else if (found == NULL || strcmp(found, table[i].wanted) != 0)
      fail_msg("%s: '%s'", table[i].path, found == NULL ? "(none)" : found);
  }
  mle_arena_release(&memory);
}

static void bad_texts_name_the_line(void **state) {
  (void)state;
  static const struct {
    const char *text, *message;
  } bad[] = {
      {"a: 1\nb: 'open\n", "line 3: a quoted text does not end"},
      {"a: \"\\q\"", "line 1: a bad escape"},
      {"just text\n", "line 1: expected a key and ':'"},
      {"a:\n b:\n  c:\n   d:\n    e:\n     f:\n      g:\n       h:\n        i:\n         j:\n          k:\n"
       "           l:\n            m:\n             n:\n              o:\n               p:\n                q: 1\n",
       "nested too deeply"},
  };
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    mle_arena memory = MLE_ARENA;
    mle_yaml *doc;
    mle_error err = {.message = ""};
    assert_int_equal(mle_yaml_parse(bad[i].text, strlen(bad[i].text), &memory, &doc, &err), MLE_EFORMAT);
    if (strstr(err.message, bad[i].message) == NULL) fail_msg("%s", err.message);
    mle_arena_release(&memory);
  }
}

/* Every cut of a good text is parsed or refused, never read past. */
static void cuts_do_no_harm(void **state) {
  (void)state;
  for (size_t len = 0; len < sizeof text; len++) {
    char *cut = mle_alloc(len + 1); /* of its own, so that ASan sees a read behind it */
    memcpy(cut, text, len);
    mle_arena memory = MLE_ARENA;
    mle_yaml *doc;
    char *exact = mle_alloc(len == 0 ? 1 : len);
    memcpy(exact, text, len);
    mle_yaml_parse(exact, len, &memory, &doc, NULL);
    mle_arena_release(&memory);
    mle_free(exact);
    mle_free(cut);
  }
}

static void out_of_memory_is_an_error_and_leaks_nothing(void **state) {
  (void)state;
  for (long granted = 0;; granted++) {
    mle_arena memory = MLE_ARENA;
    mle_yaml *doc;
    mle_alloc_fail_after(granted);
    mle_status status = mle_yaml_parse(text, strlen(text), &memory, &doc, NULL);
    mle_alloc_fail_after(-1);
    mle_arena_release(&memory);
    if (status == MLE_OK) break;
    assert_int_equal(status, MLE_ENOMEM);
    assert_true(granted < 1000);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(scalars_are_found_by_path),
      cmocka_unit_test(bad_texts_name_the_line),
      cmocka_unit_test(cuts_do_no_harm),
      cmocka_unit_test(out_of_memory_is_an_error_and_leaks_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
