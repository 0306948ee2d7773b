#include "engine/serve/served.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/base/file.h"
#include "engine/base/parallel.h"
#include "engine/json/json.h"
#include "engine/serve/invocations.h"
#include "engine/deploy/yaml.h"

#define MLMODEL_MAX ((size_t)16 << 20)
#define MODEL_MAX ((size_t)1 << 30)
#define EXAMPLE_MAX ((size_t)16 << 20)
#define EXAMPLE "serving_input_example.json"

static atomic_long live;

long mle_served_live(void) { return atomic_load(&live); }

mle_served *mle_served_retain(mle_served *served) {
  atomic_fetch_add_explicit(&served->references, 1, memory_order_relaxed);
  return served;
}

void mle_served_release(mle_served *served) {
  if (served == NULL || atomic_fetch_sub(&served->references, 1) > 1) return;
  if (served->base == NULL) {
    mle_model_free(served->model);
    mle_features_release(&served->features);
  }
  mle_served_release(served->base);
  mle_arena_release(&served->memory);
  mle_free(served);
  atomic_fetch_sub(&live, 1);
}

/* ====== The folder ====== */

static mle_status read_file(const char *folder, const char *name, size_t max, mle_buffer *out,
                            mle_error *err) {
  *out = MLE_BUFFER(max);
  char *path = mle_path_join(folder, name);
  if (path == NULL) return mle_nomem(err, "reading a model");
  mle_status status = mle_file_read(path, out, err);
  mle_free(path);
  return status;
}

static mle_status read_mlmodel(const char *folder, mle_arena *memory, mle_yaml **out,
                               mle_error *err) {
  mle_buffer text;
  *out = NULL;
  mle_status status = read_file(folder, "MLmodel", MLMODEL_MAX, &text, err);
  if (status == MLE_OK) {
    status = mle_yaml_parse(text.data == NULL ? "" : text.data, text.len, memory, out, err);
    if (status != MLE_OK) mle_context(err, "%s/MLmodel", folder);
  }
  mle_buffer_release(&text);
  return status;
}

/* The flavour's data file: a plain name inside the folder. */
static mle_status find_data(const char *folder, const mle_yaml *doc, const char **out,
                            mle_error *err) {
  *out = mle_yaml_find(doc, "flavors.xgboost.data");
  if (*out == NULL)
    return mle_fail(err, MLE_EUNSUPPORTED, "%s/MLmodel has no xgboost flavour; only XGBoost models "
                                           "are served", folder);
  if ((*out)[0] == '/' || strstr(*out, "..") != NULL)
    return mle_fail(err, MLE_EREFUSED, "%s/MLmodel: its data file '%s' is outside of the folder",
                    folder, *out);
  return MLE_OK;
}

static mle_status parse_model(mle_served *served, const char *folder, const char *data,
                              mle_error *err) {
  mle_buffer bytes;
  mle_status status;
  MLE_GO(read_file(folder, data, MODEL_MAX, &bytes, err));
  MLE_GO(mle_sha256_hex(bytes.data == NULL ? "" : bytes.data, bytes.len, served->sha256, err));
  status = mle_model_parse(bytes.data == NULL ? "" : bytes.data, bytes.len, &served->model, err);
  if (status != MLE_OK) mle_context(err, "%s/%s", folder, data);
done:
  mle_buffer_release(&bytes);
  return status;
}

/* ====== Features ====== */

static mle_status name_features(mle_served *served, mle_error *err) {
  size_t count = mle_model_num_features(served->model);
  if (count == 0) return mle_fail(err, MLE_EFORMAT, "the model takes no features");
  MLE_TRY(mle_features_init(&served->features, count, err));
  for (size_t i = 0; i < count; i++) {
    const char *name = mle_model_feature_name(served->model, i);
    if (name != NULL) MLE_TRY(mle_feature_name(&served->features, i, name, err));
  }
  return mle_features_index(&served->features, err);
}

/* A column of texts stands for the categories that the model carries. */
static mle_status set_categories(mle_served *served, size_t i, mle_error *err) {
  size_t count = mle_model_num_categories(served->model, i);
  const char **names = mle_arena_alloc(&served->memory, (count + 1) * sizeof *names);
  if (names == NULL) return mle_nomem(err, "reading a model's categories");
  for (size_t c = 0; c < count; c++) names[c] = mle_model_category(served->model, i, c);
  served->features.list[i].category = names;
  served->features.list[i].num_categories = count;
  return MLE_OK;
}

/* The signature's type of one column, for the feature of that name or position. */
static mle_status set_type(mle_served *served, const mle_json_at *column, size_t position,
                           mle_error *err) {
  const char *type, *name;
  MLE_TRY(mle_json_get_text(column, "type", &type, err));
  MLE_TRY(mle_json_opt_text(column, "name", NULL, &name, err));
  int i = (int)position;
  if (served->features.named && name != NULL)
    i = mle_features_find(&served->features, (mle_pull_slice){name, strlen(name)}, position);
  if (i < 0 || (size_t)i >= served->features.count) return MLE_OK;
  mle_feature_type *to = &served->features.list[i].type;
  bool known = mle_feature_type_parse(type, to);
  if (known && *to != MLE_FEATURE_STRING) return MLE_OK;
  if (known && mle_model_num_categories(served->model, (size_t)i) > 0)
    return set_categories(served, (size_t)i, err);
  return mle_fail(err, MLE_EUNSUPPORTED,
                  "the signature declares column '%s' as %s; a served model takes numbers, and texts where "
                  "it carries their categories",
                  served->features.list[i].name, type);
}

static mle_status set_types(mle_served *served, const char *signature, mle_error *err) {
  mle_json *doc;
  mle_status status;
  MLE_TRY(mle_json_parse(signature, strlen(signature), &doc, err));
  mle_json_at root = mle_json_root(doc), column;
  size_t position = 0;
  for (bool more = mle_json_first(&root, &column); more; more = mle_json_next(&column)) {
    const char *type;
    MLE_GO(mle_json_opt_text(&column, "type", "", &type, err));
    if (strcmp(type, "tensor") != 0) MLE_GO(set_type(served, &column, position, err));
    position++;
  }
  status = MLE_OK;
done:
  mle_json_free(doc);
  return status;
}

/* ====== Loading ====== */

static mle_status copy_facts(mle_served *served, const mle_served_facts *facts,
                             const mle_yaml *doc, mle_error *err) {
  mle_arena *memory = &served->memory;
  const char *run_id = facts->run_id;
  if (run_id == NULL && doc != NULL) run_id = mle_yaml_find(doc, "run_id");
  served->facts.deployment = facts->deployment;
  snprintf(served->deployment, sizeof served->deployment, "%lld", (long long)facts->deployment);
  MLE_TRY(mle_arena_copy(memory, facts->uri, &served->facts.uri, err));
  MLE_TRY(mle_arena_copy(memory, facts->name, &served->facts.name, err));
  MLE_TRY(mle_arena_copy(memory, facts->version, &served->facts.version, err));
  MLE_TRY(mle_arena_copy(memory, facts->snapshot_id, &served->facts.snapshot_id, err));
  return mle_arena_copy(memory, run_id, &served->facts.run_id, err);
}

/* The classes of scikit-learn's manner predict with the best rounds only. */
static void keep_best_rounds(mle_model *model) {
  const char *best = mle_model_attribute(model, "best_iteration");
  if (best != NULL) mle_model_keep_rounds(model, strtoull(best, NULL, 10) + 1);
}

/* What pyfunc answers with follows from the class that was logged. */
static mle_status set_class(mle_served *served, const mle_yaml *doc, mle_error *err) {
  const char *class = mle_yaml_find(doc, "flavors.xgboost.model_class");
  served->outputs = mle_model_num_outputs(served->model);
  served->width = mle_predictor_width(served->model);
  if (class == NULL || strcmp(class, "xgboost.core.Booster") == 0) return MLE_OK;
  keep_best_rounds(served->model);
  if (strcmp(class, "xgboost.sklearn.XGBRegressor") == 0) return MLE_OK;
  if (strcmp(class, "xgboost.sklearn.XGBClassifier") != 0)
    return mle_fail(err, MLE_EUNSUPPORTED, "models of the class %s are not served", class);
  served->labels = true;
  served->width = 1;
  return MLE_OK;
}

static mle_status fill(mle_served *served, const char *folder, const mle_served_facts *facts,
                       mle_error *err) {
  mle_yaml *doc;
  const char *data;
  MLE_TRY(read_mlmodel(folder, &served->memory, &doc, err));
  MLE_TRY(find_data(folder, doc, &data, err));
  MLE_TRY(parse_model(served, folder, data, err));
  MLE_TRY(name_features(served, err));
  const char *signature = mle_yaml_find(doc, "signature.inputs");
  if (signature != NULL && set_types(served, signature, err) != MLE_OK)
    return mle_context(err, "%s/MLmodel: signature", folder);
  MLE_TRY(set_class(served, doc, err));
  return copy_facts(served, facts, doc, err);
}

mle_status mle_served_load(const char *folder, const mle_served_facts *facts, mle_served **out,
                           mle_error *err) {
  *out = NULL;
  mle_served *served = mle_calloc(1, sizeof *served);
  if (served == NULL) return mle_nomem(err, "loading a model");
  atomic_fetch_add(&live, 1);
  atomic_init(&served->references, 1);
  mle_status status = fill(served, folder, facts, err);
  if (status == MLE_OK) {
    *out = served;
    return MLE_OK;
  }
  mle_served_release(served);
  return status;
}

mle_status mle_served_again(mle_served *base, const mle_served_facts *facts, mle_served **out,
                            mle_error *err) {
  *out = NULL;
  mle_served *served = mle_calloc(1, sizeof *served);
  if (served == NULL) return mle_nomem(err, "loading a model");
  atomic_fetch_add(&live, 1);
  atomic_init(&served->references, 1);
  if (base->base != NULL) base = base->base;
  served->base = mle_served_retain(base);
  served->model = base->model;
  served->features = base->features;
  served->labels = base->labels;
  served->width = base->width;
  served->outputs = base->outputs;
  strcpy(served->sha256, base->sha256);
  strcpy(served->copy_sha256, base->copy_sha256);
  mle_status status = copy_facts(served, facts, NULL, err);
  if (status == MLE_OK)
    *out = served;
  else
    mle_served_release(served);
  return status;
}

/* ====== Scoring ====== */

/* XGBClassifier: over a half for one output, else the first of the largest. */
static float label_of(const float *scores, size_t outputs) {
  if (outputs == 1) return scores[0] > 0.5F ? 1.0F : 0.0F;
  size_t best = 0;
  for (size_t i = 1; i < outputs; i++)
    if (scores[i] > scores[best]) best = i;
  return (float)best;
}

/* Blocks of rows: their scores, then for a classifier the label of each. */
static void score_rows(const mle_served *served, const float *rows, size_t count, float *scratch,
                       float *scores, float *out) {
  size_t width = mle_predictor_width(served->model);
  for (size_t first = 0; first < count; first += MLE_PREDICTOR_BLOCK) {
    size_t some = count - first < MLE_PREDICTOR_BLOCK ? count - first : MLE_PREDICTOR_BLOCK;
    float *to = served->labels ? scores : out + first * width;
    mle_predictor_rows(served->model, rows + first * served->features.count, some, scratch, to);
    for (size_t i = 0; served->labels && i < some; i++)
      out[first + i] = label_of(scores + i * width, width);
  }
}

#define OUTPUTS_ON_STACK 4

static mle_status score_alone(const mle_served *served, const float *rows, size_t count, float *out,
                              mle_error *err) {
  float few[2 * MLE_PREDICTOR_BLOCK * OUTPUTS_ON_STACK], *scratch = few;
  size_t block = MLE_PREDICTOR_BLOCK * served->outputs;
  if (served->outputs > OUTPUTS_ON_STACK)
    scratch = mle_realloc_array(NULL, 2 * block, sizeof *scratch);
  if (scratch == NULL) return mle_nomem(err, "scoring");
  score_rows(served, rows, count, scratch, scratch + block, out);
  if (scratch != few) mle_free(scratch);
  return MLE_OK;
}

/* ====== Larger batches, by several threads ====== */

#define SPLIT_VISITS ((size_t)100000) /* of a row to a tree, about half a millisecond: worth a thread */
#define PART_ROWS ((size_t)4 * MLE_PREDICTOR_BLOCK)

static atomic_uint helping; /* threads beside those that took a request */

/* So that all requests together have as many helpers as there are processors to spare. */
static unsigned take_helpers(unsigned wanted) {
  unsigned most = mle_processors() - 1, now = atomic_load(&helping), got;
  do {
    unsigned room = now < most ? most - now : 0;
    got = wanted < room ? wanted : room;
  } while (got > 0 && !atomic_compare_exchange_weak(&helping, &now, now + got));
  return got;
}

typedef struct batch {
  const mle_served *served;
  const float *rows;
  size_t count;
  float *out;
} batch;

static mle_status score_part(void *context, unsigned worker, size_t i, mle_error *err) {
  const batch *b = context;
  size_t first = i * PART_ROWS, left = b->count - first;
  (void)worker;
  return score_alone(b->served, b->rows + first * b->served->features.count,
                     left < PART_ROWS ? left : PART_ROWS, b->out + first * b->served->width, err);
}

mle_status mle_served_score(const mle_served *served, const float *rows, size_t count, float *out,
                            mle_error *err) {
  size_t parts = (count + PART_ROWS - 1) / PART_ROWS;
  size_t worth = count * mle_model_num_trees(served->model) / SPLIT_VISITS;
  if (worth > parts - 1) worth = parts - 1; /* none of no rows: worth is 0 then */
  if (worth > MLE_PARALLEL_MAX - 1) worth = MLE_PARALLEL_MAX - 1;
  unsigned helpers = worth == 0 ? 0 : take_helpers((unsigned)worth);
  if (helpers == 0) return score_alone(served, rows, count, out, err);
  batch b = {served, rows, count, out};
  mle_status status = mle_parallel(helpers + 1, parts, score_part, &b, err);
  atomic_fetch_sub(&helping, helpers);
  return status;
}

mle_status mle_served_example(const mle_served *served, const char *folder, mle_rows *out,
                              mle_error *err) {
  mle_buffer text;
  mle_status status;
  mle_rows_init(out, served->features.count);
  MLE_GO(read_file(folder, EXAMPLE, EXAMPLE_MAX, &text, err));
  status = mle_invocations_json(&served->features, text.data == NULL ? "" : text.data, text.len,
                                out, err);
  if (status != MLE_OK) mle_context(err, "%s/" EXAMPLE, folder);
done:
  mle_buffer_release(&text);
  return status;
}
