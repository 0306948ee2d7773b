/*
 * inspect_row.h -- members of the rows that inspect.h gives; private to engine/iceberg.
 *
 * What has no value is null: the least integer where Avro's reader found none, a NULL text.
 */
#ifndef MLE_ICEBERG_INSPECT_ROW_H
#define MLE_ICEBERG_INSPECT_ROW_H

#include "engine/base/buffer.h"
#include "engine/iceberg/manifest.h"
#include "engine/iceberg/types.h"
#include "engine/json/json.h"

void mle_row_time(mle_json *row, const char *key, int64_t ms); /* since 1970 UTC */
void mle_row_long(mle_json *row, const char *key, int64_t value);
void mle_row_int(mle_json *row, const char *key, int32_t value);
void mle_row_text(mle_json *row, const char *key, const char *text);

/* Two digits for each byte; null where there are none. `scratch` is overwritten. */
mle_status mle_row_hex(mle_json *row, const char *key, mle_bytes bytes, mle_buffer *scratch,
                       mle_error *err);

/* A bound or partition value; null where the bytes are no value of the type. `scratch` is
 * overwritten. */
mle_status mle_row_value(mle_json *row, const char *key, const mle_type *type, mle_bytes bytes,
                         mle_buffer *scratch, mle_error *err);

#endif
