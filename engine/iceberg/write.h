/*
 * write.h -- a frame's rows as data files of a table. Data half: needs DuckDB.
 *
 *     MLE_GO(mle_iceberg_write(table, frame, &written, err));
 *     MLE_GO(mle_written_commit(written, catalog, table, ...));
 */
#ifndef MLE_ICEBERG_WRITE_H
#define MLE_ICEBERG_WRITE_H

#include "engine/frame/frame.h"
#include "engine/iceberg/written.h"

/*
 * Checks the frame's columns against the table's, by name: a missing optional one
 * is written as nulls, types may be narrower than the table's. Anything else is one
 * line that names the column and both types. A frame without rows gives no files.
 */
mle_status mle_iceberg_write(const mle_table *table, mle_frame *frame, mle_written **out,
                             mle_error *err);

#endif
