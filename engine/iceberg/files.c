#include "engine/iceberg/files.h"

#include <inttypes.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/iceberg/projection.h"
#include "engine/iceberg/sql_type.h"
#include "engine/iceberg/value.h"
#include "engine/store/store.h"

#define NONE SIZE_MAX

/* Files of one layout and, where partition values are filled in, one partition spec. */
typedef struct variant {
  size_t layout; /* NONE: of our own files */
  int32_t spec_id;
  mle_scan_group group;
} variant;

typedef struct builder {
  const mle_files_request *request;
  mle_session *session;
  mle_arena arena;
  mle_layouts layouts;
  size_t *layout_of; /* NONE: not looked at */
  variant *variants;
  size_t num_variants;
  size_t *variant_of; /* file to variant */
  size_t width;       /* constants per file: one for each column, then the extra ones */
  bool partitioned;   /* a wanted column is an identity partition source somewhere */
  mle_scan scan;
} builder;

static mle_status no_memory(mle_error *err) { return mle_nomem(err, "planning a scan"); }

/* ====== Columns ====== */

static mle_status keep_text(builder *b, mle_buffer *text, const char **out, mle_error *err) {
  *out = mle_arena_text(&b->arena, text->data == NULL ? "" : text->data, text->len);
  mle_buffer_clear(text);
  return *out == NULL ? no_memory(err) : MLE_OK;
}

static mle_status refuse_type(const mle_field *field, mle_error *err) {
  char label[MLE_TYPE_LABEL];
  return mle_fail(err, MLE_EUNSUPPORTED,
                  "this version does not read its type, %s; the other columns are read by name, "
                  "columns = { ... }", mle_type_label(field->type, label));
}

static mle_status describe(builder *b, const mle_field *field, mle_scan_column *out,
                           mle_error *err) {
  mle_buffer text = MLE_BUFFER(MLE_TYPE_TEXT_MAX);
  mle_status status;
  *out = (mle_scan_column){.field_id = field->id, .name = field->name, .required = field->required};
  status = mle_sql_type_print(field->type, &text, err);
  if (status == MLE_EUNSUPPORTED) status = refuse_type(field, err);
  MLE_GO(status);
  MLE_GO(keep_text(b, &text, &out->type, err));
  if (field->initial_default != NULL) {
    MLE_GO(mle_value_sql_default(field->type, field->initial_default, &text, err));
    MLE_GO(keep_text(b, &text, &out->initial_default, err));
  }
done:
  mle_buffer_release(&text);
  return status == MLE_OK ? MLE_OK : mle_context(err, "column '%s'", field->name);
}

static mle_status add_columns(builder *b, mle_error *err) {
  const mle_files_request *q = b->request;
  mle_scan_column *columns = mle_arena_array(&b->arena, q->num_fields + q->num_extra, sizeof *columns);
  if (columns == NULL) return no_memory(err);
  for (size_t i = 0; i < q->num_fields; i++) MLE_TRY(describe(b, q->fields[i], &columns[i], err));
  for (size_t i = 0; i < q->num_extra; i++)
    columns[q->num_fields + i] =
        (mle_scan_column){.field_id = -1, .name = q->extra[i], .type = "BIGINT"};
  b->width = q->num_fields + q->num_extra;
  b->scan.columns = columns;
  b->scan.num_columns = b->width;
  b->scan.num_constants = b->width;
  return MLE_OK;
}

/* ====== Layouts ====== */

static const mle_partition_field *identity_of(const mle_metadata *m, int32_t spec_id, int id) {
  const mle_partition_spec *spec = mle_metadata_spec(m, spec_id);
  for (size_t i = 0; spec != NULL && i < spec->num_fields; i++)
    if (spec->fields[i].source_id == id && strcmp(spec->fields[i].transform, "identity") == 0)
      return &spec->fields[i];
  return NULL;
}

/* Our files have every column of their day, and top-level columns go by id. */
static bool nested_may_differ(const mle_files_request *q) {
  if (q->metadata->num_schemas < 2) return false;
  for (size_t i = 0; i < q->num_fields; i++)
    if (mle_type_is_nested(q->fields[i]->type)) return true;
  return false;
}

static mle_status look_at_files(builder *b, mle_error *err) {
  const mle_files_request *q = b->request;
  bool all = nested_may_differ(q);
  size_t count = 0;
  b->layout_of = mle_arena_array(&b->arena, q->num_files, sizeof *b->layout_of);
  const char **paths = mle_arena_array(&b->arena, q->num_files, sizeof *paths);
  if (b->layout_of == NULL || paths == NULL) return no_memory(err);
  for (size_t i = 0; i < q->num_files; i++) {
    b->layout_of[i] = q->files[i].ours && !all ? NONE : count;
    if (b->layout_of[i] == NONE) continue;
    MLE_TRY(mle_store_data_path(q->files[i].uri, &paths[count++], err));
  }
  if (count == 0) return MLE_OK;
  MLE_TRY(mle_layouts_read(b->session, paths, count, &b->arena, &b->layouts, err));
  for (size_t i = 0; i < q->num_files; i++)
    if (b->layout_of[i] != NONE) b->layout_of[i] = b->layouts.of_file[b->layout_of[i]];
  return MLE_OK;
}

/* ====== Variants ====== */

/* Copies a group to put constants in: identity partition values, the extra numbers. */
static mle_status add_constants(builder *b, int32_t spec_id, const bool *absent,
                                mle_scan_group *group, mle_error *err) {
  const mle_files_request *q = b->request;
  mle_scan_stored *columns = mle_arena_array(&b->arena, b->width, sizeof *columns);
  if (columns == NULL) return no_memory(err);
  if (q->num_fields > 0 && group->columns != NULL)
    memcpy(columns, group->columns, q->num_fields * sizeof *columns);
  for (size_t i = 0; i < b->width; i++) {
    bool extra = i >= q->num_fields;
    if (extra || (absent[i] && identity_of(q->metadata, spec_id, q->fields[i]->id) != NULL))
      columns[i] = (mle_scan_stored){.constant = (int)i + 1};
  }
  group->columns = columns;
  return MLE_OK;
}

static mle_status make_variant(builder *b, size_t file, variant *out, mle_error *err) {
  const mle_files_request *q = b->request;
  const mle_wanted wanted = {q->fields, q->num_fields, q->name_mapping};
  bool *absent = mle_arena_array(&b->arena, q->num_fields, sizeof *absent);
  if (absent == NULL) return no_memory(err);
  *out = (variant){.layout = b->layout_of[file], .spec_id = q->files[file].spec_id};
  if (out->layout != NONE)
    MLE_TRY(mle_projection_make(&wanted, b->layouts.roots[out->layout], q->files[file].uri,
                                &b->arena, &out->group, absent, err));
  return add_constants(b, out->spec_id, absent, &out->group, err);
}

static mle_status find_variant(builder *b, size_t file, mle_error *err) {
  const mle_files_item *item = &b->request->files[file];
  for (size_t i = 0; i < b->num_variants; i++) {
    const variant *v = &b->variants[i];
    if (v->layout != b->layout_of[file] || (b->partitioned && v->spec_id != item->spec_id)) continue;
    b->variant_of[file] = i;
    return MLE_OK;
  }
  variant *variants = mle_arena_grow(&b->arena, b->variants, b->num_variants, sizeof *variants);
  if (variants == NULL) return no_memory(err);
  b->variants = variants;
  b->variant_of[file] = b->num_variants;
  return make_variant(b, file, &variants[b->num_variants++], err);
}

static bool any_identity(const mle_files_request *q) {
  for (size_t i = 0; i < q->metadata->num_specs; i++)
    for (size_t j = 0; j < q->num_fields; j++)
      if (identity_of(q->metadata, q->metadata->specs[i].id, q->fields[j]->id) != NULL) return true;
  return false;
}

/* Variants that read plainly are one group: files keep their order, and all threads. */
static mle_status group_variants(builder *b, size_t **out_group_of, mle_error *err) {
  mle_scan_group *groups = mle_arena_array(&b->arena, b->num_variants, sizeof *groups);
  size_t *group_of = mle_arena_array(&b->arena, b->num_variants, sizeof *group_of);
  size_t plain = NONE, fields = b->request->num_fields;
  if (groups == NULL || group_of == NULL) return no_memory(err);
  for (size_t i = 0; i < b->num_variants; i++) {
    bool is_plain = mle_projection_is_plain(&b->variants[i].group, fields);
    if (!is_plain || plain == NONE) {
      group_of[i] = b->scan.num_groups++;
      groups[group_of[i]] = b->variants[i].group;
      if (is_plain) plain = group_of[i];
    } else {
      group_of[i] = plain;
    }
  }
  b->scan.groups = groups;
  *out_group_of = group_of;
  return MLE_OK;
}

/* ====== Files ====== */

static mle_status set_constant(builder *b, const mle_files_item *item, const mle_field *field,
                               const char **out, mle_error *err) {
  const mle_partition_field *part = identity_of(b->request->metadata, item->spec_id, field->id);
  const mle_datum *datum = mle_tuple_find(&item->partition, part->field_id);
  mle_buffer text = MLE_BUFFER(MLE_TYPE_TEXT_MAX);
  mle_bytes bytes;
  mle_status status = MLE_OK;
  if (datum == NULL || datum->kind == MLE_DATUM_NULL) return MLE_OK;
  MLE_GO(mle_datum_bytes(datum, field->type, &b->arena, &bytes, err));
  MLE_GO(mle_value_sql_text(field->type, bytes, &text, err));
  MLE_GO(keep_text(b, &text, out, err));
done:
  mle_buffer_release(&text);
  return status;
}

static mle_status set_constants(builder *b, const mle_files_item *item, const mle_scan_group *group,
                                mle_scan_file *to, mle_error *err) {
  const mle_files_request *q = b->request;
  bool any = false;
  for (size_t i = 0; i < b->width; i++) any |= group->columns[i].constant > 0;
  if (!any) return MLE_OK;
  const char **constants = mle_arena_array(&b->arena, b->width, sizeof *constants);
  if (constants == NULL) return no_memory(err);
  for (size_t i = 0; i < b->width; i++) {
    if (group->columns[i].constant == 0) continue;
    if (i < q->num_fields)
      MLE_TRY(set_constant(b, item, q->fields[i], &constants[i], err));
    else
      constants[i] = mle_arena_format(&b->arena, "%" PRId64, item->extra[i - q->num_fields]);
    if (i >= q->num_fields && constants[i] == NULL) return no_memory(err);
  }
  to->constants = constants;
  return MLE_OK;
}

/* In the order of their groups, and within one as they were given. */
static mle_status add_files(builder *b, const size_t *group_of, mle_error *err) {
  const mle_files_request *q = b->request;
  mle_scan_file *files = mle_arena_array(&b->arena, q->num_files, sizeof *files);
  if (files == NULL) return no_memory(err);
  b->scan.files = files;
  for (size_t group = 0; group < b->scan.num_groups; group++)
    for (size_t i = 0; i < q->num_files; i++) {
      const mle_files_item *item = &q->files[i];
      if (group_of[b->variant_of[i]] != group) continue;
      mle_scan_file *to = &files[b->scan.num_files++];
      *to = (mle_scan_file){.record_count = item->record_count, .number = item->number,
                            .group = group, .dead = item->dead};
      MLE_TRY(mle_store_data_path(item->uri, &to->path, err));
      MLE_TRY(set_constants(b, item, &b->scan.groups[group], to, err));
    }
  return MLE_OK;
}

static mle_status build(builder *b, mle_error *err) {
  const mle_files_request *q = b->request;
  size_t *group_of = NULL;
  b->partitioned = any_identity(q);
  b->scan.place = q->place;
  MLE_TRY(add_columns(b, err));
  MLE_TRY(look_at_files(b, err));
  b->variant_of = mle_arena_array(&b->arena, q->num_files, sizeof *b->variant_of);
  if (b->variant_of == NULL) return no_memory(err);
  for (size_t i = 0; i < q->num_files; i++) MLE_TRY(find_variant(b, i, err));
  MLE_TRY(group_variants(b, &group_of, err));
  return add_files(b, group_of, err);
}

/* Files of a snapshot that says mlengine made it have ids: we wrote them. */
bool mle_files_ours(const mle_metadata *m, int64_t snapshot_id) {
  const mle_snapshot *snapshot = mle_metadata_snapshot(m, snapshot_id);
  const char *engine = snapshot == NULL ? NULL : mle_snapshot_summary(snapshot, "engine-name");
  return engine != NULL && strcmp(engine, "mlengine") == 0;
}

mle_status mle_files_frame(mle_session *session, const mle_files_request *request,
                           mle_frame **out, mle_error *err) {
  builder b = {.request = request, .session = session, .arena = MLE_ARENA};
  *out = NULL;
  mle_status status = build(&b, err);
  if (status == MLE_OK) status = mle_frame_scan(session, &b.scan, out, err);
  mle_arena_release(&b.arena);
  return status;
}
