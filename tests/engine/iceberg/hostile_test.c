/*
 * Real files of other writers, cut short at each byte and with bits turned over: reading one ends, and what it
 * complains of begins with the file's name. A file whose damage nothing can tell (a number in it is another one)
 * is read. Every bit of every byte with MLENGINE_SOAK, else one bit of each.
 */
#include "tests/engine/iceberg/tables.h"

#include <fcntl.h>
#include <unistd.h>

#include "engine/iceberg/deletion_vector.h"

typedef mle_status (*reader)(const char *path, mle_error *err);

static mle_status read_list(const char *path, mle_error *err) {
  mle_arena arena = MLE_ARENA;
  mle_manifest_list list;
  mle_status status = mle_manifest_list_read(path, &arena, &list, err);
  mle_arena_release(&arena);
  return status;
}

static mle_status read_manifest(const char *path, mle_error *err) {
  mle_manifest_file manifest = mle_manifest_file_none;
  mle_manifest_reader *reader;
  mle_manifest_entry entry;
  bool found = true;
  manifest.path = path;
  MLE_TRY(mle_manifest_open(&manifest, MLE_MANIFEST_ALL, &reader, err));
  mle_status status = MLE_OK;
  while (status == MLE_OK && found) status = mle_manifest_next(reader, &entry, &found, err);
  mle_manifest_close(reader);
  return status;
}

static mle_status read_metadata(const char *path, mle_error *err) {
  mle_metadata *metadata;
  MLE_TRY(mle_metadata_read(path, &metadata, err));
  mle_metadata_free(metadata);
  return MLE_OK;
}

static mle_status read_vector(const char *path, mle_error *err) {
  int64_t size;
  MLE_TRY(mle_file_size(path, &size, err));
  mle_bitmap *bitmap = mle_bitmap_new();
  mle_status status = mle_deletion_vector_read(path, 0, size, bitmap, err);
  mle_bitmap_free(bitmap);
  return status;
}

static const struct {
  const char *name;
  reader read;
  bool checked; /* a checksum tells every change */
} files[] = {
    {"manifest/pyiceberg_list.avro", read_list, false}, {"manifest/v1_list.avro", read_list, false},
    {"manifest/pyiceberg.avro", read_manifest, false},  {"manifest/v1.avro", read_manifest, false},
    {"metadata/v1.json", read_metadata, false},         {"metadata/v2.json", read_metadata, false},
    {"deletion_vector/alternating", read_vector, true}, {"deletion_vector/containers", read_vector, true},
};

static void put(const char *path, const char *bytes, size_t len) {
  FILE *file = fopen(path, "wb");
  assert_non_null(file);
  assert_int_equal(fwrite(bytes, 1, len, file), len);
  assert_int_equal(fclose(file), 0);
}

/* Only what is another byte is written again. */
static void put_byte(int fd, const char *bytes, size_t at) { assert_int_equal(pwrite(fd, bytes + at, 1, (off_t)at), 1); }

/* Returns whether it was refused. */
static bool try_one(size_t i, const char *path) {
  mle_error err = {0};
  mle_status status = files[i].read(path, &err);
  if (status == MLE_OK) return false;
  if (strstr(err.message, path) == NULL) fail_msg("%s does not name the file: %s", files[i].name, err.message);
  assert_true(status == MLE_EFORMAT || status == MLE_EREFUSED || status == MLE_EUNSUPPORTED);
  return true;
}

static void load(size_t i, mle_buffer *out) {
  char path[200];
  snprintf(path, sizeof path, "tests/fuzz/corpus/%s", files[i].name);
  must(mle_file_read(path, out, err));
}

static void files_cut_short_are_refused(void **state) {
  (void)state;
  char path[128];
  long tried = 0;
  snprintf(path, sizeof path, "%s/cut", folder);
  for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
    mle_buffer bytes = MLE_BUFFER(1 << 20);
    long read = 0;
    load(i, &bytes);
    put(path, bytes.data, bytes.len);
    for (size_t len = bytes.len; len-- > 0; tried++) {
      assert_int_equal(truncate(path, (off_t)len), 0);
      read += !try_one(i, path);
    }
    /* Avro files may end behind any block, JSON may lack the line's end */
    if (read > (files[i].checked ? 0 : 3)) fail_msg("%s was read at %ld lengths", files[i].name, read);
    mle_buffer_release(&bytes);
  }
  print_message("%ld files cut short\n", tried);
}

static void turned_bits_end_in_an_answer(void **state) {
  (void)state;
  char path[128];
  long tried = 0, total = 0;
  bool all = getenv("MLENGINE_SOAK") != NULL;
  snprintf(path, sizeof path, "%s/turned", folder);
  for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
    mle_buffer bytes = MLE_BUFFER(1 << 20);
    load(i, &bytes);
    total += (long)bytes.len * 8;
    put(path, bytes.data, bytes.len);
    int fd = open(path, O_WRONLY);
    assert_true(fd >= 0);
    for (size_t bit = 0; bit < bytes.len * 8; bit++) {
      if (!all && bit % 8 != bit / 8 % 8) continue;
      bytes.data[bit / 8] ^= (char)(1 << bit % 8);
      put_byte(fd, bytes.data, bit / 8);
      bool refused = try_one(i, path);
      if (files[i].checked) assert_true(refused);
      bytes.data[bit / 8] ^= (char)(1 << bit % 8);
      put_byte(fd, bytes.data, bit / 8);
      tried++;
    }
    close(fd);
    mle_buffer_release(&bytes);
  }
  print_message("%ld of %ld turned bits\n", tried, total);
}

/* A plan says which of its manifests is shorter than its list has it, even where a whole block is gone: unless all its entries are there. */
static void a_manifest_shorter_than_its_list_says_is_refused(void **state) {
  (void)state;
  mle_manifest_file manifest = mle_manifest_file_none;
  mle_manifest_reader *reader;
  mle_buffer bytes = MLE_BUFFER(1 << 20);
  mle_error err = {0};
  load(2, &bytes);
  char path[128];
  snprintf(path, sizeof path, "%s/short.avro", folder);
  put(path, bytes.data, bytes.len);
  manifest.path = path;
  manifest.length = (int64_t)bytes.len;
  must(mle_manifest_open(&manifest, MLE_MANIFEST_PLAN, &reader, err));
  mle_manifest_close(reader);
  manifest.length++;
  assert_int_equal(mle_manifest_open(&manifest, MLE_MANIFEST_PLAN, &reader, &err), MLE_EFORMAT);
  assert_message(err, "short.avro': it has ");
  manifest.added_files = 1;
  manifest.existing_files = manifest.deleted_files = 0;
  must(mle_manifest_open(&manifest, MLE_MANIFEST_PLAN, &reader, err));
  bool found = false;
  mle_manifest_entry entry;
  must(mle_manifest_next(reader, &entry, &found, err));
  assert_true(found);
  mle_manifest_close(reader);
  manifest.added_files++;
  assert_int_equal(mle_manifest_open(&manifest, MLE_MANIFEST_PLAN, &reader, &err), MLE_EFORMAT);
  mle_buffer_release(&bytes);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(files_cut_short_are_refused),
      cmocka_unit_test(turned_bits_end_in_an_answer),
      cmocka_unit_test(a_manifest_shorter_than_its_list_says_is_refused),
  };
  return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
