/*
 * inspect.h -- a table's metadata as rows: snapshots, history, refs, manifests, entries, files,
 * partitions, with the columns of PyIceberg's table.inspect.
 *
 *     MLE_GO(mle_inspect_find("files", &kind, err));
 *     MLE_GO(mle_inspect(metadata, kind, NULL, print_row, context, err));
 *
 * A row is a JSON object: times are ISO 8601 in UTC, bytes hexadecimal digits, values of columns as JSON
 * has them, else DuckDB's text of them. Rows come one by one, whatever the table's size; partitions are
 * kept until all entries were seen.
 */
#ifndef MLE_ICEBERG_INSPECT_H
#define MLE_ICEBERG_INSPECT_H

#include "engine/iceberg/metadata.h"
#include "engine/iceberg/transform.h"

typedef enum mle_inspect_kind {
  MLE_INSPECT_SNAPSHOTS, MLE_INSPECT_HISTORY, MLE_INSPECT_REFS, MLE_INSPECT_MANIFESTS,
  MLE_INSPECT_ENTRIES, MLE_INSPECT_FILES, MLE_INSPECT_PARTITIONS
} mle_inspect_kind;

/* By PyIceberg's name. */
mle_status mle_inspect_find(const char *name, mle_inspect_kind *out, mle_error *err);

typedef mle_status (*mle_inspect_row)(void *context, const mle_json *row, mle_error *err);

/* `snapshot` NULL: the current one; a table without any has no manifests, entries, files, partitions. */
mle_status mle_inspect(const mle_metadata *metadata, mle_inspect_kind kind,
                       const mle_snapshot *snapshot, mle_inspect_row row, void *context,
                       mle_error *err);

/* Writes the rows to a new file, a line each. */
mle_status mle_inspect_write(const mle_metadata *metadata, mle_inspect_kind kind,
                             const mle_snapshot *snapshot, const char *path, mle_error *err);

/* Appends DuckDB's SELECT over such a file, with the types that the columns have. */
mle_status mle_inspect_select(const mle_metadata *metadata, mle_inspect_kind kind,
                              const char *path, mle_buffer *sql, mle_error *err);

/* ====== Partition fields of all specs ====== */

typedef struct mle_inspect_part {
  int field_id;
  const char *name; /* unlike the others' */
  mle_type type;    /* of its values */
  mle_transform transform;
} mle_inspect_part;

/* Ordered by id, in `arena`. Fields whose source no schema has any more are texts. */
mle_status mle_inspect_parts(const mle_metadata *metadata, mle_arena *arena,
                             mle_inspect_part **out, size_t *out_count, mle_error *err);

#endif
