#include "engine/json/json.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/base/buffer.h"
#include "engine/json/number.h"

#define TEXT_MAX ((size_t)1 << 30)
#define FEW_KEYS 20

static pthread_once_t hooked = PTHREAD_ONCE_INIT;

static void hook_allocator(void) {
  cJSON_Hooks hooks = {mle_alloc, mle_free};
  cJSON_InitHooks(&hooks);
}

/* ====== Parsing ====== */

static int by_key(const void *a, const void *b) {
  return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static mle_status duplicate(const char *key, mle_error *err) {
  return mle_fail(err, MLE_EFORMAT, "the key \"%s\" stands twice in one object", key);
}

/* Most objects are small, and comparing each with each is quicker than sorting. */
static mle_status check_few_keys(const cJSON *object, mle_error *err) {
  for (const cJSON *item = object->child; item != NULL; item = item->next)
    for (const cJSON *other = item->next; other != NULL; other = other->next)
      if (item->string[0] == other->string[0] && strcmp(item->string, other->string) == 0)
        return duplicate(item->string, err);
  return MLE_OK;
}

/* Duplicate keys make two readers of one text disagree; metadata may not have them. */
static mle_status check_keys(const cJSON *object, mle_error *err) {
  size_t count = (size_t)cJSON_GetArraySize(object);
  if (count <= FEW_KEYS) return check_few_keys(object, err);
  const char **keys = mle_alloc(count * sizeof *keys);
  if (keys == NULL) return mle_nomem(err, "parsing JSON");
  size_t i = 0;
  for (const cJSON *item = object->child; item != NULL; item = item->next) keys[i++] = item->string;
  qsort(keys, count, sizeof *keys, by_key);
  mle_status status = MLE_OK;
  for (i = 1; i < count && status == MLE_OK; i++)
    if (strcmp(keys[i - 1], keys[i]) == 0) status = duplicate(keys[i], err);
  mle_free(keys);
  return status;
}

/* Recursion is bounded by number.c's limit on nesting. */
static mle_status check_tree(const cJSON *node, mle_error *err) {
  if (cJSON_IsObject(node)) MLE_TRY(check_keys(node, err));
  for (const cJSON *item = node->child; item != NULL; item = item->next)
    MLE_TRY(check_tree(item, err));
  return MLE_OK;
}

static mle_status parse_failure(const char *text, size_t len, const char *end, mle_error *err) {
  size_t at = end >= text && end <= text + len ? (size_t)(end - text) : 0;
  int line = 1;
  for (size_t i = 0; i < at; i++) line += text[i] == '\n';
  return mle_fail(err, MLE_EFORMAT, "not JSON: line %d, near '%.20s'", line, text + at);
}

mle_status mle_json_parse(const char *text, size_t len, mle_json **out, mle_error *err) {
  *out = NULL;
  pthread_once(&hooked, hook_allocator);
  mle_buffer quoted = MLE_BUFFER(TEXT_MAX);
  cJSON *doc = NULL;
  mle_status status = MLE_OK;
  MLE_GO(mle_buffer_reserve(&quoted, len, err));
  MLE_GO(mle_json_quote_integers(text, len, &quoted, err));
  const char *end = NULL;
  doc = cJSON_ParseWithLengthOpts(quoted.data, quoted.len + 1, &end, 1);
  if (doc == NULL) {
    status = parse_failure(quoted.data, quoted.len, end, err);
    goto done;
  }
  MLE_GO(check_tree(doc, err));
  *out = doc;
  doc = NULL;
done:
  cJSON_Delete(doc);
  mle_buffer_release(&quoted);
  return status;
}

void mle_json_free(mle_json *doc) { cJSON_Delete(doc); }

/* ====== Places ====== */

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
  const cJSON *node = cJSON_GetObjectItemCaseSensitive(at->node, key);
  *out = (mle_json_at){.node = node, .up = at, .key = key};
  return node != NULL;
}

bool mle_json_first(const mle_json_at *at, mle_json_at *item) {
  const cJSON *child = cJSON_IsObject(at->node) || cJSON_IsArray(at->node) ? at->node->child : NULL;
  *item = (mle_json_at){.node = child, .up = at};
  if (child != NULL && cJSON_IsObject(at->node)) item->key = child->string;
  return child != NULL;
}

bool mle_json_next(mle_json_at *item) {
  item->node = item->node->next;
  item->index++;
  if (item->node != NULL && item->key != NULL) item->key = item->node->string;
  return item->node != NULL;
}

int mle_json_count(const mle_json_at *at) { return cJSON_GetArraySize(at->node); }

/* ====== Values ====== */

static bool is_marked(const cJSON *node) {
  return cJSON_IsString(node) && node->valuestring[0] == MLE_JSON_INTEGER_MARK;
}

static bool read_int(const cJSON *node, int64_t *out) {
  if (is_marked(node)) {
    errno = 0;
    char *end;
    long long value = strtoll(node->valuestring + 1, &end, 10);
    *out = value;
    return errno == 0 && *end == '\0';
  }
  if (!cJSON_IsNumber(node)) return false;
  double value = node->valuedouble;
  if (!(value >= -9007199254740992.0 && value <= 9007199254740992.0)) return false;
  *out = (int64_t)value;
  return (double)*out == value;
}

bool mle_json_is_object(const mle_json_at *at) { return cJSON_IsObject(at->node); }
bool mle_json_is_array(const mle_json_at *at) { return cJSON_IsArray(at->node); }
bool mle_json_is_text(const mle_json_at *at) {
  return cJSON_IsString(at->node) && !is_marked(at->node);
}
bool mle_json_is_int(const mle_json_at *at) {
  int64_t value;
  return read_int(at->node, &value);
}
bool mle_json_is_number(const mle_json_at *at) {
  return cJSON_IsNumber(at->node) || is_marked(at->node);
}
bool mle_json_is_bool(const mle_json_at *at) { return cJSON_IsBool(at->node); }
bool mle_json_is_null(const mle_json_at *at) { return cJSON_IsNull(at->node); }
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
  *out = is_marked(at->node) ? strtod(at->node->valuestring + 1, NULL) : at->node->valuedouble;
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

#define INCOMPLETE (-1) /* in a container's valueint, which cJSON leaves alone */

mle_json *mle_json_add(mle_json *to, const char *key, mle_json *value) {
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
  if (!cJSON_IsNumber(node) || !isfinite(node->valuedouble)) return true;
  char *copy = mle_strdup(mle_double_text(node->valuedouble, text));
  if (copy == NULL) return false;
  node->valuestring = copy;
  node->type = (node->type & ~0xFF) | cJSON_Raw;
  return true;
}

/* Makes a copy's numbers print exactly, marked integers as numbers again. */
static bool unmark(cJSON *node) {
  if (is_marked(node)) {
    node->type = (node->type & ~0xFF) | cJSON_Raw;
    memmove(node->valuestring, node->valuestring + 1, strlen(node->valuestring));
  }
  if (!exact_number(node)) return false;
  for (cJSON *item = node->child; item != NULL; item = item->next)
    if (!unmark(item)) return false;
  return true;
}

static cJSON *unmarked_copy(const cJSON *value) {
  cJSON *copy = cJSON_Duplicate(value, 1);
  if (copy == NULL || unmark(copy)) return copy;
  cJSON_Delete(copy);
  return NULL;
}

mle_json *mle_json_add_copy(mle_json *to, const char *key, const mle_json *value) {
  return mle_json_add(to, key, unmarked_copy(value));
}

char *mle_json_print(const mle_json *doc, bool pretty) {
  if (doc == NULL || !is_complete(doc)) return NULL;
  cJSON *copy = unmarked_copy(doc);
  if (copy == NULL) return NULL;
  char *text = pretty ? cJSON_Print(copy) : cJSON_PrintUnformatted(copy);
  cJSON_Delete(copy);
  return text;
}
