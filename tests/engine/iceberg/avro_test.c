#include "tests/engine/iceberg/support.h"

#include <snappy-c.h>
#include <zlib.h>
#include <zstd.h>

#include "engine/iceberg/avro.h"
#include "engine/iceberg/manifest_records.h"

/* ====== Hand-made containers ====== */

typedef struct record {
  int32_t number;
  int64_t wide;
  const char *text;
  mle_list counts;
} record;

static const mle_avro_field record_fields[] = {
    {"number", 1, MLE_AVRO_INT, .required = true, .offset = offsetof(record, number)},
    {"wide", 2, MLE_AVRO_LONG, .offset = offsetof(record, wide)},
    {"text", 3, MLE_AVRO_TEXT, .offset = offsetof(record, text)},
    {"counts", 4, MLE_AVRO_LONG_MAP, .offset = offsetof(record, counts), .element_id = 5,
     .value_id = 6},
};
static const mle_avro_record table = {"record", record_fields, 4, sizeof(record), NULL};

static void put_long(mle_buffer *out, int64_t value) {
  uint64_t bits = ((uint64_t)value << 1) ^ (uint64_t)(value >> 63);
  for (; bits >= 0x80; bits >>= 7)
    must(mle_buffer_append(out, &(char){(char)(bits | 0x80)}, 1, err));
  must(mle_buffer_append(out, &(char){(char)bits}, 1, err));
}

static void put_bytes(mle_buffer *out, const void *bytes, size_t len) {
  put_long(out, (int64_t)len);
  must(mle_buffer_append(out, bytes, len, err));
}

static void put_text(mle_buffer *out, const char *text) { put_bytes(out, text, strlen(text)); }

static const char sync_marker[] = "0123456789abcdef";

/* A file of one block, whose data comes compressed already. */
static mle_buffer make_file(const char *schema, const char *codec, const void *block, size_t len,
                            int64_t count) {
  mle_buffer out = MLE_BUFFER(1 << 20);
  must(mle_buffer_append(&out, "Obj\1", 4, err));
  put_long(&out, 2);
  put_text(&out, "avro.schema");
  put_text(&out, schema);
  put_text(&out, "avro.codec");
  put_text(&out, codec);
  put_long(&out, 0);
  must(mle_buffer_append(&out, sync_marker, 16, err));
  put_long(&out, count);
  put_bytes(&out, block, len);
  must(mle_buffer_append(&out, sync_marker, 16, err));
  return out;
}

static mle_status read_one(const mle_buffer *file, record *out, mle_error *err) {
  mle_avro_reader *reader;
  bool found;
  *out = (record){0};
  MLE_TRY(mle_avro_open(file->data, file->len, &table, &reader, err));
  mle_status status = mle_avro_next(reader, out, &found, err);
  if (status == MLE_OK && !found) status = MLE_ENOTFOUND;
  mle_avro_close(reader);
  return status;
}

/* Another order, other names, fields of no interest of every kind, and unions. */
static const char odd_schema[] =
    "{\"type\":\"record\",\"name\":\"odd\",\"fields\":["
    "{\"name\":\"skip1\",\"type\":{\"type\":\"map\",\"values\":[\"null\",\"double\"]},\"field-id\":"
    "90},"
    "{\"name\":\"renamed\",\"type\":[\"long\",\"null\"],\"field-id\":2},"
    "{\"name\":\"skip2\",\"type\":{\"type\":\"array\",\"items\":{\"type\":\"fixed\",\"name\":\"f\","
    "\"size\":3}},\"field-id\":91},"
    "{\"name\":\"n\",\"type\":\"int\",\"field-id\":1},"
    "{\"name\":\"skip3\",\"type\":{\"type\":\"enum\",\"name\":\"e\",\"symbols\":[\"a\"]},\"field-"
    "id\":92}]}";

static void records_are_resolved_by_field_id(void **state) {
  (void)state;
  mle_buffer block = MLE_BUFFER(1000);
  double number = 1.5;
  put_long(&block, -1); /* a map block with its size */
  put_long(&block, 11);
  put_text(&block, "k");
  put_long(&block, 1);
  must(mle_buffer_append(&block, &number, 8, err));
  put_long(&block, 0);
  put_long(&block, 0); /* union: the long */
  put_long(&block, INT64_MIN + 1);
  put_long(&block, 2);
  must(mle_buffer_append(&block, "abcdef", 6, err));
  put_long(&block, 0);
  put_long(&block, -7);
  put_long(&block, 0);
  mle_buffer file = make_file(odd_schema, "null", block.data, block.len, 1);
  record found;
  must(read_one(&file, &found, err));
  assert_int_equal(found.number, -7);
  assert_true(found.wide == INT64_MIN + 1);
  assert_null(found.text);
  mle_buffer_release(&file);
  mle_buffer_release(&block);
}

static const char plain_schema[] =
    "{\"type\":\"record\",\"name\":\"r\",\"fields\":[{\"name\":\"number\",\"type\":\"int\",\"field-"
    "id\":1}]}";

static void every_codec_is_read(void **state) {
  (void)state;
  char block[100] = {42 * 2}, packed[300]; /* 42 as zig-zag */
  record found;
  block[0] = 84;
  mle_buffer file = make_file(plain_schema, "null", block, 1, 1);
  must(read_one(&file, &found, err));
  assert_int_equal(found.number, 42);
  mle_buffer_release(&file);

  z_stream stream = {.next_in = (Bytef *)block,
                     .avail_in = 1,
                     .next_out = (Bytef *)packed,
                     .avail_out = sizeof packed};
  assert_int_equal(deflateInit2(&stream, 9, Z_DEFLATED, -15, 8, 0), Z_OK);
  assert_int_equal(deflate(&stream, Z_FINISH), Z_STREAM_END);
  file = make_file(plain_schema, "deflate", packed, stream.total_out, 1);
  deflateEnd(&stream);
  must(read_one(&file, &found, err));
  assert_int_equal(found.number, 42);
  mle_buffer_release(&file);

  size_t len = ZSTD_compress(packed, sizeof packed, block, 1, 3);
  file = make_file(plain_schema, "zstandard", packed, len, 1);
  must(read_one(&file, &found, err));
  assert_int_equal(found.number, 42);
  mle_buffer_release(&file);

  len = sizeof packed;
  assert_int_equal(snappy_compress(block, 1, packed, &len), SNAPPY_OK);
  uint32_t crc = (uint32_t)crc32(0, (Bytef *)block, 1);
  for (int i = 0; i < 4; i++) packed[len + (size_t)i] = (char)(crc >> (24 - 8 * i));
  file = make_file(plain_schema, "snappy", packed, len + 4, 1);
  must(read_one(&file, &found, err));
  assert_int_equal(found.number, 42);
  packed[len] ^= 1;
  mle_buffer_release(&file);
  file = make_file(plain_schema, "snappy", packed, len + 4, 1);
  assert_int_equal(read_one(&file, &found, NULL), MLE_EFORMAT);
  mle_buffer_release(&file);
}

static void assert_refused(const char *schema, const char *codec, const void *block, size_t len,
                           int64_t count, const char *why) {
  mle_buffer file = make_file(schema, codec, block, len, count);
  record found;
  mle_error err = {0};
  assert_int_not_equal(read_one(&file, &found, &err), MLE_OK);
  assert_message(err, why);
  mle_buffer_release(&file);
}

static void hostile_blocks_are_refused(void **state) {
  (void)state;
  static const char map_schema[] =
      "{\"type\":\"record\",\"name\":\"r\",\"fields\":[{\"name\":\"counts\",\"field-id\":4,"
      "\"type\":{\"type\":\"array\","
      "\"logicalType\":\"map\",\"items\":{\"type\":\"record\",\"name\":\"kv\",\"fields\":[{"
      "\"name\":\"key\",\"type\":\"int\"},"
      "{\"name\":\"value\",\"type\":\"long\"}]}}}]}";
  assert_refused(plain_schema, "null", "\x54", 1, 1000000, "more records than it has bytes");
  assert_refused(plain_schema, "null", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f", 10, 1,
                 "64 bits");
  assert_refused(plain_schema, "null", "\xff\xff\xff\xff\xff\x01", 6, 1, "32 bits");
  assert_refused(plain_schema, "null", "\xff", 1, 1, "ends inside");
  assert_refused(plain_schema, "deflate", "\x54\x54\x54", 3, 1, "deflate");
  assert_refused(plain_schema, "zstandard", "\x54\x54\x54\x54\x54", 5, 1, "zstandard");
  assert_refused(plain_schema, "brotli", "\x54", 1, 1, "brotli");
  assert_refused(map_schema, "null", "\xfe\xff\xff\xff\xff\x0f\x02\x02", 8, 1,
                 "more items than there are bytes");
  assert_refused(map_schema, "null", "\x02\x02", 2, 1, "ends inside");
}

static void hostile_schemas_are_refused(void **state) {
  (void)state;
  static const char *const bad[][2] = {
      {"{\"type\":\"record\",\"name\":\"r\",\"fields\":[{\"name\":\"number\",\"type\":\"string\","
       "\"field-id\":1}]}",
       "another type"},
      {"\"int\"", "not a record"},
      {"{\"type\":\"record\",\"name\":\"r\",\"fields\":[{\"name\":\"x\",\"type\":\"nothing\"}]}",
       "nothing"},
      {"{\"type\":\"record\",\"name\":\"r\",\"fields\":[{\"name\":\"x\",\"type\":\"r\"}]}",
       "nested too deep"}, /* itself */
      {"{\"type\":\"record\",\"name\":\"r\",\"fields\":[{\"name\":\"x\",\"type\":[[\"int\"]]}]}",
       "union"},
      {"{", "not JSON"},
  };
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    assert_refused(bad[i][0], "null", "\2\2\2\2", 4, 2, bad[i][1]); /* of the last record only what is wanted is read */
}

static void other_files_are_refused(void **state) {
  (void)state;
  mle_avro_reader *reader;
  mle_error err;
  assert_int_equal(mle_avro_open("PAR1", 4, &table, &reader, &err), MLE_EFORMAT);
  assert_message(err, "not an Avro file");
  assert_int_equal(mle_avro_open(NULL, 0, &table, &reader, &err), MLE_EFORMAT);
}

/* ====== What we write ====== */

static mle_status write_and_read(mle_error *err) {
  static const mle_key_long counts[] = {{1, 2}, {1000, INT64_MAX}};
  static const mle_avro_pair meta[] = {{"key", "value"}, {NULL, NULL}};
  const record written = {-5, INT64_MIN, "text", {counts, 2}};
  mle_avro_writer writer;
  mle_avro_reader *reader = NULL;
  record found = {0};
  bool any;
  mle_status status;
  MLE_GO(mle_avro_begin(&writer, &table, NULL, meta, err));
  for (int i = 0; i < 3; i++) MLE_GO(mle_avro_put(&writer, &written, err));
  MLE_GO(mle_avro_end(&writer, err));
  MLE_GO(mle_avro_open(writer.out.data, writer.out.len, &table, &reader, err));
  if (strcmp(mle_avro_meta(reader, "key"), "value") != 0) fail();
  for (int i = 0; i < 3; i++) {
    found = (record){.wide = 7};
    MLE_GO(mle_avro_next(reader, &found, &any, err));
    if (!any || found.number != -5 || found.wide != 7) fail(); /* INT64_MIN is our null */
    if (strcmp(found.text, "text") != 0 || found.counts.count != 2) fail();
    if (((const mle_key_long *)found.counts.items)[1].value != INT64_MAX) fail();
  }
  MLE_GO(mle_avro_next(reader, &found, &any, err));
  if (any) fail();
done:
  mle_avro_close(reader);
  mle_avro_release(&writer);
  return status;
}

static void what_is_written_is_read_back(void **state) {
  (void)state;
  must(write_and_read(err));
}

static void a_required_field_must_have_a_value(void **state) {
  (void)state;
  static const mle_avro_pair meta[] = {{NULL, NULL}};
  mle_avro_writer writer;
  mle_error err;
  must(mle_avro_begin(&writer, &mle_record_entry_v2, NULL, meta, err));
  assert_int_equal(mle_avro_put(&writer, &mle_manifest_entry_none, &err), MLE_EINVAL);
  assert_message(err, "file_path");
  mle_avro_release(&writer);
}

static void out_of_memory_leaks_nothing(void **state) {
  (void)state;
  assert_true(exhaust_memory(write_and_read) > 20);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(records_are_resolved_by_field_id),
      cmocka_unit_test(every_codec_is_read),
      cmocka_unit_test(hostile_blocks_are_refused),
      cmocka_unit_test(hostile_schemas_are_refused),
      cmocka_unit_test(other_files_are_refused),
      cmocka_unit_test(what_is_written_is_read_back),
      cmocka_unit_test(a_required_field_must_have_a_value),
      cmocka_unit_test(out_of_memory_leaks_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
