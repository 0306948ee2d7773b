/*
 * matrix.h -- a set of rows as XGBoost trains on it: a DMatrix of one of its kinds.
 *
 *     const mle_matrix_field fields[] = {{"label", "fraud_trx", 1}, {"weight", "w", 1}};
 *     mle_matrix_options options = {.num_features = 14, .names = names, .types = types,
 *                                   .fields = fields, .num_fields = 2};
 *     mle_matrix *train, *test;
 *     MLE_GO(mle_matrix_read(train_stream, &options, &train, err));
 *     options.ref = train;
 *     MLE_GO(mle_matrix_read(test_stream, &options, &test, err));
 *
 * The stream's columns are the features in order, then those of the fields in order. Nulls
 * and NaN are missing; a feature with a dictionary comes as codes. The stream is read once; the
 * rows are kept (spool.h) until the matrix is built. Use on one thread, the booster's.
 */
#ifndef MLE_XGBOOST_MATRIX_H
#define MLE_XGBOOST_MATRIX_H

#include <stdbool.h>

#include "engine/frame/stream.h"
#include "engine/xgboost/interface.h"
#include "engine/xgboost/label.h"
#include "engine/xgboost/spool.h"

typedef struct mle_matrix mle_matrix;

/* What a row has besides its features. */
typedef struct mle_matrix_field {
  const char *field; /* XGBoost's: "label", "weight", "base_margin", "label_lower_bound",
                      * "label_upper_bound"; "group": not 0 where a group of rows begins */
  const char *name;  /* of the column, or of the first, for messages */
  size_t width;      /* columns it has */
} mle_matrix_field;

typedef enum mle_matrix_kind {
  MLE_MATRIX_QUANTILE, /* bins in memory, 1 byte a value when dense */
  MLE_MATRIX_EXTERNAL, /* bins in files */
  MLE_MATRIX_PLAIN     /* floats in memory, for the methods that need them */
} mle_matrix_kind;

typedef struct mle_matrix_options {
  const char *what;         /* "dtrain", "evals.test": for messages */
  mle_matrix_kind kind;
  size_t num_features;
  const char **names;       /* num_features each; not changed, though the C API says so */
  const char **types;       /* "float", "int", "i" (bool), "c" */
  const mle_dictionary *dictionaries; /* of each feature; NULL: there are no categories */
  const float *feature_weights;       /* of each feature, for colsample; or NULL */
  const mle_matrix_field *fields;
  size_t num_fields;
  mle_label label;          /* what must hold of "label"; its name is not looked at */
  int max_bin;              /* 0: XGBoost's 256; the booster must have the same */
  int num_threads;          /* 0: one per processor */
  const mle_matrix *ref;    /* of a validation set: the training set, whose bins it takes */
  size_t memory_max;        /* bytes that rows and bins may take; 0: as many as there are */
  mle_spool_options spool;
} mle_matrix_options;

mle_status mle_matrix_read(mle_stream *stream, const mle_matrix_options *options, mle_matrix **out,
                           mle_error *err);
mle_matrix *mle_matrix_ref(mle_matrix *matrix); /* one more holder; returns it */
void mle_matrix_free(mle_matrix *matrix);       /* one holder less; NULL is ignored */

size_t mle_matrix_rows(const mle_matrix *matrix);

/* About what its bins take in memory, and each booster that trains on it. */
void mle_matrix_memory(const mle_matrix *matrix, size_t *out_bins, size_t *out_booster);

size_t mle_matrix_groups(const mle_matrix *matrix);                  /* 0: there are none */
size_t mle_matrix_missing(const mle_matrix *matrix, size_t feature); /* rows without a value */

/* The library's DMatrixHandle, for this folder. */
void *mle_matrix_handle(const mle_matrix *matrix);

#endif
