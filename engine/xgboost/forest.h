/*
 * forest.h -- all trees of a model in one array, as the predictor walks them.
 *
 * A node's children lie side by side, the right one at `child` + 1. A leaf is its own child and its key is
 * beyond all others: who walks on from it stays there, so that walks of different length need no branch.
 *
 * Values are compared by their keys, whole numbers in the same order, because a missing value can have two of them:
 * one below all others, one above. Internal to engine/xgboost.
 */
#ifndef MLE_XGBOOST_FOREST_H
#define MLE_XGBOOST_FOREST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "engine/base/error.h"
#include "engine/xgboost/document.h"

#define MLE_SPLIT_MISSING_RIGHT UINT32_C(1)
#define MLE_SPLIT_CATEGORICAL UINT32_C(0x80000000)

/* Keys that no value has, from the least to the greatest. */
#define MLE_KEY_MISSING_LEFT UINT32_C(0)
#define MLE_KEY_ALL_RIGHT UINT32_C(1) /* of a threshold that is NaN: nothing is less */
#define MLE_KEY_MISSING_RIGHT (UINT32_MAX - 1)
#define MLE_KEY_LEAF UINT32_MAX

typedef struct mle_forest_node {
  uint32_t child;
  uint32_t split; /* twice the feature, and the flags above */
  uint32_t key;   /* of the threshold: less goes left; categorical: the set that goes right */
  float value;    /* a leaf's value, else the threshold */
} mle_forest_node;

/* Of what is no NaN; the two zeros have one key. */
static inline uint32_t mle_forest_key(float value) {
  uint32_t bits;
  value += 0.0f;
  memcpy(&bits, &value, sizeof bits);
  return bits >> 31 ? ~bits : bits | UINT32_C(0x80000000);
}

static inline uint32_t mle_forest_feature(uint32_t split) { return (split & ~MLE_SPLIT_CATEGORICAL) >> 1; }

typedef struct mle_forest_tree {
  uint32_t root;
  uint32_t depth;      /* steps to its farthest leaf */
  bool is_categorical; /* in some of its splits */
} mle_forest_tree;

/* A set of categories: bits in `word`. */
typedef struct mle_category_set {
  size_t first_word;
  uint32_t num_words;
} mle_category_set;

typedef struct mle_forest {
  mle_forest_node *node;
  size_t num_nodes, node_capacity;
  mle_forest_tree *tree;
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
