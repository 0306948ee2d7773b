#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "engine/base/alloc.h"
#include "engine/base/arena.h"

static void memory_is_zeroed_and_aligned(void **state) {
  (void)state;
  mle_arena arena = MLE_ARENA;
  for (int round = 0; round < 3; round++, mle_arena_clear(&arena)) {
    assert_string_equal(mle_arena_text(&arena, "odder", 3), "odd");
    for (int i = 1; i < 200; i++) {
      uint64_t *numbers = mle_arena_array(&arena, (size_t)i, sizeof *numbers);
      assert_non_null(numbers);
      assert_int_equal((uintptr_t)numbers % _Alignof(max_align_t), 0);
      for (int j = 0; j < i; j++) assert_true(numbers[j] == 0);
      memset(numbers, 0xff, (size_t)i * sizeof *numbers);
    }
  }
  mle_arena_release(&arena);
  assert_null(arena.blocks);
}

static void sizes_that_overflow_give_null(void **state) {
  (void)state;
  mle_arena arena = MLE_ARENA;
  assert_null(mle_arena_array(&arena, SIZE_MAX / 2, 4));
  assert_null(mle_arena_alloc(&arena, SIZE_MAX));
  assert_null(mle_arena_text(&arena, "", SIZE_MAX));
  mle_arena_release(&arena);
}

static void out_of_memory_gives_null(void **state) {
  (void)state;
  mle_arena arena = MLE_ARENA;
  mle_alloc_fail_after(0);
  assert_null(mle_arena_alloc(&arena, 1));
  assert_null(mle_arena_format(&arena, "%d", 1));
  mle_alloc_fail_after(-1);
  assert_string_equal(mle_arena_format(&arena, "%d-%s", 7, "x"), "7-x");
  mle_arena_release(&arena);
}

static void joined_arenas_die_together(void **state) {
  (void)state;
  mle_arena arena = MLE_ARENA, other = MLE_ARENA, empty = MLE_ARENA;
  char *first = mle_arena_text(&arena, "first", 5), *second = mle_arena_text(&other, "second", 6);
  mle_arena_join(&arena, &other);
  mle_arena_join(&arena, &empty);
  mle_arena_join(&empty, &arena);
  assert_null(other.blocks);
  assert_null(arena.blocks);
  assert_string_equal(first, "first");
  assert_string_equal(second, "second");
  assert_string_equal(mle_arena_text(&empty, "third", 5), "third");
  mle_arena_release(&empty);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(memory_is_zeroed_and_aligned),
      cmocka_unit_test(sizes_that_overflow_give_null),
      cmocka_unit_test(out_of_memory_gives_null),
      cmocka_unit_test(joined_arenas_die_together),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
