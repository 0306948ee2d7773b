/*
 * row_groups.h -- how many row groups of Parquet files a condition leaves, by what footers say of them.
 */
#ifndef MLE_ROW_GROUPS_H
#define MLE_ROW_GROUPS_H

#include <stddef.h>
#include <stdint.h>

#include "engine/base/error.h"
#include "engine/frame/session.h"

typedef struct mle_row_groups {
  int64_t groups, rows;         /* of all files */
  int64_t groups_left, rows_left;
} mle_row_groups;

/* Each footer is read once. `left` is SQL, true where a row group may have rows, over field_id, low and high: a
 * column's bounds in the group as texts, null where there are none. NULL: each may. Paths are as for mle_layouts_read. */
mle_status mle_row_groups_count(mle_session *session, const char *const *paths, size_t count,
                                const char *left, mle_row_groups *out, mle_error *err);

#endif
