/*
 * wide.h -- whole numbers of 128 bits: unscaled decimals, and sums that must not overflow.
 */
#ifndef MLE_WIDE_H
#define MLE_WIDE_H

#include <stddef.h>

__extension__ typedef __int128 mle_wide;
__extension__ typedef unsigned __int128 mle_uwide;

#define MLE_WIDE_BYTES 16

/* The fewest bytes of big-endian two's complement, at least one; their number. */
size_t mle_wide_bytes(mle_wide value, char out[MLE_WIDE_BYTES]);

#endif
