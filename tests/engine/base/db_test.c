/* Statements that are kept compiled: each use is as the first. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants these first */
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "engine/base/db.h"
#include "engine/base/file.h"

static const mle_db_options options = {.create = true, .wal = true, .mode = 0600, .busy_ms = 1};
static char folder[] = "/tmp/mlengine-db-XXXXXX";
static char path[64];
static mle_db *db;

static int num_syncs;

/* SQLite's, too: the program's own comes before the C library's. */
int fdatasync(int fd) {
  num_syncs++;
  return (int)syscall(SYS_fdatasync, fd);
}

static void must(mle_status status, const mle_error *err) {
  if (status != MLE_OK) fail_msg("%s", err->message);
}

static int set_up(void **unused) {
  (void)unused;
  mle_error err;
  unlink(path);
  must(mle_db_open(path, &options, &db, &err), &err);
  must(mle_db_script(db, "create table t (name text, at integer); insert into t values ('a', 1), ('b', 2)", &err), &err);
  return 0;
}

static int tear_down(void **unused) {
  (void)unused;
  mle_db_close(db);
  return 0;
}

static int64_t at_of(const char *name) {
  int64_t at;
  mle_error err;
  must(mle_db_get_int(db, -1, &at, &err, "select at from t where name is ?", "s", name), &err);
  return at;
}

static void no_value_is_left_of_the_use_before(void **unused) {
  (void)unused;
  int64_t count;
  mle_error err;
  assert_int_equal(at_of("a"), 1);
  assert_int_equal(at_of("b"), 2);
  assert_int_equal(at_of(NULL), -1);
  must(mle_db_get_int(db, -1, &count, &err, "select count(*) from t where name is ?", "s", "a"), &err);
  assert_int_equal(count, 1);
  must(mle_db_get_int(db, -1, &count, &err, "select count(*) from t where name is ?", "", ""), &err);
  assert_int_equal(count, 0); /* what was not given is null */
}

static void one_text_may_be_in_use_twice(void **unused) {
  (void)unused;
  static const char sql[] = "select name from t order by at";
  mle_db_rows outer, inner;
  mle_error err;
  int pairs = 0;
  must(mle_db_query(db, &outer, &err, sql, ""), &err);
  for (must(mle_db_next(&outer, &err), &err); outer.found; must(mle_db_next(&outer, &err), &err)) {
    must(mle_db_query(db, &inner, &err, sql, ""), &err);
    for (must(mle_db_next(&inner, &err), &err); inner.found; must(mle_db_next(&inner, &err), &err)) pairs++;
    mle_db_end(&inner);
  }
  mle_db_end(&outer);
  mle_db_end(&outer); /* twice is harmless */
  assert_int_equal(pairs, 4);
}

static void more_than_are_kept_at_a_time(void **unused) {
  (void)unused;
  enum { MANY = 100 };
  mle_db_rows rows[MANY];
  mle_error err;
  char sql[64];
  for (int round = 0; round < 2; round++) {
    for (int i = 0; i < MANY; i++) {
      snprintf(sql, sizeof sql, "select at + %d from t where name = ?", i);
      must(mle_db_query(db, &rows[i], &err, sql, "s", "b"), &err);
      must(mle_db_next(&rows[i], &err), &err);
    }
    for (int i = MANY - 1; i >= 0; i--) {
      assert_int_equal(mle_db_int(&rows[i], 0), 2 + i);
      mle_db_end(&rows[i]);
    }
  }
}

static int columns_of_a(void) {
  mle_db_rows rows;
  mle_error err;
  must(mle_db_query(db, &rows, &err, "select * from t where name = 'a'", ""), &err);
  must(mle_db_next(&rows, &err), &err);
  int columns = mle_db_columns(&rows);
  mle_db_end(&rows);
  return columns;
}

static void a_changed_table_is_seen(void **unused) {
  (void)unused;
  mle_error err;
  assert_int_equal(columns_of_a(), 2);
  must(mle_db_script(db, "alter table t add column more text", &err), &err);
  assert_int_equal(columns_of_a(), 3);
  assert_int_equal(at_of("a"), 1);
  must(mle_db_script(db, "drop table t", &err), &err);
  int64_t at;
  assert_int_equal(mle_db_get_int(db, 0, &at, &err, "select at from t where name is ?", "s", "a"), MLE_EIO);
  must(mle_db_script(db, "create table t (at integer, name text); insert into t values (7, 'a')", &err), &err);
  assert_int_equal(at_of("a"), 7);
}

static void after_an_error_it_works_again(void **unused) {
  (void)unused;
  mle_error err;
  must(mle_db_script(db, "create unique index t_name on t (name)", &err), &err);
  for (int i = 0; i < 3; i++) {
    assert_int_equal(mle_db_run(db, &err, "insert into t values (?, ?)", "si", "a", (int64_t)9), MLE_EEXISTS);
    assert_non_null(strstr(err.message, "UNIQUE"));
  }
  must(mle_db_run(db, &err, "insert into t values (?, ?)", "si", "c", (int64_t)3), &err);
  assert_int_equal(at_of("c"), 3);
}

/* A statement that was left in the middle holds no view of the file, and no lock. */
static void a_kept_statement_keeps_nobody_out(void **unused) {
  (void)unused;
  mle_db *other;
  mle_db_rows rows;
  mle_error err;
  must(mle_db_query(db, &rows, &err, "select name from t order by at", ""), &err);
  must(mle_db_next(&rows, &err), &err);
  mle_db_end(&rows);
  must(mle_db_open(path, &options, &other, &err), &err);
  must(mle_db_script(other, "update t set at = 5 where name = 'a'; pragma wal_checkpoint(truncate)", &err), &err);
  must(mle_db_begin(other, &err), &err);
  mle_db_rollback(other);
  mle_db_close(other);
  assert_int_equal(at_of("a"), 5);
  must(mle_db_query(db, &rows, &err, "select name from t order by at", ""), &err);
  must(mle_db_next(&rows, &err), &err);
  assert_string_equal(mle_db_text(&rows, 0), "b"); /* from its start */
  mle_db_end(&rows);
}

static int64_t pragma(const char *sql) {
  int64_t value;
  mle_error err;
  must(mle_db_get_int(db, -1, &value, &err, sql, ""), &err);
  return value;
}

static void what_is_not_synced_is_seen_and_comes_with_the_next(void **unused) {
  (void)unused;
  enum { FULL = 2 };
  mle_error err;
  mle_db *other;
  num_syncs = 0;
  must(mle_db_run_unsynced(db, &err, "update t set at = ? where name = ?", "is", (int64_t)7, "a"), &err);
  assert_int_equal(mle_db_changes(db), 1);
  assert_int_equal(num_syncs, 0);
  assert_int_equal(at_of("a"), 7);
  must(mle_db_open(path, &options, &other, &err), &err);
  must(mle_db_run(other, &err, "update t set at = at + 1", ""), &err); /* it has seen the 7 */
  assert_true(num_syncs > 0);
  mle_db_close(other);
  assert_int_equal(at_of("a"), 8);
  assert_int_equal(mle_db_run_unsynced(db, &err, "update t set nothing = 1", ""), MLE_EIO);
  assert_non_null(strstr(err.message, "nothing"));
  assert_int_equal(pragma("pragma synchronous"), FULL); /* also after an error */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(no_value_is_left_of_the_use_before),
      TEST(one_text_may_be_in_use_twice),
      TEST(more_than_are_kept_at_a_time),
      TEST(a_changed_table_is_seen),
      TEST(after_an_error_it_works_again),
      TEST(a_kept_statement_keeps_nobody_out),
      TEST(what_is_not_synced_is_seen_and_comes_with_the_next),
  };
  if (mkdtemp(folder) == NULL) return 1;
  snprintf(path, sizeof path, "%s/t.db", folder);
  int failed = cmocka_run_group_tests(tests, NULL, NULL);
  mle_remove_tree(folder, NULL);
  return failed;
}
