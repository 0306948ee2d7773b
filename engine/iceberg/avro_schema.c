#include "engine/iceberg/avro_schema.h"

#include <stdio.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/json/json.h"

#define DEPTH_MAX 50
#define NAMED_MAX 200
#define BRANCHES_MAX 100
#define FIXED_MAX (1 << 20)

/* ====== Parsing ====== */

typedef struct parser {
  mle_arena *arena;
  mle_error *err;
  int depth;
  size_t num_named;
  mle_avro_node *named[NAMED_MAX]; /* records, fixeds and enums, by the order they appear */
} parser;

static const struct {
  const char *name;
  mle_avro_type type;
} type_names[] = {
    {"null", AVRO_NULL},     {"boolean", AVRO_BOOLEAN}, {"int", AVRO_INT},
    {"long", AVRO_LONG},     {"float", AVRO_FLOAT},     {"double", AVRO_DOUBLE},
    {"bytes", AVRO_BYTES},   {"string", AVRO_STRING},   {"fixed", AVRO_FIXED},
    {"enum", AVRO_ENUM},     {"array", AVRO_ARRAY},     {"map", AVRO_MAP},
    {"record", AVRO_RECORD},
};

static mle_status parse_node(parser *p, const mle_json_at *at, mle_avro_node **out);

static mle_avro_node *new_node(parser *p, mle_avro_type type, size_t count) {
  mle_avro_node *node = mle_arena_alloc(p->arena, sizeof *node);
  if (node == NULL) return NULL;
  node->type = type;
  node->count = count;
  node->members = mle_arena_array(p->arena, count, sizeof *node->members);
  for (size_t i = 0; i < count && node->members != NULL; i++) node->members[i].id = -1;
  return node->members == NULL ? NULL : node;
}

static mle_status no_memory(parser *p) { return mle_nomem(p->err, "reading an Avro schema"); }

static mle_status set_node(parser *p, mle_avro_node *node, mle_avro_node **out) {
  *out = node;
  return node == NULL ? no_memory(p) : MLE_OK;
}

static bool find_type(const char *name, mle_avro_type *out) {
  for (size_t i = 0; i < sizeof type_names / sizeof *type_names; i++) {
    if (strcmp(type_names[i].name, name) != 0) continue;
    *out = type_names[i].type;
    return true;
  }
  return false;
}

static bool is_plain(mle_avro_type type) { return type <= AVRO_STRING; }

/* Without the namespace, which a type has where it is defined and a mention may have or leave out. */
static const char *short_name(const char *name) {
  const char *dot = strrchr(name, '.');
  return dot == NULL ? name : dot + 1;
}

/* The type of that name that was defined before; NULL when there is none. */
static mle_avro_node *find_named(const parser *p, const char *name) {
  for (size_t i = p->num_named; i-- > 0;)
    if (strcmp(p->named[i]->name, name) == 0) return p->named[i];
  for (size_t i = p->num_named; i-- > 0;)
    if (strcmp(short_name(p->named[i]->name), short_name(name)) == 0) return p->named[i];
  return NULL;
}

/* A name alone is a plain type, or a named one defined before. */
static mle_status parse_name(parser *p, const mle_json_at *at, mle_avro_node **out) {
  const char *name;
  mle_avro_type type;
  MLE_TRY(mle_json_text(at, &name, p->err));
  if (find_type(name, &type) && is_plain(type)) return set_node(p, new_node(p, type, 0), out);
  *out = find_named(p, name);
  return *out != NULL ? MLE_OK : mle_json_fail(at, p->err, "'%.80s' is not an Avro type", name);
}

static mle_status parse_union(parser *p, const mle_json_at *at, mle_avro_node **out) {
  size_t count = (size_t)mle_json_count(at), i = 0;
  if (count == 0 || count > BRANCHES_MAX) return mle_json_fail(at, p->err, "bad union");
  MLE_TRY(set_node(p, new_node(p, AVRO_UNION, count), out));
  mle_json_at item;
  for (bool more = mle_json_first(at, &item); more; more = mle_json_next(&item)) {
    mle_avro_node *branch;
    MLE_TRY(parse_node(p, &item, &branch));
    if (branch->type == AVRO_UNION) return mle_json_fail(&item, p->err, "a union inside a union");
    (*out)->members[i++].type = branch;
  }
  return MLE_OK;
}

static mle_status parse_id(parser *p, const mle_json_at *at, const char *key, int *out) {
  int64_t id;
  MLE_TRY(mle_json_opt_int(at, key, -1, &id, p->err));
  *out = id < 0 || id > INT32_MAX ? -1 : (int)id;
  return MLE_OK;
}

static mle_status add_named(parser *p, const mle_json_at *at, mle_avro_node *node) {
  const char *name;
  MLE_TRY(mle_json_get_text(at, "name", &name, p->err));
  if (p->num_named == NAMED_MAX)
    return mle_json_fail(at, p->err, "more than %d named types", NAMED_MAX);
  MLE_TRY(mle_arena_copy(p->arena, name, &node->name, p->err));
  p->named[p->num_named++] = node;
  return MLE_OK;
}

static mle_status parse_member(parser *p, const mle_json_at *at, mle_avro_member *member) {
  const char *name;
  mle_json_at type;
  mle_avro_node *node;
  MLE_TRY(mle_json_get_text(at, "name", &name, p->err));
  MLE_TRY(parse_id(p, at, "field-id", &member->id));
  MLE_TRY(mle_arena_copy(p->arena, name, &member->name, p->err));
  if (!mle_json_find(at, "type", &type)) return mle_json_fail(at, p->err, "\"type\" is missing");
  MLE_TRY(parse_node(p, &type, &node));
  member->type = node;
  return MLE_OK;
}

static mle_status parse_record(parser *p, const mle_json_at *at, mle_avro_node **out) {
  mle_json_at fields, item;
  MLE_TRY(mle_json_get_array(at, "fields", &fields, p->err));
  MLE_TRY(set_node(p, new_node(p, AVRO_RECORD, (size_t)mle_json_count(&fields)), out));
  MLE_TRY(add_named(p, at, *out));
  size_t i = 0;
  for (bool more = mle_json_first(&fields, &item); more; more = mle_json_next(&item))
    MLE_TRY(parse_member(p, &item, &(*out)->members[i++]));
  return MLE_OK;
}

/* Arrays and maps hold one member; its id is that of the elements. */
static mle_status parse_container(parser *p, const mle_json_at *at, mle_avro_type type,
                                  mle_avro_node **out) {
  const char *key = type == AVRO_ARRAY ? "items" : "values";
  mle_json_at item;
  mle_avro_node *inside;
  MLE_TRY(set_node(p, new_node(p, type, 1), out));
  if (!mle_json_find(at, key, &item)) return mle_json_fail(at, p->err, "\"%s\" is missing", key);
  MLE_TRY(parse_node(p, &item, &inside));
  (*out)->members[0].type = inside;
  return MLE_OK;
}

static mle_status parse_sized(parser *p, const mle_json_at *at, mle_avro_type type,
                              mle_avro_node **out) {
  int64_t size = 0;
  MLE_TRY(set_node(p, new_node(p, type, 0), out));
  if (type == AVRO_FIXED) MLE_TRY(mle_json_get_int(at, "size", &size, p->err));
  if (size < 0 || size > FIXED_MAX) return mle_json_fail(at, p->err, "bad size");
  (*out)->size = (size_t)size;
  return add_named(p, at, *out);
}

static mle_status parse_object(parser *p, const mle_json_at *at, mle_avro_node **out) {
  mle_json_at type_at;
  mle_avro_type type;
  const char *name;
  if (!mle_json_find(at, "type", &type_at)) return mle_json_fail(at, p->err, "\"type\" is missing");
  if (!mle_json_is_text(&type_at)) return parse_node(p, &type_at, out);
  MLE_TRY(mle_json_text(&type_at, &name, p->err));
  if (!find_type(name, &type) || is_plain(type)) return parse_name(p, &type_at, out);
  if (type == AVRO_RECORD) return parse_record(p, at, out);
  if (type == AVRO_ARRAY || type == AVRO_MAP) return parse_container(p, at, type, out);
  return parse_sized(p, at, type, out);
}

static mle_status parse_node(parser *p, const mle_json_at *at, mle_avro_node **out) {
  *out = NULL;
  if (p->depth >= DEPTH_MAX) return mle_json_fail(at, p->err, "types nested too deep");
  p->depth++;
  mle_status status = mle_json_is_array(at)    ? parse_union(p, at, out)
                      : mle_json_is_object(at) ? parse_object(p, at, out)
                                               : parse_name(p, at, out);
  p->depth--;
  return status;
}

mle_status mle_avro_schema_parse(const char *json, size_t len, mle_arena *arena,
                                 mle_avro_node **out, mle_error *err) {
  mle_json *doc;
  *out = NULL;
  mle_status status = mle_json_parse(json, len, &doc, err);
  if (status == MLE_OK) {
    mle_json_at root = mle_json_root(doc);
    parser p = {.arena = arena, .err = err};
    status = parse_node(&p, &root, out);
    mle_json_free(doc);
  }
  return status == MLE_OK ? MLE_OK : mle_context(err, "Avro schema");
}

/* ====== Binding ====== */

static const mle_avro_field *find_target(const mle_avro_record *record,
                                         const mle_avro_member *member, bool by_name) {
  for (size_t i = 0; i < record->num_fields; i++) {
    const mle_avro_field *field = &record->fields[i];
    if (by_name ? strcmp(field->name, member->name) == 0 : field->id == member->id) return field;
  }
  return NULL;
}

static bool has_ids(const mle_avro_node *record) {
  for (size_t i = 0; i < record->count; i++)
    if (record->members[i].id >= 0) return true;
  return false;
}

/* What a union of null and one type holds; BigQuery wraps even map keys so. */
static const mle_avro_node *unwrap(const mle_avro_node *node) {
  if (node->type != AVRO_UNION || node->count != 2) return node;
  const mle_avro_node *first = node->members[0].type, *second = node->members[1].type;
  return first->type == AVRO_NULL ? second : second->type == AVRO_NULL ? first : node;
}

/* A map with keys that are not strings: an array of {key, value}, Appendix A. */
static bool is_pairs(const mle_avro_node *array, mle_avro_type value, mle_avro_type other) {
  const mle_avro_node *pair = unwrap(array->members[0].type);
  if (pair->type != AVRO_RECORD || pair->count != 2) return false;
  mle_avro_type key = unwrap(pair->members[0].type)->type;
  mle_avro_type found = unwrap(pair->members[1].type)->type;
  return (key == AVRO_INT || key == AVRO_LONG) && (found == value || found == other);
}

static bool fits(const mle_avro_node *node, const mle_avro_field *field) {
  mle_avro_type type = node->type;
  mle_avro_type inside = type == AVRO_ARRAY ? unwrap(node->members[0].type)->type : AVRO_NULL;
  switch (field->kind) {
    case MLE_AVRO_BOOL: return type == AVRO_BOOLEAN;
    case MLE_AVRO_INT: return type == AVRO_INT || type == AVRO_LONG; /* range-checked */
    case MLE_AVRO_LONG: return type == AVRO_INT || type == AVRO_LONG;
    case MLE_AVRO_TEXT: return type == AVRO_STRING;
    case MLE_AVRO_BYTES: return type == AVRO_BYTES || type == AVRO_FIXED;
    case MLE_AVRO_INTS:
    case MLE_AVRO_LONGS: return inside == AVRO_INT || inside == AVRO_LONG;
    case MLE_AVRO_LONG_MAP: return inside == AVRO_RECORD && is_pairs(node, AVRO_LONG, AVRO_INT);
    case MLE_AVRO_BYTES_MAP: return inside == AVRO_RECORD && is_pairs(node, AVRO_BYTES, AVRO_FIXED);
    case MLE_AVRO_RECORD:
    case MLE_AVRO_TUPLE: return type == AVRO_RECORD;
    case MLE_AVRO_RECORDS: return inside == AVRO_RECORD;
  }
  return false;
}

/* The parser gave out every node from its arena, which is not const. */
static mle_avro_node *writable(const mle_avro_node *node) {
  union {
    const mle_avro_node *from;
    mle_avro_node *to;
  } cast = {node};
  return cast.to;
}

static mle_status bind_value(const mle_avro_node *node, const mle_avro_field *field,
                             mle_error *err) {
  if (node->type == AVRO_NULL) return MLE_OK;
  if (!fits(node, field))
    return mle_fail(err, MLE_EFORMAT, "Avro schema: field %d (%s) has another type than Iceberg's",
                    field->id, field->name);
  if (field->kind == MLE_AVRO_RECORD)
    return mle_avro_schema_bind(writable(node), field->record, err);
  if (field->kind == MLE_AVRO_RECORDS)
    return mle_avro_schema_bind(writable(unwrap(node->members[0].type)), field->record, err);
  return MLE_OK;
}

static mle_status bind_member(const mle_avro_member *member, mle_error *err) {
  const mle_avro_node *node = member->type;
  if (node->type != AVRO_UNION) return bind_value(node, member->target, err);
  for (size_t i = 0; i < node->count; i++)
    MLE_TRY(bind_value(node->members[i].type, member->target, err));
  return MLE_OK;
}

mle_status mle_avro_schema_bind(mle_avro_node *node, const mle_avro_record *record,
                                mle_error *err) {
  if (node->type != AVRO_RECORD) return mle_fail(err, MLE_EFORMAT, "Avro schema: not a record");
  if (node->bound == record) return MLE_OK;
  if (node->bound != NULL) /* one named type in two roles: nobody's manifests do that */
    return mle_fail(err, MLE_EFORMAT, "Avro schema: '%s' stands for two records", node->name);
  node->bound = record;
  bool by_name = !has_ids(node);
  for (size_t i = 0; i < node->count; i++) {
    mle_avro_member *member = &node->members[i];
    member->target = find_target(record, member, by_name);
    if (member->target == NULL) continue;
    node->num_bound = i + 1;
    MLE_TRY(bind_member(member, err));
  }
  return MLE_OK;
}

/* ====== Printing ====== */

static void add_record(mle_json *to, const char *key, const mle_avro_record *record,
                       const mle_avro_shape *shape);

static void add_items(mle_json *array, const mle_avro_field *field, const mle_avro_shape *shape) {
  char name[32];
  if (field->kind == MLE_AVRO_INTS || field->kind == MLE_AVRO_LONGS) {
    mle_json_add_text(array, "items", field->kind == MLE_AVRO_INTS ? "int" : "long");
    mle_json_add_int(array, "element-id", field->element_id);
    return;
  }
  if (field->kind == MLE_AVRO_RECORDS) {
    add_record(array, "items", field->record, shape);
    mle_json_add_int(array, "element-id", field->element_id);
    return;
  }
  mle_json_add_text(array, "logicalType", "map");
  mle_json *pair = mle_json_add_object(array, "items");
  snprintf(name, sizeof name, "k%d_v%d", field->element_id, field->value_id);
  mle_json_add_text(pair, "type", "record");
  mle_json_add_text(pair, "name", name);
  mle_json *members = mle_json_add_array(pair, "fields"),
           *member = mle_json_add_object(members, NULL);
  mle_json_add_text(member, "name", "key");
  mle_json_add_text(member, "type", "int");
  mle_json_add_int(member, "field-id", field->element_id);
  member = mle_json_add_object(members, NULL);
  mle_json_add_text(member, "name", "value");
  mle_json_add_text(member, "type", field->kind == MLE_AVRO_LONG_MAP ? "long" : "bytes");
  mle_json_add_int(member, "field-id", field->value_id);
}

static void add_part(mle_json *fields, const mle_avro_part *part) {
  mle_json *object = mle_json_add_object(fields, NULL);
  mle_json_add_text(object, "name", part->name);
  mle_json *choice = mle_json_add_array(object, "type");
  mle_json_add_text(choice, NULL, "null");
  mle_json_add_raw(choice, NULL, part->type);
  mle_json_add_null(object, "default");
  mle_json_add_int(object, "field-id", part->field_id);
}

static void add_tuple(mle_json *to, const char *key, const mle_avro_field *field,
                      const mle_avro_shape *shape) {
  char name[32];
  mle_json *object = mle_json_add_object(to, key);
  snprintf(name, sizeof name, "r%d", field->id);
  mle_json_add_text(object, "type", "record");
  mle_json_add_text(object, "name", name);
  mle_json *fields = mle_json_add_array(object, "fields");
  for (size_t i = 0; i < shape->count; i++) add_part(fields, &shape->parts[i]);
}

static void add_type(mle_json *to, const char *key, const mle_avro_field *field,
                     const mle_avro_shape *shape) {
  switch (field->kind) {
    case MLE_AVRO_BOOL: mle_json_add_text(to, key, "boolean"); return;
    case MLE_AVRO_INT: mle_json_add_text(to, key, "int"); return;
    case MLE_AVRO_LONG: mle_json_add_text(to, key, "long"); return;
    case MLE_AVRO_TEXT: mle_json_add_text(to, key, "string"); return;
    case MLE_AVRO_BYTES: mle_json_add_text(to, key, "bytes"); return;
    case MLE_AVRO_RECORD: add_record(to, key, field->record, shape); return;
    case MLE_AVRO_TUPLE: add_tuple(to, key, field, shape); return;
    default: break;
  }
  mle_json *array = mle_json_add_object(to, key);
  mle_json_add_text(array, "type", "array");
  add_items(array, field, shape);
}

static void add_field(mle_json *fields, const mle_avro_field *field, const mle_avro_shape *shape) {
  mle_json *object = mle_json_add_object(fields, NULL);
  mle_json_add_text(object, "name", field->name);
  if (field->required) {
    add_type(object, "type", field, shape);
  } else {
    mle_json *choice = mle_json_add_array(object, "type");
    mle_json_add_text(choice, NULL, "null");
    add_type(choice, NULL, field, shape);
    mle_json_add_null(object, "default");
  }
  mle_json_add_int(object, "field-id", field->id);
}

static void add_record(mle_json *to, const char *key, const mle_avro_record *record,
                       const mle_avro_shape *shape) {
  mle_json *object = mle_json_add_object(to, key);
  mle_json_add_text(object, "type", "record");
  mle_json_add_text(object, "name", record->name);
  mle_json *fields = mle_json_add_array(object, "fields");
  for (size_t i = 0; i < record->num_fields; i++) add_field(fields, &record->fields[i], shape);
}

mle_status mle_avro_schema_print(const mle_avro_record *record, const mle_avro_shape *shape,
                                 mle_buffer *out, mle_error *err) {
  mle_json *holder = mle_json_new_array();
  add_record(holder, NULL, record, shape);
  char *text = mle_json_print(holder, false);
  mle_status status = text == NULL ? mle_nomem(err, "writing an Avro schema")
                                   : mle_buffer_append(out, text + 1, strlen(text) - 2, err);
  mle_free(text);
  mle_json_free(holder);
  return status;
}
