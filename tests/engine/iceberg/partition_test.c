#include "engine/iceberg/partition.h"

#include "engine/iceberg/manifest_records.h"
#include "engine/iceberg/tuple.h"
#include "tests/engine/iceberg/support.h"

static const mle_type integer = {.kind = MLE_TYPE_INT}, text = {.kind = MLE_TYPE_STRING},
                      price = {.kind = MLE_TYPE_DECIMAL, .precision = 9, .scale = 2},
                      real = {.kind = MLE_TYPE_DOUBLE}, flag = {.kind = MLE_TYPE_BOOLEAN},
                      key = {.kind = MLE_TYPE_UUID};

static const mle_partition_field fields[] = {
    {1, 1000, "2 a/b", "identity"}, {2, 1001, "name", "identity"}, {3, 1002, "price", "identity"},
    {4, 1003, "real", "identity"},  {5, 1004, "flag", "identity"}, {6, 1005, "key", "identity"},
};

#define COUNT (sizeof fields / sizeof *fields)

static const mle_partition_column columns[] = {
    {.field = &fields[0], .transform = {MLE_TRANSFORM_IDENTITY, 0}, .type = &integer},
    {.field = &fields[1], .transform = {MLE_TRANSFORM_IDENTITY, 0}, .type = &text},
    {.field = &fields[2], .transform = {MLE_TRANSFORM_IDENTITY, 0}, .type = &price},
    {.field = &fields[3], .transform = {MLE_TRANSFORM_IDENTITY, 0}, .type = &real},
    {.field = &fields[4], .transform = {MLE_TRANSFORM_IDENTITY, 0}, .type = &flag},
    {.field = &fields[5], .transform = {MLE_TRANSFORM_IDENTITY, 0}, .type = &key},
};

/* ====== Values ====== */

static mle_status value_of(size_t column, const char *text_of_key, mle_datum *out, mle_error *err) {
  mle_arena arena = MLE_ARENA;
  mle_status status = mle_partition_value(&columns[column], text_of_key, &arena, out, err);
  mle_arena_release(&arena);
  return status;
}

static void keys_outside_a_type_are_refused(void **state) {
  (void)state;
  static const struct {
    size_t column;
    const char *key, *message;
  } bad[] = {{0, "2147483648", "outside the range"}, {0, "-2147483649", "outside the range"},
             {0, "", "'2 a/b' has no value"},         {0, "12a", "has no value for '12a'"},
             {0, "-", "has no value"},                {2, "3000000000", "does not fit 9 digits"},
             {0, "170141183460469231731687303715884105728", "has no value"}};
  mle_datum datum;
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    mle_error err = {0};
    assert_int_equal(value_of(bad[i].column, bad[i].key, &datum, &err), MLE_EINVAL);
    assert_message(err, bad[i].message);
  }
  must(value_of(0, "-2147483648", &datum, err));
  assert_int_equal(datum.integer, INT32_MIN);
  must(value_of(0, NULL, &datum, err));
  assert_int_equal(datum.kind, MLE_DATUM_NULL);
}

/* ====== Written and read ====== */

static const char *const rows[][COUNT] = {
    {"-5", "b", "-1", "nan", "1", "00000000-0000-0000-0000-0000000000ff"},
    {"7", "aé", "123456", "-2.5", "0", "00000000-0000-0000-0000-000000000001"},
    {NULL, NULL, NULL, NULL, NULL, NULL},
};

#define ROWS (sizeof rows / sizeof *rows)

static mle_status make_files(mle_arena *arena, mle_data_file *files, mle_error *err) {
  for (size_t i = 0; i < ROWS; i++) {
    mle_datum *tuple = mle_arena_array(arena, COUNT, sizeof *tuple);
    if (tuple == NULL) return mle_nomem(err, "a test");
    for (size_t c = 0; c < COUNT; c++)
      MLE_TRY(mle_partition_value(&columns[c], rows[i][c], arena, &tuple[c], err));
    files[i] = mle_manifest_entry_none.file;
    files[i].path = "p";
    files[i].format = "PARQUET";
    files[i].partition = (mle_list){tuple, COUNT};
  }
  return MLE_OK;
}

static mle_status write_entries(const mle_avro_shape *shape, const mle_data_file *files,
                                mle_avro_writer *writer, mle_error *err) {
  static const mle_avro_pair meta[] = {{NULL, NULL}};
  mle_manifest_entry entry = mle_manifest_entry_none;
  entry.status = MLE_ENTRY_ADDED;
  MLE_TRY(mle_avro_begin(writer, &mle_record_entry_v2, shape, meta, err));
  for (size_t i = 0; i < ROWS; i++) {
    entry.file = files[i];
    entry.file.record_count = entry.file.file_size = 1;
    MLE_TRY(mle_avro_put(writer, &entry, err));
  }
  return mle_avro_end(writer, err);
}

static mle_status write_and_read(mle_error *err) {
  mle_arena arena = MLE_ARENA;
  mle_avro_writer writer = {.out = MLE_BUFFER(1), .block = MLE_BUFFER(1)};
  mle_avro_reader *reader = NULL;
  mle_manifest_entry entry = mle_manifest_entry_none;
  mle_data_file files[ROWS];
  mle_avro_shape shape;
  mle_list summaries;
  bool any;
  mle_status status;
  MLE_GO(make_files(&arena, files, err));
  MLE_GO(mle_partition_shape(columns, COUNT, &arena, &shape, err));
  assert_string_equal(shape.parts[0].name, "_2_x20a_x2Fb");
  MLE_GO(write_entries(&shape, files, &writer, err));
  MLE_GO(mle_avro_open(writer.out.data, writer.out.len, &mle_record_entry, &reader, err));
  for (size_t i = 0; i < ROWS; i++) {
    MLE_GO(mle_avro_next(reader, &entry, &any, err));
    assert_true(any);
    assert_true(mle_tuple_equal(&files[i].partition, &entry.file.partition));
  }
  MLE_GO(mle_partition_summaries(columns, COUNT, files, ROWS, &arena, &summaries, err));
  const mle_field_summary *found = summaries.items;
  assert_int_equal(found[0].contains_null, 1);
  assert_memory_equal(found[0].lower.data, "\xfb\xff\xff\xff", 4);
  assert_memory_equal(found[1].lower.data, "a\xc3\xa9", 3);
  assert_int_equal(found[2].lower.len, 1); /* -1 in the fewest bytes */
  assert_int_equal(found[2].upper.len, 3);
  assert_int_equal(found[3].contains_nan, 1);
  assert_memory_equal(found[3].upper.data, "\0\0\0\0\0\0\x04\xc0", 8);
done:
  mle_avro_close(reader);
  mle_avro_release(&writer);
  mle_arena_release(&arena);
  return status;
}

static void tuples_are_written_and_summarized(void **state) {
  (void)state;
  must(write_and_read(err));
}

static void out_of_memory_leaks_nothing(void **state) {
  (void)state;
  assert_true(exhaust_memory(write_and_read) > 20);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(keys_outside_a_type_are_refused),
      cmocka_unit_test(tuples_are_written_and_summarized),
      cmocka_unit_test(out_of_memory_leaks_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
