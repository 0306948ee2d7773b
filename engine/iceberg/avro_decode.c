/*
 * avro_decode.c -- Avro spec 1.11, "Binary Encoding".
 *
 * Invariant: no count is believed before it was compared with the bytes left, so
 * nothing allocates more than a small multiple of its input. An item takes at least
 * one byte in every schema Iceberg writes; arrays of items that take none are refused.
 */
#include "engine/iceberg/avro_decode.h"

#include <string.h>

#define DEPTH_MAX 60

static mle_status truncated(mle_avro_cursor *c) {
  return mle_fail(c->err, MLE_EFORMAT, "the data ends inside a value");
}

static mle_status no_memory(mle_avro_cursor *c) { return mle_nomem(c->err, "reading Avro"); }

static size_t left(const mle_avro_cursor *c) { return (size_t)(c->end - c->at); }

/* ====== Primitive values ====== */

mle_status mle_avro_wide_long(mle_avro_cursor *c, int64_t *out) {
  uint64_t bits = 0;
  for (int shift = 0; shift < 70; shift += 7) {
    if (c->at == c->end) return truncated(c);
    uint8_t byte = (uint8_t)*c->at++;
    if (shift == 63 && byte > 1) break;
    bits |= (uint64_t)(byte & 0x7f) << shift;
    if (byte < 0x80) {
      *out = (int64_t)(bits >> 1) ^ -(int64_t)(bits & 1);
      return MLE_OK;
    }
  }
  return mle_fail(c->err, MLE_EFORMAT, "a number has more than 64 bits");
}

static mle_status decode_int(mle_avro_cursor *c, int32_t *out) {
  int64_t value;
  MLE_TRY(mle_avro_long(c, &value));
  if (value < INT32_MIN || value > INT32_MAX)
    return mle_fail(c->err, MLE_EFORMAT, "a number has more than 32 bits");
  *out = (int32_t)value;
  return MLE_OK;
}

mle_status mle_avro_take(mle_avro_cursor *c, size_t len, const char **out) {
  if (len > left(c)) return truncated(c);
  *out = c->at;
  c->at += len;
  return MLE_OK;
}

mle_status mle_avro_view(mle_avro_cursor *c, mle_bytes *out) {
  int64_t len;
  MLE_TRY(mle_avro_long(c, &len));
  if (len < 0 || (uint64_t)len > left(c)) return truncated(c);
  out->len = (size_t)len;
  return mle_avro_take(c, out->len, &out->data);
}

static mle_status decode_bool(mle_avro_cursor *c, int8_t *out) {
  const char *byte;
  MLE_TRY(mle_avro_take(c, 1, &byte));
  if ((uint8_t)*byte > 1) return mle_fail(c->err, MLE_EFORMAT, "a boolean is neither 0 nor 1");
  *out = (int8_t)*byte;
  return MLE_OK;
}

/* IEEE 754, little-endian, as this program's machines hold them. */
static mle_status decode_number(mle_avro_cursor *c, mle_avro_type type, double *out) {
  const char *bytes;
  float narrow;
  MLE_TRY(mle_avro_take(c, type == AVRO_FLOAT ? 4 : 8, &bytes));
  if (type == AVRO_FLOAT) {
    memcpy(&narrow, bytes, sizeof narrow);
    *out = (double)narrow;
  } else {
    memcpy(out, bytes, sizeof *out);
  }
  return MLE_OK;
}

static mle_status decode_bytes(mle_avro_cursor *c, const mle_avro_node *node, mle_bytes *out) {
  if (node->type != AVRO_FIXED) return mle_avro_view(c, out);
  out->len = node->size;
  return mle_avro_take(c, node->size, &out->data);
}

static mle_status decode_text(mle_avro_cursor *c, const char **out) {
  mle_bytes view;
  MLE_TRY(mle_avro_view(c, &view));
  if (memchr(view.data, '\0', view.len) != NULL)
    return mle_fail(c->err, MLE_EFORMAT, "a text holds a zero byte");
  *out = mle_arena_text(c->arena, view.data, view.len);
  return *out == NULL ? no_memory(c) : MLE_OK;
}

/* ====== Unions and blocks ====== */

/* The type a value really has; its null is AVRO_NULL. */
static inline mle_status choose(mle_avro_cursor *c, const mle_avro_node **node) {
  int64_t branch;
  if ((*node)->type != AVRO_UNION) return MLE_OK;
  MLE_TRY(mle_avro_long(c, &branch));
  if (branch < 0 || (uint64_t)branch >= (*node)->count)
    return mle_fail(c->err, MLE_EFORMAT, "a union has no branch %lld", (long long)branch);
  *node = (*node)->members[branch].type;
  return MLE_OK;
}

/* The next block of an array or map: 0 ends it; a negative count is followed by a size. */
static mle_status next_block(mle_avro_cursor *c, size_t *out) {
  int64_t count, size;
  MLE_TRY(mle_avro_long(c, &count));
  if (count < 0) {
    if (count == INT64_MIN) return truncated(c);
    count = -count;
    MLE_TRY(mle_avro_long(c, &size));
  }
  if ((uint64_t)count > left(c))
    return mle_fail(c->err, MLE_EFORMAT, "an array claims more items than there are bytes");
  *out = (size_t)count;
  return MLE_OK;
}

/* ====== Skipping ====== */

static mle_status skip(mle_avro_cursor *c, const mle_avro_node *node);
static mle_status skip_members(mle_avro_cursor *c, const mle_avro_node *record);

static inline mle_status skip_number(mle_avro_cursor *c) {
  if (c->at < c->end && (*c->at & 0x80) == 0) {
    c->at++;
    return MLE_OK;
  }
  const char *at = c->at, *end = left(c) > 10 ? at + 10 : c->end;
  while (at < end && (*at & 0x80) != 0) at++;
  if (at == end) return truncated(c);
  c->at = at + 1;
  return MLE_OK;
}

static bool is_number(const mle_avro_node *node) {
  return node->type == AVRO_INT || node->type == AVRO_LONG;
}

static bool is_view(const mle_avro_node *node) {
  return node->type == AVRO_BYTES || node->type == AVRO_STRING;
}

/* The last byte of a number is the one without the high bit: eight bytes are looked at together. */
static mle_status skip_numbers(mle_avro_cursor *c, size_t count) {
  const char *at = c->at;
  while (count >= 8 && c->end - at >= 8) {
    uint64_t bytes;
    memcpy(&bytes, at, sizeof bytes);
    bytes = (~bytes & UINT64_C(0x8080808080808080)) >> 7;
    count -= (size_t)((bytes * UINT64_C(0x0101010101010101)) >> 56);
    at += 8;
  }
  for (; count > 0; at++) {
    if (at == c->end) return truncated(c);
    count -= (*at & 0x80) == 0;
  }
  c->at = at;
  return MLE_OK;
}

/* Most lengths take one byte. */
static inline mle_status skip_view(mle_avro_cursor *c) {
  mle_bytes ignored;
  size_t room = left(c), len = room > 0 ? (uint8_t)*c->at >> 1 : 0;
  if (room == 0 || (*c->at & 0x81) != 0 || len >= room) return mle_avro_view(c, &ignored);
  c->at += 1 + len;
  return MLE_OK;
}

/* Pairs of a number and bytes. */
static mle_status skip_views(mle_avro_cursor *c, size_t count) {
  for (; count > 0; count--) {
    MLE_TRY(skip_number(c));
    MLE_TRY(skip_view(c));
  }
  return MLE_OK;
}

/* The maps of metrics are most of a manifest, and this most of a plan's time. */
static bool skip_metrics(mle_avro_cursor *c, const mle_avro_node *node, size_t count,
                         mle_status *out) {
  const mle_avro_node *item = node->members[0].type;
  if (node->type != AVRO_ARRAY) return false;
  bool pairs = item->type == AVRO_RECORD && item->count == 2 && is_number(item->members[0].type);
  const mle_avro_node *value = pairs ? item->members[1].type : item;
  if (is_number(value))
    *out = skip_numbers(c, pairs ? 2 * count : count);
  else if (pairs && is_view(value))
    *out = skip_views(c, count);
  else
    return false;
  return true;
}

static mle_status skip_blocks(mle_avro_cursor *c, const mle_avro_node *node) {
  const mle_avro_node *item = node->members[0].type;
  mle_bytes key;
  mle_status status;
  for (;;) {
    size_t count;
    MLE_TRY(next_block(c, &count));
    if (count == 0) return MLE_OK;
    if (skip_metrics(c, node, count, &status)) {
      MLE_TRY(status);
      continue;
    }
    for (; count > 0; count--) {
      const char *before = c->at;
      if (node->type == AVRO_MAP) MLE_TRY(mle_avro_view(c, &key));
      MLE_TRY(item->type == AVRO_RECORD ? skip_members(c, item) : skip(c, item));
      if (c->at == before) return mle_fail(c->err, MLE_EFORMAT, "an array of empty items");
    }
  }
}

static mle_status skip_leaf(mle_avro_cursor *c, const mle_avro_node *node) {
  const char *ignored;
  mle_bytes bytes;
  if (is_number(node)) return skip_number(c);
  if (is_view(node)) return mle_avro_view(c, &bytes);
  switch (node->type) {
    case AVRO_NULL: return MLE_OK;
    case AVRO_BOOLEAN: return mle_avro_take(c, 1, &ignored);
    case AVRO_FLOAT: return mle_avro_take(c, 4, &ignored);
    case AVRO_DOUBLE: return mle_avro_take(c, 8, &ignored);
    case AVRO_FIXED: return mle_avro_take(c, node->size, &ignored);
    default: return skip_number(c); /* enum */
  }
}

static mle_status skip_members(mle_avro_cursor *c, const mle_avro_node *record) {
  for (size_t i = 0; i < record->count; i++) {
    const mle_avro_node *node = record->members[i].type;
    MLE_TRY(node->type < AVRO_FIXED ? skip_leaf(c, node) : skip(c, node));
  }
  return MLE_OK;
}

static mle_status skip(mle_avro_cursor *c, const mle_avro_node *node) {
  MLE_TRY(choose(c, &node));
  bool nested = node->type == AVRO_ARRAY || node->type == AVRO_MAP || node->type == AVRO_RECORD;
  if (!nested) return skip_leaf(c, node);
  if (c->depth >= DEPTH_MAX) return mle_fail(c->err, MLE_EFORMAT, "values nested too deep");
  c->depth++;
  mle_status status = node->type == AVRO_RECORD ? skip_members(c, node) : skip_blocks(c, node);
  c->depth--;
  return status;
}

/* ====== Lists ====== */

static mle_status decode_key(mle_avro_cursor *c, const mle_avro_node *node, int32_t *out) {
  MLE_TRY(choose(c, &node));
  *out = -1; /* a null key: no field's */
  return node->type == AVRO_NULL ? MLE_OK : decode_int(c, out);
}

static mle_status decode_pair(mle_avro_cursor *c, const mle_avro_node *pair, mle_avro_kind kind,
                              void *item) {
  const mle_avro_node *value = pair->members[1].type;
  mle_key_long *number = item;
  mle_key_bytes *bytes = item;
  MLE_TRY(
      decode_key(c, pair->members[0].type, kind == MLE_AVRO_LONG_MAP ? &number->key : &bytes->key));
  MLE_TRY(choose(c, &value));
  if (value->type == AVRO_NULL) return MLE_OK;
  return kind == MLE_AVRO_LONG_MAP ? mle_avro_long(c, &number->value)
                                   : decode_bytes(c, value, &bytes->value);
}

static mle_status decode_item(mle_avro_cursor *c, const mle_avro_node *node,
                              const mle_avro_field *field, void *item) {
  if (field->kind == MLE_AVRO_RECORDS) memcpy(item, field->record->defaults, field->record->size);
  MLE_TRY(choose(c, &node));
  if (node->type == AVRO_NULL) return MLE_OK;
  switch (field->kind) {
    case MLE_AVRO_INTS: return decode_int(c, item);
    case MLE_AVRO_LONGS: return mle_avro_long(c, item);
    case MLE_AVRO_RECORDS: return mle_avro_decode(c, node, item, false);
    default: return decode_pair(c, node, field->kind, item);
  }
}

static size_t item_size(const mle_avro_field *field) {
  switch (field->kind) {
    case MLE_AVRO_INTS: return sizeof(int32_t);
    case MLE_AVRO_LONGS: return sizeof(int64_t);
    case MLE_AVRO_LONG_MAP: return sizeof(mle_key_long);
    case MLE_AVRO_BYTES_MAP: return sizeof(mle_key_bytes);
    default: return field->record->size;
  }
}

static bool is_wanted(const mle_avro_cursor *c, int32_t key) {
  for (size_t i = 0; i < c->num_only; i++)
    if (c->only[i] == key) return true;
  return false;
}

static mle_status skip_value(mle_avro_cursor *c, const mle_avro_node *node) {
  return is_number(node) ? skip_number(c) : is_view(node) ? skip_view(c) : skip(c, node);
}

/* Goes over pairs until one whose key is wanted, where the cursor is left; or over all of them. */
static mle_status seek_wanted(mle_avro_cursor *c, const mle_avro_node *item, size_t *more) {
  for (; *more > 0; --*more) {
    const mle_avro_node *pair = item;
    const char *begin = c->at;
    int32_t key;
    MLE_TRY(choose(c, &pair));
    if (pair->type == AVRO_NULL) continue;
    MLE_TRY(decode_key(c, pair->members[0].type, &key));
    if (is_wanted(c, key)) {
      c->at = begin;
      return MLE_OK;
    }
    MLE_TRY(skip_value(c, pair->members[1].type));
  }
  return MLE_OK;
}

/* A key stands once in a map: when all were found, the rest is gone over without a look at its keys. */
static mle_status skip_rest(mle_avro_cursor *c, const mle_avro_node *array, size_t more) {
  mle_status status;
  if (skip_metrics(c, array, more, &status)) return status;
  for (; more > 0; more--) MLE_TRY(skip(c, array->members[0].type));
  return MLE_OK;
}

/* Only the pairs of wanted keys; the others' values are not looked at. */
static mle_status decode_wanted(mle_avro_cursor *c, const mle_avro_node *array,
                                const mle_avro_field *field, mle_list *out) {
  const mle_avro_node *item = array->members[0].type;
  size_t size = item_size(field), count = 0, more;
  char *items = NULL;
  for (;;) {
    MLE_TRY(next_block(c, &more));
    if (more == 0) break;
    while (more > 0 && count < c->num_only) {
      MLE_TRY(seek_wanted(c, item, &more));
      if (more == 0) break;
      items = mle_arena_grow(c->arena, items, count, size);
      if (items == NULL) return no_memory(c);
      MLE_TRY(decode_item(c, item, field, items + count++ * size));
      more--;
    }
    MLE_TRY(skip_rest(c, array, more));
  }
  *out = (mle_list){items == NULL ? "" : items, count};
  return MLE_OK;
}

/* Most lists come as one block; a further one moves the items to a larger array. */
static mle_status decode_list(mle_avro_cursor *c, const mle_avro_node *array,
                              const mle_avro_field *field, mle_list *out) {
  size_t size = item_size(field);
  mle_list list = {"", 0}; /* empty, but not null */
  bool is_map = field->kind == MLE_AVRO_LONG_MAP || field->kind == MLE_AVRO_BYTES_MAP;
  if (is_map && c->only != NULL) return decode_wanted(c, array, field, out);
  for (;;) {
    size_t more;
    MLE_TRY(next_block(c, &more));
    if (more == 0) break;
    char *items = mle_arena_array(c->arena, list.count + more, size);
    if (items == NULL) return no_memory(c);
    memcpy(items, list.items, list.count * size);
    for (size_t i = 0; i < more; i++)
      MLE_TRY(decode_item(c, array->members[0].type, field, items + (list.count + i) * size));
    list.items = items;
    list.count += more;
  }
  *out = list;
  return MLE_OK;
}

/* ====== Records ====== */

static mle_status decode_datum(mle_avro_cursor *c, const mle_avro_node *node, mle_datum *out) {
  int8_t flag = 0;
  MLE_TRY(choose(c, &node));
  switch (node->type) {
    case AVRO_NULL: return MLE_OK;
    case AVRO_BOOLEAN:
      out->kind = MLE_DATUM_BOOL;
      MLE_TRY(decode_bool(c, &flag));
      out->integer = flag;
      return MLE_OK;
    case AVRO_INT:
    case AVRO_LONG: out->kind = MLE_DATUM_INT; return mle_avro_long(c, &out->integer);
    case AVRO_FLOAT: out->kind = MLE_DATUM_FLOAT; return decode_number(c, node->type, &out->number);
    case AVRO_DOUBLE:
      out->kind = MLE_DATUM_DOUBLE;
      return decode_number(c, node->type, &out->number);
    case AVRO_BYTES:
    case AVRO_FIXED: out->kind = MLE_DATUM_BYTES; return decode_bytes(c, node, &out->bytes);
    case AVRO_STRING: out->kind = MLE_DATUM_TEXT; return decode_bytes(c, node, &out->bytes);
    default: return mle_fail(c->err, MLE_EFORMAT, "a partition value is not a single value");
  }
}

static mle_status decode_tuple(mle_avro_cursor *c, const mle_avro_node *record, mle_list *out) {
  mle_datum *items = mle_arena_array(c->arena, record->count, sizeof *items);
  if (items == NULL) return no_memory(c);
  for (size_t i = 0; i < record->count; i++) {
    items[i].field_id = record->members[i].id;
    MLE_TRY(decode_datum(c, record->members[i].type, &items[i]));
  }
  *out = (mle_list){items, record->count};
  return MLE_OK;
}

static mle_status decode_field(mle_avro_cursor *c, const mle_avro_node *node,
                               const mle_avro_field *field, void *at) {
  switch (field->kind) {
    case MLE_AVRO_BOOL: return decode_bool(c, at);
    case MLE_AVRO_INT: return decode_int(c, at);
    case MLE_AVRO_LONG: return mle_avro_long(c, at);
    case MLE_AVRO_TEXT: return decode_text(c, at);
    case MLE_AVRO_BYTES: return decode_bytes(c, node, at);
    case MLE_AVRO_TUPLE: return decode_tuple(c, node, at);
    default: return decode_list(c, node, field, at);
  }
}

/*
 * Recursion follows our tables, which end; only skip() follows the file's schema. Behind the
 * last value that is wanted of a block nobody reads on: then `last` says so.
 */
mle_status mle_avro_decode(mle_avro_cursor *c, const mle_avro_node *record, void *item, bool last) {
  size_t count = last ? record->num_bound : record->count;
  for (size_t i = 0; i < count; i++) {
    const mle_avro_member *member = &record->members[i];
    const mle_avro_node *node = member->type;
    if (member->target == NULL) {
      MLE_TRY(skip(c, node));
      continue;
    }
    MLE_TRY(choose(c, &node));
    if (node->type == AVRO_NULL) continue;
    void *at = (char *)item + member->target->offset;
    mle_status status = member->target->kind == MLE_AVRO_RECORD
                            ? mle_avro_decode(c, node, at, last && i + 1 == count)
                            : decode_field(c, node, member->target, at);
    if (status == MLE_OK) continue;
    mle_context(c->err, "field '%s'", member->name);
    return status;
  }
  return MLE_OK;
}
