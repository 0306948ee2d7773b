/*
 * json.h -- JSON documents behind typed getters whose errors name the path.
 *
 *     mle_json *doc;
 *     MLE_TRY(mle_json_parse(text, len, &doc, err));
 *     mle_json_at root = mle_json_root(doc), schemas, schema;
 *     MLE_GO(mle_json_get_array(&root, "schemas", &schemas, err));
 *     for (bool more = mle_json_first(&schemas, &schema); more; more = mle_json_next(&schema))
 *       MLE_GO(mle_json_get_int(&schema, "schema-id", &id, err));     "$.schemas[1].schema-id: ..."
 *   done:
 *     mle_json_free(doc);
 *
 * Integers keep all 64 bits: one too long for a double keeps its text. Duplicate
 * keys, what RFC 8259 does not have, and nesting over 200 levels are refused.
 */
#ifndef MLE_JSON_H
#define MLE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/error.h"

typedef struct cJSON mle_json;

/* ====== Reading ====== */

mle_status mle_json_parse(const char *text, size_t len, mle_json **out, mle_error *err);
void mle_json_free(mle_json *doc); /* NULL is ignored */

/* A place in a document and how it was reached. Owns nothing; a copy is fine, but
 * the mle_json_at it was reached from must stay where it is. */
typedef struct mle_json_at {
  const mle_json *node;
  const struct mle_json_at *up;
  const char *key; /* NULL in an array */
  int index;       /* in an array */
} mle_json_at;

mle_json_at mle_json_root(const mle_json *doc);

/* Fails with `what`, naming the place: "$.schemas[0].type: <what>". */
__attribute__((format(printf, 3, 4)))
mle_status mle_json_fail(const mle_json_at *at, mle_error *err, const char *fmt, ...);

/* A member that must be there and of that type. Text lives as long as the document. */
mle_status mle_json_get_object(const mle_json_at *at, const char *key, mle_json_at *out, mle_error *err);
mle_status mle_json_get_array(const mle_json_at *at, const char *key, mle_json_at *out, mle_error *err);
mle_status mle_json_get_text(const mle_json_at *at, const char *key, const char **out, mle_error *err);
mle_status mle_json_get_int(const mle_json_at *at, const char *key, int64_t *out, mle_error *err);
mle_status mle_json_get_double(const mle_json_at *at, const char *key, double *out, mle_error *err);
mle_status mle_json_get_bool(const mle_json_at *at, const char *key, bool *out, mle_error *err);

/* A member that may be absent or null: then `out` is the fallback (node NULL for `find`). */
mle_status mle_json_opt_text(const mle_json_at *at, const char *key, const char *fallback, const char **out, mle_error *err);
mle_status mle_json_opt_int(const mle_json_at *at, const char *key, int64_t fallback, int64_t *out, mle_error *err);
mle_status mle_json_opt_bool(const mle_json_at *at, const char *key, bool fallback, bool *out, mle_error *err);
bool mle_json_find(const mle_json_at *at, const char *key, mle_json_at *out);

/* Elements of an array, members of an object, in order; `item` must outlive its children. */
bool mle_json_first(const mle_json_at *at, mle_json_at *item);
bool mle_json_next(mle_json_at *item);
int mle_json_count(const mle_json_at *at);

/* The value at a place itself. */
mle_status mle_json_text(const mle_json_at *at, const char **out, mle_error *err);
mle_status mle_json_int(const mle_json_at *at, int64_t *out, mle_error *err);
mle_status mle_json_double(const mle_json_at *at, double *out, mle_error *err);
bool mle_json_is_object(const mle_json_at *at);
bool mle_json_is_array(const mle_json_at *at);
bool mle_json_is_text(const mle_json_at *at);
bool mle_json_is_int(const mle_json_at *at); /* a whole number of 64 bits */
bool mle_json_is_number(const mle_json_at *at);
bool mle_json_is_bool(const mle_json_at *at);
bool mle_json_is_null(const mle_json_at *at);
bool mle_json_true(const mle_json_at *at);

/* ====== Writing ====== */

/*
 * Builders. `add` functions put a member into an object, or an element into an
 * array when `key` is NULL, and return the new node. One that fails for lack of
 * memory returns NULL, accepts NULL as `to`, and marks the document incomplete:
 * so test once, at the end, that mle_json_print did not return NULL. What was
 * built is for printing; the getters above are for what was parsed.
 */
mle_json *mle_json_new_object(void);
mle_json *mle_json_new_array(void);
mle_json *mle_json_add_object(mle_json *to, const char *key);
mle_json *mle_json_add_array(mle_json *to, const char *key);
mle_json *mle_json_add_text(mle_json *to, const char *key, const char *text);
mle_json *mle_json_add_int(mle_json *to, const char *key, int64_t value);
mle_json *mle_json_add_double(mle_json *to, const char *key, double value); /* NaN: null */
mle_json *mle_json_add_bool(mle_json *to, const char *key, bool value);
mle_json *mle_json_add_null(mle_json *to, const char *key);
mle_json *mle_json_add_raw(mle_json *to, const char *key, const char *json);
mle_json *mle_json_add_copy(mle_json *to, const char *key, const mle_json *value);

/* Moves `value` into `to`; on failure frees it and returns NULL. */
mle_json *mle_json_add(mle_json *to, const char *key, mle_json *value);

/* The text, owned by the caller; NULL when out of memory, now or while building. */
char *mle_json_print(const mle_json *doc, bool pretty);

/* Writes the shortest text that reads back as exactly this finite double. */
#define MLE_NUMBER_TEXT 32
char *mle_double_text(double value, char out[MLE_NUMBER_TEXT]);
char *mle_float_text(float value, char out[MLE_NUMBER_TEXT]);

#endif
