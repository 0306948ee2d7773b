/*
 * answer.h -- what the protocols answer, as text.
 *
 * Scores are float32; MLflow's answers print them as the double they are, V2's as the
 * shortest text of a float32. A score that is no finite number prints as null.
 */
#ifndef MLE_ANSWER_H
#define MLE_ANSWER_H

#include "engine/http/server.h"
#include "engine/serve/meter.h"
#include "engine/serve/served.h"
#include "engine/serve/v2.h"

/* [0.5,0.25], or a list per row when a row's answer has several values. */
mle_status mle_answer_scores(const mle_served *served, const float *scores, size_t rows,
                             mle_buffer *out, mle_error *err);

/* {"predictions":[0.5,0.25]} */
mle_status mle_answer_predictions(const mle_served *served, const float *scores, size_t rows,
                                  mle_buffer *out, mle_error *err);

/* {"success":true,"response":{"uuid":...,"prediction":[0.5,0.25]}} */
mle_status mle_answer_cml(const mle_served *served, const float *scores, size_t rows,
                          mle_buffer *out, mle_error *err);

/* {"model_name":...,"model_version":...,"id":...,"outputs":[...]}, and the scores behind it when
 * the request wants them binary; `out_json_len` is where they begin. */
mle_status mle_answer_v2(const mle_served *served, const char *name, const mle_v2_request *request,
                         const float *scores, size_t rows, mle_buffer *out, size_t *out_json_len,
                         mle_error *err);

/* A text in quotes; what is not UTF-8 becomes U+FFFD. */
mle_status mle_answer_text(const char *text, mle_buffer *out, mle_error *err);

/* 400, 404, 413, 415, 500 or 503 for a failure while answering. */
int mle_answer_status(const mle_error *err);

/* Replaces the body by {"error_code":...,"message":...} (MLflow), {"error":...} (V2) or
 * {"success":false,"error":...} (CML). */
void mle_answer_error(mle_http_answer *answer, int status, mle_protocol protocol,
                      const char *message);

#endif
