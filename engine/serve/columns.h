/*
 * columns.h -- which of a request's columns is which of the model's features.
 */
#ifndef MLE_COLUMNS_H
#define MLE_COLUMNS_H

#include "engine/serve/rows.h"

#define MLE_COLUMNS_FEW 32

/* Points into itself: not to be copied. */
typedef struct mle_columns {
  const mle_features *features;
  const int *order; /* request's column to feature, -1: dropped */
  int *own;         /* `order` where it was read, not remembered */
  size_t num_order, capacity;
  bool named;      /* else rows go by position */
  uint32_t *seen;  /* per feature: the last `round` that set it */
  uint32_t round;
  uint32_t few[MLE_COLUMNS_FEW]; /* `seen` of a smaller model */
} mle_columns;

mle_status mle_columns_init(mle_columns *columns, const mle_features *features, mle_error *err);
void mle_columns_release(mle_columns *columns);

/* Appends the request's next column. EINVAL when it names a feature a second time. */
mle_status mle_columns_add(mle_columns *columns, mle_pull_slice name, mle_error *err);

/* For a list of names, all of which are there: the text at `at` begins with one that was kept before. Its length, or 0. */
size_t mle_columns_recall(mle_columns *columns, const char *at, const char *end);
void mle_columns_keep(const mle_columns *columns, const char *text, size_t len);

/* All features are there: fails naming the first that is not. */
mle_status mle_columns_check(const mle_columns *columns, mle_error *err);

/* For records: begins a row; marks a feature as set in it; checks that all were. */
void mle_columns_begin(mle_columns *columns);
mle_status mle_columns_mark(mle_columns *columns, size_t feature, mle_error *err);

#endif
