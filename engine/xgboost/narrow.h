/*
 * narrow.h -- values as XGBoost computes with them: float32, or integers of up to 16 bits.
 *
 * Internal to engine/xgboost.
 */
#ifndef MLE_XGBOOST_NARROW_H
#define MLE_XGBOOST_NARROW_H

#include <stdbool.h>

#include "engine/frame/stream.h"
#include "engine/xgboost/spool.h"

/* The kind that values of `kind` are kept as. */
mle_kind mle_narrow_kind(mle_kind kind);
bool mle_narrow_is_whole(mle_kind kind);

/* Copies rows [first, first + rows) into `out`, counting into `facts` what valid ones lose. */
void mle_narrow_values(const mle_column *from, size_t first, size_t rows, void *out,
                       mle_spool_facts *facts);

/* Copies validity bits to bit `at` of `out`, whose bits from there on are 0; returns the nulls. */
size_t mle_narrow_bits(const uint64_t *valid, size_t first, size_t rows, uint64_t *out, size_t at);

/* Row `row` of a column as a float; NAN for null. */
float mle_narrow_value(const mle_column *column, size_t row);

#endif
