#include "engine/base/murmur3.h"

#include <string.h>

static uint32_t rotate(uint32_t value, int by) { return value << by | value >> (32 - by); }

static uint32_t mix(uint32_t block) { return rotate(block * 0xcc9e2d51u, 15) * 0x1b873593u; }

int32_t mle_murmur3(const void *bytes, size_t len) {
  const uint8_t *at = bytes;
  uint32_t hash = 0, tail = 0;
  size_t blocks = len / 4;
  for (size_t i = 0; i < blocks; i++, at += 4) {
    uint32_t block;
    memcpy(&block, at, sizeof block); /* little-endian, as this program's machines are */
    hash = rotate(hash ^ mix(block), 13) * 5 + 0xe6546b64u;
  }
  for (size_t i = len % 4; i-- > 0;) tail = tail << 8 | at[i];
  if (len % 4 != 0) hash ^= mix(tail);
  hash ^= (uint32_t)len;
  hash = (hash ^ hash >> 16) * 0x85ebca6bu;
  hash = (hash ^ hash >> 13) * 0xc2b2ae35u;
  return (int32_t)(hash ^ hash >> 16);
}

int32_t mle_murmur3_long(int64_t value) { return mle_murmur3(&value, sizeof value); }

int32_t mle_murmur3_decimal(mle_wide value) {
  char bytes[MLE_WIDE_BYTES];
  return mle_murmur3(bytes, mle_wide_bytes(value, bytes));
}
