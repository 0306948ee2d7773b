/* deletion_vector.c: the blobs of Java's TestBitmapPositionDeleteIndex. delete_index.c: who applies to whom. */
#include "tests/engine/iceberg/support.h"

#include "engine/iceberg/delete_index.h"
#include "engine/iceberg/deletion_vector.h"

/* small-alternating-values-position-index.bin: 1, 3, 5, 7, 9 */
static const unsigned char alternating[] = {
    0x00, 0x00, 0x00, 0x2a, 0xd1, 0xd3, 0x39, 0x64, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x3a, 0x30, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x04, 0x00, 0x10, 0x00,
    0x00, 0x00, 0x01, 0x00, 0x03, 0x00, 0x05, 0x00, 0x07, 0x00, 0x09, 0x00, 0xb3, 0xfb, 0x20, 0xbe};
/* small-and-large-values-position-index.bin: 100, 101, 2147483747, 2147483748 */
static const unsigned char large[] = {
    0x00, 0x00, 0x00, 0x30, 0xd1, 0xd3, 0x39, 0x64, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x3a, 0x30, 0x00, 0x00, 0x02, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x80, 0x01, 0x00, 0x18, 0x00,
    0x00, 0x00, 0x1c, 0x00, 0x00, 0x00, 0x64, 0x00, 0x65, 0x00, 0x63, 0x00, 0x64, 0x00, 0x15, 0xeb, 0x1c, 0x7c};
static const unsigned char empty[] = {0x00, 0x00, 0x00, 0x0c, 0xd1, 0xd3, 0x39, 0x64, 0x00, 0x00,
                                      0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xbf, 0x18, 0x48, 0x0c};

static void holds(const unsigned char *bytes, size_t len, size_t count, const uint32_t *values) {
  mle_bitmap *bitmap = mle_bitmap_new();
  must(mle_deletion_vector_parse((const char *)bytes, len, bitmap, err));
  assert_int_equal(mle_bitmap_count(bitmap), count);
  for (size_t i = 0; i < count; i++) assert_true(mle_bitmap_has(bitmap, values[i]));
  mle_bitmap_free(bitmap);
}

static void deletion_vectors_of_java(void **state) {
  (void)state;
  holds(alternating, sizeof alternating, 5, (const uint32_t[]){1, 3, 5, 7, 9});
  holds(large, sizeof large, 4, (const uint32_t[]){100, 101, 2147483747, 2147483748});
  holds(empty, sizeof empty, 0, NULL);
}

static void a_flipped_bit_is_seen(void **state) {
  (void)state;
  unsigned char copy[sizeof alternating];
  mle_error err;
  for (size_t i = 0; i < 8 * sizeof copy; i++) {
    memcpy(copy, alternating, sizeof copy);
    copy[i / 8] = (unsigned char)(copy[i / 8] ^ 1u << i % 8);
    mle_bitmap *bitmap = mle_bitmap_new();
    assert_int_equal(mle_deletion_vector_parse((char *)copy, sizeof copy, bitmap, &err), MLE_EFORMAT);
    mle_bitmap_free(bitmap);
  }
}

/* ====== Which deletes apply ====== */

static const mle_datum part_a[] = {{.field_id = 1000, .kind = MLE_DATUM_INT, .integer = 1}};
static const mle_datum part_b[] = {{.field_id = 1000, .kind = MLE_DATUM_INT, .integer = 2}};
static const mle_datum part_null[] = {{.field_id = 1000, .kind = MLE_DATUM_NULL}};
static const mle_partition_field partition_fields[] = {{1, 1000, "p", "identity"}};
static const mle_partition_field void_fields[] = {{1, 1000, "p", "void"}};
static const mle_partition_spec specs[] = {{0, 1, partition_fields}, {1, 0, NULL}, {2, 1, void_fields}};
static const mle_metadata metadata = {.num_specs = 3, .specs = specs};

static mle_delete_file equality(int spec, const mle_datum *part, int64_t sequence) {
  return (mle_delete_file){.content = MLE_FILE_EQUALITY_DELETES, .spec_id = spec,
                           .partition = {part, part != NULL}, .sequence_number = sequence};
}

static mle_delete_file position(const mle_datum *part, int64_t sequence, const char *referenced) {
  return (mle_delete_file){.content = MLE_FILE_POSITION_DELETES, .partition = {part, part != NULL},
                           .sequence_number = sequence, .referenced = referenced};
}

static mle_delete_file vector(const mle_datum *part, int64_t sequence, const char *referenced) {
  mle_delete_file one = position(part, sequence, referenced);
  one.is_vector = true;
  return one;
}

static void the_rules_of_scan_planning(void **state) {
  (void)state;
  const mle_delete_file deletes[] = {
      equality(0, part_a, 5),  equality(0, part_b, 5),     equality(1, NULL, 5),  equality(2, part_null, 6),
      position(part_a, 5, NULL), position(part_a, 4, "x"), position(part_a, 9, "y"), position(part_b, 9, NULL),
  };
  const struct {
    mle_delete_target file;
    size_t count, numbers[8];
  } cases[] = {
      {{"x", 4, 0, {part_a, 1}}, 5, {0, 2, 3, 4, 5}},
      {{"x", 5, 0, {part_a, 1}}, 2, {3, 4}},    /* equality deletes are strictly older than what they delete */
      {{"y", 6, 0, {part_a, 1}}, 1, {6}},
      {{"z", 1, 0, {part_null, 1}}, 2, {2, 3}}, /* of every partition; null is a partition of its own */
      {{"z", 1, 2, {part_a, 1}}, 2, {2, 3}},    /* an equal tuple of another spec is another partition */
      {{"z", 9, 0, {part_a, 1}}, 0, {0}},
  };
  mle_arena arena = MLE_ARENA;
  mle_delete_index index;
  must(mle_delete_index_build(&metadata, deletes, 8, &arena, &index, err));
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    size_t *numbers, count;
    must(mle_delete_index_find(&index, &cases[i].file, &arena, &numbers, &count, err));
    assert_int_equal(count, cases[i].count);
    for (size_t j = 0; j < count; j++) assert_int_equal(numbers[j], cases[i].numbers[j]);
  }
  mle_arena_release(&arena);
}

static void a_vector_takes_the_place_of_position_deletes(void **state) {
  (void)state;
  const mle_delete_file deletes[] = {position(part_a, 5, NULL), position(part_a, 5, "x"), equality(0, part_a, 5),
                                     vector(part_a, 3, "x"), vector(part_a, 3, "y"), vector(part_a, 3, "y")};
  mle_arena arena = MLE_ARENA;
  mle_delete_index index;
  mle_error err;
  size_t *numbers, count;
  must(mle_delete_index_build(&metadata, deletes, 6, &arena, &index, err));
  must(mle_delete_index_find(&index, &(mle_delete_target){"x", 2, 0, {part_a, 1}}, &arena, &numbers, &count, err));
  assert_int_equal(count, 2);
  assert_true(numbers[0] == 2 && numbers[1] == 3);
  must(mle_delete_index_find(&index, &(mle_delete_target){"x", 4, 0, {part_a, 1}}, &arena, &numbers, &count, err));
  assert_int_equal(count, 3); /* the vector is older than the file */
  assert_int_equal(mle_delete_index_find(&index, &(mle_delete_target){"y", 2, 0, {part_a, 1}}, &arena, &numbers,
                                         &count, &err),
                   MLE_EFORMAT);
  assert_message(err, "two deletion vectors");
  mle_arena_release(&arena);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(deletion_vectors_of_java),
      cmocka_unit_test(a_flipped_bit_is_seen),
      cmocka_unit_test(the_rules_of_scan_planning),
      cmocka_unit_test(a_vector_takes_the_place_of_position_deletes),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
