#include "engine/iceberg/partition.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/iceberg/tuple.h"
#include "engine/iceberg/value.h"

/* ====== Columns ====== */

static bool can_be_source(const mle_partition_column *column) {
  mle_type_kind kind = column->source->type->kind;
  bool unknown = column->transform.kind == MLE_TRANSFORM_UNKNOWN;
  bool hashed = column->transform.kind == MLE_TRANSFORM_BUCKET;
  if (kind == MLE_TYPE_BINARY || kind == MLE_TYPE_FIXED) return hashed && kind == MLE_TYPE_BINARY;
  return !unknown && kind <= MLE_TYPE_UUID && kind != MLE_TYPE_TIMESTAMP_NS &&
         kind != MLE_TYPE_TIMESTAMPTZ_NS;
}

static mle_status make_column(const mle_metadata *m, const mle_partition_field *field,
                              mle_partition_column *out, mle_error *err) {
  static const mle_type nothing = {.kind = MLE_TYPE_INT}; /* the type of a column that is gone */
  *out = (mle_partition_column){.field = field,
                                .source = mle_schema_find_id(m->schema, field->source_id),
                                .transform = mle_transform_parse(field->transform)};
  if (out->transform.kind == MLE_TRANSFORM_VOID) {
    out->type = out->source == NULL ? &nothing : out->source->type;
    return MLE_OK;
  }
  if (out->source == NULL)
    return mle_fail(err, MLE_EUNSUPPORTED,
                    "the source of its partition field '%s' is not a column at the top; this "
                    "version writes no such partitions",
                    field->name);
  if (!can_be_source(out))
    return mle_fail(err, MLE_EUNSUPPORTED,
                    "this version writes no partitions by %s of column '%s'", field->transform,
                    out->source->name);
  out->type = mle_transform_result(&out->transform, out->source->type);
  return MLE_OK;
}

mle_status mle_partition_columns(const mle_metadata *m, mle_arena *arena,
                                 const mle_partition_column **out, mle_error *err) {
  mle_partition_column *columns = mle_arena_array(arena, m->spec->num_fields, sizeof *columns);
  *out = columns;
  if (columns == NULL) return mle_nomem(err, "partitioning");
  for (size_t i = 0; i < m->spec->num_fields; i++)
    MLE_TRY(make_column(m, &m->spec->fields[i], &columns[i], err));
  return MLE_OK;
}

/* ====== In a manifest ====== */

/* Avro's names are letters, digits and _; what is none becomes _x and its code, as Java has it. */
static const char *avro_name(const char *name, mle_arena *arena) {
  mle_buffer out = MLE_BUFFER((size_t)1 << 16);
  mle_status status = MLE_OK;
  if (isdigit((unsigned char)*name)) status = mle_buffer_puts(&out, "_", NULL);
  for (const char *at = name; *at != '\0' && status == MLE_OK; at++) {
    bool good = isalnum((unsigned char)*at) || *at == '_';
    status = good ? mle_buffer_append(&out, at, 1, NULL)
                  : mle_buffer_printf(&out, NULL, "_x%X", (unsigned char)*at);
  }
  const char *kept = status == MLE_OK ? mle_arena_text(arena, out.data, out.len) : NULL;
  mle_buffer_release(&out);
  return kept;
}

/* Bytes that hold any decimal of so many digits: spec, Appendix A. */
static size_t decimal_size(int precision) {
  mle_wide limit = 1;
  char bytes[MLE_WIDE_BYTES];
  for (int i = 0; i < precision; i++) limit *= 10;
  return mle_wide_bytes(limit - 1, bytes);
}

static const char *avro_type(const mle_partition_column *column, mle_arena *arena,
                             size_t *out_fixed) {
  const mle_type *type = column->type;
  *out_fixed = 0;
  if (column->transform.kind == MLE_TRANSFORM_DAY)
    return "{\"type\":\"int\",\"logicalType\":\"date\"}";
  switch (type->kind) {
    case MLE_TYPE_BOOLEAN: return "\"boolean\"";
    case MLE_TYPE_INT: return "\"int\"";
    case MLE_TYPE_LONG: return "\"long\"";
    case MLE_TYPE_FLOAT: return "\"float\"";
    case MLE_TYPE_DOUBLE: return "\"double\"";
    case MLE_TYPE_DATE: return "{\"type\":\"int\",\"logicalType\":\"date\"}";
    case MLE_TYPE_TIME: return "{\"type\":\"long\",\"logicalType\":\"time-micros\"}";
    case MLE_TYPE_TIMESTAMP:
      return "{\"type\":\"long\",\"logicalType\":\"timestamp-micros\",\"adjust-to-utc\":false}";
    case MLE_TYPE_TIMESTAMPTZ:
      return "{\"type\":\"long\",\"logicalType\":\"timestamp-micros\",\"adjust-to-utc\":true}";
    case MLE_TYPE_UUID:
      *out_fixed = 16;
      return mle_arena_format(arena,
                              "{\"type\":\"fixed\",\"size\":16,\"logicalType\":\"uuid\","
                              "\"name\":\"uuid_fixed_%d\"}",
                              column->field->field_id);
    case MLE_TYPE_DECIMAL:
      *out_fixed = decimal_size(type->precision);
      return mle_arena_format(arena,
                              "{\"type\":\"fixed\",\"size\":%zu,\"logicalType\":\"decimal\","
                              "\"precision\":%d,\"scale\":%d,\"name\":\"decimal_%d\"}",
                              *out_fixed, type->precision, type->scale, column->field->field_id);
    default: return "\"string\"";
  }
}

mle_status mle_partition_shape(const mle_partition_column *columns, size_t count,
                               mle_arena *arena, mle_avro_shape *out, mle_error *err) {
  mle_avro_part *parts = mle_arena_array(arena, count, sizeof *parts);
  if (parts == NULL) return mle_nomem(err, "partitioning");
  for (size_t i = 0; i < count; i++) {
    parts[i].field_id = columns[i].field->field_id;
    parts[i].name = avro_name(columns[i].field->name, arena);
    parts[i].type = avro_type(&columns[i], arena, &parts[i].fixed);
    if (parts[i].name == NULL || parts[i].type == NULL) return mle_nomem(err, "partitioning");
  }
  *out = (mle_avro_shape){parts, count};
  return MLE_OK;
}

/* ====== Values ====== */

static bool read_whole(const char *key, mle_wide *out) {
  bool negative = *key == '-';
  const char *at = key + negative;
  if (*at == '\0') return false;
  for (*out = 0; *at != '\0'; at++) {
    if (*at < '0' || *at > '9') return false;
    if (__builtin_mul_overflow(*out, (mle_wide)10, out)) return false;
    if (__builtin_sub_overflow(*out, (mle_wide)(*at - '0'), out)) return false;
  }
  return negative || !__builtin_sub_overflow((mle_wide)0, *out, out);
}

/* In as many bytes as the type's largest needs, the sign in front. */
static mle_status keep_decimal(const mle_type *type, mle_wide value, mle_arena *arena,
                               mle_datum *out, mle_error *err) {
  char bytes[MLE_WIDE_BYTES], wide[MLE_WIDE_BYTES];
  size_t size = decimal_size(type->precision), len = mle_wide_bytes(value, bytes);
  if (len > size)
    return mle_fail(err, MLE_EINVAL, "a partition value does not fit %d digits", type->precision);
  memset(wide, value < 0 ? 0xff : 0, size);
  memcpy(wide + size - len, bytes, len);
  out->kind = MLE_DATUM_BYTES;
  out->bytes = (mle_bytes){mle_arena_text(arena, wide, size), size};
  return out->bytes.data == NULL ? mle_nomem(err, "partitioning") : MLE_OK;
}

static mle_status keep_whole(const mle_type *type, mle_wide value, mle_arena *arena,
                             mle_datum *out, mle_error *err) {
  bool narrow = type->kind == MLE_TYPE_INT || type->kind == MLE_TYPE_DATE;
  if (type->kind == MLE_TYPE_DECIMAL) return keep_decimal(type, value, arena, out, err);
  if (value > (narrow ? INT32_MAX : INT64_MAX) || value < (narrow ? INT32_MIN : INT64_MIN))
    return mle_fail(err, MLE_EINVAL, "a partition value is outside the range of its type");
  out->kind = type->kind == MLE_TYPE_BOOLEAN ? MLE_DATUM_BOOL : MLE_DATUM_INT;
  out->integer = (int64_t)value;
  return MLE_OK;
}

static mle_status keep_text(const mle_type *type, const char *key, mle_arena *arena,
                            mle_datum *out, mle_error *err) {
  size_t len = strlen(key);
  out->kind = MLE_DATUM_BYTES;
  if (type->kind == MLE_TYPE_UUID)
    return mle_value_bound(type, MLE_BOUND_LOWER, key, len, arena, &out->bytes, err);
  out->kind = MLE_DATUM_TEXT;
  out->bytes = (mle_bytes){mle_arena_text(arena, key, len), len};
  return out->bytes.data == NULL ? mle_nomem(err, "partitioning") : MLE_OK;
}

mle_status mle_partition_value(const mle_partition_column *column, const char *key,
                               mle_arena *arena, mle_datum *out, mle_error *err) {
  const mle_type *type = column->type;
  mle_wide value;
  *out = (mle_datum){.field_id = column->field->field_id, .kind = MLE_DATUM_NULL};
  if (key == NULL) return MLE_OK;
  switch (type->kind) {
    case MLE_TYPE_FLOAT:
    case MLE_TYPE_DOUBLE:
      out->kind = type->kind == MLE_TYPE_FLOAT ? MLE_DATUM_FLOAT : MLE_DATUM_DOUBLE;
      out->number = strtod(key, NULL);
      return MLE_OK;
    case MLE_TYPE_STRING:
    case MLE_TYPE_UUID: return keep_text(type, key, arena, out, err);
    default: break;
  }
  if (!read_whole(key, &value))
    return mle_fail(err, MLE_EINVAL, "partition field '%s' has no value for '%.60s'",
                    column->field->name, key);
  return keep_whole(type, value, arena, out, err);
}

/* ====== Summaries ====== */

/* Spec, Appendix D: a decimal in the fewest bytes, where the tuple has all. */
static mle_status keep_bound(const mle_type *type, const mle_datum *datum, mle_arena *arena,
                             mle_bytes *out, mle_error *err) {
  char bytes[MLE_WIDE_BYTES];
  if (type->kind != MLE_TYPE_DECIMAL) return mle_datum_bytes(datum, type, arena, out, err);
  out->len = mle_wide_bytes(mle_literal_from_datum(type, datum).whole, bytes);
  out->data = mle_arena_text(arena, bytes, out->len);
  return out->data == NULL ? mle_nomem(err, "partitioning") : MLE_OK;
}

static mle_status summarize(const mle_partition_column *column, const mle_data_file *files,
                            size_t num_files, mle_arena *arena, mle_field_summary *out,
                            mle_error *err) {
  const mle_datum *least = NULL, *most = NULL;
  *out = (mle_field_summary){.contains_null = 0, .contains_nan = 0};
  for (size_t i = 0; i < num_files; i++) {
    const mle_datum *datum = mle_tuple_find(&files[i].partition, column->field->field_id);
    bool null = datum == NULL || datum->kind == MLE_DATUM_NULL;
    out->contains_null |= null;
    if (null) continue;
    mle_literal value = mle_literal_from_datum(column->type, datum);
    out->contains_nan |= value.kind == MLE_LITERAL_NONE;
    if (value.kind == MLE_LITERAL_NONE) continue;
    mle_literal low = least == NULL ? value : mle_literal_from_datum(column->type, least);
    mle_literal high = most == NULL ? value : mle_literal_from_datum(column->type, most);
    if (least == NULL || mle_literal_compare(&value, &low) < 0) least = datum;
    if (most == NULL || mle_literal_compare(&value, &high) > 0) most = datum;
  }
  if (least == NULL) return MLE_OK;
  MLE_TRY(keep_bound(column->type, least, arena, &out->lower, err));
  return keep_bound(column->type, most, arena, &out->upper, err);
}

mle_status mle_partition_summaries(const mle_partition_column *columns, size_t num_columns,
                                   const mle_data_file *files, size_t num_files, mle_arena *arena,
                                   mle_list *out, mle_error *err) {
  mle_field_summary *items = mle_arena_array(arena, num_columns + 1, sizeof *items);
  if (items == NULL) return mle_nomem(err, "partitioning");
  for (size_t i = 0; i < num_columns; i++)
    MLE_TRY(summarize(&columns[i], files, num_files, arena, &items[i], err));
  *out = (mle_list){items, num_columns};
  return MLE_OK;
}
