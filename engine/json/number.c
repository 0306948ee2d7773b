#include "engine/json/json.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ====== Numbers as text ====== */

/*
 * What printf and strtod find by trying, for the values that scores are: float32, in the range that %g writes
 * without an exponent, all in whole numbers. With value = m * 2^e, value * 10^p = m * 5^p * 2^(e+p) has 17 digits
 * before its point (m < 2^24 and p <= 20, so m * 5^p < 2^71); kept are `whole` and, in units of 2^-shift, `rest`.
 */
__extension__ typedef unsigned __int128 wide;
__extension__ typedef __int128 signed_wide;

typedef struct exact {
  uint64_t whole, rest;
  uint64_t half_ulp; /* of the type read back, in units of 2^-(shift + finer) */
  int shift, finer;
} exact;

#define DIGITS 17
#define MANTISSA_BITS 24

static const uint64_t ten[] = {1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000, UINT64_C(1000000000),
                               UINT64_C(10000000000), UINT64_C(100000000000)};

/* Of the first digit, for 10^-4 <= value < 10^9. No negative power is a float32: each is on the right side. */
static int power_of(double value) {
  static const double powers[] = {1e-3, 1e-2, 1e-1, 1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8};
  int power = -4;
  for (size_t i = 0; i < sizeof powers / sizeof *powers && value >= powers[i]; i++) power++;
  return power;
}

static exact make_exact(uint64_t m, int e, int power, int finer) {
  uint64_t five = 1;
  int p = DIGITS - 1 - power;
  for (int i = 0; i < p; i++) five *= 5;
  wide scaled = (wide)m * five;
  if (e + p >= 0) return (exact){(uint64_t)(scaled << (e + p)), 0, five << (e + p), 0, finer};
  int shift = -(e + p);
  return (exact){(uint64_t)(scaled >> shift), (uint64_t)scaled & ((UINT64_C(1) << shift) - 1), five, shift, finer};
}

/* Without its last `dropped` digits, to the nearest, a tie to the even one, as printf does. */
static uint64_t rounded(const exact *x, int dropped) {
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
static bool reads_back(const exact *x, uint64_t kept, int dropped) {
  int64_t whole = (int64_t)(kept * ten[dropped] - x->whole);
  signed_wide apart = (signed_wide)whole * ((signed_wide)1 << x->shift) - x->rest;
  return (wide)(apart < 0 ? -apart : apart) << x->finer <= x->half_ulp;
}

static void put_digits(uint64_t kept, int count, int power, char *out) {
  char digits[DIGITS + 1];
  for (int i = count - 1; i >= 0; i--, kept /= 10) digits[i] = (char)('0' + kept % 10);
  while (count > 1 && digits[count - 1] == '0') count--;
  if (power < 0) {
    memcpy(out, "0.000", 5);
    memcpy(out + 1 - power, digits, (size_t)count);
    out[1 - power + count] = '\0';
    return;
  }
  int before = power + 1;
  for (int i = 0; i < before; i++) out[i] = i < count ? digits[i] : '0';
  out[before] = '\0';
  if (count <= before) return;
  out[before] = '.';
  memcpy(out + before + 1, digits + before, (size_t)(count - before));
  out[count + 1] = '\0';
}

/* The first of %.FIRSTg to %.LASTg that reads back; false when it is not one of those values. `finer`: by how many bits
 * half a unit of the type's last place is below a float32's last place. */
static bool put_float(float value, int first, int last, int finer, char *out) {
  double size = fabs((double)value);
  int e;
  if (!(size >= 1e-4 && size < 1e9)) return false;
  uint64_t m = (uint64_t)ldexp(frexp(size, &e), MANTISSA_BITS);
  int power = power_of(size);
  if (m == UINT64_C(1) << (MANTISSA_BITS - 1) || power >= first) return false; /* nearer to the neighbour below it */
  exact x = make_exact(m, e - MANTISSA_BITS, power, finer);
  int digits = first;
  uint64_t kept = rounded(&x, DIGITS - digits);
  while (digits < last && !reads_back(&x, kept, DIGITS - digits)) kept = rounded(&x, DIGITS - ++digits);
  uint64_t limit = 1;
  for (int i = 0; i < digits; i++) limit *= 10;
  if (kept == limit) return false; /* a digit more: 9.99... */
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
