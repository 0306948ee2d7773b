#include "engine/iceberg/sql_type.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define FIELDS_MAX 10000

/* ====== DuckDB's names ====== */

static const struct {
  const char *sql;
  mle_type_kind kind;
  const char *advice; /* set: refused, and what to do */
} names[] = {
    {"BOOLEAN", MLE_TYPE_BOOLEAN, NULL},
    {"TINYINT", MLE_TYPE_INT, NULL},
    {"SMALLINT", MLE_TYPE_INT, NULL},
    {"INTEGER", MLE_TYPE_INT, NULL},
    {"BIGINT", MLE_TYPE_LONG, NULL},
    {"UTINYINT", MLE_TYPE_INT, NULL},
    {"USMALLINT", MLE_TYPE_INT, NULL},
    {"UINTEGER", MLE_TYPE_LONG, NULL},
    {"FLOAT", MLE_TYPE_FLOAT, NULL},
    {"DOUBLE", MLE_TYPE_DOUBLE, NULL},
    {"DATE", MLE_TYPE_DATE, NULL},
    {"TIME", MLE_TYPE_TIME, NULL},
    {"TIMESTAMP WITH TIME ZONE", MLE_TYPE_TIMESTAMPTZ, NULL},
    {"TIMESTAMP_S", MLE_TYPE_TIMESTAMP, NULL},
    {"TIMESTAMP_MS", MLE_TYPE_TIMESTAMP, NULL},
    {"TIMESTAMP_NS", MLE_TYPE_TIMESTAMP_NS, "cast it to TIMESTAMP"},
    {"TIMESTAMP", MLE_TYPE_TIMESTAMP, NULL},
    {"VARCHAR", MLE_TYPE_STRING, NULL},
    {"JSON", MLE_TYPE_STRING, NULL},
    {"ENUM", MLE_TYPE_STRING, NULL},
    {"UUID", MLE_TYPE_UUID, NULL},
    {"BLOB", MLE_TYPE_BINARY, NULL},
    {"UBIGINT", MLE_TYPE_UNKNOWN, "cast it to BIGINT or DECIMAL(20,0)"},
    {"HUGEINT", MLE_TYPE_UNKNOWN, "cast it to BIGINT or DECIMAL(38,0)"},
    {"UHUGEINT", MLE_TYPE_UNKNOWN, "cast it to BIGINT or DECIMAL(38,0)"},
    {"BIGNUM", MLE_TYPE_UNKNOWN, "cast it to BIGINT, DECIMAL(38,0) or VARCHAR"},
    {"TIME WITH TIME ZONE", MLE_TYPE_UNKNOWN, "cast it to TIME"},
    {"TIME_NS", MLE_TYPE_UNKNOWN, "cast it to TIME"},
    {"INTERVAL", MLE_TYPE_UNKNOWN, "keep it as a number of seconds, or cast it to VARCHAR"},
    {"BIT", MLE_TYPE_UNKNOWN, "cast it to VARCHAR or BLOB"},
    {"UNION", MLE_TYPE_UNKNOWN, "select one of its members"},
    {"VARIANT", MLE_TYPE_UNKNOWN, "cast it to a STRUCT or to VARCHAR"},
    {"GEOMETRY", MLE_TYPE_UNKNOWN, "convert it to BLOB with ST_AsWKB"},
    {"\"NULL\"", MLE_TYPE_UNKNOWN, "give its NULLs a type, as in NULL::DOUBLE"},
};

/* ====== Reading ====== */

typedef struct reader {
  const char *text; /* all of it, for messages */
  const char *at;
  mle_arena *arena;
  mle_error *err;
  int depth;
} reader;

static mle_status parse_any(reader *r, const mle_type **out);

static mle_status bad_type(const reader *r) {
  return mle_fail(r->err, MLE_EUNSUPPORTED, "the type %.200s is not one a table can hold", r->text);
}

static mle_status no_memory(const reader *r) { return mle_nomem(r->err, "reading a type"); }

static void skip_space(reader *r) {
  while (*r->at == ' ') r->at++;
}

static bool take(reader *r, char c) {
  skip_space(r);
  if (*r->at != c) return false;
  r->at++;
  return true;
}

/* A name of the table above at the cursor, the longest that ends where a word does. */
static const char *match_name(const reader *r, size_t *out_index) {
  const char *end = NULL;
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    size_t len = strlen(names[i].sql);
    if (strncasecmp(r->at, names[i].sql, len) != 0) continue;
    if (isalnum((unsigned char)r->at[len]) || r->at[len] == '_') continue;
    if (end != NULL && r->at + len <= end) continue;
    end = r->at + len;
    *out_index = i;
  }
  return end;
}

/* Leaves the cursor behind the bracket that closes the one just taken, minding quotes. */
static bool skip_brackets(reader *r) {
  int depth = 1;
  for (char quote = '\0'; *r->at != '\0'; r->at++) {
    if (quote != '\0') {
      if (*r->at == quote) quote = '\0';
    } else if (*r->at == '\'' || *r->at == '"') {
      quote = *r->at;
    } else if (*r->at == '(') {
      depth++;
    } else if (*r->at == ')' && --depth == 0) {
      r->at++;
      return true;
    }
  }
  return false;
}

static mle_status parse_named(reader *r, mle_type *type) {
  size_t index;
  const char *end = match_name(r, &index);
  if (end == NULL) return bad_type(r);
  r->at = end;
  type->kind = names[index].kind;
  if (names[index].advice != NULL)
    return mle_fail(r->err, MLE_EUNSUPPORTED, "an Iceberg table has no type for %s; %s",
                    names[index].sql, names[index].advice);
  if (take(r, '(') && !skip_brackets(r)) return bad_type(r); /* ENUM('a', 'b'), VARCHAR(9) */
  return MLE_OK;
}

static mle_status parse_decimal(reader *r, mle_type *type) {
  int used = 0;
  type->kind = MLE_TYPE_DECIMAL;
  if (sscanf(r->at, "( %d , %d )%n", &type->precision, &type->scale, &used) != 2 || used == 0 ||
      type->precision < 1 || type->precision > 38 || type->scale < 0 ||
      type->scale > type->precision)
    return bad_type(r);
  r->at += used;
  return MLE_OK;
}

static bool is_word(char c) { return isalnum((unsigned char)c) || c == '_' || (c & 0x80) != 0; }

/* A field's name, plain or in double quotes with "" for one. */
static const char *parse_name(reader *r) {
  skip_space(r);
  char *name = mle_arena_text(r->arena, r->at, strlen(r->at));
  if (name == NULL) return NULL;
  size_t len = 0;
  if (*r->at != '"') {
    while (is_word(r->at[len])) len++;
    r->at += len;
  } else {
    for (r->at++; *r->at != '\0' && (*r->at != '"' || r->at[1] == '"'); r->at++) {
      if (*r->at == '"') r->at++;
      name[len++] = *r->at;
    }
    if (*r->at == '"') r->at++;
  }
  name[len] = '\0';
  return name;
}

static mle_status parse_struct(reader *r, mle_type *type) {
  type->kind = MLE_TYPE_STRUCT;
  size_t capacity = 0;
  mle_field *fields = NULL;
  if (!take(r, '(')) return bad_type(r);
  do {
    if (type->num_fields == capacity) {
      capacity = capacity == 0 ? 8 : capacity * 2;
      mle_field *more =
          capacity > FIELDS_MAX ? NULL : mle_arena_array(r->arena, capacity, sizeof *more);
      if (more == NULL) return no_memory(r);
      if (fields != NULL) memcpy(more, fields, type->num_fields * sizeof *more);
      fields = more;
    }
    mle_field *field = &fields[type->num_fields++];
    field->name = parse_name(r);
    if (field->name == NULL) return no_memory(r);
    if (field->name[0] == '\0') return bad_type(r);
    MLE_TRY(parse_any(r, &field->type));
  } while (take(r, ','));
  type->fields = fields;
  return take(r, ')') ? MLE_OK : bad_type(r);
}

static mle_status parse_map(reader *r, mle_type *type) {
  mle_field *fields = mle_arena_array(r->arena, 2, sizeof *fields);
  if (fields == NULL) return no_memory(r);
  *type = (mle_type){.kind = MLE_TYPE_MAP, .num_fields = 2, .fields = fields};
  fields[0] = (mle_field){.name = "key", .required = true};
  fields[1] = (mle_field){.name = "value"};
  if (!take(r, '(')) return bad_type(r);
  MLE_TRY(parse_any(r, &fields[0].type));
  if (!take(r, ',')) return bad_type(r);
  MLE_TRY(parse_any(r, &fields[1].type));
  return take(r, ')') ? MLE_OK : bad_type(r);
}

static bool take_word(reader *r, const char *word) {
  size_t len = strlen(word);
  if (strncasecmp(r->at, word, len) != 0 || r->at[len] != '(') return false;
  r->at += len;
  return true;
}

/* [] makes a list of what stands before it, and so does [3]. */
static mle_status parse_lists(reader *r, const mle_type **type) {
  while (*r->at == '[') {
    r->at += 1 + strspn(r->at + 1, "0123456789");
    if (!take(r, ']')) return bad_type(r);
    mle_type *list = mle_arena_alloc(r->arena, sizeof *list);
    mle_field *element = mle_arena_alloc(r->arena, sizeof *element);
    if (list == NULL || element == NULL) return no_memory(r);
    *element = (mle_field){.name = "element", .type = *type};
    *list = (mle_type){.kind = MLE_TYPE_LIST, .num_fields = 1, .fields = element};
    *type = list;
  }
  return MLE_OK;
}

static mle_status parse_any(reader *r, const mle_type **out) {
  mle_type *type = mle_arena_alloc(r->arena, sizeof *type);
  *out = type;
  if (type == NULL) return no_memory(r);
  if (++r->depth > MLE_TYPE_DEPTH_MAX) return bad_type(r);
  skip_space(r);
  if (take_word(r, "STRUCT"))
    MLE_TRY(parse_struct(r, type));
  else if (take_word(r, "MAP"))
    MLE_TRY(parse_map(r, type));
  else if (take_word(r, "DECIMAL"))
    MLE_TRY(parse_decimal(r, type));
  else
    MLE_TRY(parse_named(r, type));
  r->depth--;
  return parse_lists(r, out);
}

mle_status mle_sql_type_parse(const char *text, mle_arena *arena, const mle_type **out,
                              mle_error *err) {
  reader r = {.text = text, .at = text, .arena = arena, .err = err};
  mle_status status = parse_any(&r, out);
  if (status == MLE_OK && *r.at != '\0') status = bad_type(&r);
  if (status != MLE_OK) *out = NULL;
  return status;
}

/* ====== Writing ====== */

static mle_status quote(const char *text, char mark, mle_buffer *out, mle_error *err) {
  MLE_TRY(mle_buffer_append(out, &mark, 1, err));
  for (const char *at = text; *at != '\0'; at++) {
    if (*at == mark) MLE_TRY(mle_buffer_append(out, &mark, 1, err));
    MLE_TRY(mle_buffer_append(out, at, 1, err));
  }
  return mle_buffer_append(out, &mark, 1, err);
}

static const char *plain_sql(mle_type_kind kind) {
  switch (kind) {
    case MLE_TYPE_BOOLEAN: return "BOOLEAN";
    case MLE_TYPE_UNKNOWN: /* always null, in no file: spec, "Primitive Types" */
    case MLE_TYPE_INT: return "INTEGER";
    case MLE_TYPE_LONG: return "BIGINT";
    case MLE_TYPE_FLOAT: return "FLOAT";
    case MLE_TYPE_DOUBLE: return "DOUBLE";
    case MLE_TYPE_DATE: return "DATE";
    case MLE_TYPE_TIME: return "TIME";
    case MLE_TYPE_TIMESTAMP: return "TIMESTAMP";
    case MLE_TYPE_TIMESTAMPTZ: return "TIMESTAMP WITH TIME ZONE";
    case MLE_TYPE_TIMESTAMP_NS: return "TIMESTAMP_NS";
    case MLE_TYPE_STRING: return "VARCHAR";
    case MLE_TYPE_UUID: return "UUID";
    case MLE_TYPE_FIXED:
    case MLE_TYPE_BINARY: return "BLOB";
    default: return NULL;
  }
}

static mle_status print_struct(const mle_type *type, mle_buffer *out, mle_error *err) {
  MLE_TRY(mle_buffer_puts(out, "STRUCT(", err));
  for (size_t i = 0; i < type->num_fields; i++) {
    if (i > 0) MLE_TRY(mle_buffer_puts(out, ", ", err));
    MLE_TRY(quote(type->fields[i].name, '"', out, err));
    MLE_TRY(mle_buffer_puts(out, " ", err));
    MLE_TRY(mle_sql_type_print(type->fields[i].type, out, err));
  }
  return mle_buffer_puts(out, ")", err);
}

static mle_status print_map(const mle_type *type, mle_buffer *out, mle_error *err) {
  MLE_TRY(mle_buffer_puts(out, "MAP(", err));
  MLE_TRY(mle_sql_type_print(type->fields[0].type, out, err));
  MLE_TRY(mle_buffer_puts(out, ", ", err));
  MLE_TRY(mle_sql_type_print(type->fields[1].type, out, err));
  return mle_buffer_puts(out, ")", err);
}

mle_status mle_sql_type_print(const mle_type *type, mle_buffer *out, mle_error *err) {
  const char *plain = plain_sql(type->kind);
  if (plain != NULL) return mle_buffer_puts(out, plain, err);
  if (type->kind == MLE_TYPE_STRUCT) return print_struct(type, out, err);
  if (type->kind == MLE_TYPE_MAP) return print_map(type, out, err);
  if (type->kind == MLE_TYPE_DECIMAL)
    return mle_buffer_printf(out, err, "DECIMAL(%d,%d)", type->precision, type->scale);
  if (type->kind == MLE_TYPE_LIST) {
    MLE_TRY(mle_sql_type_print(type->fields[0].type, out, err));
    return mle_buffer_puts(out, "[]", err);
  }
  char label[MLE_TYPE_LABEL];
  return mle_fail(err, MLE_EUNSUPPORTED, "columns of type %s are not read by this version",
                  mle_type_label(type, label));
}

/* ====== Field ids ====== */

static mle_status print_ids(size_t count, const mle_field *fields, mle_buffer *out,
                            mle_error *err) {
  for (size_t i = 0; i < count; i++) {
    const mle_field *field = &fields[i];
    if (i > 0) MLE_TRY(mle_buffer_puts(out, ", ", err));
    MLE_TRY(quote(field->name, '\'', out, err));
    if (!mle_type_is_nested(field->type)) {
      MLE_TRY(mle_buffer_printf(out, err, ": %d", field->id));
      continue;
    }
    MLE_TRY(mle_buffer_printf(out, err, ": {__duckdb_field_id: %d, ", field->id));
    MLE_TRY(print_ids(field->type->num_fields, field->type->fields, out, err));
    MLE_TRY(mle_buffer_puts(out, "}", err));
  }
  return MLE_OK;
}

mle_status mle_sql_field_ids(const mle_schema *schema, mle_buffer *out, mle_error *err) {
  return print_ids(schema->num_fields, schema->fields, out, err);
}
