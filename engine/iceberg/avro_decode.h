/*
 * avro_decode.h -- Avro's binary encoding, one value after another, within bounds.
 *
 * Internal to avro*.c. What decoding makes lives in the cursor's arena; bytes are
 * views of the input.
 */
#ifndef MLE_ICEBERG_AVRO_DECODE_H
#define MLE_ICEBERG_AVRO_DECODE_H

#include "engine/iceberg/avro_schema.h"

typedef struct mle_avro_cursor {
  const char *at, *end;
  mle_arena *arena;
  mle_error *err;
  int depth;
  const int32_t *only; /* keys of maps that are read; NULL: all */
  size_t num_only;
} mle_avro_cursor;

mle_status mle_avro_wide_long(mle_avro_cursor *c, int64_t *out);

/* Most numbers take one byte. */
static inline mle_status mle_avro_long(mle_avro_cursor *c, int64_t *out) {
  if (c->at >= c->end || (*c->at & 0x80) != 0) return mle_avro_wide_long(c, out);
  uint64_t bits = (uint8_t)*c->at++;
  *out = (int64_t)(bits >> 1) ^ -(int64_t)(bits & 1); /* zig-zag */
  return MLE_OK;
}

mle_status mle_avro_view(mle_avro_cursor *c, mle_bytes *out); /* a length and that many bytes */
mle_status mle_avro_take(mle_avro_cursor *c, size_t len, const char **out);

/*
 * Reads a record whose node is bound into the struct at `item`. With `last` nothing of the
 * block is read after it, and the cursor may be left before its end.
 */
mle_status mle_avro_decode(mle_avro_cursor *c, const mle_avro_node *record, void *item, bool last);

#endif
