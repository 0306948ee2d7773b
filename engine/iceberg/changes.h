/*
 * changes.h -- the rows that the snapshots of a range inserted and deleted. Data half: needs DuckDB.
 *
 *     mle_increment_options options = {.from = last, .to = MLE_NO_SNAPSHOT,
 *                                      .on_non_append = MLE_NON_APPEND_INCLUDE_ADDED};
 *     MLE_GO(mle_increment_resolve(metadata, &options, &arena, &range, err));
 *     MLE_GO(mle_changes_read(session, metadata, schema, &range, &how, &frame, err));
 *
 * Each snapshot of the range is held against its parent: files that came, files that went,
 * and files whose deletes changed, whatever kind these are of. Beside the table's columns a
 * row has those of Spark's changelog:
 *
 *   _change_type         'INSERT' or 'DELETE'
 *   _change_ordinal      the number of its snapshot in the range, from 0
 *   _commit_snapshot_id  that snapshot
 *
 * A compaction (`replace`) changes no rows and is no part of a range. A snapshot that rewrote a
 * file without some of its rows deletes all rows of the old one and inserts those of the new one:
 * the pairs that say nothing, carried over rows, are left out unless asked for. Rows come in the
 * order of their snapshots, of each one the deleted rows first.
 *
 * A range that is to be read whole (`full`) is all rows of its end, inserted.
 */
#ifndef MLE_ICEBERG_CHANGES_H
#define MLE_ICEBERG_CHANGES_H

#include "engine/frame/frame.h"
#include "engine/iceberg/increment.h"

typedef struct mle_changes_options {
  const mle_condition *condition; /* leaves out files, not rows; NULL: all */
  const char *where;              /* SQL that all rows meet; NULL: all. As mle_frame_where */
  bool carried_over;              /* keep pairs that say nothing */
} mle_changes_options;

mle_status mle_changes_read(mle_session *session, const mle_metadata *metadata,
                            const mle_schema *schema, const mle_increment *range,
                            const mle_changes_options *options, mle_frame **out, mle_error *err);

#endif
