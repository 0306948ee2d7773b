#include "engine/iceberg/avro_codec.h"

#define ZLIB_CONST
#include <libdeflate.h>
#include <pthread.h>
#include <snappy-c.h>
#include <string.h>
#include <strings.h>
#include <zlib.h>
#include <zstd.h>

#include "engine/base/alloc.h"
#include "engine/base/library.h"

static const char *const codec_names[] = {"null", "deflate", "zstandard", "snappy"};

/* Some writers take the names of their table's properties ("ZSTD"), or leave one empty. */
static bool is_codec(const char *name, size_t i) {
  if (i == CODEC_NULL && *name == '\0') return true;
  return strcasecmp(name, codec_names[i]) == 0 || (i == CODEC_ZSTD && strcasecmp(name, "zstd") == 0);
}

mle_status mle_avro_find_codec(const char *name, mle_avro_codec *out, mle_error *err) {
  *out = CODEC_NULL;
  if (name == NULL) return MLE_OK;
  for (size_t i = 0; i < sizeof codec_names / sizeof *codec_names; i++) {
    *out = (mle_avro_codec)i;
    if (is_codec(name, i)) return MLE_OK;
  }
  return mle_fail(err, MLE_EUNSUPPORTED,
                  "the Avro codec '%.40s' is not one of null, deflate, zstandard, snappy", name);
}

/* ====== Decompression ====== */

static mle_status bad_block(mle_error *err, mle_avro_codec codec) {
  return mle_fail(err, MLE_EFORMAT, "a block is not valid %s data", codec_names[codec]);
}

static pthread_once_t hooked = PTHREAD_ONCE_INIT;

static void hook_allocator(void) { libdeflate_set_memory_allocator(mle_alloc, mle_free); }

typedef enum libdeflate_result (*inflate_whole)(struct libdeflate_decompressor *, const void *,
                                                size_t, void *, size_t, size_t *);

/* The size is not told: where the room is too small it is made larger, and all done again. */
static mle_status inflate_block(mle_avro_inflater *inflater, inflate_whole function, mle_bytes in,
                                mle_buffer *out, mle_error *err) {
  pthread_once(&hooked, hook_allocator);
  if (inflater->deflate == NULL) inflater->deflate = libdeflate_alloc_decompressor();
  if (inflater->deflate == NULL) return mle_nomem(err, "inflating a block");
  size_t room = 4 * in.len + 4096, before = out->capacity > 0 ? out->capacity - 1 : 0;
  for (room = room > before ? room : before;; room *= 4) {
    if (room > out->max) room = out->max;
    MLE_TRY(mle_buffer_reserve(out, room, err));
    enum libdeflate_result result =
        function(inflater->deflate, in.data, in.len, out->data, room, &out->len);
    if (result == LIBDEFLATE_SUCCESS) return MLE_OK;
    out->len = 0;
    if (result != LIBDEFLATE_INSUFFICIENT_SPACE) return bad_block(err, CODEC_DEFLATE);
    if (room == out->max)
      return mle_fail(err, MLE_EREFUSED, "a block is larger than %zu bytes", out->max);
  }
}

static mle_status unzstd_block(mle_avro_inflater *inflater, mle_bytes in, mle_buffer *out,
                               mle_error *err) {
  if (inflater->zstd == NULL) inflater->zstd = ZSTD_createDCtx();
  if (inflater->zstd == NULL) return mle_nomem(err, "decompressing a block");
  ZSTD_DCtx_reset(inflater->zstd, ZSTD_reset_session_only);
  ZSTD_inBuffer input = {in.data, in.len, 0};
  size_t code = 1;
  while (code != 0) {
    MLE_TRY(mle_buffer_reserve(out, 64 << 10, err));
    ZSTD_outBuffer output = {out->data + out->len, 64 << 10, 0};
    code = ZSTD_decompressStream(inflater->zstd, &output, &input);
    out->len += output.pos;
    bool stuck = output.pos == 0 && input.pos == input.size && code != 0;
    if (ZSTD_isError(code) || stuck) return bad_block(err, CODEC_ZSTD);
  }
  return MLE_OK;
}

void mle_avro_inflater_release(mle_avro_inflater *inflater) {
  libdeflate_free_decompressor(inflater->deflate);
  ZSTD_freeDCtx(inflater->zstd);
  *inflater = (mle_avro_inflater){NULL, NULL};
}

#define SNAPPY_FUNCTIONS(X) X(uncompress) X(uncompressed_length)

/* Opened for the first block that needs it: it brings the C++ library along, at whose start half of a process's
 * symbols were looked up. */
typedef struct snappy_functions {
#define FIELD(name) __typeof__(snappy_##name) *name;
  SNAPPY_FUNCTIONS(FIELD)
#undef FIELD
} snappy_functions;

static pthread_once_t snappy_started = PTHREAD_ONCE_INIT;
static snappy_functions snappy;
static mle_status snappy_opened;
static mle_error snappy_problem;

static void start_snappy(void) {
#define NAME(name) "snappy_" #name,
  static const char *const names[] = {SNAPPY_FUNCTIONS(NAME)};
#undef NAME
  snappy_opened = mle_library_open("libsnappy.so.1", "libsnappy1v5", names, sizeof names / sizeof *names, &snappy,
                                   &snappy_problem);
}

static mle_status need_snappy(mle_error *err) {
  pthread_once(&snappy_started, start_snappy);
  if (snappy_opened != MLE_OK && err != NULL) *err = snappy_problem;
  return snappy_opened;
}

static mle_status unsnap_block(mle_bytes in, mle_buffer *out, mle_error *err) {
  size_t size;
  if (in.len < 4) return bad_block(err, CODEC_SNAPPY);
  MLE_TRY(need_snappy(err));
  size_t len = in.len - 4;
  if (snappy.uncompressed_length(in.data, len, &size) != SNAPPY_OK || size > 64 * len + 64)
    return bad_block(err, CODEC_SNAPPY); /* the format reaches 1:21 at most */
  MLE_TRY(mle_buffer_reserve(out, size, err));
  if (snappy.uncompress(in.data, len, out->data, &size) != SNAPPY_OK)
    return bad_block(err, CODEC_SNAPPY);
  out->len = size;
  const uint8_t *crc = (const uint8_t *)in.data + len;
  uint32_t want = (uint32_t)crc[0] << 24 | (uint32_t)crc[1] << 16 | (uint32_t)crc[2] << 8 | crc[3];
  uint32_t found = (uint32_t)crc32(0, (const Bytef *)out->data, (uInt)size);
  return want == found ? MLE_OK : mle_fail(err, MLE_EFORMAT, "a block has a wrong checksum");
}

mle_status mle_avro_decompress(mle_avro_inflater *inflater, mle_avro_codec codec, mle_bytes in,
                               mle_buffer *out, mle_error *err) {
  MLE_TRY(mle_buffer_reserve(out, 0, err));
  if (codec == CODEC_DEFLATE)
    return inflate_block(inflater, libdeflate_deflate_decompress, in, out, err);
  if (codec == CODEC_ZSTD) return unzstd_block(inflater, in, out, err);
  return unsnap_block(in, out, err);
}

mle_status mle_gunzip(mle_bytes in, mle_buffer *out, mle_error *err) {
  mle_avro_inflater inflater = {NULL, NULL};
  mle_status status = inflate_block(&inflater, libdeflate_gzip_decompress, in, out, err);
  mle_avro_inflater_release(&inflater);
  return status == MLE_EFORMAT ? mle_fail(err, status, "not valid gzip data") : status;
}

mle_status mle_unzstd(mle_bytes in, mle_buffer *out, mle_error *err) {
  mle_avro_inflater inflater = {NULL, NULL};
  mle_status status = unzstd_block(&inflater, in, out, err);
  mle_avro_inflater_release(&inflater);
  return status == MLE_EFORMAT ? mle_fail(err, status, "not valid zstd data") : status;
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
