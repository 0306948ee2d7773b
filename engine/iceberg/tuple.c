#include "engine/iceberg/tuple.h"

#include <math.h>
#include <string.h>

#include "engine/base/hash.h"

const mle_datum *mle_tuple_find(const mle_list *tuple, int field_id) {
  const mle_datum *items = tuple->items;
  for (size_t i = 0; i < tuple->count; i++)
    if (items[i].field_id == field_id) return &items[i];
  return NULL;
}

static bool is_text(const mle_datum *datum) {
  return datum->kind == MLE_DATUM_BYTES || datum->kind == MLE_DATUM_TEXT;
}

static bool is_real(const mle_datum *datum) {
  return datum->kind == MLE_DATUM_FLOAT || datum->kind == MLE_DATUM_DOUBLE;
}

static bool equal(const mle_datum *a, const mle_datum *b) {
  if (is_text(a) && is_text(b))
    return a->bytes.len == b->bytes.len && memcmp(a->bytes.data, b->bytes.data, a->bytes.len) == 0;
  if (is_real(a) && is_real(b)) {
    bool nan = isnan(a->number) != 0;
    if (nan || isnan(b->number)) return nan && isnan(b->number);
    return !(a->number < b->number) && !(a->number > b->number);
  }
  if (a->kind != b->kind) return false;
  return a->kind == MLE_DATUM_NULL || a->integer == b->integer;
}

bool mle_tuple_equal(const mle_list *a, const mle_list *b) {
  const mle_datum *items = a->items;
  if (a->count != b->count) return false;
  for (size_t i = 0; i < a->count; i++) {
    const mle_datum *other = mle_tuple_find(b, items[i].field_id);
    if (other == NULL || !equal(&items[i], other)) return false;
  }
  return true;
}

/* Sums, so that the order of the fields does not matter. Zeros and NaNs have one hash each. */
uint64_t mle_tuple_hash(int spec_id, const mle_list *tuple) {
  const mle_datum *items = tuple->items;
  uint64_t sum = mle_mix64((uint64_t)(uint32_t)spec_id + 1);
  for (size_t i = 0; i < tuple->count; i++) {
    const mle_datum *item = &items[i];
    uint64_t seed = (uint64_t)(uint32_t)item->field_id;
    if (is_text(item))
      sum += mle_hash64(item->bytes.data, item->bytes.len, seed);
    else if (is_real(item))
      sum += mle_mix64(seed + (isnan(item->number) ? 1 : (uint64_t)(int64_t)fmod(item->number, 1e15)));
    else
      sum += mle_mix64(seed ^ (item->kind == MLE_DATUM_NULL ? 0x9e37 : (uint64_t)item->integer << 8));
  }
  return sum;
}

mle_status mle_tuple_copy(const mle_list *tuple, mle_arena *arena, mle_list *out, mle_error *err) {
  *out = (mle_list){NULL, tuple->count};
  if (tuple->count == 0) return MLE_OK;
  mle_datum *items = mle_arena_array(arena, tuple->count, sizeof *items);
  if (items == NULL) return mle_nomem(err, "planning a scan");
  memcpy(items, tuple->items, tuple->count * sizeof *items);
  out->items = items;
  for (size_t i = 0; i < tuple->count; i++) {
    if (!is_text(&items[i])) continue;
    items[i].bytes.data = mle_arena_text(arena, items[i].bytes.data, items[i].bytes.len);
    if (items[i].bytes.data == NULL) return mle_nomem(err, "planning a scan");
  }
  return MLE_OK;
}

mle_status mle_tuple_identify(mle_list *tuple, const mle_partition_spec *spec, mle_arena *arena,
                              mle_error *err) {
  bool known = tuple->count == 0 || ((const mle_datum *)tuple->items)[0].field_id >= 0;
  if (known || spec == NULL) return MLE_OK;
  mle_datum *items = mle_arena_array(arena, tuple->count, sizeof *items);
  if (items == NULL) return mle_nomem(err, "reading a partition");
  memcpy(items, tuple->items, tuple->count * sizeof *items);
  for (size_t i = 0; i < tuple->count && i < spec->num_fields; i++)
    if (items[i].field_id < 0) items[i].field_id = spec->fields[i].field_id;
  tuple->items = items;
  return MLE_OK;
}

/* ====== As bounds hold it ====== */

static mle_status keep(const void *bytes, size_t len, mle_arena *arena, mle_bytes *out,
                       mle_error *err) {
  *out = (mle_bytes){mle_arena_text(arena, bytes, len), len};
  return out->data == NULL ? mle_nomem(err, "reading a partition value") : MLE_OK;
}

mle_status mle_datum_bytes(const mle_datum *datum, const mle_type *type, mle_arena *arena,
                           mle_bytes *out, mle_error *err) {
  int32_t narrow = (int32_t)datum->integer;
  float single;
  double number;
  bool is_int = type->kind == MLE_TYPE_INT || type->kind == MLE_TYPE_DATE;
  char flag;
  switch (datum->kind) {
    case MLE_DATUM_NULL: *out = (mle_bytes){NULL, 0}; return MLE_OK;
    case MLE_DATUM_BOOL:
      if (type->kind != MLE_TYPE_BOOLEAN) break;
      flag = datum->integer != 0;
      return keep(&flag, 1, arena, out, err);
    case MLE_DATUM_INT:
      if (is_int && narrow == datum->integer) return keep(&narrow, 4, arena, out, err);
      return keep(&datum->integer, 8, arena, out, err);
    case MLE_DATUM_FLOAT:
    case MLE_DATUM_DOUBLE:
      single = (float)datum->number;
      number = datum->number;
      if (type->kind == MLE_TYPE_FLOAT) return keep(&single, sizeof single, arena, out, err);
      if (type->kind == MLE_TYPE_DOUBLE) return keep(&number, sizeof number, arena, out, err);
      break;
    case MLE_DATUM_BYTES:
    case MLE_DATUM_TEXT: return keep(datum->bytes.data, datum->bytes.len, arena, out, err);
  }
  return mle_fail(err, MLE_EFORMAT, "a partition value is not of its column's type");
}
