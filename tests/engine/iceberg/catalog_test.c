#include "tests/engine/iceberg/tables.h"

#include "engine/base/db.h"
#include "engine/iceberg/increment.h"

/* Each test has a catalog file of its own, by number. */
static mle_status open_numbered(int number, mle_catalog **out, mle_error *err) {
  char uri[200], warehouse[200];
  snprintf(uri, sizeof uri, "sqlite:///%s/%d/catalog.db", folder, number);
  snprintf(warehouse, sizeof warehouse, "file://%s/%d/warehouse/", folder, number);
  const mle_property properties[] = {{"uri", uri}, {"warehouse", warehouse}, {"type", "sql"}};
  return mle_catalog_open("default", properties, 3, out, err);
}

static mle_catalog *open_catalog(int number) {
  mle_catalog *catalog;
  must(open_numbered(number, &catalog, err));
  return catalog;
}

/* ====== Names ====== */

static void looking_at_a_catalog_that_is_not_there_makes_nothing(void **state) {
  (void)state;
  mle_catalog *catalog = open_catalog(1);
  mle_names names;
  mle_table *table;
  mle_error err;
  bool found;
  must(mle_catalog_list_namespaces(catalog, &names, err));
  assert_int_equal(names.count, 0);
  must(mle_catalog_has_table(catalog, &trx, &found, err));
  assert_false(found);
  assert_int_equal(mle_catalog_load(catalog, &trx, &table, &err), MLE_ENOTFOUND);
  assert_message(err, "bank.trx");
  mle_catalog_close(catalog);
  char path[200];
  snprintf(path, sizeof path, "%s/1", folder);
  assert_false(mle_file_exists(path));
}

static void tables_are_made_listed_renamed_and_dropped(void **state) {
  (void)state;
  mle_catalog *catalog = open_catalog(2);
  mle_table *table;
  mle_names names;
  mle_error err;
  must(mle_catalog_create_namespace(catalog, "a.b", err));
  assert_int_equal(mle_catalog_create_namespace(catalog, "a.b", &err), MLE_EEXISTS);
  must(make_table(catalog, NULL, 0, &table, err));
  assert_non_null(strstr(table->metadata->location, "/warehouse/bank/trx"));
  mle_table_free(table);
  assert_int_equal(make_table(catalog, NULL, 0, &table, &err), MLE_EEXISTS);
  must(mle_catalog_rename_table(catalog, &trx, &(mle_table_name){"other", "t"}, err));
  must(mle_catalog_list_namespaces(catalog, &names, err));
  assert_int_equal(names.count, 3);
  assert_string_equal(names.items[0], "a.b");
  mle_names_release(&names);
  must(mle_catalog_list_tables(catalog, "other", &names, err));
  assert_string_equal(names.items[0], "t");
  mle_names_release(&names);
  assert_int_equal(mle_catalog_list_tables(catalog, "othe_", &names, &err), MLE_ENOTFOUND);
  must(mle_catalog_drop_table(catalog, &(mle_table_name){"other", "t"}, err));
  assert_int_equal(mle_catalog_drop_table(catalog, &(mle_table_name){"other", "t"}, &err),
                   MLE_ENOTFOUND);
  mle_catalog_close(catalog);
}

static void bad_names_and_catalogs_are_refused(void **state) {
  (void)state;
  mle_catalog *catalog = open_catalog(3), *other;
  mle_error err;
  bool found;
  static const char *const bad[] = {"", ".a", "a.", "a..b", "a/b", "a\nb"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    assert_int_equal(mle_catalog_create_namespace(catalog, bad[i], &err), MLE_EINVAL);
  assert_int_equal(mle_catalog_has_table(catalog, &(mle_table_name){"a", "b.c"}, &found, &err),
                   MLE_EINVAL);
  mle_catalog_close(catalog);
  static const mle_property wrong[][2] = {{{"type", "hive"}, {"uri", "thrift://h"}},
                                          {{"uri", "thrift://h"}, {"x", "y"}},
                                          {{"type", "glue"}, {"x", "y"}},
                                          {{"type", "dynamodb"}, {"x", "y"}},
                                          {{"uri", "mysql://h/db"}, {"x", "y"}},
                                          {{"uri", "sqlite:///:memory:"}, {"x", "y"}},
                                          {{"warehouse", "/w"}, {"x", "y"}}};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
    assert_int_not_equal(mle_catalog_open("c", wrong[i], 2, &other, &err), MLE_OK);
}

/* As PyIceberg before 0.12 and Java before 1.5 made it: without iceberg_type. */
static void a_catalog_of_schema_v0_works(void **state) {
  (void)state;
  char path[200];
  mle_db *db;
  mle_table *table;
  snprintf(path, sizeof path, "%s/4", folder);
  must(mle_make_folders(path, 0755, err));
  strcat(path, "/catalog.db");
  must(mle_db_open(path, &(mle_db_options){.create = true}, &db, err));
  must(mle_db_script(db,
                     "create table iceberg_tables (catalog_name varchar(255) not null, "
                     "table_namespace varchar(255) not null,"
                     " table_name varchar(255) not null, metadata_location varchar(1000), "
                     "previous_metadata_location varchar(1000),"
                     " primary key (catalog_name, table_namespace, table_name));"
                     "create table iceberg_namespace_properties (catalog_name varchar(255) not "
                     "null, namespace varchar(255) not null,"
                     " property_key varchar(255) not null, property_value varchar(1000) not null,"
                     " primary key (catalog_name, namespace, property_key))",
                     err));
  mle_db_close(db);
  mle_catalog *catalog = open_catalog(4);
  must(make_table(catalog, NULL, 0, &table, err));
  mle_table *next = append(catalog, table, 3);
  assert_int_equal(rows_of(next), 3);
  mle_table_free(next);
  mle_table_free(table);
  mle_catalog_close(catalog);
}

static void views_are_no_tables(void **state) {
  (void)state;
  char path[200];
  mle_db *db;
  mle_table *table;
  bool found;
  mle_catalog *catalog = open_catalog(5);
  must(make_table(catalog, NULL, 0, &table, err));
  mle_table_free(table);
  snprintf(path, sizeof path, "%s/5/catalog.db", folder);
  must(mle_db_open(path, &(mle_db_options){0}, &db, err));
  must(mle_db_script(db, "update iceberg_tables set iceberg_type = 'VIEW'", err));
  mle_db_close(db);
  must(mle_catalog_has_table(catalog, &trx, &found, err));
  assert_false(found);
  mle_catalog_close(catalog);
}

/* ====== Appends ====== */

/* Spark's metadata table `manifests` fails on a null. */
static void assert_no_summary_is_null(const mle_metadata *m) {
  mle_arena arena = MLE_ARENA;
  mle_manifest_list list;
  must(mle_snapshot_manifests(m, mle_metadata_current(m), &arena, &list, err));
  for (size_t i = 0; i < list.count; i++) assert_non_null(list.files[i].partitions.items);
  mle_arena_release(&arena);
}

static void appends_chain_snapshots_and_sum_totals(void **state) {
  (void)state;
  mle_catalog *catalog = open_catalog(6);
  mle_table *first, *second, *third;
  must(make_table(catalog, NULL, 0, &first, err));
  second = append(catalog, first, 10);
  third = append(catalog, second, 5);
  const mle_snapshot *a = mle_metadata_current(second->metadata),
                     *b = mle_metadata_current(third->metadata);
  assert_true(a->parent_id == MLE_NO_SNAPSHOT && b->parent_id == a->id);
  assert_int_equal(a->sequence_number, 1);
  assert_int_equal(b->sequence_number, 2);
  assert_string_equal(mle_snapshot_summary(b, "added-records"), "5");
  assert_string_equal(mle_snapshot_summary(b, "total-records"), "15");
  assert_string_equal(mle_snapshot_summary(b, "total-data-files"), "2");
  assert_int_equal(rows_of(third), 15);
  assert_no_summary_is_null(third->metadata);
  const mle_increment_options options = {.from = a->id, .to = MLE_NO_SNAPSHOT};
  mle_arena arena = MLE_ARENA;
  mle_increment range;
  mle_plan plan;
  must(mle_increment_resolve(third->metadata, &options, &arena, &range, err));
  must(mle_increment_plan(third->metadata, &range, NULL, &plan, err));
  assert_int_equal(plan.rows, 5);
  assert_true(plan.files[0].snapshot_id == b->id);
  mle_plan_release(&plan);
  mle_arena_release(&arena);
  mle_table_free(first);
  mle_table_free(second);
  mle_table_free(third);
  mle_catalog_close(catalog);
}

static void old_versions_go_where_the_table_says_so(void **state) {
  (void)state;
  mle_catalog *catalog = open_catalog(14);
  const mle_property few[] = {{"write.metadata.delete-after-commit.enabled", "true"},
                              {"write.metadata.previous-versions-max", "2"}};
  mle_table *table;
  must(make_table(catalog, few, 2, &table, err));
  for (int i = 0; i < 4; i++) {
    mle_table *next = append(catalog, table, i + 1);
    mle_table_free(table);
    table = next;
  }
  /* 4 data files, 4 manifests, 4 lists; of 5 versions of metadata the last and 2 before it */
  assert_int_equal(count_objects(table), 15);
  assert_int_equal(rows_of(table), 10);
  mle_table_free(table);
  mle_catalog_close(catalog);
}

static void an_append_to_an_old_version_goes_on_top_of_the_new_one(void **state) {
  (void)state;
  mle_catalog *mine = open_catalog(7), *theirs = open_catalog(7);
  const mle_property quick = {"commit.retry.min-wait-ms", "1"};
  mle_table *base, *ahead, *next;
  must(make_table(mine, &quick, 1, &base, err));
  ahead = append(theirs, base, 10);
  next = append(mine, base, 5); /* base is not the table's version any more */
  assert_int_equal(rows_of(next), 15);
  assert_true(mle_metadata_current(next->metadata)->parent_id ==
              mle_metadata_current(ahead->metadata)->id);
  /* 2 data files, 2 manifests, 2 lists, 3 versions of metadata: nothing of the attempt that lost */
  assert_int_equal(count_objects(next), 9);
  mle_table_free(base);
  mle_table_free(ahead);
  mle_table_free(next);
  mle_catalog_close(mine);
  mle_catalog_close(theirs);
}

static void a_lost_commit_leaves_no_file(void **state) {
  (void)state;
  mle_catalog *catalog = open_catalog(8);
  const mle_property never = {"commit.retry.num-retries", "0"};
  mle_table *base, *ahead, *next;
  mle_written *written;
  mle_error err;
  must(make_table(catalog, &never, 1, &base, err));
  ahead = append(catalog, base, 10);
  int before = count_objects(base);
  must(write_file(base, 5, &written, err));
  assert_int_equal(mle_written_commit(written, catalog, base, NULL, 0, &next, NULL, &err),
                   MLE_ECONFLICT);
  assert_message(err, "bank.trx");
  assert_true(err.retryable);
  mle_written_free(written);
  assert_int_equal(count_objects(base), before);
  mle_table_free(base);
  mle_table_free(ahead);
  mle_catalog_close(catalog);
}

static void a_table_made_anew_is_not_appended_to(void **state) {
  (void)state;
  mle_catalog *catalog = open_catalog(9);
  mle_table *old, *anew, *next;
  mle_written *written;
  mle_error err;
  must(make_table(catalog, NULL, 0, &old, err));
  must(mle_catalog_drop_table(catalog, &trx, err));
  must(make_table(catalog, NULL, 0, &anew, err));
  must(write_file(old, 5, &written, err));
  assert_int_equal(mle_written_commit(written, catalog, old, NULL, 0, &next, NULL, &err),
                   MLE_EREFUSED);
  assert_message(err, "made anew");
  mle_written_free(written);
  mle_table_free(old);
  mle_table_free(anew);
  mle_catalog_close(catalog);
}

/* Makes the swap's statement fail with `action`; FAIL keeps what the statement did before. */
static void add_trigger(int number, const char *action) {
  char path[200], sql[400];
  mle_db *db;
  snprintf(path, sizeof path, "%s/%d/catalog.db", folder, number);
  snprintf(sql, sizeof sql, "create trigger t after update on iceberg_tables begin %s end", action);
  must(mle_db_open(path, &(mle_db_options){0}, &db, err));
  must(mle_db_script(db, sql, err));
  mle_db_close(db);
}

/* Appends while the swap fails; gives the status, and whether the data file is still there. */
static mle_status append_under(int number, const char *action, bool *kept, mle_error *err) {
  mle_catalog *catalog = open_catalog(number);
  mle_table *table, *next;
  mle_written *written;
  must(make_table(catalog, NULL, 0, &table, err));
  add_trigger(number, action);
  must(write_file(table, 5, &written, err));
  char *path = mle_strdup(written->files->path);
  mle_status status = mle_written_commit(written, catalog, table, NULL, 0, &next, NULL, err);
  mle_written_free(written);
  must(mle_store_exists(path, kept, err));
  mle_free(path);
  mle_table_free(next);
  mle_table_free(table);
  mle_catalog_close(catalog);
  return status;
}

static void a_swap_that_failed_and_undid_itself_is_a_failure(void **state) {
  (void)state;
  mle_error err;
  bool kept;
  mle_status status = append_under(11, "select raise(abort, 'the disk said no');", &kept, &err);
  assert_int_not_equal(status, MLE_OK);
  assert_int_not_equal(status, MLE_EUNKNOWN);
  assert_message(err, "the disk said no");
  assert_false(kept);
}

static void a_swap_that_failed_but_took_effect_is_a_success(void **state) {
  (void)state;
  mle_error err;
  bool kept;
  assert_int_equal(append_under(12, "select raise(fail, 'the disk said no');", &kept, &err),
                   MLE_OK);
  assert_true(kept);
}

static void a_swap_of_unknown_outcome_keeps_the_files(void **state) {
  (void)state;
  mle_error err;
  bool kept;
  static const char action[] =
      "update iceberg_tables set metadata_location = '/gone.metadata.json';"
      " select raise(fail, 'the disk said no');";
  assert_int_equal(append_under(13, action, &kept, &err), MLE_EUNKNOWN);
  assert_message(err, "not known");
  assert_true(kept);
}

static void an_unreadable_table_is_an_error_that_names_it(void **state) {
  (void)state;
  mle_catalog *catalog = open_catalog(10);
  mle_table *table, *again;
  mle_error err;
  must(make_table(catalog, NULL, 0, &table, err));
  must(mle_store_replace(table->metadata_location, "{\"format-version\":", 18, err));
  assert_int_equal(mle_catalog_load(catalog, &trx, &again, &err), MLE_EFORMAT);
  assert_message(err, "table bank.trx: table metadata");
  mle_table_free(table);
  mle_catalog_close(catalog);
}

static mle_status whole_life(mle_error *err) {
  static int number = 100;
  mle_catalog *catalog = NULL;
  mle_table *table = NULL, *next = NULL;
  mle_written *written = NULL;
  mle_plan plan = {.arena = MLE_ARENA};
  mle_status status;
  number++;
  MLE_GO(open_numbered(number, &catalog, err));
  MLE_GO(make_table(catalog, NULL, 0, &table, err));
  MLE_GO(write_file(table, 5, &written, err));
  MLE_GO(mle_written_commit(written, catalog, table, NULL, 0, &next, NULL, err));
  MLE_GO(mle_plan_snapshot(next->metadata, mle_metadata_current(next->metadata), NULL, &plan, err));
  if (plan.rows != 5) fail();
done:
  mle_plan_release(&plan);
  mle_written_free(written);
  mle_table_free(next);
  mle_table_free(table);
  mle_catalog_close(catalog);
  return status;
}

static void out_of_memory_leaks_nothing(void **state) {
  (void)state;
  assert_true(exhaust_memory(whole_life) > 100);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(looking_at_a_catalog_that_is_not_there_makes_nothing),
      cmocka_unit_test(tables_are_made_listed_renamed_and_dropped),
      cmocka_unit_test(bad_names_and_catalogs_are_refused),
      cmocka_unit_test(a_catalog_of_schema_v0_works),
      cmocka_unit_test(views_are_no_tables),
      cmocka_unit_test(appends_chain_snapshots_and_sum_totals),
      cmocka_unit_test(old_versions_go_where_the_table_says_so),
      cmocka_unit_test(an_append_to_an_old_version_goes_on_top_of_the_new_one),
      cmocka_unit_test(a_lost_commit_leaves_no_file),
      cmocka_unit_test(a_table_made_anew_is_not_appended_to),
      cmocka_unit_test(a_swap_that_failed_and_undid_itself_is_a_failure),
      cmocka_unit_test(a_swap_that_failed_but_took_effect_is_a_success),
      cmocka_unit_test(a_swap_of_unknown_outcome_keeps_the_files),
      cmocka_unit_test(an_unreadable_table_is_an_error_that_names_it),
      cmocka_unit_test(out_of_memory_leaks_nothing),
  };
  return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
