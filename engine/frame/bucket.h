/*
 * bucket.h -- Iceberg's bucket hash in SQL, for this folder only.
 *
 * mle_murmur3_long(BIGINT), mle_murmur3_decimal(HUGEINT), mle_murmur3_bytes(BLOB) -> INTEGER;
 * see engine/base/murmur3.h.
 */
#ifndef MLE_FRAME_BUCKET_H
#define MLE_FRAME_BUCKET_H

#include <duckdb.h>

#include "engine/base/error.h"

mle_status mle_bucket_functions(duckdb_connection c, mle_error *err);

#endif
