/*
 * read.h -- a plan's rows as a frame. Data half: needs DuckDB.
 *
 *     MLE_GO(mle_iceberg_read(session, metadata, schema, &plan, &projection, &frame, err));
 *
 * Spec, "Column Projection" and "Row-level Deletes". Columns are found by field id at
 * every level, so renames, drops, reordering, promotion and added columns read right
 * whatever schema a file was written with; deletes of every kind are applied, and are
 * read here: making the frame costs their reading, and its row count is exact.
 */
#ifndef MLE_ICEBERG_READ_H
#define MLE_ICEBERG_READ_H

#include "engine/frame/frame.h"
#include "engine/iceberg/plan.h"

/* `columns` NULL: all of them. The frame keeps nothing of the plan or metadata. */
mle_status mle_iceberg_read(mle_session *session, const mle_metadata *metadata,
                            const mle_schema *schema, const mle_plan *plan,
                            const char *const *columns, size_t num_columns, mle_frame **out,
                            mle_error *err);

#endif
