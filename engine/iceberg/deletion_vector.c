/*
 * deletion_vector.c
 *
 *     length   u32 big-endian   bytes of magic and vector
 *     magic    D1 D3 39 64
 *     vector   u64 bitmaps, then for each: u32 high half of its positions, a 32-bit
 *              roaring bitmap of the low halves (little-endian)
 *     crc      u32 big-endian   CRC-32 of magic and vector
 */
#include "engine/iceberg/deletion_vector.h"

#include <inttypes.h>
#include <string.h>
#include <zlib.h>

#include "engine/base/buffer.h"
#include "engine/store/store.h"

static const char magic[4] = {'\xd1', '\xd3', '\x39', '\x64'};

enum { LENGTH = 4, CRC = 4, AROUND = LENGTH + 4 + CRC };

static uint32_t big32(const char *at) {
  const uint8_t *b = (const uint8_t *)at;
  return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

/* Little-endian, as this program's machines are. */
static mle_status parse_vector(const char *at, size_t left, mle_bitmap *into, mle_error *err) {
  uint64_t bitmaps;
  uint32_t high;
  size_t used;
  if (left < sizeof bitmaps) return mle_fail(err, MLE_EFORMAT, "its vector ends too early");
  memcpy(&bitmaps, at, sizeof bitmaps);
  for (at += sizeof bitmaps, left -= sizeof bitmaps; bitmaps > 0; bitmaps--) {
    if (left < sizeof high) return mle_fail(err, MLE_EFORMAT, "its vector ends too early");
    memcpy(&high, at, sizeof high);
    at += sizeof high;
    left -= sizeof high;
    if (high != 0) /* 2^32 rows in one file */
      return mle_fail(err, MLE_EUNSUPPORTED, "it has positions of 4,294,967,296 or more, which "
                      "this version does not read");
    MLE_TRY(mle_bitmap_parse(into, at, left, &used, err));
    at += used;
    left -= used;
  }
  return left == 0 ? MLE_OK : mle_fail(err, MLE_EFORMAT, "its vector has bytes left over");
}

mle_status mle_deletion_vector_parse(const char *bytes, size_t len, mle_bitmap *into,
                                     mle_error *err) {
  if (len < AROUND) return mle_fail(err, MLE_EFORMAT, "it is too short");
  const char *vector = bytes + LENGTH;
  size_t size = len - LENGTH - CRC;
  if (big32(bytes) != size)
    return mle_fail(err, MLE_EFORMAT, "its length says %" PRIu32 " bytes where %zu are",
                    big32(bytes), size);
  if (memcmp(vector, magic, sizeof magic) != 0)
    return mle_fail(err, MLE_EFORMAT, "it does not begin with the magic bytes of a deletion vector");
  if (big32(vector + size) != (uint32_t)crc32(0, (const Bytef *)vector, (uInt)size))
    return mle_fail(err, MLE_EFORMAT, "its checksum is wrong");
  return parse_vector(vector + sizeof magic, size - sizeof magic, into, err);
}

mle_status mle_deletion_vector_read(const char *path, int64_t offset, int64_t size,
                                    mle_bitmap *into, mle_error *err) {
  mle_buffer bytes = MLE_BUFFER(MLE_DELETION_VECTOR_MAX);
  mle_status status;
  if (offset < 0 || size < 0 || (uint64_t)size > MLE_DELETION_VECTOR_MAX)
    return mle_fail(err, MLE_EFORMAT, "deletion vector '%s': its manifest gives no usable offset "
                    "and size", path);
  MLE_GO(mle_store_read_range(path, offset, (size_t)size, &bytes, err));
  MLE_GO(mle_deletion_vector_parse(bytes.data == NULL ? "" : bytes.data, bytes.len, into, err));
done:
  mle_buffer_release(&bytes);
  return status == MLE_OK ? MLE_OK
                          : mle_context(err, "deletion vector '%s' at byte %" PRId64, path, offset);
}
