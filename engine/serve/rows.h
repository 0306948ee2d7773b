/*
 * rows.h -- what a model takes, and rows of it, as requests bring them.
 *
 *     float *row;
 *     MLE_TRY(mle_rows_add(&rows, &row, err));          all values missing (NaN)
 *     int i = mle_features_find(&features, "amount", 6, hint);
 *     MLE_TRY(mle_feature_set_number(&features.list[i], &number, where, &row[i], err));
 *
 * Values become float32 the way mlflow.pyfunc makes them from the declared type:
 * through a double for "double", cut to a whole number for "long" and "integer".
 */
#ifndef MLE_ROWS_H
#define MLE_ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/serve/layout.h"
#include "engine/base/error.h"
#include "engine/serve/pull.h"

/* ====== Features ====== */

/* MLflow's column types, as far as models take them. */
typedef enum mle_feature_type {
  MLE_FEATURE_DOUBLE,
  MLE_FEATURE_FLOAT,
  MLE_FEATURE_LONG,
  MLE_FEATURE_INTEGER,
  MLE_FEATURE_BOOLEAN,
  MLE_FEATURE_STRING /* one of the model's categories; another text is a missing value */
} mle_feature_type;

typedef struct mle_feature {
  char *name; /* "f0", "f1", ... when the model has no names */
  mle_feature_type type;
  const char *const *category; /* of a STRING: names in the order of their codes */
  size_t num_categories;
} mle_feature;

typedef struct mle_features {
  mle_feature *list;
  size_t count;
  bool named;
  uint32_t *index; /* name to position + 1, open addressing; 0: free */
  size_t mask;
  mle_layouts *layouts; /* what requests called them, as text */
} mle_features;

mle_status mle_features_init(mle_features *features, size_t count, mle_error *err);
void mle_features_release(mle_features *features);

mle_status mle_feature_name(mle_features *features, size_t i, const char *name, mle_error *err);

/* Reads MLflow's word for a type; false for one that is no number. */
bool mle_feature_type_parse(const char *word, mle_feature_type *out);
const char *mle_feature_type_name(mle_feature_type type);

/* Builds the index once all names are set; EFORMAT when one stands twice. */
mle_status mle_features_index(mle_features *features, mle_error *err);

/* Position of a name, -1 when it is none of them. `hint` is where it probably is. */
int mle_features_find(const mle_features *features, mle_pull_slice name, size_t hint);

/* ====== Values ====== */

/* Each converts by the feature's type, or fails naming the column and the row. */
mle_status mle_feature_set_number(const mle_feature *feature, const mle_pull_value *value,
                                  size_t row, float *out, mle_error *err);
mle_status mle_feature_set_bool(const mle_feature *feature, bool value, size_t row, float *out,
                                mle_error *err);
mle_status mle_feature_set_text(const mle_feature *feature, mle_pull_slice text, size_t row,
                                float *out, mle_error *err);
mle_status mle_feature_set_null(const mle_feature *feature, size_t row, float *out,
                                mle_error *err);

/* Reads the JSON value at hand into a feature; a text, array or object is refused. */
mle_status mle_feature_pull(const mle_feature *feature, mle_pull *p, size_t row, float *out,
                            mle_error *err);

/* ====== Rows ====== */

#define MLE_ROWS_MAX 1000000

typedef struct mle_rows {
  float *values; /* row after row; NaN is missing */
  size_t count, columns, capacity;
} mle_rows;

void mle_rows_init(mle_rows *rows, size_t columns);
void mle_rows_release(mle_rows *rows);

/* Appends a row of missing values. Earlier row pointers become invalid. */
mle_status mle_rows_add(mle_rows *rows, float **out, mle_error *err);

/* Makes exactly `count` rows of missing values. */
mle_status mle_rows_resize(mle_rows *rows, size_t count, mle_error *err);

#endif
