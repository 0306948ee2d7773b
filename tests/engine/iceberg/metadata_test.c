#include "tests/engine/iceberg/support.h"

#include "engine/iceberg/metadata.h"

/* The shape of the spec's v1 example: one schema, one spec, no refs. */
static const char v1[] =
    "{\"format-version\":1,\"location\":\"s3://b/t\",\"last-updated-ms\":1,\"last-column-id\":1,"
    "\"schema\":{\"type\":\"struct\",\"fields\":[{\"id\":1,\"name\":\"x\",\"required\":true,"
    "\"type\":\"long\"}]},"
    "\"partition-spec\":[{\"name\":\"x\",\"transform\":\"identity\",\"source-id\":1}],"
    "\"properties\":{},\"current-snapshot-id\":7,\"snapshots\":[{\"snapshot-id\":7,\"timestamp-"
    "ms\":5,"
    "\"manifests\":[\"s3://b/t/m1.avro\",\"s3://b/t/m2.avro\"]}]}";

static const char v2[] =
    "{\"format-version\":2,\"table-uuid\":\"9c12d441-03fe-4693-9a96-a0705ddf69c1\",\"location\":\"/"
    "w/t\","
    "\"last-sequence-number\":34,\"last-updated-ms\":1602638573590,\"last-column-id\":1,\"current-"
    "schema-id\":1,"
    "\"schemas\":[{\"type\":\"struct\",\"schema-id\":0,\"fields\":[]},{\"type\":\"struct\","
    "\"schema-id\":1,\"fields\":"
    "[{\"id\":1,\"name\":\"x\",\"required\":true,\"type\":\"long\"}]}],"
    "\"default-spec-id\":0,\"partition-specs\":[{\"spec-id\":0,\"fields\":[]}],\"last-partition-"
    "id\":999,"
    "\"default-sort-order-id\":0,\"sort-orders\":[{\"order-id\":0,\"fields\":[]}],"
    "\"properties\":{\"write.metadata.previous-versions-max\":\"2\",\"n\":\"12\"},"
    "\"current-snapshot-id\":3055729675574597004,\"snapshots\":[{\"snapshot-id\":"
    "3055729675574597004,"
    "\"parent-snapshot-id\":3051729675574597004,\"timestamp-ms\":1555100955770,\"sequence-number\":"
    "1,"
    "\"summary\":{\"operation\":\"append\",\"added-records\":\"5\"},\"manifest-list\":\"/w/t/"
    "1.avro\",\"schema-id\":1,"
    "\"some-future-field\":[1,9223372036854775807]}],"
    "\"snapshot-log\":[{\"snapshot-id\":3055729675574597004,\"timestamp-ms\":1555100955770}],"
    "\"metadata-log\":[{\"metadata-file\":\"a\",\"timestamp-ms\":1},{\"metadata-file\":\"b\","
    "\"timestamp-ms\":2}],"
    "\"refs\":{\"main\":{\"snapshot-id\":3055729675574597004,\"type\":\"branch\",\"max-ref-age-"
    "ms\":10},"
    "\"t\":{\"snapshot-id\":3055729675574597004,\"type\":\"tag\"}},"
    "\"statistics\":[{\"snapshot-id\":3055729675574597004}],\"unheard-of\":{\"deep\":[null,true,1."
    "5]}}";

static mle_metadata *parse(const char *text) {
  mle_metadata *metadata;
  must(mle_metadata_parse(text, strlen(text), &metadata, err));
  return metadata;
}

static void version_1_is_read_with_its_defaults(void **state) {
  (void)state;
  mle_metadata *m = parse(v1);
  assert_null(m->uuid);
  assert_int_equal(m->spec->fields[0].field_id, 1000);
  assert_int_equal(m->snapshots[0].num_manifests, 2);
  assert_int_equal(m->snapshots[0].sequence_number, 0);
  assert_null(m->snapshots[0].operation);
  assert_int_equal(mle_metadata_ref(m, "main")->snapshot_id, 7);
  mle_metadata_free(m);
}

static void version_2_is_read(void **state) {
  (void)state;
  mle_metadata *m = parse(v2);
  const mle_snapshot *s = mle_metadata_current(m);
  assert_true(s->id == 3055729675574597004 && s->parent_id == 3051729675574597004);
  assert_string_equal(mle_snapshot_summary(s, "added-records"), "5");
  assert_string_equal(s->operation, "append");
  assert_int_equal(m->schema->id, 1);
  assert_int_equal(m->num_refs, 2);
  assert_int_equal(mle_metadata_number(m, "n", 0), 12);
  assert_int_equal(mle_metadata_number(m, "absent", 4), 4);
  mle_metadata_free(m);
}

static const mle_snapshot added = {.id = INT64_MAX,
                                   .parent_id = 3055729675574597004,
                                   .sequence_number = 35,
                                   .timestamp_ms = 1602638573591,
                                   .manifest_list = "/w/t/2.avro",
                                   .operation = "append",
                                   .schema_id = 1,
                                   .num_summary = 1,
                                   .summary = (const mle_property[]){{"added-records", "7"}}};

static mle_status append(const char *before, mle_buffer *out, mle_error *err) {
  mle_metadata *m;
  MLE_TRY(mle_metadata_parse(before, strlen(before), &m, err));
  mle_status status =
      mle_metadata_append(m, "/w/t/metadata/00003-u.metadata.json", &added, out, err);
  mle_metadata_free(m);
  return status;
}

static void an_append_keeps_what_it_does_not_know(void **state) {
  (void)state;
  mle_buffer text = MLE_BUFFER(1 << 20);
  must(append(v2, &text, err));
  assert_non_null(strstr(text.data, "\"unheard-of\":{\"deep\":[null,true,1.5]}"));
  assert_non_null(strstr(text.data, "\"some-future-field\":[1,9223372036854775807]"));
  assert_non_null(strstr(text.data, "\"statistics\":[{\"snapshot-id\":3055729675574597004}]"));
  assert_non_null(strstr(text.data, "\"max-ref-age-ms\":10"));
  assert_non_null(
      strstr(text.data, "\"t\":{\"snapshot-id\":3055729675574597004,\"type\":\"tag\"}"));
  mle_metadata *m = parse(text.data);
  assert_true(m->current_snapshot_id == INT64_MAX && m->num_snapshots == 2 && m->num_log == 2);
  assert_true(mle_metadata_ref(m, "main")->snapshot_id == INT64_MAX);
  assert_int_equal(m->last_sequence_number, 35);
  assert_int_equal(m->last_updated_ms, 1602638573591);
  mle_json_at root = mle_json_root(m->document), log, first;
  const char *file;
  must(mle_json_get_array(&root, "metadata-log", &log, err));
  assert_int_equal(mle_json_count(&log), 2); /* previous-versions-max: the oldest went */
  assert_true(mle_json_first(&log, &first));
  must(mle_json_get_text(&first, "metadata-file", &file, err));
  assert_string_equal(file, "b");
  mle_metadata_free(m);
  mle_buffer_release(&text);
}

static void a_new_table_gets_its_first_snapshot(void **state) {
  (void)state;
  const mle_schema schema = {.id = 0};
  const mle_property property = {"owner", "me"};
  const mle_partition_spec spec = {.id = 0};
  const mle_new_table table = {"/w/t", &schema, 0, &spec, &property, 1};
  mle_buffer empty = MLE_BUFFER(1 << 16), text = MLE_BUFFER(1 << 16);
  must(mle_metadata_create(&table, &empty, err));
  mle_metadata *m = parse(empty.data);
  assert_null(mle_metadata_current(m));
  assert_int_equal(m->num_refs, 0);
  assert_string_equal(mle_metadata_property(m, "owner", NULL), "me");
  mle_metadata_free(m);
  must(append(empty.data, &text, err));
  m = parse(text.data);
  assert_string_equal(m->refs[0].name, "main");
  assert_int_equal(m->num_snapshots, 1);
  mle_metadata_free(m);
  mle_buffer_release(&empty);
  mle_buffer_release(&text);
}

static void metadata_files_are_numbered_on(void **state) {
  (void)state;
  mle_metadata *m = parse(v2);
  static const char *const cases[][2] = {
      {"", "/w/t/metadata/00000-"},
      {"/w/t/metadata/00009-u.metadata.json", "/w/t/metadata/00010-"},
      {"/w/t/metadata/v3.gz.metadata.json", "/w/t/metadata/00004-"},
      {"/w/t/metadata/whatever.json", "/w/t/metadata/00000-"}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char *next = mle_metadata_next_location(m, cases[i][0]);
    assert_memory_equal(next, cases[i][1], strlen(cases[i][1]));
    assert_non_null(strstr(next, ".metadata.json"));
    mle_free(next);
  }
  mle_metadata_free(m);
}

static void refused(const char *text, mle_status wanted, const char *why) {
  mle_metadata *m;
  mle_error err;
  assert_int_equal(mle_metadata_parse(text, strlen(text), &m, &err), wanted);
  assert_null(m);
  assert_message(err, why);
}

static void bad_metadata_is_refused_with_its_place(void **state) {
  (void)state;
  refused("{}", MLE_EFORMAT, "format-version");
  refused("[]", MLE_EFORMAT, "object");
  refused("{\"format-version\":9}", MLE_EUNSUPPORTED, "version 9");
  char *broken = mle_strdup(v2);
  memcpy(strstr(broken, "\"current-snapshot-id\":3055729675574597004") + 22, "1234567890123456789",
         19);
  refused(broken, MLE_EFORMAT, "1234567890123456789");
  mle_free(broken);
  broken = mle_strdup(v2);
  memcpy(strstr(broken, "\"current-schema-id\":1"), "\"current-schema-id\":8", 21);
  refused(broken, MLE_EFORMAT, "schema 8");
  mle_free(broken);
}

static mle_status all_of_it(mle_error *err) {
  mle_buffer text = MLE_BUFFER(1 << 20);
  mle_status status = append(v2, &text, err);
  mle_buffer_release(&text);
  return status;
}

static void out_of_memory_leaks_nothing(void **state) {
  (void)state;
  assert_true(exhaust_memory(all_of_it) > 50);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(version_1_is_read_with_its_defaults),
      cmocka_unit_test(version_2_is_read),
      cmocka_unit_test(an_append_keeps_what_it_does_not_know),
      cmocka_unit_test(a_new_table_gets_its_first_snapshot),
      cmocka_unit_test(metadata_files_are_numbered_on),
      cmocka_unit_test(bad_metadata_is_refused_with_its_place),
      cmocka_unit_test(out_of_memory_leaks_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
