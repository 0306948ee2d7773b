/*
 * projection.h -- how the files of one layout hold the columns that a scan wants.
 *
 *     MLE_GO(mle_projection_make(&wanted, root, path, &arena, &group, absent, err));
 *
 * Spec, "Column Projection" and "Name Mapping Serialization". Fields are found by
 * id at every level; in a file without ids the table's name mapping gives them. Below
 * the top level DuckDB casts by name: where names and ids disagree, or a nested field
 * has a default, the column is read as the file has it and put together by an expression.
 */
#ifndef MLE_ICEBERG_PROJECTION_H
#define MLE_ICEBERG_PROJECTION_H

#include "engine/frame/frame.h"
#include "engine/frame/layout.h"
#include "engine/iceberg/types.h"

typedef struct mle_wanted {
  const mle_field *const *fields;
  size_t count;
  const mle_json *name_mapping; /* NULL: files without ids are refused */
} mle_wanted;

/*
 * `path` is a file of that layout, for messages. absent[i] says that the files have
 * nothing of field i. `out` and what it points to lie in `arena`.
 */
mle_status mle_projection_make(const mle_wanted *wanted, const mle_layout_node *root,
                               const char *path, mle_arena *arena, mle_scan_group *out,
                               bool *absent, mle_error *err);

/* Whether files of this layout are read by field id and nothing else. */
bool mle_projection_is_plain(const mle_scan_group *group, size_t count);

#endif
