#include "engine/mlflow/rules.h"

#include <ctype.h>
#include <string.h>

#include "engine/mlflow/store.h"

#define KEY_MAX 250
#define NAME_MAX_CHARACTERS 256

/* Bytes of the UTF-8 character at `at`, 0 when there is none (RFC 3629, section 4). */
static int character_size(const unsigned char *at) {
  if (at[0] < 0x80) return 1;
  int size = at[0] >= 0xF0 ? 4 : at[0] >= 0xE0 ? 3 : 2;
  unsigned char low = at[0] == 0xE0 ? 0xA0 : at[0] == 0xF0 ? 0x90 : 0x80;
  unsigned char high = at[0] == 0xED ? 0x9F : at[0] == 0xF4 ? 0x8F : 0xBF;
  if (at[0] < 0xC2 || at[0] > 0xF4 || at[1] < low || at[1] > high) return 0;
  for (int i = 2; i < size; i++)
    if ((at[i] & 0xC0) != 0x80) return 0;
  return size;
}

/* Bytes that the first `max` characters take; -1 when the text is not UTF-8. */
static long bytes_of(const char *text, long max, long *out_characters) {
  const unsigned char *at = (const unsigned char *)text;
  long cut = -1, count = 0;
  for (int size; *at != '\0'; at += size, count++) {
    if (count == max) cut = (long)(at - (const unsigned char *)text);
    size = character_size(at);
    if (size == 0) return -1;
  }
  *out_characters = count;
  return cut >= 0 ? cut : (long)(at - (const unsigned char *)text);
}

long mle_mlflow_characters(const char *text) {
  long count;
  return bytes_of(text, -1, &count) < 0 ? -1 : count;
}

mle_status mle_mlflow_check_text(const char *what, const char *text, long max, mle_error *err) {
  if (text == NULL) return mle_fail(err, MLE_EINVAL, "%s is missing", what);
  long count = mle_mlflow_characters(text);
  if (count < 0) return mle_fail(err, MLE_EINVAL, "%s is not valid UTF-8", what);
  if (count > max)
    return mle_fail(err, MLE_EINVAL, "%s has %ld characters; MLflow keeps at most %ld", what, count,
                    max);
  return MLE_OK;
}

mle_status mle_mlflow_cut_value(const char *what, const char *value, long max, mle_arena *memory,
                                const char **out, mle_error *err) {
  long count;
  *out = "";
  if (value == NULL) return MLE_OK;
  long bytes = bytes_of(value, max, &count);
  if (bytes < 0) return mle_fail(err, MLE_EINVAL, "%s is not valid UTF-8", what);
  char *copy = mle_arena_alloc(memory, (size_t)bytes + 1);
  if (copy == NULL) return mle_nomem(err, what);
  *out = memcpy(copy, value, (size_t)bytes);
  return MLE_OK;
}

/* Letters of any script are let through: each byte above ASCII counts as one. */
static bool is_key_character(unsigned char c) {
  return c >= 0x80 || isalnum(c) || strchr("_-. :/", c) != NULL;
}

/* MLflow treats a key as a path that must already be in its simplest form. */
static bool is_simple_path(const char *path) {
  for (const char *part = path;; part++) {
    size_t len = strcspn(part, "/");
    if (len == 0 || (len == 1 && part[0] == '.') || (len == 2 && memcmp(part, "..", 2) == 0))
      return false;
    part += len;
    if (*part == '\0') return true;
  }
}

static mle_status check_name_text(const char *what, const char *name, long max, mle_error *err) {
  mle_status status = mle_mlflow_check_text("its name", name, max, err);
  if (status != MLE_OK) mle_context(err, "%s '%.60s'", what, name);
  return status;
}

mle_status mle_mlflow_check_key(const char *what, const char *key, mle_error *err) {
  if (key == NULL || *key == '\0') return mle_fail(err, MLE_EINVAL, "a %s needs a name", what);
  MLE_TRY(check_name_text(what, key, KEY_MAX, err));
  for (const char *c = key; *c != '\0'; c++)
    if (!is_key_character((unsigned char)*c))
      return mle_fail(err, MLE_EINVAL,
                      "%s '%s': a name holds letters, digits, spaces and _ - . : / only", what, key);
  if (!is_simple_path(key))
    return mle_fail(err, MLE_EINVAL,
                    "%s '%s': a name neither begins nor ends with '/', and holds no '//' or '..'",
                    what, key);
  return MLE_OK;
}

static mle_status check_name(const char *what, const char *name, const char *forbidden,
                             mle_error *err) {
  if (name == NULL || *name == '\0') return mle_fail(err, MLE_EINVAL, "a %s needs a name", what);
  MLE_TRY(check_name_text(what, name, NAME_MAX_CHARACTERS, err));
  if (strpbrk(name, forbidden) != NULL)
    return mle_fail(err, MLE_EINVAL, "%s '%s': a name holds none of %s", what, name, forbidden);
  return MLE_OK;
}

mle_status mle_mlflow_cut_pairs(const char *what, long max, mle_mlflow_pairs *pairs,
                                mle_arena *memory, mle_error *err) {
  mle_mlflow_pair *cut = mle_arena_alloc(memory, (pairs->count + 1) * sizeof *cut);
  if (cut == NULL) return mle_nomem(err, "checking tags and params");
  for (size_t i = 0; i < pairs->count; i++)
    MLE_TRY(mle_mlflow_check_key(what, pairs->item[i].key, err));
  for (size_t i = 0; i < pairs->count; i++) {
    const mle_mlflow_pair *pair = &pairs->item[i];
    cut[i].key = pair->key;
    mle_status status =
        mle_mlflow_cut_value("its value", pair->value, max, memory, &cut[i].value, err);
    if (status != MLE_OK) mle_context(err, "%s '%s'", what, pair->key);
    MLE_TRY(status);
  }
  pairs->item = cut;
  return MLE_OK;
}

mle_status mle_mlflow_check_experiment_name(const char *name, mle_error *err) {
  MLE_TRY(mle_mlflow_check_text("an experiment's name", name, 256, err));
  if (*name == '\0') return mle_fail(err, MLE_EINVAL, "an experiment needs a name");
  return MLE_OK;
}

mle_status mle_mlflow_check_model_name(const char *name, mle_error *err) {
  return check_name("registered model", name, "/:", err);
}

mle_status mle_mlflow_check_logged_name(const char *name, mle_error *err) {
  MLE_TRY(check_name("logged model", name, "/:.%\"'", err));
  return mle_mlflow_check_artifact_path(name, err);
}

static bool is_version_like(const char *alias) {
  if (alias[0] != 'v' && alias[0] != 'V') return false;
  return alias[1] != '\0' && alias[1 + strspn(alias + 1, "0123456789")] == '\0';
}

mle_status mle_mlflow_check_alias(const char *alias, mle_error *err) {
  if (alias == NULL || *alias == '\0') return mle_fail(err, MLE_EINVAL, "an alias needs a name");
  MLE_TRY(mle_mlflow_check_text("an alias", alias, NAME_MAX_CHARACTERS - 1, err));
  for (const char *c = alias; *c != '\0'; c++)
    if ((unsigned char)*c >= 0x80 || (!isalnum((unsigned char)*c) && *c != '_' && *c != '-'))
      return mle_fail(err, MLE_EINVAL, "alias '%s': letters, digits, _ and - only", alias);
  if (strcasecmp(alias, "latest") == 0 || is_version_like(alias))
    return mle_fail(err, MLE_EINVAL, "alias '%s' is reserved by MLflow", alias);
  return MLE_OK;
}

mle_status mle_mlflow_check_status(const char *status, mle_error *err) {
  static const char *const known[] = {MLE_MLFLOW_RUNNING, "SCHEDULED", MLE_MLFLOW_FINISHED,
                                      MLE_MLFLOW_FAILED, MLE_MLFLOW_KILLED};
  for (size_t i = 0; i < sizeof known / sizeof *known; i++)
    if (strcmp(status, known[i]) == 0) return MLE_OK;
  return mle_fail(err, MLE_EINVAL, "a run cannot be '%s'; it is RUNNING, FINISHED, FAILED or KILLED",
                  status);
}

mle_status mle_mlflow_check_artifact_path(const char *path, mle_error *err) {
  MLE_TRY(mle_mlflow_check_text("an artifact path", path, 1000, err));
  if (is_simple_path(path)) return MLE_OK;
  return mle_fail(err, MLE_EINVAL,
                  "artifact path '%s' must stay inside its folder: relative, without '..'", path);
}
