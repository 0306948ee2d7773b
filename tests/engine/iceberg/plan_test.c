/* Plans of many manifests and of a large one: order, pruning, failures, whatever threads do. */
#include "tests/engine/iceberg/tables.h"

#include <inttypes.h>

#include "engine/base/hash.h"
#include "engine/iceberg/increment.h"

static const char schema[] =
    "{\"type\":\"struct\",\"schema-id\":0,\"fields\":[{\"id\":1,\"name\":\"id\",\"type\":\"long\","
    "\"required\":false}]}";

/* The file whose ids are [10 number, 10 number + 9]. Texts that do not compress make large manifests. */
static void make_file(mle_arena *arena, int64_t number, mle_data_file *out) {
  uint64_t noise = mle_hash64(&number, sizeof number, 1);
  int64_t *bounds = mle_arena_array(arena, 2, sizeof *bounds);
  mle_key_bytes *lower = mle_arena_alloc(arena, sizeof *lower);
  mle_key_bytes *upper = mle_arena_alloc(arena, sizeof *upper);
  bounds[0] = 10 * number;
  bounds[1] = 10 * number + 9;
  *lower = (mle_key_bytes){1, {(const char *)&bounds[0], 8}};
  *upper = (mle_key_bytes){1, {(const char *)&bounds[1], 8}};
  *out = mle_manifest_entry_none.file;
  out->path = mle_arena_format(arena, "/t/%" PRId64 "-%016" PRIx64 "%016" PRIx64, number, noise,
                               mle_hash64(&noise, sizeof noise, 2));
  out->format = "PARQUET";
  out->record_count = 10;
  out->file_size = 100;
  out->lower_bounds = (mle_list){lower, 1};
  out->upper_bounds = (mle_list){upper, 1};
}

typedef struct table {
  mle_arena arena;
  mle_metadata *metadata;
  int64_t num_files;
  int number;
  size_t num_manifests;
} table;

static void add_manifest(table *t, size_t count, mle_manifest_file *out) {
  const mle_manifest_header header = {.schema = schema, .spec = "[]"};
  mle_data_file *files = mle_arena_array(&t->arena, count, sizeof *files);
  for (size_t i = 0; i < count; i++) make_file(&t->arena, t->num_files++, &files[i]);
  const char *uri =
      mle_arena_format(&t->arena, "%s/m%d-%zu.avro", folder, t->number, t->num_manifests++);
  must(mle_manifest_write(uri, &header, 7, files, count, out, err));
  out->path = uri;
}

/* One snapshot, of manifests with so many files each. */
static table make_table_of(const size_t *counts, size_t num_manifests) {
  static int tables;
  table t = {.arena = MLE_ARENA, .number = ++tables};
  mle_manifest_file *manifests = mle_arena_array(&t.arena, num_manifests, sizeof *manifests);
  for (size_t i = 0; i < num_manifests; i++) add_manifest(&t, counts[i], &manifests[i]);
  const char *list = mle_arena_format(&t.arena, "%s/list%d.avro", folder, t.number);
  must(mle_manifest_list_write(list, 7, MLE_NULL_LONG, 1, manifests, num_manifests, err));
  char *json = mle_arena_format(
      &t.arena,
      "{\"format-version\":2,\"table-uuid\":\"u\",\"location\":\"/t\",\"last-sequence-number\":1,"
      "\"last-updated-ms\":5,\"last-column-id\":1,\"schemas\":[%s],\"current-schema-id\":0,"
      "\"partition-specs\":[{\"spec-id\":0,\"fields\":[]}],\"default-spec-id\":0,"
      "\"last-partition-id\":999,\"sort-orders\":[{\"order-id\":0,\"fields\":[]}],"
      "\"default-sort-order-id\":0,\"current-snapshot-id\":7,\"snapshots\":[{\"snapshot-id\":7,"
      "\"timestamp-ms\":5,\"sequence-number\":1,\"manifest-list\":\"%s\",\"summary\":{"
      "\"operation\":\"append\"}}]}",
      schema, list);
  must(mle_metadata_parse(json, strlen(json), &t.metadata, err));
  return t;
}

static void free_table(table *t) {
  mle_metadata_free(t->metadata);
  mle_arena_release(&t->arena);
}

static void assert_is_file(const mle_plan_file *file, int64_t number) {
  assert_int_equal(strtoll(file->path + 3, NULL, 10), number);
  assert_ptr_equal(file->path, file->uri);
  assert_int_equal(file->snapshot_id, 7);
  assert_int_equal(file->sequence_number, 1);
}

static mle_condition below(const mle_metadata *m, mle_literal *value) {
  return (mle_condition){.kind = MLE_CONDITION_LESS, .field = &m->schema->fields[0],
                         .values = value, .num_values = 1};
}

static void assert_planned(const table *t) {
  mle_plan plan;
  must(mle_plan_snapshot(t->metadata, mle_metadata_current(t->metadata), NULL, &plan, err));
  assert_int_equal(plan.num_files, t->num_files);
  assert_int_equal(plan.rows, 10 * t->num_files);
  assert_int_equal(plan.bytes, 100 * t->num_files);
  for (size_t i = 0; i < plan.num_files; i++) assert_is_file(&plan.files[i], (int64_t)i);
  mle_plan_release(&plan);

  mle_literal value = {.kind = MLE_LITERAL_WHOLE, .whole = 10 * (t->num_files / 2)};
  const mle_condition half = below(t->metadata, &value);
  const int64_t id = 7;
  must(mle_plan_added(t->metadata, &id, 1, &half, &plan, err));
  assert_int_equal(plan.num_files, t->num_files / 2);
  assert_int_equal(plan.num_skipped, t->num_files - t->num_files / 2);
  for (size_t i = 0; i < plan.num_files; i++) assert_is_file(&plan.files[i], (int64_t)i);
  for (size_t i = 0; i < plan.num_skipped; i++) {
    assert_int_equal(plan.skipped[i].by, MLE_SKIPPED_BOUNDS);
    assert_int_equal(strtoll(plan.skipped[i].path + 3, NULL, 10), plan.num_files + i);
  }
  mle_plan_release(&plan);
}

static void many_manifests_keep_their_order(void **state) {
  (void)state;
  size_t counts[300];
  for (size_t i = 0; i < 300; i++) counts[i] = i % 5;
  table t = make_table_of(counts, 300);
  for (int round = 0; round < 5; round++) assert_planned(&t);
  free_table(&t);
}

/* Which several threads read, each the blocks that begin in its piece. */
static void a_large_manifest_keeps_its_order(void **state) {
  (void)state;
  const size_t counts[] = {3, 12000, 2};
  table t = make_table_of(counts, 3);
  for (int round = 0; round < 3; round++) assert_planned(&t);
  free_table(&t);
}

static void spoil(const table *t, int manifest) {
  char path[128];
  mle_buffer bytes = MLE_BUFFER(1 << 20);
  snprintf(path, sizeof path, "%s/m%d-%d.avro", folder, t->number, manifest);
  must(mle_file_read(path, &bytes, err));
  bytes.data[bytes.len - 1] ^= 1; /* of the sync marker */
  must(mle_file_replace(path, bytes.data, bytes.len, 0644, err));
  mle_buffer_release(&bytes);
}

static void the_first_bad_manifest_is_named(void **state) {
  (void)state;
  size_t counts[200];
  for (size_t i = 0; i < 200; i++) counts[i] = 1;
  table t = make_table_of(counts, 200);
  spoil(&t, 150);
  spoil(&t, 60);
  for (int round = 0; round < 20; round++) {
    mle_plan plan;
    mle_error err = {0};
    mle_status status = mle_plan_snapshot(t.metadata, mle_metadata_current(t.metadata), NULL, &plan, &err);
    assert_int_equal(status, MLE_EFORMAT);
    assert_message(err, "-60.avro': the block at byte ");
    assert_message(err, "does not end with the sync marker");
  }
  free_table(&t);
}

static const table *in_force;

static mle_status plan_once(mle_error *err) {
  mle_plan plan;
  mle_literal value = {.kind = MLE_LITERAL_WHOLE, .whole = 100};
  const mle_condition some = below(in_force->metadata, &value);
  MLE_TRY(mle_plan_snapshot(in_force->metadata, mle_metadata_current(in_force->metadata), &some,
                            &plan, err));
  mle_plan_release(&plan);
  return MLE_OK;
}

static void out_of_memory_leaks_nothing(void **state) {
  (void)state;
  const size_t counts[] = {20, 1, 1, 5};
  table t = make_table_of(counts, 4);
  in_force = &t;
  long granted = exhaust_memory(plan_once);
  print_message("%ld points of failure\n", granted);
  assert_true(granted > 30);
  free_table(&t);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(many_manifests_keep_their_order),
      cmocka_unit_test(a_large_manifest_keeps_its_order),
      cmocka_unit_test(the_first_bad_manifest_is_named),
      cmocka_unit_test(out_of_memory_leaks_nothing),
  };
  return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
