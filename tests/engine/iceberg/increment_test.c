/* The cases of Java's TestBaseIncrementalAppendScan and TestSnapshotUtil that concern ranges,
 * and what this program adds: gaps, rollbacks and non-appends that are refused by name. */
#include "tests/engine/iceberg/support.h"

#include "engine/iceberg/increment.h"

typedef struct step {
  int64_t id, parent; /* 0: none */
  const char *operation;
  int64_t added;
} step;

/* Metadata of these snapshots, the last one current; snapshot N was committed in second N. */
static mle_metadata *history(const step *steps, size_t count) {
  mle_json *doc = mle_json_new_object();
  mle_json_add_int(doc, "format-version", 2);
  mle_json_add_text(doc, "table-uuid", "u");
  mle_json_add_text(doc, "location", "/t");
  mle_json_add_int(doc, "last-sequence-number", 0);
  mle_json_add_int(doc, "last-updated-ms", 0);
  mle_json_add_int(doc, "last-column-id", 0);
  mle_json_add_raw(doc, "schemas", "[{\"type\":\"struct\",\"schema-id\":0,\"fields\":[]}]");
  mle_json_add_int(doc, "current-schema-id", 0);
  mle_json_add_raw(doc, "partition-specs", "[{\"spec-id\":0,\"fields\":[]}]");
  mle_json_add_int(doc, "default-spec-id", 0);
  mle_json_add_int(doc, "last-partition-id", 999);
  mle_json_add_raw(doc, "sort-orders", "[]");
  mle_json_add_int(doc, "current-snapshot-id", count == 0 ? -1 : steps[count - 1].id);
  if (count >= 4) /* a branch and a tag */
    mle_json_add_raw(doc, "refs",
                     "{\"dev\":{\"snapshot-id\":2,\"type\":\"branch\"},"
                     "\"v1\":{\"snapshot-id\":3,\"type\":\"tag\"}}");
  mle_json *list = mle_json_add_array(doc, "snapshots");
  for (size_t i = 0; i < count; i++) {
    mle_json *snapshot = mle_json_add_object(list, NULL), *summary;
    mle_json_add_int(snapshot, "snapshot-id", steps[i].id);
    if (steps[i].parent != 0) mle_json_add_int(snapshot, "parent-snapshot-id", steps[i].parent);
    mle_json_add_int(snapshot, "timestamp-ms", 1000 * steps[i].id);
    mle_json_add_text(snapshot, "manifest-list", "/none");
    if (steps[i].operation == NULL) continue;
    char rows[32];
    snprintf(rows, sizeof rows, "%lld", (long long)steps[i].added);
    summary = mle_json_add_object(snapshot, "summary");
    mle_json_add_text(summary, "operation", steps[i].operation);
    mle_json_add_text(summary, "added-data-files", "1");
    mle_json_add_text(summary, "added-records", rows);
  }
  char *text = mle_json_print(doc, false);
  mle_metadata *metadata;
  must(mle_metadata_parse(text, strlen(text), &metadata, err));
  mle_free(text);
  mle_json_free(doc);
  return metadata;
}

#define COUNT(list) (sizeof(list) / sizeof *(list))
#define RANGE(from_, to_) \
  (mle_increment_options) { .from = (from_), .to = (to_) }
#define RANGE_WITH(from_, to_, ...) \
  (mle_increment_options) { .from = (from_), .to = (to_), __VA_ARGS__ }
#define NONE MLE_NO_SNAPSHOT

/* The ids of the range as "1 2 3", "full", or what was refused. */
static const char *resolve(const step *steps, size_t count, mle_increment_options options) {
  static char text[MLE_ERROR_MESSAGE_MAX];
  mle_metadata *metadata = history(steps, count);
  mle_arena arena = MLE_ARENA;
  mle_increment range;
  mle_error err;
  text[0] = '\0';
  if (mle_increment_resolve(metadata, &options, &arena, &range, &err) != MLE_OK)
    snprintf(text, sizeof text, "%s", err.message);
  else if (range.full)
    snprintf(text, sizeof text, "full of %lld", (long long)range.to);
  else
    for (size_t i = 0; i < range.count; i++)
      snprintf(text + strlen(text), sizeof text - strlen(text), i == 0 ? "%lld" : " %lld",
               (long long)range.snapshots[i]);
  mle_arena_release(&arena);
  mle_metadata_free(metadata);
  return text;
}

#define assert_range(steps, options, wanted) \
  assert_string_equal(resolve(steps, COUNT(steps), options), wanted)

static void assert_refusal(const char *message, const char *first, const char *second) {
  if (strstr(message, first) == NULL || strstr(message, second) == NULL)
    fail_msg("'%s' and '%s' are not both in: %s", first, second, message);
}

static const step appends[] = {
    {1, 0, "append", 10}, {2, 1, "append", 20}, {3, 2, "append", 30}, {4, 3, "append", 40}};

static void ranges_are_exclusive_and_inclusive(void **state) {
  (void)state;
  assert_range(appends, RANGE(NONE, NONE), "1 2 3 4");
  assert_range(appends, RANGE(1, NONE), "2 3 4");
  assert_range(appends, RANGE(1, 3), "2 3");
  assert_range(appends, RANGE(NONE, 2), "1 2");
}

static void an_inclusive_start_is_read_too(void **state) {
  (void)state;
  assert_range(appends, RANGE_WITH(1, NONE, .inclusive = true), "1 2 3 4");
  assert_range(appends, RANGE_WITH(3, NONE, .inclusive = true), "3 4");
  assert_range(appends, RANGE_WITH(4, 4, .inclusive = true), "4");
  assert_refusal(resolve(appends, COUNT(appends), RANGE_WITH(3, 1, .inclusive = true)),
                 "snapshot 3 is not an ancestor of snapshot 1", "");
  assert_string_equal(resolve(NULL, 0, RANGE_WITH(NONE, NONE, .inclusive = true)), "");
}

static void equal_ends_are_empty(void **state) {
  (void)state;
  assert_range(appends, RANGE(4, NONE), "");
  assert_range(appends, RANGE(2, 2), "");
  assert_string_equal(resolve(NULL, 0, RANGE(NONE, NONE)), "");
}

static void a_table_without_snapshots_has_none_after_any(void **state) {
  (void)state;
  assert_refusal(resolve(NULL, 0, RANGE(7, NONE)), "no snapshot", "7");
}

static void unknown_ends_are_refused_by_id(void **state) {
  (void)state;
  assert_refusal(resolve(appends, COUNT(appends), RANGE(1, 99)), "99",
                 "not in the table's metadata");
  assert_refusal(resolve(appends, COUNT(appends), RANGE(99, NONE)), "99", "on_rollback");
}

static void a_later_start_is_no_ancestor(void **state) {
  (void)state;
  assert_refusal(resolve(appends, COUNT(appends), RANGE(3, 1)),
                 "snapshot 3 is not an ancestor of snapshot 1", "common_ancestor");
}

static void rows_are_summed_from_summaries(void **state) {
  (void)state;
  mle_metadata *metadata = history(appends, COUNT(appends));
  mle_arena arena = MLE_ARENA;
  mle_increment range;
  int64_t rows;
  const mle_increment_options options = RANGE(1, 3);
  must(mle_increment_resolve(metadata, &options, &arena, &range, err));
  must(mle_increment_rows(metadata, &range, &rows, err));
  assert_int_equal(rows, 50);
  mle_arena_release(&arena);
  mle_metadata_free(metadata);
}

/* ====== Operations ====== */

static const step mixed[] = {{1, 0, "append", 1}, {2, 1, "replace", 1}, {3, 2, "overwrite", 1},
                             {4, 3, "delete", 0}, {5, 4, NULL, 0},      {6, 5, "append", 1}};

static void compaction_is_always_skipped(void **state) {
  (void)state;
  assert_range(mixed, RANGE(NONE, 2), "1");
  assert_range(mixed, RANGE(1, 2), "");
}

static void a_non_append_is_refused_with_its_name_and_option(void **state) {
  (void)state;
  assert_refusal(resolve(mixed, COUNT(mixed), RANGE(NONE, 3)), "snapshot 3 (overwrite",
                 "on_non_append");
  assert_refusal(resolve(mixed, COUNT(mixed), RANGE(3, 4)), "snapshot 4 (delete", "include_added");
  assert_refusal(resolve(mixed, COUNT(mixed), RANGE(4, 5)), "snapshot 5 (no operation", "skip");
}

static void non_appends_are_skipped_or_included(void **state) {
  (void)state;
  assert_range(mixed, RANGE_WITH(NONE, NONE, .on_non_append = MLE_NON_APPEND_SKIP), "1 6");
  assert_range(mixed, RANGE_WITH(NONE, NONE, .on_non_append = MLE_NON_APPEND_INCLUDE_ADDED),
               "1 3 4 5 6");
}

/* ====== Expired history ====== */

static const step expired[] = {{3, 2, "append", 1}, {4, 3, "append", 1}}; /* 1 and 2 are gone */

static void the_parent_of_the_oldest_known_may_be_gone(void **state) {
  (void)state;
  assert_range(expired, RANGE(2, NONE), "3 4");
  assert_range(expired, RANGE_WITH(3, NONE, .inclusive = true), "3 4");
  assert_refusal(resolve(expired, COUNT(expired), RANGE_WITH(2, NONE, .inclusive = true)),
                 "history before snapshot 3 was expired", "");
}

static void a_gap_is_refused_or_reads_all(void **state) {
  (void)state;
  assert_refusal(resolve(expired, COUNT(expired), RANGE(1, NONE)), "expired", "on_gap = \"full\"");
  assert_refusal(resolve(expired, COUNT(expired), RANGE(NONE, NONE)), "before snapshot 3",
                 "on_gap = \"full\"");
  assert_range(expired, RANGE_WITH(1, NONE, .on_gap = MLE_GAP_FULL), "full of 4");
  assert_range(expired, RANGE_WITH(NONE, 3, .on_gap = MLE_GAP_FULL), "full of 3");
}

/* As PyIceberg leaves them: the oldest known does not name its parent. Reading from the beginning would
 * pass over what a compaction moved, and what came before a delete. */
static const step compacted[] = {{3, 0, "replace", 5}, {4, 3, "append", 1}};
static const step deleted[] = {{3, 0, "delete", 0}, {4, 3, "append", 1}};

static void a_gap_that_is_not_named_is_one(void **state) {
  (void)state;
  assert_refusal(resolve(compacted, COUNT(compacted), RANGE(NONE, NONE)), "before snapshot 3",
                 "on_gap = \"full\"");
  assert_refusal(resolve(deleted, COUNT(deleted), RANGE(NONE, NONE)), "before snapshot 3",
                 "on_gap = \"full\"");
  assert_refusal(resolve(compacted, COUNT(compacted), RANGE(2, NONE)), "before snapshot 3",
                 "on_gap = \"full\"");
  assert_range(compacted, RANGE_WITH(NONE, NONE, .on_gap = MLE_GAP_FULL), "full of 4");
  assert_range(compacted, RANGE(3, NONE), "4");
}

/* ====== Rollbacks ====== */

/* 3 was rolled back to 2, then 4 came. */
static const step rolled_back[] = {
    {1, 0, "append", 1}, {2, 1, "append", 1}, {3, 2, "append", 1}, {4, 2, "append", 1}};

static void a_rollback_is_refused_or_resolved(void **state) {
  (void)state;
  assert_refusal(resolve(rolled_back, COUNT(rolled_back), RANGE(3, NONE)),
                 "snapshot 3 is not an ancestor of snapshot 4", "common_ancestor");
  assert_range(rolled_back, RANGE_WITH(3, NONE, .on_rollback = MLE_ROLLBACK_COMMON_ANCESTOR), "4");
  assert_range(rolled_back, RANGE_WITH(3, NONE, .on_rollback = MLE_ROLLBACK_FULL), "full of 4");
  assert_range(rolled_back, RANGE_WITH(3, 2, .on_rollback = MLE_ROLLBACK_COMMON_ANCESTOR), "");
}

/* The common parent has expired: it is still the point where both begin. */
static const step expired_fork[] = {{3, 2, "append", 1}, {4, 2, "append", 1}, {5, 4, "append", 1}};

static void an_expired_common_parent_still_counts(void **state) {
  (void)state;
  assert_refusal(resolve(expired_fork, COUNT(expired_fork), RANGE(3, NONE)), "not an ancestor",
                 "common_ancestor");
  assert_range(expired_fork, RANGE_WITH(3, NONE, .on_rollback = MLE_ROLLBACK_COMMON_ANCESTOR),
               "4 5");
}

static const step replaced[] = {{1, 0, "append", 1}, {2, 0, "append", 1}}; /* REPLACE TABLE */

static void a_replaced_table_has_no_common_ancestor(void **state) {
  (void)state;
  assert_refusal(resolve(replaced, COUNT(replaced),
                         RANGE_WITH(1, NONE, .on_rollback = MLE_ROLLBACK_COMMON_ANCESTOR)),
                 "no common ancestor", "full");
  assert_range(replaced, RANGE_WITH(1, NONE, .on_rollback = MLE_ROLLBACK_FULL), "full of 2");
}

/* An old snapshot kept by a tag, history between it and now expired. */
static const step tagged[] = {{1, 0, "append", 1}, {5, 4, "append", 1}};

static void a_kept_start_behind_expired_history_is_a_gap(void **state) {
  (void)state;
  assert_refusal(resolve(tagged, COUNT(tagged), RANGE(1, NONE)), "before snapshot 5 was expired",
                 "on_gap");
}

static void a_circle_of_parents_is_an_error(void **state) {
  (void)state;
  static const step circle[] = {{1, 2, "append", 1}, {2, 1, "append", 1}};
  assert_refusal(resolve(circle, COUNT(circle), RANGE(NONE, NONE)), "circle", "");
}

/* ====== Branches ====== */

static void a_branch_has_a_head_of_its_own(void **state) {
  (void)state;
  assert_range(appends, RANGE_WITH(NONE, NONE, .branch = "dev"), "1 2");
  assert_range(appends, RANGE_WITH(1, NONE, .branch = "dev"), "2");
  assert_range(appends, RANGE_WITH(NONE, NONE, .branch = "main"), "1 2 3 4");
  assert_range(appends, RANGE_WITH(NONE, 1, .branch = "dev"), "1");
}

static void what_is_no_branch_or_not_on_it_is_refused(void **state) {
  (void)state;
  assert_refusal(resolve(appends, COUNT(appends), RANGE_WITH(NONE, 4, .branch = "dev")),
                 "snapshot 4 is not on branch 'dev'", "");
  assert_refusal(resolve(appends, COUNT(appends), RANGE_WITH(NONE, NONE, .branch = "v1")),
                 "'v1' is a tag", "to = ");
  assert_refusal(resolve(appends, COUNT(appends), RANGE_WITH(NONE, NONE, .branch = "nope")),
                 "no branch 'nope'", "table refs");
}

/* ====== Limits ====== */

static void limits_take_whole_snapshots_and_at_least_one(void **state) {
  (void)state; /* 10, 20, 30 and 40 rows */
  assert_range(appends, RANGE_WITH(NONE, NONE, .max_snapshots = 3), "1 2 3");
  assert_range(appends, RANGE_WITH(2, NONE, .max_snapshots = 1), "3");
  assert_range(appends, RANGE_WITH(NONE, NONE, .max_rows = 30), "1 2");
  assert_range(appends, RANGE_WITH(NONE, NONE, .max_rows = 59), "1 2");
  assert_range(appends, RANGE_WITH(NONE, NONE, .max_rows = 60), "1 2 3");
  assert_range(appends, RANGE_WITH(3, NONE, .max_rows = 1), "4");
  assert_range(appends, RANGE_WITH(NONE, NONE, .max_rows = 1000, .max_snapshots = 2), "1 2");
}

static void a_limit_ends_before_what_would_be_refused(void **state) {
  (void)state;
  assert_range(mixed, RANGE_WITH(NONE, NONE, .max_snapshots = 1), "1");
  assert_refusal(resolve(mixed, COUNT(mixed), RANGE_WITH(NONE, NONE, .max_snapshots = 2)),
                 "snapshot 3 (overwrite", "on_non_append");
}

/* Resolves and hands over what a consumer remembers. */
static void assert_end(const step *steps, size_t count, mle_increment_options options, int64_t to,
                       bool more) {
  mle_metadata *metadata = history(steps, count);
  mle_arena arena = MLE_ARENA;
  mle_increment range;
  must(mle_increment_resolve(metadata, &options, &arena, &range, err));
  assert_true(range.to == to && range.more == more);
  mle_arena_release(&arena);
  mle_metadata_free(metadata);
}

static void more_is_said_when_something_that_counts_follows(void **state) {
  (void)state;
  assert_end(appends, COUNT(appends), RANGE_WITH(NONE, NONE, .max_snapshots = 3), 3, true);
  assert_end(appends, COUNT(appends), RANGE_WITH(NONE, NONE, .max_snapshots = 4), 4, false);
  assert_end(mixed, COUNT(mixed), RANGE_WITH(NONE, NONE, .max_snapshots = 1), 2, true);
  assert_end(mixed, 2, RANGE_WITH(NONE, NONE, .max_snapshots = 1), 2, false);
}

/* ====== Snapshots left out by id ====== */

static void a_snapshot_is_stepped_over_by_id(void **state) {
  (void)state;
  static const int64_t two[1] = {2}, others[3] = {3, 4, 5};
  assert_range(appends, RANGE_WITH(1, NONE, .without = two, .num_without = 1), "3 4");
  assert_range(mixed, RANGE_WITH(NONE, NONE, .without = others, .num_without = 3), "1 6");
}

/* ====== Windows ====== */

static const char *widen(const step *steps, size_t count, mle_increment_options options,
                         mle_window window) {
  static char text[MLE_ERROR_MESSAGE_MAX];
  mle_metadata *metadata = history(steps, count);
  mle_arena arena = MLE_ARENA;
  mle_increment range;
  mle_error err;
  text[0] = '\0';
  must(mle_increment_resolve(metadata, &options, &arena, &range, err));
  if (mle_increment_widen(metadata, &options, &window, &arena, &range, &err) != MLE_OK)
    snprintf(text, sizeof text, "%s", err.message);
  else if (range.full)
    snprintf(text, sizeof text, "full of %lld", (long long)range.to);
  else
    for (size_t i = 0; i < range.count; i++)
      snprintf(text + strlen(text), sizeof text - strlen(text), i == 0 ? "%lld" : " %lld",
               (long long)range.snapshots[i]);
  mle_arena_release(&arena);
  mle_metadata_free(metadata);
  return text;
}

#define WINDOW(steps, options, wanted, ...) \
  assert_string_equal(widen(steps, COUNT(steps), options, (mle_window){__VA_ARGS__}), wanted)

static void a_window_takes_older_snapshots_along(void **state) {
  (void)state;
  WINDOW(appends, RANGE(3, NONE), "3 4", .snapshots = 2);
  WINDOW(appends, RANGE(3, NONE), "1 2 3 4", .snapshots = 9);
  WINDOW(appends, RANGE(3, NONE), "2 3 4", .age_ms = 2000); /* 4 s - 2 s, and later */
  WINDOW(appends, RANGE(3, NONE), "3 4", .since_ms = 2001);
}

static void a_window_never_leaves_new_rows_out(void **state) {
  (void)state;
  WINDOW(appends, RANGE(1, NONE), "2 3 4", .snapshots = 1);
  WINDOW(appends, RANGE(NONE, NONE), "1 2 3 4", .age_ms = 1);
}

static void a_window_ends_where_a_limited_range_does(void **state) {
  (void)state;
  WINDOW(appends, RANGE_WITH(2, NONE, .max_snapshots = 1), "2 3", .snapshots = 2);
}

static void a_window_into_expired_history_is_refused_or_reads_all(void **state) {
  (void)state;
  assert_refusal(widen(expired, COUNT(expired), RANGE(3, NONE), (mle_window){.snapshots = 3}),
                 "behind snapshot 3, before which history was expired", "on_gap = \"full\"");
  WINDOW(expired, RANGE(3, NONE), "3 4", .snapshots = 2);
  WINDOW(expired, RANGE_WITH(3, NONE, .on_gap = MLE_GAP_FULL), "full of 4", .snapshots = 3);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(ranges_are_exclusive_and_inclusive),
      cmocka_unit_test(an_inclusive_start_is_read_too),
      cmocka_unit_test(equal_ends_are_empty),
      cmocka_unit_test(a_table_without_snapshots_has_none_after_any),
      cmocka_unit_test(unknown_ends_are_refused_by_id),
      cmocka_unit_test(a_later_start_is_no_ancestor),
      cmocka_unit_test(rows_are_summed_from_summaries),
      cmocka_unit_test(compaction_is_always_skipped),
      cmocka_unit_test(a_non_append_is_refused_with_its_name_and_option),
      cmocka_unit_test(non_appends_are_skipped_or_included),
      cmocka_unit_test(the_parent_of_the_oldest_known_may_be_gone),
      cmocka_unit_test(a_gap_is_refused_or_reads_all),
      cmocka_unit_test(a_gap_that_is_not_named_is_one),
      cmocka_unit_test(a_rollback_is_refused_or_resolved),
      cmocka_unit_test(an_expired_common_parent_still_counts),
      cmocka_unit_test(a_replaced_table_has_no_common_ancestor),
      cmocka_unit_test(a_kept_start_behind_expired_history_is_a_gap),
      cmocka_unit_test(a_circle_of_parents_is_an_error),
      cmocka_unit_test(a_branch_has_a_head_of_its_own),
      cmocka_unit_test(what_is_no_branch_or_not_on_it_is_refused),
      cmocka_unit_test(limits_take_whole_snapshots_and_at_least_one),
      cmocka_unit_test(a_limit_ends_before_what_would_be_refused),
      cmocka_unit_test(more_is_said_when_something_that_counts_follows),
      cmocka_unit_test(a_snapshot_is_stepped_over_by_id),
      cmocka_unit_test(a_window_takes_older_snapshots_along),
      cmocka_unit_test(a_window_never_leaves_new_rows_out),
      cmocka_unit_test(a_window_ends_where_a_limited_range_does),
      cmocka_unit_test(a_window_into_expired_history_is_refused_or_reads_all),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
