#include "engine/serve/answer.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/base/hash.h"
#include "engine/json/json.h"

/* ====== Texts ====== */

static mle_status put_escaped(unsigned char c, mle_buffer *out, mle_error *err) {
  char escape[8];
  if (c == '"' || c == '\\')
    snprintf(escape, sizeof escape, "\\%c", c);
  else
    snprintf(escape, sizeof escape, "\\u%04x", c);
  return mle_buffer_puts(out, escape, err);
}

/* Bytes of the valid character at `at`, 0 when it is none. */
static size_t character_at(const char *at) {
  for (size_t len = 1; len <= 4; len++) {
    if (at[len - 1] == '\0') return 0;
    if (mle_utf8_valid(at, len)) return len;
  }
  return 0;
}

mle_status mle_answer_text(const char *text, mle_buffer *out, mle_error *err) {
  MLE_TRY(mle_buffer_append(out, "\"", 1, err));
  while (*text != '\0') {
    unsigned char c = (unsigned char)*text;
    size_t len = c < 0x80 ? 1 : character_at(text);
    if (c < 0x20 || c == '"' || c == '\\')
      MLE_TRY(put_escaped(c, out, err));
    else
      MLE_TRY(mle_buffer_append(out, len == 0 ? "\xEF\xBF\xBD" : text, len == 0 ? 3 : len, err));
    text += len == 0 ? 1 : len;
  }
  return mle_buffer_append(out, "\"", 1, err);
}

/* ====== Scores ====== */

/* MLflow prints scores as doubles, V2 as floats; labels are whole, and look alike. */
typedef enum form { AS_DOUBLE, AS_FLOAT } form;

static void score_text(float score, form as, char out[MLE_NUMBER_TEXT]) {
  if (!isfinite(score))
    strcpy(out, "null");
  else if (as == AS_DOUBLE)
    mle_double_text((double)score, out);
  else
    mle_float_text(score, out);
}

static mle_status put_scores(const float *scores, size_t count, form as, mle_buffer *out,
                             mle_error *err) {
  char text[1 + MLE_NUMBER_TEXT] = ",";
  MLE_TRY(mle_buffer_append(out, "[", 1, err));
  for (size_t i = 0; i < count; i++) {
    score_text(scores[i], as, text + 1);
    MLE_TRY(mle_buffer_puts(out, i == 0 ? text + 1 : text, err));
  }
  return mle_buffer_append(out, "]", 1, err);
}

mle_status mle_answer_scores(const mle_served *served, const float *scores, size_t rows,
                             mle_buffer *out, mle_error *err) {
  if (served->width == 1) return put_scores(scores, rows, AS_DOUBLE, out, err);
  for (size_t i = 0; i < rows; i++) {
    MLE_TRY(mle_buffer_append(out, i == 0 ? "[" : ",", 1, err));
    MLE_TRY(put_scores(scores + i * served->width, served->width, AS_DOUBLE, out, err));
  }
  return mle_buffer_puts(out, rows == 0 ? "[]" : "]", err);
}

mle_status mle_answer_predictions(const mle_served *served, const float *scores, size_t rows,
                                  mle_buffer *out, mle_error *err) {
  MLE_TRY(mle_buffer_puts(out, "{\"predictions\":", err));
  MLE_TRY(mle_answer_scores(served, scores, rows, out, err));
  return mle_buffer_append(out, "}", 1, err);
}

mle_status mle_answer_cml(const mle_served *served, const float *scores, size_t rows,
                          mle_buffer *out, mle_error *err) {
  char uuid[MLE_UUID_TEXT];
  MLE_TRY(mle_buffer_printf(out, err, "{\"success\":true,\"response\":{\"uuid\":\"%s\","
                                      "\"prediction\":", mle_uuid(uuid)));
  MLE_TRY(mle_answer_scores(served, scores, rows, out, err));
  return mle_buffer_puts(out, "}}", err);
}

/* FP32 as they are, labels as INT64. */
static mle_status put_binary(const mle_served *served, const float *scores, size_t count,
                             mle_buffer *out, mle_error *err) {
  if (!served->labels) return mle_buffer_append(out, scores, count * sizeof *scores, err);
  for (size_t i = 0; i < count; i++) {
    int64_t label = (int64_t)scores[i];
    MLE_TRY(mle_buffer_append(out, &label, sizeof label, err));
  }
  return MLE_OK;
}

static mle_status put_v2_head(const mle_served *served, const char *name, const char *id,
                              size_t rows, mle_buffer *out, mle_error *err) {
  MLE_TRY(mle_buffer_puts(out, "{\"model_name\":", err));
  MLE_TRY(mle_answer_text(name, out, err));
  if (served->facts.version != NULL) {
    MLE_TRY(mle_buffer_puts(out, ",\"model_version\":", err));
    MLE_TRY(mle_answer_text(served->facts.version, out, err));
  }
  if (*id != '\0') MLE_TRY(mle_buffer_printf(out, err, ",\"id\":\"%s\"", id));
  MLE_TRY(mle_buffer_printf(out, err, ",\"outputs\":[{\"name\":\"" MLE_V2_OUTPUT
                                      "\",\"datatype\":\"%s\",\"shape\":[%zu",
                            served->labels ? "INT64" : "FP32", rows));
  if (served->width > 1) MLE_TRY(mle_buffer_printf(out, err, ",%zu", served->width));
  return mle_buffer_append(out, "]", 1, err);
}

mle_status mle_answer_v2(const mle_served *served, const char *name, const mle_v2_request *request,
                         const float *scores, size_t rows, mle_buffer *out, size_t *out_json_len,
                         mle_error *err) {
  size_t count = rows * served->width;
  *out_json_len = 0;
  MLE_TRY(put_v2_head(served, name, request->id, rows, out, err));
  if (!request->binary_output) {
    MLE_TRY(mle_buffer_puts(out, ",\"data\":", err));
    MLE_TRY(put_scores(scores, count, AS_FLOAT, out, err));
    return mle_buffer_puts(out, "}]}", err);
  }
  size_t size = count * (served->labels ? sizeof(int64_t) : sizeof(float));
  MLE_TRY(mle_buffer_printf(out, err, ",\"parameters\":{\"binary_data_size\":%zu}}]}", size));
  *out_json_len = out->len;
  return put_binary(served, scores, count, out, err);
}

/* ====== Failures ====== */

int mle_answer_status(const mle_error *err) {
  switch (err->status) {
    case MLE_EINVAL:
    case MLE_EFORMAT: return 400;
    case MLE_ENOTFOUND: return 404;
    case MLE_EREFUSED: return 413;
    case MLE_EUNSUPPORTED: return 415;
    case MLE_ENOMEM: return 503;
    default: return 500;
  }
}

static const char *error_code(int status) {
  switch (status) {
    case 401: return "UNAUTHENTICATED";
    case 403: return "PERMISSION_DENIED";
    case 404: return "RESOURCE_DOES_NOT_EXIST";
    case 409: return "RESOURCE_CONFLICT";
    case 429: return "REQUEST_LIMIT_EXCEEDED";
    case 503: return "TEMPORARILY_UNAVAILABLE";
    case 500: return "INTERNAL_ERROR";
    default: return "BAD_REQUEST";
  }
}

static mle_status put_error_head(int status, mle_protocol protocol, mle_buffer *out) {
  switch (protocol) {
    case MLE_PROTOCOL_V2: return mle_buffer_puts(out, "{\"error\":", NULL);
    case MLE_PROTOCOL_CML: return mle_buffer_puts(out, "{\"success\":false,\"error\":", NULL);
    default:
      return mle_buffer_printf(out, NULL, "{\"error_code\":\"%s\",\"message\":",
                               error_code(status));
  }
}

void mle_answer_error(mle_http_answer *answer, int status, mle_protocol protocol,
                      const char *message) {
  mle_buffer *out = &answer->body;
  mle_buffer_clear(out);
  answer->status = status;
  answer->content_type = "application/json";
  mle_status made = put_error_head(status, protocol, out);
  if (made == MLE_OK) made = mle_answer_text(message, out, NULL);
  if (made == MLE_OK) made = mle_buffer_append(out, "}", 1, NULL);
  if (made != MLE_OK) mle_buffer_release(out); /* the status must say it */
  if (status == 503 || status == 429) mle_http_answer_header(answer, "Retry-After", "1");
}
