#include "engine/iceberg/implied.h"

#include <stdlib.h>
#include <string.h>

#include "engine/frame/frame.h"
#include "engine/iceberg/sql_type.h"
#include "engine/iceberg/value.h"

enum { RANGES_MAX = 512 /* of one column; with more of them nothing is said */, GAPS_MAX = 64 };

/* Values from low to high, both with; NULL: without end. */
typedef struct range {
  const mle_literal *low, *high;
} range;

/* Any of these; `all`: every value, and null. */
typedef struct ranges {
  bool all;
  size_t count;
  range *items;
} ranges;

static const ranges everything = {.all = true};

/* ====== Of a condition ====== */

static mle_status make_ranges(mle_arena *arena, size_t count, ranges *out, mle_error *err) {
  *out = (ranges){.count = count, .items = mle_arena_array(arena, count, sizeof *out->items)};
  return out->items == NULL ? mle_nomem(err, "reading a condition") : MLE_OK;
}

/* Whether the value is one of the column: a cast of another would fail, where the filter does not. */
static bool fits(const mle_type *type, mle_wide value) {
  static const int64_t day = 3000000; /* years of four digits */
  mle_wide limit = INT64_MAX;
  if (type->kind == MLE_TYPE_INT) limit = INT32_MAX;
  if (type->kind == MLE_TYPE_DATE) limit = day;
  if (type->kind == MLE_TYPE_TIME) limit = (mle_wide)86400 * 1000000 - 1;
  if (type->kind == MLE_TYPE_TIMESTAMP) limit = (mle_wide)day * 86400 * 1000000;
  if (type->kind == MLE_TYPE_DECIMAL) {
    limit = 1;
    for (int i = 0; i < type->precision; i++) limit *= 10;
    limit--;
  }
  return value <= limit && value >= (type->kind == MLE_TYPE_TIME ? 0 : -limit);
}

/* Values of whole numbers have neighbours: below 5 is up to 4. */
static mle_status neighbour(const mle_condition *c, int step, mle_arena *arena, const mle_literal **out,
                            mle_error *err) {
  *out = c->values;
  if (c->values->kind != MLE_LITERAL_WHOLE || !fits(c->field->type, c->values->whole + step)) return MLE_OK;
  mle_literal *moved = mle_arena_alloc(arena, sizeof *moved);
  if (moved == NULL) return mle_nomem(err, "reading a condition");
  *moved = *c->values;
  moved->whole += step;
  *out = moved;
  return MLE_OK;
}

static bool is_usable(const mle_condition *c) {
  for (size_t i = 0; i < c->num_values; i++)
    if (c->values[i].kind == MLE_LITERAL_WHOLE && !fits(c->field->type, c->values[i].whole)) return false;
  return c->num_values > 0 && c->num_values <= RANGES_MAX;
}

/* Of texts a bound that is left out counts as one: what is a little more than the condition is implied, too. */
static mle_status of_test(const mle_condition *c, mle_arena *arena, ranges *out, mle_error *err) {
  bool is_in = c->kind == MLE_CONDITION_IN;
  const mle_literal *value;
  *out = everything;
  if (!is_usable(c)) return MLE_OK;
  int step = c->kind == MLE_CONDITION_LESS ? -1 : c->kind == MLE_CONDITION_GREATER ? 1 : 0;
  MLE_TRY(neighbour(c, step, arena, &value, err));
  MLE_TRY(make_ranges(arena, is_in ? c->num_values : 1, out, err));
  switch (c->kind) {
    case MLE_CONDITION_IN:
      for (size_t i = 0; i < c->num_values; i++) out->items[i] = (range){&c->values[i], &c->values[i]};
      break;
    case MLE_CONDITION_LESS:
    case MLE_CONDITION_LESS_EQUAL: out->items[0] = (range){NULL, value}; break;
    case MLE_CONDITION_GREATER:
    case MLE_CONDITION_GREATER_EQUAL:
    case MLE_CONDITION_STARTS_WITH: out->items[0] = (range){value, NULL}; break;
    default: *out = everything;
  }
  return MLE_OK;
}

static const mle_literal *higher(const mle_literal *a, const mle_literal *b) {
  if (a == NULL || b == NULL) return a == NULL ? b : a;
  return mle_literal_compare(a, b) < 0 ? b : a;
}

static const mle_literal *lower(const mle_literal *a, const mle_literal *b) {
  if (a == NULL || b == NULL) return a == NULL ? b : a;
  return mle_literal_compare(a, b) < 0 ? a : b;
}

static mle_status both(const ranges *a, const ranges *b, mle_arena *arena, ranges *out, mle_error *err) {
  *out = a->all ? *b : *a;
  if (a->all || b->all || a->count * b->count > RANGES_MAX) return MLE_OK;
  MLE_TRY(make_ranges(arena, a->count * b->count, out, err));
  out->count = 0;
  for (size_t i = 0; i < a->count; i++)
    for (size_t j = 0; j < b->count; j++) {
      range one = {higher(a->items[i].low, b->items[j].low), lower(a->items[i].high, b->items[j].high)};
      bool empty = one.low != NULL && one.high != NULL && mle_literal_compare(one.low, one.high) > 0;
      if (!empty) out->items[out->count++] = one;
    }
  return MLE_OK;
}

static mle_status either(const ranges *a, const ranges *b, mle_arena *arena, ranges *out, mle_error *err) {
  *out = everything;
  if (a->all || b->all || a->count + b->count > RANGES_MAX) return MLE_OK;
  MLE_TRY(make_ranges(arena, a->count + b->count, out, err));
  if (a->count > 0) memcpy(out->items, a->items, a->count * sizeof *a->items);
  if (b->count > 0) memcpy(out->items + a->count, b->items, b->count * sizeof *b->items);
  return MLE_OK;
}

/* What it says of one column; depth is bounded by who made it. */
static mle_status of(const mle_condition *c, const mle_field *field, mle_arena *arena, ranges *out,
                     mle_error *err) {
  ranges left, right;
  if (c->kind != MLE_CONDITION_AND && c->kind != MLE_CONDITION_OR) {
    *out = everything;
    return c->field == field ? of_test(c, arena, out, err) : MLE_OK;
  }
  MLE_TRY(of(c->left, field, arena, &left, err));
  MLE_TRY(of(c->right, field, arena, &right, err));
  return (c->kind == MLE_CONDITION_AND ? both : either)(&left, &right, arena, out, err);
}

/* ====== In order ====== */

static int compare_low(const void *a, const void *b) {
  const range *one = a, *other = b;
  if (one->low == NULL || other->low == NULL) return (one->low != NULL) - (other->low != NULL);
  return mle_literal_compare(one->low, other->low);
}

/* Sorted, and those that touch made one. */
static void merge(ranges *r) {
  size_t count = 0;
  if (r->count > 1) qsort(r->items, r->count, sizeof *r->items, compare_low);
  for (size_t i = 0; i < r->count; i++) {
    range *last = count == 0 ? NULL : &r->items[count - 1];
    const range *one = &r->items[i];
    bool touches = last != NULL && (last->high == NULL || one->low == NULL ||
                                    mle_literal_compare(one->low, last->high) <= 0);
    if (!touches)
      r->items[count++] = *one;
    else if (last->high != NULL)
      last->high = one->high == NULL ? NULL : higher(last->high, one->high);
  }
  r->count = count;
}

/* ====== As SQL ====== */

static mle_status put_value(mle_buffer *out, const mle_field *field, const mle_literal *value,
                            mle_error *err) {
  mle_buffer text = MLE_BUFFER(MLE_TYPE_TEXT_MAX);
  mle_status status;
  MLE_GO(mle_buffer_puts(out, "CAST(", err));
  if (value->kind == MLE_LITERAL_BYTES)
    MLE_GO(mle_buffer_append(&text, value->bytes.data, value->bytes.len, err));
  else
    MLE_GO(mle_literal_print(field->type, value, &text, err));
  MLE_GO(mle_sql_text(out, text.data == NULL ? "" : text.data, text.len, err));
  MLE_GO(mle_buffer_puts(out, " AS ", err));
  MLE_GO(mle_sql_type_print(field->type, out, err));
  MLE_GO(mle_buffer_puts(out, ")", err));
done:
  mle_buffer_release(&text);
  return status;
}

static mle_status put_compared(mle_buffer *out, const mle_field *field, const char *sign,
                               const mle_literal *value, mle_error *err) {
  MLE_TRY(mle_sql_name(out, field->name, err));
  MLE_TRY(mle_buffer_puts(out, sign, err));
  return put_value(out, field, value, err);
}

static bool is_points(const ranges *r) {
  for (size_t i = 0; i < r->count; i++)
    if (r->items[i].low == NULL || r->items[i].high == NULL ||
        mle_literal_compare(r->items[i].low, r->items[i].high) != 0)
      return false;
  return true;
}

static mle_status put_points(mle_buffer *out, const mle_field *field, const ranges *r, mle_error *err) {
  MLE_TRY(mle_sql_name(out, field->name, err));
  for (size_t i = 0; i < r->count; i++) {
    MLE_TRY(mle_buffer_puts(out, i == 0 ? " IN (" : ", ", err));
    MLE_TRY(put_value(out, field, r->items[i].low, err));
  }
  return mle_buffer_puts(out, ")", err);
}

/* The outer ends, then what is left out between. An OR of two comparisons is what DuckDB takes. */
static mle_status put_ends(mle_buffer *out, const mle_field *field, const ranges *r, mle_error *err) {
  const char *before = "";
  const mle_literal *low = r->items[0].low, *high = r->items[r->count - 1].high;
  if (low != NULL) {
    MLE_TRY(put_compared(out, field, " >= ", low, err));
    before = " AND ";
  }
  if (high != NULL) {
    MLE_TRY(mle_buffer_puts(out, before, err));
    MLE_TRY(put_compared(out, field, " <= ", high, err));
    before = " AND ";
  }
  for (size_t i = 0; i + 1 < r->count && i < GAPS_MAX; i++) {
    MLE_TRY(mle_buffer_printf(out, err, "%s(", before));
    MLE_TRY(put_compared(out, field, " <= ", r->items[i].high, err));
    MLE_TRY(mle_buffer_puts(out, " OR ", err));
    MLE_TRY(put_compared(out, field, " >= ", r->items[i + 1].low, err));
    MLE_TRY(mle_buffer_puts(out, ")", err));
    before = " AND ";
  }
  return MLE_OK;
}

static bool has_or(const mle_condition *c) {
  if (c->kind == MLE_CONDITION_OR) return true;
  return c->kind == MLE_CONDITION_AND && (has_or(c->left) || has_or(c->right));
}

/* Numbers with NaN, and bytes that are no text, are left to DuckDB. */
static bool is_ordered(const mle_type *type) {
  switch (type->kind) {
    case MLE_TYPE_INT:
    case MLE_TYPE_LONG:
    case MLE_TYPE_DATE:
    case MLE_TYPE_TIME:
    case MLE_TYPE_TIMESTAMP:
    case MLE_TYPE_DECIMAL:
    case MLE_TYPE_STRING: return true;
    default: return false;
  }
}

static mle_status put_field(const mle_condition *c, const mle_field *field, mle_arena *arena,
                            mle_buffer *out, mle_error *err) {
  ranges found;
  if (!is_ordered(field->type)) return MLE_OK;
  MLE_TRY(of(c, field, arena, &found, err));
  if (found.all || found.count == 0) return MLE_OK;
  merge(&found);
  if (found.items[0].low == NULL && found.items[found.count - 1].high == NULL && found.count == 1)
    return MLE_OK;
  if (out->len > 0) MLE_TRY(mle_buffer_puts(out, " AND ", err));
  return (is_points(&found) ? put_points : put_ends)(out, field, &found, err);
}

/* ====== Of row groups ====== */

static mle_status put_bound(mle_buffer *out, const mle_field *field, const char *bound, const char *sign,
                            const mle_literal *value, mle_error *err) {
  if (value == NULL) return mle_buffer_puts(out, "true", err);
  MLE_TRY(mle_buffer_printf(out, err, "TRY_CAST(%s AS ", bound));
  MLE_TRY(mle_sql_type_print(field->type, out, err));
  MLE_TRY(mle_buffer_printf(out, err, ") %s ", sign));
  return put_value(out, field, value, err);
}

/* WHEN its id THEN whether a range and the group's have something in common */
static mle_status put_left(const mle_condition *c, const mle_field *field, mle_arena *arena, mle_buffer *out,
                           mle_error *err) {
  ranges found;
  if (!is_ordered(field->type)) return MLE_OK;
  MLE_TRY(of(c, field, arena, &found, err));
  if (found.all) return MLE_OK;
  merge(&found);
  MLE_TRY(mle_buffer_printf(out, err, "%s WHEN %d THEN false", out->len == 0 ? "CASE field_id" : "", (int)field->id));
  for (size_t i = 0; i < found.count; i++) {
    MLE_TRY(mle_buffer_puts(out, " OR ", err));
    MLE_TRY(put_bound(out, field, "high", ">=", found.items[i].low, err));
    MLE_TRY(mle_buffer_puts(out, " AND ", err));
    MLE_TRY(put_bound(out, field, "low", "<=", found.items[i].high, err));
  }
  return MLE_OK;
}

mle_status mle_condition_left(const mle_condition *condition, const mle_schema *schema,
                              mle_buffer *out, mle_error *err) {
  mle_arena arena = MLE_ARENA;
  mle_status status = MLE_OK;
  if (condition == NULL) return MLE_OK;
  for (size_t i = 0; status == MLE_OK && i < schema->num_fields; i++)
    status = put_left(condition, &schema->fields[i], &arena, out, err);
  if (status == MLE_OK && out->len > 0) status = mle_buffer_puts(out, " END", err);
  mle_arena_release(&arena);
  return status;
}

mle_status mle_condition_implied(const mle_condition *condition, const mle_schema *schema,
                                 mle_buffer *out, mle_error *err) {
  mle_arena arena = MLE_ARENA;
  mle_status status = MLE_OK;
  if (condition == NULL || !has_or(condition)) return MLE_OK;
  for (size_t i = 0; status == MLE_OK && i < schema->num_fields; i++)
    status = put_field(condition, &schema->fields[i], &arena, out, err);
  mle_arena_release(&arena);
  return status;
}
