/* A database whose file was changed says so. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants these first */
#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/db.h"
#include "engine/base/file.h"

static char folder[] = "/tmp/mlengine-pages-XXXXXX";
static char path[64];
static const mle_db_options checked = {.create = true, .wal = true, .checked = true, .mode = 0600};
static const mle_db_options plain = {.create = true, .wal = true, .mode = 0600};

static void make(const mle_db_options *options) {
  mle_error err;
  mle_db *db;
  unlink(path);
  assert_int_equal(mle_db_open(path, options, &db, &err), MLE_OK);
  assert_int_equal(mle_db_script(db,
                                 "create table t (name text, at integer);"
                                 "create index t_name on t (name);"
                                 "with recursive n (i) as (select 1 union all select i + 1 from n where i < 500)"
                                 " insert into t select 'name ' || i, i from n;",
                                 &err),
                   MLE_OK);
  mle_db_close(db);
}

/* What the database gives: the sum of its numbers by their names, or the status. */
static mle_status ask(const mle_db_options *options, int64_t *out) {
  mle_error err;
  mle_db *db;
  *out = -1;
  mle_status status = mle_db_open(path, options, &db, &err);
  if (status != MLE_OK) return status;
  status = mle_db_get_int(db, 0, out, &err, "select sum(at) from t indexed by t_name where name > 'n'", "");
  if (status != MLE_OK) assert_non_null(strstr(err.message, "is damaged"));
  mle_db_close(db);
  return status;
}

static void flip(off_t at) {
  unsigned char byte;
  int fd = open(path, O_RDWR);
  assert_int_equal(pread(fd, &byte, 1, at), 1);
  byte ^= 0x10;
  assert_int_equal(pwrite(fd, &byte, 1, at), 1);
  close(fd);
}

static void a_changed_byte_is_noticed(void **unused) {
  (void)unused;
  int64_t sum, noticed = 0;
  struct stat info;
  make(&checked);
  assert_int_equal(stat(path, &info), 0);
  assert_int_equal(ask(&checked, &sum), MLE_OK);
  assert_int_equal(sum, 500 * 501 / 2);
  for (off_t at = 0; at < info.st_size; at += 211) {
    flip(at);
    mle_status status = ask(&checked, &sum);
    if (status == MLE_OK) assert_int_equal(sum, 500 * 501 / 2);
    if (status != MLE_OK) assert_int_equal(status, MLE_EFORMAT);
    noticed += status != MLE_OK;
    flip(at);
  }
  assert_true(noticed > info.st_size / 211 / 2);
  assert_int_equal(ask(&checked, &sum), MLE_OK);
}

static void others_read_and_write_it(void **unused) {
  (void)unused;
  int64_t sum;
  mle_error err;
  mle_db *db;
  make(&checked);
  assert_int_equal(ask(&plain, &sum), MLE_OK);
  assert_int_equal(sum, 500 * 501 / 2);
  assert_int_equal(ask(&checked, &sum), MLE_OK);
  assert_int_equal(mle_db_open(path, &checked, &db, &err), MLE_OK);
  assert_int_equal(ask(&plain, &sum), MLE_OK); /* beside it */
  assert_int_equal(mle_db_run(db, &err, "update t set at = at + 1", ""), MLE_OK);
  mle_db_close(db);
  assert_int_equal(ask(&checked, &sum), MLE_OK);
  assert_int_equal(sum, 500 * 501 / 2 + 500);
}

static void one_that_was_made_without_stays_so(void **unused) {
  (void)unused;
  int64_t sum;
  make(&plain);
  assert_int_equal(ask(&checked, &sum), MLE_OK);
  assert_int_equal(sum, 500 * 501 / 2);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_changed_byte_is_noticed),
      cmocka_unit_test(others_read_and_write_it),
      cmocka_unit_test(one_that_was_made_without_stays_so),
  };
  if (mkdtemp(folder) == NULL) return 1;
  snprintf(path, sizeof path, "%s/state.db", folder);
  int failed = cmocka_run_group_tests(tests, NULL, NULL);
  mle_remove_tree(folder, NULL);
  return failed;
}
