#include "engine/serve/checker.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/base/alloc.h"
#include "engine/base/cancel.h"
#include "engine/base/clock.h"
#include "engine/json/json.h"
#include "engine/serve/answer.h"

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

/* The example as the model sees it, null for what is missing. */
static mle_status put_rows(const mle_rows *rows, mle_buffer *out, mle_error *err) {
  char text[MLE_NUMBER_TEXT];
  MLE_TRY(mle_buffer_puts(out, "[", err));
  for (size_t i = 0; i < rows->count * rows->columns; i++) {
    float value = rows->values[i];
    bool first = i % rows->columns == 0, last = (i + 1) % rows->columns == 0;
    MLE_TRY(mle_buffer_puts(out, first ? (i == 0 ? "[" : ",[") : ",", err));
    MLE_TRY(mle_buffer_puts(out, isnan(value) ? "null" : mle_float_text(value, text), err));
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
    status = put_rows(&rows, out, err);
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

typedef struct child {
  pid_t pid;
  int out, err; /* our ends of its standard output and error */
} child;

/* `folder` is not written to; posix_spawn's argv just is not const. */
static mle_status spawn(const char *program, char *folder, child *out, mle_error *err) {
  int output[2] = {-1, -1}, errors[2] = {-1, -1};
  char name[] = "mlengine", verb[] = "serve", flag[] = "--check";
  char *argv[] = {name, verb, flag, folder, NULL};
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  int code = pipe2(output, O_CLOEXEC) != 0 || pipe2(errors, O_CLOEXEC) != 0 ? errno : 0;
  if (code == 0) {
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, output[1], 1);
    posix_spawn_file_actions_adddup2(&actions, errors[1], 2);
    posix_spawn_file_actions_addclosefrom_np(&actions, 3);
    code = posix_spawn(&out->pid, program, &actions, NULL, argv, environ);
  }
  posix_spawn_file_actions_destroy(&actions);
  if (output[1] >= 0) close(output[1]);
  if (errors[1] >= 0) close(errors[1]);
  out->out = output[0];
  out->err = errors[0];
  if (code == 0) return MLE_OK;
  if (output[0] >= 0) close(output[0]);
  if (errors[0] >= 0) close(errors[0]);
  return mle_fail(err, MLE_EIO, "cannot start '%s' to check a model: %s", program, strerror(code));
}

/* Takes what there is; false at the end of the stream. More than fits is dropped. */
static bool drain(int fd, mle_buffer *into) {
  char bytes[4096];
  ssize_t got = read(fd, bytes, sizeof bytes);
  if (got < 0) return errno == EINTR;
  if (got > 0) mle_buffer_append(into, bytes, (size_t)got, NULL);
  return got > 0;
}

static mle_status collect(const child *c, int64_t deadline_ns, mle_buffer *output,
                          mle_buffer *errors, mle_error *err) {
  struct pollfd item[2] = {{c->out, POLLIN, 0}, {c->err, POLLIN, 0}};
  while (item[0].fd >= 0 || item[1].fd >= 0) {
    if (mle_cancelled()) return mle_cancel_fail(err, "checking a model");
    if (mle_monotonic_ns() > deadline_ns)
      return mle_fail(err, MLE_ETIMEOUT, "it took too long");
    if (poll(item, 2, 100) <= 0) continue;
    if (item[0].revents != 0 && !drain(c->out, output)) item[0].fd = -1;
    if (item[1].revents != 0 && !drain(c->err, errors)) item[1].fd = -1;
  }
  return MLE_OK;
}

static int reap(pid_t pid) {
  int code;
  while (waitpid(pid, &code, 0) < 0 && errno == EINTR) continue;
  return code;
}

/* The child's last line, without the program's name. */
static mle_status fail_child(const char *folder, int code, mle_buffer *errors, mle_error *err) {
  char *text = errors->data;
  if (WIFSIGNALED(code))
    return mle_fail(err, MLE_EFORMAT,
                    "the model in '%s' killed the process that checked it (signal %d)", folder,
                    WTERMSIG(code));
  if (text == NULL)
    return mle_fail(err, MLE_EFORMAT, "the model in '%s' did not pass its check", folder);
  while (errors->len > 0 && text[errors->len - 1] == '\n') text[--errors->len] = '\0';
  const char *line = strrchr(text, '\n');
  line = line == NULL ? text : line + 1;
  static const char prefix[] = "mlengine: ";
  if (strncmp(line, prefix, strlen(prefix)) == 0) line += strlen(prefix);
  return mle_fail(err, MLE_EFORMAT, "%s", line);
}

static mle_status take_report(mle_buffer *output, char **out_report, mle_error *err) {
  while (output->len > 0 && output->data[output->len - 1] == '\n')
    output->data[--output->len] = '\0';
  *out_report = mle_buffer_take(output);
  return *out_report == NULL ? mle_nomem(err, "checking a model") : MLE_OK;
}

mle_status mle_check_in_child(const char *program, const char *folder, int timeout_ms,
                              char **out_report, mle_error *err) {
  child c;
  mle_buffer output = MLE_BUFFER(REPORT_MAX), errors = MLE_BUFFER(LINE_MAX_BYTES);
  *out_report = NULL;
  char *copy = mle_strdup(folder);
  mle_status status = copy == NULL ? mle_nomem(err, "checking a model")
                                   : spawn(program, copy, &c, err);
  mle_free(copy);
  if (status != MLE_OK) return status;
  status = collect(&c, mle_monotonic_ns() + (int64_t)timeout_ms * 1000000, &output, &errors, err);
  if (status != MLE_OK) kill(c.pid, SIGKILL);
  int code = reap(c.pid);
  close(c.out);
  close(c.err);
  if (status != MLE_OK)
    mle_context(err, "checking the model in '%s'", folder);
  else
    status = code != 0 ? fail_child(folder, code, &errors, err)
                       : take_report(&output, out_report, err);
  mle_buffer_release(&output);
  mle_buffer_release(&errors);
  return status;
}
