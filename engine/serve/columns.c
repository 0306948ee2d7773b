#include "engine/serve/columns.h"

#include <string.h>

#include "engine/base/alloc.h"

mle_status mle_columns_init(mle_columns *columns, const mle_features *features, mle_error *err) {
  *columns = (mle_columns){.features = features, .round = 1};
  columns->seen = columns->few;
  if (features->count > MLE_COLUMNS_FEW) columns->seen = mle_calloc(features->count, sizeof *columns->seen);
  return columns->seen == NULL ? mle_nomem(err, "reading rows") : MLE_OK;
}

void mle_columns_release(mle_columns *columns) {
  if (columns->seen != columns->few) mle_free(columns->seen);
  mle_free(columns->own);
}

static mle_status push(mle_columns *columns, int feature, mle_error *err) {
  if (columns->num_order == columns->capacity) {
    size_t capacity = columns->capacity == 0 ? columns->features->count + 8 : columns->capacity * 2;
    int *order = mle_realloc_array(columns->own, capacity, sizeof *order);
    if (order == NULL) return mle_nomem(err, "reading columns");
    columns->order = columns->own = order;
    columns->capacity = capacity;
  }
  columns->own[columns->num_order++] = feature;
  return MLE_OK;
}

mle_status mle_columns_add(mle_columns *columns, mle_pull_slice name, mle_error *err) {
  columns->named = true;
  int feature = mle_features_find(columns->features, name, columns->num_order);
  if (feature >= 0) MLE_TRY(mle_columns_mark(columns, (size_t)feature, err));
  return push(columns, feature, err);
}

size_t mle_columns_recall(mle_columns *columns, const char *at, const char *end) {
  const mle_layout *layout = mle_layouts_find(columns->features->layouts, at, end);
  if (layout == NULL) return 0;
  columns->named = true;
  columns->order = layout->order;
  columns->num_order = layout->count;
  return layout->len;
}

void mle_columns_keep(const mle_columns *columns, const char *text, size_t len) {
  mle_layouts_keep(columns->features->layouts, text, len, columns->order, columns->num_order);
}

void mle_columns_begin(mle_columns *columns) { columns->round++; }

mle_status mle_columns_mark(mle_columns *columns, size_t feature, mle_error *err) {
  if (columns->seen[feature] == columns->round)
    return mle_fail(err, MLE_EINVAL, "column '%s' is there twice",
                    columns->features->list[feature].name);
  columns->seen[feature] = columns->round;
  return MLE_OK;
}

mle_status mle_columns_check(const mle_columns *columns, mle_error *err) {
  for (size_t i = 0; i < columns->features->count; i++)
    if (columns->seen[i] != columns->round)
      return mle_fail(err, MLE_EINVAL, "column '%s' is missing; the model takes %zu columns",
                      columns->features->list[i].name, columns->features->count);
  return MLE_OK;
}
