#include "engine/xgboost/narrow.h"

#include <float.h>
#include <math.h>
#include <string.h>

bool mle_narrow_is_whole(mle_kind kind) { return kind != MLE_FLOAT && kind != MLE_DOUBLE; }

mle_kind mle_narrow_kind(mle_kind kind) {
  return mle_kind_size(kind) <= 2 ? kind : MLE_FLOAT;
}

static bool is_valid(const uint64_t *valid, size_t row) {
  return valid == NULL || (valid[row / 64] >> (row % 64) & 1) != 0;
}

/* ====== Values ====== */

/* Every float below 2^24 holds its integer; above, compare in a type that holds both. */
#define NARROW_WHOLE(name, type)                                                            \
  static void name(const mle_column *from, size_t first, size_t rows, float *out,           \
                   mle_spool_facts *facts) {                                                \
    const type *in = (const type *)from->data + first;                                      \
    for (size_t i = 0; i < rows; i++) {                                                     \
      out[i] = (float)in[i];                                                                \
      if (fabsf(out[i]) >= 16777216.0f && (long double)out[i] != (long double)in[i])        \
        facts->inexact += is_valid(from->valid, first + i);                                 \
    }                                                                                       \
  }

NARROW_WHOLE(narrow_int32, int32_t)
NARROW_WHOLE(narrow_int64, int64_t)
NARROW_WHOLE(narrow_uint32, uint32_t)
NARROW_WHOLE(narrow_uint64, uint64_t)

/* Counted apart from the copy, which so stays a plain loop; null rows may hold anything. */
static void count_reals(const mle_column *from, size_t first, size_t rows, const float *value,
                        mle_spool_facts *facts) {
  size_t odd = 0;
  for (size_t i = 0; i < rows; i++) odd += !(fabsf(value[i]) <= FLT_MAX);
  if (odd == 0) return;
  for (size_t i = 0; i < rows; i++) {
    if (fabsf(value[i]) <= FLT_MAX || !is_valid(from->valid, first + i)) continue;
    if (isnan(value[i]))
      facts->nans++;
    else
      facts->infinite++;
  }
}

static void narrow_double(const mle_column *from, size_t first, size_t rows, float *out,
                          mle_spool_facts *facts) {
  const double *in = (const double *)from->data + first;
  for (size_t i = 0; i < rows; i++) out[i] = (float)in[i];
  count_reals(from, first, rows, out, facts);
}

void mle_narrow_values(const mle_column *from, size_t first, size_t rows, void *out,
                       mle_spool_facts *facts) {
  size_t size = mle_kind_size(from->kind);
  switch (from->kind) {
    case MLE_INT32: narrow_int32(from, first, rows, out, facts); return;
    case MLE_INT64: narrow_int64(from, first, rows, out, facts); return;
    case MLE_UINT32: narrow_uint32(from, first, rows, out, facts); return;
    case MLE_UINT64: narrow_uint64(from, first, rows, out, facts); return;
    case MLE_DOUBLE: narrow_double(from, first, rows, out, facts); return;
    default: break;
  }
  memcpy(out, (const char *)from->data + first * size, rows * size);
  if (from->kind == MLE_FLOAT) count_reals(from, first, rows, out, facts);
}

float mle_narrow_value(const mle_column *column, size_t row) {
  if (!is_valid(column->valid, row)) return NAN;
  switch (column->kind) {
    case MLE_INT8: return ((const int8_t *)column->data)[row];
    case MLE_INT16: return ((const int16_t *)column->data)[row];
    case MLE_INT32: return (float)((const int32_t *)column->data)[row];
    case MLE_INT64: return (float)((const int64_t *)column->data)[row];
    case MLE_UINT8: return ((const uint8_t *)column->data)[row];
    case MLE_UINT16: return ((const uint16_t *)column->data)[row];
    case MLE_UINT32: return (float)((const uint32_t *)column->data)[row];
    case MLE_UINT64: return (float)((const uint64_t *)column->data)[row];
    case MLE_FLOAT: return ((const float *)column->data)[row];
    case MLE_DOUBLE: return (float)((const double *)column->data)[row];
  }
  return NAN;
}

/* ====== Validity ====== */

/* `count` bits from bit `first`, at most 64; reads no word that holds none of them. */
static uint64_t take_bits(const uint64_t *from, size_t first, size_t count) {
  size_t word = first / 64, shift = first % 64;
  uint64_t bits = from[word] >> shift;
  if (shift > 0 && count > 64 - shift) bits |= from[word + 1] << (64 - shift);
  return bits;
}

size_t mle_narrow_bits(const uint64_t *valid, size_t first, size_t rows, uint64_t *out, size_t at) {
  size_t nulls = 0;
  for (size_t i = 0; i < rows; i += 64) {
    size_t count = rows - i < 64 ? rows - i : 64;
    uint64_t mask = count == 64 ? UINT64_MAX : (UINT64_C(1) << count) - 1;
    uint64_t bits = valid == NULL ? mask : take_bits(valid, first + i, count) & mask;
    size_t word = (at + i) / 64, shift = (at + i) % 64;
    out[word] |= bits << shift;
    if (shift > 0 && count > 64 - shift) out[word + 1] |= bits >> (64 - shift);
    nulls += count - (size_t)__builtin_popcountll(bits);
  }
  return nulls;
}
