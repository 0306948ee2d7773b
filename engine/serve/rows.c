#include "engine/serve/rows.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/base/hash.h"

/* 2^24 floats in all: 64 MiB a request, whatever its rows and columns. */
#define VALUES_MAX ((size_t)1 << 24)

/* ====== Features ====== */

mle_status mle_features_init(mle_features *features, size_t count, mle_error *err) {
  *features = (mle_features){.count = count};
  features->list = mle_calloc(count, sizeof *features->list);
  features->layouts = mle_layouts_new();
  if (features->list == NULL) return mle_nomem(err, "reading a model's features");
  for (size_t i = 0; i < count; i++) {
    features->list[i].name = mle_format("f%zu", i);
    if (features->list[i].name == NULL) return mle_nomem(err, "reading a model's features");
  }
  return MLE_OK;
}

void mle_features_release(mle_features *features) {
  for (size_t i = 0; features->list != NULL && i < features->count; i++)
    mle_free(features->list[i].name);
  mle_layouts_free(features->layouts);
  mle_free(features->list);
  mle_free(features->index);
  *features = (mle_features){0};
}

mle_status mle_feature_name(mle_features *features, size_t i, const char *name, mle_error *err) {
  char *copy = mle_strdup(name);
  if (copy == NULL) return mle_nomem(err, "reading a model's features");
  mle_free(features->list[i].name);
  features->list[i].name = copy;
  features->named = true;
  return MLE_OK;
}

static const char *const type_names[] = {
    [MLE_FEATURE_DOUBLE] = "double",   [MLE_FEATURE_FLOAT] = "float",
    [MLE_FEATURE_LONG] = "long",       [MLE_FEATURE_INTEGER] = "integer",
    [MLE_FEATURE_BOOLEAN] = "boolean", [MLE_FEATURE_STRING] = "string",
};

bool mle_feature_type_parse(const char *word, mle_feature_type *out) {
  for (size_t i = 0; i < sizeof type_names / sizeof *type_names; i++) {
    if (strcmp(word, type_names[i]) != 0) continue;
    *out = (mle_feature_type)i;
    return true;
  }
  return false;
}

const char *mle_feature_type_name(mle_feature_type type) { return type_names[type]; }

static bool is_named(const mle_feature *feature, mle_pull_slice name) {
  return strncmp(feature->name, name.data, name.len) == 0 && feature->name[name.len] == '\0';
}

/* Where a name is in the index, or the free place where it belongs. */
static size_t find_place(const mle_features *features, mle_pull_slice name) {
  size_t place = mle_hash64(name.data, name.len, 0) & features->mask;
  while (features->index[place] != 0 &&
         !is_named(&features->list[features->index[place] - 1], name))
    place = (place + 1) & features->mask;
  return place;
}

mle_status mle_features_index(mle_features *features, mle_error *err) {
  size_t size = 4;
  while (size < features->count * 2) size *= 2; /* at most half full: probing ends */
  features->mask = size - 1;
  features->index = mle_calloc(size, sizeof *features->index);
  if (features->index == NULL) return mle_nomem(err, "reading a model's features");
  for (size_t i = 0; i < features->count; i++) {
    const char *name = features->list[i].name;
    size_t place = find_place(features, (mle_pull_slice){name, strlen(name)});
    if (features->index[place] != 0)
      return mle_fail(err, MLE_EFORMAT, "the model has the feature '%s' twice", name);
    features->index[place] = (uint32_t)(i + 1);
  }
  return MLE_OK;
}

int mle_features_find(const mle_features *features, mle_pull_slice name, size_t hint) {
  if (memchr(name.data, '\0', name.len) != NULL) return -1; /* names are C texts */
  if (hint < features->count && is_named(&features->list[hint], name)) return (int)hint;
  return (int)features->index[find_place(features, name)] - 1;
}

/* ====== Values ====== */

static mle_status fail_value(const mle_feature *feature, size_t row, mle_error *err,
                             const char *what) {
  return mle_fail(err, MLE_EINVAL, "column '%s', row %zu: %s", feature->name, row, what);
}

/* What XGBoost takes as input: finite in float32, else it refuses the matrix. */
static inline mle_status set_real(const mle_feature *feature, double value, size_t row, float *out,
                                  mle_error *err) {
  *out = (float)value;
  if (fabs(value) <= FLT_MAX) return MLE_OK;
  if (isnan(value)) *out = NAN;
  return isinf(*out) ? fail_value(feature, row, err, "infinity, or too large for float32") : MLE_OK;
}

static mle_status set_whole(const mle_feature *feature, const mle_pull_value *value, size_t row,
                            float *out, mle_error *err) {
  bool is_int = feature->type == MLE_FEATURE_INTEGER;
  double max = is_int ? 0x1p31 : 0x1p63;
  if (isnan(value->real))
    return fail_value(feature, row, err, "NaN, but the column is declared a whole number");
  bool fits = value->real < max && value->real >= -max;
  if (!fits && (is_int || !value->is_whole))
    return fail_value(feature, row, err, is_int ? "does not fit 32 bits" : "does not fit 64 bits");
  *out = (float)(value->is_whole ? value->whole : (int64_t)value->real);
  return MLE_OK;
}

/* Inline, as is set_real: of a request with many rows nearly every value comes this way. */
static inline mle_status set_number(const mle_feature *feature, const mle_pull_value *value, size_t row, float *out,
                                    mle_error *err) {
  switch (feature->type) {
    case MLE_FEATURE_DOUBLE:
    case MLE_FEATURE_FLOAT: return set_real(feature, value->real, row, out, err);
    case MLE_FEATURE_LONG:
    case MLE_FEATURE_INTEGER: return set_whole(feature, value, row, out, err);
    case MLE_FEATURE_STRING:
      *out = NAN;
      if (isnan(value->real)) return MLE_OK;
      return fail_value(feature, row, err, "a number, but the column holds texts");
    case MLE_FEATURE_BOOLEAN: break;
  }
  if (value->real != 0 && value->real != 1)
    return fail_value(feature, row, err, "a boolean is true, false, 1 or 0");
  *out = (float)value->real;
  return MLE_OK;
}

mle_status mle_feature_set_number(const mle_feature *feature, const mle_pull_value *value,
                                  size_t row, float *out, mle_error *err) {
  return set_number(feature, value, row, out, err);
}

mle_status mle_feature_set_bool(const mle_feature *feature, bool value, size_t row, float *out,
                                mle_error *err) {
  if (feature->type == MLE_FEATURE_STRING)
    return fail_value(feature, row, err, "true or false, but the column holds texts");
  *out = value ? 1.0F : 0.0F;
  return MLE_OK;
}

mle_status mle_feature_set_text(const mle_feature *feature, mle_pull_slice text, size_t row,
                                float *out, mle_error *err) {
  if (feature->type != MLE_FEATURE_STRING)
    return fail_value(feature, row, err, "a text, but the model takes numbers");
  *out = NAN;
  for (size_t i = 0; i < feature->num_categories; i++)
    if (mle_pull_is(text, feature->category[i])) *out = (float)i;
  return MLE_OK;
}

mle_status mle_feature_set_null(const mle_feature *feature, size_t row, float *out,
                                mle_error *err) {
  bool can_miss = feature->type == MLE_FEATURE_DOUBLE || feature->type == MLE_FEATURE_FLOAT ||
                  feature->type == MLE_FEATURE_STRING;
  if (!can_miss) {
    char what[96];
    snprintf(what, sizeof what, "null, but the column is declared %s, which has no missing values",
             mle_feature_type_name(feature->type));
    return fail_value(feature, row, err, what);
  }
  *out = NAN;
  return MLE_OK;
}

static mle_status pull_other(const mle_feature *feature, mle_pull *p, size_t row, float *out, mle_error *err) {
  mle_pull_value number; /* NaN, Infinity */
  mle_pull_slice text;
  switch (*p->at) {
    case 'n':
      MLE_TRY(mle_pull_word(p, "null", err));
      return mle_feature_set_null(feature, row, out, err);
    case 't':
      MLE_TRY(mle_pull_word(p, "true", err));
      return mle_feature_set_bool(feature, true, row, out, err);
    case 'f':
      MLE_TRY(mle_pull_word(p, "false", err));
      return mle_feature_set_bool(feature, false, row, out, err);
    case '"':
      MLE_TRY(mle_pull_string(p, &text, err));
      return mle_feature_set_text(feature, text, row, out, err);
    case '[':
    case '{': return fail_value(feature, row, err, "a list or object, but one number belongs here");
    default: break;
  }
  MLE_TRY(mle_pull_number(p, &number, err));
  return set_number(feature, &number, row, out, err);
}

mle_status mle_feature_pull(const mle_feature *feature, mle_pull *p, size_t row, float *out,
                            mle_error *err) {
  mle_pull_value number;
  char c = mle_pull_peek(p);
  if (c != '-' && (unsigned char)(c - '0') > 9) return pull_other(feature, p, row, out, err);
  const char *after = mle_number_scan(p->at, p->end, &number);
  if (after == NULL) return mle_pull_fail(p, err, "expected a number");
  p->at = after;
  return set_number(feature, &number, row, out, err);
}

/* ====== Rows ====== */

void mle_rows_init(mle_rows *rows, size_t columns) { *rows = (mle_rows){.columns = columns}; }

void mle_rows_release(mle_rows *rows) {
  mle_free(rows->values);
  *rows = (mle_rows){.columns = rows->columns};
}

static mle_status reserve(mle_rows *rows, size_t count, mle_error *err) {
  if (count <= rows->capacity) return MLE_OK;
  size_t most = VALUES_MAX / rows->columns < MLE_ROWS_MAX ? VALUES_MAX / rows->columns : MLE_ROWS_MAX;
  if (count > most)
    return mle_fail(err, MLE_EREFUSED, "more than %zu rows of %zu columns; send them in parts", most,
                    rows->columns);
  size_t capacity = rows->capacity * 2 > count ? rows->capacity * 2 : count;
  if (capacity > most) capacity = most; /* or rows beyond the limit would fit it */
  float *values = mle_realloc_array(rows->values, capacity, rows->columns * sizeof *values);
  if (values == NULL) return mle_nomem(err, "reading rows");
  rows->values = values;
  rows->capacity = capacity;
  return MLE_OK;
}

mle_status mle_rows_resize(mle_rows *rows, size_t count, mle_error *err) {
  MLE_TRY(reserve(rows, count, err));
  for (size_t i = rows->count * rows->columns; i < count * rows->columns; i++)
    rows->values[i] = NAN;
  rows->count = count;
  return MLE_OK;
}

mle_status mle_rows_add(mle_rows *rows, float **out, mle_error *err) {
  *out = NULL;
  MLE_TRY(mle_rows_resize(rows, rows->count + 1, err));
  *out = rows->values + (rows->count - 1) * rows->columns;
  return MLE_OK;
}
