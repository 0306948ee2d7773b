#include "engine/xgboost/model.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/base/buffer.h"
#include "engine/base/file.h"
#include "engine/xgboost/categories.h"
#include "engine/xgboost/document.h"
#include "engine/xgboost/model_layout.h"

#define BYTES_MAX ((size_t)1 << 30)
#define FEATURES_MAX (1 << 24)
#define OUTPUTS_MAX (1 << 16)
#define NAME_MAX_LEN 128

static mle_status malformed(mle_error *err, const char *what) {
  return mle_fail(err, MLE_EFORMAT, "%s", what);
}

static mle_status no_memory(mle_error *err) { return mle_nomem(err, "reading a model"); }

/* ====== Texts ====== */

/* A copy of a text node, NULL when it is none or holds a NUL (`*missing`), or out of memory. */
static char *copy_text(const mle_node *node, bool *missing) {
  *missing = node == NULL || node->kind != MLE_NODE_TEXT ||
             memchr(node->as.bytes, '\0', node->count) != NULL;
  return *missing ? NULL : mle_strndup(node->as.bytes, node->count);
}

/* A list of `count` texts, or of none: then *out is NULL. */
static mle_status read_texts(const mle_node *list, size_t count, char ***out, const char *what,
                             mle_error *err) {
  if (list == NULL || (mle_node_is_array(list) && list->count == 0)) return MLE_OK;
  if (list->kind != MLE_NODE_LIST || list->count != count)
    return mle_fail(err, MLE_EFORMAT, "%s must be %zu texts, or none", what, count);
  char **texts = *out = mle_calloc(count, sizeof *texts);
  if (texts == NULL) return no_memory(err);
  for (const mle_node *n = list->as.first; n != NULL; n = n->next, texts++) {
    bool missing;
    *texts = copy_text(n, &missing);
    if (missing) return mle_fail(err, MLE_EFORMAT, "%s must be texts", what);
    if (*texts == NULL) return no_memory(err);
  }
  return MLE_OK;
}

static mle_status read_attributes(mle_model *m, const mle_node *attributes, mle_error *err) {
  if (attributes == NULL) return MLE_OK;
  if (attributes->kind != MLE_NODE_OBJECT) return malformed(err, "attributes must be an object");
  m->attribute = mle_calloc(attributes->count, sizeof *m->attribute);
  if (m->attribute == NULL) return no_memory(err);
  for (const mle_node *n = attributes->as.first; n != NULL; n = n->next) {
    bool missing;
    mle_attribute *a = &m->attribute[m->num_attributes++];
    a->name = mle_strndup(n->name, n->name_len);
    a->value = copy_text(n, &missing);
    if (missing) return malformed(err, "an attribute must be a text");
    if (a->name == NULL || a->value == NULL) return no_memory(err);
  }
  return MLE_OK;
}

/* ====== Parameters ====== */

/* A number written as a text; `fallback` when absent. */
static mle_status read_parameter(const mle_node *at, const char *name, int64_t fallback,
                                 int64_t min, int64_t max, int64_t *out, mle_error *err) {
  const mle_node *node = mle_node_member(at, name);
  *out = fallback;
  if (node == NULL && fallback >= min) return MLE_OK;
  if (mle_node_text_int(node, out) && *out >= min && *out <= max) return MLE_OK;
  return mle_fail(err, MLE_EFORMAT, "%s must be a number from %lld to %lld", name, (long long)min,
                  (long long)max);
}

static mle_status read_version(mle_model *m, const mle_node *root, mle_error *err) {
  int64_t version[3];
  if (!mle_node_ints(mle_node_member(root, "version"), 3, version))
    return malformed(err, "no version of three numbers: not a model of XGBoost 1.0 or later");
  for (int i = 0; i < 3; i++)
    m->version[i] = version[i] < 0 || version[i] > 100000 ? 0 : (int)version[i];
  if (m->version[0] >= 1 && m->version[0] <= 3) return MLE_OK;
  return mle_fail(err, MLE_EUNSUPPORTED, "written by XGBoost %d; read are versions 1 to 3",
                  m->version[0]);
}

static mle_status read_objective(mle_model *m, const mle_node *objective, mle_error *err) {
  const mle_node *name = mle_node_member(objective, "name");
  char text[NAME_MAX_LEN];
  if (name == NULL || name->kind != MLE_NODE_TEXT || name->count >= sizeof text)
    return malformed(err, "objective must have a name");
  memcpy(text, name->as.bytes, name->count);
  text[name->count] = '\0';
  m->objective = mle_objective_find(text);
  if (m->objective != NULL) return MLE_OK;
  return mle_fail(err, MLE_EUNSUPPORTED, "its objective '%s' is not known here", text);
}

/* "5E-1" before XGBoost 3.1, "[5E-1]" or "[1E-1,2E-1]" since: one for all outputs, or one each. */
static mle_status read_base(mle_model *m, const mle_node *param, mle_error *err) {
  bool missing;
  char *text = copy_text(mle_node_member(param, "base_score"), &missing);
  if (text == NULL) return missing ? malformed(err, "base_score must be a text") : no_memory(err);
  m->base = mle_calloc(m->num_outputs, sizeof *m->base);
  size_t count = 0;
  bool listed = text[0] == '[', good = m->base != NULL;
  char *at = text + listed, *end = at;
  while (good && count < m->num_outputs) {
    float score = strtof(at, &end);
    good = end != at && isfinite(score);
    m->base[count++] = mle_objective_base_margin(m->objective, score);
    if (*end != ',') break;
    at = end + 1;
  }
  good = good && strcmp(end, listed ? "]" : "") == 0 && (count == 1 || count == m->num_outputs);
  mle_free(text);
  if (m->base == NULL) return no_memory(err);
  if (!good) return malformed(err, "base_score must be one number, or one for each output");
  for (; count < m->num_outputs; count++) m->base[count] = m->base[0];
  return MLE_OK;
}

static mle_status read_learner(mle_model *m, const mle_node *learner, mle_error *err) {
  const mle_node *param = mle_node_member(learner, "learner_model_param");
  int64_t features, classes, targets;
  MLE_TRY(read_parameter(param, "num_feature", 0, 1, FEATURES_MAX, &features, err));
  MLE_TRY(read_parameter(param, "num_class", 0, 0, OUTPUTS_MAX, &classes, err));
  MLE_TRY(read_parameter(param, "num_target", 1, 1, OUTPUTS_MAX, &targets, err));
  if (classes > 1 && targets > 1) return malformed(err, "it has both classes and targets");
  m->num_features = (size_t)features;
  m->num_outputs = (size_t)(classes > targets ? classes : targets);
  MLE_TRY(read_objective(m, mle_node_member(learner, "objective"), err));
  MLE_TRY(read_base(m, param, err));
  MLE_TRY(read_texts(mle_node_member(learner, "feature_names"), m->num_features, &m->name,
                     "feature_names", err));
  MLE_TRY(read_texts(mle_node_member(learner, "feature_types"), m->num_features, &m->type,
                     "feature_types", err));
  return read_attributes(m, mle_node_member(learner, "attributes"), err);
}

/* ====== Trees ====== */

static mle_status read_outputs(mle_model *m, const mle_node *booster, mle_error *err) {
  size_t count = m->forest.num_trees;
  int64_t *info = mle_realloc_array(NULL, count, sizeof *info);
  m->output = mle_realloc_array(NULL, count, sizeof *m->output);
  bool memory = info != NULL && m->output != NULL;
  bool good = memory && mle_node_ints(mle_node_member(booster, "tree_info"), count, info);
  for (size_t i = 0; good && i < count; i++) {
    good = info[i] >= 0 && (size_t)info[i] < m->num_outputs;
    m->output[i] = (uint32_t)info[i];
  }
  mle_free(info);
  if (!memory) return no_memory(err);
  return good ? MLE_OK : malformed(err, "tree_info must name an output for each tree");
}

/* iteration_indptr[r] is the first tree of round r; before XGBoost 2.0 it was not there. */
static mle_status read_rounds(mle_model *m, const mle_node *booster, int64_t parallel,
                              mle_error *err) {
  const mle_node *list = mle_node_member(booster, "iteration_indptr");
  m->num_rounds = m->forest.num_trees / ((size_t)parallel * m->num_outputs);
  if (list == NULL) return MLE_OK;
  if (!mle_node_is_array(list) || list->count == 0)
    return malformed(err, "iteration_indptr must be an array");
  int64_t *bound = mle_realloc_array(NULL, list->count, sizeof *bound);
  if (bound == NULL) return no_memory(err);
  m->round_start = bound;
  bool good = mle_node_ints(list, list->count, bound) && bound[0] == 0 &&
              bound[list->count - 1] == (int64_t)m->forest.num_trees;
  for (size_t i = 1; good && i < list->count; i++) good = bound[i - 1] <= bound[i];
  m->num_rounds = list->count - 1;
  return good ? MLE_OK : malformed(err, "iteration_indptr must rise from 0 to the number of trees");
}

static mle_status read_trees(mle_model *m, const mle_node *booster, mle_error *err) {
  const mle_node *trees = mle_node_member(booster, "trees");
  const mle_node *param = mle_node_member(booster, "gbtree_model_param");
  int64_t count, parallel;
  if (trees == NULL || trees->kind != MLE_NODE_LIST) return malformed(err, "trees must be a list");
  MLE_TRY(read_parameter(param, "num_trees", -1, 0, INT32_MAX, &count, err));
  MLE_TRY(read_parameter(param, "num_parallel_tree", 1, 1, INT32_MAX, &parallel, err));
  if ((size_t)count != trees->count) return malformed(err, "num_trees differs from the trees");
  for (const mle_node *t = trees->as.first; t != NULL; t = t->next)
    if (mle_forest_add(&m->forest, t, m->num_features, err) != MLE_OK)
      return mle_context(err, "tree %zu", m->forest.num_trees);
  MLE_TRY(read_outputs(m, booster, err));
  MLE_TRY(read_rounds(m, booster, parallel, err));
  return mle_categories_read(mle_node_member(booster, "cats"), m->num_features, &m->categories, err);
}

static mle_status read_weights(mle_model *m, const mle_node *dart, mle_error *err) {
  m->weight = mle_realloc_array(NULL, m->forest.num_trees, sizeof *m->weight);
  if (m->weight == NULL) return no_memory(err);
  if (mle_node_floats(mle_node_member(dart, "weight_drop"), m->forest.num_trees, m->weight))
    return MLE_OK;
  return malformed(err, "weight_drop must be a number for each tree");
}

/* Weights of each feature, then the biases; num_outputs of each. */
static mle_status read_linear(mle_model *m, const mle_node *linear, mle_error *err) {
  size_t count = (m->num_features + 1) * m->num_outputs;
  const mle_node *weights = mle_node_member(linear, "weights");
  const mle_node *rounds = mle_node_member(linear, "boosted_rounds");
  int64_t boosted = 0;
  if (!mle_node_is_array(weights) || weights->count != count)
    return mle_fail(err, MLE_EFORMAT, "weights must be %zu numbers", count);
  if (rounds != NULL && rounds->kind == MLE_NODE_INT) boosted = rounds->as.whole;
  if (boosted < 0 || boosted > INT32_MAX) return malformed(err, "boosted_rounds must be a number from 0");
  m->num_rounds = (size_t)boosted;
  m->linear = mle_realloc_array(NULL, count, sizeof *m->linear);
  if (m->linear == NULL) return no_memory(err);
  return mle_node_floats(weights, count, m->linear) ? MLE_OK
                                                    : malformed(err, "weights must be numbers");
}

static mle_status read_booster(mle_model *m, const mle_node *booster, mle_error *err) {
  const mle_node *name = mle_node_member(booster, "name");
  if (mle_node_is_text(name, "gbtree"))
    return read_trees(m, mle_node_member(booster, "model"), err);
  if (mle_node_is_text(name, "gblinear"))
    return read_linear(m, mle_node_member(booster, "model"), err);
  if (!mle_node_is_text(name, "dart"))
    return malformed(err, "gradient_booster must be named gbtree, dart or gblinear");
  const mle_node *trees = mle_node_member(booster, "gbtree");
  MLE_TRY(read_trees(m, mle_node_member(trees, "model"), err));
  return read_weights(m, booster, err);
}

/* ====== Models ====== */

/* Formats that are no UBJSON and whose first bytes say what they are. */
static mle_status refuse_others(const char *bytes, size_t len, mle_error *err) {
  if (len >= 4 && memcmp(bytes, "binf", 4) == 0)
    return mle_fail(err, MLE_EUNSUPPORTED,
                    "it is in XGBoost's old binary format; save it as .ubj or .json with XGBoost 1.6 to 3.0");
  if (len >= 2 && (unsigned char)bytes[0] == 0x80 && bytes[1] <= 5)
    return mle_fail(err, MLE_EUNSUPPORTED,
                    "it is a Python pickle; save it with Booster.save_model(\"model.ubj\")");
  return len > 0 ? MLE_OK : malformed(err, "it is empty");
}

/* XGBoost before 3.0 wrote the thresholds of categorical splits to JSON as NaN. */
static mle_status explain_nan(const char *bytes, size_t len, mle_error *err) {
  static const char mark[] = "NaN";
  for (size_t i = 0; bytes[0] == '{' && i + sizeof mark - 1 <= len; i++)
    if (memcmp(bytes + i, mark, sizeof mark - 1) == 0)
      return mle_fail(err, MLE_EUNSUPPORTED,
                      "its JSON holds NaN, which JSON does not have; save the model as .ubj");
  return MLE_EFORMAT;
}

static mle_status read_root(mle_model *m, const mle_node *root, mle_error *err) {
  const mle_node *learner = mle_node_member(root, "learner");
  if (learner == NULL) return malformed(err, "no learner: these bytes are no XGBoost model");
  MLE_TRY(read_version(m, root, err));
  MLE_TRY(read_learner(m, learner, err));
  return read_booster(m, mle_node_member(learner, "gradient_booster"), err);
}

mle_status mle_model_parse(const void *bytes, size_t len, mle_model **out, mle_error *err) {
  mle_document *doc = NULL;
  mle_status status;
  *out = NULL;
  mle_model *m = mle_calloc(1, sizeof *m);
  if (m == NULL) return no_memory(err);
  MLE_GO(refuse_others(bytes, len, err));
  status = mle_document_parse(bytes, len, &doc, err);
  if (status == MLE_EFORMAT) status = explain_nan(bytes, len, err);
  if (status != MLE_OK) goto done;
  MLE_GO(read_root(m, mle_document_root(doc), err));
  *out = m;
  m = NULL;
done:
  if (status != MLE_OK && status != MLE_ENOMEM) mle_context(err, "XGBoost model");
  mle_document_free(doc);
  mle_model_free(m);
  return status;
}

mle_status mle_model_read(const char *path, mle_model **out, mle_error *err) {
  mle_buffer bytes = MLE_BUFFER(BYTES_MAX);
  mle_status status;
  *out = NULL;
  MLE_GO(mle_file_read(path, &bytes, err));
  status = mle_model_parse(bytes.data, bytes.len, out, err);
  if (status != MLE_OK) mle_context(err, "'%s'", path);
done:
  mle_buffer_release(&bytes);
  return status;
}

static void free_texts(char **texts, size_t count) {
  for (size_t i = 0; texts != NULL && i < count; i++) mle_free(texts[i]);
  mle_free(texts);
}

void mle_model_free(mle_model *model) {
  if (model == NULL) return;
  free_texts(model->name, model->num_features);
  free_texts(model->type, model->num_features);
  for (size_t i = 0; i < model->num_attributes; i++) {
    mle_free(model->attribute[i].name);
    mle_free(model->attribute[i].value);
  }
  mle_free(model->attribute);
  mle_free(model->base);
  mle_free(model->output);
  mle_free(model->round_start);
  mle_free(model->weight);
  mle_free(model->linear);
  mle_categories_free(model->categories, model->num_features);
  mle_forest_release(&model->forest);
  mle_free(model);
}

size_t mle_model_num_features(const mle_model *model) { return model->num_features; }
const char *mle_model_objective(const mle_model *model) { return model->objective->name; }
size_t mle_model_num_outputs(const mle_model *model) { return model->num_outputs; }
size_t mle_model_num_trees(const mle_model *model) { return model->forest.num_trees; }
size_t mle_model_num_rounds(const mle_model *model) { return model->num_rounds; }

/* The first tree of a round. */
static size_t first_tree(const mle_model *m, size_t round) {
  if (m->round_start != NULL) return (size_t)m->round_start[round];
  return m->num_rounds == 0 ? 0 : m->forest.num_trees / m->num_rounds * round;
}

void mle_model_keep_rounds(mle_model *model, size_t rounds) {
  if (rounds >= model->num_rounds || model->linear != NULL) return;
  model->forest.num_trees = first_tree(model, rounds);
  model->num_rounds = rounds;
}

mle_status mle_model_keep_range(mle_model *model, size_t begin, size_t end, mle_error *err) {
  if (model->linear != NULL)
    return mle_fail(err, MLE_EINVAL, "iteration_range: a linear model has no rounds to choose from");
  if (begin >= end || end > model->num_rounds)
    return mle_fail(err, MLE_EINVAL, "iteration_range: the model has the rounds 0 to %zu, not %zu to %zu",
                    model->num_rounds, begin, end);
  mle_model_keep_rounds(model, end);
  size_t first = first_tree(model, begin), count = model->forest.num_trees - first;
  memmove(model->forest.tree, model->forest.tree + first, count * sizeof *model->forest.tree);
  memmove(model->output, model->output + first, count * sizeof *model->output);
  if (model->weight != NULL)
    memmove(model->weight, model->weight + first, count * sizeof *model->weight);
  for (size_t r = 0; model->round_start != NULL && r <= end - begin; r++)
    model->round_start[r] = model->round_start[r + begin] - (int64_t)first;
  model->forest.num_trees = count;
  model->num_rounds = end - begin;
  return MLE_OK;
}

size_t mle_model_num_categories(const mle_model *model, size_t feature) {
  return model->categories == NULL || feature >= model->num_features
             ? 0
             : model->categories[feature].count;
}

const char *mle_model_category(const mle_model *model, size_t feature, size_t index) {
  return index < mle_model_num_categories(model, feature) ? model->categories[feature].name[index]
                                                          : NULL;
}

const char *mle_model_feature_name(const mle_model *model, size_t index) {
  return model->name == NULL || index >= model->num_features ? NULL : model->name[index];
}

const char *mle_model_feature_type(const mle_model *model, size_t index) {
  return model->type == NULL || index >= model->num_features ? NULL : model->type[index];
}

const char *mle_model_attribute(const mle_model *model, const char *name) {
  for (size_t i = 0; i < model->num_attributes; i++)
    if (strcmp(model->attribute[i].name, name) == 0) return model->attribute[i].value;
  return NULL;
}

void mle_model_version(const mle_model *model, int *out_major, int *out_minor) {
  *out_major = model->version[0];
  *out_minor = model->version[1];
}
