#include "engine/json/json.h"

#include <cjson/cJSON.h>
#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/base/buffer.h"
#include "engine/json/parse.h"

static pthread_once_t hooked = PTHREAD_ONCE_INIT;

static void hook_allocator(void) {
  cJSON_Hooks hooks = {mle_alloc, mle_free};
  cJSON_InitHooks(&hooks);
}

/* ====== Documents ====== */

mle_status mle_json_parse(const char *text, size_t len, mle_json **out, mle_error *err) {
  return mle_json_parse_text(text, len, out, err);
}

void mle_json_free(mle_json *doc) {
  if (doc != NULL && (doc->type & MLE_JSON_PARSED) != 0)
    mle_json_parsed_free(doc);
  else
    cJSON_Delete(doc);
}

/* ====== Places ====== */

static bool is_type(const cJSON *node, int type) { return node != NULL && (node->type & 0xFF) == type; }

static bool is_container(const cJSON *node) { return is_type(node, cJSON_Object) || is_type(node, cJSON_Array); }

mle_json_at mle_json_root(const mle_json *doc) { return (mle_json_at){.node = doc}; }

static void write_path(const mle_json_at *at, mle_buffer *out) {
  if (at->up == NULL) {
    mle_buffer_puts(out, "$", NULL);
    return;
  }
  write_path(at->up, out);
  if (at->key != NULL)
    mle_buffer_printf(out, NULL, ".%s", at->key);
  else
    mle_buffer_printf(out, NULL, "[%d]", at->index);
}

mle_status mle_json_fail(const mle_json_at *at, mle_error *err, const char *fmt, ...) {
  char what[512];
  va_list args;
  va_start(args, fmt);
  vsnprintf(what, sizeof what, fmt, args);
  va_end(args);
  mle_buffer path = MLE_BUFFER(400);
  write_path(at, &path);
  mle_status status =
      mle_fail(err, MLE_EFORMAT, "%s: %s", path.data == NULL ? "$" : path.data, what);
  mle_buffer_release(&path);
  return status;
}

bool mle_json_find(const mle_json_at *at, const char *key, mle_json_at *out) {
  const cJSON *node = is_type(at->node, cJSON_Object) ? at->node->child : NULL;
  while (node != NULL && !mle_json_same_key(node->string, key)) node = node->next;
  *out = (mle_json_at){.node = node, .up = at, .key = key};
  return node != NULL;
}

bool mle_json_first(const mle_json_at *at, mle_json_at *item) {
  const cJSON *child = is_container(at->node) ? at->node->child : NULL;
  *item = (mle_json_at){.node = child, .up = at};
  if (child != NULL && is_type(at->node, cJSON_Object)) item->key = child->string;
  return child != NULL;
}

bool mle_json_next(mle_json_at *item) {
  item->node = item->node->next;
  item->index++;
  if (item->node != NULL && item->key != NULL) item->key = item->node->string;
  return item->node != NULL;
}

int mle_json_count(const mle_json_at *at) {
  return is_container(at->node) ? at->node->valueint : 0;
}

/* ====== Values ====== */

/* An integer that a double may not hold has its text. */
static bool is_long(const cJSON *node) { return is_type(node, cJSON_Number) && node->valuestring != NULL; }

/* Down from zero, for there is one negative number more. */
static bool read_long(const char *text, int64_t *out) {
  bool negative = *text == '-';
  int64_t value = 0;
  for (text += negative; *text != '\0'; text++)
    if (__builtin_mul_overflow(value, 10, &value) || __builtin_sub_overflow(value, *text - '0', &value)) return false;
  if (!negative && value == INT64_MIN) return false;
  *out = negative ? value : -value;
  return true;
}

static bool read_int(const cJSON *node, int64_t *out) {
  if (!is_type(node, cJSON_Number)) return false;
  if (is_long(node)) return read_long(node->valuestring, out);
  double value = node->valuedouble;
  if (!(value >= -9007199254740992.0 && value <= 9007199254740992.0)) return false;
  *out = (int64_t)value;
  return (double)*out == value;
}

bool mle_json_is_object(const mle_json_at *at) { return is_type(at->node, cJSON_Object); }
bool mle_json_is_array(const mle_json_at *at) { return is_type(at->node, cJSON_Array); }
bool mle_json_is_text(const mle_json_at *at) { return is_type(at->node, cJSON_String); }
bool mle_json_is_int(const mle_json_at *at) {
  int64_t value;
  return read_int(at->node, &value);
}
bool mle_json_is_number(const mle_json_at *at) { return is_type(at->node, cJSON_Number); }
bool mle_json_is_bool(const mle_json_at *at) { return cJSON_IsBool(at->node); }
bool mle_json_is_null(const mle_json_at *at) { return is_type(at->node, cJSON_NULL); }
bool mle_json_true(const mle_json_at *at) { return cJSON_IsTrue(at->node); }

mle_status mle_json_text(const mle_json_at *at, const char **out, mle_error *err) {
  *out = NULL;
  if (!mle_json_is_text(at)) return mle_json_fail(at, err, "must be a string");
  *out = at->node->valuestring;
  return MLE_OK;
}

mle_status mle_json_int(const mle_json_at *at, int64_t *out, mle_error *err) {
  *out = 0;
  if (read_int(at->node, out)) return MLE_OK;
  return mle_json_fail(at, err, "must be a whole number of 64 bits");
}

mle_status mle_json_double(const mle_json_at *at, double *out, mle_error *err) {
  *out = 0;
  if (!mle_json_is_number(at)) return mle_json_fail(at, err, "must be a number");
  *out = at->node->valuedouble;
  return MLE_OK;
}

/* ====== Members ====== */

static mle_status must_find(const mle_json_at *at, const char *key, mle_json_at *out,
                            mle_error *err) {
  if (!mle_json_is_object(at)) return mle_json_fail(at, err, "must be an object");
  if (mle_json_find(at, key, out)) return MLE_OK;
  return mle_json_fail(at, err, "\"%s\" is missing", key);
}

/* Absent and null mean the same to the opt_ getters. */
static bool has_value(const mle_json_at *at, const char *key, mle_json_at *out) {
  return mle_json_find(at, key, out) && !mle_json_is_null(out);
}

mle_status mle_json_get_object(const mle_json_at *at, const char *key, mle_json_at *out, mle_error *err) {
  MLE_TRY(must_find(at, key, out, err));
  return mle_json_is_object(out) ? MLE_OK : mle_json_fail(out, err, "must be an object");
}

mle_status mle_json_get_array(const mle_json_at *at, const char *key, mle_json_at *out, mle_error *err) {
  MLE_TRY(must_find(at, key, out, err));
  return mle_json_is_array(out) ? MLE_OK : mle_json_fail(out, err, "must be an array");
}

mle_status mle_json_get_text(const mle_json_at *at, const char *key, const char **out, mle_error *err) {
  mle_json_at member;
  *out = NULL;
  MLE_TRY(must_find(at, key, &member, err));
  return mle_json_text(&member, out, err);
}

mle_status mle_json_get_int(const mle_json_at *at, const char *key, int64_t *out, mle_error *err) {
  mle_json_at member;
  *out = 0;
  MLE_TRY(must_find(at, key, &member, err));
  return mle_json_int(&member, out, err);
}

mle_status mle_json_get_double(const mle_json_at *at, const char *key, double *out, mle_error *err) {
  mle_json_at member;
  *out = 0;
  MLE_TRY(must_find(at, key, &member, err));
  return mle_json_double(&member, out, err);
}

mle_status mle_json_get_bool(const mle_json_at *at, const char *key, bool *out, mle_error *err) {
  mle_json_at member;
  *out = false;
  MLE_TRY(must_find(at, key, &member, err));
  if (!mle_json_is_bool(&member)) return mle_json_fail(&member, err, "must be true or false");
  *out = mle_json_true(&member);
  return MLE_OK;
}

mle_status mle_json_opt_text(const mle_json_at *at, const char *key, const char *fallback, const char **out, mle_error *err) {
  mle_json_at member;
  *out = fallback;
  return has_value(at, key, &member) ? mle_json_text(&member, out, err) : MLE_OK;
}

mle_status mle_json_opt_int(const mle_json_at *at, const char *key, int64_t fallback, int64_t *out, mle_error *err) {
  mle_json_at member;
  *out = fallback;
  return has_value(at, key, &member) ? mle_json_int(&member, out, err) : MLE_OK;
}

mle_status mle_json_opt_bool(const mle_json_at *at, const char *key, bool fallback, bool *out, mle_error *err) {
  mle_json_at member;
  *out = fallback;
  return has_value(at, key, &member) ? mle_json_get_bool(at, key, out, err) : MLE_OK;
}

/* ====== Building ====== */

mle_json *mle_json_new_object(void) {
  pthread_once(&hooked, hook_allocator);
  return cJSON_CreateObject();
}

mle_json *mle_json_new_array(void) {
  pthread_once(&hooked, hook_allocator);
  return cJSON_CreateArray();
}

static cJSON *exact_copy(const cJSON *value);

#define INCOMPLETE (-1) /* in a container's valueint, which cJSON leaves alone */

mle_json *mle_json_add(mle_json *to, const char *key, mle_json *value) {
  if (value != NULL && (value->type & MLE_JSON_PARSED) != 0) { /* its nodes cannot be parted */
    mle_json *copy = exact_copy(value);
    mle_json_free(value);
    value = copy;
  }
  if (to != NULL && value != NULL &&
      (key != NULL ? cJSON_AddItemToObject(to, key, value) : cJSON_AddItemToArray(to, value)))
    return value;
  if (to != NULL) to->valueint = INCOMPLETE;
  cJSON_Delete(value);
  return NULL;
}

static bool is_complete(const cJSON *node) {
  if ((cJSON_IsObject(node) || cJSON_IsArray(node)) && node->valueint == INCOMPLETE) return false;
  for (const cJSON *item = node->child; item != NULL; item = item->next)
    if (!is_complete(item)) return false;
  return true;
}

mle_json *mle_json_add_object(mle_json *to, const char *key) {
  return mle_json_add(to, key, mle_json_new_object());
}

mle_json *mle_json_add_array(mle_json *to, const char *key) {
  return mle_json_add(to, key, mle_json_new_array());
}

mle_json *mle_json_add_text(mle_json *to, const char *key, const char *text) {
  return mle_json_add(to, key, text == NULL ? cJSON_CreateNull() : cJSON_CreateString(text));
}

/* As text, so that all 64 bits survive. */
mle_json *mle_json_add_int(mle_json *to, const char *key, int64_t value) {
  char text[MLE_NUMBER_TEXT];
  snprintf(text, sizeof text, "%" PRId64, value);
  return mle_json_add_raw(to, key, text);
}

mle_json *mle_json_add_double(mle_json *to, const char *key, double value) {
  char text[MLE_NUMBER_TEXT];
  if (!isfinite(value)) return mle_json_add_null(to, key);
  return mle_json_add_raw(to, key, mle_double_text(value, text));
}

mle_json *mle_json_add_bool(mle_json *to, const char *key, bool value) {
  return mle_json_add(to, key, cJSON_CreateBool(value));
}

mle_json *mle_json_add_null(mle_json *to, const char *key) {
  return mle_json_add(to, key, cJSON_CreateNull());
}

mle_json *mle_json_add_raw(mle_json *to, const char *key, const char *json) {
  return mle_json_add(to, key, cJSON_CreateRaw(json));
}

/* cJSON prints a double with 15 digits where 17 are needed: the text is ours. */
static bool exact_number(cJSON *node) {
  char text[MLE_NUMBER_TEXT];
  if (!cJSON_IsNumber(node) || (!is_long(node) && !isfinite(node->valuedouble))) return true;
  if (!is_long(node)) node->valuestring = mle_strdup(mle_double_text(node->valuedouble, text));
  if (node->valuestring == NULL) return false;
  node->type = (node->type & ~0xFF) | cJSON_Raw;
  return true;
}

/* Makes a copy's numbers print exactly. */
static bool exact_numbers(cJSON *node) {
  if (!exact_number(node)) return false;
  for (cJSON *item = node->child; item != NULL; item = item->next)
    if (!exact_numbers(item)) return false;
  return true;
}

/* Whether it prints exactly as it is: whole numbers that were added are texts already. */
static bool is_exact(const cJSON *node) {
  if (cJSON_IsNumber(node)) return false;
  for (const cJSON *item = node->child; item != NULL; item = item->next)
    if (!is_exact(item)) return false;
  return true;
}

/* One of nodes of its own, whatever it is a copy of. */
static cJSON *exact_copy(const cJSON *value) {
  pthread_once(&hooked, hook_allocator);
  cJSON *copy = cJSON_Duplicate(value, 1);
  if (copy != NULL) copy->type &= ~MLE_JSON_PARSED;
  if (copy == NULL || exact_numbers(copy)) return copy;
  cJSON_Delete(copy);
  return NULL;
}

mle_json *mle_json_add_copy(mle_json *to, const char *key, const mle_json *value) {
  return mle_json_add(to, key, exact_copy(value));
}

char *mle_json_print(const mle_json *doc, bool pretty) {
  if (doc == NULL || !is_complete(doc)) return NULL;
  if (is_exact(doc)) return pretty ? cJSON_Print(doc) : cJSON_PrintUnformatted(doc);
  cJSON *copy = exact_copy(doc);
  if (copy == NULL) return NULL;
  char *text = pretty ? cJSON_Print(copy) : cJSON_PrintUnformatted(copy);
  cJSON_Delete(copy);
  return text;
}
