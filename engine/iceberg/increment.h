/*
 * increment.h -- the snapshots between two points of a table's history.
 *
 *     mle_increment_options options = {.from = last, .to = MLE_NO_SNAPSHOT};
 *     mle_increment range;
 *     MLE_GO(mle_increment_resolve(metadata, &options, &arena, &range, err));
 *     MLE_GO(mle_increment_plan(metadata, &range, &plan, err));
 *
 * A range is (from, to] along the parent chain of `to`, never the log: after a
 * rollback the two disagree. `from` need not exist any more, as long as a known
 * snapshot names it as its parent. from == to is empty, but for an inclusive one. What would lose or repeat
 * rows is refused unless an option says how to go on:
 *
 *   on_non_append  an overwrite or delete in the range: skip it, or read the files it
 *                  added. A `replace` (compaction) changes no rows and is always skipped.
 *   on_gap         history between `from` and `to` was expired: read all of `to`.
 *   on_rollback    `from` is no longer an ancestor of `to`: start from the last
 *                  snapshot both have, or read all of `to`.
 *
 * max_snapshots and max_rows end a range early, at whole snapshots and at least one; `to`
 * is then the last that was taken, and `more` says that others follow. Reading all of `to`,
 * where an option said so, cannot be divided.
 */
#ifndef MLE_ICEBERG_INCREMENT_H
#define MLE_ICEBERG_INCREMENT_H

#include "engine/iceberg/plan.h"

typedef enum mle_on_non_append {
  MLE_NON_APPEND_ERROR, MLE_NON_APPEND_SKIP, MLE_NON_APPEND_INCLUDE_ADDED
} mle_on_non_append;
typedef enum mle_on_gap { MLE_GAP_ERROR, MLE_GAP_FULL } mle_on_gap;
typedef enum mle_on_rollback {
  MLE_ROLLBACK_ERROR, MLE_ROLLBACK_COMMON_ANCESTOR, MLE_ROLLBACK_FULL
} mle_on_rollback;

typedef struct mle_increment_options {
  int64_t from; /* exclusive; MLE_NO_SNAPSHOT: from the beginning */
  bool inclusive; /* `from` is of the range, and must be known */
  int64_t to;   /* MLE_NO_SNAPSHOT: the head of the branch */
  const char *branch;    /* `to` is on it; NULL: main, and `to` may be any snapshot */
  const int64_t *without; /* snapshots that are left out, whatever they did */
  size_t num_without;
  int64_t max_snapshots, max_rows; /* 0: no limit */
  mle_on_non_append on_non_append;
  mle_on_gap on_gap;
  mle_on_rollback on_rollback;
} mle_increment_options;

typedef struct mle_increment {
  int64_t from, to;         /* resolved; MLE_NO_SNAPSHOT: none */
  const int64_t *snapshots; /* whose added files are read, oldest first */
  size_t count;
  bool full; /* all rows of `to` instead, because an option said so */
  bool more; /* a limit left snapshots for the next range */
} mle_increment;

/* Rows to learn from beside those that are new; one of the three is set. */
typedef struct mle_window {
  int64_t snapshots; /* the last so many that count */
  int64_t age_ms;    /* those committed at most so long before `to` */
  int64_t since_ms;  /* those committed at that time or later */
} mle_window;

mle_status mle_increment_resolve(const mle_metadata *metadata, const mle_increment_options *options,
                                 mle_arena *arena, mle_increment *out, mle_error *err);

/*
 * Widens a resolved range backwards to a window, never narrows it; `to` stays. What counts in it
 * is what `options` say, and so is what happens when its history was expired (on_gap).
 */
mle_status mle_increment_widen(const mle_metadata *metadata, const mle_increment_options *options,
                               const mle_window *window, mle_arena *arena, mle_increment *range,
                               mle_error *err);

/* `condition` NULL: all rows; else see plan.h. */
mle_status mle_increment_plan(const mle_metadata *metadata, const mle_increment *range,
                              const mle_condition *condition, mle_plan *out, mle_error *err);

/* Rows of the range: from the snapshots' summaries, or where they are silent from manifests. */
mle_status mle_increment_rows(const mle_metadata *metadata, const mle_increment *range,
                              int64_t *out, mle_error *err);

#endif
