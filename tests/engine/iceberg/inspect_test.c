/* inspect.c: rows of metadata, also out of memory. What they hold is compared with PyIceberg in the integration tests. */
#include "tests/engine/iceberg/tables.h"

#include "engine/iceberg/inspect.h"

static mle_catalog *catalog;
static mle_table *table; /* two appends */
static mle_metadata *parted; /* with partition specs of every kind; no rows */

static const char parted_json[] =
    "{\"format-version\":2,\"table-uuid\":\"u\",\"location\":\"/t\",\"last-sequence-number\":0,"
    "\"last-updated-ms\":0,\"last-column-id\":3,\"current-schema-id\":0,\"schemas\":[{\"type\":\"struct\","
    "\"schema-id\":0,\"fields\":[{\"id\":1,\"name\":\"it's\",\"required\":false,\"type\":\"binary\"},"
    "{\"id\":2,\"name\":\"a\\\"b\",\"required\":false,\"type\":\"timestamptz_ns\"},"
    "{\"id\":3,\"name\":\"v\",\"required\":false,\"type\":\"variant\"}]}],\"default-spec-id\":1,"
    "\"partition-specs\":[{\"spec-id\":0,\"fields\":[{\"source-id\":1,\"field-id\":1000,\"name\":\"p\","
    "\"transform\":\"identity\"}]},{\"spec-id\":1,\"fields\":[{\"source-id\":9,\"field-id\":1001,"
    "\"name\":\"P\",\"transform\":\"zorder\"},{\"source-id\":2,\"field-id\":1002,\"name\":\"d\","
    "\"transform\":\"day\"}]}],\"last-partition-id\":1002,\"sort-orders\":[],"
    "\"refs\":{\"t\":{\"snapshot-id\":5,\"type\":\"tag\",\"max-ref-age-ms\":9223372036854775807}}}";

static int set_up(void **state) {
  char uri[120], warehouse[120];
  if (make_folder(state) != 0) return 1;
  snprintf(uri, sizeof uri, "sqlite:///%s/catalog.db", folder);
  snprintf(warehouse, sizeof warehouse, "file://%s/w", folder);
  const mle_property properties[] = {{"uri", uri}, {"warehouse", warehouse}};
  mle_table *empty, *one;
  must(mle_catalog_open("default", properties, 2, &catalog, err));
  must(make_table(catalog, NULL, 0, &empty, err));
  one = append(catalog, empty, 3);
  table = append(catalog, one, 4);
  mle_table_free(empty);
  mle_table_free(one);
  must(mle_metadata_parse(parted_json, sizeof parted_json - 1, &parted, err));
  return 0;
}

static int tear_down(void **state) {
  mle_metadata_free(parted);
  mle_table_free(table);
  mle_catalog_close(catalog);
  return remove_folder(state);
}

static mle_status add_line(void *context, const mle_json *row, mle_error *err) {
  char *text = mle_json_print(row, false);
  if (text == NULL) return mle_nomem(err, "test");
  mle_status status = mle_buffer_printf(context, err, "%s\n", text);
  mle_free(text);
  return status;
}

static void inspect(const mle_metadata *m, mle_inspect_kind kind, mle_buffer *out) {
  mle_buffer_clear(out);
  must(mle_inspect(m, kind, NULL, add_line, out, err));
}

static int count_lines(const mle_buffer *text) {
  int lines = 0;
  for (size_t i = 0; i < text->len; i++) lines += text->data[i] == '\n';
  return lines;
}

static void each_kind_has_its_rows(void **state) {
  (void)state;
  static const int wanted[] = {2, 2, 1, 2, 2, 2, 1};
  mle_buffer text = MLE_BUFFER((size_t)1 << 20);
  for (mle_inspect_kind kind = MLE_INSPECT_SNAPSHOTS; kind <= MLE_INSPECT_PARTITIONS; kind++) {
    inspect(table->metadata, kind, &text);
    assert_int_equal(count_lines(&text), wanted[kind]);
  }
  assert_non_null(strstr(text.data, "\"record_count\":7,\"file_count\":2,"));
  mle_buffer_release(&text);
}

static void a_table_without_a_snapshot_has_none(void **state) {
  (void)state;
  mle_buffer text = MLE_BUFFER((size_t)1 << 20);
  inspect(parted, MLE_INSPECT_FILES, &text);
  assert_int_equal(text.len, 0);
  inspect(parted, MLE_INSPECT_REFS, &text);
  assert_non_null(strstr(text.data, "\"max_reference_age_in_ms\":9223372036854775807,"));
  mle_buffer_release(&text);
}

static void kinds_go_by_name(void **state) {
  (void)state;
  mle_inspect_kind kind;
  mle_error err;
  must(mle_inspect_find("entries", &kind, err));
  assert_int_equal(kind, MLE_INSPECT_ENTRIES);
  assert_int_equal(mle_inspect_find("entry", &kind, &err), MLE_EINVAL);
  assert_message(err, "'entry'");
}

/* Names are quoted, two of one name told apart, and what SQL has no type for is a text. */
static void the_select_has_a_type_for_everything(void **state) {
  (void)state;
  mle_buffer sql = MLE_BUFFER((size_t)1 << 20);
  must(mle_inspect_select(parted, MLE_INSPECT_FILES, "/x/it's.json", &sql, err));
  static const char *const parts[] = {
      "read_json('/x/it''s.json'", "STRUCT(\"p\" VARCHAR, \"P_1001\" VARCHAR, \"d\" DATE)",
      "{'p': unhex(struct_extract(partition, 'p')), 'P_1001': struct_extract(partition, 'P_1001')",
      "\"a\"\"b\" STRUCT(column_size BIGINT", "'lower_bound': unhex("};
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
    if (strstr(sql.data, parts[i]) == NULL) fail_msg("'%s' is not in %s", parts[i], sql.data);
  mle_buffer_release(&sql);
}

static void a_file_that_is_there_is_not_overwritten(void **state) {
  (void)state;
  char path[100];
  mle_error err;
  snprintf(path, sizeof path, "%s/rows.json", folder);
  must(mle_inspect_write(table->metadata, MLE_INSPECT_FILES, NULL, path, err));
  assert_int_equal(mle_inspect_write(table->metadata, MLE_INSPECT_FILES, NULL, path, &err), MLE_EIO);
  assert_message(err, "rows.json");
}

static mle_status work(mle_error *err) {
  mle_buffer text = MLE_BUFFER((size_t)1 << 20);
  mle_status status = MLE_OK;
  for (mle_inspect_kind kind = MLE_INSPECT_SNAPSHOTS;
       status == MLE_OK && kind <= MLE_INSPECT_PARTITIONS; kind++)
    status = mle_inspect(table->metadata, kind, NULL, add_line, &text, err);
  if (status == MLE_OK) status = mle_inspect_select(parted, MLE_INSPECT_ENTRIES, "/x", &text, err);
  mle_buffer_release(&text);
  return status;
}

static void out_of_memory_leaks_nothing(void **state) {
  (void)state;
  assert_true(exhaust_memory(work) > 50);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(each_kind_has_its_rows),
      cmocka_unit_test(a_table_without_a_snapshot_has_none),
      cmocka_unit_test(kinds_go_by_name),
      cmocka_unit_test(the_select_has_a_type_for_everything),
      cmocka_unit_test(a_file_that_is_there_is_not_overwritten),
      cmocka_unit_test(out_of_memory_leaks_nothing),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
