/*
 * avro_codec.h -- the compression of an Avro file's blocks.
 *
 * null, deflate (raw), zstandard, snappy (followed by a CRC-32, big-endian).
 */
#ifndef MLE_ICEBERG_AVRO_CODEC_H
#define MLE_ICEBERG_AVRO_CODEC_H

#include "engine/iceberg/avro.h"

typedef enum mle_avro_codec { CODEC_NULL, CODEC_DEFLATE, CODEC_ZSTD, CODEC_SNAPPY } mle_avro_codec;

/* The codec of "avro.codec"; NULL is CODEC_NULL. EUNSUPPORTED for one not listed above. */
mle_status mle_avro_find_codec(const char *name, mle_avro_codec *out, mle_error *err);

/* What decompressing block after block needs but once; all NULL at first. */
typedef struct mle_avro_inflater {
  struct libdeflate_decompressor *deflate;
  struct ZSTD_DCtx_s *zstd;
} mle_avro_inflater;

/* Decompresses a block (of any codec but null) into `out`, which is empty. */
mle_status mle_avro_decompress(mle_avro_inflater *inflater, mle_avro_codec codec, mle_bytes in,
                               mle_buffer *out, mle_error *err);
void mle_avro_inflater_release(mle_avro_inflater *inflater);

mle_status mle_avro_deflate(const mle_buffer *in, mle_buffer *out, mle_error *err);

/* Inflates gzip or zstd data, as metadata files may hold, into `out`. */
mle_status mle_gunzip(mle_bytes in, mle_buffer *out, mle_error *err);
mle_status mle_unzstd(mle_bytes in, mle_buffer *out, mle_error *err);

#endif
