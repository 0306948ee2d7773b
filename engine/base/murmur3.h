/*
 * murmur3.h -- the hash that Iceberg's bucket transform is made of.
 *
 * Murmur3, 32 bits, x86 variant, seed 0. Iceberg spec, Appendix B "32-bit Hash Requirements".
 */
#ifndef MLE_MURMUR3_H
#define MLE_MURMUR3_H

#include "engine/base/wide.h"

#include <stdint.h>

int32_t mle_murmur3(const void *bytes, size_t len);
int32_t mle_murmur3_long(int64_t value);    /* its 8 bytes, little-endian; ints and dates too */
int32_t mle_murmur3_decimal(mle_wide value); /* the fewest bytes of its unscaled value */

#endif
