#include "engine/iceberg/prune.h"

#include <math.h>
#include <string.h>

#include "engine/iceberg/transform.h"

/* ====== What is known of some rows' values ====== */

typedef struct range {
  mle_literal lower, upper; /* NONE: unknown */
  bool no_nulls, only_nulls;
  bool may_be_nan; /* NaN is above every number, and in no bound */
} range;

static bool comparable(const mle_literal *a, const mle_literal *b) {
  return a->kind != MLE_LITERAL_NONE && a->kind == b->kind;
}

/* Inverted bounds bound nothing. */
static void distrust(range *r) {
  if (!comparable(&r->lower, &r->upper) || mle_literal_compare(&r->lower, &r->upper) <= 0) return;
  r->lower.kind = r->upper.kind = MLE_LITERAL_NONE;
}

/* Whether values lie below, or above, all that is known. */
static bool is_below(const mle_literal *value, const range *r) {
  return comparable(value, &r->lower) && mle_literal_compare(value, &r->lower) < 0;
}

static bool is_above(const mle_literal *value, const range *r) {
  return comparable(value, &r->upper) && mle_literal_compare(value, &r->upper) > 0;
}

static bool equals(const mle_literal *a, const mle_literal *b) {
  return comparable(a, b) && mle_literal_compare(a, b) == 0;
}

/* A bound cut to the length of the prefix, beside it. */
static int compare_prefix(const mle_literal *bound, const mle_literal *prefix) {
  mle_literal cut = *bound, head = *prefix;
  if (cut.bytes.len > head.bytes.len) cut.bytes.len = head.bytes.len;
  if (head.bytes.len > cut.bytes.len) head.bytes.len = cut.bytes.len;
  return mle_literal_compare(&cut, &head);
}

static bool may_start(const mle_literal *prefix, const range *r) {
  if (comparable(prefix, &r->lower) && compare_prefix(&r->lower, prefix) > 0) return false;
  return !comparable(prefix, &r->upper) || compare_prefix(&r->upper, prefix) >= 0;
}

/* Whether some value may pass a test of one column. */
static bool may_pass(mle_condition_kind kind, const mle_literal *values, size_t count,
                     const range *r) {
  if (kind == MLE_CONDITION_ANY) return true;
  if (kind == MLE_CONDITION_IS_NULL) return !r->no_nulls;
  if (r->only_nulls) return false;
  switch (kind) {
    case MLE_CONDITION_LESS: return !is_below(values, r) && !equals(values, &r->lower);
    case MLE_CONDITION_LESS_EQUAL: return !is_below(values, r);
    case MLE_CONDITION_GREATER:
      return r->may_be_nan || (!is_above(values, r) && !equals(values, &r->upper));
    case MLE_CONDITION_GREATER_EQUAL: return r->may_be_nan || !is_above(values, r);
    case MLE_CONDITION_STARTS_WITH: return may_start(values, r);
    case MLE_CONDITION_IN: break;
    default: return true;
  }
  for (size_t i = 0; i < count; i++)
    if (!is_below(&values[i], r) && !is_above(&values[i], r)) return true;
  return false;
}

/* ====== Trees ====== */

/* Returns the condition when its test fails, else NULL. */
typedef const mle_condition *(*check)(const mle_condition *leaf, const void *rows);

static const mle_condition *walk(const mle_condition *c, check fails, const void *rows) {
  const mle_condition *why;
  switch (c->kind) {
    case MLE_CONDITION_ANY: return NULL;
    case MLE_CONDITION_AND:
      why = walk(c->left, fails, rows);
      return why != NULL ? why : walk(c->right, fails, rows);
    case MLE_CONDITION_OR:
      return walk(c->left, fails, rows) != NULL && walk(c->right, fails, rows) != NULL ? c : NULL;
    default: return fails(c, rows);
  }
}

/* ====== Partitions ====== */

/* How a test of a column shows in the values of a transform of it. */
typedef struct projected {
  mle_condition_kind kind; /* ANY: not at all */
  size_t count;
  mle_literal own[2];
} projected;

static bool is_time(mle_transform_kind kind) {
  return kind >= MLE_TRANSFORM_YEAR && kind <= MLE_TRANSFORM_HOUR;
}

/* Old writers rounded times before 1970 towards zero: one too high. */
static bool may_be_late(const mle_transform *transform, const mle_literal *value) {
  return is_time(transform->kind) && value->whole < 0;
}

static projected project_one(const mle_transform *transform, const mle_field *field,
                             mle_condition_kind kind, const mle_literal *value) {
  projected p = {.kind = MLE_CONDITION_ANY};
  mle_literal part = mle_transform_apply(transform, field->type, value);
  if (part.kind == MLE_LITERAL_NONE) return p;
  p.own[0] = p.own[1] = part;
  p.count = 1;
  bool below = kind == MLE_CONDITION_LESS || kind == MLE_CONDITION_LESS_EQUAL;
  p.kind = kind == MLE_CONDITION_IN ? kind
           : below                  ? MLE_CONDITION_LESS_EQUAL
                                    : MLE_CONDITION_GREATER_EQUAL;
  if (!may_be_late(transform, &part)) return p;
  if (below) p.own[0].whole++;
  if (kind == MLE_CONDITION_IN) {
    p.own[1].whole++;
    p.count = 2;
  }
  return p;
}

/* A prefix longer than what is kept of the texts is one of them itself. */
static projected project_prefix(const mle_transform *transform, const mle_field *field,
                                const mle_literal *prefix) {
  projected p = {.kind = MLE_CONDITION_ANY};
  if (transform->kind != MLE_TRANSFORM_TRUNCATE) return p;
  p.own[0] = mle_transform_apply(transform, field->type, prefix);
  p.count = 1;
  p.kind = p.own[0].bytes.len < prefix->bytes.len ? MLE_CONDITION_IN : MLE_CONDITION_STARTS_WITH;
  return p;
}

static projected project(const mle_transform *transform, const mle_condition *leaf,
                         const mle_literal *value) {
  projected p = {.kind = MLE_CONDITION_ANY};
  if (transform->kind == MLE_TRANSFORM_UNKNOWN || transform->kind == MLE_TRANSFORM_VOID) return p;
  if (transform->kind == MLE_TRANSFORM_IDENTITY)
    return (projected){.kind = leaf->kind, .own = {value == NULL ? (mle_literal){0} : *value}, .count = 1};
  if (leaf->kind == MLE_CONDITION_IS_NULL || leaf->kind == MLE_CONDITION_NOT_NULL) {
    p.kind = leaf->kind;
    return p;
  }
  if (leaf->kind == MLE_CONDITION_STARTS_WITH) return project_prefix(transform, leaf->field, value);
  if (transform->kind == MLE_TRANSFORM_BUCKET && leaf->kind != MLE_CONDITION_IN) return p;
  return project_one(transform, leaf->field, leaf->kind, value);
}

/* Whether some row with such partition values may pass the test; one value is enough. */
static bool may_pass_projected(const mle_transform *transform, const mle_condition *leaf,
                               const range *r) {
  size_t count = leaf->num_values == 0 ? 1 : leaf->num_values;
  bool known = transform->kind != MLE_TRANSFORM_UNKNOWN && transform->kind != MLE_TRANSFORM_VOID;
  if (known && r->only_nulls && leaf->kind != MLE_CONDITION_IS_NULL) return false;
  for (size_t i = 0; i < count; i++) {
    projected p = project(transform, leaf, leaf->num_values == 0 ? NULL : &leaf->values[i]);
    if (may_pass(p.kind, p.own, p.count, r)) return true;
  }
  return false;
}

typedef struct partition_rows {
  const mle_partition_spec *spec;
  const mle_list *tuple;            /* of one file, or NULL: */
  const mle_manifest_file *manifest; /* of all files of a manifest */
} partition_rows;

static range range_of_datum(const mle_datum *datum, const mle_type *type) {
  range r = {.only_nulls = datum->kind == MLE_DATUM_NULL, .no_nulls = datum->kind != MLE_DATUM_NULL};
  bool is_real = datum->kind == MLE_DATUM_FLOAT || datum->kind == MLE_DATUM_DOUBLE;
  r.may_be_nan = is_real && isnan(datum->number);
  if (!r.may_be_nan) r.lower = r.upper = mle_literal_from_datum(type, datum);
  return r;
}

static range range_of_summary(const mle_field_summary *summary, const mle_type *type) {
  bool is_real = type->kind == MLE_TYPE_FLOAT || type->kind == MLE_TYPE_DOUBLE;
  range r = {.lower = mle_literal_from_bytes(type, summary->lower),
             .upper = mle_literal_from_bytes(type, summary->upper),
             .no_nulls = summary->contains_null == 0,
             .may_be_nan = is_real && summary->contains_nan != 0};
  distrust(&r);
  return r;
}

/* Uuids were ordered in different ways by different writers. */
static void forget_uuid_order(range *r, const mle_type *type) {
  if (type->kind == MLE_TYPE_UUID && !equals(&r->lower, &r->upper))
    r->lower.kind = r->upper.kind = MLE_LITERAL_NONE;
}

static bool known_range(const partition_rows *rows, size_t i, const mle_type *type, range *out) {
  const mle_partition_field *part = &rows->spec->fields[i];
  if (rows->tuple != NULL) {
    const mle_datum *items = rows->tuple->items;
    for (size_t j = 0; j < rows->tuple->count; j++) {
      if (items[j].field_id != part->field_id) continue;
      *out = range_of_datum(&items[j], type);
      return true;
    }
    return false;
  }
  const mle_field_summary *summaries = rows->manifest->partitions.items;
  if (i >= rows->manifest->partitions.count) return false; /* positional: spec, "Manifest Lists" */
  *out = range_of_summary(&summaries[i], type);
  return true;
}

static const mle_condition *check_partition(const mle_condition *leaf, const void *context) {
  const partition_rows *rows = context;
  for (size_t i = 0; i < rows->spec->num_fields; i++) {
    const mle_partition_field *part = &rows->spec->fields[i];
    range r;
    if (part->source_id != leaf->field->id) continue;
    mle_transform transform = mle_transform_parse(part->transform);
    const mle_type *type = mle_transform_result(&transform, leaf->field->type);
    if (!known_range(rows, i, type, &r)) continue;
    forget_uuid_order(&r, type);
    if (!may_pass_projected(&transform, leaf, &r)) return leaf;
  }
  return NULL;
}

const mle_condition *mle_prune_manifest(const mle_condition *condition,
                                        const mle_partition_spec *spec,
                                        const mle_manifest_file *manifest) {
  const partition_rows rows = {spec, NULL, manifest};
  return condition == NULL || spec == NULL ? NULL : walk(condition, check_partition, &rows);
}

const mle_condition *mle_prune_partition(const mle_condition *condition,
                                         const mle_partition_spec *spec, const mle_list *tuple) {
  const partition_rows rows = {spec, tuple, NULL};
  return condition == NULL || spec == NULL ? NULL : walk(condition, check_partition, &rows);
}

/* ====== Files ====== */

static int64_t find_count(const mle_list *list, int id) {
  const mle_key_long *items = list->items;
  for (size_t i = 0; i < list->count; i++)
    if (items[i].key == id) return items[i].value;
  return -1;
}

static mle_bytes find_bytes(const mle_list *list, int id) {
  const mle_key_bytes *items = list->items;
  for (size_t i = 0; i < list->count; i++)
    if (items[i].key == id) return items[i].value;
  return (mle_bytes){NULL, 0};
}

static const mle_condition *check_file(const mle_condition *leaf, const void *context) {
  const mle_data_file *file = context;
  const mle_type *type = leaf->field->type;
  int id = leaf->field->id;
  int64_t nulls = find_count(&file->null_counts, id), values = find_count(&file->value_counts, id);
  bool is_real = type->kind == MLE_TYPE_FLOAT || type->kind == MLE_TYPE_DOUBLE;
  range r = {.lower = mle_literal_from_bytes(type, find_bytes(&file->lower_bounds, id)),
             .upper = mle_literal_from_bytes(type, find_bytes(&file->upper_bounds, id)),
             .no_nulls = nulls == 0 && !leaf->nested, /* not all writers count a null struct's */
             .only_nulls = values > 0 && nulls == values,
             .may_be_nan = is_real && find_count(&file->nan_counts, id) != 0};
  distrust(&r);
  forget_uuid_order(&r, type);
  return may_pass(leaf->kind, leaf->values, leaf->num_values, &r) ? NULL : leaf;
}

const mle_condition *mle_prune_file(const mle_condition *condition, const mle_data_file *file) {
  return condition == NULL ? NULL : walk(condition, check_file, file);
}
