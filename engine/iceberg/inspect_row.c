#include "engine/iceberg/inspect_row.h"

#include <string.h>

#include "engine/base/clock.h"
#include "engine/iceberg/literal.h"
#include "engine/iceberg/value.h"

void mle_row_time(mle_json *row, const char *key, int64_t ms) {
  char text[MLE_TIME_TEXT];
  mle_json_add_text(row, key, mle_time_text(ms, text));
}

void mle_row_long(mle_json *row, const char *key, int64_t value) {
  if (value == MLE_NULL_LONG)
    mle_json_add_null(row, key);
  else
    mle_json_add_int(row, key, value);
}

void mle_row_int(mle_json *row, const char *key, int32_t value) {
  mle_row_long(row, key, value == MLE_NULL_INT ? MLE_NULL_LONG : value);
}

void mle_row_text(mle_json *row, const char *key, const char *text) {
  if (text == NULL)
    mle_json_add_null(row, key);
  else
    mle_json_add_text(row, key, text);
}

mle_status mle_row_hex(mle_json *row, const char *key, mle_bytes bytes, mle_buffer *text,
                       mle_error *err) {
  mle_buffer_clear(text);
  if (bytes.data == NULL) {
    mle_json_add_null(row, key);
    return MLE_OK;
  }
  MLE_TRY(mle_buffer_puts(text, "", err));
  for (size_t i = 0; i < bytes.len; i++)
    MLE_TRY(mle_buffer_printf(text, err, "%02x", (unsigned)(uint8_t)bytes.data[i]));
  mle_json_add_text(row, key, text->data == NULL ? "" : text->data);
  return MLE_OK;
}

static bool is_number(const mle_type *type, const char *text) {
  bool real = type->kind == MLE_TYPE_FLOAT || type->kind == MLE_TYPE_DOUBLE;
  if (real) return strpbrk(text, "nN") == NULL; /* nan, infinity */
  return type->kind == MLE_TYPE_INT || type->kind == MLE_TYPE_LONG ||
         type->kind == MLE_TYPE_BOOLEAN;
}

mle_status mle_row_value(mle_json *row, const char *key, const mle_type *type, mle_bytes bytes,
                         mle_buffer *scratch, mle_error *err) {
  bool real = type->kind == MLE_TYPE_FLOAT || type->kind == MLE_TYPE_DOUBLE;
  bool opaque = type->kind >= MLE_TYPE_UNKNOWN || type->kind == MLE_TYPE_BINARY ||
                type->kind == MLE_TYPE_FIXED;
  if (bytes.data == NULL || (opaque && mle_type_is_nested(type))) {
    mle_json_add_null(row, key);
    return MLE_OK;
  }
  if (opaque) return mle_row_hex(row, key, bytes, scratch, err);
  bool known = mle_literal_from_bytes(type, bytes).kind != MLE_LITERAL_NONE ||
               (real && (bytes.len == 4 || bytes.len == 8));
  if (!known) {
    mle_json_add_null(row, key);
    return MLE_OK;
  }
  mle_buffer_clear(scratch);
  MLE_TRY(mle_value_sql_text(type, bytes, scratch, err));
  const char *text = scratch->data == NULL ? "" : scratch->data;
  if (is_number(type, text))
    mle_json_add_raw(row, key, text);
  else
    mle_json_add_text(row, key, text);
  return MLE_OK;
}
