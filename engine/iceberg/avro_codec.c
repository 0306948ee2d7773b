#include "engine/iceberg/avro_codec.h"

#define ZLIB_CONST
#include <snappy-c.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

static const char *const codec_names[] = {"null", "deflate", "zstandard", "snappy"};

mle_status mle_avro_find_codec(const char *name, mle_avro_codec *out, mle_error *err) {
  *out = CODEC_NULL;
  if (name == NULL) return MLE_OK;
  for (size_t i = 0; i < sizeof codec_names / sizeof *codec_names; i++) {
    *out = (mle_avro_codec)i;
    if (strcmp(name, codec_names[i]) == 0) return MLE_OK;
  }
  return mle_fail(err, MLE_EUNSUPPORTED,
                  "the Avro codec '%.40s' is not one of null, deflate, zstandard, snappy", name);
}

/* ====== Decompression ====== */

static mle_status bad_block(mle_error *err, mle_avro_codec codec) {
  return mle_fail(err, MLE_EFORMAT, "a block is not valid %s data", codec_names[codec]);
}

/* `window` is zlib's: -15 raw, 31 gzip. */
static mle_status inflate_block(mle_bytes in, int window, mle_buffer *out, mle_error *err) {
  z_stream stream = {.next_in = (const Bytef *)in.data, .avail_in = (uInt)in.len};
  if (inflateInit2(&stream, window) != Z_OK) return mle_nomem(err, "inflating a block");
  mle_status status = MLE_OK;
  int code = Z_OK;
  while (code == Z_OK && status == MLE_OK) {
    size_t want = out->len < 4096 ? 4 * in.len + 4096 : out->len;
    if (want > out->max - out->len) want = out->max - out->len;
    if (want == 0)
      status = mle_fail(err, MLE_EREFUSED, "a block is larger than %zu bytes", out->max);
    if (status == MLE_OK) status = mle_buffer_reserve(out, want, err);
    if (status != MLE_OK) break;
    stream.next_out = (Bytef *)out->data + out->len;
    stream.avail_out = (uInt)want;
    code = inflate(&stream, Z_NO_FLUSH);
    size_t got = want - stream.avail_out;
    out->len += got;
    if (code == Z_OK && got == 0 && stream.avail_in == 0) code = Z_DATA_ERROR;
  }
  inflateEnd(&stream);
  if (status == MLE_OK && code != Z_STREAM_END) return bad_block(err, CODEC_DEFLATE);
  return status;
}

static mle_status unzstd_block(mle_bytes in, mle_buffer *out, mle_error *err) {
  ZSTD_DStream *stream = ZSTD_createDStream();
  if (stream == NULL) return mle_nomem(err, "decompressing a block");
  ZSTD_inBuffer input = {in.data, in.len, 0};
  mle_status status = MLE_OK;
  size_t code = 1;
  while (status == MLE_OK && code != 0) {
    status = mle_buffer_reserve(out, 64 << 10, err);
    if (status != MLE_OK) break;
    ZSTD_outBuffer output = {out->data + out->len, 64 << 10, 0};
    code = ZSTD_decompressStream(stream, &output, &input);
    out->len += output.pos;
    bool stuck = output.pos == 0 && input.pos == input.size && code != 0;
    if (ZSTD_isError(code) || stuck) status = bad_block(err, CODEC_ZSTD);
  }
  ZSTD_freeDStream(stream);
  return status;
}

static mle_status unsnap_block(mle_bytes in, mle_buffer *out, mle_error *err) {
  size_t size;
  if (in.len < 4) return bad_block(err, CODEC_SNAPPY);
  size_t len = in.len - 4;
  if (snappy_uncompressed_length(in.data, len, &size) != SNAPPY_OK || size > 64 * len + 64)
    return bad_block(err, CODEC_SNAPPY); /* the format reaches 1:21 at most */
  MLE_TRY(mle_buffer_reserve(out, size, err));
  if (snappy_uncompress(in.data, len, out->data, &size) != SNAPPY_OK)
    return bad_block(err, CODEC_SNAPPY);
  out->len = size;
  const uint8_t *crc = (const uint8_t *)in.data + len;
  uint32_t want = (uint32_t)crc[0] << 24 | (uint32_t)crc[1] << 16 | (uint32_t)crc[2] << 8 | crc[3];
  uint32_t found = (uint32_t)crc32(0, (const Bytef *)out->data, (uInt)size);
  return want == found ? MLE_OK : mle_fail(err, MLE_EFORMAT, "a block has a wrong checksum");
}

mle_status mle_avro_decompress(mle_avro_codec codec, mle_bytes in, mle_buffer *out,
                               mle_error *err) {
  if (in.len > UINT32_MAX) return bad_block(err, codec);
  MLE_TRY(mle_buffer_reserve(out, 0, err));
  if (codec == CODEC_DEFLATE) return inflate_block(in, -15, out, err);
  if (codec == CODEC_ZSTD) return unzstd_block(in, out, err);
  return unsnap_block(in, out, err);
}

mle_status mle_gunzip(mle_bytes in, mle_buffer *out, mle_error *err) {
  if (in.len > UINT32_MAX) return mle_fail(err, MLE_EREFUSED, "more than 4 GiB of gzip data");
  mle_status status = inflate_block(in, 31, out, err);
  return status == MLE_EFORMAT ? mle_fail(err, status, "not valid gzip data") : status;
}

/* ====== Compression ====== */

mle_status mle_avro_deflate(const mle_buffer *in, mle_buffer *out, mle_error *err) {
  z_stream stream = {.next_in = (const Bytef *)in->data, .avail_in = (uInt)in->len};
  if (deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY) != Z_OK)
    return mle_nomem(err, "deflating a block");
  size_t bound = deflateBound(&stream, (uLong)in->len);
  mle_status status = mle_buffer_reserve(out, bound, err);
  if (status == MLE_OK) {
    stream.next_out = (Bytef *)out->data;
    stream.avail_out = (uInt)bound;
    if (deflate(&stream, Z_FINISH) != Z_STREAM_END) status = mle_nomem(err, "deflating a block");
    out->len = bound - stream.avail_out;
  }
  deflateEnd(&stream);
  return status;
}
