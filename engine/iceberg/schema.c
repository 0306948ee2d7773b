#include "engine/iceberg/schema.h"

#include <string.h>
#include <strings.h>

#include "engine/base/alloc.h"
#include "engine/iceberg/sql_type.h"

/* ====== JSON ====== */

static mle_status parse_identifiers(const mle_json_at *at, mle_arena *arena, mle_schema *schema,
                                    mle_error *err) {
  mle_json_at list, item;
  if (!mle_json_find(at, "identifier-field-ids", &list) || mle_json_is_null(&list)) return MLE_OK;
  size_t count = (size_t)mle_json_count(&list), i = 0;
  int *ids = mle_arena_array(arena, count, sizeof *ids);
  if (ids == NULL) return mle_nomem(err, "reading a schema");
  for (bool more = mle_json_first(&list, &item); more; more = mle_json_next(&item)) {
    int64_t id;
    MLE_TRY(mle_json_int(&item, &id, err));
    ids[i++] = (int)id;
  }
  schema->identifiers = ids;
  schema->num_identifiers = count;
  return MLE_OK;
}

mle_status mle_schema_parse(const mle_json_at *at, mle_arena *arena, const mle_schema **out,
                            mle_error *err) {
  int64_t id;
  const char *type;
  *out = NULL;
  MLE_TRY(mle_json_get_text(at, "type", &type, err));
  if (strcmp(type, "struct") != 0) return mle_json_fail(at, err, "a schema's type must be struct");
  mle_schema *schema = mle_arena_alloc(arena, sizeof *schema);
  if (schema == NULL) return mle_nomem(err, "reading a schema");
  MLE_TRY(mle_json_opt_int(at, "schema-id", 0, &id, err));
  schema->id = (int)id;
  MLE_TRY(mle_type_parse_fields(at, arena, &schema->num_fields, &schema->fields, err));
  MLE_TRY(parse_identifiers(at, arena, schema, err));
  *out = schema;
  return MLE_OK;
}

void mle_schema_add_json(mle_json *to, const char *key, const mle_schema *schema) {
  mle_json *object = mle_json_add_object(to, key);
  mle_json_add_text(object, "type", "struct");
  mle_json_add_int(object, "schema-id", schema->id);
  mle_json *ids = mle_json_add_array(object, "identifier-field-ids");
  for (size_t i = 0; i < schema->num_identifiers; i++)
    mle_json_add_int(ids, NULL, schema->identifiers[i]);
  mle_type_add_fields(object, schema->num_fields, schema->fields);
}

mle_status mle_schema_print(const mle_schema *schema, mle_buffer *out, mle_error *err) {
  mle_json *holder = mle_json_new_array();
  mle_schema_add_json(holder, NULL, schema);
  char *text = mle_json_print(holder, false);
  mle_status status = text == NULL ? mle_nomem(err, "printing a schema")
                                   : mle_buffer_append(out, text + 1, strlen(text) - 2, err);
  mle_free(text);
  mle_json_free(holder);
  return status;
}

/* ====== Finding ====== */

const mle_field *mle_schema_find(const mle_schema *schema, const char *name) {
  for (size_t i = 0; i < schema->num_fields; i++)
    if (strcmp(schema->fields[i].name, name) == 0) return &schema->fields[i];
  return NULL;
}

const mle_field *mle_schema_find_id(const mle_schema *schema, int id) {
  for (size_t i = 0; i < schema->num_fields; i++)
    if (schema->fields[i].id == id) return &schema->fields[i];
  return NULL;
}

/* ====== A new table's schema ====== */

/* Numbers one level, then the levels below it, in PyIceberg's and Java's order:
 * the fields of a struct together, each then followed by what it holds. */
static mle_status number_fields(mle_arena *arena, size_t count, const mle_field *fields,
                                const mle_field **out, int *last_id, mle_error *err);

static mle_status number_type(mle_arena *arena, const mle_type *type, const mle_type **out,
                              int *last_id, mle_error *err) {
  *out = type;
  if (!mle_type_is_nested(type)) return MLE_OK;
  mle_type *copy = mle_arena_alloc(arena, sizeof *copy);
  if (copy == NULL) return mle_nomem(err, "making a schema");
  *copy = *type;
  *out = copy;
  return number_fields(arena, type->num_fields, type->fields, &copy->fields, last_id, err);
}

static mle_status number_fields(mle_arena *arena, size_t count, const mle_field *fields,
                                const mle_field **out, int *last_id, mle_error *err) {
  mle_field *copies = mle_arena_array(arena, count, sizeof *copies);
  if (copies == NULL) return mle_nomem(err, "making a schema");
  for (size_t i = 0; i < count; i++) {
    copies[i] = fields[i];
    copies[i].id = ++*last_id;
  }
  for (size_t i = 0; i < count; i++)
    MLE_TRY(number_type(arena, fields[i].type, &copies[i].type, last_id, err));
  *out = copies;
  return MLE_OK;
}

/* Two names that differ only by case cannot both be written to or read from SQL. */
static mle_status check_names(const mle_column_spec *columns, size_t count, mle_error *err) {
  for (size_t i = 0; i < count; i++) {
    if (columns[i].name[0] == '\0')
      return mle_fail(err, MLE_EINVAL, "column %zu has no name", i + 1);
    for (size_t j = 0; j < i; j++)
      if (strcasecmp(columns[i].name, columns[j].name) == 0)
        return mle_fail(err, MLE_EINVAL,
                        "columns '%s' and '%s': names must differ by more than case; rename one",
                        columns[j].name, columns[i].name);
  }
  return count > 0 ? MLE_OK : mle_fail(err, MLE_EINVAL, "a table needs at least one column");
}

mle_status mle_schema_from_columns(const mle_column_spec *columns, size_t count, mle_arena *arena,
                                   const mle_schema **out, int *out_last_id, mle_error *err) {
  *out = NULL;
  *out_last_id = 0;
  MLE_TRY(check_names(columns, count, err));
  mle_schema *schema = mle_arena_alloc(arena, sizeof *schema);
  mle_field *fields = mle_arena_array(arena, count, sizeof *fields);
  if (schema == NULL || fields == NULL) return mle_nomem(err, "making a schema");
  for (size_t i = 0; i < count; i++) {
    MLE_TRY(mle_arena_copy(arena, columns[i].name, &fields[i].name, err));
    fields[i].required = !columns[i].nullable;
    mle_status status = mle_sql_type_parse(columns[i].type, arena, &fields[i].type, err);
    if (status != MLE_OK) return mle_context(err, "column '%s'", columns[i].name);
  }
  schema->num_fields = count;
  MLE_TRY(number_fields(arena, count, fields, &schema->fields, out_last_id, err));
  *out = schema;
  return MLE_OK;
}
