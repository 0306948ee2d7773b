/*
 * read.h -- a plan's rows as a frame. Data half: needs DuckDB.
 *
 *     MLE_GO(mle_iceberg_read(session, metadata, schema, &plan, &projection, &frame, err));
 *
 * Spec, "Column Projection". Columns are found by field id, so renames, drops,
 * reordering, promotion and added columns (initial-default, else null) read right
 * whatever schema a file was written with. Below the top level DuckDB finds fields
 * by name; a table whose history renamed, re-added or defaulted a nested field is
 * refused by name, and so is a file without field ids.
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
