/*
 * stream.h -- batches of columns, pulled one after another.
 *
 *     mle_batch batch;
 *     while ((status = mle_stream_next(stream, &batch, err)) == MLE_OK && batch.rows > 0)
 *       use(batch.column[0].data, batch.rows);
 *     mle_stream_close(stream);
 *
 * A batch lives until the next call on its stream. Rows come in plan order. One
 * thread at a time.
 */
#ifndef MLE_STREAM_H
#define MLE_STREAM_H

#include <stddef.h>
#include <stdint.h>

#include "engine/base/error.h"

typedef enum mle_kind {
  MLE_INT8, MLE_INT16, MLE_INT32, MLE_INT64,
  MLE_UINT8, MLE_UINT16, MLE_UINT32, MLE_UINT64,
  MLE_FLOAT, MLE_DOUBLE
} mle_kind;

/* Bytes of one value. */
size_t mle_kind_size(mle_kind kind);

typedef struct mle_column {
  mle_kind kind;
  const void *data;      /* rows values, aligned to their size */
  const uint64_t *valid; /* bit r % 64 of word r / 64 set: row r has a value; NULL: all have */
} mle_column;

typedef struct mle_batch {
  size_t rows; /* 0 at the end */
  size_t num_columns;
  const mle_column *column;
} mle_batch;

/* A source fills this in as the first member of its own struct. */
typedef struct mle_stream {
  size_t num_columns;
  mle_status (*next)(struct mle_stream *stream, mle_batch *out, mle_error *err);
  void (*close)(struct mle_stream *stream);
} mle_stream;

mle_status mle_stream_next(mle_stream *stream, mle_batch *out, mle_error *err);
void mle_stream_close(mle_stream *stream); /* NULL is ignored */

#endif
