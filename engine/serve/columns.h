/*
 * columns.h -- which of a request's columns is which of the model's features.
 */
#ifndef MLE_COLUMNS_H
#define MLE_COLUMNS_H

#include "engine/serve/rows.h"

typedef struct mle_columns {
  const mle_features *features;
  int *order;      /* request's column to feature, -1: dropped */
  size_t num_order, capacity;
  bool named;      /* else rows go by position */
  uint32_t *seen;  /* per feature: the last `round` that set it */
  uint32_t round;
} mle_columns;

mle_status mle_columns_init(mle_columns *columns, const mle_features *features, mle_error *err);
void mle_columns_release(mle_columns *columns);

/* Appends the request's next column. EINVAL when it names a feature a second time. */
mle_status mle_columns_add(mle_columns *columns, mle_pull_slice name, mle_error *err);

/* All features are there: fails naming the first that is not. */
mle_status mle_columns_check(const mle_columns *columns, mle_error *err);

/* For records: begins a row; marks a feature as set in it; checks that all were. */
void mle_columns_begin(mle_columns *columns);
mle_status mle_columns_mark(mle_columns *columns, size_t feature, mle_error *err);

#endif
