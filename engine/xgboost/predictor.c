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

/* ====== One row ====== */

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
  while (n->left != 0) {
    float x = row[n->split & MLE_SPLIT_FEATURE];
    bool left;
    if (isnan(x))
      left = (n->split & MLE_SPLIT_DEFAULT_LEFT) != 0;
    else if (n->split & MLE_SPLIT_CATEGORICAL)
      left = category_goes_left(f, n->as.set, x);
    else
      left = x < n->as.value;
    n = &f->node[left ? n->left : n->right];
  }
  return n->as.value;
}

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

/* Several rows to a tree, so that its nodes stay in the cache; each row's sum keeps its order. */
static void add_trees(const mle_model *m, const float *rows, size_t count, float *out) {
  const mle_forest *f = &m->forest;
  if (m->linear != NULL) {
    add_weights(m, rows, count, out);
    return;
  }
  for (size_t r = 0; r < count; r++)
    memcpy(out + r * m->num_outputs, m->base, m->num_outputs * sizeof *out);
  for (size_t t = 0; t < f->num_trees; t++) {
    float *sum = out + m->output[t];
    for (size_t r = 0; r < count; r++) {
      float leaf = leaf_value(f, f->root[t], rows + r * m->num_features);
      sum[r * m->num_outputs] += m->weight == NULL ? leaf : leaf * m->weight[t];
    }
  }
}

void mle_predictor_margin(const mle_model *model, const float *row, float *out) {
  add_trees(model, row, 1, out);
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
  add_trees(m, block, rows, scratch);
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
