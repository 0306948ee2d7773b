/*
 * booster.h -- training on XGBoost's library, round by round.
 *
 *     MLE_GO(mle_booster_check(params, n, num_features, err));        before any row is read
 *     MLE_GO(mle_booster_new(&training, &booster, err));
 *     for (bool more = true; more;) {
 *       MLE_GO(mle_booster_round(booster, &more, err));
 *       show(mle_booster_metrics(booster, &count), count);
 *     }
 *     MLE_GO(mle_booster_finish(booster, false, err));
 *     MLE_GO(mle_booster_save(booster, "ubj", &bytes, err));
 *   done:
 *     mle_booster_free(booster);
 *
 * What xgboost.train of Python does with the same rows and parameters, to the same
 * bytes. A booster, its matrices and its predictions belong to one thread.
 */
#ifndef MLE_XGBOOST_BOOSTER_H
#define MLE_XGBOOST_BOOSTER_H

#include <stdbool.h>
#include <stddef.h>

#include "engine/base/buffer.h"
#include "engine/frame/stream.h"
#include "engine/xgboost/matrix.h"

typedef struct mle_booster mle_booster;

/* A name may stand several times (eval_metric). */
typedef struct mle_parameter {
  const char *name, *value;
} mle_parameter;

/*
 * Lets the library judge the parameters without a row; refuses what it takes and then
 * ignores (a GPU that is not there, constraints on features that are not) and what
 * is not done here (vector leaves, updating trees).
 */
mle_status mle_booster_check(const mle_parameter *params, size_t count, size_t num_features,
                             mle_error *err);

/* Names that the last check on this thread found no use for, as "a, b"; "" when none. */
const char *mle_booster_unused(void);

typedef struct mle_training {
  const mle_parameter *params;
  size_t num_params;
  const mle_matrix_options *columns; /* names and types of the features */
  mle_matrix *train;
  mle_matrix *const *evals;          /* in order; early stopping looks at the last */
  size_t num_evals;
  int num_rounds;
  int first_iteration;       /* number of the first round, for the random state; 0 */
  int early_stopping_rounds; /* 0: none */
  int maximize;              /* of the watched metric: 1, 0, or -1: by its name */
  int stop_set;              /* number of the set to watch, from 1; 0: the last */
  const char *stop_metric;   /* the metric to watch; NULL: the last */
  double min_delta;          /* less is no improvement */
  const void *start;         /* a model's bytes to continue from, or NULL; as xgb_model of Python */
  size_t start_len;
} mle_training;

/* Holds the matrices; nothing else of `training` is needed afterwards. */
mle_status mle_booster_new(const mle_training *training, mle_booster **out, mle_error *err);
mle_booster *mle_booster_ref(mle_booster *booster); /* one more free */
void mle_booster_free(mle_booster *booster); /* NULL is ignored */

/*
 * One round in its steps: update, or boost by gradients that somebody else computed (`width` values a
 * row, one row after another); evaluate; metrics of one's own, if any; the end, which may stop
 * early. *out_more: another round is to follow.
 */
mle_status mle_booster_update(mle_booster *booster, mle_error *err);
mle_status mle_booster_boost(mle_booster *booster, const float *gradient, const float *hessian,
                             size_t rows, size_t width, mle_error *err);
mle_status mle_booster_evaluate(mle_booster *booster, mle_error *err);
mle_status mle_booster_add_metric(mle_booster *booster, size_t set, const char *name, double value,
                                  mle_error *err);
mle_status mle_booster_end_round(mle_booster *booster, bool *out_more, mle_error *err);

/* Update, evaluate and end. */
mle_status mle_booster_round(mle_booster *booster, bool *out_more, mle_error *err);

/* Takes note of what was watched in a round before the first, for a training that is resumed. */
mle_status mle_booster_recall(mle_booster *booster, int round, const char *metric, double value,
                              mle_error *err);

/* Lets caches go, so that the rounds to come equal those after loading the model as it is now. */
mle_status mle_booster_reset(mle_booster *booster, mle_error *err);

/* A text in the model; NULL removes it. */
mle_status mle_booster_set_attribute(mle_booster *booster, const char *name, const char *value,
                                     mle_error *err);

/* Scores of the i-th set, or -1: the training set, as they are for gradients; until the next call. */
mle_status mle_booster_scores(mle_booster *booster, int set, bool margin, const float **out,
                              size_t *out_count, mle_error *err);

typedef struct mle_metric {
  size_t set; /* index among the evals */
  char name[64];
  double value;
} mle_metric;

/* Of the last round, all metrics of a set together; until the next round. */
const mle_metric *mle_booster_metrics(const mle_booster *booster, size_t *out_count);

int mle_booster_num_rounds(const mle_booster *booster);
int mle_booster_best_round(const mle_booster *booster); /* -1: no early stopping */
double mle_booster_best_score(const mle_booster *booster);

/* Ends training: lets caches go; `keep_best` drops the rounds after the best one. */
mle_status mle_booster_finish(mle_booster *booster, bool keep_best, mle_error *err);

/* Appends the model as "ubj" or "json". */
mle_status mle_booster_save(const mle_booster *booster, const char *format, mle_buffer *out,
                            mle_error *err);

/* A booster from a model's bytes, which the strict reader (model.h) sees first. */
mle_status mle_booster_load(const void *bytes, size_t len, mle_booster **out, mle_error *err);

/* What a prediction is, by XGBoost's numbers. */
typedef enum mle_prediction {
  MLE_PREDICT_VALUE = 0,
  MLE_PREDICT_MARGIN = 1,
  MLE_PREDICT_CONTRIBUTIONS = 2, /* of each feature, then the bias; 3: approximately */
  MLE_PREDICT_APPROX_CONTRIBUTIONS = 3,
  MLE_PREDICT_INTERACTIONS = 4,
  MLE_PREDICT_LEAF = 6
} mle_prediction;

typedef struct mle_predict_options {
  mle_prediction kind;
  int begin, end; /* rounds; 0, 0: all */
} mle_predict_options;

/*
 * Scores a batch of the features in order as Booster.predict does on a DMatrix. `out` has room for
 * rows * width floats, `width` being what the model gives per row.
 */
mle_status mle_booster_predict(mle_booster *booster, const mle_batch *batch,
                               const mle_predict_options *options, size_t width, float *out,
                               mle_error *err);

/* A feature's importance; "weight", "gain", "cover", "total_gain" or "total_cover". `add` is called
 * for each feature that is used. */
typedef void (*mle_importance_sink)(void *context, const char *feature, double value);
mle_status mle_booster_importance(mle_booster *booster, const char *kind, mle_importance_sink add,
                                  void *context, mle_error *err);

/* The trees as "text", "json" or "dot", one text each; they live until the next call. */
mle_status mle_booster_dump(mle_booster *booster, const char *format, bool with_stats,
                            const char *const **out, size_t *out_count, mle_error *err);

#endif
