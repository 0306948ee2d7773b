#include "engine/iceberg/partition_spec.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/iceberg/transform.h"

/* ====== Terms ====== */

typedef struct transform_name {
  const char *name, *plural; /* as terms have it; Spark's DDL has the plural, too */
  mle_transform_kind kind;
  const char *suffix; /* of the field's name */
} transform_name;

static const transform_name names[] = {
    {"identity", "identity", MLE_TRANSFORM_IDENTITY, ""},
    {"year", "years", MLE_TRANSFORM_YEAR, "_year"},
    {"month", "months", MLE_TRANSFORM_MONTH, "_month"},
    {"day", "days", MLE_TRANSFORM_DAY, "_day"},
    {"hour", "hours", MLE_TRANSFORM_HOUR, "_hour"},
    {"bucket", "bucket", MLE_TRANSFORM_BUCKET, "_bucket"},
    {"truncate", "truncate", MLE_TRANSFORM_TRUNCATE, "_trunc"},
};

/* A term in its parts: name(width, column). */
typedef struct term {
  const transform_name *name;
  long width; /* 0: none given */
  const char *column;
} term;

static const transform_name *find_name(const char *text, size_t len) {
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    bool singular = strlen(names[i].name) == len && strncmp(names[i].name, text, len) == 0;
    bool plural = strlen(names[i].plural) == len && strncmp(names[i].plural, text, len) == 0;
    if (singular || plural) return &names[i];
  }
  return NULL;
}

static mle_status fail_term(const char *text, const char *what, mle_error *err) {
  return mle_fail(err, MLE_EINVAL,
                  "partition by '%.100s': %s; a term is a column, or year, month, day, hour, "
                  "bucket(16, c), truncate(4, c) of one",
                  text, what);
}

static mle_status read_term(const char *text, const mle_schema *schema, mle_arena *arena,
                            term *out, mle_error *err) {
  const char *open = strchr(text, '(');
  char *at;
  *out = (term){.name = &names[0], .column = text};
  if (open == NULL || mle_schema_find(schema, text) != NULL) return MLE_OK;
  size_t len = strlen(text);
  if (text[len - 1] != ')') return fail_term(text, "it does not end in ')'", err);
  out->name = find_name(text, (size_t)(open - text));
  if (out->name == NULL) return fail_term(text, "there is no such transform", err);
  char *inside = mle_arena_text(arena, open + 1, (size_t)(text + len - 1 - (open + 1)));
  if (inside == NULL) return mle_nomem(err, "making a table");
  bool wide = out->name->kind == MLE_TRANSFORM_BUCKET || out->name->kind == MLE_TRANSFORM_TRUNCATE;
  if (wide) {
    out->width = strtol(inside, &at, 10);
    while (*at == ' ') at++;
    if (at == inside || *at != ',' || out->width < 1 || out->width > INT32_MAX)
      return fail_term(text, "it needs a whole number above 0 and a column", err);
    inside = at + 1;
  }
  while (*inside == ' ') inside++;
  for (at = inside + strlen(inside); at > inside && at[-1] == ' ';) *--at = '\0';
  out->column = inside;
  return MLE_OK;
}

/* ====== What a type has ====== */

static bool is_stamp(mle_type_kind kind) {
  return kind >= MLE_TYPE_TIMESTAMP && kind <= MLE_TYPE_TIMESTAMPTZ_NS;
}

static bool can_transform(mle_transform_kind transform, mle_type_kind kind) {
  switch (transform) {
    case MLE_TRANSFORM_IDENTITY: return kind <= MLE_TYPE_BINARY;
    case MLE_TRANSFORM_BUCKET:
      return kind <= MLE_TYPE_BINARY && kind != MLE_TYPE_BOOLEAN && kind != MLE_TYPE_FLOAT &&
             kind != MLE_TYPE_DOUBLE;
    case MLE_TRANSFORM_TRUNCATE:
      return kind == MLE_TYPE_INT || kind == MLE_TYPE_LONG || kind == MLE_TYPE_DECIMAL ||
             kind == MLE_TYPE_STRING || kind == MLE_TYPE_BINARY;
    case MLE_TRANSFORM_HOUR: return is_stamp(kind);
    default: return kind == MLE_TYPE_DATE || is_stamp(kind);
  }
}

static mle_status make_field(const char *text, const term *t, const mle_schema *schema,
                             mle_arena *arena, mle_partition_field *out, mle_error *err) {
  char label[MLE_TYPE_LABEL];
  const mle_field *source = mle_schema_find(schema, t->column);
  if (source == NULL)
    return mle_fail(err, MLE_EINVAL, "partition by '%.100s': the table has no column '%.100s'", text,
                    t->column);
  if (!can_transform(t->name->kind, source->type->kind))
    return mle_fail(err, MLE_EINVAL, "partition by '%.100s': there is no %s of %s", text,
                    t->name->name, mle_type_label(source->type, label));
  out->source_id = source->id;
  out->name = mle_arena_format(arena, "%s%s", source->name, t->name->suffix);
  out->transform = t->width == 0 ? t->name->name
                                 : mle_arena_format(arena, "%s[%ld]", t->name->name, t->width);
  return out->name == NULL || out->transform == NULL ? mle_nomem(err, "making a table") : MLE_OK;
}

/* A field's name must be its own, and no column's but of its source as it is. */
static mle_status check_name(const char *text, const mle_partition_field *fields, size_t i,
                             const mle_schema *schema, mle_error *err) {
  const mle_field *column = mle_schema_find(schema, fields[i].name);
  bool same = column != NULL && column->id == fields[i].source_id;
  if (column != NULL && !(same && strcmp(fields[i].transform, "identity") == 0))
    return mle_fail(err, MLE_EINVAL,
                    "partition by '%.100s': its field '%s' would have a column's name", text,
                    fields[i].name);
  for (size_t k = 0; k < i; k++)
    if (strcmp(fields[k].name, fields[i].name) == 0)
      return mle_fail(err, MLE_EINVAL, "partition by '%.100s': there is a field '%s' already", text,
                      fields[i].name);
  return MLE_OK;
}

mle_status mle_partition_spec_make(const char *const *terms, size_t count, const mle_schema *schema,
                                   mle_arena *arena, const mle_partition_spec **out,
                                   mle_error *err) {
  mle_partition_spec *spec = mle_arena_alloc(arena, sizeof *spec);
  mle_partition_field *fields = mle_arena_array(arena, count + 1, sizeof *fields);
  term t;
  *out = spec;
  if (spec == NULL || fields == NULL) return mle_nomem(err, "making a table");
  for (size_t i = 0; i < count; i++) {
    if (*terms[i] == '\0') return fail_term(terms[i], "it is empty", err);
    MLE_TRY(read_term(terms[i], schema, arena, &t, err));
    fields[i].field_id = MLE_FIRST_PARTITION_ID + (int)i;
    MLE_TRY(make_field(terms[i], &t, schema, arena, &fields[i], err));
    MLE_TRY(check_name(terms[i], fields, i, schema, err));
  }
  *spec = (mle_partition_spec){0, count, fields};
  return MLE_OK;
}

/* ====== JSON ====== */

static void add_fields(mle_json *to, const mle_partition_spec *spec) {
  for (size_t i = 0; i < spec->num_fields; i++) {
    mle_json *field = mle_json_add_object(to, NULL);
    mle_json_add_text(field, "name", spec->fields[i].name);
    mle_json_add_text(field, "transform", spec->fields[i].transform);
    mle_json_add_int(field, "source-id", spec->fields[i].source_id);
    mle_json_add_int(field, "field-id", spec->fields[i].field_id);
  }
}

void mle_partition_spec_add_json(mle_json *to, const char *key, const mle_partition_spec *spec) {
  mle_json *object = mle_json_add_object(to, key);
  mle_json_add_int(object, "spec-id", spec->id);
  add_fields(mle_json_add_array(object, "fields"), spec);
}

mle_status mle_partition_spec_print(const mle_partition_spec *spec, mle_buffer *out,
                                    mle_error *err) {
  mle_json *fields = mle_json_new_array();
  add_fields(fields, spec);
  char *text = mle_json_print(fields, false);
  mle_status status =
      text == NULL ? mle_nomem(err, "partitioning") : mle_buffer_puts(out, text, err);
  mle_free(text);
  mle_json_free(fields);
  return status;
}
