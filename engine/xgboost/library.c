/*
 * Its texts look like "[04:17:55] WARNING: /workspace/src/learner.cc:782: \nParameters:
 * { "max_depht" } are not used.\n" and "[04:17:55] /workspace/src/x.cc:114: Check failed:
 * is_valid: base_score must be in (0,1).\nStack trace:\n  [bt] ...". Shown is what is
 * left of the first line that says something.
 */
#include "engine/xgboost/library.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xgboost/c_api.h>

#include "engine/base/log.h"

#define UNUSED_MAX 512

static _Thread_local char unused[UNUSED_MAX];
static _Thread_local bool lost_device;

/* ====== Cleaning ====== */

static const char *skip_time(const char *text) {
  if (text[0] != '[' || strlen(text) < 11 || text[9] != ']') return text;
  return text + 11;
}

static const char *skip_level(const char *text) {
  static const char *const levels[] = {"WARNING: ", "INFO: ", "DEBUG: "};
  for (size_t i = 0; i < sizeof levels / sizeof *levels; i++)
    if (strncmp(text, levels[i], strlen(levels[i])) == 0) return text + strlen(levels[i]);
  return text;
}

/* "/workspace/src/learner.cc:782: " */
static const char *skip_place(const char *text) {
  const char *colon = text[0] == '/' ? strchr(text, ':') : NULL;
  if (colon == NULL) return text;
  const char *end = colon + 1 + strspn(colon + 1, "0123456789");
  return end > colon + 1 && *end == ':' ? end + 1 + strspn(end + 1, " \n") : text;
}

/* "Check failed: <condition>: " when something follows it on the line. */
static const char *skip_check(const char *text) {
  static const char mark[] = "Check failed: ";
  if (strncmp(text, mark, sizeof mark - 1) != 0) return text;
  const char *end = text + strcspn(text, "\n");
  for (const char *at = text + sizeof mark - 1; at + 2 < end; at++)
    if (at[0] == ':' && at[1] == ' ' && at[-1] != ':') return at + 2;
  return text;
}

static const char *cleaned(const char *text, int *out_len) {
  text = skip_check(skip_place(skip_level(skip_time(text))));
  *out_len = (int)strcspn(text, "\n");
  while (*out_len > 0 && text[*out_len - 1] == ' ') --*out_len;
  return text;
}

/* ====== The log ====== */

/* Parameters: { "max_depht", "n_estimators" } are not used. */
static bool note_unused(const char *text) {
  const char *open = strstr(text, "Parameters: {"), *close = strstr(text, "} are not used");
  if (open == NULL || close == NULL) return false;
  size_t len = strlen(unused);
  if (len > 0 && len + 2 < UNUSED_MAX) len += (size_t)snprintf(unused + len, 3, ", ");
  for (const char *c = strchr(open, '{') + 1; c < close && len + 1 < UNUSED_MAX; c++)
    if (*c != '"' && !(*c == ' ' && (c[-1] == '{' || c + 1 == close))) unused[len++] = *c;
  unused[len] = '\0';
  return true;
}

/* Called by the library, so nothing here may jump out. */
static void take_line(const char *text) {
  int len;
  if (note_unused(text)) return;
  if (strstr(text, "Device is changed from GPU to CPU") != NULL) {
    lost_device = true;
    return;
  }
  bool warning = strstr(text, "WARNING: ") != NULL;
  const char *line = cleaned(text, &len);
  if (len > 0) mle_log(warning ? MLE_WARN : MLE_INFO, "xgboost: %.*s", len, line);
}

void mle_library_enter(void) {
  static _Thread_local bool entered;
  if (entered) return;
  XGBRegisterLogCallback(take_line);
  entered = true;
}

void mle_library_forget(void) {
  unused[0] = '\0';
  lost_device = false;
}

const char *mle_library_unused(void) { return unused; }
bool mle_library_lost_device(void) { return lost_device; }

/* ====== Errors, facts ====== */

mle_status mle_library_check(int rc, const char *doing, mle_error *err) {
  int len;
  if (rc == 0) return MLE_OK;
  const char *text = XGBGetLastError();
  bool memory = strstr(text, "bad_alloc") != NULL || strstr(text, "bad_malloc") != NULL;
  text = cleaned(text, &len);
  return mle_fail(err, memory ? MLE_ENOMEM : MLE_EINVAL, "%s: XGBoost: %.*s", doing, len, text);
}

bool mle_library_has_cuda(void) {
  const char *json;
  return XGBuildInfo(&json) == 0 && strstr(json, "\"USE_CUDA\":true") != NULL;
}

const char *mle_library_version(void) {
  static _Thread_local char text[32];
  int major, minor, patch;
  XGBoostVersion(&major, &minor, &patch);
  snprintf(text, sizeof text, "%d.%d.%d", major, minor, patch);
  return text;
}
