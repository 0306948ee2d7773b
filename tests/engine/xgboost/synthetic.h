/*
 * synthetic.h -- a stream over floats in memory, cut into batches of any size.
 *
 * Each column has the kind that `kind` says; null rows hold rubbish.
 */
#ifndef MLE_TESTS_XGBOOST_SYNTHETIC_H
#define MLE_TESTS_XGBOOST_SYNTHETIC_H

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "engine/frame/stream.h"

#define SYNTHETIC_COLUMNS 16
#define SYNTHETIC_BATCH 4096

typedef struct synthetic {
  mle_stream stream;
  const float *rows; /* num_columns a row; NAN is null */
  size_t num_rows, batch, at, fail_at;
  mle_kind kind[SYNTHETIC_COLUMNS];
  mle_column column[SYNTHETIC_COLUMNS];
  uint64_t valid[SYNTHETIC_COLUMNS][SYNTHETIC_BATCH / 64];
  char data[SYNTHETIC_COLUMNS][SYNTHETIC_BATCH * 8];
} synthetic;

static inline void synthetic_put(mle_kind kind, char *to, float x) {
  double d = (double)x;
  int64_t i8 = (int64_t)x;
  int32_t i4 = (int32_t)x;
  int16_t i2 = (int16_t)x;
  uint8_t u1 = (uint8_t)x;
  switch (kind) {
    case MLE_DOUBLE: memcpy(to, &d, 8); return;
    case MLE_INT64: memcpy(to, &i8, 8); return;
    case MLE_INT32: memcpy(to, &i4, 4); return;
    case MLE_INT16: memcpy(to, &i2, 2); return;
    case MLE_UINT8: memcpy(to, &u1, 1); return;
    default: memcpy(to, &x, 4); return;
  }
}

static inline mle_status synthetic_next(mle_stream *stream, mle_batch *out, mle_error *err) {
  synthetic *s = (synthetic *)stream;
  size_t rows = s->num_rows - s->at < s->batch ? s->num_rows - s->at : s->batch;
  if (s->at + rows > s->fail_at) return mle_fail(err, MLE_EIO, "the source broke");
  for (size_t c = 0; c < stream->num_columns; c++) {
    size_t size = mle_kind_size(s->kind[c]);
    bool nulls = false;
    memset(s->valid[c], 0, sizeof s->valid[c]);
    for (size_t r = 0; r < rows; r++) {
      float x = s->rows[(s->at + r) * stream->num_columns + c];
      if (isnan(x)) {
        nulls = true;
        memset(s->data[c] + r * size, 0x7f, size);
        continue;
      }
      s->valid[c][r / 64] |= UINT64_C(1) << (r % 64);
      synthetic_put(s->kind[c], s->data[c] + r * size, x);
    }
    s->column[c] = (mle_column){s->kind[c], s->data[c], nulls ? s->valid[c] : NULL};
  }
  s->at += rows;
  *out = (mle_batch){rows, stream->num_columns, s->column};
  return MLE_OK;
}

static inline void synthetic_close(mle_stream *stream) { (void)stream; }

/* All columns are floats; set `kind` for others. */
static inline mle_stream *synthetic_open(synthetic *s, const float *rows, size_t num_rows,
                                         size_t num_columns, size_t batch) {
  memset(s, 0, sizeof *s);
  s->stream = (mle_stream){num_columns, synthetic_next, synthetic_close};
  s->rows = rows;
  s->num_rows = num_rows;
  s->batch = batch;
  s->fail_at = SIZE_MAX;
  for (size_t c = 0; c < SYNTHETIC_COLUMNS; c++) s->kind[c] = MLE_FLOAT;
  return &s->stream;
}

#endif
