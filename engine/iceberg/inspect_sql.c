/* inspect_sql.c -- the types of inspect.h's columns, and DuckDB's SELECT over their JSON. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "engine/iceberg/inspect.h"
#include "engine/iceberg/sql_type.h"

/* Bytes are read as hexadecimal digits, and so are bounds within maps; V3 is shown of such tables only. */
typedef enum form { PLAIN, V3, HEX, HEX_MAP, PARTITION, METRICS, DATA_FILE } form;

typedef struct column {
  const char *name, *type;
  form form;
} column;

#define COUNT(list) (sizeof(list) / sizeof *(list))

static const column snapshots[] = {
    {"committed_at", "TIMESTAMP_MS", PLAIN}, {"snapshot_id", "BIGINT", PLAIN},
    {"parent_id", "BIGINT", PLAIN},          {"operation", "VARCHAR", PLAIN},
    {"manifest_list", "VARCHAR", PLAIN},     {"summary", "MAP(VARCHAR, VARCHAR)", PLAIN}};
static const column history[] = {{"made_current_at", "TIMESTAMP_MS", PLAIN},
                                 {"snapshot_id", "BIGINT", PLAIN},
                                 {"parent_id", "BIGINT", PLAIN},
                                 {"is_current_ancestor", "BOOLEAN", PLAIN}};
static const column refs[] = {
    {"name", "VARCHAR", PLAIN},       {"type", "VARCHAR", PLAIN},
    {"snapshot_id", "BIGINT", PLAIN}, {"max_reference_age_in_ms", "BIGINT", PLAIN},
    {"min_snapshots_to_keep", "INTEGER", PLAIN}, {"max_snapshot_age_in_ms", "BIGINT", PLAIN}};
static const column manifests[] = {
    {"content", "TINYINT", PLAIN},
    {"path", "VARCHAR", PLAIN},
    {"length", "BIGINT", PLAIN},
    {"partition_spec_id", "INTEGER", PLAIN},
    {"added_snapshot_id", "BIGINT", PLAIN},
    {"added_data_files_count", "INTEGER", PLAIN},
    {"existing_data_files_count", "INTEGER", PLAIN},
    {"deleted_data_files_count", "INTEGER", PLAIN},
    {"added_delete_files_count", "INTEGER", PLAIN},
    {"existing_delete_files_count", "INTEGER", PLAIN},
    {"deleted_delete_files_count", "INTEGER", PLAIN},
    {"partition_summaries",
     "STRUCT(contains_null BOOLEAN, contains_nan BOOLEAN, lower_bound VARCHAR, upper_bound VARCHAR)[]",
     PLAIN}};

#define FILE_METRICS                                                                          \
  {"record_count", "BIGINT", PLAIN}, {"file_size_in_bytes", "BIGINT", PLAIN},                 \
      {"column_sizes", "MAP(INTEGER, BIGINT)", PLAIN},                                        \
      {"value_counts", "MAP(INTEGER, BIGINT)", PLAIN},                                        \
      {"null_value_counts", "MAP(INTEGER, BIGINT)", PLAIN},                                   \
      {"nan_value_counts", "MAP(INTEGER, BIGINT)", PLAIN}, {"lower_bounds", NULL, HEX_MAP},   \
      {"upper_bounds", NULL, HEX_MAP}, {"key_metadata", NULL, HEX},                           \
      {"split_offsets", "BIGINT[]", PLAIN}, {"equality_ids", "INTEGER[]", PLAIN},             \
      {"sort_order_id", "INTEGER", PLAIN}, {                                                  \
    "first_row_id", "BIGINT", V3                                                              \
  }

static const column files[] = {
    {"content", "TINYINT", PLAIN}, {"file_path", "VARCHAR", PLAIN},
    {"file_format", "VARCHAR", PLAIN}, {"spec_id", "INTEGER", PLAIN},
    {"partition", NULL, PARTITION}, FILE_METRICS, {"readable_metrics", NULL, METRICS}};
static const column data_file[] = {{"content", "TINYINT", PLAIN},
                                   {"file_path", "VARCHAR", PLAIN},
                                   {"file_format", "VARCHAR", PLAIN},
                                   {"partition", NULL, PARTITION},
                                   FILE_METRICS};
static const column entries[] = {
    {"status", "TINYINT", PLAIN},         {"snapshot_id", "BIGINT", PLAIN},
    {"sequence_number", "BIGINT", PLAIN}, {"file_sequence_number", "BIGINT", PLAIN},
    {"data_file", NULL, DATA_FILE},       {"readable_metrics", NULL, METRICS}};
static const column partitions[] = {
    {"partition", NULL, PARTITION},
    {"spec_id", "INTEGER", PLAIN},
    {"record_count", "BIGINT", PLAIN},
    {"file_count", "INTEGER", PLAIN},
    {"total_data_file_size_in_bytes", "BIGINT", PLAIN},
    {"position_delete_record_count", "BIGINT", PLAIN},
    {"position_delete_file_count", "INTEGER", PLAIN},
    {"equality_delete_record_count", "BIGINT", PLAIN},
    {"equality_delete_file_count", "INTEGER", PLAIN},
    {"last_updated_at", "TIMESTAMP_MS", PLAIN},
    {"last_updated_snapshot_id", "BIGINT", PLAIN}};

static const struct {
  const char *name;
  const column *columns;
  size_t count;
} kinds[] = {{"snapshots", snapshots, COUNT(snapshots)},    {"history", history, COUNT(history)},
             {"refs", refs, COUNT(refs)},                   {"manifests", manifests, COUNT(manifests)},
             {"entries", entries, COUNT(entries)},          {"files", files, COUNT(files)},
             {"partitions", partitions, COUNT(partitions)}};

mle_status mle_inspect_find(const char *name, mle_inspect_kind *out, mle_error *err) {
  for (size_t i = 0; i < COUNT(kinds); i++) {
    if (strcmp(kinds[i].name, name) != 0) continue;
    *out = (mle_inspect_kind)i;
    return MLE_OK;
  }
  return mle_fail(err, MLE_EINVAL, "a table's metadata has no '%s'", name);
}

/* ====== Partition fields ====== */

static const mle_type *find_source(const mle_metadata *m, int id) {
  const mle_field *found = mle_schema_find_id(m->schema, id);
  for (size_t i = m->num_schemas; found == NULL && i-- > 0;)
    found = mle_schema_find_id(m->schemas[i], id);
  return found == NULL ? NULL : found->type;
}

/* A day is a date to PyIceberg. */
static mle_type type_of_part(const mle_metadata *m, const mle_partition_field *field,
                             const mle_transform *transform) {
  const mle_type *source = find_source(m, field->source_id);
  if (transform->kind == MLE_TRANSFORM_DAY) return (mle_type){.kind = MLE_TYPE_DATE};
  if (source == NULL) return (mle_type){.kind = MLE_TYPE_STRING};
  return *mle_transform_result(transform, source);
}

static int compare_parts(const void *a, const void *b) {
  const mle_inspect_part *x = a, *y = b;
  return (x->field_id > y->field_id) - (x->field_id < y->field_id);
}

/* Two fields of one name: SQL wants another for the second. */
static mle_status make_distinct(mle_inspect_part *parts, size_t count, mle_arena *arena,
                                mle_error *err) {
  for (size_t i = 0; i < count; i++)
    for (size_t j = 0; j < i; j++) {
      if (strcasecmp(parts[i].name, parts[j].name) != 0) continue;
      parts[i].name = mle_arena_format(arena, "%s_%d", parts[i].name, parts[i].field_id);
      if (parts[i].name == NULL) return mle_nomem(err, "inspecting a table");
    }
  return MLE_OK;
}

mle_status mle_inspect_parts(const mle_metadata *m, mle_arena *arena, mle_inspect_part **out,
                             size_t *out_count, mle_error *err) {
  mle_inspect_part *parts = NULL;
  size_t count = 0;
  for (size_t i = 0; i < m->num_specs; i++)
    for (size_t j = 0; j < m->specs[i].num_fields; j++) {
      const mle_partition_field *field = &m->specs[i].fields[j];
      size_t at = 0;
      while (at < count && parts[at].field_id != field->field_id) at++;
      if (at == count) {
        parts = mle_arena_grow(arena, parts, count++, sizeof *parts);
        if (parts == NULL) return mle_nomem(err, "inspecting a table");
      }
      parts[at] = (mle_inspect_part){.field_id = field->field_id, .name = field->name,
                                     .transform = mle_transform_parse(field->transform)};
      parts[at].type = type_of_part(m, field, &parts[at].transform);
    }
  if (count > 1) qsort(parts, count, sizeof *parts, compare_parts);
  *out = parts;
  *out_count = count;
  return make_distinct(parts, count, arena, err);
}

/* ====== Types ====== */

typedef struct printer {
  const mle_metadata *metadata;
  const mle_inspect_part *parts;
  size_t num_parts;
  mle_buffer *sql;
  mle_error *err;
} printer;

static mle_status put(const printer *p, const char *text) {
  return mle_buffer_puts(p->sql, text, p->err);
}

static mle_status put_quoted(const printer *p, char mark, const char *text) {
  MLE_TRY(mle_buffer_append(p->sql, &mark, 1, p->err));
  for (; *text != '\0'; text++) {
    if (*text == mark) MLE_TRY(mle_buffer_append(p->sql, &mark, 1, p->err));
    MLE_TRY(mle_buffer_append(p->sql, text, 1, p->err));
  }
  return mle_buffer_append(p->sql, &mark, 1, p->err);
}

static bool is_binary(const mle_type *type) {
  return type->kind == MLE_TYPE_BINARY || type->kind == MLE_TYPE_FIXED;
}

/* Nested types have no bounds; what SQL has no type for is shown as text. */
static mle_status put_type(const printer *p, const mle_type *type) {
  size_t before = p->sql->len;
  if (is_binary(type) || mle_type_is_nested(type)) return put(p, "VARCHAR");
  mle_status status = mle_sql_type_print(type, p->sql, p->err);
  return status == MLE_EUNSUPPORTED && p->sql->len == before ? put(p, "VARCHAR") : status;
}

static mle_status put_partition_type(const printer *p) {
  MLE_TRY(put(p, "STRUCT("));
  for (size_t i = 0; i < p->num_parts; i++) {
    if (i > 0) MLE_TRY(put(p, ", "));
    MLE_TRY(put_quoted(p, '"', p->parts[i].name));
    MLE_TRY(put(p, " "));
    MLE_TRY(put_type(p, &p->parts[i].type));
  }
  return put(p, ")");
}

static mle_status put_metrics_type(const printer *p) {
  const mle_schema *schema = p->metadata->schema;
  MLE_TRY(put(p, "STRUCT("));
  for (size_t i = 0; i < schema->num_fields; i++) {
    if (i > 0) MLE_TRY(put(p, ", "));
    MLE_TRY(put_quoted(p, '"', schema->fields[i].name));
    MLE_TRY(put(p, " STRUCT(column_size BIGINT, value_count BIGINT, null_value_count BIGINT, "
                "nan_value_count BIGINT, lower_bound "));
    MLE_TRY(put_type(p, schema->fields[i].type));
    MLE_TRY(put(p, ", upper_bound "));
    MLE_TRY(put_type(p, schema->fields[i].type));
    MLE_TRY(put(p, ")"));
  }
  return put(p, ")");
}

static bool is_shown(const printer *p, const column *c, bool partitions_table) {
  if (c->form == PARTITION) return p->num_parts > 0;
  if (c->form == METRICS) return p->metadata->schema->num_fields > 0;
  if (c->form == V3) return p->metadata->format_version >= 3;
  return p->num_parts > 0 || !partitions_table || strcmp(c->name, "spec_id") != 0;
}

static mle_status put_column_type(const printer *p, const column *c) {
  bool any = false;
  switch (c->form) {
    case HEX: return put(p, "VARCHAR");
    case HEX_MAP: return put(p, "MAP(INTEGER, VARCHAR)");
    case PARTITION: return put_partition_type(p);
    case METRICS: return put_metrics_type(p);
    case PLAIN:
    case V3: return put(p, c->type);
    case DATA_FILE: break;
  }
  MLE_TRY(put(p, "STRUCT("));
  for (size_t i = 0; i < COUNT(data_file); i++) {
    if (!is_shown(p, &data_file[i], false)) continue;
    if (any) MLE_TRY(put(p, ", "));
    any = true;
    MLE_TRY(put(p, data_file[i].name));
    MLE_TRY(put(p, " "));
    MLE_TRY(put_column_type(p, &data_file[i]));
  }
  return put(p, ")");
}

/* ====== Values ====== */

static mle_status put_member(const printer *p, const char *from, const char *name, bool binary) {
  MLE_TRY(put(p, binary ? "unhex(struct_extract(" : "struct_extract("));
  MLE_TRY(put(p, from));
  MLE_TRY(put(p, ", "));
  MLE_TRY(put_quoted(p, '\'', name));
  return put(p, binary ? "))" : ")");
}

static mle_status put_partition(const printer *p, const char *from) {
  for (size_t i = 0; i < p->num_parts; i++) {
    MLE_TRY(put(p, i > 0 ? ", " : "{"));
    MLE_TRY(put_quoted(p, '\'', p->parts[i].name));
    MLE_TRY(put(p, ": "));
    MLE_TRY(put_member(p, from, p->parts[i].name, is_binary(&p->parts[i].type)));
  }
  return put(p, "}");
}

static mle_status put_metrics_of(const printer *p, const char *from, const mle_field *field) {
  static const char *const names[] = {"column_size",     "value_count", "null_value_count",
                                      "nan_value_count", "lower_bound", "upper_bound"};
  mle_buffer inner = MLE_BUFFER((size_t)1 << 20);
  const printer to_inner = {p->metadata, p->parts, p->num_parts, &inner, p->err};
  mle_status status;
  if (!is_binary(field->type)) return put_member(p, from, field->name, false);
  MLE_GO(put_member(&to_inner, from, field->name, false));
  for (size_t i = 0; i < COUNT(names); i++) {
    MLE_GO(put(p, i > 0 ? ", " : "{"));
    MLE_GO(put_quoted(p, '\'', names[i]));
    MLE_GO(put(p, ": "));
    MLE_GO(put_member(p, inner.data, names[i], i >= 4));
  }
  MLE_GO(put(p, "}"));
done:
  mle_buffer_release(&inner);
  return status;
}

static mle_status put_metrics(const printer *p, const char *from) {
  const mle_schema *schema = p->metadata->schema;
  for (size_t i = 0; i < schema->num_fields; i++) {
    MLE_TRY(put(p, i > 0 ? ", " : "{"));
    MLE_TRY(put_quoted(p, '\'', schema->fields[i].name));
    MLE_TRY(put(p, ": "));
    MLE_TRY(put_metrics_of(p, from, &schema->fields[i]));
  }
  return put(p, "}");
}

static mle_status put_value(const printer *p, const column *c, const char *from) {
  char member[80];
  bool any = false;
  switch (c->form) {
    case HEX: return mle_buffer_printf(p->sql, p->err, "unhex(%s)", from);
    case HEX_MAP:
      return mle_buffer_printf(p->sql, p->err,
                               "map_from_entries(list_transform(map_entries(%s), "
                               "lambda x: {'key': x.key, 'value': unhex(x.value)}))", from);
    case PARTITION: return put_partition(p, from);
    case METRICS: return put_metrics(p, from);
    case PLAIN:
    case V3: return put(p, from);
    case DATA_FILE: break;
  }
  for (size_t i = 0; i < COUNT(data_file); i++) {
    if (!is_shown(p, &data_file[i], false)) continue;
    MLE_TRY(mle_buffer_printf(p->sql, p->err, "%s'%s': ", any ? ", " : "{", data_file[i].name));
    any = true;
    snprintf(member, sizeof member, "struct_extract(%s, '%s')", from, data_file[i].name);
    MLE_TRY(put_value(p, &data_file[i], member));
  }
  return put(p, "}");
}

static mle_status put_select(const printer *p, mle_inspect_kind kind, const char *path) {
  bool grouped = kind == MLE_INSPECT_PARTITIONS, any = false;
  const column *columns = kinds[kind].columns;
  MLE_TRY(put(p, "SELECT "));
  for (size_t i = 0; i < kinds[kind].count; i++) {
    if (!is_shown(p, &columns[i], grouped)) continue;
    if (any) MLE_TRY(put(p, ", "));
    any = true;
    MLE_TRY(put_value(p, &columns[i], columns[i].name));
    MLE_TRY(mle_buffer_printf(p->sql, p->err, " AS \"%s\"", columns[i].name));
  }
  MLE_TRY(put(p, " FROM read_json("));
  MLE_TRY(put_quoted(p, '\'', path));
  MLE_TRY(put(p, ", format = 'newline_delimited', columns = {"));
  any = false;
  for (size_t i = 0; i < kinds[kind].count; i++) {
    if (!is_shown(p, &columns[i], grouped)) continue;
    mle_buffer type = MLE_BUFFER((size_t)16 << 20);
    const printer inner = {p->metadata, p->parts, p->num_parts, &type, p->err};
    mle_status status = put_column_type(&inner, &columns[i]);
    if (status == MLE_OK)
      status = mle_buffer_printf(p->sql, p->err, "%s'%s': ", any ? ", " : "", columns[i].name);
    if (status == MLE_OK) status = put_quoted(p, '\'', type.data);
    mle_buffer_release(&type);
    MLE_TRY(status);
    any = true;
  }
  return put(p, "})");
}

mle_status mle_inspect_select(const mle_metadata *metadata, mle_inspect_kind kind,
                              const char *path, mle_buffer *sql, mle_error *err) {
  mle_arena arena = MLE_ARENA;
  mle_inspect_part *parts;
  size_t count;
  mle_status status = mle_inspect_parts(metadata, &arena, &parts, &count, err);
  const printer p = {metadata, parts, count, sql, err};
  if (status == MLE_OK) status = put_select(&p, kind, path);
  mle_arena_release(&arena);
  return status;
}
