/*
 * constant.h -- a constant of a condition as a value of the column beside it; internal to condition.c.
 */
#ifndef MLE_ICEBERG_CONSTANT_H
#define MLE_ICEBERG_CONSTANT_H

#include "engine/iceberg/literal.h"

/* What the constant is in the column's type. Not exact: it lies between low and high. */
typedef struct mle_constant {
  bool exact;
  mle_literal low, high; /* NONE: the comparison cannot be told from metadata */
} mle_constant;

/* Whether a node of DuckDB's tree is a constant, or a cast of one. */
bool mle_constant_is(const mle_json_at *node);

mle_status mle_constant_read(const mle_json_at *node, const mle_type *type, mle_arena *arena,
                             mle_constant *out, mle_error *err);

#endif
