#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/base/alloc.h"
#include "engine/base/file.h"
#include "engine/deploy/records.h"

static char folder[64];
static mle_db *db;

static int start(void **state) {
  (void)state;
  strcpy(folder, "/tmp/mlengine-records-XXXXXX");
  assert_non_null(mkdtemp(folder));
  return mle_records_open(folder, &db, NULL) == MLE_OK ? 0 : -1;
}

static int stop(void **state) {
  (void)state;
  mle_db_close(db);
  mle_remove_tree(folder, NULL);
  return 0;
}

static int64_t begin(const char *endpoint, const char *version) {
  char uri[64], path[64];
  snprintf(uri, sizeof uri, "models:/M/%s", version);
  snprintf(path, sizeof path, "/models/%s", version);
  mle_deployment wanted = {.endpoint = endpoint, .uri = uri, .name = "M", .version = version,
                           .folder = path, .sha256 = version, .alias = "champion"};
  int64_t id;
  mle_error err;
  if (mle_records_begin(db, &wanted, &id, &err) != MLE_OK) fail_msg("%s", err.message);
  return id;
}

static void go_live(int64_t id) {
  assert_int_equal(mle_records_advance(db, id, "verified", "[1]", NULL), MLE_OK);
  assert_int_equal(mle_records_advance(db, id, "accepted", NULL, NULL), MLE_OK);
  assert_int_equal(mle_records_point(db, id, NULL), MLE_OK);
  assert_int_equal(mle_records_finish(db, id, NULL), MLE_OK);
}

static void check_state(int64_t id, const char *wanted) {
  mle_arena memory = MLE_ARENA;
  mle_deployment d;
  assert_int_equal(mle_records_get(db, id, &memory, &d, NULL), MLE_OK);
  assert_string_equal(d.state, wanted);
  mle_arena_release(&memory);
}

static int64_t slot(const char *endpoint) {
  mle_arena memory = MLE_ARENA;
  mle_deployment d;
  assert_int_equal(mle_records_slot(db, endpoint, &memory, &d, NULL), MLE_OK);
  mle_arena_release(&memory);
  return d.id;
}

static void a_release_goes_from_intent_to_live(void **state) {
  (void)state;
  assert_int_equal(slot("e"), 0);
  int64_t one = begin("e", "1"), other = begin("f", "1");
  assert_true(one != other);
  go_live(one);
  assert_int_equal(slot("e"), one);
  assert_int_equal(slot("f"), 0);
  int64_t two = begin("e", "2");
  go_live(two);
  check_state(one, "retired");
  check_state(two, "live");
  mle_arena memory = MLE_ARENA;
  mle_deployments list;
  assert_int_equal(mle_records_list(db, "e", 10, &memory, &list, NULL), MLE_OK);
  assert_int_equal(list.count, 2);
  assert_int_equal(list.item[0].id, two);
  assert_int_equal(list.item[0].previous, one);
  assert_string_equal(list.item[1].scores, "[1]");
  assert_int_equal(mle_records_list(db, NULL, 10, &memory, &list, NULL), MLE_OK);
  assert_int_equal(list.count, 3);
  assert_int_equal(mle_records_slots(db, &memory, &list, NULL), MLE_OK);
  assert_int_equal(list.count, 1);
  mle_arena_release(&memory);
}

static void what_was_begun_is_taken_up_again(void **state) {
  (void)state;
  int64_t id = begin("e", "1");
  assert_int_equal(begin("e", "1"), id);
  mle_records_advance(db, id, "verified", "[1]", NULL);
  assert_int_equal(begin("e", "1"), id);
  go_live(id);
  assert_int_equal(begin("e", "1"), id); /* live, and the slot's */
  go_live(begin("e", "2"));
  assert_true(begin("e", "1") != id); /* retired: a new deployment */
}

static void steps_out_of_order_are_conflicts(void **state) {
  (void)state;
  int64_t id = begin("e", "1");
  mle_error err;
  assert_int_equal(mle_records_point(db, id, &err), MLE_ECONFLICT);
  assert_int_equal(mle_records_finish(db, id, &err), MLE_ECONFLICT);
  assert_int_equal(slot("e"), 0);
  assert_int_equal(mle_records_advance(db, id, "rejected", "rejected: auc", NULL), MLE_OK);
  assert_int_equal(mle_records_advance(db, id, "verified", NULL, &err), MLE_ECONFLICT);
  assert_int_equal(mle_records_advance(db, id, "nonsense", NULL, &err), MLE_EINVAL);
  mle_arena memory = MLE_ARENA;
  mle_deployment d;
  assert_int_equal(mle_records_get(db, id, &memory, &d, NULL), MLE_OK);
  assert_string_equal(d.outcome, "rejected: auc");
  assert_int_equal(mle_records_get(db, 999, &memory, &d, NULL), MLE_ENOTFOUND);
  mle_arena_release(&memory);
}

/* The slot's previous, by way of what going back would choose. */
static int64_t previous(const char *endpoint) {
  mle_arena memory = MLE_ARENA;
  mle_deployment d;
  assert_int_equal(mle_records_slot(db, endpoint, &memory, &d, NULL), MLE_OK);
  mle_arena_release(&memory);
  return d.previous;
}

static void going_back_goes_further_back_each_time(void **state) {
  (void)state;
  int64_t one = begin("e", "1");
  go_live(one);
  int64_t two = begin("e", "2");
  go_live(two);
  int64_t three = begin("e", "3");
  go_live(three);
  int64_t again = begin("e", "2");
  mle_records_advance(db, again, "verified", "[1]", NULL);
  mle_records_advance(db, again, "accepted", NULL, NULL);
  assert_int_equal(mle_records_point_back(db, again, two, NULL), MLE_OK);
  assert_int_equal(mle_records_finish(db, again, NULL), MLE_OK);
  check_state(three, "rolled back");
  assert_int_equal(slot("e"), again);
  assert_int_equal(previous("e"), one);
}

/* Dies behind its slot record (its alias could not be moved), and another one goes live: the server follows the slot. */
static void a_release_that_was_overtaken_is_not_completed(void **state) {
  (void)state;
  mle_error err;
  int64_t one = begin("e", "1");
  mle_records_advance(db, one, "verified", "[1]", NULL);
  mle_records_advance(db, one, "accepted", NULL, NULL);
  assert_int_equal(mle_records_point(db, one, NULL), MLE_OK);
  assert_int_equal(begin("e", "1"), one); /* so far it may be */
  int64_t two = begin("e", "2");
  go_live(two);
  check_state(one, "retired");
  assert_int_equal(mle_records_finish(db, one, &err), MLE_ECONFLICT);
  check_state(two, "live");
  int64_t again = begin("e", "1");
  assert_true(again != one);
  go_live(again);
  assert_int_equal(slot("e"), again);
}

static void a_retired_endpoint_has_no_slot(void **state) {
  (void)state;
  mle_error err;
  go_live(begin("e", "1"));
  int64_t two = begin("e", "2"), other = begin("f", "1");
  go_live(two);
  go_live(other);
  assert_int_equal(mle_records_retire(db, "e", NULL), MLE_OK);
  check_state(two, "retired");
  check_state(other, "live");
  assert_int_equal(slot("e"), 0);
  assert_int_equal(slot("f"), other);
  assert_int_equal(mle_records_retire(db, "e", &err), MLE_ENOTFOUND);
  int64_t again = begin("e", "2");
  assert_true(again != two);
  go_live(again);
  assert_int_equal(slot("e"), again);
  assert_int_equal(previous("e"), 0); /* nothing to go back to */
}

/* What was begun while another was live is behind the one that is live when it goes there. */
static void going_back_is_to_what_was_live_before(void **state) {
  (void)state;
  int64_t first = begin("e", "1"); /* died: nothing was live then */
  int64_t two = begin("e", "2");
  go_live(two);
  int64_t three = begin("e", "3"); /* died when 2 was live */
  int64_t four = begin("e", "4");
  go_live(four);
  assert_int_equal(begin("e", "3"), three);
  mle_records_advance(db, three, "verified", "[1]", NULL);
  mle_records_advance(db, three, "accepted", NULL, NULL);
  for (int i = 0; i < 2; i++) assert_int_equal(mle_records_point(db, three, NULL), MLE_OK); /* repeated by who resumes */
  assert_int_equal(mle_records_finish(db, three, NULL), MLE_OK);
  assert_int_equal(previous("e"), four);
  assert_int_equal(begin("e", "1"), first);
  go_live(first);
  assert_int_equal(previous("e"), three);
}

static void copies_in_use_are_needed(void **state) {
  (void)state;
  bool needed;
  for (int i = 1; i <= 14; i++) {
    char version[8];
    snprintf(version, sizeof version, "%d", i);
    go_live(begin("e", version));
  }
  assert_int_equal(mle_records_needs(db, "/models/14", &needed, NULL), MLE_OK);
  assert_true(needed);
  assert_int_equal(mle_records_needs(db, "/models/5", &needed, NULL), MLE_OK);
  assert_true(needed);
  assert_int_equal(mle_records_needs(db, "/models/4", &needed, NULL), MLE_OK);
  assert_false(needed);
  assert_int_equal(mle_records_needs(db, "/models/never", &needed, NULL), MLE_OK);
  assert_false(needed);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(a_release_goes_from_intent_to_live, start, stop),
      cmocka_unit_test_setup_teardown(what_was_begun_is_taken_up_again, start, stop),
      cmocka_unit_test_setup_teardown(steps_out_of_order_are_conflicts, start, stop),
      cmocka_unit_test_setup_teardown(going_back_goes_further_back_each_time, start, stop),
      cmocka_unit_test_setup_teardown(a_release_that_was_overtaken_is_not_completed, start, stop),
      cmocka_unit_test_setup_teardown(a_retired_endpoint_has_no_slot, start, stop),
      cmocka_unit_test_setup_teardown(going_back_is_to_what_was_live_before, start, stop),
      cmocka_unit_test_setup_teardown(copies_in_use_are_needed, start, stop),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
