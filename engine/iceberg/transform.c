#include "engine/iceberg/transform.h"

#include <stdlib.h>
#include <string.h>

#include "engine/base/murmur3.h"

#define HOUR_US ((int64_t)3600 * 1000000)
#define DAY_US (24 * HOUR_US)
#define WIDE_MIN (-((mle_wide)INT64_MAX << 64) - ((mle_wide)1 << 64))

static const mle_literal none = {.kind = MLE_LITERAL_NONE};

/* ====== Names ====== */

static int32_t width_of(const char *text) {
  char *end;
  const char *open = strchr(text, '[');
  long width = open == NULL ? 0 : strtol(open + 1, &end, 10);
  return width > 0 && width <= INT32_MAX && strcmp(end, "]") == 0 ? (int32_t)width : 0;
}

mle_transform mle_transform_parse(const char *text) {
  static const struct {
    const char *name;
    mle_transform_kind kind;
  } plain[] = {{"identity", MLE_TRANSFORM_IDENTITY}, {"year", MLE_TRANSFORM_YEAR},
               {"month", MLE_TRANSFORM_MONTH},       {"day", MLE_TRANSFORM_DAY},
               {"hour", MLE_TRANSFORM_HOUR},         {"void", MLE_TRANSFORM_VOID}};
  for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
    if (strcmp(text, plain[i].name) == 0) return (mle_transform){plain[i].kind, 0};
  int32_t width = width_of(text);
  if (width > 0 && strncmp(text, "bucket[", 7) == 0) return (mle_transform){MLE_TRANSFORM_BUCKET, width};
  if (width > 0 && strncmp(text, "truncate[", 9) == 0)
    return (mle_transform){MLE_TRANSFORM_TRUNCATE, width};
  return (mle_transform){MLE_TRANSFORM_UNKNOWN, 0};
}

const mle_type *mle_transform_result(const mle_transform *transform, const mle_type *source) {
  static const mle_type integer = {.kind = MLE_TYPE_INT};
  switch (transform->kind) {
    case MLE_TRANSFORM_BUCKET:
    case MLE_TRANSFORM_YEAR:
    case MLE_TRANSFORM_MONTH:
    case MLE_TRANSFORM_DAY:
    case MLE_TRANSFORM_HOUR: return &integer;
    default: return source;
  }
}

/* ====== Bucket ====== */

static int64_t floor_divide(int64_t value, int64_t by) { return value / by - (value % by < 0); }

int32_t mle_bucket_hash(const mle_type *type, const mle_literal *value) {
  if (value->kind == MLE_LITERAL_BYTES) return mle_murmur3(value->bytes.data, value->bytes.len);
  if (type->kind == MLE_TYPE_DECIMAL) return mle_murmur3_decimal(value->whole);
  int64_t whole = (int64_t)value->whole; /* ints and dates hash as longs */
  bool nano = type->kind == MLE_TYPE_TIMESTAMP_NS || type->kind == MLE_TYPE_TIMESTAMPTZ_NS;
  if (nano) whole = floor_divide(whole, 1000);
  return mle_murmur3_long(whole);
}

static mle_literal bucket(const mle_transform *transform, const mle_type *type,
                          const mle_literal *value) {
  if (value->kind == MLE_LITERAL_REAL || type->kind == MLE_TYPE_BOOLEAN) return none;
  uint32_t hash = (uint32_t)mle_bucket_hash(type, value) & INT32_MAX;
  return (mle_literal){.kind = MLE_LITERAL_WHOLE, .whole = hash % (uint32_t)transform->width};
}

/* ====== Truncate ====== */

/* Texts by code points, binaries by bytes. */
static mle_literal truncate_bytes(int32_t width, const mle_type *type, const mle_literal *value) {
  mle_literal cut = *value;
  size_t points = 0, at = 0;
  for (; at < value->bytes.len; at++) {
    bool begins = type->kind != MLE_TYPE_STRING || ((uint8_t)value->bytes.data[at] & 0xc0) != 0x80;
    if (begins && points++ == (size_t)width) break;
  }
  cut.bytes.len = at;
  return cut;
}

/* The least value of a type of whole numbers; a decimal's is that of the type it is held in. */
static mle_wide least_of(const mle_type *type) {
  if (type->kind == MLE_TYPE_INT) return INT32_MIN;
  return type->kind == MLE_TYPE_LONG ? INT64_MIN : WIDE_MIN;
}

/* What would be less than the type's least value is none: writers wrap it around, or fail. */
static mle_literal truncate_value(int32_t width, const mle_type *type, const mle_literal *value) {
  if (value->kind == MLE_LITERAL_BYTES) return truncate_bytes(width, type, value);
  mle_wide least = least_of(type);
  if (value->kind != MLE_LITERAL_WHOLE || value->whole < least) return none;
  mle_wide rest = value->whole % width;
  if (rest < 0) rest += width;
  if (value->whole < 0 && value->whole - least < rest) return none;
  return (mle_literal){.kind = MLE_LITERAL_WHOLE, .whole = value->whole - rest};
}

/* ====== Times ====== */

static int64_t days_of(const mle_type *type, int64_t value) {
  switch (type->kind) {
    case MLE_TYPE_DATE: return value;
    case MLE_TYPE_TIMESTAMP_NS:
    case MLE_TYPE_TIMESTAMPTZ_NS: return floor_divide(value, DAY_US * 1000);
    default: return floor_divide(value, DAY_US);
  }
}

/* Months since January 1970 of a day of the proleptic Gregorian calendar. */
static int64_t months_of(int64_t days) {
  days += 719468; /* from 0000-03-01 */
  int64_t era = floor_divide(days, 146097), of_era = days - era * 146097;
  int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
  int64_t of_year = of_era - (365 * year + year / 4 - year / 100);
  int64_t month = (5 * of_year + 2) / 153; /* 0 is March */
  return (era * 400 + year - 1970) * 12 + month + 2;
}

static bool is_time(const mle_type *type, const mle_literal *value) {
  bool date = type->kind == MLE_TYPE_DATE;
  return value->kind == MLE_LITERAL_WHOLE && value->whole >= (date ? INT32_MIN : INT64_MIN) &&
         value->whole <= (date ? INT32_MAX : INT64_MAX);
}

static mle_literal time_part(mle_transform_kind kind, const mle_type *type,
                             const mle_literal *value) {
  if (!is_time(type, value)) return none;
  int64_t whole = (int64_t)value->whole, days = days_of(type, whole), part;
  bool nano = type->kind == MLE_TYPE_TIMESTAMP_NS || type->kind == MLE_TYPE_TIMESTAMPTZ_NS;
  switch (kind) {
    case MLE_TRANSFORM_YEAR: part = floor_divide(months_of(days), 12); break;
    case MLE_TRANSFORM_MONTH: part = months_of(days); break;
    case MLE_TRANSFORM_DAY: part = days; break;
    default: part = floor_divide(whole, nano ? HOUR_US * 1000 : HOUR_US); break;
  }
  return (mle_literal){.kind = MLE_LITERAL_WHOLE, .whole = part};
}

mle_literal mle_transform_apply(const mle_transform *transform, const mle_type *source,
                                const mle_literal *value) {
  if (value->kind == MLE_LITERAL_NONE) return none;
  switch (transform->kind) {
    case MLE_TRANSFORM_IDENTITY: return *value;
    case MLE_TRANSFORM_BUCKET: return bucket(transform, source, value);
    case MLE_TRANSFORM_TRUNCATE: return truncate_value(transform->width, source, value);
    case MLE_TRANSFORM_YEAR:
    case MLE_TRANSFORM_MONTH:
    case MLE_TRANSFORM_DAY:
    case MLE_TRANSFORM_HOUR: return time_part(transform->kind, source, value);
    default: return none;
  }
}
