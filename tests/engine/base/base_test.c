#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/base/alloc.h"
#include "engine/base/arena.h"
#include "engine/base/buffer.h"
#include "engine/base/clock.h"
#include "engine/base/db.h"
#include "engine/base/file.h"
#include "engine/base/hash.h"

static char folder[] = "/tmp/mlengine-base-XXXXXX";

static int make_folder(void **state) {
  (void)state;
  return mkdtemp(folder) == NULL;
}

static int remove_folder(void **state) {
  (void)state;
  return mle_remove_tree(folder, NULL) != MLE_OK;
}

static char *in_folder(const char *name) { return mle_path_join(folder, name); }

/* ====== arena ====== */

static void arena_lists_grow_and_keep_their_elements(void **state) {
  (void)state;
  mle_arena memory = MLE_ARENA;
  int *list = NULL;
  for (int i = 0; i < 5000; i++) {
    list = mle_arena_grow(&memory, list, (size_t)i, sizeof *list);
    list[i] = i;
  }
  for (int i = 0; i < 5000; i++) assert_int_equal(list[i], i);
  assert_string_equal(mle_arena_format(&memory, "%d-%s", 7, "x"), "7-x");
  mle_arena_release(&memory);
  assert_null(memory.blocks);
}

/* ====== error, buffer ====== */

static void context_goes_before_the_message(void **state) {
  (void)state;
  mle_error err;
  mle_fail(&err, MLE_EIO, "no space left");
  assert_int_equal(mle_context(&err, "appending to '%s'", "t"), MLE_EIO);
  assert_string_equal(err.message, "appending to 't': no space left");
}

static void long_messages_end_on_a_character(void **state) {
  (void)state;
  char text[3000];
  for (size_t i = 0; i + 1 < sizeof text; i += 2) memcpy(text + i, "\xC3\xA9", 2);
  text[sizeof text - 2] = '\0';
  mle_error err;
  mle_fail(&err, MLE_EIO, "x%s", text);
  size_t len = strlen(err.message);
  assert_true(len >= MLE_ERROR_MESSAGE_MAX - 3);
  assert_int_equal((unsigned char)err.message[len - 1], 0xA9);
}

static void messages_are_text_whatever_they_quote(void **state) {
  (void)state;
  mle_error err;
  mle_fail(&err, MLE_EFORMAT, "'%s'", "n\xC3\xA4me\xB8 \xE2\x82 \xF0\x9F\x98\x80 \xC0\xAF\x1B[2J\x7F\n.");
  assert_string_equal(err.message, "'n\xC3\xA4me? ?? \xF0\x9F\x98\x80 ???[2J?\n.'");
}

static void buffers_stop_at_their_maximum(void **state) {
  (void)state;
  mle_buffer buffer = MLE_BUFFER(10);
  assert_int_equal(mle_buffer_puts(&buffer, "123456789", NULL), MLE_OK);
  assert_int_equal(mle_buffer_puts(&buffer, "xy", NULL), MLE_EREFUSED);
  assert_string_equal(buffer.data, "123456789");
  assert_int_equal(mle_buffer_printf(&buffer, NULL, "%d", 0), MLE_OK);
  char *text = mle_buffer_take(&buffer);
  assert_string_equal(text, "1234567890");
  mle_free(text);
  mle_buffer_release(&buffer);
}

/* ====== file ====== */

static void create_takes_a_name_once(void **state) {
  (void)state;
  char *path = in_folder("once");
  assert_int_equal(mle_file_create(path, "a", 1, 0600, NULL), MLE_OK);
  assert_int_equal(mle_file_create(path, "b", 1, 0600, NULL), MLE_EEXISTS);
  assert_int_equal(mle_file_replace(path, "cd", 2, 0600, NULL), MLE_OK);
  mle_buffer bytes = MLE_BUFFER(10);
  assert_int_equal(mle_file_read(path, &bytes, NULL), MLE_OK);
  assert_string_equal(bytes.data, "cd");
  mle_buffer_release(&bytes);
  mle_free(path);
}

static void reading_is_bounded_and_named(void **state) {
  (void)state;
  char *path = in_folder("big");
  mle_error err;
  assert_int_equal(mle_file_create(path, "0123456789", 10, 0600, NULL), MLE_OK);
  mle_buffer bytes = MLE_BUFFER(5);
  assert_int_equal(mle_file_read(path, &bytes, &err), MLE_EREFUSED);
  assert_non_null(strstr(err.message, path));
  assert_int_equal(mle_file_read_range(path, 8, 4, &bytes, &err), MLE_EFORMAT);
  assert_int_equal(mle_file_read_range(path, 8, 2, &bytes, &err), MLE_OK);
  assert_string_equal(bytes.data, "89");
  assert_int_equal(mle_file_read(folder, &bytes, &err), MLE_EIO);
  mle_buffer_release(&bytes);
  mle_free(path);
}

static void check_absolute(const char *given, const char *wanted) {
  char *path = mle_path_absolute(given);
  assert_string_equal(path, wanted);
  mle_free(path);
}

static void absolute_paths_have_no_dots(void **state) {
  (void)state;
  check_absolute("/a/./b//c/../d/", "/a/b/d");
  check_absolute("/..", "/");
  check_absolute("/a/..", "/");
  check_absolute("/a...b/.c", "/a...b/.c");
}

static void a_lock_has_one_holder(void **state) {
  (void)state;
  char *path = in_folder("lock");
  int first, second;
  assert_int_equal(mle_file_lock(path, &first, NULL), MLE_OK);
  assert_int_equal(mle_file_lock(path, &second, NULL), MLE_EBUSY);
  close(first);
  assert_int_equal(mle_file_lock(path, &second, NULL), MLE_OK);
  close(second);
  mle_free(path);
}

/* ====== hash, clock ====== */

static void hashes_never_change(void **state) {
  (void)state;
  char hex[MLE_SHA256_HEX];
  assert_int_equal(mle_sha256_hex("abc", 3, hex, NULL), MLE_OK);
  assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  assert_true(mle_mix64(1234567) == UINT64_C(6457827717110365317)); /* splitmix64's first output */
  assert_true(mle_random_id() > 0);
}

static void times_print_in_utc(void **state) {
  (void)state;
  char text[MLE_TIME_TEXT];
  assert_string_equal(mle_time_text(1795404600123, text), "2026-11-23T03:30:00.123Z");
  assert_string_equal(mle_time_text(-1, text), "1969-12-31T23:59:59.999Z");
}

/* ====== db ====== */

static mle_status write_and_read(const char *path, mle_error *err) {
  mle_db *db = NULL;
  char *name = NULL;
  int64_t big = 0;
  mle_db_options options = {.create = true, .wal = true, .mode = 0600};
  mle_status status = MLE_OK;
  MLE_GO(mle_db_open(path, &options, &db, err));
  MLE_GO(mle_db_script(db, "create table if not exists t(name text, id integer)", err));
  MLE_GO(mle_db_begin(db, err));
  MLE_GO(mle_db_run(db, err, "insert into t values (?, ?)", "si", "one", INT64_MAX));
  MLE_GO(mle_db_commit(db, err));
  MLE_GO(mle_db_get_int(db, 0, &big, err, "select id from t where name = ?", "s", "one"));
  MLE_GO(mle_db_get_text(db, &name, err, "select name from t", ""));
  assert_true(big == INT64_MAX);
  assert_string_equal(name, "one");
done:
  mle_free(name);
  mle_db_close(db);
  return status;
}

static void rows_keep_all_bits_under_any_lack_of_memory(void **state) {
  (void)state;
  char *path = in_folder("t.db");
  mle_error err;
  for (long granted = 0;; granted++) {
    mle_alloc_fail_after(granted);
    mle_status status = write_and_read(path, &err);
    mle_alloc_fail_after(-1);
    if (status == MLE_OK) break;
    assert_int_equal(status, MLE_ENOMEM);
  }
  mle_free(path);
}

static void a_missing_database_is_named(void **state) {
  (void)state;
  mle_db *db;
  mle_error err;
  mle_db_options options = {0};
  assert_int_equal(mle_db_open("/nowhere/x.db", &options, &db, &err), MLE_ENOTFOUND);
  assert_string_equal(err.message, "there is no database '/nowhere/x.db'");
}

/* In a process of its own: opens the database, writes, and is the last to close it as far as it can see. */
static int write_and_close(const char *path) {
  mle_db *db;
  mle_db_options options = {.create = true, .wal = true, .mode = 0600};
  if (mle_db_open(path, &options, &db, NULL) != MLE_OK) return 1;
  mle_status status = mle_db_run(db, NULL, "insert into t values (1)", "");
  mle_db_close(db);
  return status == MLE_OK ? 0 : 1;
}

/* This program again: a mere fork would inherit what SQLite knows of our locks. */
static int write_elsewhere(const char *path) {
  pid_t child = fork();
  if (child == 0) {
    execl("/proc/self/exe", "base_test", path, (char *)NULL);
    _exit(127);
  }
  int code = -1;
  return waitpid(child, &code, 0) == child ? code : -1;
}

static void a_second_connection_costs_the_first_no_lock(void **state) {
  (void)state;
  char *path = in_folder("twice.db");
  mle_db *first, *second;
  mle_db_options options = {.create = true, .wal = true, .mode = 0600};
  int64_t count;
  assert_int_equal(mle_db_open(path, &options, &first, NULL), MLE_OK);
  assert_int_equal(mle_db_script(first, "create table t (x)", NULL), MLE_OK);
  assert_int_equal(mle_db_open(path, &options, &second, NULL), MLE_OK);
  for (int64_t i = 1; i <= 3; i++) {
    assert_int_equal(write_elsewhere(path), 0);
    assert_int_equal(mle_db_get_int(first, 0, &count, NULL, "select count(*) from t", ""), MLE_OK);
    assert_int_equal(count, i);
  }
  mle_db_close(second);
  mle_db_close(first);
  mle_free(path);
}

int main(int argc, char **argv) {
  if (argc > 1) return write_and_close(argv[1]);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_second_connection_costs_the_first_no_lock),
      cmocka_unit_test(arena_lists_grow_and_keep_their_elements),
      cmocka_unit_test(context_goes_before_the_message),
      cmocka_unit_test(long_messages_end_on_a_character),
      cmocka_unit_test(messages_are_text_whatever_they_quote),
      cmocka_unit_test(buffers_stop_at_their_maximum),
      cmocka_unit_test(create_takes_a_name_once),
      cmocka_unit_test(reading_is_bounded_and_named),
      cmocka_unit_test(absolute_paths_have_no_dots),
      cmocka_unit_test(a_lock_has_one_holder),
      cmocka_unit_test(hashes_never_change),
      cmocka_unit_test(times_print_in_utc),
      cmocka_unit_test(rows_keep_all_bits_under_any_lack_of_memory),
      cmocka_unit_test(a_missing_database_is_named),
  };
  return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
