#include "engine/json/number.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/json/json.h"

#define SAFE_DIGITS 15 /* every integer of so many digits is exact in a double */
#define DEPTH_MAX 200

/* Returns the end of the string that begins at `at`, or `len` when it never ends. */
static size_t string_end(const char *text, size_t len, size_t at) {
  for (at++; at < len && text[at] != '"'; at++)
    if (text[at] == '\\') at++;
  return at < len ? at + 1 : len;
}

static size_t number_end(const char *text, size_t len, size_t at) {
  while (at < len && (isalnum((unsigned char)text[at]) || strchr("+-.", text[at]) != NULL)) at++;
  return at;
}

/* A whole number that a double may not hold. */
static bool is_long_integer(const char *number, size_t len) {
  size_t start = len > 0 && number[0] == '-' ? 1 : 0;
  if (len - start <= SAFE_DIGITS || len - start > 19) return false;
  for (size_t i = start; i < len; i++)
    if (!isdigit((unsigned char)number[i])) return false;
  return true;
}

/* Nothing but the integers is changed: what lies between two of them is copied as one. */
mle_status mle_json_quote_integers(const char *text, size_t len, mle_buffer *out, mle_error *err) {
  int depth = 0;
  size_t copied = 0;
  for (size_t at = 0, end; at < len; at = end) {
    char c = text[at];
    end = at + 1;
    if (c == '"') {
      end = string_end(text, len, at);
      if (at + 1 < len && text[at + 1] == MLE_JSON_INTEGER_MARK)
        return mle_fail(err, MLE_EFORMAT, "byte %zu: a string may not begin with U+007F", at);
    } else if (c == '-' || isdigit((unsigned char)c)) {
      end = number_end(text, len, at + 1);
      if (!is_long_integer(text + at, end - at)) continue;
      MLE_TRY(mle_buffer_append(out, text + copied, at - copied, err));
      MLE_TRY(mle_buffer_append(out, "\"\x7f", 2, err));
      MLE_TRY(mle_buffer_append(out, text + at, end - at, err));
      MLE_TRY(mle_buffer_append(out, "\"", 1, err));
      copied = end;
    } else if (c == '[' || c == '{') {
      if (++depth > DEPTH_MAX)
        return mle_fail(err, MLE_EFORMAT, "byte %zu: nested more than %d levels", at, DEPTH_MAX);
    } else if (c == ']' || c == '}') {
      depth--;
    }
  }
  return mle_buffer_append(out, text + copied, len - copied, err);
}

char *mle_double_text(double value, char out[MLE_NUMBER_TEXT]) {
  for (int digits = 15; digits <= 17; digits++) {
    snprintf(out, MLE_NUMBER_TEXT, "%.*g", digits, value);
    if (strtod(out, NULL) == value) break;
  }
  return out;
}

char *mle_float_text(float value, char out[MLE_NUMBER_TEXT]) {
  for (int digits = 6; digits <= 9; digits++) {
    snprintf(out, MLE_NUMBER_TEXT, "%.*g", digits, (double)value);
    if (strtof(out, NULL) == value) break;
  }
  return out;
}
