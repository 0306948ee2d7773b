#include "engine/xgboost/score.h"

#include "engine/base/alloc.h"
#include "engine/xgboost/narrow.h"
#include "engine/xgboost/predictor.h"

#define ROWS_MIN 4096

size_t mle_scorer_width(const mle_scorer *scorer) {
  size_t outputs = mle_model_num_outputs(scorer->model);
  size_t features = mle_model_num_features(scorer->model) + 1; /* and the bias */
  switch (scorer->options.kind) {
    case MLE_PREDICT_VALUE: return mle_predictor_width(scorer->model);
    case MLE_PREDICT_MARGIN: return outputs;
    case MLE_PREDICT_INTERACTIONS: return outputs * features * features;
    case MLE_PREDICT_LEAF: return mle_model_num_trees(scorer->model);
    default: return outputs * features;
  }
}

/* ====== Batches ====== */

static mle_status score_batch(const mle_scorer *s, const mle_batch *batch, float *out,
                              mle_error *err) {
  if (s->library == NULL)
    return mle_predictor_batch(s->model, batch, s->options.kind == MLE_PREDICT_MARGIN, out, err);
  mle_batch features = *batch;
  features.num_columns = mle_model_num_features(s->model);
  return mle_booster_predict(s->library, &features, &s->options, mle_scorer_width(s), out, err);
}

static mle_status reserve(float **values, size_t *capacity, size_t rows, size_t width,
                          mle_error *err) {
  if (rows <= *capacity) return MLE_OK;
  size_t wanted = rows > ROWS_MIN ? rows : ROWS_MIN;
  float *grown = mle_realloc_array(*values, wanted, width * sizeof *grown);
  if (grown == NULL) return mle_nomem(err, "scoring rows");
  *values = grown;
  *capacity = wanted;
  return MLE_OK;
}

mle_status mle_score_stream(const mle_scorer *scorer, mle_stream *stream, mle_score_sink sink,
                            void *context, mle_error *err) {
  float *values = NULL;
  size_t capacity = 0;
  mle_status status;
  for (;;) {
    mle_batch batch;
    MLE_GO(mle_stream_next(stream, &batch, err));
    if (batch.rows == 0) break;
    MLE_GO(reserve(&values, &capacity, batch.rows, mle_scorer_width(scorer), err));
    MLE_GO(score_batch(scorer, &batch, values, err));
    MLE_GO(sink(context, values, &batch, err));
  }
done:
  mle_free(values);
  return status;
}

/* ====== All of them ====== */

static mle_status grow(mle_scores *s, size_t rows, mle_error *err) {
  if (rows <= s->capacity) return MLE_OK;
  size_t wanted = s->capacity * 2 > rows ? s->capacity * 2 : rows;
  for (size_t i = 0; i < s->width; i++) {
    float *grown = mle_realloc_array(s->column[i], wanted, sizeof *grown);
    if (grown == NULL) return mle_nomem(err, "scoring rows");
    s->column[i] = grown;
  }
  s->capacity = wanted;
  return MLE_OK;
}

static mle_status collect(void *context, const float *values, const mle_batch *batch,
                          mle_error *err) {
  mle_scores *s = context;
  MLE_TRY(grow(s, s->rows + batch->rows, err));
  for (size_t r = 0; r < batch->rows; r++)
    for (size_t i = 0; i < s->width; i++) s->column[i][s->rows + r] = values[r * s->width + i];
  s->rows += batch->rows;
  return MLE_OK;
}

mle_status mle_score_all(const mle_scorer *scorer, mle_stream *stream, mle_scores *out,
                         mle_error *err) {
  *out = (mle_scores){.width = mle_scorer_width(scorer)};
  out->column = mle_calloc(out->width, sizeof *out->column);
  if (out->column == NULL) return mle_nomem(err, "scoring rows");
  mle_status status = grow(out, 1, err); /* so that no rows are columns too */
  if (status == MLE_OK) status = mle_score_stream(scorer, stream, collect, out, err);
  if (status != MLE_OK) mle_scores_release(out);
  return status;
}

mle_status mle_scores_copy(const float *values, size_t rows, size_t width, mle_scores *out,
                           mle_error *err) {
  const mle_batch batch = {.rows = rows};
  *out = (mle_scores){.width = width};
  out->column = mle_calloc(width, sizeof *out->column);
  if (out->column == NULL) return mle_nomem(err, "scoring rows");
  mle_status status = grow(out, rows + 1, err);
  if (status == MLE_OK) status = collect(out, values, &batch, err);
  if (status != MLE_OK) mle_scores_release(out);
  return status;
}

void mle_scores_release(mle_scores *scores) {
  for (size_t i = 0; scores->column != NULL && i < scores->width; i++) mle_free(scores->column[i]);
  mle_free(scores->column);
  *scores = (mle_scores){0};
}

/* ====== Evaluation ====== */

typedef struct judge {
  mle_evaluation *evaluation;
  size_t label; /* column */
  float *labels;
  size_t capacity;
} judge;

static mle_status judge_batch(void *context, const float *values, const mle_batch *batch,
                              mle_error *err) {
  judge *j = context;
  if (batch->num_columns <= j->label) return mle_fail(err, MLE_EINVAL, "evaluating: no label came");
  MLE_TRY(reserve(&j->labels, &j->capacity, batch->rows, 1, err));
  for (size_t r = 0; r < batch->rows; r++)
    j->labels[r] = mle_narrow_value(&batch->column[j->label], r);
  return mle_evaluation_add(j->evaluation, values, j->labels, batch->rows, err);
}

mle_status mle_score_evaluate(const mle_model *model, mle_stream *stream,
                              mle_score out[MLE_SCORES_MAX], size_t *out_count, mle_error *err) {
  const mle_scorer scorer = {.model = model};
  judge j = {.label = mle_model_num_features(model)};
  mle_status status;
  *out_count = 0;
  MLE_GO(mle_evaluation_new(model, &j.evaluation, err));
  MLE_GO(mle_score_stream(&scorer, stream, judge_batch, &j, err));
  MLE_GO(mle_evaluation_finish(j.evaluation, out, out_count, err));
done:
  mle_evaluation_free(j.evaluation);
  mle_free(j.labels);
  return status;
}
