#include "engine/xgboost/booster.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xgboost/c_api.h>

#include "engine/base/alloc.h"
#include "engine/base/cancel.h"
#include "engine/xgboost/booster_layout.h"
#include "engine/xgboost/library.h"
#include "engine/xgboost/model.h"

/* ====== Parameters ====== */

static const char *find_parameter(const mle_parameter *params, size_t count, const char *name) {
  for (size_t i = count; i-- > 0;)
    if (strcmp(params[i].name, name) == 0) return params[i].value;
  return NULL;
}

static bool is_one_of(const char *value, const char *const *list) {
  for (; value != NULL && *list != NULL; list++)
    if (strcmp(value, *list) == 0) return true;
  return false;
}

/* The library takes any index and ignores what is beyond the features. */
static mle_status check_constraints(const char *text, size_t num_features, mle_error *err) {
  for (const char *at = text; at != NULL && *at != '\0';) {
    if (!isdigit((unsigned char)*at)) {
      at++;
      continue;
    }
    char *end;
    unsigned long long index = strtoull(at, &end, 10);
    if (index >= num_features)
      return mle_fail(err, MLE_EINVAL,
                      "interaction_constraints names feature %llu; there are 0 to %zu", index,
                      num_features - 1);
    at = end;
  }
  return MLE_OK;
}

static mle_status check_device(const char *device, mle_error *err) {
  if (device == NULL || strncmp(device, "cpu", 3) == 0 || mle_library_has_cuda()) return MLE_OK;
  return mle_fail(err, MLE_EUNSUPPORTED,
                  "device = '%s': this XGBoost is built for the CPU only; build mlengine with "
                  "-DXGBOOST_ROOT= of a CUDA build, or leave device out", device);
}

static mle_status refuse_unsupported(const mle_parameter *params, size_t count, mle_error *err) {
  static const char *const vectors[] = {"multi_output_tree", NULL};
  static const char *const updates[] = {"update", NULL};
  if (is_one_of(find_parameter(params, count, "multi_strategy"), vectors))
    return mle_fail(err, MLE_EUNSUPPORTED,
                    "multi_strategy = 'multi_output_tree' is not done here; use one_output_per_tree");
  if (is_one_of(find_parameter(params, count, "process_type"), updates))
    return mle_fail(err, MLE_EUNSUPPORTED,
                    "process_type = 'update' is not done here; continue the model with xgb_model");
  return MLE_OK;
}

static mle_status set_parameters(BoosterHandle booster, const mle_parameter *params, size_t count,
                                 bool quiet, mle_error *err) {
  MLE_TRY(mle_library_check(XGBoosterSetParam(booster, "validate_parameters", "1"), "params", err));
  for (size_t i = 0; i < count; i++) {
    if (quiet && strcmp(params[i].name, "verbosity") == 0) continue; /* 0 would hide the answer */
    MLE_TRY(mle_library_check(XGBoosterSetParam(booster, params[i].name, params[i].value), "params",
                              err));
  }
  return MLE_OK;
}

/* Asking for the number of features makes the library configure itself. */
static mle_status configure(BoosterHandle booster, const mle_parameter *params, size_t count,
                            size_t num_features, mle_error *err) {
  char features[24];
  bst_ulong ignored;
  snprintf(features, sizeof features, "%zu", num_features);
  MLE_TRY(mle_library_check(XGBoosterSetParam(booster, "num_feature", features), "params", err));
  MLE_TRY(set_parameters(booster, params, count, true, err));
  MLE_TRY(mle_library_check(XGBoosterGetNumFeature(booster, &ignored), "params", err));
  if (mle_library_lost_device())
    return mle_fail(err, MLE_EUNSUPPORTED,
                    "device: XGBoost found no GPU on this machine; leave device out to use the CPU");
  return MLE_OK;
}

mle_status mle_booster_check(const mle_parameter *params, size_t count, size_t num_features,
                             mle_error *err) {
  BoosterHandle booster;
  mle_library_enter();
  mle_library_forget();
  MLE_TRY(refuse_unsupported(params, count, err));
  MLE_TRY(check_device(find_parameter(params, count, "device"), err));
  MLE_TRY(check_constraints(find_parameter(params, count, "interaction_constraints"), num_features,
                            err));
  MLE_TRY(mle_library_check(XGBoosterCreate(NULL, 0, &booster), "creating a booster", err));
  mle_status status = configure(booster, params, count, num_features, err);
  XGBoosterFree(booster);
  return status;
}

const char *mle_booster_unused(void) { return mle_library_unused(); }

/* ====== Making ====== */

#define SET_NAME 24

static mle_status hold_sets(mle_booster *b, const mle_training *t, mle_error *err) {
  b->evals = mle_calloc(t->num_evals + 1, sizeof *b->evals);
  b->sets = mle_calloc(t->num_evals + 1, sizeof *b->sets);
  b->set_names = mle_calloc(t->num_evals + 1, sizeof *b->set_names);
  b->name_texts = mle_calloc(t->num_evals + 1, SET_NAME);
  if (b->evals == NULL || b->sets == NULL || b->set_names == NULL || b->name_texts == NULL)
    return mle_nomem(err, "creating a booster");
  b->train = mle_matrix_ref(t->train);
  for (; b->num_evals < t->num_evals; b->num_evals++) {
    size_t i = b->num_evals;
    char *name = b->name_texts + i * SET_NAME;
    snprintf(name, SET_NAME, "%zu", i);
    b->set_names[i] = name;
    b->evals[i] = mle_matrix_ref(t->evals[i]);
    b->sets[i] = mle_matrix_handle(t->evals[i]);
  }
  return MLE_OK;
}

/* The booster does not take names and types from the matrix. */
static mle_status name_features(mle_booster *b, const mle_matrix_options *columns, mle_error *err) {
  bst_ulong count = columns->num_features;
  MLE_TRY(mle_library_check(
      XGBoosterSetStrFeatureInfo(b->handle, "feature_name", columns->names, count),
      "naming features", err));
  return mle_library_check(
      XGBoosterSetStrFeatureInfo(b->handle, "feature_type", columns->types, count),
      "naming features", err);
}

/* Training set first, as Python does: the library looks at it when it configures. */
static mle_status create(mle_booster *b, mle_error *err) {
  DMatrixHandle *all = mle_calloc(b->num_evals + 1, sizeof *all);
  if (all == NULL) return mle_nomem(err, "creating a booster");
  all[0] = mle_matrix_handle(b->train);
  for (size_t i = 0; i < b->num_evals; i++) all[i + 1] = b->sets[i];
  int rc = XGBoosterCreate(all, b->num_evals + 1, &b->handle);
  mle_free(all);
  if (rc != 0) b->handle = NULL;
  return mle_library_check(rc, "creating a booster", err);
}

/* As Python does: the model first, then the parameters, which may differ from its own. The
 * caller has seen that it has these features. */
static mle_status continue_from(mle_booster *b, const mle_training *t, mle_error *err) {
  mle_model *model;
  if (t->start == NULL) return MLE_OK;
  MLE_TRY(mle_model_parse(t->start, t->start_len, &model, err));
  mle_model_free(model);
  MLE_TRY(mle_library_check(XGBoosterLoadModelFromBuffer(b->handle, t->start, t->start_len),
                            "loading the model to continue from", err));
  return mle_library_check(XGBoosterBoostedRounds(b->handle, &b->before),
                           "loading the model to continue from", err);
}

mle_status mle_booster_new(const mle_training *training, mle_booster **out, mle_error *err) {
  mle_status status;
  *out = NULL;
  mle_library_enter();
  mle_booster *b = mle_calloc(1, sizeof *b);
  if (b == NULL) return mle_nomem(err, "creating a booster");
  b->holders = 1;
  b->num_rounds = training->num_rounds;
  b->early_stopping_rounds = training->early_stopping_rounds;
  b->maximize = training->maximize;
  b->first_iteration = training->first_iteration;
  b->stop_set = training->stop_set;
  b->min_delta = training->min_delta;
  if (training->stop_metric != NULL) {
    b->stop_metric = mle_strdup(training->stop_metric);
    if (b->stop_metric == NULL) MLE_GO(mle_nomem(err, "creating a booster"));
  }
  MLE_GO(hold_sets(b, training, err));
  MLE_GO(create(b, err));
  MLE_GO(continue_from(b, training, err));
  MLE_GO(set_parameters(b->handle, training->params, training->num_params, false, err));
  MLE_GO(name_features(b, training->columns, err));
  *out = b;
  b = NULL;
done:
  mle_booster_free(b);
  return status;
}

mle_booster *mle_booster_ref(mle_booster *booster) {
  booster->holders++;
  return booster;
}

void mle_booster_free(mle_booster *booster) {
  if (booster == NULL || --booster->holders > 0) return;
  if (booster->handle != NULL) XGBoosterFree(booster->handle);
  for (size_t i = 0; i < booster->num_evals; i++) mle_matrix_free(booster->evals[i]);
  mle_matrix_free(booster->train);
  mle_free(booster->evals);
  mle_free(booster->sets);
  mle_free(booster->set_names);
  mle_free(booster->name_texts);
  mle_free(booster->stop_metric);
  mle_free(booster->metrics);
  mle_free(booster);
}

/* ====== Rounds ====== */

static mle_status add_metric(mle_booster *b, mle_metric **out, mle_error *err) {
  if (b->num_metrics == b->metric_capacity) {
    size_t capacity = b->metric_capacity * 2 + 8;
    mle_metric *grown = mle_realloc_array(b->metrics, capacity, sizeof *grown);
    if (grown == NULL) return mle_nomem(err, "reading metrics");
    b->metrics = grown;
    b->metric_capacity = capacity;
  }
  *out = &b->metrics[b->num_metrics++];
  return MLE_OK;
}

/* "0-logloss:0.48999999999999999": the index, the metric up to the last colon, its value. */
static mle_status parse_metric(mle_booster *b, const char *text, size_t len, mle_error *err) {
  char item[160], *end;
  mle_metric *metric = NULL;
  if (len >= sizeof item) return mle_fail(err, MLE_EFORMAT, "a metric of %zu letters", len);
  memcpy(item, text, len);
  item[len] = '\0';
  unsigned long set = strtoul(item, &end, 10);
  char *colon = strrchr(item, ':');
  if (*end != '-' || colon == NULL || (size_t)(colon - end) > sizeof metric->name)
    return mle_fail(err, MLE_EFORMAT, "cannot read the metric '%s'", item);
  MLE_TRY(add_metric(b, &metric, err));
  *metric = (mle_metric){.set = set, .value = strtod(colon + 1, NULL)};
  memcpy(metric->name, end + 1, (size_t)(colon - end) - 1);
  return MLE_OK;
}

/* "[3]\t0-logloss:0.49\t0-auc:0.77\t1-logloss:0.51\t1-auc:0.75" */
static mle_status evaluate(mle_booster *b, mle_error *err) {
  const char *text;
  b->num_metrics = 0;
  if (b->num_evals == 0) return MLE_OK;
  MLE_TRY(mle_library_check(XGBoosterEvalOneIter(b->handle, b->rounds, b->sets, b->set_names,
                                                 b->num_evals, &text),
                            "evaluating", err));
  for (const char *tab = strchr(text, '\t'); tab != NULL; tab = strchr(tab + 1, '\t'))
    MLE_TRY(parse_metric(b, tab + 1, strcspn(tab + 1, "\t\n"), err));
  return MLE_OK;
}

static mle_status set_best(mle_booster *b, mle_error *err) {
  char score[MLE_REPR_TEXT], round[16];
  snprintf(round, sizeof round, "%d", b->stopping.best_round);
  mle_python_repr(b->stopping.best_score, score);
  MLE_TRY(mle_library_check(XGBoosterSetAttr(b->handle, "best_iteration", round), "training", err));
  return mle_library_check(XGBoosterSetAttr(b->handle, "best_score", score), "training", err);
}

static bool is_watched(const mle_booster *b, const mle_metric *m) {
  size_t set = b->stop_set == 0 ? b->num_evals - 1 : (size_t)b->stop_set - 1;
  return m->set == set && (b->stop_metric == NULL || strcmp(m->name, b->stop_metric) == 0);
}

/* The named metric of the named set; the last of either where there is no name. */
static const mle_metric *find_watched(const mle_booster *b) {
  for (size_t i = b->num_metrics; i-- > 0;)
    if (is_watched(b, &b->metrics[i])) return &b->metrics[i];
  return NULL;
}

static mle_status watch(mle_booster *b, const char *metric, double value, bool *out_stop,
                        mle_error *err) {
  if (!b->stops) {
    bool maximize = b->maximize < 0 ? mle_stopping_maximizes(metric) : b->maximize != 0;
    b->stopping = mle_stopping_begin(b->early_stopping_rounds, maximize);
    b->stopping.min_delta = b->min_delta;
    b->stops = true;
  }
  int round = b->before + b->rounds;
  *out_stop = mle_stopping_update(&b->stopping, round, value);
  return b->stopping.best_round == round ? set_best(b, err) : MLE_OK;
}

static mle_status look_whether_to_stop(mle_booster *b, bool *out_stop, mle_error *err) {
  const mle_metric *watched = find_watched(b);
  if (watched == NULL)
    return mle_fail(err, MLE_EINVAL,
                    "early stopping needs a set in evals and a metric to look at%s%s%s",
                    b->stop_metric == NULL ? "" : "; there is no '",
                    b->stop_metric == NULL ? "" : b->stop_metric, b->stop_metric == NULL ? "" : "'");
  return watch(b, watched->name, watched->value, out_stop, err);
}

static mle_status begin_round(mle_error *err) {
  if (mle_cancelled()) return mle_cancel_fail(err, "training");
  mle_library_enter();
  return MLE_OK;
}

mle_status mle_booster_update(mle_booster *booster, mle_error *err) {
  MLE_TRY(begin_round(err));
  return mle_library_check(
      XGBoosterUpdateOneIter(booster->handle, booster->first_iteration + booster->rounds,
                             mle_matrix_handle(booster->train)),
      "training", err);
}

mle_status mle_booster_boost(mle_booster *booster, const float *gradient, const float *hessian,
                             size_t rows, size_t width, mle_error *err) {
  mle_buffer grad = MLE_BUFFER(1024), hess = MLE_BUFFER(1024);
  mle_status status;
  MLE_TRY(begin_round(err));
  MLE_GO(mle_interface_floats(&grad, gradient, rows, width, err));
  MLE_GO(mle_interface_floats(&hess, hessian, rows, width, err));
  MLE_GO(mle_library_check(
      XGBoosterTrainOneIter(booster->handle, mle_matrix_handle(booster->train),
                            booster->first_iteration + booster->rounds, grad.data, hess.data),
      "training", err));
done:
  mle_buffer_release(&grad);
  mle_buffer_release(&hess);
  return status;
}

mle_status mle_booster_evaluate(mle_booster *booster, mle_error *err) {
  mle_library_enter();
  return evaluate(booster, err);
}

mle_status mle_booster_add_metric(mle_booster *booster, size_t set, const char *name, double value,
                                  mle_error *err) {
  mle_metric *metric;
  if (set >= booster->num_evals || strlen(name) >= sizeof metric->name)
    return mle_fail(err, MLE_EINVAL, "a metric's name has at most %zu letters", sizeof metric->name - 1);
  MLE_TRY(add_metric(booster, &metric, err));
  *metric = (mle_metric){.set = set, .value = value};
  memcpy(metric->name, name, strlen(name));
  return MLE_OK;
}

mle_status mle_booster_end_round(mle_booster *booster, bool *out_more, mle_error *err) {
  bool stop = false;
  *out_more = false;
  if (booster->early_stopping_rounds > 0) MLE_TRY(look_whether_to_stop(booster, &stop, err));
  booster->rounds++;
  *out_more = !stop && booster->rounds < booster->num_rounds;
  return MLE_OK;
}

mle_status mle_booster_round(mle_booster *booster, bool *out_more, mle_error *err) {
  *out_more = false;
  MLE_TRY(mle_booster_update(booster, err));
  MLE_TRY(mle_booster_evaluate(booster, err));
  return mle_booster_end_round(booster, out_more, err);
}

mle_status mle_booster_recall(mle_booster *booster, int round, const char *metric, double value,
                              mle_error *err) {
  bool stop;
  int before = booster->before;
  booster->before = round - booster->rounds;
  mle_status status = watch(booster, metric, value, &stop, err);
  booster->before = before;
  return status;
}

mle_status mle_booster_reset(mle_booster *booster, mle_error *err) {
  mle_library_enter();
  return mle_library_check(XGBoosterReset(booster->handle), "keeping a checkpoint", err);
}

mle_status mle_booster_set_attribute(mle_booster *booster, const char *name, const char *value,
                                     mle_error *err) {
  return mle_library_check(XGBoosterSetAttr(booster->handle, name, value), "training", err);
}

const mle_metric *mle_booster_metrics(const mle_booster *booster, size_t *out_count) {
  *out_count = booster->num_metrics;
  return booster->metrics;
}

int mle_booster_num_rounds(const mle_booster *booster) { return booster->rounds; }

int mle_booster_best_round(const mle_booster *booster) {
  return booster->stops ? booster->stopping.best_round : -1;
}

double mle_booster_best_score(const mle_booster *booster) { return booster->stopping.best_score; }

/* A slice loses the attributes. */
static mle_status keep_best_rounds(mle_booster *b, mle_error *err) {
  BoosterHandle slice;
  MLE_TRY(mle_library_check(XGBoosterSlice(b->handle, 0, b->stopping.best_round + 1, 1, &slice),
                            "keeping the best rounds", err));
  XGBoosterFree(b->handle);
  b->handle = slice;
  b->rounds = b->stopping.best_round + 1;
  return set_best(b, err);
}

mle_status mle_booster_finish(mle_booster *booster, bool keep_best, mle_error *err) {
  if (keep_best && booster->stops) MLE_TRY(keep_best_rounds(booster, err));
  return mle_library_check(XGBoosterReset(booster->handle), "ending the training", err);
}

/* ====== Models ====== */

mle_status mle_booster_save(const mle_booster *booster, const char *format, mle_buffer *out,
                            mle_error *err) {
  char config[48];
  bst_ulong len;
  const char *bytes;
  if (strcmp(format, "ubj") != 0 && strcmp(format, "json") != 0)
    return mle_fail(err, MLE_EINVAL, "a model is saved as 'ubj' or 'json', not '%s'", format);
  snprintf(config, sizeof config, "{\"format\":\"%s\"}", format);
  MLE_TRY(mle_library_check(XGBoosterSaveModelToBuffer(booster->handle, config, &len, &bytes),
                            "saving the model", err));
  return mle_buffer_append(out, bytes, len, err);
}

static mle_status load(mle_booster *b, const void *bytes, size_t len, mle_error *err) {
  MLE_TRY(mle_library_check(XGBoosterCreate(NULL, 0, &b->handle), "loading a model", err));
  return mle_library_check(XGBoosterLoadModelFromBuffer(b->handle, bytes, len), "loading a model",
                           err);
}

mle_status mle_booster_load(const void *bytes, size_t len, mle_booster **out, mle_error *err) {
  mle_model *model;
  mle_status status;
  *out = NULL;
  MLE_TRY(mle_model_parse(bytes, len, &model, err));
  mle_model_free(model);
  mle_library_enter();
  mle_booster *b = mle_calloc(1, sizeof *b);
  if (b == NULL) return mle_nomem(err, "loading a model");
  b->holders = 1;
  status = load(b, bytes, len, err);
  if (status == MLE_OK)
    *out = b;
  else
    mle_booster_free(b);
  return status;
}
