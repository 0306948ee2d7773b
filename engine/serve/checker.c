#include "engine/serve/checker.h"

#include <math.h>
#include <string.h>
#include <sys/wait.h>

#include "engine/base/alloc.h"
#include "engine/json/json.h"
#include "engine/serve/answer.h"
#include "engine/serve/child.h"

#define REPORT_MAX ((size_t)2 << 20) /* it travels over serve.sock */
#define LINE_MAX_BYTES ((size_t)64 << 10)

/* ====== In this process ====== */

mle_status mle_check_scores(const mle_served *served, const char *folder, mle_buffer *out,
                            mle_error *err) {
  mle_rows rows;
  float *scores = NULL;
  mle_status status = mle_served_example(served, folder, &rows, err);
  if (status == MLE_ENOTFOUND) return mle_buffer_puts(out, "null", err);
  if (status != MLE_OK) goto done;
  scores = mle_realloc_array(NULL, rows.count * served->width + 1, sizeof *scores);
  if (scores == NULL) {
    status = mle_nomem(err, "scoring the example");
    goto done;
  }
  MLE_GO(mle_served_score(served, rows.values, rows.count, scores, err));
  MLE_GO(mle_answer_scores(served, scores, rows.count, out, err));
done:
  mle_free(scores);
  mle_rows_release(&rows);
  return status;
}

static mle_status put_columns(const mle_features *features, mle_buffer *out, mle_error *err) {
  for (size_t i = 0; i < features->count; i++) {
    MLE_TRY(mle_buffer_puts(out, i == 0 ? "[" : ",", err));
    MLE_TRY(mle_answer_text(features->list[i].name, out, err));
  }
  return mle_buffer_puts(out, "]", err);
}

static mle_status put_value(const mle_feature *feature, float value, mle_buffer *out,
                            mle_error *err) {
  char text[MLE_NUMBER_TEXT];
  if (isnan(value)) return mle_buffer_puts(out, "null", err);
  if (feature->type == MLE_FEATURE_STRING)
    return mle_answer_text(feature->category[(size_t)value], out, err);
  return mle_buffer_puts(out, mle_float_text(value, text), err);
}

/* The example as the model sees it, null for what is missing. */
static mle_status put_rows(const mle_features *features, const mle_rows *rows, mle_buffer *out,
                           mle_error *err) {
  MLE_TRY(mle_buffer_puts(out, "[", err));
  for (size_t i = 0; i < rows->count * rows->columns; i++) {
    bool first = i % rows->columns == 0, last = (i + 1) % rows->columns == 0;
    MLE_TRY(mle_buffer_puts(out, first ? (i == 0 ? "[" : ",[") : ",", err));
    MLE_TRY(put_value(&features->list[i % rows->columns], rows->values[i], out, err));
    if (last) MLE_TRY(mle_buffer_puts(out, "]", err));
  }
  return mle_buffer_puts(out, "]", err);
}

static mle_status put_example(const mle_served *served, const char *folder, mle_buffer *out,
                              mle_error *err) {
  mle_rows rows;
  mle_status status = mle_served_example(served, folder, &rows, err);
  if (status == MLE_ENOTFOUND)
    status = mle_buffer_puts(out, "null", err);
  else if (status == MLE_OK)
    status = put_rows(&served->features, &rows, out, err);
  mle_rows_release(&rows);
  return status;
}

static mle_status put_report(const mle_served *served, const char *folder, mle_buffer *out,
                             mle_error *err) {
  MLE_TRY(mle_buffer_printf(out, err, "{\"sha256\":\"%s\",\"classifier\":%s,\"columns\":",
                            served->sha256, served->labels ? "true" : "false"));
  MLE_TRY(put_columns(&served->features, out, err));
  MLE_TRY(mle_buffer_puts(out, ",\"example\":", err));
  MLE_TRY(put_example(served, folder, out, err));
  MLE_TRY(mle_buffer_puts(out, ",\"scores\":", err));
  MLE_TRY(mle_check_scores(served, folder, out, err));
  return mle_buffer_puts(out, "}", err);
}

mle_status mle_check(const char *folder, char **out_report, mle_error *err) {
  mle_served *served;
  mle_served_facts unknown = {0};
  mle_buffer report = MLE_BUFFER(REPORT_MAX);
  *out_report = NULL;
  mle_status status;
  MLE_GO(mle_served_load(folder, &unknown, &served, err));
  MLE_GO(put_report(served, folder, &report, err));
  *out_report = mle_buffer_take(&report);
  if (*out_report == NULL) status = mle_nomem(err, "checking a model");
done:
  mle_served_release(served);
  mle_buffer_release(&report);
  return status;
}

/* ====== In a child ====== */

static mle_status fail_child(const char *folder, int code, mle_buffer *errors, mle_error *err) {
  if (WIFSIGNALED(code))
    return mle_fail(err, MLE_EFORMAT,
                    "the model in '%s' killed the process that checked it (signal %d)", folder,
                    WTERMSIG(code));
  const char *line = mle_child_last_line(errors, NULL);
  if (line != NULL) return mle_fail(err, MLE_EFORMAT, "%s", line);
  return mle_fail(err, MLE_EFORMAT, "the model in '%s' did not pass its check", folder);
}

static mle_status take_report(mle_buffer *output, char **out_report, mle_error *err) {
  while (output->len > 0 && output->data[output->len - 1] == '\n')
    output->data[--output->len] = '\0';
  *out_report = mle_buffer_take(output);
  return *out_report == NULL ? mle_nomem(err, "checking a model") : MLE_OK;
}

mle_status mle_check_in_child(const char *program, const char *folder, int timeout_ms,
                              char **out_report, mle_error *err) {
  char name[] = "mlengine", verb[] = "serve", flag[] = "--check";
  mle_buffer output = MLE_BUFFER(REPORT_MAX), errors = MLE_BUFFER(LINE_MAX_BYTES);
  int code;
  *out_report = NULL;
  char *copy = mle_strdup(folder); /* not written to; argv just is not const */
  if (copy == NULL) return mle_nomem(err, "checking a model");
  char *argv[] = {name, verb, flag, copy, NULL};
  mle_status status = mle_child_run(program, argv, timeout_ms, &output, &errors, &code, err);
  mle_free(copy);
  if (status != MLE_OK)
    mle_context(err, "checking the model in '%s'", folder);
  else
    status = code != 0 ? fail_child(folder, code, &errors, err)
                       : take_report(&output, out_report, err);
  mle_buffer_release(&output);
  mle_buffer_release(&errors);
  return status;
}
