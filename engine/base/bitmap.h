/*
 * bitmap.h -- a set of 32-bit numbers that stays small however they lie.
 *
 *     mle_bitmap *dead = mle_bitmap_new();
 *     mle_bitmap_add(dead, 7);
 *     mle_bitmap_missing(dead, rows, count, live);    live[i] = rows[i] is not in it
 *   done:
 *     mle_bitmap_free(dead);
 *
 * A roaring bitmap (libroaring, which allocates by itself). Reading is safe from
 * any number of threads; writing is not.
 */
#ifndef MLE_BITMAP_H
#define MLE_BITMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/error.h"

typedef struct mle_bitmap mle_bitmap;

mle_bitmap *mle_bitmap_new(void); /* NULL when out of memory */
mle_bitmap *mle_bitmap_ref(mle_bitmap *bitmap); /* one more holder; NULL gives NULL */
void mle_bitmap_free(mle_bitmap *bitmap);       /* one holder less; NULL is ignored */

void mle_bitmap_add(mle_bitmap *bitmap, uint32_t value);
bool mle_bitmap_has(const mle_bitmap *bitmap, uint32_t value);
int64_t mle_bitmap_count(const mle_bitmap *bitmap);

/* How many of its numbers are below `end`. */
int64_t mle_bitmap_below(const mle_bitmap *bitmap, int64_t end);

/*
 * New sets, NULL when out of memory: the numbers of `a` that `b` (NULL: the empty set) lacks;
 * the numbers below `end` that the set lacks.
 */
mle_bitmap *mle_bitmap_minus(const mle_bitmap *a, const mle_bitmap *b);
mle_bitmap *mle_bitmap_rest(const mle_bitmap *bitmap, uint32_t end);

/* For each row whether it is not in the set. Rows that ascend are found fastest. */
void mle_bitmap_missing(const mle_bitmap *bitmap, const int64_t *rows, size_t count, bool *out);

/*
 * Adds the numbers of a bitmap in Roaring's portable format ("32-bit") at the
 * start of `bytes`. Nothing in it is believed: the library's own reader trusts
 * counts that are inside. `out_used` is how many bytes it took.
 */
mle_status mle_bitmap_parse(mle_bitmap *into, const char *bytes, size_t len, size_t *out_used,
                            mle_error *err);

#endif
