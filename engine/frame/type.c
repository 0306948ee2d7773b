#include "engine/frame/type.h"

#include <string.h>

#include "engine/frame/frame.h"

static const char *const names[] = {
    [DUCKDB_TYPE_BOOLEAN] = "BOOLEAN",
    [DUCKDB_TYPE_TINYINT] = "TINYINT",
    [DUCKDB_TYPE_SMALLINT] = "SMALLINT",
    [DUCKDB_TYPE_INTEGER] = "INTEGER",
    [DUCKDB_TYPE_BIGINT] = "BIGINT",
    [DUCKDB_TYPE_UTINYINT] = "UTINYINT",
    [DUCKDB_TYPE_USMALLINT] = "USMALLINT",
    [DUCKDB_TYPE_UINTEGER] = "UINTEGER",
    [DUCKDB_TYPE_UBIGINT] = "UBIGINT",
    [DUCKDB_TYPE_FLOAT] = "FLOAT",
    [DUCKDB_TYPE_DOUBLE] = "DOUBLE",
    [DUCKDB_TYPE_TIMESTAMP] = "TIMESTAMP",
    [DUCKDB_TYPE_DATE] = "DATE",
    [DUCKDB_TYPE_TIME] = "TIME",
    [DUCKDB_TYPE_INTERVAL] = "INTERVAL",
    [DUCKDB_TYPE_HUGEINT] = "HUGEINT",
    [DUCKDB_TYPE_UHUGEINT] = "UHUGEINT",
    [DUCKDB_TYPE_VARCHAR] = "VARCHAR",
    [DUCKDB_TYPE_BLOB] = "BLOB",
    [DUCKDB_TYPE_TIMESTAMP_S] = "TIMESTAMP_S",
    [DUCKDB_TYPE_TIMESTAMP_MS] = "TIMESTAMP_MS",
    [DUCKDB_TYPE_TIMESTAMP_NS] = "TIMESTAMP_NS",
    [DUCKDB_TYPE_UUID] = "UUID",
    [DUCKDB_TYPE_BIT] = "BIT",
    [DUCKDB_TYPE_TIME_TZ] = "TIME WITH TIME ZONE",
    [DUCKDB_TYPE_TIMESTAMP_TZ] = "TIMESTAMP WITH TIME ZONE",
    [DUCKDB_TYPE_SQLNULL] = "\"NULL\"",
    [DUCKDB_TYPE_BIGNUM] = "BIGNUM",
    [DUCKDB_TYPE_TIME_NS] = "TIME_NS",
};

static mle_status append_and_destroy(duckdb_logical_type child, mle_buffer *out, mle_error *err) {
  mle_status status = mle_type_text(child, out, err);
  duckdb_destroy_logical_type(&child);
  return status;
}

/* A name DuckDB allocated; NULL is an exhausted allocator. */
static mle_status append_name(char *name, mle_buffer *out, mle_error *err) {
  mle_status status = name == NULL ? mle_nomem(err, "naming a type") : mle_sql_name(out, name, err);
  duckdb_free(name);
  return status;
}

static mle_status struct_text(duckdb_logical_type type, mle_buffer *out, mle_error *err) {
  MLE_TRY(mle_buffer_puts(out, "STRUCT(", err));
  for (idx_t i = 0; i < duckdb_struct_type_child_count(type); i++) {
    if (i > 0) MLE_TRY(mle_buffer_puts(out, ", ", err));
    MLE_TRY(append_name(duckdb_struct_type_child_name(type, i), out, err));
    MLE_TRY(mle_buffer_puts(out, " ", err));
    MLE_TRY(append_and_destroy(duckdb_struct_type_child_type(type, i), out, err));
  }
  return mle_buffer_puts(out, ")", err);
}

static mle_status union_text(duckdb_logical_type type, mle_buffer *out, mle_error *err) {
  MLE_TRY(mle_buffer_puts(out, "UNION(", err));
  for (idx_t i = 0; i < duckdb_union_type_member_count(type); i++) {
    if (i > 0) MLE_TRY(mle_buffer_puts(out, ", ", err));
    MLE_TRY(append_name(duckdb_union_type_member_name(type, i), out, err));
    MLE_TRY(mle_buffer_puts(out, " ", err));
    MLE_TRY(append_and_destroy(duckdb_union_type_member_type(type, i), out, err));
  }
  return mle_buffer_puts(out, ")", err);
}

static mle_status map_text(duckdb_logical_type type, mle_buffer *out, mle_error *err) {
  MLE_TRY(mle_buffer_puts(out, "MAP(", err));
  MLE_TRY(append_and_destroy(duckdb_map_type_key_type(type), out, err));
  MLE_TRY(mle_buffer_puts(out, ", ", err));
  MLE_TRY(append_and_destroy(duckdb_map_type_value_type(type), out, err));
  return mle_buffer_puts(out, ")", err);
}

static mle_status enum_text(duckdb_logical_type type, mle_buffer *out, mle_error *err) {
  MLE_TRY(mle_buffer_puts(out, "ENUM(", err));
  for (uint32_t i = 0; i < duckdb_enum_dictionary_size(type); i++) {
    char *value = duckdb_enum_dictionary_value(type, i);
    mle_status status = i > 0 ? mle_buffer_puts(out, ", ", err) : MLE_OK;
    if (status == MLE_OK) status = mle_sql_text(out, value, strlen(value), err);
    duckdb_free(value);
    MLE_TRY(status);
  }
  return mle_buffer_puts(out, ")", err);
}

/* Types with a name of their own, such as JSON, are a plain type below. */
static mle_status alias_text(duckdb_logical_type type, mle_buffer *out, bool *found,
                             mle_error *err) {
  char *alias = duckdb_logical_type_get_alias(type);
  *found = alias != NULL && alias[0] != '\0';
  mle_status status = *found ? mle_buffer_puts(out, alias, err) : MLE_OK;
  duckdb_free(alias);
  return status;
}

mle_status mle_type_text(duckdb_logical_type type, mle_buffer *out, mle_error *err) {
  bool found;
  MLE_TRY(alias_text(type, out, &found, err));
  if (found) return MLE_OK;
  duckdb_type id = duckdb_get_type_id(type);
  switch (id) {
    case DUCKDB_TYPE_DECIMAL:
      return mle_buffer_printf(out, err, "DECIMAL(%d,%d)", duckdb_decimal_width(type),
                               duckdb_decimal_scale(type));
    case DUCKDB_TYPE_LIST:
      MLE_TRY(append_and_destroy(duckdb_list_type_child_type(type), out, err));
      return mle_buffer_puts(out, "[]", err);
    case DUCKDB_TYPE_ARRAY:
      MLE_TRY(append_and_destroy(duckdb_array_type_child_type(type), out, err));
      return mle_buffer_printf(out, err, "[%llu]",
                               (unsigned long long)duckdb_array_type_array_size(type));
    case DUCKDB_TYPE_STRUCT: return struct_text(type, out, err);
    case DUCKDB_TYPE_MAP: return map_text(type, out, err);
    case DUCKDB_TYPE_UNION: return union_text(type, out, err);
    case DUCKDB_TYPE_ENUM: return enum_text(type, out, err);
    default: break;
  }
  if ((size_t)id < sizeof names / sizeof *names && names[id] != NULL)
    return mle_buffer_puts(out, names[id], err);
  return mle_fail(err, MLE_EUNSUPPORTED, "a column has a type of DuckDB (%d) that is not supported",
                  (int)id);
}
