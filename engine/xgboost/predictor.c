/*
 * Equal bits need the same operations in the same order: sums begin with the base
 * margin and take one tree after another, in float, without contraction (the build
 * says -ffp-contract=off). dart multiplies each leaf by its tree's weight, as the
 * library does for a DMatrix; its in-place prediction rounds otherwise.
 */
#include "engine/xgboost/predictor.h"

#include <math.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/xgboost/model_layout.h"

/* Rows scored at a time: their floats stay in the first cache. */
#define BLOCK_ROWS MLE_PREDICTOR_BLOCK

/* ====== One row and one tree ====== */

/* Categories of the set go right; what is no category, or none of the set, left. */
static bool category_goes_left(const mle_forest *f, uint32_t set, float x) {
  if (!(x >= 0.0f && x < 16777216.0f)) return true;
  uint32_t category = (uint32_t)x;
  const mle_category_set *s = &f->set[set];
  if (category / 32 >= s->num_words) return true;
  return (f->word[s->first_word + category / 32] >> (category % 32) & 1) == 0;
}

static float leaf_value(const mle_forest *f, uint32_t root, const float *row) {
  const mle_forest_node *n = &f->node[root];
  while (n->key != MLE_KEY_LEAF) {
    float x = row[mle_forest_feature(n->split)];
    bool left;
    if (isnan(x))
      left = (n->split & MLE_SPLIT_MISSING_RIGHT) == 0;
    else if (n->split & MLE_SPLIT_CATEGORICAL)
      left = category_goes_left(f, n->key, x);
    else
      left = x < n->value;
    n = &f->node[left ? n->child : n->child + 1];
  }
  return n->value;
}

/* ====== One row and eight trees ====== */

/* Side by side, since each step of a walk waits for the memory that the one before it named. */
#define LANES 8

/* Keys at a time: they fit the first cache beside the nodes, and the stack. */
#define KEYS ((size_t)4096)

/* Two keys for each value, as nodes want them: a missing one goes left by the first, right by the second. */
static void make_keys(const float *value, size_t count, uint32_t *out) {
  for (size_t i = 0; i < count; i++) {
    uint32_t key = mle_forest_key(value[i]);
    bool missing = isnan(value[i]);
    out[2 * i] = missing ? MLE_KEY_MISSING_LEFT : key;
    out[2 * i + MLE_SPLIT_MISSING_RIGHT] = missing ? MLE_KEY_MISSING_RIGHT : key;
  }
}

typedef struct lanes {
  size_t first, count;  /* trees */
  uint32_t root[LANES]; /* a lane behind `count` is walked too, for nothing */
  uint32_t depth;
} lanes;

/* The trees from `first` on that can be walked together: none when that one has categories. */
static void take_lanes(const mle_forest *f, size_t first, lanes *out) {
  const mle_forest_tree *tree = f->tree + first;
  size_t count = 0, most = f->num_trees - first < LANES ? f->num_trees - first : LANES;
  uint32_t depth = 0;
  while (count < most && !tree[count].is_categorical) count++;
  for (size_t i = 0; i < LANES; i++) {
    const mle_forest_tree *its = &tree[i < count ? i : 0];
    out->root[i] = its->root;
    if (its->depth > depth) depth = its->depth;
  }
  out->first = first;
  out->count = count;
  out->depth = depth;
}

#define EACH_LANE _Pragma("GCC unroll 8") for (size_t i = 0; i < LANES; i++)

/* No branch depends on a value: a wrong guess costs more than several steps. Unrolled, and not inlined: the lanes need
 * the registers. */
__attribute__((noinline)) static void walk_levels(const mle_forest_node *node, const uint32_t *from, uint32_t levels,
                                                  const uint32_t *keys, uint32_t *out) {
  uint32_t at[LANES];
  EACH_LANE at[i] = from[i];
  for (; levels > 0; levels--) EACH_LANE at[i] = node[at[i]].child + (keys[node[at[i]].split] >= node[at[i]].key);
  EACH_LANE out[i] = at[i];
}

static bool all_at_leaves(const mle_forest_node *node, const uint32_t *at) {
  uint32_t moved = 0;
  for (size_t i = 0; i < LANES; i++) moved |= node[at[i]].child ^ at[i];
  return moved == 0;
}

#define LEVELS 8 /* and then a look: most paths of a deep tree are short */

static void walk_lanes(const mle_forest *f, const lanes *l, const uint32_t *keys, uint32_t *out) {
  uint32_t left = l->depth;
  const uint32_t *from = l->root;
  for (; left > LEVELS; left -= LEVELS, from = out) {
    walk_levels(f->node, from, LEVELS, keys, out);
    if (all_at_leaves(f->node, out)) return;
  }
  walk_levels(f->node, from, left, keys, out);
}

/* ====== Sums ====== */

/* A linear model: bias and base first, then the features that are there, in their order. The library
 * takes the first output's base for all. */
static void add_weights(const mle_model *m, const float *rows, size_t count, float *out) {
  const float *bias = m->linear + m->num_features * m->num_outputs;
  for (size_t r = 0; r < count; r++) {
    const float *row = rows + r * m->num_features;
    for (size_t g = 0; g < m->num_outputs; g++) {
      float sum = bias[g] + m->base[0];
      for (size_t f = 0; f < m->num_features; f++)
        if (!isnan(row[f])) sum += row[f] * m->linear[f * m->num_outputs + g];
      out[r * m->num_outputs + g] = sum;
    }
  }
}

static void add_leaves(const mle_model *m, const lanes *l, const uint32_t *at, float *out) {
  const mle_forest_node *node = m->forest.node;
  if (m->weight == NULL && m->num_outputs == 1) { /* the sum stays in a register */
    float sum = *out;
    for (size_t i = 0; i < l->count; i++) sum += node[at[i]].value;
    *out = sum;
    return;
  }
  for (size_t i = 0, t = l->first; i < l->count; i++, t++)
    out[m->output[t]] += m->weight == NULL ? node[at[i]].value : node[at[i]].value * m->weight[t];
}

static void add_lanes(const mle_model *m, const lanes *l, const uint32_t *keys, size_t count, float *out) {
  for (size_t r = 0; r < count; r++) {
    uint32_t at[LANES];
    walk_lanes(&m->forest, l, keys + r * 2 * m->num_features, at);
    add_leaves(m, l, at, out + r * m->num_outputs);
  }
}

static void add_tree(const mle_model *m, size_t t, const float *rows, size_t count, float *out) {
  float *sum = out + m->output[t];
  for (size_t r = 0; r < count; r++) {
    float leaf = leaf_value(&m->forest, m->forest.tree[t].root, rows + r * m->num_features);
    sum[r * m->num_outputs] += m->weight == NULL ? leaf : leaf * m->weight[t];
  }
}

/* Several rows to a tree, so that its nodes stay in the cache; each row's sum keeps its order. */
static void add_trees(const mle_model *m, const float *rows, size_t count, float *out) {
  uint32_t keys[KEYS];
  size_t values = count * m->num_features;
  bool with_keys = values <= KEYS / 2;
  if (with_keys) make_keys(rows, values, keys);
  for (size_t t = 0; t < m->forest.num_trees;) {
    lanes l = {.count = 0};
    if (with_keys) take_lanes(&m->forest, t, &l);
    if (l.count > 0)
      add_lanes(m, &l, keys, count, out);
    else
      add_tree(m, t, rows, count, out);
    t += l.count > 0 ? l.count : 1;
  }
}

static void add_margins(const mle_model *m, const float *rows, size_t count, float *out) {
  if (m->linear != NULL) {
    add_weights(m, rows, count, out);
    return;
  }
  for (size_t r = 0; r < count; r++)
    memcpy(out + r * m->num_outputs, m->base, m->num_outputs * sizeof *out);
  size_t most = KEYS / 2 / m->num_features;
  if (most == 0) most = count; /* a row of so many features has no keys */
  for (size_t first = 0; first < count; first += most)
    add_trees(m, rows + first * m->num_features, count - first < most ? count - first : most,
              out + first * m->num_outputs);
}

void mle_predictor_margin(const mle_model *model, const float *row, float *out) {
  add_margins(model, row, 1, out);
}

/* ====== Links ====== */

static float sigmoid(float x) {
  float denominator = expf(fminf(-x, 88.7f)) + 1.0f + 1e-16f;
  return 1.0f / denominator;
}

static void softmax(float *value, size_t count) {
  float largest = value[0];
  double sum = 0;
  for (size_t i = 1; i < count; i++) largest = fmaxf(value[i], largest);
  for (size_t i = 0; i < count; i++) {
    value[i] = expf(value[i] - largest);
    sum += (double)value[i];
  }
  for (size_t i = 0; i < count; i++) value[i] /= (float)sum;
}

static size_t largest_index(const float *value, size_t count) {
  size_t best = 0;
  for (size_t i = 1; i < count; i++)
    if (value[i] > value[best]) best = i;
  return best;
}

static void apply_link(mle_link link, float *value, size_t count) {
  switch (link) {
    case MLE_LINK_LOGISTIC:
      for (size_t i = 0; i < count; i++) value[i] = sigmoid(value[i]);
      return;
    case MLE_LINK_EXP:
      for (size_t i = 0; i < count; i++) value[i] = expf(value[i]);
      return;
    case MLE_LINK_EXP_DOUBLE:
      for (size_t i = 0; i < count; i++) value[i] = (float)exp((double)value[i]);
      return;
    case MLE_LINK_STEP:
      for (size_t i = 0; i < count; i++) value[i] = value[i] > 0.0f ? 1.0f : 0.0f;
      return;
    case MLE_LINK_SOFTMAX: softmax(value, count); return;
    case MLE_LINK_ARGMAX: value[0] = (float)largest_index(value, count); return;
    case MLE_LINK_IDENTITY: return;
  }
}

size_t mle_predictor_width(const mle_model *model) {
  return model->objective->link == MLE_LINK_ARGMAX ? 1 : model->num_outputs;
}

void mle_predictor_predict(const mle_model *model, const float *row, float *out) {
  mle_predictor_margin(model, row, out);
  apply_link(model->objective->link, out, model->num_outputs);
}

/* ====== Batches ====== */

#define GATHER(type)                                                              \
  for (size_t r = 0; r < rows; r++)                                               \
    out[r * stride] = (float)((const type *)column->data)[first + r];             \
  break

/* Writes one column of a block of rows, `stride` floats apart. */
static void gather(const mle_column *column, size_t first, size_t rows, size_t stride, float *out) {
  switch (column->kind) {
    case MLE_INT8: GATHER(int8_t);
    case MLE_INT16: GATHER(int16_t);
    case MLE_INT32: GATHER(int32_t);
    case MLE_INT64: GATHER(int64_t);
    case MLE_UINT8: GATHER(uint8_t);
    case MLE_UINT16: GATHER(uint16_t);
    case MLE_UINT32: GATHER(uint32_t);
    case MLE_UINT64: GATHER(uint64_t);
    case MLE_FLOAT: GATHER(float);
    case MLE_DOUBLE: GATHER(double);
  }
  if (column->valid == NULL) return;
  for (size_t r = 0; r < rows; r++)
    if ((column->valid[(first + r) / 64] >> ((first + r) % 64) & 1) == 0) out[r * stride] = NAN;
}

/* Writes `width` values of each row; `scratch` has room for the rows' outputs. */
static void score_block(const mle_model *m, const float *block, size_t rows, bool margin,
                        float *scratch, float *out) {
  size_t width = margin ? m->num_outputs : mle_predictor_width(m);
  add_margins(m, block, rows, scratch);
  for (size_t r = 0; r < rows; r++) {
    float *values = scratch + r * m->num_outputs;
    if (!margin) apply_link(m->objective->link, values, m->num_outputs);
    memcpy(out + r * width, values, width * sizeof *out);
  }
}

static size_t block_at(size_t first, size_t count) {
  return count - first < BLOCK_ROWS ? count - first : BLOCK_ROWS;
}

void mle_predictor_rows(const mle_model *model, const float *rows, size_t count, float *scratch,
                        float *out) {
  size_t width = mle_predictor_width(model);
  for (size_t first = 0; first < count; first += BLOCK_ROWS)
    score_block(model, rows + first * model->num_features, block_at(first, count), false, scratch,
                out + first * width);
}

mle_status mle_predictor_batch(const mle_model *model, const mle_batch *batch, bool margin,
                               float *out, mle_error *err) {
  size_t features = model->num_features;
  if (batch->num_columns < features)
    return mle_fail(err, MLE_EINVAL, "the model takes %zu columns, these rows have %zu", features,
                    batch->num_columns);
  size_t width = margin ? model->num_outputs : mle_predictor_width(model);
  float *block = mle_realloc_array(NULL, BLOCK_ROWS, (features + model->num_outputs) * sizeof *block);
  if (block == NULL) return mle_nomem(err, "scoring rows");
  for (size_t first = 0; first < batch->rows; first += BLOCK_ROWS) {
    size_t rows = block_at(first, batch->rows);
    for (size_t c = 0; c < features; c++)
      gather(&batch->column[c], first, rows, features, block + c);
    score_block(model, block, rows, margin, block + BLOCK_ROWS * features, out + first * width);
  }
  mle_free(block);
  return MLE_OK;
}
