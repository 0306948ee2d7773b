#include "engine/iceberg/projection.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "engine/iceberg/sql_type.h"
#include "engine/iceberg/value.h"

#define TEXT_MAX ((size_t)1 << 20)

/* ====== Finding nodes ====== */

static const mle_layout_node *child_by_id(const mle_layout_node *node, int id) {
  for (size_t i = 0; i < node->num_children; i++)
    if (node->children[i].field_id == id) return &node->children[i];
  return NULL;
}

static bool has_child_named(const mle_layout_node *node, const char *name) {
  for (size_t i = 0; i < node->num_children; i++)
    if (strcasecmp(node->children[i].name, name) == 0) return true;
  return false;
}

static bool has_ids(const mle_layout_node *node) {
  for (size_t i = 0; i < node->num_children; i++)
    if (node->children[i].field_id >= 0 || has_ids(&node->children[i])) return true;
  return false;
}

static bool ends_with(const char *text, const char *end) {
  size_t len = strlen(text), tail = strlen(end);
  return len >= tail && strcmp(text + len - tail, end) == 0;
}

/* Parquet's "Backward-compatibility rules": old lists have no node around their element. */
static mle_layout_node *element_of(const mle_layout_node *list) {
  if (list->num_children != 1) return NULL;
  mle_layout_node *middle = &list->children[0];
  bool old = !middle->repeated || middle->num_children != 1 || strcmp(middle->name, "array") == 0 ||
             ends_with(middle->name, "_tuple");
  return old ? middle : &middle->children[0];
}

static mle_layout_node *entry_of(const mle_layout_node *map, size_t which) {
  if (map->num_children != 1 || map->children[0].num_children != 2) return NULL;
  return &map->children[0].children[which];
}

/* The node of a nested type's field, whatever Parquet puts between. */
static const mle_layout_node *node_of(const mle_type *type, const mle_layout_node *node, size_t i) {
  if (type->kind == MLE_TYPE_LIST) return element_of(node);
  if (type->kind == MLE_TYPE_MAP) return entry_of(node, i);
  return child_by_id(node, type->fields[i].id);
}

/* ====== Name mapping ====== */

static bool names_it(const mle_json_at *item, const char *name) {
  mle_json_at names, one;
  const char *text;
  if (!mle_json_find(item, "names", &names)) return false;
  for (bool more = mle_json_first(&names, &one); more; more = mle_json_next(&one))
    if (mle_json_text(&one, &text, NULL) == MLE_OK && strcmp(text, name) == 0) return true;
  return false;
}

static bool find_name(const mle_json_at *list, const char *name, mle_json_at *out) {
  for (bool more = mle_json_first(list, out); more; more = mle_json_next(out))
    if (names_it(out, name)) return true;
  return false;
}

static void assign_children(mle_layout_node *node, const mle_json_at *list);

static void assign_node(mle_layout_node *node, const char *name, const mle_json_at *list) {
  mle_json_at item, fields;
  int64_t id;
  if (node == NULL || !find_name(list, name, &item)) return;
  if (mle_json_get_int(&item, "field-id", &id, NULL) == MLE_OK) node->field_id = (int32_t)id;
  if (mle_json_find(&item, "fields", &fields) && mle_json_is_array(&fields))
    assign_children(node, &fields);
}

/* A dot in a name is part of it. Lists and maps name what they hold element, key and value. */
static void assign_children(mle_layout_node *node, const mle_json_at *list) {
  mle_json_at item;
  bool middle = node->num_children == 1 && node->children[0].repeated;
  if (middle && find_name(list, "element", &item)) {
    assign_node(element_of(node), "element", list);
  } else if (middle && find_name(list, "key", &item)) {
    assign_node(entry_of(node, 0), "key", list);
    assign_node(entry_of(node, 1), "value", list);
  } else {
    for (size_t i = 0; i < node->num_children; i++)
      assign_node(&node->children[i], node->children[i].name, list);
  }
}

static mle_status refuse_ids(const mle_layout_node *root, const char *path, mle_error *err) {
  return mle_fail(err, MLE_EUNSUPPORTED,
                  "%s: its column '%s' has no Iceberg field id, and the table has no "
                  "schema.name-mapping.default that says which column it is; set that property, "
                  "or write the file again with field ids",
                  path, root->num_children > 0 ? root->children[0].name : "");
}

/* ====== Nested columns ====== */

/* Whether DuckDB's cast by name gives what ids say. */
static bool names_agree(const mle_type *type, const mle_layout_node *node) {
  size_t common = 0;
  for (size_t i = 0; i < type->num_fields; i++) {
    const mle_field *field = &type->fields[i];
    const mle_layout_node *child = node_of(type, node, i);
    bool in_struct = type->kind == MLE_TYPE_STRUCT;
    if (child == NULL) {
      if (!in_struct || field->initial_default != NULL || has_child_named(node, field->name))
        return false;
      continue;
    }
    common++;
    if (in_struct && strcasecmp(child->name, field->name) != 0) return false;
    if (!names_agree(field->type, child)) return false;
  }
  return type->num_fields == 0 || common > 0;
}

static mle_status put_quoted(mle_buffer *sql, const char *text, mle_error *err) {
  return mle_sql_text(sql, text, strlen(text), err);
}

/* The file's own type, as far as the column wants of it. */
static mle_status put_read_type(mle_buffer *sql, const mle_type *type, const mle_layout_node *node,
                                mle_error *err) {
  bool any = false;
  if (!mle_type_is_nested(type)) return mle_sql_type_print(type, sql, err);
  if (type->kind == MLE_TYPE_LIST) {
    MLE_TRY(put_read_type(sql, type->fields[0].type, element_of(node), err));
    return mle_buffer_puts(sql, "[]", err);
  }
  bool is_map = type->kind == MLE_TYPE_MAP;
  MLE_TRY(mle_buffer_puts(sql, is_map ? "MAP(" : "STRUCT(", err));
  for (size_t i = 0; i < type->num_fields; i++) {
    const mle_layout_node *child = node_of(type, node, i);
    if (child == NULL) continue;
    if (any) MLE_TRY(mle_buffer_puts(sql, ", ", err));
    any = true;
    if (!is_map) MLE_TRY(mle_sql_name(sql, child->name, err));
    if (!is_map) MLE_TRY(mle_buffer_puts(sql, " ", err));
    MLE_TRY(put_read_type(sql, type->fields[i].type, child, err));
  }
  if (!any) { /* something must be read to see which structs are null */
    MLE_TRY(mle_sql_name(sql, node->num_children > 0 ? node->children[0].name : "x", err));
    MLE_TRY(mle_buffer_puts(sql, " VARCHAR", err));
  }
  return mle_buffer_puts(sql, ")", err);
}

static mle_status put_absent(mle_buffer *sql, const mle_field *field, mle_error *err) {
  mle_buffer text = MLE_BUFFER(TEXT_MAX);
  mle_status status;
  MLE_GO(mle_buffer_puts(sql, "CAST(", err));
  if (field->initial_default == NULL) {
    MLE_GO(mle_buffer_puts(sql, "NULL", err));
  } else {
    MLE_GO(mle_value_sql_default(field->type, field->initial_default, &text, err));
    MLE_GO(put_quoted(sql, text.data == NULL ? "" : text.data, err));
  }
  MLE_GO(mle_buffer_puts(sql, " AS ", err));
  MLE_GO(mle_sql_type_print(field->type, sql, err));
  MLE_GO(mle_buffer_puts(sql, ")", err));
done:
  mle_buffer_release(&text);
  return status;
}

/* SQL that makes a value of `type` of `from`, SQL of a value as the file has it. */
static mle_status put_value(mle_buffer *sql, const mle_type *type, const mle_layout_node *node,
                            const char *from, int depth, mle_error *err);

static mle_status put_member(mle_buffer *sql, const mle_field *field, const mle_layout_node *child,
                             const char *from, int depth, mle_error *err) {
  mle_buffer member = MLE_BUFFER(TEXT_MAX);
  mle_status status;
  MLE_GO(put_quoted(sql, field->name, err));
  MLE_GO(mle_buffer_puts(sql, ": ", err));
  if (child == NULL) {
    MLE_GO(put_absent(sql, field, err));
  } else {
    MLE_GO(mle_buffer_printf(&member, err, "struct_extract(%s, ", from));
    MLE_GO(put_quoted(&member, child->name, err));
    MLE_GO(mle_buffer_puts(&member, ")", err));
    MLE_GO(put_value(sql, field->type, child, member.data, depth, err));
  }
done:
  mle_buffer_release(&member);
  return status;
}

static mle_status put_struct(mle_buffer *sql, const mle_type *type, const mle_layout_node *node,
                             const char *from, int depth, mle_error *err) {
  MLE_TRY(mle_buffer_printf(sql, err, "CASE WHEN %s IS NULL THEN NULL ELSE {", from));
  for (size_t i = 0; i < type->num_fields; i++) {
    if (i > 0) MLE_TRY(mle_buffer_puts(sql, ", ", err));
    MLE_TRY(put_member(sql, &type->fields[i], node_of(type, node, i), from, depth, err));
  }
  return mle_buffer_puts(sql, "} END", err);
}

static mle_status put_value(mle_buffer *sql, const mle_type *type, const mle_layout_node *node,
                            const char *from, int depth, mle_error *err) {
  char item[64];
  if (!mle_type_is_nested(type)) return mle_buffer_puts(sql, from, err);
  if (type->kind == MLE_TYPE_STRUCT) return put_struct(sql, type, node, from, depth, err);
  snprintf(item, sizeof item, "x%d", depth);
  if (type->kind == MLE_TYPE_LIST) {
    MLE_TRY(mle_buffer_printf(sql, err, "list_transform(%s, lambda %s: ", from, item));
    MLE_TRY(put_value(sql, type->fields[0].type, element_of(node), item, depth + 1, err));
    return mle_buffer_puts(sql, ")", err);
  }
  MLE_TRY(mle_buffer_printf(sql, err, "CASE WHEN %s IS NOT NULL THEN map_from_entries(list_transform("
                            "map_entries(%s), lambda %s: {'key': ", from, from, item));
  snprintf(item, sizeof item, "struct_extract(x%d, 'key')", depth);
  MLE_TRY(put_value(sql, type->fields[0].type, entry_of(node, 0), item, depth + 1, err));
  MLE_TRY(mle_buffer_puts(sql, ", 'value': ", err));
  snprintf(item, sizeof item, "struct_extract(x%d, 'value')", depth);
  MLE_TRY(put_value(sql, type->fields[1].type, entry_of(node, 1), item, depth + 1, err));
  return mle_buffer_puts(sql, "})) END", err);
}

/* Lists and maps must look as Parquet wants them before their nodes are taken apart. */
static bool is_well_formed(const mle_type *type, const mle_layout_node *node) {
  for (size_t i = 0; i < type->num_fields; i++) {
    const mle_layout_node *child = node_of(type, node, i);
    if (child == NULL && type->kind != MLE_TYPE_STRUCT) return false;
    if (child != NULL && !is_well_formed(type->fields[i].type, child)) return false;
  }
  return true;
}

static mle_status keep(mle_buffer *text, mle_arena *arena, const char **out, mle_error *err) {
  *out = mle_arena_text(arena, text->data == NULL ? "" : text->data, text->len);
  mle_buffer_clear(text);
  return *out == NULL ? mle_nomem(err, "planning a scan") : MLE_OK;
}

static mle_status store_nested(const mle_field *field, const mle_layout_node *node,
                               mle_arena *arena, mle_scan_stored *out, mle_error *err) {
  mle_buffer text = MLE_BUFFER(TEXT_MAX);
  char column[32];
  mle_status status;
  snprintf(column, sizeof column, "c%d", field->id);
  MLE_GO(put_read_type(&text, field->type, node, err));
  MLE_GO(keep(&text, arena, &out->type, err));
  MLE_GO(mle_buffer_puts(&text, "CAST(", err));
  MLE_GO(put_value(&text, field->type, node, column, 1, err));
  MLE_GO(mle_buffer_puts(&text, " AS ", err));
  MLE_GO(mle_sql_type_print(field->type, &text, err));
  MLE_GO(mle_buffer_puts(&text, ")", err));
  MLE_GO(keep(&text, arena, &out->expression, err));
done:
  mle_buffer_release(&text);
  return status == MLE_OK ? MLE_OK : mle_context(err, "column '%s'", field->name);
}

/* ====== A layout ====== */

static mle_status store_column(const mle_field *field, const mle_layout_node *root, bool by_name,
                               mle_arena *arena, mle_scan_stored *out, bool *absent,
                               mle_error *err) {
  const mle_layout_node *node = child_by_id(root, field->id);
  *out = (mle_scan_stored){0};
  *absent = node == NULL;
  if (node == NULL) return MLE_OK;
  if (by_name) MLE_TRY(mle_arena_copy(arena, node->name, &out->name, err));
  if (!mle_type_is_nested(field->type)) return MLE_OK;
  if (!is_well_formed(field->type, node)) {
    char label[MLE_TYPE_LABEL];
    return mle_fail(err, MLE_EUNSUPPORTED, "column '%s' is not stored as a %s", field->name,
                    mle_type_label(field->type, label));
  }
  return names_agree(field->type, node) ? MLE_OK : store_nested(field, node, arena, out, err);
}

mle_status mle_projection_make(const mle_wanted *wanted, const mle_layout_node *root,
                               const char *path, mle_arena *arena, mle_scan_group *out,
                               bool *absent, mle_error *err) {
  mle_layout_node mapped = *root;
  bool native = has_ids(root);
  if (!native && wanted->name_mapping == NULL) return refuse_ids(root, path, err);
  if (!native) {
    mle_json_at list = mle_json_root(wanted->name_mapping);
    MLE_TRY(mle_layout_copy(root, arena, &mapped, err));
    if (!mle_json_is_array(&list))
      return mle_fail(err, MLE_EFORMAT, "schema.name-mapping.default is not a list");
    assign_children(&mapped, &list);
  }
  mle_scan_stored *columns = mle_arena_array(arena, wanted->count, sizeof *columns);
  if (columns == NULL) return mle_nomem(err, "planning a scan");
  /* DuckDB goes by id only where the first column has one */
  bool by_name = !native || root->children[0].field_id < 0;
  *out = (mle_scan_group){by_name, columns};
  for (size_t i = 0; i < wanted->count; i++) {
    mle_status status = store_column(wanted->fields[i], &mapped, by_name, arena, &columns[i],
                                     &absent[i], err);
    if (status != MLE_OK) return mle_context(err, "data file '%s'", path);
  }
  return MLE_OK;
}

bool mle_projection_is_plain(const mle_scan_group *group, size_t count) {
  if (group->by_name) return false;
  for (size_t i = 0; i < count; i++)
    if (group->columns[i].type != NULL || group->columns[i].constant > 0) return false;
  return true;
}
