/*
 * literal.h -- one value of a column in a form that can be compared.
 *
 * Made from bounds (Appendix D), from partition values, and from the constants of a
 * condition. Dates are days, times microseconds, timestamps micro- or nanoseconds.
 */
#ifndef MLE_ICEBERG_LITERAL_H
#define MLE_ICEBERG_LITERAL_H

#include "engine/base/wide.h"
#include "engine/iceberg/avro.h"
#include "engine/iceberg/types.h"

typedef enum mle_literal_kind {
  MLE_LITERAL_NONE,  /* nothing that can be compared */
  MLE_LITERAL_WHOLE, /* integers, booleans, dates, times, unscaled decimals */
  MLE_LITERAL_REAL,
  MLE_LITERAL_BYTES  /* texts in UTF-8, binaries, uuids */
} mle_literal_kind;

typedef struct mle_literal {
  mle_literal_kind kind;
  mle_wide whole;
  double real;
  mle_bytes bytes;
} mle_literal;

/* NONE for null, NaN, and bytes that are no value of the type. Widths are what they are: an int
 * that was promoted to long has 4 bytes, a date that became a timestamp too. */
mle_literal mle_literal_from_bytes(const mle_type *type, mle_bytes bytes);
mle_literal mle_literal_from_datum(const mle_type *type, const mle_datum *datum);

/* Below, at or above 0; both of one kind, neither NONE. */
int mle_literal_compare(const mle_literal *a, const mle_literal *b);

#endif
