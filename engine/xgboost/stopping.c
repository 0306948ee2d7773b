#include "engine/xgboost/stopping.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ZEROS "0000000000000000"

mle_stopping mle_stopping_begin(int patience, bool maximize) {
  return (mle_stopping){.patience = patience, .maximize = maximize, .best_round = -1};
}

bool mle_stopping_update(mle_stopping *s, int round, double score) {
  bool better = s->maximize ? score - s->min_delta > s->best_score
                            : s->best_score - s->min_delta > score;
  if (s->best_round < 0 || better) {
    s->best_round = round;
    s->best_score = score;
    s->since = 0;
  } else {
    s->since++;
  }
  return s->patience > 0 && s->since >= s->patience;
}

bool mle_stopping_maximizes(const char *metric) {
  static const char *const prefixes[] = {"auc", "pre", "map", "ndcg"};
  if (strcmp(metric, "mape") == 0) return false;
  for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++)
    if (strncmp(metric, prefixes[i], strlen(prefixes[i])) == 0) return true;
  return false;
}

/* "-1.25e-07" to its sign, digits ("125") and exponent (-7). */
static int split_digits(const char *text, char digits[20]) {
  const char *e = strchr(text, 'e');
  size_t len = 0;
  for (const char *c = text; c < e; c++)
    if (*c >= '0' && *c <= '9') digits[len++] = *c;
  while (len > 1 && digits[len - 1] == '0') len--;
  digits[len] = '\0';
  return atoi(e + 1);
}

/* Python writes plain digits for exponents from -4 to 15, else the form with e. */
static void lay_out(const char *sign, const char *digits, int exponent, char out[MLE_REPR_TEXT]) {
  int len = (int)strlen(digits);
  if (exponent < -4 || exponent > 15)
    snprintf(out, MLE_REPR_TEXT, "%s%c%s%se%c%02d", sign, digits[0], len > 1 ? "." : "",
             digits + 1, exponent < 0 ? '-' : '+', abs(exponent));
  else if (exponent < 0)
    snprintf(out, MLE_REPR_TEXT, "%s0.%.*s%s", sign, -exponent - 1, ZEROS, digits);
  else if (len <= exponent + 1)
    snprintf(out, MLE_REPR_TEXT, "%s%s%.*s.0", sign, digits, exponent + 1 - len, ZEROS);
  else
    snprintf(out, MLE_REPR_TEXT, "%s%.*s.%s", sign, exponent + 1, digits, digits + exponent + 1);
}

char *mle_python_repr(double value, char out[MLE_REPR_TEXT]) {
  char text[40], digits[20];
  if (!isfinite(value)) {
    snprintf(out, MLE_REPR_TEXT, "%s", isnan(value) ? "nan" : value < 0 ? "-inf" : "inf");
    return out;
  }
  for (int precision = 0; precision <= 16; precision++) {
    snprintf(text, sizeof text, "%.*e", precision, value);
    if (strtod(text, NULL) == value) break;
  }
  int exponent = split_digits(text, digits);
  lay_out(signbit(value) ? "-" : "", digits, exponent, out);
  return out;
}
