#include "engine/json/json.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ====== Numbers as text ====== */

/*
 * What printf and strtod find by trying, for the values that scores are: float32 from 10^-11 to 10^9, all in whole
 * numbers. With value = m * 2^e, value * 10^p = m * 5^p * 2^(e+p) has 17 digits before its point (m < 2^24 and p <= 27,
 * so 5^p < 2^63, m * 5^p < 2^87); kept are `whole` and, in units of 2^-shift, `rest`.
 */
__extension__ typedef unsigned __int128 wide;
__extension__ typedef __int128 signed_wide;

typedef struct exact {
  uint64_t whole, rest;
  uint64_t half_ulp; /* of the type read back, in units of 2^-(shift + finer) */
  int shift, finer;
  bool is_power;     /* of two: the next value below it is half as far */
} exact;

#define DIGITS 17
#define MANTISSA_BITS 24
#define LEAST_POWER (-11)

static const uint64_t ten[] = {1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000, UINT64_C(1000000000),
                               UINT64_C(10000000000), UINT64_C(100000000000), UINT64_C(1000000000000),
                               UINT64_C(10000000000000), UINT64_C(100000000000000), UINT64_C(1000000000000000),
                               UINT64_C(10000000000000000), UINT64_C(100000000000000000)};

/* Of the first digit, for values below 2^top and not below 2^(top-1). No negative power of ten is a float32: each is on
 * the right side of the double next to it. */
static int power_of(double value, int top) {
  static const double powers[] = {1e-11, 1e-10, 1e-9, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1,
                                  1,     1e1,   1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9};
  int at = (top * 1233 + 12 * 4096) / 4096 - 1; /* log10(2) is 1233 / 4096; 12 keeps it positive */
  return at + LEAST_POWER - (at > 0 && value < powers[at]);
}

/* 10^p without its factors of two. */
static uint64_t five_to(int p) {
  int most = DIGITS < p ? DIGITS : p, more = p - most;
  return (ten[most] >> most) * (ten[more] >> more);
}

static exact make_exact(uint64_t m, int e, int power, int finer) {
  int p = DIGITS - 1 - power;
  uint64_t five = five_to(p);
  wide scaled = (wide)m * five;
  exact x = {.finer = finer, .is_power = m == UINT64_C(1) << (MANTISSA_BITS - 1)};
  if (e + p >= 0) {
    x.whole = (uint64_t)(scaled << (e + p));
    x.half_ulp = five << (e + p);
    return x;
  }
  x.shift = -(e + p);
  x.whole = (uint64_t)(scaled >> x.shift);
  x.rest = (uint64_t)scaled & ((UINT64_C(1) << x.shift) - 1);
  x.half_ulp = five;
  return x;
}

/* Without its last `dropped` digits, to the nearest, a tie to the even one, as printf does. */
static inline uint64_t rounded(const exact *x, int dropped) {
  uint64_t unit = ten[dropped], kept = x->whole / unit, left = x->whole % unit;
  uint64_t half = dropped > 0 ? unit / 2 : 0, more = x->rest;
  if (dropped == 0) { /* what is left is a part of one */
    half = x->shift > 0 ? UINT64_C(1) << (x->shift - 1) : 1;
    left = more;
    more = 0;
  }
  return kept + (left > half || (left == half && (more > 0 || kept % 2 == 1)));
}

/* Whether these digits read back as the value. A tie does: its mantissa is even. */
static inline bool reads_back(const exact *x, uint64_t kept, int dropped) {
  int64_t whole = (int64_t)(kept * ten[dropped] - x->whole);
  signed_wide apart = (signed_wide)whole * ((signed_wide)1 << x->shift) - x->rest;
  int finer = x->finer + (apart < 0 && x->is_power);
  return (wide)(apart < 0 ? -apart : apart) << finer <= x->half_ulp;
}

static void put_pairs(uint32_t number, int count, char *out) {
  static const char pairs[] = "00010203040506070809101112131415161718192021222324252627282930313233343536373839404142434445464748"
                              "49505152535455565758596061626364656667686970717273747576777879808182838485868788899091929394959697"
                              "9899";
  for (; count >= 2; number /= 100) {
    count -= 2;
    memcpy(out + count, pairs + number % 100 * 2, 2);
  }
  if (count > 0) *out = (char)('0' + number);
}

/* As printf's %g: an exponent below 10^-4. */
static void put_digits(uint64_t kept, int count, int power, char *out) {
  char digits[DIGITS + 1];
  int low = count > 8 ? 8 : 0; /* apart, so that neither half waits for the other's division */
  put_pairs((uint32_t)(low > 0 ? kept / ten[8] : kept), count - low, digits);
  if (low > 0) put_pairs((uint32_t)(kept % ten[8]), low, digits + count - low);
  while (count > 1 && digits[count - 1] == '0') count--;
  if (power < 0 && power >= -4) {
    memcpy(out, "0.000", 5);
    memcpy(out + 1 - power, digits, (size_t)count);
    out[1 - power + count] = '\0';
    return;
  }
  int before = power < 0 ? 1 : power + 1;
  for (int i = 0; i < before; i++) *out++ = i < count ? digits[i] : '0';
  if (count > before) {
    *out++ = '.';
    memcpy(out, digits + before, (size_t)(count - before));
    out += count - before;
  }
  if (power < 0) {
    memcpy(out, "e-", 2);
    put_pairs((uint32_t)-power, 2, out + 2);
    out += 4;
  }
  *out = '\0';
}

/* The first of %.FIRSTg to %.LASTg that reads back; false when it is not one of those values. `finer`: by how many bits
 * half a unit of the type's last place is below a float32's last place. */
static bool put_float(float value, int first, int last, int finer, char *out) {
  double size = fabs((double)value);
  uint32_t bits;
  if (size == 0) {
    strcpy(out, signbit(value) ? "-0" : "0");
    return true;
  }
  if (!(size >= 1e-11 && size < 1e9)) return false;
  memcpy(&bits, &value, sizeof bits);
  uint64_t m = (bits & 0x7FFFFF) | 0x800000;
  int top = (int)(bits >> 23 & 0xFF) - 126, power = power_of(size, top);
  if (power >= first) return false;
  exact x = make_exact(m, top - MANTISSA_BITS, power, finer);
  int digits = first;
  uint64_t kept = rounded(&x, DIGITS - digits);
  while (digits < last && !reads_back(&x, kept, DIGITS - digits)) kept = rounded(&x, DIGITS - ++digits);
  if (kept == ten[digits]) return false; /* a digit more: 9.99... */
  if (value < 0) *out++ = '-';
  put_digits(kept, digits, power, out);
  return true;
}

char *mle_double_text(double value, char out[MLE_NUMBER_TEXT]) {
  if ((double)(float)value == value && put_float((float)value, 15, 17, 30, out)) return out;
  for (int digits = 15; digits <= 17; digits++) {
    snprintf(out, MLE_NUMBER_TEXT, "%.*g", digits, value);
    if (strtod(out, NULL) == value) break;
  }
  return out;
}

char *mle_float_text(float value, char out[MLE_NUMBER_TEXT]) {
  if (put_float(value, 6, 9, 1, out)) return out;
  for (int digits = 6; digits <= 9; digits++) {
    snprintf(out, MLE_NUMBER_TEXT, "%.*g", digits, (double)value);
    if (strtof(out, NULL) == value) break;
  }
  return out;
}
