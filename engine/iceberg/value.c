#include "engine/iceberg/value.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/wide.h"

#define NUMBER_TEXT_MAX 512 /* a double has at most 309 digits before its point */
#define DAY_US ((int64_t)86400 * 1000000)
#define BOUND_BYTES_MAX ((size_t)MLE_BOUND_LENGTH * 4) /* UTF-8 takes at most 4 bytes each */

/* ====== Calendar ====== */

/* Days from 1970-01-01 of a proleptic Gregorian date, and back. */
static int64_t days_from_civil(int64_t year, int month, int day) {
  year -= month <= 2;
  int64_t era = (year >= 0 ? year : year - 399) / 400;
  int64_t year_of_era = year - era * 400;
  int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
  int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
  return era * 146097 + day_of_era - 719468;
}

static void civil_from_days(int64_t days, int64_t *year, int *month, int *day) {
  days += 719468;
  int64_t era = (days >= 0 ? days : days - 146096) / 146097;
  int64_t day_of_era = days - era * 146097;
  int64_t year_of_era =
      (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
  int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  int64_t shifted = (5 * day_of_year + 2) / 153;
  *day = (int)(day_of_year - (153 * shifted + 2) / 5 + 1);
  *month = (int)(shifted < 10 ? shifted + 3 : shifted - 9);
  *year = year_of_era + era * 400 + (*month <= 2);
}

/* ====== From DuckDB's text ====== */

typedef struct text_reader {
  const char *at, *end;
} text_reader;

static bool take_digits(text_reader *r, int min, int64_t *out) {
  int count = 0;
  for (*out = 0; r->at < r->end && *r->at >= '0' && *r->at <= '9' && count < 12; r->at++, count++)
    *out = *out * 10 + (*r->at - '0');
  return count >= min;
}

static bool take_char(text_reader *r, char c) {
  if (r->at == r->end || *r->at != c) return false;
  r->at++;
  return true;
}

static bool take_date(text_reader *r, int64_t *out_days) {
  int64_t year, month, day;
  if (!take_digits(r, 4, &year) || !take_char(r, '-') || !take_digits(r, 2, &month) ||
      !take_char(r, '-') || !take_digits(r, 2, &day))
    return false;
  if (month < 1 || month > 12 || day < 1 || day > 31) return false;
  *out_days = days_from_civil(year, (int)month, (int)day);
  return true;
}

/* "23:59:59.5" in units of 10^-digits seconds. */
static bool take_time(text_reader *r, int digits, int64_t *out) {
  int64_t hour, minute, second, fraction = 0;
  if (!take_digits(r, 2, &hour) || !take_char(r, ':') || !take_digits(r, 2, &minute) ||
      !take_char(r, ':') || !take_digits(r, 2, &second))
    return false;
  const char *dot = r->at;
  if (take_char(r, '.') && !take_digits(r, 1, &fraction)) return false;
  int given = r->at == dot ? 0 : (int)(r->at - dot) - 1;
  if (given > digits) return false;
  int64_t scale = 1;
  for (int i = 0; i < digits; i++) scale *= 10;
  for (int i = given; i < digits; i++) fraction *= 10;
  *out = ((hour * 60 + minute) * 60 + second) * scale + fraction;
  return true;
}

static bool take_timestamp(text_reader *r, bool zoned, int digits, int64_t *out) {
  int64_t days, time;
  int64_t day = digits == 9 ? DAY_US * 1000 : DAY_US;
  if (!take_date(r, &days) || !take_char(r, ' ') || !take_time(r, digits, &time)) return false;
  if (zoned && !(take_char(r, '+') && take_char(r, '0') && take_char(r, '0'))) return false;
  return !__builtin_mul_overflow(days, day, out) && !__builtin_add_overflow(*out, time, out);
}

static bool add_digit(mle_wide *number, int digit) {
  return !__builtin_mul_overflow(*number, (mle_wide)10, number) &&
         !__builtin_add_overflow(*number, (mle_wide)digit, number);
}

/* Digits without the dot: a decimal's unscaled value. */
static bool take_decimal(text_reader *r, int scale, mle_wide *out) {
  bool negative = take_char(r, '-'), dot = false;
  int digits = 0, decimals = 0;
  for (*out = 0; r->at < r->end; r->at++) {
    if (*r->at == '.' && !dot) {
      dot = true;
      continue;
    }
    if (*r->at < '0' || *r->at > '9' || ++digits > 39 || !add_digit(out, *r->at - '0')) return false;
    decimals += dot;
  }
  for (; decimals < scale && digits < 39; decimals++, digits++)
    if (!add_digit(out, 0)) return false;
  if (negative) *out = -*out;
  return digits > 0 && decimals == scale;
}

static int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Pairs of hex digits, dashes ignored, at most `room` bytes; false for other text. */
static bool take_hex(text_reader *r, char *out, size_t room, size_t *out_len) {
  for (*out_len = 0; r->at < r->end && *out_len < room; r->at += 2) {
    if (*r->at == '-') r->at++;
    if (r->end - r->at < 2 || hex_digit(r->at[0]) < 0 || hex_digit(r->at[1]) < 0) return false;
    out[(*out_len)++] = (char)(hex_digit(r->at[0]) * 16 + hex_digit(r->at[1]));
  }
  return true;
}

/* ====== Truncated bounds ====== */

/* Bytes of the UTF-8 character at `at`, its code point in `out`; 0 when it is none. */
static size_t read_point(const char *at, const char *end, uint32_t *out) {
  uint8_t lead = (uint8_t)*at;
  size_t len = lead < 0x80   ? 1
               : lead < 0xc2 ? 0
               : lead < 0xe0 ? 2
               : lead < 0xf0 ? 3
               : lead < 0xf5 ? 4
                             : 0;
  if (len == 0 || (size_t)(end - at) < len) return 0;
  *out = len == 1 ? lead : lead & (0x7fu >> len);
  for (size_t i = 1; i < len; i++) {
    if (((uint8_t)at[i] & 0xc0) != 0x80) return 0;
    *out = *out << 6 | ((uint8_t)at[i] & 0x3f);
  }
  static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
  bool surrogate = *out >= 0xd800 && *out <= 0xdfff;
  return *out < least[len] || surrogate || *out > 0x10ffff ? 0 : len;
}

static size_t write_point(uint32_t point, char *out) {
  size_t len = point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
  static const uint8_t lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
  for (size_t i = len; i-- > 1; point >>= 6) out[i] = (char)(0x80 | (point & 0x3f));
  out[0] = (char)(lead[len] | point);
  return len;
}

/* The smallest text above all that begin with these points; 0 bytes when there is none. */
static size_t increment_points(uint32_t *points, size_t count, char *out) {
  while (count > 0 && points[count - 1] == 0x10ffff) count--;
  if (count == 0) return 0;
  uint32_t *last = &points[count - 1];
  *last = *last == 0xd7ff ? 0xe000 : *last + 1; /* over the surrogates */
  size_t len = 0;
  for (size_t i = 0; i < count; i++) len += write_point(points[i], out + len);
  return len;
}

static size_t bound_text(mle_bound which, const char *text, size_t len, char *out) {
  uint32_t points[MLE_BOUND_LENGTH];
  size_t count = 0, used = 0;
  while (used < len && count < MLE_BOUND_LENGTH) {
    size_t taken = read_point(text + used, text + len, &points[count]);
    if (taken == 0) return 0; /* not UTF-8: no bound rather than a wrong one */
    used += taken;
    count++;
  }
  if (which == MLE_BOUND_UPPER && used < len) return increment_points(points, count, out);
  memcpy(out, text, used);
  return used;
}

/* `len` is that of the whole value, `out` holds its first bytes. */
static size_t bound_binary(mle_bound which, size_t whole, char *out, size_t len) {
  if (which == MLE_BOUND_LOWER || whole <= len) return len;
  while (len > 0 && (uint8_t)out[len - 1] == 0xff) len--;
  if (len > 0) out[len - 1] = (char)((uint8_t)out[len - 1] + 1);
  return len;
}

/* ====== Bounds ====== */

static mle_status keep(mle_arena *arena, const void *bytes, size_t len, mle_bytes *out,
                       mle_error *err) {
  out->data = mle_arena_text(arena, bytes, len);
  out->len = len;
  return out->data == NULL ? mle_nomem(err, "writing bounds") : MLE_OK;
}

/* Little-endian, as this program's machines hold numbers. */
static mle_status keep_int(mle_arena *arena, int64_t value, size_t width, mle_bytes *out,
                           mle_error *err) {
  int32_t narrow = (int32_t)value;
  return width == 4 ? keep(arena, &narrow, 4, out, err) : keep(arena, &value, 8, out, err);
}

/* Spec: no NaN in bounds, and a zero bound is -0.0 below and +0.0 above. */
static mle_status keep_float(const mle_type *type, mle_bound which, const char *text,
                             mle_arena *arena, mle_bytes *out, mle_error *err) {
  double value = strtod(text, NULL);
  if (isnan(value)) return MLE_OK;
  if (value == 0) value = which == MLE_BOUND_LOWER ? -0.0 : 0.0;
  if (type->kind == MLE_TYPE_DOUBLE) return keep(arena, &value, sizeof value, out, err);
  float narrow = strtof(text, NULL);
  if (narrow == 0) narrow = which == MLE_BOUND_LOWER ? -0.0F : 0.0F;
  return keep(arena, &narrow, sizeof narrow, out, err);
}

static bool read_integer(const mle_type *type, text_reader *r, int64_t *out, size_t *out_width) {
  char *end;
  *out_width = type->kind == MLE_TYPE_INT || type->kind == MLE_TYPE_DATE ? 4 : 8;
  switch (type->kind) {
    case MLE_TYPE_INT:
    case MLE_TYPE_LONG:
      *out = strtoll(r->at, &end, 10);
      r->at = end;
      return true;
    case MLE_TYPE_DATE: return take_date(r, out);
    case MLE_TYPE_TIME: return take_time(r, 6, out);
    case MLE_TYPE_TIMESTAMP: return take_timestamp(r, false, 6, out);
    case MLE_TYPE_TIMESTAMPTZ: return take_timestamp(r, true, 6, out);
    case MLE_TYPE_TIMESTAMP_NS: return take_timestamp(r, false, 9, out);
    default: return false;
  }
}

static mle_status bound_bytes(const mle_type *type, mle_bound which, text_reader *r,
                              mle_arena *arena, mle_bytes *out, mle_error *err) {
  char bytes[BOUND_BYTES_MAX];
  size_t len = 0;
  mle_wide decimal;
  bool good = true;
  size_t whole = (size_t)(r->end - r->at) / 2;
  switch (type->kind) {
    case MLE_TYPE_BOOLEAN:
      good = r->at != r->end;
      bytes[0] = good && (*r->at == '1' || *r->at == 't');
      len = 1;
      break;
    case MLE_TYPE_DECIMAL:
      good = take_decimal(r, type->scale, &decimal);
      if (good) len = mle_wide_bytes(decimal, bytes);
      break;
    case MLE_TYPE_UUID: good = take_hex(r, bytes, 16, &len) && len == 16; break;
    case MLE_TYPE_FIXED:
    case MLE_TYPE_BINARY:
      good = take_hex(r, bytes, MLE_BOUND_LENGTH, &len);
      if (good) len = bound_binary(which, whole, bytes, len);
      break;
    case MLE_TYPE_STRING: len = bound_text(which, r->at, (size_t)(r->end - r->at), bytes); break;
    default: return MLE_OK;
  }
  if (!good) return mle_fail(err, MLE_EFORMAT, "not a value of its type");
  if (len == 0 && r->at != r->end) return MLE_OK; /* nothing above it */
  return keep(arena, bytes, len, out, err);
}

static bool is_unbounded(const char *text, size_t len) {
  static const char *const words[] = {"(BC)", "infinity"};
  for (size_t i = 0; i < sizeof words / sizeof *words; i++)
    if (memmem(text, len, words[i], strlen(words[i])) != NULL) return true;
  return false;
}

/* What is no number, date or time of the type, or too long to be one. */
static mle_status fail_number(const mle_type *type, const char *text, size_t len, mle_error *err) {
  char label[MLE_TYPE_LABEL];
  return mle_fail(err, MLE_EFORMAT, "'%.*s' is not a %s", (int)(len < 60 ? len : 60), text,
                  mle_type_label(type, label));
}

/* `text` ends in NUL. */
static mle_status number_bound(const mle_type *type, mle_bound which, const char *text, size_t len,
                               mle_arena *arena, mle_bytes *out, mle_error *err) {
  text_reader r = {text, text + len};
  int64_t number;
  size_t width;
  if (type->kind == MLE_TYPE_FLOAT || type->kind == MLE_TYPE_DOUBLE)
    return keep_float(type, which, text, arena, out, err);
  if (is_unbounded(text, len)) return MLE_OK;
  if (read_integer(type, &r, &number, &width) && r.at == r.end)
    return keep_int(arena, number, width, out, err);
  return fail_number(type, text, len, err);
}

mle_status mle_value_bound(const mle_type *type, mle_bound which, const char *text, size_t len,
                           mle_arena *arena, mle_bytes *out, mle_error *err) {
  char copy[NUMBER_TEXT_MAX];
  text_reader r = {text, text + len};
  *out = (mle_bytes){NULL, 0};
  switch (type->kind) {
    case MLE_TYPE_FLOAT:
    case MLE_TYPE_DOUBLE:
    case MLE_TYPE_INT:
    case MLE_TYPE_LONG:
    case MLE_TYPE_DATE:
    case MLE_TYPE_TIME:
    case MLE_TYPE_TIMESTAMP:
    case MLE_TYPE_TIMESTAMPTZ:
    case MLE_TYPE_TIMESTAMP_NS:
      if (len >= sizeof copy) return fail_number(type, text, len, err);
      memcpy(copy, text, len);
      copy[len] = '\0';
      return number_bound(type, which, copy, len, arena, out, err);
    default: break;
  }
  return bound_bytes(type, which, &r, arena, out, err);
}

/* ====== For people ====== */

static mle_status print_hex(mle_bytes value, mle_buffer *out, mle_error *err) {
  MLE_TRY(mle_buffer_puts(out, "0x", err));
  for (size_t i = 0; i < value.len; i++)
    MLE_TRY(mle_buffer_printf(out, err, "%02x", (unsigned)(uint8_t)value.data[i]));
  return MLE_OK;
}

/* Bounds keep the width they were written with: an int promoted to long has 4 bytes. */
static bool read_number(mle_bytes value, int64_t *out) {
  int32_t narrow;
  if (value.len == 4) {
    memcpy(&narrow, value.data, sizeof narrow);
    *out = narrow;
  } else if (value.len == 8) {
    memcpy(out, value.data, sizeof *out);
  }
  return value.len == 4 || value.len == 8;
}

static mle_status print_date(int64_t days, mle_buffer *out, mle_error *err) {
  int64_t year;
  int month, day;
  civil_from_days(days, &year, &month, &day);
  return mle_buffer_printf(out, err, "%04" PRId64 "-%02d-%02d", year, month, day);
}

static mle_status print_time(int64_t us, mle_buffer *out, mle_error *err) {
  int64_t seconds = us / 1000000;
  MLE_TRY(mle_buffer_printf(out, err, "%02d:%02d:%02d", (int)(seconds / 3600),
                            (int)(seconds / 60 % 60), (int)(seconds % 60)));
  return us % 1000000 == 0 ? MLE_OK : mle_buffer_printf(out, err, ".%06d", (int)(us % 1000000));
}

static mle_status print_timestamp(int64_t us, const char *zone, mle_buffer *out, mle_error *err) {
  int64_t days = us / DAY_US - (us % DAY_US < 0);
  MLE_TRY(print_date(days, out, err));
  MLE_TRY(mle_buffer_puts(out, " ", err));
  MLE_TRY(print_time(us - days * DAY_US, out, err));
  return mle_buffer_puts(out, zone, err);
}

static mle_status print_decimal(const mle_type *type, mle_bytes value, mle_buffer *out,
                                mle_error *err) {
  mle_wide number = value.len > 0 && (int8_t)value.data[0] < 0 ? -1 : 0;
  for (size_t i = 0; i < value.len; i++)
    number = (mle_wide)((mle_uwide)number << 8) | (uint8_t)value.data[i];
  bool negative = number < 0;
  mle_uwide rest = negative ? -(mle_uwide)number : (mle_uwide)number;
  char text[48];
  size_t at = sizeof text;
  for (int digits = 0; rest > 0 || digits <= type->scale; digits++, rest /= 10) {
    if (digits == type->scale && type->scale > 0) text[--at] = '.';
    text[--at] = (char)('0' + (int)(rest % 10));
  }
  if (negative) text[--at] = '-';
  return mle_buffer_append(out, text + at, sizeof text - at, err);
}

static mle_status print_float(mle_bytes value, mle_buffer *out, mle_error *err) {
  char text[MLE_NUMBER_TEXT];
  float narrow;
  double number;
  if (value.len == sizeof narrow) {
    memcpy(&narrow, value.data, sizeof narrow);
    return mle_buffer_puts(out, mle_float_text(narrow, text), err);
  }
  memcpy(&number, value.data, sizeof number);
  return mle_buffer_puts(out, mle_double_text(number, text), err);
}

static mle_status print_uuid(mle_bytes value, mle_buffer *out, mle_error *err) {
  for (size_t i = 0; i < value.len; i++)
    MLE_TRY(mle_buffer_printf(out, err, i == 4 || i == 6 || i == 8 || i == 10 ? "-%02x" : "%02x",
                              (unsigned)(uint8_t)value.data[i]));
  return MLE_OK;
}

static mle_status print_timestamp_ns(int64_t ns, mle_buffer *out, mle_error *err) {
  int64_t seconds = ns / 1000000000 - (ns % 1000000000 < 0);
  MLE_TRY(print_timestamp(seconds * 1000000, "", out, err));
  return mle_buffer_printf(out, err, ".%09d", (int)(ns - seconds * 1000000000));
}

mle_status mle_value_print(const mle_type *type, mle_bytes value, mle_buffer *out, mle_error *err) {
  int64_t number = 0;
  bool numeric = read_number(value, &number);
  switch (type->kind) {
    case MLE_TYPE_STRING:
      return mle_buffer_printf(out, err, "'%.*s'", (int)(value.len < 1000 ? value.len : 1000),
                               value.data);
    case MLE_TYPE_UUID:
      if (value.len == 16) return print_uuid(value, out, err);
      break;
    case MLE_TYPE_DECIMAL:
      if (value.len >= 1 && value.len <= 16) return print_decimal(type, value, out, err);
      break;
    case MLE_TYPE_BOOLEAN:
      if (value.len == 1) return mle_buffer_puts(out, value.data[0] ? "true" : "false", err);
      break;
    case MLE_TYPE_FLOAT:
    case MLE_TYPE_DOUBLE:
      if (numeric) return print_float(value, out, err);
      break;
    default: break;
  }
  if (!numeric) return print_hex(value, out, err);
  switch (type->kind) {
    case MLE_TYPE_INT:
    case MLE_TYPE_LONG: return mle_buffer_printf(out, err, "%" PRId64, number);
    case MLE_TYPE_DATE: return print_date(number, out, err);
    case MLE_TYPE_TIME: return print_time(number, out, err);
    case MLE_TYPE_TIMESTAMP: return print_timestamp(number, "", out, err);
    case MLE_TYPE_TIMESTAMPTZ: return print_timestamp(number, "+00", out, err);
    case MLE_TYPE_TIMESTAMP_NS: return print_timestamp_ns(number, out, err);
    default: return print_hex(value, out, err);
  }
}

mle_status mle_value_sql_text(const mle_type *type, mle_bytes value, mle_buffer *out,
                              mle_error *err) {
  if (type->kind == MLE_TYPE_STRING) return mle_buffer_append(out, value.data, value.len, err);
  if (type->kind != MLE_TYPE_BINARY && type->kind != MLE_TYPE_FIXED)
    return mle_value_print(type, value, out, err);
  for (size_t i = 0; i < value.len; i++)
    MLE_TRY(mle_buffer_printf(out, err, "\\x%02X", (unsigned)(uint8_t)value.data[i]));
  return MLE_OK;
}

/* ====== Defaults ====== */

/* JSON holds binaries as hex digits; DuckDB reads \xAB. */
static mle_status print_escaped(const char *hex, mle_buffer *out, mle_error *err) {
  for (; hex[0] != '\0' && hex[1] != '\0'; hex += 2)
    MLE_TRY(mle_buffer_printf(out, err, "\\x%c%c", hex[0], hex[1]));
  return MLE_OK;
}

mle_status mle_value_sql_default(const mle_type *type, const mle_json *value, mle_buffer *out,
                                 mle_error *err) {
  char label[MLE_TYPE_LABEL], text[MLE_NUMBER_TEXT];
  const char *string;
  int64_t whole;
  double number;
  mle_json_at at = mle_json_root(value);
  bool binary = type->kind == MLE_TYPE_BINARY || type->kind == MLE_TYPE_FIXED;
  if (mle_json_is_bool(&at))
    return mle_buffer_puts(out, mle_json_true(&at) ? "true" : "false", err);
  if (mle_json_int(&at, &whole, NULL) == MLE_OK)
    return mle_buffer_printf(out, err, "%" PRId64, whole);
  if (mle_json_is_number(&at) && mle_json_double(&at, &number, NULL) == MLE_OK)
    return mle_buffer_puts(out, mle_double_text(number, text), err);
  if (mle_json_is_text(&at) && mle_json_text(&at, &string, NULL) == MLE_OK)
    return binary ? print_escaped(string, out, err) : mle_buffer_puts(out, string, err);
  return mle_fail(err, MLE_EUNSUPPORTED, "a default value of type %s is not read by this version",
                  mle_type_label(type, label));
}
