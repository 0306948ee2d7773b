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

/* Verifies the dictionary; NULL, or an empty one, is fine. */
mle_status mle_categories_check(const mle_node *cats, size_t num_features, mle_error *err);

#endif
