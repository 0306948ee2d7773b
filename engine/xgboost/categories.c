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

mle_status mle_categories_check(const mle_node *cats, size_t num_features, mle_error *err) {
  const mle_node *enc = mle_node_member(cats, "enc");
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
done:
  mle_free(s.bound);
  mle_free(s.index);
  mle_free(s.seen);
  return status;
}
