/*
 * model.h -- an XGBoost model, read strictly from its UBJSON or JSON.
 *
 *     mle_model *model;
 *     MLE_TRY(mle_model_parse(bytes, len, &model, err));
 *     predictor.h scores rows with it
 *     mle_model_free(model);
 *
 * XGBoost's own loader can be crashed by the bytes it reads; this reader refuses
 * whatever is not a forest (every length, index, child and category checked), so it
 * runs first wherever a model comes in. All boosters (gbtree, dart, gblinear), written by
 * XGBoost 1.0 to 3.x; vector leaves and unknown objectives are refused by name.
 *
 * A model is constant once read: any number of threads may use it.
 */
#ifndef MLE_XGBOOST_MODEL_H
#define MLE_XGBOOST_MODEL_H

#include <stddef.h>

#include "engine/base/error.h"

typedef struct mle_model mle_model;

/* The bytes are not needed afterwards. */
mle_status mle_model_parse(const void *bytes, size_t len, mle_model **out, mle_error *err);

/* Reads the file, at most 1 GiB. */
mle_status mle_model_read(const char *path, mle_model **out, mle_error *err);

void mle_model_free(mle_model *model); /* NULL is ignored */

size_t mle_model_num_features(const mle_model *model);
const char *mle_model_objective(const mle_model *model);

/* Margins a row has: classes, targets or quantiles; 1 for most objectives. */
size_t mle_model_num_outputs(const mle_model *model);

size_t mle_model_num_trees(const mle_model *model);
size_t mle_model_num_rounds(const mle_model *model);

/* Forgets the rounds behind the first `rounds`. Before others use the model. */
void mle_model_keep_rounds(mle_model *model, size_t rounds);

/* Forgets all rounds but [begin, end), as iteration_range of Python. EINVAL when there are no such. */
mle_status mle_model_keep_range(mle_model *model, size_t begin, size_t end, mle_error *err);

/* A feature's categories in the order of their codes; 0 when it has none, or the model
 * carries no names. Names that are numbers come as text. */
size_t mle_model_num_categories(const mle_model *model, size_t feature);
const char *mle_model_category(const mle_model *model, size_t feature, size_t index);

/* NULL when the model was trained without. Types are "float", "int", "i" (bool), "q", "c". */
const char *mle_model_feature_name(const mle_model *model, size_t index);
const char *mle_model_feature_type(const mle_model *model, size_t index);

/* A text the trainer left, such as "best_iteration"; NULL when absent. */
const char *mle_model_attribute(const mle_model *model, const char *name);

/* 3, 2 for a model of XGBoost 3.2. */
void mle_model_version(const mle_model *model, int *out_major, int *out_minor);

#endif
