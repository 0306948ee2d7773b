/* avro_write.c -- writes what avro.c reads; blocks of about 64 KiB, deflated. */

#include <string.h>

#include "engine/base/hash.h"
#include "engine/iceberg/avro.h"
#include "engine/iceberg/avro_codec.h"
#include "engine/iceberg/avro_schema.h"
#include "engine/iceberg/tuple.h"

#define SYNC_SIZE 16
#define BLOCK_MAX ((size_t)256 << 20)
#define BLOCK_TARGET ((size_t)64 << 10)
#define FILE_MAX ((size_t)1 << 30)

static const char magic[4] = {'O', 'b', 'j', 1};

/* ====== The container ====== */

static mle_status put_long(mle_buffer *out, int64_t value, mle_error *err) {
  uint64_t bits = ((uint64_t)value << 1) ^ (uint64_t)(value >> 63);
  char bytes[10];
  size_t len = 0;
  for (; bits >= 0x80; bits >>= 7) bytes[len++] = (char)(bits | 0x80);
  bytes[len++] = (char)bits;
  return mle_buffer_append(out, bytes, len, err);
}

static mle_status put_bytes(mle_buffer *out, const char *bytes, size_t len, mle_error *err) {
  MLE_TRY(put_long(out, (int64_t)len, err));
  return mle_buffer_append(out, bytes, len, err);
}

static mle_status put_pair(mle_buffer *out, const char *key, const char *value, mle_error *err) {
  MLE_TRY(put_bytes(out, key, strlen(key), err));
  return put_bytes(out, value, strlen(value), err);
}

static mle_status put_header(mle_avro_writer *w, const char *schema, const mle_avro_pair *meta,
                             mle_error *err) {
  int64_t count = 2;
  for (const mle_avro_pair *pair = meta; pair->key != NULL; pair++) count++;
  MLE_TRY(mle_buffer_append(&w->out, magic, sizeof magic, err));
  MLE_TRY(put_long(&w->out, count, err));
  MLE_TRY(put_pair(&w->out, "avro.schema", schema, err));
  MLE_TRY(put_pair(&w->out, "avro.codec", "deflate", err));
  for (const mle_avro_pair *pair = meta; pair->key != NULL; pair++)
    MLE_TRY(put_pair(&w->out, pair->key, pair->value, err));
  MLE_TRY(put_long(&w->out, 0, err));
  return mle_buffer_append(&w->out, w->sync, SYNC_SIZE, err);
}

mle_status mle_avro_begin(mle_avro_writer *w, const mle_avro_record *record,
                          const mle_avro_shape *shape, const mle_avro_pair *meta, mle_error *err) {
  *w = (mle_avro_writer){
      .record = record, .out = MLE_BUFFER(FILE_MAX), .block = MLE_BUFFER(BLOCK_MAX)};
  if (shape != NULL) w->shape = *shape;
  mle_random_bytes(w->sync, SYNC_SIZE);
  mle_buffer schema = MLE_BUFFER(1 << 20);
  mle_status status = mle_avro_schema_print(record, &w->shape, &schema, err);
  if (status == MLE_OK) status = put_header(w, schema.data, meta, err);
  mle_buffer_release(&schema);
  return status;
}

static mle_status flush_block(mle_avro_writer *w, mle_error *err) {
  if (w->block_count == 0) return MLE_OK;
  mle_buffer packed = MLE_BUFFER(BLOCK_MAX + BLOCK_MAX / 8);
  mle_status status = MLE_OK;
  MLE_GO(mle_avro_deflate(&w->block, &packed, err));
  MLE_GO(put_long(&w->out, w->block_count, err));
  MLE_GO(put_bytes(&w->out, packed.data, packed.len, err));
  MLE_GO(mle_buffer_append(&w->out, w->sync, SYNC_SIZE, err));
  mle_buffer_clear(&w->block);
  w->block_count = 0;
done:
  mle_buffer_release(&packed);
  return status;
}

mle_status mle_avro_end(mle_avro_writer *w, mle_error *err) { return flush_block(w, err); }

void mle_avro_release(mle_avro_writer *w) {
  mle_buffer_release(&w->out);
  mle_buffer_release(&w->block);
}

/* ====== Values ====== */

static mle_status put_record(mle_avro_writer *w, const mle_avro_record *record, const char *item,
                             mle_error *err);

static size_t item_size(const mle_avro_field *field) {
  switch (field->kind) {
    case MLE_AVRO_INTS: return sizeof(int32_t);
    case MLE_AVRO_LONGS: return sizeof(int64_t);
    case MLE_AVRO_LONG_MAP: return sizeof(mle_key_long);
    case MLE_AVRO_BYTES_MAP: return sizeof(mle_key_bytes);
    default: return field->record->size;
  }
}

static mle_status put_item(mle_avro_writer *w, const mle_avro_field *field, const void *item,
                           mle_error *err) {
  const mle_key_long *number = item;
  const mle_key_bytes *bytes = item;
  switch (field->kind) {
    case MLE_AVRO_INTS: return put_long(&w->block, *(const int32_t *)item, err);
    case MLE_AVRO_LONGS: return put_long(&w->block, *(const int64_t *)item, err);
    case MLE_AVRO_LONG_MAP:
      MLE_TRY(put_long(&w->block, number->key, err));
      return put_long(&w->block, number->value, err);
    case MLE_AVRO_BYTES_MAP:
      MLE_TRY(put_long(&w->block, bytes->key, err));
      return put_bytes(&w->block, bytes->value.data, bytes->value.len, err);
    default: return put_record(w, field->record, item, err);
  }
}

static mle_status put_list(mle_avro_writer *w, const mle_avro_field *field, const mle_list *list,
                           mle_error *err) {
  size_t size = item_size(field);
  if (list->count > 0) MLE_TRY(put_long(&w->block, (int64_t)list->count, err));
  for (size_t i = 0; i < list->count; i++)
    MLE_TRY(put_item(w, field, (const char *)list->items + i * size, err));
  return put_long(&w->block, 0, err);
}

static mle_status put_datum(mle_avro_writer *w, const mle_avro_part *part, const mle_datum *datum,
                            mle_error *err) {
  char flag = datum->integer != 0;
  float single = (float)datum->number;
  switch (datum->kind) {
    case MLE_DATUM_BOOL: return mle_buffer_append(&w->block, &flag, 1, err);
    case MLE_DATUM_INT: return put_long(&w->block, datum->integer, err);
    case MLE_DATUM_FLOAT: return mle_buffer_append(&w->block, &single, sizeof single, err);
    case MLE_DATUM_DOUBLE: return mle_buffer_append(&w->block, &datum->number, sizeof(double), err);
    default: break;
  }
  if (part->fixed == 0) return put_bytes(&w->block, datum->bytes.data, datum->bytes.len, err);
  if (part->fixed != datum->bytes.len)
    return mle_fail(err, MLE_EINVAL, "partition field '%s' must have %zu bytes, not %zu",
                    part->name, part->fixed, datum->bytes.len);
  return mle_buffer_append(&w->block, datum->bytes.data, datum->bytes.len, err);
}

static mle_status put_tuple(mle_avro_writer *w, const mle_list *tuple, mle_error *err) {
  for (size_t i = 0; i < w->shape.count; i++) {
    const mle_avro_part *part = &w->shape.parts[i];
    const mle_datum *datum = mle_tuple_find(tuple, part->field_id);
    bool null = datum == NULL || datum->kind == MLE_DATUM_NULL;
    MLE_TRY(put_long(&w->block, null ? 0 : 1, err)); /* the union's branch */
    if (!null) MLE_TRY(put_datum(w, part, datum, err));
  }
  return MLE_OK;
}

static bool is_null(const mle_avro_field *field, const void *at) {
  switch (field->kind) {
    case MLE_AVRO_BOOL: return *(const int8_t *)at == MLE_NULL_BOOL;
    case MLE_AVRO_INT: return *(const int32_t *)at == MLE_NULL_INT;
    case MLE_AVRO_LONG: return *(const int64_t *)at == MLE_NULL_LONG;
    case MLE_AVRO_TEXT: return *(const char *const *)at == NULL;
    case MLE_AVRO_BYTES: return ((const mle_bytes *)at)->data == NULL;
    case MLE_AVRO_RECORD:
    case MLE_AVRO_TUPLE: return false;
    default: return ((const mle_list *)at)->items == NULL;
  }
}

static mle_status put_value(mle_avro_writer *w, const mle_avro_field *field, const void *at,
                            mle_error *err) {
  const mle_bytes *bytes = at;
  switch (field->kind) {
    case MLE_AVRO_BOOL: return mle_buffer_append(&w->block, at, 1, err);
    case MLE_AVRO_INT: return put_long(&w->block, *(const int32_t *)at, err);
    case MLE_AVRO_LONG: return put_long(&w->block, *(const int64_t *)at, err);
    case MLE_AVRO_TEXT: {
      const char *text = *(const char *const *)at;
      return put_bytes(&w->block, text, strlen(text), err);
    }
    case MLE_AVRO_BYTES: return put_bytes(&w->block, bytes->data, bytes->len, err);
    case MLE_AVRO_RECORD: return put_record(w, field->record, at, err);
    case MLE_AVRO_TUPLE: return put_tuple(w, at, err);
    default: return put_list(w, field, at, err);
  }
}

static mle_status put_record(mle_avro_writer *w, const mle_avro_record *record, const char *item,
                             mle_error *err) {
  for (size_t i = 0; i < record->num_fields; i++) {
    const mle_avro_field *field = &record->fields[i];
    const void *at = item + field->offset;
    bool null = is_null(field, at);
    if (null && field->required)
      return mle_fail(err, MLE_EINVAL, "%s.%s must have a value", record->name, field->name);
    if (!field->required) MLE_TRY(put_long(&w->block, null ? 0 : 1, err)); /* the union's branch */
    if (!null) MLE_TRY(put_value(w, field, at, err));
  }
  return MLE_OK;
}

mle_status mle_avro_put(mle_avro_writer *w, const void *item, mle_error *err) {
  MLE_TRY(put_record(w, w->record, item, err));
  w->block_count++;
  return w->block.len < BLOCK_TARGET ? MLE_OK : flush_block(w, err);
}
