/*
 * blame.h -- which Parquet file made a query fail, and where in it; for this folder only.
 *
 * DuckDB says of a damaged page "Out of buffer", and no more. What a query read is then read
 * once more, file by file: only after such an error, never otherwise.
 */
#ifndef MLE_BLAME_H
#define MLE_BLAME_H

#include "engine/frame/frame.h"
#include "engine/frame/source.h"

/* Puts file, column and place before an error of rows that files of these sources may have caused. */
void mle_source_blame(mle_session *session, const mle_source *source, mle_error *err);

/* The same of what a frame reads; hands on `status`. */
mle_status mle_frame_blame(const mle_frame *frame, mle_status status, mle_error *err);

#endif
