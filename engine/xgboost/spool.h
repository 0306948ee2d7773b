/*
 * spool.h -- the columns of a stream, kept so that they can be read again.
 *
 *     mle_spool *spool;
 *     MLE_TRY(mle_spool_new(&(mle_spool_options){.folder = "/tmp"}, &spool, err));
 *     MLE_GO(mle_spool_fill(spool, stream, err));
 *     for (size_t i = 0; i < mle_spool_num_batches(spool); i++)
 *       MLE_GO(mle_spool_batch(spool, i, &batch, err));
 *   done:
 *     mle_spool_free(spool);
 *
 * XGBoost reads its source three or four times, and another order or another
 * length in a later pass ruins the model silently: so the query runs once, into
 * this. Kept are float32 and integers of up to 16 bits, as XGBoost computes in
 * float32 anyway; what that loses is counted. Batches up to the memory budget stay in memory,
 * later ones go to a file without a name, which ends with the process.
 */
#ifndef MLE_XGBOOST_SPOOL_H
#define MLE_XGBOOST_SPOOL_H

#include <stdbool.h>

#include "engine/frame/stream.h"

typedef struct mle_spool mle_spool;

typedef struct mle_spool_options {
  const char *folder; /* for the file, made when needed; NULL: $TMPDIR, else /tmp */
  size_t memory_max;  /* bytes before the file is used; 0: a quarter of the machine's memory */
} mle_spool_options;

mle_status mle_spool_new(const mle_spool_options *options, mle_spool **out, mle_error *err);
void mle_spool_free(mle_spool *spool); /* NULL is ignored */

/* Reads the stream to its end, once per spool. The stream stays the caller's. */
mle_status mle_spool_fill(mle_spool *spool, mle_stream *stream, mle_error *err);

size_t mle_spool_rows(const mle_spool *spool);
size_t mle_spool_num_columns(const mle_spool *spool);
size_t mle_spool_num_batches(const mle_spool *spool);

/* The i-th batch, until the next call. */
mle_status mle_spool_batch(mle_spool *spool, size_t index, mle_batch *out, mle_error *err);

/*
 * All rows as one batch, whose columns are contiguous; it lives as long as the spool. EREFUSED when
 * that takes more than `memory_max` bytes.
 */
mle_status mle_spool_gather(mle_spool *spool, size_t memory_max, mle_batch *out, mle_error *err);

/* What was seen in a column. */
typedef struct mle_spool_facts {
  bool whole;      /* its values are integers */
  size_t nulls;
  size_t nans;
  size_t infinite; /* too large for float32, or infinite */
  size_t inexact;  /* integers that float32 rounds */
} mle_spool_facts;

const mle_spool_facts *mle_spool_column_facts(const mle_spool *spool, size_t column);

/* Bytes in memory, and in the file. */
size_t mle_spool_memory(const mle_spool *spool);
size_t mle_spool_file_size(const mle_spool *spool);

#endif
