/* changes.c: snapshots against their parents, also out of memory. Deletes of rows are the integration tests'. */
#include "tests/engine/iceberg/support.h"

#include "engine/iceberg/changes.h"
#include "engine/iceberg/write.h"

static char folder[] = "/tmp/mle-changes-XXXXXX";
static mle_session *session;
static mle_catalog *catalog;
static mle_table *table; /* ids 0 to 9, then 10 to 14 */
static mle_metadata *rewritten;

static const mle_column_spec columns[] = {{"id", "BIGINT", false}, {"st", "STRUCT(x INTEGER)", true}};

static mle_table *append(const char *sql) {
  mle_frame *frame;
  mle_written *written;
  mle_table *next;
  must(mle_frame_from_sql(session, sql, &frame, err));
  must(mle_iceberg_write(table, frame, &written, err));
  must(mle_written_commit(written, catalog, table, NULL, 0, &next, NULL, err));
  mle_written_free(written);
  mle_frame_free(frame);
  mle_table_free(table);
  return next;
}

static char *replace(char *text, const char *old, const char *new, bool last) {
  char *at = strstr(text, old);
  for (char *more = at; last && more != NULL; more = strstr(at + 1, old)) at = more;
  if (at == NULL) fail_msg("'%s' is not in %s", old, text);
  char *out = mle_format("%.*s%s%s", (int)(at - text), text, new, at + strlen(old));
  mle_free(text);
  return out;
}

/* The same two snapshots, the second now an overwrite, and a third that goes back to the first's files. */
static mle_metadata *rewrite_history(void) {
  char snapshot[600];
  const mle_metadata *m = table->metadata;
  char *text = mle_json_print(m->document, false);
  text = replace(text, "\"operation\":\"append\"", "\"operation\":\"overwrite\"", true);
  snprintf(snapshot, sizeof snapshot,
           "\"snapshots\":[{\"snapshot-id\":3,\"parent-snapshot-id\":%lld,\"sequence-number\":3,"
           "\"timestamp-ms\":1,\"manifest-list\":\"%s\",\"summary\":{\"operation\":\"overwrite\"}},",
           (long long)m->snapshots[1].id, m->snapshots[0].manifest_list);
  text = replace(text, "\"snapshots\":[", snapshot, false);
  mle_metadata *out;
  must(mle_metadata_parse(text, strlen(text), &out, err));
  mle_free(text);
  return out;
}

static int set_up(void **state) {
  (void)state;
  char uri[200], warehouse[200];
  if (mkdtemp(folder) == NULL) return 1;
  snprintf(uri, sizeof uri, "sqlite:///%s/catalog.db", folder);
  snprintf(warehouse, sizeof warehouse, "file://%s/w", folder);
  const mle_property properties[] = {{"uri", uri}, {"warehouse", warehouse}};
  const mle_table_request request = {.columns = columns, .num_columns = 2};
  must(mle_session_open(&(mle_session_options){.threads = 1}, &session, err));
  must(mle_catalog_open("default", properties, 2, &catalog, err));
  must(mle_catalog_create_table(catalog, &(mle_table_name){"bank", "t"}, &request, &table, err));
  table = append("select i as id, {'x': i::int} as st from range(10) t(i)");
  table = append("select i as id, {'x': i::int} as st from range(10, 15) t(i)");
  rewritten = rewrite_history();
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  mle_metadata_free(rewritten);
  mle_table_free(table);
  mle_catalog_close(catalog);
  mle_session_close(session);
  return mle_remove_tree(folder, NULL) != MLE_OK;
}

/* "+5 -5@1": inserted, deleted rows and the highest ordinal of the range. */
static mle_status tell(const mle_metadata *m, mle_increment_options options,
                       const mle_changes_options *how, char out[100], mle_error *err) {
  static const char *const expressions[] = {
      "CAST(count(*) FILTER (_change_type = 'INSERT') AS BIGINT)",
      "CAST(count(*) FILTER (_change_type = 'DELETE') AS BIGINT)",
      "CAST(coalesce(max(_change_ordinal), -1) AS BIGINT)"};
  mle_arena arena = MLE_ARENA;
  mle_increment range;
  mle_frame *frame = NULL;
  mle_stream *stream = NULL;
  mle_batch batch;
  mle_status status;
  options.on_non_append = MLE_NON_APPEND_INCLUDE_ADDED;
  MLE_GO(mle_increment_resolve(m, &options, &arena, &range, err));
  MLE_GO(mle_changes_read(session, m, m->schema, &range, how, &frame, err));
  MLE_GO(mle_frame_stream(frame, expressions, 3, &stream, err));
  MLE_GO(mle_stream_next(stream, &batch, err));
  const int64_t *inserted = batch.column[0].data, *deleted = batch.column[1].data;
  const int64_t *ordinal = batch.column[2].data;
  snprintf(out, 100, "+%lld -%lld@%lld", (long long)*inserted, (long long)*deleted,
           (long long)*ordinal);
done:
  mle_stream_close(stream);
  mle_frame_free(frame);
  mle_arena_release(&arena);
  return status;
}

static void assert_told(const mle_metadata *m, int64_t from, int64_t to,
                        const mle_changes_options *how, const char *wanted) {
  char text[100];
  must(tell(m, (mle_increment_options){.from = from, .to = to}, how, text, err));
  assert_string_equal(text, wanted);
}

static const mle_changes_options plain = {.condition = NULL};

static void appended_rows_are_inserted(void **state) {
  (void)state;
  const mle_metadata *m = table->metadata;
  assert_told(m, MLE_NO_SNAPSHOT, MLE_NO_SNAPSHOT, &plain, "+15 -0@1");
  assert_told(m, m->snapshots[0].id, MLE_NO_SNAPSHOT, &plain, "+5 -0@0");
  assert_told(m, m->snapshots[1].id, MLE_NO_SNAPSHOT, &plain, "+0 -0@-1");
}

static void a_file_that_came_or_went_is_its_rows(void **state) {
  (void)state;
  const mle_metadata *m = rewritten;
  int64_t first = m->snapshots[1].id, second = m->snapshots[2].id;
  assert_told(m, first, second, &plain, "+5 -0@0");
  assert_told(m, second, 3, &plain, "+0 -5@0");
  assert_told(m, MLE_NO_SNAPSHOT, 3, &plain, "+15 -5@2");
  const mle_changes_options where = {.where = "id >= 12"};
  assert_told(m, MLE_NO_SNAPSHOT, 3, &where, "+3 -3@2");
}

static void an_overwrite_whose_parent_was_expired_is_refused(void **state) {
  (void)state;
  char text[100];
  mle_error err;
  mle_increment_options options = {.from = 77, .to = MLE_NO_SNAPSHOT};
  char *json = mle_json_print(rewritten->document, false), parent[60];
  snprintf(parent, sizeof parent, "\"parent-snapshot-id\":%lld",
           (long long)rewritten->snapshots[1].id);
  json = replace(json, parent, "\"parent-snapshot-id\":77", true);
  mle_metadata *cut;
  must(mle_metadata_parse(json, strlen(json), &cut, err));
  assert_int_equal(tell(cut, options, &plain, text, &err), MLE_EREFUSED);
  assert_message(err, "(overwrite) deleted cannot be told: snapshot 77 before it was expired");
  mle_metadata_free(cut);
  mle_free(json);
}

static mle_status tell_all(mle_error *err) {
  char text[100];
  MLE_TRY(tell(rewritten, (mle_increment_options){.from = MLE_NO_SNAPSHOT, .to = 3}, &plain, text,
               err));
  if (strcmp(text, "+15 -5@2") != 0) fail();
  return MLE_OK;
}

static void out_of_memory_leaks_nothing(void **state) {
  (void)state;
  assert_true(exhaust_memory(tell_all) > 50);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(appended_rows_are_inserted),
      cmocka_unit_test(a_file_that_came_or_went_is_its_rows),
      cmocka_unit_test(an_overwrite_whose_parent_was_expired_is_refused),
      cmocka_unit_test(out_of_memory_leaks_nothing),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
