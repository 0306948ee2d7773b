#include "engine/xgboost/categories.h"

#include <string.h>

#include "engine/base/alloc.h"

static mle_status malformed(mle_error *err, const char *what) {
  return mle_fail(err, MLE_EFORMAT, "category names: %s", what);
}

/* From 0, never falling, and closed by `last`. */
static bool is_partition(const int64_t *bound, size_t count, size_t last) {
  if (count == 0 || bound[0] != 0 || bound[count - 1] != (int64_t)last) return false;
  for (size_t i = 1; i < count; i++)
    if (bound[i] < bound[i - 1]) return false;
  return true;
}

static mle_status check_names(const mle_node *offsets, const mle_node *values, size_t count,
                              mle_error *err) {
  if (!mle_node_is_array(offsets)) return malformed(err, "offsets must be an array");
  if (offsets->count == 0 && values->count == 0 && count == 0) return MLE_OK; /* numeric feature */
  if (offsets->count != count + 1) return malformed(err, "offsets do not fit the segment");
  int64_t *bound = mle_realloc_array(NULL, offsets->count, sizeof *bound);
  if (bound == NULL) return mle_nomem(err, "reading category names");
  bool good = mle_node_ints(offsets, offsets->count, bound) &&
              is_partition(bound, offsets->count, values->count);
  mle_free(bound);
  return good ? MLE_OK : malformed(err, "offsets must rise from 0 to the length of values");
}

static mle_status check_encoding(const mle_node *enc, size_t count, mle_error *err) {
  const mle_node *values = mle_node_member(enc, "values");
  const mle_node *offsets = mle_node_member(enc, "offsets");
  if (!mle_node_is_array(values)) return malformed(err, "values must be an array");
  if (offsets != NULL) return check_names(offsets, values, count, err);
  const mle_node *type = mle_node_member(enc, "type");
  if (type == NULL || type->kind != MLE_NODE_INT) return malformed(err, "type must be a number");
  return values->count == count ? MLE_OK : malformed(err, "values do not fit the segment");
}

/* Each segment of sorted_idx must hold 0 to n - 1 once; `seen` has room for the longest. */
static bool is_permutation(const int64_t *index, size_t count, bool *seen) {
  memset(seen, 0, count * sizeof *seen);
  for (size_t i = 0; i < count; i++) {
    if (index[i] < 0 || (size_t)index[i] >= count || seen[index[i]]) return false;
    seen[index[i]] = true;
  }
  return true;
}

typedef struct segments {
  int64_t *bound; /* num_features + 1 */
  int64_t *index; /* num_categories */
  bool *seen;     /* num_categories */
  size_t num_categories;
} segments;

static mle_status segments_read(segments *s, const mle_node *cats, size_t num_features,
                                mle_error *err) {
  const mle_node *index = mle_node_member(cats, "sorted_idx");
  if (!mle_node_is_array(index)) return malformed(err, "sorted_idx must be an array");
  s->num_categories = index->count;
  s->bound = mle_realloc_array(NULL, num_features + 1, sizeof *s->bound);
  s->index = mle_realloc_array(NULL, index->count, sizeof *s->index);
  s->seen = mle_realloc_array(NULL, index->count, sizeof *s->seen);
  if (s->bound == NULL || s->index == NULL || s->seen == NULL)
    return mle_nomem(err, "reading category names");
  if (!mle_node_ints(index, index->count, s->index))
    return malformed(err, "sorted_idx must hold integers");
  if (!mle_node_ints(mle_node_member(cats, "feature_segments"), num_features + 1, s->bound) ||
      !is_partition(s->bound, num_features + 1, index->count))
    return malformed(err, "feature_segments must rise from 0 to the length of sorted_idx");
  return MLE_OK;
}

static mle_status check_features(const segments *s, const mle_node *enc, mle_error *err) {
  size_t f = 0;
  for (const mle_node *e = enc->as.first; e != NULL; e = e->next, f++) {
    size_t count = (size_t)(s->bound[f + 1] - s->bound[f]);
    MLE_TRY(check_encoding(e, count, err));
    if (!is_permutation(s->index + s->bound[f], count, s->seen))
      return malformed(err, "sorted_idx must be an order of each feature's categories");
  }
  return MLE_OK;
}

/* ====== Copying ====== */

/* The bytes of all names are one array of small integers. */
static char *copy_bytes(const mle_node *values) {
  int64_t *wide = mle_realloc_array(NULL, values->count + 1, sizeof *wide);
  char *bytes = mle_alloc(values->count + 1);
  bool good = wide != NULL && bytes != NULL && mle_node_ints(values, values->count, wide);
  for (size_t i = 0; good && i < values->count; i++) bytes[i] = (char)(unsigned char)wide[i];
  mle_free(wide);
  if (good) return bytes;
  mle_free(bytes);
  return NULL;
}

static mle_status copy_names(const mle_node *enc, mle_category_names *out, mle_error *err) {
  const mle_node *offsets = mle_node_member(enc, "offsets");
  int64_t *bound = mle_realloc_array(NULL, offsets->count, sizeof *bound);
  char *bytes = copy_bytes(mle_node_member(enc, "values"));
  bool memory = bound != NULL && bytes != NULL;
  if (memory) mle_node_ints(offsets, offsets->count, bound); /* checked before */
  for (; memory && out->count + 1 < offsets->count; out->count++) {
    size_t first = (size_t)bound[out->count], last = (size_t)bound[out->count + 1];
    out->name[out->count] = mle_strndup(bytes + first, last - first);
    memory = out->name[out->count] != NULL;
  }
  mle_free(bound);
  mle_free(bytes);
  return memory ? MLE_OK : mle_nomem(err, "reading category names");
}

static mle_status copy_numbers(const mle_node *values, mle_category_names *out, mle_error *err) {
  int64_t *whole = mle_realloc_array(NULL, values->count + 1, sizeof *whole);
  if (whole == NULL) return mle_nomem(err, "reading category names");
  bool integers = mle_node_ints(values, values->count, whole), memory = true;
  for (size_t i = 0; integers && memory && i < values->count; i++) {
    out->name[i] = mle_format("%lld", (long long)whole[i]);
    memory = out->name[i] != NULL;
    out->count += memory;
  }
  mle_free(whole);
  if (!integers)
    return mle_fail(err, MLE_EUNSUPPORTED,
                    "category names: only texts and integers are read, not fractions");
  return memory ? MLE_OK : mle_nomem(err, "reading category names");
}

static mle_status copy_features(const segments *s, const mle_node *enc, mle_category_names *out,
                                mle_error *err) {
  size_t f = 0;
  for (const mle_node *e = enc->as.first; e != NULL; e = e->next, f++) {
    size_t count = (size_t)(s->bound[f + 1] - s->bound[f]);
    if (count == 0) continue;
    out[f].name = mle_calloc(count, sizeof *out[f].name);
    if (out[f].name == NULL) return mle_nomem(err, "reading category names");
    if (mle_node_member(e, "offsets") != NULL)
      MLE_TRY(copy_names(e, &out[f], err));
    else
      MLE_TRY(copy_numbers(mle_node_member(e, "values"), &out[f], err));
  }
  return MLE_OK;
}

void mle_categories_free(mle_category_names *names, size_t num_features) {
  for (size_t f = 0; names != NULL && f < num_features; f++) {
    for (size_t i = 0; i < names[f].count; i++) mle_free(names[f].name[i]);
    mle_free(names[f].name);
  }
  mle_free(names);
}

mle_status mle_categories_read(const mle_node *cats, size_t num_features, mle_category_names **out,
                               mle_error *err) {
  const mle_node *enc = mle_node_member(cats, "enc");
  *out = NULL;
  if (cats == NULL) return MLE_OK; /* before XGBoost 3.1 */
  if (!mle_node_is_array(enc)) return malformed(err, "enc must be an array");
  const mle_node *index = mle_node_member(cats, "sorted_idx");
  const mle_node *bounds = mle_node_member(cats, "feature_segments");
  if (enc->count == 0 && mle_node_is_array(index) && index->count == 0 &&
      mle_node_is_array(bounds) && bounds->count == 0)
    return MLE_OK;
  if (enc->kind != MLE_NODE_LIST || enc->count != num_features)
    return malformed(err, "enc must have an element for each feature");
  segments s = {0};
  mle_status status;
  MLE_GO(segments_read(&s, cats, num_features, err));
  MLE_GO(check_features(&s, enc, err));
  *out = mle_calloc(num_features, sizeof **out);
  if (*out == NULL) MLE_GO(mle_nomem(err, "reading category names"));
  MLE_GO(copy_features(&s, enc, *out, err));
done:
  if (status != MLE_OK) {
    mle_categories_free(*out, num_features);
    *out = NULL;
  }
  mle_free(s.bound);
  mle_free(s.index);
  mle_free(s.seen);
  return status;
}
