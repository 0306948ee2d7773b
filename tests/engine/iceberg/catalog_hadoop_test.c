/* catalog_hadoop_test.c -- a directory as catalog, and one table without its catalog. */
#include "tests/engine/iceberg/tables.h"

#include <zstd.h>

#include "engine/iceberg/catalog_class.h"
#include "engine/iceberg/metadata_file.h"

#define PATH_MAX_ 300

/* Each test has a warehouse of its own, by number. */
static mle_status open_numbered(int number, mle_catalog **out, mle_error *err) {
  char warehouse[PATH_MAX_];
  snprintf(warehouse, sizeof warehouse, "file://%s/h%d/", folder, number);
  const mle_property properties[] = {{"type", "hadoop"}, {"warehouse", warehouse}};
  return mle_catalog_open("lake", properties, 2, out, err);
}

static mle_catalog *open_catalog(int number) {
  mle_catalog *catalog;
  must(open_numbered(number, &catalog, err));
  return catalog;
}

/* The URI of a file below the table's folder. */
static const char *in_table(int number, const char *file) {
  static char uri[PATH_MAX_];
  snprintf(uri, sizeof uri, "file://%s/h%d/bank/trx/%s", folder, number, file);
  return uri;
}

static void put(int number, const char *file, const char *text) {
  must(mle_store_replace(in_table(number, file), text, strlen(text), err));
}

static bool has(int number, const char *file) {
  bool exists;
  must(mle_store_exists(in_table(number, file), &exists, err));
  return exists;
}

static void assert_hint(int number, const char *text) {
  mle_buffer bytes = MLE_BUFFER(100);
  must(mle_store_read(in_table(number, "metadata/version-hint.text"), &bytes, err));
  assert_string_equal(bytes.data, text);
  mle_buffer_release(&bytes);
}

/* The name of the file that a table was read from. */
static void assert_loaded(mle_catalog *catalog, const char *name) {
  mle_table *table;
  must(mle_catalog_load(catalog, &trx, &table, err));
  assert_string_equal(mle_path_name(table->metadata_location), name);
  mle_table_free(table);
}

/* A table of two appends: v1, v2 and v3. */
static mle_catalog *with_three_versions(int number) {
  mle_catalog *catalog = open_catalog(number);
  mle_table *first, *second, *third;
  must(make_table(catalog, NULL, 0, &first, err));
  second = append(catalog, first, 10);
  third = append(catalog, second, 5);
  mle_table_free(first);
  mle_table_free(second);
  mle_table_free(third);
  return catalog;
}

/* ====== Names ====== */

static void folders_are_namespaces_and_tables(void **state) {
  (void)state;
  mle_catalog *catalog = open_catalog(1);
  mle_table *table;
  mle_names names;
  mle_error err;
  bool found;
  must(mle_catalog_list_namespaces(catalog, &names, err));
  assert_int_equal(names.count, 0);
  must(mle_catalog_has_table(catalog, &trx, &found, err));
  assert_false(found);
  must(mle_catalog_create_namespace(catalog, "a.b", err));
  assert_int_equal(mle_catalog_create_namespace(catalog, "a.b", &err), MLE_EEXISTS);
  must(make_table(catalog, NULL, 0, &table, err));
  assert_non_null(strstr(table->metadata->location, "/h1/bank/trx"));
  mle_table_free(table);
  assert_int_equal(make_table(catalog, NULL, 0, &table, &err), MLE_EEXISTS);
  assert_hint(1, "1");
  must(mle_catalog_list_namespaces(catalog, &names, err));
  assert_int_equal(names.count, 3);
  assert_string_equal(names.items[0], "a");
  assert_string_equal(names.items[1], "a.b");
  assert_string_equal(names.items[2], "bank");
  mle_names_release(&names);
  must(mle_catalog_list_tables(catalog, "bank", &names, err));
  assert_int_equal(names.count, 1);
  assert_string_equal(names.items[0], "trx");
  mle_names_release(&names);
  must(mle_catalog_drop_table(catalog, &trx, err));
  assert_false(has(1, ""));
  assert_int_equal(mle_catalog_drop_table(catalog, &trx, &err), MLE_ENOTFOUND);
  assert_int_equal(mle_catalog_load(catalog, &trx, &table, &err), MLE_ENOTFOUND);
  assert_message(err, "catalog 'lake' has no table bank.trx");
  mle_catalog_close(catalog);
}

static void what_a_directory_cannot_do_is_refused(void **state) {
  (void)state;
  mle_catalog *catalog = open_catalog(2), *other;
  mle_table *table;
  mle_error err;
  const mle_table_request elsewhere = {
      .columns = columns, .num_columns = 2, .location = "file:///elsewhere"};
  assert_int_equal(mle_catalog_create_table(catalog, &trx, &elsewhere, &table, &err),
                   MLE_EUNSUPPORTED);
  assert_message(err, "leave out location");
  must(make_table(catalog, NULL, 0, &table, err));
  mle_table_free(table);
  assert_int_equal(mle_catalog_rename_table(catalog, &trx, &(mle_table_name){"bank", "t"}, &err),
                   MLE_EUNSUPPORTED);
  assert_message(err, "bank.trx cannot be renamed");
  assert_int_equal(mle_catalog_create_namespace(catalog, "bank.trx.deep", &err), MLE_EREFUSED);
  assert_message(err, "is a table");
  must(mle_catalog_create_namespace(catalog, "x.y", err));
  assert_int_equal(mle_catalog_create_namespace(catalog, "x.y", &err), MLE_EEXISTS);
  const mle_table_request plain = {.columns = columns, .num_columns = 2};
  must(mle_catalog_create_namespace(catalog, "x.y.z", err));
  assert_int_equal(
      mle_catalog_create_table(catalog, &(mle_table_name){"x", "y"}, &plain, &table, &err),
      MLE_EREFUSED);
  assert_message(err, "is a namespace: 'z'");
  mle_catalog_close(catalog);
  static const mle_property none = {"type", "hadoop"};
  assert_int_equal(mle_catalog_open("c", &none, 1, &other, &err), MLE_EINVAL);
  assert_message(err, "warehouse");
  static const mle_property far[] = {{"type", "hadoop"}, {"warehouse", "s3://bucket/w"}};
  assert_int_equal(mle_catalog_open("c", far, 2, &other, &err), MLE_EUNSUPPORTED);
}

/* ====== The newest version ====== */

static void the_hint_may_be_right_stale_absent_or_nonsense(void **state) {
  (void)state;
  mle_catalog *catalog = with_three_versions(3);
  static const char *const hints[] = {"3", "1", "2\n", "77", "abc", "../v1", "",
                                      "v2", "v2.metadata.json"};
  assert_hint(3, "3");
  for (size_t i = 0; i < sizeof hints / sizeof *hints; i++) {
    put(3, "metadata/version-hint.text", hints[i]);
    assert_loaded(catalog, "v3.metadata.json");
  }
  must(mle_store_remove(in_table(3, "metadata/version-hint.text"), err));
  assert_loaded(catalog, "v3.metadata.json");
  must(mle_store_remove(in_table(3, "metadata/v1.metadata.json"), err)); /* as Spark cleans up */
  put(3, "metadata/version-hint.text", "1");
  assert_loaded(catalog, "v3.metadata.json");
  mle_catalog_close(catalog);
}

static void compressed_versions_are_found_by_all_their_names(void **state) {
  (void)state;
  mle_catalog *catalog = with_three_versions(4);
  mle_buffer bytes = MLE_BUFFER(1 << 20);
  static const char *const names[] = {"v4.gz.metadata.json",   "v5.metadata.json.gz",
                                      "v6.zstd.metadata.json", "v7.zst.metadata.json",
                                      "v8.metadata.json.zst",  "v9.metadata.json.zstd"};
  enum { NAMES = sizeof names / sizeof *names };
  must(mle_store_read(in_table(4, "metadata/v3.metadata.json"), &bytes, err));
  for (size_t i = 0; i < NAMES; i++) { /* what is in it tells how it is compressed, not the name */
    char file[100];
    snprintf(file, sizeof file, "metadata/%s", names[i]);
    put(4, file, bytes.data);
    assert_loaded(catalog, names[i]);
  }
  must(mle_store_remove(in_table(4, "metadata/version-hint.text"), err));
  assert_loaded(catalog, names[NAMES - 1]);
  mle_table *table;
  must(mle_catalog_load(catalog, &trx, &table, err));
  mle_table *next = append(catalog, table, 7);
  assert_string_equal(mle_path_name(next->metadata_location), "v10.metadata.json");
  mle_table_free(next);
  mle_table_free(table);
  mle_buffer_release(&bytes);
  mle_catalog_close(catalog);
}

static void zstd_is_read_and_damage_in_it_is_named(void **state) {
  (void)state;
  mle_catalog *catalog = with_three_versions(19);
  mle_buffer bytes = MLE_BUFFER(1 << 20);
  char packed[1 << 14], uri[400];
  mle_metadata *metadata;
  mle_error err;
  must(mle_store_read(in_table(19, "metadata/v3.metadata.json"), &bytes, err));
  size_t len = ZSTD_compress(packed, sizeof packed, bytes.data, bytes.len, 3);
  assert_false(ZSTD_isError(len));
  snprintf(uri, sizeof uri, "%s", in_table(19, "metadata/v4.zstd.metadata.json"));
  must(mle_store_create(uri, packed, len, err));
  assert_loaded(catalog, "v4.zstd.metadata.json");
  snprintf(uri, sizeof uri, "%s", in_table(19, "metadata/v5.zstd.metadata.json"));
  must(mle_store_create(uri, packed, len / 2, err));
  assert_int_equal(mle_metadata_read(uri, &metadata, &err), MLE_EFORMAT);
  assert_message(err, "v5.zstd.metadata.json': not valid zstd data");
  mle_buffer_release(&bytes);
  mle_catalog_close(catalog);
}

/* Files of a SQL or REST catalog: only it knows which is the newest, so nothing is written. */
static void a_table_of_another_catalog_is_read_only(void **state) {
  (void)state;
  mle_catalog *catalog = with_three_versions(5);
  mle_buffer bytes = MLE_BUFFER(1 << 20);
  mle_table *table;
  mle_error err;
  must(mle_store_read(in_table(5, "metadata/v3.metadata.json"), &bytes, err));
  for (int version = 1; version <= 3; version++) {
    char file[100];
    snprintf(file, sizeof file, "metadata/v%d.metadata.json", version);
    must(mle_store_remove(in_table(5, file), err));
  }
  must(mle_store_remove(in_table(5, "metadata/version-hint.text"), err));
  assert_int_equal(mle_catalog_load(catalog, &trx, &table, &err), MLE_ENOTFOUND);
  put(5, "metadata/00009-a.metadata.json", bytes.data);
  put(5, "metadata/00010-b.metadata.json", bytes.data);
  assert_loaded(catalog, "00010-b.metadata.json");
  put(5, "metadata/00010-c.metadata.json", bytes.data);
  assert_int_equal(mle_catalog_load(catalog, &trx, &table, &err), MLE_EFORMAT);
  assert_message(err, "several files of version 10");
  put(5, "metadata/version-hint.text", "00010-c");
  must(mle_catalog_load(catalog, &trx, &table, err));
  assert_string_equal(mle_path_name(table->metadata_location), "00010-c.metadata.json");
  assert_int_equal(mle_append_check(table, &err), MLE_EREFUSED);
  assert_message(err, "only the catalog");
  mle_table_free(table);
  mle_buffer_release(&bytes);
  mle_catalog_close(catalog);
}

/* ====== Commits ====== */

static void an_append_to_an_old_version_goes_on_top(void **state) {
  (void)state;
  mle_catalog *mine = open_catalog(6), *theirs = open_catalog(6);
  const mle_property quick = {"commit.retry.min-wait-ms", "1"};
  mle_table *base, *ahead, *next;
  must(make_table(mine, &quick, 1, &base, err));
  put(6, "metadata/.version-hint.text.crc", "of Java's hint");
  ahead = append(theirs, base, 10);
  assert_false(has(6, "metadata/.version-hint.text.crc"));
  next = append(mine, base, 5); /* base is not the table's version any more */
  assert_int_equal(rows_of(next), 15);
  assert_true(mle_metadata_current(next->metadata)->parent_id ==
              mle_metadata_current(ahead->metadata)->id);
  assert_string_equal(mle_path_name(next->metadata_location), "v3.metadata.json");
  assert_hint(6, "3");
  /* 2 data files, 2 manifests, 2 lists, 3 versions, the hint */
  assert_int_equal(count_objects(next), 10);
  mle_table_free(base);
  mle_table_free(ahead);
  mle_table_free(next);
  mle_catalog_close(mine);
  mle_catalog_close(theirs);
}

/* Others went on and removed the version that would come next: its name is free, and still
 * the commit would be lost. */
static void a_name_that_is_free_again_is_not_taken(void **state) {
  (void)state;
  mle_catalog *catalog = with_three_versions(7);
  mle_table *base, *next;
  must(mle_table_read(&trx, in_table(7, "metadata/v1.metadata.json"), &base, err));
  must(mle_store_remove(in_table(7, "metadata/v2.metadata.json"), err));
  next = append(catalog, base, 7);
  assert_string_equal(mle_path_name(next->metadata_location), "v4.metadata.json");
  assert_int_equal(rows_of(next), 22);
  assert_false(has(7, "metadata/v2.metadata.json"));
  mle_table_free(base);
  mle_table_free(next);
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
  must(make_table(catalog, NULL, 0, &anew, err)); /* v1 again */
  must(write_file(old, 5, &written, err));
  assert_int_equal(mle_written_commit(written, catalog, old, NULL, 0, &next, NULL, &err),
                   MLE_EREFUSED);
  assert_message(err, "made anew");
  mle_written_free(written);
  assert_loaded(catalog, "v1.metadata.json");
  mle_table_free(old);
  mle_table_free(anew);
  mle_catalog_close(catalog);
}

/* ====== A table without its catalog ====== */

static mle_status open_static(const char *uri, mle_catalog **out, mle_error *err) {
  const mle_property properties[] = {{"type", "static"}, {"uri", uri}};
  return mle_catalog_open("static", properties, 2, out, err);
}

static void one_table_is_opened_to_read(void **state) {
  (void)state;
  static const mle_table_name name = {"static", "trx"};
  static const char *const uris[] = {"metadata/v2.metadata.json", ""};
  mle_catalog_close(with_three_versions(8));
  for (size_t i = 0; i < 2; i++) {
    mle_catalog *catalog;
    mle_table *table, *next;
    mle_names names;
    mle_error err;
    must(open_static(in_table(8, uris[i]), &catalog, err));
    must(mle_catalog_list_tables(catalog, "static", &names, err));
    assert_string_equal(names.items[0], "trx");
    mle_names_release(&names);
    must(mle_catalog_load(catalog, &name, &table, err));
    assert_int_equal(rows_of(table), i == 0 ? 10 : 15);
    assert_int_equal(mle_append_check(table, &err), MLE_EREFUSED);
    assert_int_equal(mle_catalog_commit(catalog, table, mle_metadata_current(table->metadata),
                                        &next, &err),
                     MLE_EREFUSED);
    assert_int_equal(mle_catalog_drop_table(catalog, &name, &err), MLE_EREFUSED);
    assert_message(err, "opened to read");
    assert_int_equal(mle_catalog_create_namespace(catalog, "x", &err), MLE_EREFUSED);
    mle_table_free(table);
    assert_int_equal(mle_catalog_load(catalog, &trx, &table, &err), MLE_ENOTFOUND);
    mle_catalog_close(catalog);
  }
}

static void a_metadata_file_that_is_not_there_is_named(void **state) {
  (void)state;
  mle_catalog *catalog;
  mle_table *table;
  mle_error err;
  must(open_static("/nowhere/bank.db/metadata/v1.metadata.json", &catalog, err));
  assert_int_equal(mle_catalog_load(catalog, &(mle_table_name){"static", "bank_db"}, &table, &err),
                   MLE_ENOTFOUND);
  assert_message(err, "/nowhere/bank.db/metadata/v1.metadata.json");
  mle_catalog_close(catalog);
  must(open_static("/nowhere/t/", &catalog, err));
  assert_int_equal(mle_catalog_load(catalog, &(mle_table_name){"static", "t"}, &table, &err),
                   MLE_ENOTFOUND);
  assert_message(err, "'/nowhere/t/metadata' has no metadata file");
  mle_catalog_close(catalog);
  static const mle_property none = {"type", "static"};
  assert_int_equal(mle_catalog_open("c", &none, 1, &catalog, &err), MLE_EINVAL);
}

/* ====== Memory ====== */

static mle_status read_static(const mle_table *table, mle_error *err) {
  mle_catalog *catalog = NULL;
  mle_table *again = NULL;
  mle_names names = {.arena = MLE_ARENA};
  mle_status status;
  MLE_GO(open_static(table->metadata->location, &catalog, err));
  MLE_GO(mle_catalog_list_tables(catalog, "static", &names, err));
  MLE_GO(mle_catalog_load(catalog, &(mle_table_name){"static", names.items[0]}, &again, err));
done:
  mle_names_release(&names);
  mle_table_free(again);
  mle_catalog_close(catalog);
  return status;
}

static mle_status whole_life(mle_error *err) {
  static int number = 100;
  mle_catalog *catalog = NULL;
  mle_table *table = NULL, *next = NULL;
  mle_written *written = NULL;
  mle_names names = {.arena = MLE_ARENA};
  mle_status status;
  number++;
  MLE_GO(open_numbered(number, &catalog, err));
  MLE_GO(make_table(catalog, NULL, 0, &table, err));
  MLE_GO(write_file(table, 5, &written, err));
  MLE_GO(mle_written_commit(written, catalog, table, NULL, 0, &next, NULL, err));
  MLE_GO(read_static(next, err));
  MLE_GO(mle_catalog_list_namespaces(catalog, &names, err));
  MLE_GO(mle_catalog_drop_table(catalog, &trx, err));
done:
  mle_names_release(&names);
  mle_written_free(written);
  mle_table_free(next);
  mle_table_free(table);
  mle_catalog_close(catalog);
  /* after the file has its name, a failure to look leaves the outcome open */
  if (status == MLE_EUNKNOWN && strstr(err->message, "out of memory") != NULL) return MLE_ENOMEM;
  return status;
}

static void out_of_memory_leaks_nothing(void **state) {
  (void)state;
  assert_true(exhaust_memory(whole_life) > 100);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(folders_are_namespaces_and_tables),
      cmocka_unit_test(what_a_directory_cannot_do_is_refused),
      cmocka_unit_test(the_hint_may_be_right_stale_absent_or_nonsense),
      cmocka_unit_test(compressed_versions_are_found_by_all_their_names),
      cmocka_unit_test(zstd_is_read_and_damage_in_it_is_named),
      cmocka_unit_test(a_table_of_another_catalog_is_read_only),
      cmocka_unit_test(an_append_to_an_old_version_goes_on_top),
      cmocka_unit_test(a_name_that_is_free_again_is_not_taken),
      cmocka_unit_test(a_table_made_anew_is_not_appended_to),
      cmocka_unit_test(one_table_is_opened_to_read),
      cmocka_unit_test(a_metadata_file_that_is_not_there_is_named),
      cmocka_unit_test(out_of_memory_leaks_nothing),
  };
  return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
