#include "engine/iceberg/read.h"

#include <string.h>

#include "engine/iceberg/sql_type.h"
#include "engine/iceberg/value.h"
#include "engine/store/store.h"

/* ====== Nested history ====== */

/* Finds a nested field by id below `fields`, and the id of what holds it. */
static const mle_field *find_nested(size_t count, const mle_field *fields, int parent, int id,
                                    int *out_parent) {
  for (size_t i = 0; i < count; i++) {
    const mle_type *type = fields[i].type;
    *out_parent = parent;
    if (fields[i].id == id) return &fields[i];
    const mle_field *found =
        find_nested(type->num_fields, type->fields, fields[i].id, id, out_parent);
    if (found != NULL) return found;
  }
  return NULL;
}

/* Whether some older schema has at the same place the same name with another id. */
static bool was_another(const mle_schema *schema, int parent, const mle_field *field) {
  int above;
  const mle_field *holder = find_nested(schema->num_fields, schema->fields, -1, parent, &above);
  for (size_t i = 0; holder != NULL && i < holder->type->num_fields; i++) {
    const mle_field *other = &holder->type->fields[i];
    if (strcmp(other->name, field->name) == 0 && other->id != field->id) return true;
  }
  return false;
}

static mle_status refuse(const char *column, const mle_field *field, const char *why,
                         mle_error *err) {
  return mle_fail(err, MLE_EUNSUPPORTED,
                  "column '%s': its nested field '%s' (id %d) %s, which this version does not read",
                  column, field->name, field->id, why);
}

static mle_status check_field(const mle_metadata *m, const char *column, int parent,
                              const mle_field *field, mle_error *err) {
  int above;
  if (field->initial_default != NULL) return refuse(column, field, "has a default", err);
  for (size_t i = 0; i < m->num_schemas; i++) {
    const mle_schema *old = m->schemas[i];
    const mle_field *before = find_nested(old->num_fields, old->fields, -1, field->id, &above);
    if (before != NULL && strcmp(before->name, field->name) != 0)
      return refuse(column, field, "was renamed", err);
    if (was_another(old, parent, field))
      return refuse(column, field, "was dropped and added again", err);
  }
  for (size_t i = 0; i < field->type->num_fields; i++)
    MLE_TRY(check_field(m, column, field->id, &field->type->fields[i], err));
  return MLE_OK;
}

static mle_status check_nested(const mle_metadata *m, const mle_field *column, mle_error *err) {
  if (m->num_schemas < 2) return MLE_OK;
  for (size_t i = 0; i < column->type->num_fields; i++)
    MLE_TRY(check_field(m, column->name, column->id, &column->type->fields[i], err));
  return MLE_OK;
}

/* ====== The scan ====== */

static mle_status keep_text(mle_arena *arena, mle_buffer *text, const char **out, mle_error *err) {
  *out = mle_arena_text(arena, text->data == NULL ? "" : text->data, text->len);
  mle_buffer_clear(text);
  return *out == NULL ? mle_nomem(err, "planning a scan") : MLE_OK;
}

static mle_status add_column(const mle_metadata *m, const mle_field *field, mle_arena *arena,
                             mle_scan_column *out, mle_error *err) {
  mle_buffer text = MLE_BUFFER(MLE_TYPE_TEXT_MAX);
  mle_status status;
  *out = (mle_scan_column){.field_id = field->id, .name = field->name, .required = field->required};
  MLE_GO(check_nested(m, field, err));
  MLE_GO(mle_sql_type_print(field->type, &text, err));
  MLE_GO(keep_text(arena, &text, &out->type, err));
  if (field->initial_default != NULL) {
    MLE_GO(mle_value_sql_default(field->type, field->initial_default, &text, err));
    MLE_GO(keep_text(arena, &text, &out->initial_default, err));
  }
done:
  mle_buffer_release(&text);
  return status == MLE_OK ? MLE_OK : mle_context(err, "column '%s'", field->name);
}

static mle_status add_columns(const mle_metadata *m, const mle_schema *schema,
                              const char *const *names, size_t count, mle_arena *arena,
                              mle_scan *scan, mle_error *err) {
  scan->num_columns = names == NULL ? schema->num_fields : count;
  mle_scan_column *columns = mle_arena_array(arena, scan->num_columns, sizeof *columns);
  if (columns == NULL) return mle_nomem(err, "planning a scan");
  scan->columns = columns;
  for (size_t i = 0; i < scan->num_columns; i++) {
    const mle_field *field = names == NULL ? &schema->fields[i] : mle_schema_find(schema, names[i]);
    if (field == NULL)
      return mle_fail(err, MLE_ENOTFOUND, "the table has no column '%s'", names[i]);
    MLE_TRY(add_column(m, field, arena, &columns[i], err));
  }
  return MLE_OK;
}

/* Files of a snapshot that says mlengine made it have ids: we wrote them. */
static bool is_ours(const mle_metadata *m, int64_t snapshot_id) {
  const mle_snapshot *snapshot = mle_metadata_snapshot(m, snapshot_id);
  const char *engine = snapshot == NULL ? NULL : mle_snapshot_summary(snapshot, "engine-name");
  return engine != NULL && strcmp(engine, "mlengine") == 0;
}

static mle_status add_files(const mle_metadata *m, const mle_plan *plan, mle_arena *arena,
                            mle_scan *scan, mle_error *err) {
  mle_scan_file *files = mle_arena_array(arena, plan->num_files, sizeof *files);
  if (files == NULL) return mle_nomem(err, "planning a scan");
  scan->files = files;
  scan->num_files = plan->num_files;
  scan->trusted_ids = true;
  for (size_t i = 0; i < plan->num_files; i++) {
    MLE_TRY(mle_store_local_path(plan->files[i].path, &files[i].path, err));
    files[i].record_count = plan->files[i].record_count;
    scan->trusted_ids &= is_ours(m, plan->files[i].snapshot_id);
  }
  return MLE_OK;
}

mle_status mle_iceberg_read(mle_session *session, const mle_metadata *metadata,
                            const mle_schema *schema, const mle_plan *plan,
                            const char *const *columns, size_t num_columns, mle_frame **out,
                            mle_error *err) {
  mle_arena arena = MLE_ARENA;
  mle_scan scan = {0};
  *out = NULL;
  mle_status status = add_columns(metadata, schema, columns, num_columns, &arena, &scan, err);
  if (status == MLE_OK) status = add_files(metadata, plan, &arena, &scan, err);
  if (status == MLE_OK) status = mle_frame_scan(session, &scan, out, err);
  mle_arena_release(&arena);
  return status;
}
