/*
 * forest.h -- all trees of a model in one array, as the predictor walks them.
 *
 * A node's children lie at `left` and `right` of the same array; `left` is 0 in a
 * leaf (no node has the first root as its child). Internal to engine/xgboost.
 */
#ifndef MLE_XGBOOST_FOREST_H
#define MLE_XGBOOST_FOREST_H

#include <stddef.h>
#include <stdint.h>

#include "engine/base/error.h"
#include "engine/xgboost/document.h"

#define MLE_SPLIT_FEATURE UINT32_C(0x3fffffff)
#define MLE_SPLIT_CATEGORICAL UINT32_C(0x40000000)
#define MLE_SPLIT_DEFAULT_LEFT UINT32_C(0x80000000)

typedef struct mle_forest_node {
  uint32_t left, right;
  uint32_t split; /* feature and flags, see above */
  union {
    float value;  /* a leaf's value, else the threshold: less goes left */
    uint32_t set; /* categorical: the categories that go right */
  } as;
} mle_forest_node;

/* A set of categories: bits in `word`. */
typedef struct mle_category_set {
  size_t first_word;
  uint32_t num_words;
} mle_category_set;

typedef struct mle_forest {
  mle_forest_node *node;
  size_t num_nodes, node_capacity;
  uint32_t *root;
  size_t num_trees, tree_capacity;
  mle_category_set *set;
  size_t num_sets, set_capacity;
  uint32_t *word;
  size_t num_words, word_capacity;
} mle_forest;

/* Appends one tree after verifying it. On failure the forest is only fit to be released. */
mle_status mle_forest_add(mle_forest *forest, const mle_node *tree, size_t num_features,
                          mle_error *err);

void mle_forest_release(mle_forest *forest);

#endif
