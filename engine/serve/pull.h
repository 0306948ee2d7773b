/*
 * pull.h -- JSON read value by value, straight out of the bytes, with no tree.
 *
 *     mle_pull p;
 *     mle_pull_init(&p, body, len);
 *     MLE_TRY(mle_pull_open(&p, '[', err));
 *     for (bool more = mle_pull_first(&p, ']'); more; ) {
 *       MLE_TRY(mle_pull_number(&p, &number, err));
 *       MLE_TRY(mle_pull_next(&p, ']', &more, err));
 *     }
 *     MLE_TRY(mle_pull_end(&p, err));
 *
 * Allocates nothing. Nesting is bounded by MLE_PULL_DEPTH, a text that holds
 * escapes by MLE_PULL_TEXT bytes. As Python's json, it takes the literals NaN,
 * Infinity and -Infinity as numbers; it is RFC 8259 in all else. The bytes must
 * have passed mle_utf8_valid and must be followed by a NUL.
 */
#ifndef MLE_PULL_H
#define MLE_PULL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/error.h"

#define MLE_PULL_DEPTH 32
#define MLE_PULL_TEXT 1024

typedef struct mle_pull {
  const char *start, *at, *end;
  char text[MLE_PULL_TEXT]; /* the last text that held escapes, decoded */
} mle_pull;

/* A text: points into the bytes, or into the reader until the next text is read. */
typedef struct mle_pull_slice {
  const char *data;
  size_t len;
} mle_pull_slice;

typedef struct mle_pull_value {
  double real;     /* NaN and infinities included */
  int64_t whole;   /* valid when is_whole */
  bool is_whole;   /* was written without point and exponent, and fits 64 bits */
} mle_pull_value;

void mle_pull_init(mle_pull *p, const char *bytes, size_t len);

/* The first byte of the value at hand: one of { [ " t f n N I - 0-9; NUL at the end. The NUL behind the bytes ends it. */
static inline char mle_pull_peek(mle_pull *p) {
  const char *at = p->at; /* not `p->at`: a char may be anything's, that pointer's too, so it would be read each time */
  while (*at == ' ' || *at == '\n' || *at == '\r' || *at == '\t') at++;
  p->at = at;
  return *at;
}

/* Enters an array or object; whether it has a first element; after one, whether another. */
mle_status mle_pull_open(mle_pull *p, char bracket, mle_error *err);
bool mle_pull_first(mle_pull *p, char close);
mle_status mle_pull_fail_next(const mle_pull *p, char close, mle_error *err);
static inline mle_status mle_pull_next(mle_pull *p, char close, bool *out_more, mle_error *err) {
  char c = mle_pull_peek(p);
  *out_more = c == ',';
  if (c != ',' && c != close) return mle_pull_fail_next(p, close, err);
  p->at++;
  return MLE_OK;
}

/* Of a value of another kind these say "byte 17 of the body: a list belongs here, not a number" (EINVAL). */

/* A member's name, and the colon after it. */
mle_status mle_pull_key(mle_pull *p, mle_pull_slice *out, mle_error *err);

mle_status mle_pull_string(mle_pull *p, mle_pull_slice *out, mle_error *err);
mle_status mle_pull_number(mle_pull *p, mle_pull_value *out, mle_error *err);
mle_status mle_pull_word(mle_pull *p, const char *word, mle_error *err); /* true, false, null */

/* Passes over one value of any kind, checking its form. */
mle_status mle_pull_skip(mle_pull *p, mle_error *err);

/* Nothing but white space may follow. */
mle_status mle_pull_end(mle_pull *p, mle_error *err);

/* "the body is no JSON at byte 17: expected ','" */
mle_status mle_pull_fail(const mle_pull *p, mle_error *err, const char *what);

bool mle_pull_is(mle_pull_slice text, const char *word);

/* A number as text, up to the first byte that cannot belong to one; also for CSV. */
const char *mle_number_scan(const char *at, const char *end, mle_pull_value *out);

bool mle_utf8_valid(const char *bytes, size_t len);

#endif
