/* read.c and write.c: a frame into a table and out again, also out of memory. */
#include "tests/engine/iceberg/support.h"

#include "engine/iceberg/read.h"
#include "engine/iceberg/write.h"

static char folder[] = "/tmp/mle-rows-XXXXXX";
static mle_session *session;
static mle_catalog *catalog;
static mle_table *table;
static mle_table *appended; /* the table once it has ten rows */

static const mle_column_spec columns[] = {{"id", "BIGINT", false},
                                          {"name", "VARCHAR", true},
                                          {"st", "STRUCT(x INTEGER, y DOUBLE[])", true}};

static int set_up(void **state) {
  (void)state;
  char uri[200], warehouse[200];
  if (mkdtemp(folder) == NULL) return 1;
  snprintf(uri, sizeof uri, "sqlite:///%s/catalog.db", folder);
  snprintf(warehouse, sizeof warehouse, "file://%s/w", folder);
  const mle_property properties[] = {{"uri", uri}, {"warehouse", warehouse}};
  const mle_table_request request = {.columns = columns, .num_columns = 3};
  must(mle_session_open(&(mle_session_options){.threads = 1}, &session, err));
  must(mle_catalog_open("default", properties, 2, &catalog, err));
  must(mle_catalog_create_table(catalog, &(mle_table_name){"bank", "t"}, &request, &table, err));
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  mle_table_free(appended);
  mle_table_free(table);
  mle_catalog_close(catalog);
  mle_session_close(session);
  return mle_remove_tree(folder, NULL) != MLE_OK;
}

static mle_frame *frame_of(const char *sql) {
  mle_frame *frame;
  must(mle_frame_from_sql(session, sql, &frame, err));
  return frame;
}

static mle_status write(const char *sql, mle_written **out, mle_error *err) {
  mle_frame *frame = frame_of(sql);
  mle_status status = mle_iceberg_write(table, frame, out, err);
  mle_frame_free(frame);
  return status;
}

static const mle_key_long *find(const mle_list *list, int key) {
  const mle_key_long *items = list->items;
  for (size_t i = 0; i < list->count; i++)
    if (items[i].key == key) return &items[i];
  return NULL;
}

static void a_data_file_has_metrics_of_what_is_per_row(void **state) {
  (void)state;
  mle_written *written;
  must(
      write("select i::int as id, null::varchar as name, {'x': i::int, 'y': [0.5::double]} as st "
            "from range(3) t(i)",
            &written, err));
  const mle_data_file *file = &written->files[0];
  assert_int_equal(written->rows, 3);
  assert_int_equal(file->record_count, 3);
  assert_true(file->file_size > 100 && file->split_offsets.count == 1);
  assert_int_equal(find(&file->value_counts, 1)->value, 3);
  assert_int_equal(find(&file->null_counts, 2)->value, 3);
  assert_int_equal(find(&file->value_counts, 4)->value, 3); /* st.x */
  assert_null(find(&file->value_counts, 6));                /* st.y's elements */
  assert_int_equal(file->lower_bounds.count, 2);            /* id, st.x: name has no value */
  mle_written_free(written);
}

static void refused(const char *sql, const char *first, const char *second) {
  mle_written *written;
  mle_error err;
  assert_int_equal(write(sql, &written, &err), MLE_EINVAL);
  assert_null(written);
  assert_message(err, first);
  assert_message(err, second);
}

static void what_does_not_fit_is_named(void **state) {
  (void)state;
  refused("select 1 as id, 2 as colour", "'colour'", "bank.t");
  refused("select 'x' as id", "'id' is string", "long");
  refused("select 'x' as name", "'id' (long) is missing", "requires");
  refused("select null::bigint as id", "'id' has 1 nulls", "requires");
  refused("select 1 as id, {'z': 1} as st", "'st'", "struct<z: int>");
}

static void a_frame_without_rows_gives_no_file(void **state) {
  (void)state;
  mle_written *written;
  must(write("select 1 as id where false", &written, err));
  assert_int_equal(written->num_files, 0);
  mle_written_free(written);
}

/* Filtering reads the file, and finds the column by its id. */
static mle_status count_large(const mle_table *from, int64_t *out, mle_error *err) {
  static const char *const names[] = {"id"};
  mle_frame *all = NULL, *large = NULL;
  mle_plan plan;
  mle_status status;
  MLE_TRY(mle_plan_snapshot(from->metadata, mle_metadata_current(from->metadata), NULL, &plan, err));
  MLE_GO(mle_iceberg_read(session, from->metadata, from->metadata->schema, &plan, names, 1, &all,
                          err));
  MLE_GO(mle_frame_where(all, "id > 6", &large, err));
  MLE_GO(mle_frame_count(large, out, err));
done:
  mle_frame_free(large);
  mle_frame_free(all);
  mle_plan_release(&plan);
  return status;
}

static void rows_go_in_and_out(void **state) {
  (void)state;
  mle_written *written;
  int64_t count;
  must(write("select i as id from range(10) t(i)", &written, err));
  must(mle_written_commit(written, catalog, table, NULL, 0, &appended, NULL, err));
  mle_written_free(written);
  must(count_large(appended, &count, err));
  assert_int_equal(count, 3);
}

static void unknown_columns_are_named(void **state) {
  (void)state;
  mle_plan plan = {.arena = MLE_ARENA};
  mle_frame *frame;
  mle_error err;
  const char *const names[] = {"idd"};
  assert_int_equal(mle_iceberg_read(session, table->metadata, table->metadata->schema, &plan, names,
                                    1, &frame, &err),
                   MLE_ENOTFOUND);
  assert_message(err, "'idd'");
}

static mle_frame *ten;

static mle_status write_ten(mle_error *err) {
  mle_written *written;
  MLE_TRY(mle_iceberg_write(table, ten, &written, err));
  mle_written_free(written);
  return MLE_OK;
}

static mle_status read_ten(mle_error *err) {
  int64_t count;
  MLE_TRY(count_large(appended, &count, err));
  if (count != 3) fail();
  return MLE_OK;
}

static void out_of_memory_leaks_nothing(void **state) {
  (void)state;
  ten = frame_of("select i as id from range(10) t(i)");
  assert_true(exhaust_memory(write_ten) > 20);
  assert_true(exhaust_memory(read_ten) > 20);
  mle_frame_free(ten);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_data_file_has_metrics_of_what_is_per_row),
      cmocka_unit_test(what_does_not_fit_is_named),
      cmocka_unit_test(a_frame_without_rows_gives_no_file),
      cmocka_unit_test(rows_go_in_and_out),
      cmocka_unit_test(unknown_columns_are_named),
      cmocka_unit_test(out_of_memory_leaks_nothing),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
