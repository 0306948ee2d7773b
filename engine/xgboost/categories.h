/*
 * categories.h -- the dictionary of category names that a model carries.
 *
 * Internal to engine/xgboost. Layout, in "cats" beside the trees: enc[f] is
 * {offsets, values} for names (bytes of name i: values[offsets[i], offsets[i + 1])) or
 * {type, values} for numbers; feature_segments[f] counts the categories of the features before f;
 * sorted_idx holds for each feature the order of its categories.
 */
#ifndef MLE_XGBOOST_CATEGORIES_H
#define MLE_XGBOOST_CATEGORIES_H

#include "engine/xgboost/document.h"

typedef struct mle_category_names {
  size_t count;
  char **name; /* numbers as text */
} mle_category_names;

/* Verifies the dictionary and copies it, for each feature; NULL when there is none, or an empty one. */
mle_status mle_categories_read(const mle_node *cats, size_t num_features, mle_category_names **out,
                               mle_error *err);
void mle_categories_free(mle_category_names *names, size_t num_features); /* NULL is ignored */

#endif
