#include "engine/iceberg/types.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PRECISION_MAX 38
#define FIXED_MAX (1 << 20)

static const struct {
  mle_type_kind kind;
  const char *name;
} plain_types[] = {
    {MLE_TYPE_BOOLEAN, "boolean"},
    {MLE_TYPE_INT, "int"},
    {MLE_TYPE_LONG, "long"},
    {MLE_TYPE_FLOAT, "float"},
    {MLE_TYPE_DOUBLE, "double"},
    {MLE_TYPE_DATE, "date"},
    {MLE_TYPE_TIME, "time"},
    {MLE_TYPE_TIMESTAMP, "timestamp"},
    {MLE_TYPE_TIMESTAMPTZ, "timestamptz"},
    {MLE_TYPE_TIMESTAMP_NS, "timestamp_ns"},
    {MLE_TYPE_TIMESTAMPTZ_NS, "timestamptz_ns"},
    {MLE_TYPE_STRING, "string"},
    {MLE_TYPE_UUID, "uuid"},
    {MLE_TYPE_BINARY, "binary"},
    {MLE_TYPE_UNKNOWN, "unknown"},
    {MLE_TYPE_VARIANT, "variant"},
    {MLE_TYPE_GEOMETRY, "geometry"},
    {MLE_TYPE_GEOGRAPHY, "geography"},
};

#define NUM_PLAIN (sizeof plain_types / sizeof *plain_types)

bool mle_type_is_nested(const mle_type *type) { return type->kind >= MLE_TYPE_STRUCT; }

/* ====== Parsing ====== */

static mle_type *new_type(mle_arena *arena, mle_type_kind kind, mle_error *err) {
  mle_type *type = mle_arena_alloc(arena, sizeof *type);
  if (type == NULL)
    mle_nomem(err, "reading a schema");
  else
    type->kind = kind;
  return type;
}

/* "name(parameters)" or "name[parameters]": where the parameters stand, NULL when the name differs.
 */
static const char *parameters_of(const char *text, const char *name, char open, size_t *out_len) {
  size_t len = strlen(name), whole = strlen(text);
  char close = open == '(' ? ')' : ']';
  if (strncmp(text, name, len) != 0 || text[len] != open || text[whole - 1] != close) return NULL;
  *out_len = whole - len - 2;
  return text + len + 1;
}

static bool parse_parametric(const char *text, mle_arena *arena, mle_type *type) {
  size_t len;
  char end;
  const char *inside;
  if (parameters_of(text, "decimal", '(', &len) != NULL) {
    type->kind = MLE_TYPE_DECIMAL;
    return sscanf(text, "decimal( %d , %d %c", &type->precision, &type->scale, &end) == 3 &&
           type->precision >= 1 && type->precision <= PRECISION_MAX && type->scale >= 0 &&
           type->scale <= type->precision;
  }
  if (parameters_of(text, "fixed", '[', &len) != NULL) {
    type->kind = MLE_TYPE_FIXED;
    return sscanf(text, "fixed[ %d %c", &type->length, &end) == 2 && type->length >= 0 &&
           type->length <= FIXED_MAX;
  }
  type->kind = MLE_TYPE_GEOMETRY;
  if ((inside = parameters_of(text, "geometry", '(', &len)) == NULL) {
    type->kind = MLE_TYPE_GEOGRAPHY;
    inside = parameters_of(text, "geography", '(', &len);
  }
  type->parameters = inside == NULL ? NULL : mle_arena_text(arena, inside, len);
  return type->parameters != NULL;
}

static mle_status parse_primitive(const mle_json_at *at, const char *text, mle_arena *arena,
                                  const mle_type **out, mle_error *err) {
  mle_type *type = new_type(arena, MLE_TYPE_UNKNOWN, err);
  if (type == NULL) return MLE_ENOMEM;
  *out = type;
  for (size_t i = 0; i < NUM_PLAIN; i++) {
    if (strcmp(text, plain_types[i].name) != 0) continue;
    type->kind = plain_types[i].kind;
    return MLE_OK;
  }
  if (parse_parametric(text, arena, type)) return MLE_OK;
  *out = NULL;
  return mle_json_fail(at, err, "'%.80s' is not a type this program knows", text);
}

static mle_status parse_type(const mle_json_at *at, mle_arena *arena, int depth,
                             const mle_type **out, mle_error *err);

static mle_status parse_id(const mle_json_at *at, const char *key, int *out, mle_error *err) {
  int64_t id;
  MLE_TRY(mle_json_get_int(at, key, &id, err));
  if (id < 0 || id > INT32_MAX) return mle_json_fail(at, err, "\"%s\" is not a field id", key);
  *out = (int)id;
  return MLE_OK;
}

static const mle_json *default_of(const mle_json_at *at, const char *key) {
  mle_json_at found;
  return mle_json_find(at, key, &found) && !mle_json_is_null(&found) ? found.node : NULL;
}

static mle_status parse_field(const mle_json_at *at, mle_arena *arena, int depth, mle_field *out,
                              mle_error *err) {
  const char *name, *doc;
  mle_json_at type;
  MLE_TRY(parse_id(at, "id", &out->id, err));
  MLE_TRY(mle_json_get_text(at, "name", &name, err));
  MLE_TRY(mle_json_get_bool(at, "required", &out->required, err));
  MLE_TRY(mle_json_opt_text(at, "doc", NULL, &doc, err));
  MLE_TRY(mle_arena_copy(arena, name, &out->name, err));
  MLE_TRY(mle_arena_copy(arena, doc, &out->doc, err));
  out->initial_default = default_of(at, "initial-default");
  out->write_default = default_of(at, "write-default");
  if (!mle_json_find(at, "type", &type)) return mle_json_fail(at, err, "\"type\" is missing");
  return parse_type(&type, arena, depth, &out->type, err);
}

static mle_status parse_fields(const mle_json_at *object, mle_arena *arena, int depth,
                               size_t *out_count, const mle_field **out, mle_error *err) {
  mle_json_at list, item;
  *out_count = 0;
  MLE_TRY(mle_json_get_array(object, "fields", &list, err));
  size_t count = (size_t)mle_json_count(&list), i = 0;
  mle_field *fields = mle_arena_array(arena, count, sizeof *fields);
  if (fields == NULL) return mle_nomem(err, "reading a schema");
  for (bool more = mle_json_first(&list, &item); more; more = mle_json_next(&item))
    MLE_TRY(parse_field(&item, arena, depth, &fields[i++], err));
  *out = fields;
  *out_count = count;
  return MLE_OK;
}

/* An element, key or value: a field whose name the spec gives. */
static mle_status parse_member(const mle_json_at *at, mle_arena *arena, int depth, const char *name,
                               mle_field *out, mle_error *err) {
  char key[32];
  mle_json_at type;
  out->name = name;
  snprintf(key, sizeof key, "%s-id", name);
  MLE_TRY(parse_id(at, key, &out->id, err));
  snprintf(key, sizeof key, "%s-required", name);
  out->required = true;
  if (strcmp(name, "key") != 0) MLE_TRY(mle_json_get_bool(at, key, &out->required, err));
  if (!mle_json_find(at, name, &type)) return mle_json_fail(at, err, "\"%s\" is missing", name);
  return parse_type(&type, arena, depth, &out->type, err);
}

static mle_status parse_members(const mle_json_at *at, mle_arena *arena, int depth, mle_type *type,
                                mle_error *err) {
  static const char *const names[] = {"element", "key", "value"};
  size_t first = type->kind == MLE_TYPE_LIST ? 0 : 1;
  type->num_fields = type->kind == MLE_TYPE_LIST ? 1 : 2;
  mle_field *fields = mle_arena_array(arena, type->num_fields, sizeof *fields);
  if (fields == NULL) return mle_nomem(err, "reading a schema");
  type->fields = fields;
  for (size_t i = 0; i < type->num_fields; i++)
    MLE_TRY(parse_member(at, arena, depth, names[first + i], &fields[i], err));
  return MLE_OK;
}

static mle_status parse_nested(const mle_json_at *at, mle_arena *arena, int depth,
                               const mle_type **out, mle_error *err) {
  const char *name;
  MLE_TRY(mle_json_get_text(at, "type", &name, err));
  mle_type *type = new_type(arena, MLE_TYPE_STRUCT, err);
  if (type == NULL) return MLE_ENOMEM;
  *out = type;
  if (strcmp(name, "struct") == 0)
    return parse_fields(at, arena, depth, &type->num_fields, &type->fields, err);
  if (strcmp(name, "list") == 0)
    type->kind = MLE_TYPE_LIST;
  else if (strcmp(name, "map") == 0)
    type->kind = MLE_TYPE_MAP;
  else
    return mle_json_fail(at, err, "'%.80s' is not a type this program knows", name);
  return parse_members(at, arena, depth, type, err);
}

static mle_status parse_type(const mle_json_at *at, mle_arena *arena, int depth,
                             const mle_type **out, mle_error *err) {
  const char *text;
  *out = NULL;
  if (depth > MLE_TYPE_DEPTH_MAX) return mle_json_fail(at, err, "types nested too deep");
  if (mle_json_is_object(at)) return parse_nested(at, arena, depth + 1, out, err);
  MLE_TRY(mle_json_text(at, &text, err));
  return parse_primitive(at, text, arena, out, err);
}

mle_status mle_type_parse(const mle_json_at *at, mle_arena *arena, const mle_type **out,
                          mle_error *err) {
  return parse_type(at, arena, 0, out, err);
}

mle_status mle_type_parse_fields(const mle_json_at *object, mle_arena *arena, size_t *out_count,
                                 const mle_field **out, mle_error *err) {
  return parse_fields(object, arena, 0, out_count, out, err);
}

/* ====== Printing ====== */

static const char *plain_name(mle_type_kind kind) {
  for (size_t i = 0; i < NUM_PLAIN; i++)
    if (plain_types[i].kind == kind) return plain_types[i].name;
  return "unknown";
}

static mle_status print_primitive(const mle_type *type, mle_buffer *out, mle_error *err) {
  if (type->kind == MLE_TYPE_DECIMAL)
    return mle_buffer_printf(out, err, "decimal(%d, %d)", type->precision, type->scale);
  if (type->kind == MLE_TYPE_FIXED) return mle_buffer_printf(out, err, "fixed[%d]", type->length);
  MLE_TRY(mle_buffer_puts(out, plain_name(type->kind), err));
  return type->parameters == NULL ? MLE_OK : mle_buffer_printf(out, err, "(%s)", type->parameters);
}

mle_status mle_type_print(const mle_type *type, mle_buffer *out, mle_error *err) {
  if (!mle_type_is_nested(type)) return print_primitive(type, out, err);
  MLE_TRY(mle_buffer_puts(out,
                          type->kind == MLE_TYPE_STRUCT ? "struct<"
                          : type->kind == MLE_TYPE_LIST ? "list<"
                                                        : "map<",
                          err));
  for (size_t i = 0; i < type->num_fields; i++) {
    const mle_field *field = &type->fields[i];
    if (i > 0) MLE_TRY(mle_buffer_puts(out, ", ", err));
    if (type->kind == MLE_TYPE_STRUCT) MLE_TRY(mle_buffer_printf(out, err, "%s: ", field->name));
    MLE_TRY(mle_type_print(field->type, out, err));
  }
  return mle_buffer_puts(out, ">", err);
}

const char *mle_type_label(const mle_type *type, char text[MLE_TYPE_LABEL]) {
  mle_buffer whole = MLE_BUFFER(MLE_TYPE_TEXT_MAX);
  bool cut = mle_type_print(type, &whole, NULL) != MLE_OK || whole.len >= MLE_TYPE_LABEL;
  snprintf(text, MLE_TYPE_LABEL, "%.*s%s", MLE_TYPE_LABEL - 4, whole.data == NULL ? "" : whole.data,
           cut ? "..." : "");
  mle_buffer_release(&whole);
  return text;
}

static void add_field(mle_json *to, const mle_field *field) {
  mle_json_add_int(to, "id", field->id);
  mle_json_add_text(to, "name", field->name);
  mle_type_add_json(to, "type", field->type);
  mle_json_add_bool(to, "required", field->required);
  if (field->doc != NULL) mle_json_add_text(to, "doc", field->doc);
  if (field->initial_default != NULL)
    mle_json_add_copy(to, "initial-default", field->initial_default);
  if (field->write_default != NULL) mle_json_add_copy(to, "write-default", field->write_default);
}

void mle_type_add_fields(mle_json *to, size_t num_fields, const mle_field *fields) {
  mle_json *list = mle_json_add_array(to, "fields");
  for (size_t i = 0; i < num_fields; i++) add_field(mle_json_add_object(list, NULL), &fields[i]);
}

static void add_member(mle_json *to, const mle_field *field) {
  char key[32];
  snprintf(key, sizeof key, "%s-id", field->name);
  mle_json_add_int(to, key, field->id);
  mle_type_add_json(to, field->name, field->type);
  if (strcmp(field->name, "key") == 0) return;
  snprintf(key, sizeof key, "%s-required", field->name);
  mle_json_add_bool(to, key, field->required);
}

void mle_type_add_json(mle_json *to, const char *key, const mle_type *type) {
  if (!mle_type_is_nested(type)) {
    mle_buffer text = MLE_BUFFER(MLE_TYPE_TEXT_MAX);
    bool fits = print_primitive(type, &text, NULL) == MLE_OK;
    if (fits)
      mle_json_add_text(to, key, text.data);
    else
      mle_json_add(to, key, NULL); /* marks the document incomplete */
    mle_buffer_release(&text);
    return;
  }
  mle_json *object = mle_json_add_object(to, key);
  mle_json_add_text(object, "type",
                    type->kind == MLE_TYPE_STRUCT ? "struct"
                    : type->kind == MLE_TYPE_LIST ? "list"
                                                  : "map");
  if (type->kind == MLE_TYPE_STRUCT) {
    mle_type_add_fields(object, type->num_fields, type->fields);
    return;
  }
  for (size_t i = 0; i < type->num_fields; i++) add_member(object, &type->fields[i]);
}

/* ====== Promotion (spec, "Schema Evolution") ====== */

static const mle_field *find_field(const mle_type *type, const char *name) {
  for (size_t i = 0; i < type->num_fields; i++)
    if (strcmp(type->fields[i].name, name) == 0) return &type->fields[i];
  return NULL;
}

static bool fields_widen(const mle_type *from, const mle_type *to) {
  for (size_t i = 0; i < to->num_fields; i++) {
    const mle_field *source = find_field(from, to->fields[i].name);
    if (source == NULL && to->fields[i].required) return false;
    if (source != NULL && !mle_type_widens(source->type, to->fields[i].type)) return false;
  }
  for (size_t i = 0; i < from->num_fields; i++)
    if (find_field(to, from->fields[i].name) == NULL) return false;
  return true;
}

bool mle_type_widens(const mle_type *from, const mle_type *to) {
  if (from->kind == MLE_TYPE_INT && to->kind == MLE_TYPE_LONG) return true;
  if (from->kind == MLE_TYPE_FLOAT && to->kind == MLE_TYPE_DOUBLE) return true;
  if (from->kind != to->kind) return false;
  if (mle_type_is_nested(to)) return fields_widen(from, to);
  if (to->kind == MLE_TYPE_DECIMAL)
    return from->scale == to->scale && from->precision <= to->precision;
  return to->kind != MLE_TYPE_FIXED || from->length == to->length;
}
