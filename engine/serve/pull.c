#include "engine/serve/pull.h"

#include <endian.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/eight.h"
#include "engine/base/wide.h"

#define EXACT_POWER 22           /* 10^22 is the largest power of ten a double holds exactly */
#define EXACT_WHOLE (INT64_C(1) << 53)

void mle_pull_init(mle_pull *p, const char *bytes, size_t len) {
  p->start = p->at = bytes;
  p->end = bytes + len;
}

mle_status mle_pull_fail(const mle_pull *p, mle_error *err, const char *what) {
  return mle_fail(err, MLE_EFORMAT, "the body is no JSON at byte %zu: %s",
                  (size_t)(p->at - p->start), what);
}

/* What the value at hand is; NULL when it is none, so that no JSON goes on with it. */
static const char *kind_at(const mle_pull *p) {
  static const char *const words[] = {"true", "false", "null"};
  mle_pull_value number;
  switch (*p->at) {
    case '{': return "an object";
    case '[': return "a list";
    case '"': return "a text";
    default: break;
  }
  for (size_t i = 0; i < sizeof words / sizeof *words; i++)
    if (strncmp(p->at, words[i], strlen(words[i])) == 0) return words[i];
  return mle_number_scan(p->at, p->end, &number) == NULL ? NULL : "a number";
}

/* JSON of another shape than is wanted, or no JSON at all. */
static mle_status fail_value(const mle_pull *p, mle_error *err, const char *wanted, const char *what) {
  const char *kind = kind_at(p);
  if (kind == NULL) return mle_pull_fail(p, err, what);
  return mle_fail(err, MLE_EINVAL, "byte %zu of the body: %s belongs here, not %s",
                  (size_t)(p->at - p->start), wanted, kind);
}

static mle_status take(mle_pull *p, char wanted, mle_error *err) {
  if (mle_pull_peek(p) == wanted) {
    p->at++;
    return MLE_OK;
  }
  char what[] = "expected '?'";
  what[10] = wanted;
  return mle_pull_fail(p, err, what);
}

mle_status mle_pull_open(mle_pull *p, char bracket, mle_error *err) {
  if (mle_pull_peek(p) == bracket) {
    p->at++;
    return MLE_OK;
  }
  return bracket == '[' ? fail_value(p, err, "a list", "expected '['")
                        : fail_value(p, err, "an object", "expected '{'");
}

bool mle_pull_first(mle_pull *p, char close) {
  if (mle_pull_peek(p) != close) return true;
  p->at++;
  return false;
}

mle_status mle_pull_fail_next(const mle_pull *p, char close, mle_error *err) {
  return mle_pull_fail(p, err, close == ']' ? "expected ',' or ']'" : "expected ',' or '}'");
}

mle_status mle_pull_end(mle_pull *p, mle_error *err) {
  if (mle_pull_peek(p) == '\0' && p->at == p->end) return MLE_OK;
  return mle_pull_fail(p, err, "expected the end of the text");
}

mle_status mle_pull_word(mle_pull *p, const char *word, mle_error *err) {
  size_t len = strlen(word);
  if (strncmp(p->at, word, len) != 0) return mle_pull_fail(p, err, "expected a value");
  p->at += len;
  return MLE_OK;
}

bool mle_pull_is(mle_pull_slice text, const char *word) {
  return strlen(word) == text.len && memcmp(text.data, word, text.len) == 0;
}

/* ====== Texts ====== */

static int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

/* The four digits of \uXXXX at `at`; -1 when they are not four. */
static int32_t hex4(const char *at) {
  int32_t value = 0;
  for (int i = 0; i < 4; i++) {
    int digit = hex_digit(at[i]);
    if (digit < 0) return -1;
    value = value * 16 + digit;
  }
  return value;
}

/* Decodes \uXXXX, or a pair of them for what lies beyond U+FFFF; -1 when malformed. */
static int32_t take_code_point(mle_pull *p) {
  int32_t high = hex4(p->at);
  if (high < 0 || (high >= 0xDC00 && high <= 0xDFFF)) return -1;
  p->at += 4;
  if (high < 0xD800 || high > 0xDBFF) return high;
  if (p->at[0] != '\\' || p->at[1] != 'u') return -1;
  int32_t low = hex4(p->at + 2);
  if (low < 0xDC00 || low > 0xDFFF) return -1;
  p->at += 6;
  return 0x10000 + (high - 0xD800) * 0x400 + (low - 0xDC00);
}

static size_t put_utf8(int32_t c, char *out) {
  if (c < 0x80) {
    out[0] = (char)c;
    return 1;
  }
  size_t extra = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
  static const int lead[] = {0, 0xC0, 0xE0, 0xF0};
  out[0] = (char)(lead[extra] | (c >> (6 * extra)));
  for (size_t i = 1; i <= extra; i++)
    out[i] = (char)(0x80 | ((c >> (6 * (extra - i))) & 0x3F));
  return extra + 1;
}

/* After a backslash; appends what the escape stands for. */
static bool take_escape(mle_pull *p, char *out, size_t *len) {
  static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
  char c = *p->at++;
  if (c == 'u') {
    int32_t point = take_code_point(p);
    if (point < 0) return false;
    *len += put_utf8(point, out + *len);
    return true;
  }
  const char *found = c == '\0' ? NULL : strchr(from, c);
  if (found == NULL) return false;
  out[(*len)++] = to[found - from];
  return true;
}

static mle_status decode(mle_pull *p, const char *begin, mle_pull_slice *out, mle_error *err) {
  size_t len = (size_t)(p->at - begin);
  if (len + 4 > sizeof p->text) return mle_pull_fail(p, err, "the text is too long");
  memcpy(p->text, begin, len);
  while (*p->at != '"') {
    if (len + 4 > sizeof p->text) return mle_pull_fail(p, err, "the text is too long");
    if ((unsigned char)*p->at < 0x20) return mle_pull_fail(p, err, "the text does not end");
    if (*p->at == '\\') {
      p->at++;
      if (!take_escape(p, p->text, &len)) return mle_pull_fail(p, err, "a bad escape in a text");
    } else {
      p->text[len++] = *p->at++;
    }
  }
  p->at++;
  *out = (mle_pull_slice){p->text, len};
  return MLE_OK;
}

mle_status mle_pull_string(mle_pull *p, mle_pull_slice *out, mle_error *err) {
  if (mle_pull_peek(p) != '"') return fail_value(p, err, "a text", "expected '\"'");
  p->at++;
  const char *begin = p->at, *at = begin;
  while (*at != '"' && *at != '\\' && (unsigned char)*at >= 0x20) at++;
  p->at = at;
  if (*p->at == '\\') return decode(p, begin, out, err);
  if (*p->at != '"') return mle_pull_fail(p, err, "the text does not end");
  *out = (mle_pull_slice){begin, (size_t)(p->at - begin)};
  p->at++;
  return MLE_OK;
}

mle_status mle_pull_key(mle_pull *p, mle_pull_slice *out, mle_error *err) {
  MLE_TRY(mle_pull_string(p, out, err));
  return take(p, ':', err);
}

/* ====== Numbers ====== */

static const double power_of_ten[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                      1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

/* mantissa * 10^exponent, exactly rounded because both factors are exact (Clinger). */
static bool scale_exactly(int64_t mantissa, int exponent, double *out) {
  if (mantissa > EXACT_WHOLE || exponent < -EXACT_POWER || exponent > EXACT_POWER) return false;
  *out = exponent < 0 ? (double)mantissa / power_of_ten[-exponent] : (double)mantissa * power_of_ten[exponent];
  return true;
}

#define DIVIDED_DIGITS 19

/* 2^(bits + 127) / 5^digits, rounded up to 128 bits; `bits` are those of 5^digits. From one digit on. */
static const struct {
  uint64_t high, low;
  int bits;
} reciprocal[DIVIDED_DIGITS] = {
    {UINT64_C(0xcccccccccccccccc), UINT64_C(0xcccccccccccccccd), 3},
    {UINT64_C(0xa3d70a3d70a3d70a), UINT64_C(0x3d70a3d70a3d70a4), 5},
    {UINT64_C(0x83126e978d4fdf3b), UINT64_C(0x645a1cac083126ea), 7},
    {UINT64_C(0xd1b71758e219652b), UINT64_C(0xd3c36113404ea4a9), 10},
    {UINT64_C(0xa7c5ac471b478423), UINT64_C(0x0fcf80dc33721d54), 12},
    {UINT64_C(0x8637bd05af6c69b5), UINT64_C(0xa63f9a49c2c1b110), 14},
    {UINT64_C(0xd6bf94d5e57a42bc), UINT64_C(0x3d32907604691b4d), 17},
    {UINT64_C(0xabcc77118461cefc), UINT64_C(0xfdc20d2b36ba7c3e), 19},
    {UINT64_C(0x89705f4136b4a597), UINT64_C(0x31680a88f8953031), 21},
    {UINT64_C(0xdbe6fecebdedd5be), UINT64_C(0xb573440e5a884d1c), 24},
    {UINT64_C(0xafebff0bcb24aafe), UINT64_C(0xf78f69a51539d749), 26},
    {UINT64_C(0x8cbccc096f5088cb), UINT64_C(0xf93f87b7442e45d4), 28},
    {UINT64_C(0xe12e13424bb40e13), UINT64_C(0x2865a5f206b06fba), 31},
    {UINT64_C(0xb424dc35095cd80f), UINT64_C(0x538484c19ef38c95), 33},
    {UINT64_C(0x901d7cf73ab0acd9), UINT64_C(0x0f9d37014bf60a11), 35},
    {UINT64_C(0xe69594bec44de15b), UINT64_C(0x4c2ebe687989a9b4), 38},
    {UINT64_C(0xb877aa3236a4b449), UINT64_C(0x09befeb9fad487c3), 40},
    {UINT64_C(0x9392ee8e921d5d07), UINT64_C(0x3aff322e62439fd0), 42},
    {UINT64_C(0xec1e4a7db69561a5), UINT64_C(0x2b31e9e3d06c32e6), 45},
};

/*
 * mantissa / 10^digits by the reciprocal (Lemire): a quotient of 63 bits or more, and whether anything is left. A double
 * keeps 53 of them, so rounding it is rounding the quotient that goes on forever. What the reciprocal is too large by adds
 * less than 2^64 to a product whose part below the quotient has 128 bits; a true remainder there is at least 2^128 / 5^19,
 * more than 2^83, and as far from the next quotient: so `left`, its upper half, is 0 for none and none other, and the
 * quotient is right. What comes out is normal: >= 10^-19.
 */
static double divide_exactly(uint64_t mantissa, int digits) {
  int up = __builtin_clzll(mantissa), bits = reciprocal[digits - 1].bits;
  uint64_t whole = mantissa << up;
  mle_uwide product = (mle_uwide)whole * reciprocal[digits - 1].high + ((mle_uwide)whole * reciprocal[digits - 1].low >> 64);
  uint64_t quotient = (uint64_t)(product >> 64), left = (uint64_t)product;
  quotient = quotient >> 1 | (left > 0); /* signed, it converts without a branch; with nothing left, the last bit was 0 */
  union {
    uint64_t bits;
    double value;
  } power = {(uint64_t)(1023 + 2 - bits - up - digits) << 52};
  return (double)(int64_t)quotient * power.value;
}

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

/* The exponent after 'e'; its value is cut at a size that no double reaches. */
static const char *scan_exponent(const char *at, int *out) {
  bool minus = *at == '-';
  if (*at == '-' || *at == '+') at++;
  if (!is_digit(*at)) return NULL;
  int value = 0;
  for (; is_digit(*at); at++)
    if (value < 100000) value = value * 10 + (*at - '0');
  *out = minus ? -value : value;
  return at;
}

typedef struct decimal {
  int64_t mantissa; /* of the digits, as long as they fit */
  int exponent;
  bool fits, minus, whole;
} decimal;

#define FITTING_DIGITS 18 /* so many always fit 63 bits */

/* Digits after one another; what they come to is right where they are few. */
static const char *scan_digits(const char *at, uint64_t *sum) {
  for (unsigned digit; (digit = (unsigned)*at - '0') <= 9; at++) *sum = *sum * 10 + digit;
  return at;
}

/* The eight bytes at `at`, less '0' each. */
static inline uint64_t eight_at(const char *at) {
  uint64_t eight;
  memcpy(&eight, at, sizeof eight);
  return le64toh(eight) ^ MLE_EACH_BYTE('0');
}

static inline bool are_digits(uint64_t eight) { return (((eight + MLE_EACH_BYTE(0x80 - 10)) | eight) & MLE_EACH_BYTE(0x80)) == 0; }

/* Two digits of each second byte, then four of each fourth, then all. */
static inline uint64_t sum_eight(uint64_t x) {
  x = x * 10 + (x >> 8);
  x = (x & UINT64_C(0x00ff00ff00ff00ff)) * (1 + (UINT64_C(100) << 16)) >> 16;
  return (x & UINT64_C(0x0000ffff0000ffff)) * (1 + (UINT64_C(10000) << 32)) >> 32;
}

/* Digits that may be too many; `exponent_step` for each that was taken. */
static void sum_digits(const char *at, const char *end, decimal *d, int exponent_step) {
  for (; at < end; at++) {
    int digit = *at - '0';
    if (d->mantissa >= INT64_MAX / 10 && d->mantissa > (INT64_MAX - digit) / 10) d->fits = false;
    if (!d->fits) return;
    d->mantissa = d->mantissa * 10 + digit;
    d->exponent += exponent_step;
  }
}

/* JSON's grammar of a number; NULL when the text does not begin with one. */
static const char *scan_decimal(const char *at, decimal *d) {
  uint64_t sum = 0;
  if (*at == '-') d->minus = true, at++;
  if (!is_digit(*at) || (at[0] == '0' && is_digit(at[1]))) return NULL;
  const char *whole = at, *point = scan_digits(at, &sum), *part = point;
  at = point;
  if (*at == '.') {
    d->whole = false;
    part = at + 1;
    at = scan_digits(part, &sum);
    if (at == part) return NULL;
  }
  if (point - whole + at - part <= FITTING_DIGITS) {
    d->mantissa = (int64_t)sum;
    d->exponent = -(int)(at - part);
  } else {
    sum_digits(whole, point, d, 0);
    sum_digits(part, at, d, -1);
  }
  if (*at != 'e' && *at != 'E') return at;
  d->whole = false;
  int exponent = 0;
  at = scan_exponent(at + 1, &exponent);
  d->exponent += exponent;
  return at;
}

static const char *scan_literal(const char *at, mle_pull_value *out) {
  static const struct {
    const char *text;
    double value;
  } literals[] = {{"NaN", NAN}, {"Infinity", INFINITY}, {"-Infinity", -INFINITY}};
  for (size_t i = 0; i < sizeof literals / sizeof *literals; i++) {
    size_t len = strlen(literals[i].text);
    if (strncmp(at, literals[i].text, len) != 0) continue;
    *out = (mle_pull_value){.real = literals[i].value};
    return at + len;
  }
  return NULL;
}

/* Any number: one with an exponent, with many digits; or none. */
__attribute__((noinline)) static const char *scan_any(const char *at, const char *end, mle_pull_value *out) {
  decimal d = {.fits = true, .whole = true};
  const char *after = scan_decimal(at, &d);
  if (after == NULL || after > end) return scan_literal(at, out);
  out->is_whole = d.whole && d.fits;
  out->whole = d.minus ? -d.mantissa : d.mantissa;
  double size;
  if (d.fits && scale_exactly(d.mantissa, d.exponent, &size))
    out->real = d.minus ? -size : size;
  else if (d.fits && d.exponent < 0 && d.exponent >= -DIVIDED_DIGITS)
    out->real = d.minus ? -divide_exactly((uint64_t)d.mantissa, -d.exponent) : divide_exactly((uint64_t)d.mantissa, -d.exponent);
  else
    out->real = strtod(at, NULL);
  return after;
}

/* Of digits read, as few as fit; up to `point` they are whole. False for what is no number, or goes on. */
static inline bool is_plain(const char *whole, const char *point, const char *after, const char *end) {
  ptrdiff_t before = point - whole, behind = after == point ? 0 : after - point - 1;
  return before > 0 && (before == 1 || *whole != '0') && before + behind <= FITTING_DIGITS && after != point + 1 &&
         after <= end && (*after | 0x20) != 'e';
}

/* As repr() writes most doubles: at least eight digits behind `point`. Up to there they come to `sum`. */
__attribute__((noinline)) static const char *scan_long(const char *at, const char *point, uint64_t sum, const char *end,
                                                       mle_pull_value *out) {
  const char *after = point + 1;
  uint64_t eight;
  for (; end - after >= 8 && are_digits(eight = eight_at(after)); after += 8) sum = sum * 100000000 + sum_eight(eight);
  after = scan_digits(after, &sum);
  if (!is_plain(*at == '-' ? at + 1 : at, point, after, end)) return scan_any(at, end, out);
  int behind = (int)(after - point - 1);
  double size = sum <= EXACT_WHOLE ? (double)(int64_t)sum / power_of_ten[behind] : divide_exactly(sum, behind);
  *out = (mle_pull_value){.real = *at == '-' ? -size : size};
  return after;
}

/* Most are short. Calls others only as its last act, and so has no registers to save. */
const char *mle_number_scan(const char *at, const char *end, mle_pull_value *out) {
  uint64_t sum = 0;
  bool minus = *at == '-';
  const char *whole = minus ? at + 1 : at, *point = scan_digits(whole, &sum), *after = point;
  size_t behind = 0;
  if (*point == '.') {
    if (end - point > 8 && are_digits(eight_at(point + 1))) return scan_long(at, point, sum, end, out);
    after = scan_digits(point + 1, &sum);
    behind = (size_t)(after - point - 1);
  }
  if (!is_plain(whole, point, after, end) || sum > EXACT_WHOLE) return scan_any(at, end, out);
  double size = (double)(int64_t)sum / power_of_ten[behind];
  out->real = minus ? -size : size;
  out->whole = minus ? -(int64_t)sum : (int64_t)sum;
  out->is_whole = after == point;
  return after;
}

mle_status mle_pull_number(mle_pull *p, mle_pull_value *out, mle_error *err) {
  mle_pull_peek(p);
  const char *after = mle_number_scan(p->at, p->end, out);
  if (after == NULL) return fail_value(p, err, "a number", "expected a number");
  p->at = after;
  return MLE_OK;
}

/* ====== Passing over ====== */

static mle_status skip_scalar(mle_pull *p, mle_error *err) {
  mle_pull_slice text;
  mle_pull_value number;
  switch (mle_pull_peek(p)) {
    case '"': return mle_pull_string(p, &text, err);
    case 't': return mle_pull_word(p, "true", err);
    case 'f': return mle_pull_word(p, "false", err);
    case 'n': return mle_pull_word(p, "null", err);
    default: return mle_pull_number(p, &number, err);
  }
}

/* Opens brackets down to the first scalar or empty one; `closers` is the path of them. */
static mle_status skip_down(mle_pull *p, char *closers, int *depth, mle_error *err) {
  for (;;) {
    char c = mle_pull_peek(p);
    if (c != '{' && c != '[') return skip_scalar(p, err);
    if (*depth == MLE_PULL_DEPTH) return mle_pull_fail(p, err, "nested too deeply");
    char close = c == '{' ? '}' : ']';
    p->at++;
    if (!mle_pull_first(p, close)) return MLE_OK;
    closers[(*depth)++] = close;
    mle_pull_slice key;
    if (close == '}') MLE_TRY(mle_pull_key(p, &key, err));
  }
}

mle_status mle_pull_skip(mle_pull *p, mle_error *err) {
  char closers[MLE_PULL_DEPTH];
  int depth = 0;
  MLE_TRY(skip_down(p, closers, &depth, err));
  while (depth > 0) {
    bool more;
    mle_pull_slice key;
    MLE_TRY(mle_pull_next(p, closers[depth - 1], &more, err));
    if (!more) {
      depth--;
      continue;
    }
    if (closers[depth - 1] == '}') MLE_TRY(mle_pull_key(p, &key, err));
    MLE_TRY(skip_down(p, closers, &depth, err));
  }
  return MLE_OK;
}

/* ====== UTF-8 (RFC 3629) ====== */

/* Bytes of the character at `at`, 0 when it is none: overlong, a surrogate, beyond U+10FFFF. */
static size_t character_len(const unsigned char *at, size_t left) {
  unsigned char c = at[0];
  if (c < 0x80) return 1;
  size_t len = c >= 0xF0 ? 4 : c >= 0xE0 ? 3 : 2;
  if (c < 0xC2 || c > 0xF4 || len > left) return 0;
  for (size_t i = 1; i < len; i++)
    if ((at[i] & 0xC0) != 0x80) return 0;
  if (c == 0xE0 && at[1] < 0xA0) return 0;
  if (c == 0xED && at[1] > 0x9F) return 0;
  if (c == 0xF0 && at[1] < 0x90) return 0;
  if (c == 0xF4 && at[1] > 0x8F) return 0;
  return len;
}

/* Past what is ASCII, 32 bytes at a time, then 8. */
static const unsigned char *skip_ascii(const unsigned char *at, const unsigned char *end) {
  uint64_t w[4];
  for (; end - at >= 32; at += 32) {
    memcpy(w, at, sizeof w);
    if ((w[0] | w[1] | w[2] | w[3]) & MLE_EACH_BYTE(0x80)) break;
  }
  for (; end - at >= 8; at += 8) {
    memcpy(w, at, sizeof *w);
    if (w[0] & MLE_EACH_BYTE(0x80)) break;
  }
  return at;
}

bool mle_utf8_valid(const char *bytes, size_t len) {
  const unsigned char *at = (const unsigned char *)bytes, *end = at + len;
  while ((at = skip_ascii(at, end)) < end) {
    size_t step = character_len(at, (size_t)(end - at));
    if (step == 0) return false;
    at += step;
  }
  return true;
}
