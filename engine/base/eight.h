/*
 * eight.h -- eight bytes in a word, looked at together. The bytes of `word` in the order of memory:
 *
 *     uint64_t word;
 *     memcpy(&word, at, sizeof word);
 *     if (mle_eight_zero(word ^ MLE_EACH_BYTE('"')) != 0) ...   one of them is a quote
 */
#ifndef MLE_EIGHT_H
#define MLE_EIGHT_H

#include <stdint.h>

#define MLE_EACH_BYTE(byte) (UINT64_C(0x0101010101010101) * (uint64_t)(byte))

/* Not 0 when one of them is below `limit` (at most 0x80): the high bit of the first such byte; of those behind it nothing
 * is told. Subtracting borrows into a high bit that was not set. */
static inline uint64_t mle_eight_below(uint64_t word, unsigned char limit) {
  return (word - MLE_EACH_BYTE(limit)) & ~word & MLE_EACH_BYTE(0x80);
}

/* The same for one that is zero. */
static inline uint64_t mle_eight_zero(uint64_t word) { return mle_eight_below(word, 1); }

#endif
