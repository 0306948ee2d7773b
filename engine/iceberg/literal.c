#include "engine/iceberg/literal.h"

#include <math.h>
#include <string.h>

#define DAY_US ((int64_t)86400 * 1000000)

static const mle_literal none = {.kind = MLE_LITERAL_NONE};

static mle_literal whole(mle_wide value) {
  return (mle_literal){.kind = MLE_LITERAL_WHOLE, .whole = value};
}

static mle_literal real(double value) {
  return isnan(value) ? none : (mle_literal){.kind = MLE_LITERAL_REAL, .real = value};
}

/* Big-endian two's complement. */
static mle_literal decimal(mle_bytes bytes) {
  if (bytes.len < 1 || bytes.len > 16) return none;
  mle_wide value = (int8_t)bytes.data[0] < 0 ? -1 : 0;
  for (size_t i = 0; i < bytes.len; i++) value = value * 256 + (uint8_t)bytes.data[i];
  return whole(value);
}

static mle_literal integer(const mle_type *type, mle_bytes bytes) {
  int32_t narrow;
  int64_t value;
  if (bytes.len == 4) {
    memcpy(&narrow, bytes.data, sizeof narrow);
    bool stamp = type->kind == MLE_TYPE_TIMESTAMP || type->kind == MLE_TYPE_TIMESTAMPTZ;
    bool nano = type->kind == MLE_TYPE_TIMESTAMP_NS || type->kind == MLE_TYPE_TIMESTAMPTZ_NS;
    if (stamp) return whole((mle_wide)narrow * DAY_US); /* it was a date */
    return whole(nano ? (mle_wide)narrow * DAY_US * 1000 : narrow);
  }
  if (bytes.len != 8) return none;
  memcpy(&value, bytes.data, sizeof value);
  return whole(value);
}

static mle_literal number(mle_bytes bytes) {
  float single;
  double value;
  if (bytes.len == sizeof single) {
    memcpy(&single, bytes.data, sizeof single);
    return real((double)single);
  }
  if (bytes.len != sizeof value) return none;
  memcpy(&value, bytes.data, sizeof value);
  return real(value);
}

mle_literal mle_literal_from_bytes(const mle_type *type, mle_bytes bytes) {
  if (bytes.data == NULL) return none;
  switch (type->kind) {
    case MLE_TYPE_BOOLEAN: return bytes.len == 1 ? whole(bytes.data[0] != 0) : none;
    case MLE_TYPE_INT:
    case MLE_TYPE_LONG:
    case MLE_TYPE_DATE:
    case MLE_TYPE_TIME:
    case MLE_TYPE_TIMESTAMP:
    case MLE_TYPE_TIMESTAMPTZ:
    case MLE_TYPE_TIMESTAMP_NS:
    case MLE_TYPE_TIMESTAMPTZ_NS: return integer(type, bytes);
    case MLE_TYPE_FLOAT:
    case MLE_TYPE_DOUBLE: return number(bytes);
    case MLE_TYPE_DECIMAL: return decimal(bytes);
    case MLE_TYPE_STRING:
    case MLE_TYPE_BINARY:
    case MLE_TYPE_FIXED:
    case MLE_TYPE_UUID: return (mle_literal){.kind = MLE_LITERAL_BYTES, .bytes = bytes};
    default: return none;
  }
}

mle_literal mle_literal_from_datum(const mle_type *type, const mle_datum *datum) {
  switch (datum->kind) {
    case MLE_DATUM_BOOL:
    case MLE_DATUM_INT: return whole(datum->integer);
    case MLE_DATUM_FLOAT:
    case MLE_DATUM_DOUBLE: return real(datum->number);
    case MLE_DATUM_BYTES:
    case MLE_DATUM_TEXT:
      if (type->kind == MLE_TYPE_DECIMAL) return decimal(datum->bytes);
      return (mle_literal){.kind = MLE_LITERAL_BYTES, .bytes = datum->bytes};
    default: return none;
  }
}

int mle_literal_compare(const mle_literal *a, const mle_literal *b) {
  if (a->kind == MLE_LITERAL_WHOLE) return (a->whole > b->whole) - (a->whole < b->whole);
  if (a->kind == MLE_LITERAL_REAL) return (a->real > b->real) - (a->real < b->real);
  size_t len = a->bytes.len < b->bytes.len ? a->bytes.len : b->bytes.len;
  int order = len == 0 ? 0 : memcmp(a->bytes.data, b->bytes.data, len);
  return order != 0 ? order : (a->bytes.len > b->bytes.len) - (a->bytes.len < b->bytes.len);
}
