/* bitmap.c: what CRoaring, Java and a plain array agree on; bytes that lie. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <roaring/roaring.h>

#include "engine/base/bitmap.h"

enum { ROOM = 300000 };

static void a_set_answers_as_an_array_does(void **state) {
  (void)state;
  static bool in[ROOM];
  static int64_t rows[ROOM];
  static bool live[ROOM];
  mle_bitmap *bitmap = mle_bitmap_new();
  srand(1);
  int64_t count = 0, below = 0;
  for (int i = 0; i < 50000; i++) {
    uint32_t value = (uint32_t)(rand() % ROOM);
    count += !in[value];
    below += !in[value] && value < 1000;
    in[value] = true;
    mle_bitmap_add(bitmap, value);
  }
  for (int i = 0; i < ROOM; i++) rows[i] = i;
  for (int i = 0; i < 1000; i++) rows[i] = rand() % ROOM; /* not ascending, too */
  mle_bitmap_missing(bitmap, rows, ROOM, live);
  for (int i = 0; i < ROOM; i++) assert_int_equal(live[i], !in[rows[i]]);
  assert_int_equal(mle_bitmap_count(bitmap), count);
  assert_int_equal(mle_bitmap_below(bitmap, 1000), below);
  const int64_t odd[] = {-1, (int64_t)1 << 40, 5};
  mle_bitmap_missing(bitmap, odd, 3, live);
  assert_true(live[0] && live[1]);
  mle_bitmap_free(bitmap);
}

/* Containers of all three kinds, as the library itself writes them. */
static char *serialized(size_t *len) {
  roaring_bitmap_t *r = roaring_bitmap_create();
  roaring_bitmap_add_range_closed(r, 10, 70000);
  for (uint32_t i = 0; i < 60000; i += 2) roaring_bitmap_add(r, 200000 + i);
  for (uint32_t i = 0; i < 100; i++) roaring_bitmap_add(r, 4000000000u + 1000 * i);
  roaring_bitmap_run_optimize(r);
  *len = roaring_bitmap_portable_size_in_bytes(r);
  char *bytes = malloc(*len);
  roaring_bitmap_portable_serialize(r, bytes);
  roaring_bitmap_free(r);
  return bytes;
}

static void the_portable_format_is_read(void **state) {
  (void)state;
  size_t len, used;
  char *bytes = serialized(&len);
  mle_bitmap *bitmap = mle_bitmap_new();
  assert_int_equal(mle_bitmap_parse(bitmap, bytes, len, &used, NULL), MLE_OK);
  assert_int_equal(used, len);
  assert_int_equal(mle_bitmap_count(bitmap), 69991 + 30000 + 100);
  assert_true(mle_bitmap_has(bitmap, 4000099000u) && !mle_bitmap_has(bitmap, 9));
  mle_bitmap_free(bitmap);
  free(bytes);
}

/* Cut anywhere it is refused; with any byte changed it is refused or read, and never believed. */
static void damaged_bytes_do_no_harm(void **state) {
  (void)state;
  size_t len, used;
  char *bytes = serialized(&len);
  for (size_t cut = 0; cut < len; cut += 1 + cut / 7) {
    char *copy = malloc(cut + 1); /* its own block, so that the sanitizer sees its end */
    memcpy(copy, bytes, cut);
    mle_bitmap *bitmap = mle_bitmap_new();
    assert_int_equal(mle_bitmap_parse(bitmap, copy, cut, &used, NULL), MLE_EFORMAT);
    mle_bitmap_free(bitmap);
    free(copy);
  }
  srand(2);
  for (int i = 0; i < 300; i++) {
    size_t at = (size_t)rand() % (i < 200 ? 64 : len);
    char before = bytes[at];
    bytes[at] = (char)rand();
    mle_bitmap *bitmap = mle_bitmap_new();
    mle_status status = mle_bitmap_parse(bitmap, bytes, len, &used, NULL);
    assert_true(status == MLE_OK || status == MLE_EFORMAT);
    mle_bitmap_free(bitmap);
    bytes[at] = before;
  }
  free(bytes);
}

static void differences_are_sets_of_their_own(void **state) {
  (void)state;
  mle_bitmap *a = mle_bitmap_new(), *b = mle_bitmap_new();
  for (uint32_t i = 0; i < 10; i++) mle_bitmap_add(a, i * 1000);
  mle_bitmap_add(b, 3000);
  mle_bitmap_add(b, 3001);
  mle_bitmap *less = mle_bitmap_minus(a, b), *same = mle_bitmap_minus(a, NULL);
  assert_int_equal(mle_bitmap_count(less), 9);
  assert_false(mle_bitmap_has(less, 3000));
  assert_int_equal(mle_bitmap_count(same), 10);
  mle_bitmap *rest = mle_bitmap_rest(less, 5000), *nothing = mle_bitmap_rest(b, 0);
  assert_int_equal(mle_bitmap_count(rest), 5000 - 4);
  assert_true(mle_bitmap_has(rest, 3000) && !mle_bitmap_has(rest, 4000) &&
              !mle_bitmap_has(rest, 5000));
  assert_int_equal(mle_bitmap_count(nothing), 0);
  mle_bitmap *const all[] = {a, b, less, same, rest, nothing};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) mle_bitmap_free(all[i]);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(differences_are_sets_of_their_own),
      cmocka_unit_test(a_set_answers_as_an_array_does),
      cmocka_unit_test(the_portable_format_is_read),
      cmocka_unit_test(damaged_bytes_do_no_harm),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
