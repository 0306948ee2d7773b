/*
 * feed.h -- spooled rows as the library pulls them. Internal to engine/xgboost.
 */
#ifndef MLE_XGBOOST_FEED_H
#define MLE_XGBOOST_FEED_H

#include <stdbool.h>

#include "engine/base/buffer.h"
#include "engine/xgboost/matrix.h"

/* All zero until begun. */
typedef struct mle_feed {
  mle_spool *spool;
  const mle_matrix_options *options;
  void *proxy; /* the library's */
  mle_buffer json;
  float *wide;      /* values of a field with several columns, row after row */
  size_t wide_size;
  bool gathered;    /* all rows are one batch: groups must not be cut */
  uint32_t *qid;    /* of each row, when there are groups */
  float *group_weight;
  size_t groups;
  size_t next;
  bool failed;
  mle_error err;
} mle_feed;

/* Refers to `spool` and `options`, which must stay. */
mle_status mle_feed_begin(mle_feed *feed, mle_spool *spool, const mle_matrix_options *options,
                          mle_error *err);
void mle_feed_end(mle_feed *feed);

/* The library's callbacks; `feed` is a mle_feed. */
int mle_feed_next(void *feed);
void mle_feed_rewind(void *feed);

/* What came of a call that used them. */
mle_status mle_feed_result(const mle_feed *feed, int rc, mle_error *err);

/* Builds a DMatrix of floats from all rows at once. */
mle_status mle_feed_plain(mle_feed *feed, void **out_matrix, mle_error *err);

#endif
