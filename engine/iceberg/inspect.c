#include "engine/iceberg/inspect.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/alloc.h"
#include "engine/base/cancel.h"
#include "engine/base/hash.h"
#include "engine/iceberg/inspect_groups.h"
#include "engine/iceberg/inspect_row.h"
#include "engine/iceberg/tuple.h"
#include "engine/iceberg/value.h"

#define TEXT_MAX ((size_t)1 << 20)

typedef struct inspector {
  const mle_metadata *metadata;
  mle_arena arena; /* of the whole */
  mle_arena once;  /* of one row */
  mle_buffer text;
  mle_inspect_part *parts;
  size_t num_parts;
  mle_inspect_row row;
  void *context;
} inspector;

static mle_status no_memory(mle_error *err) { return mle_nomem(err, "inspecting a table"); }

/* Hands a row over, which is freed. */
static mle_status give(inspector *in, mle_json *row, mle_error *err) {
  mle_status status = row == NULL ? no_memory(err) : in->row(in->context, row, err);
  mle_json_free(row);
  mle_arena_clear(&in->once);
  return status;
}

/* ====== Snapshots, history, refs ====== */

static mle_status inspect_snapshots(inspector *in, mle_error *err) {
  for (size_t i = 0; i < in->metadata->num_snapshots; i++) {
    const mle_snapshot *s = &in->metadata->snapshots[i];
    mle_json *row = mle_json_new_object();
    mle_row_time(row, "committed_at", s->timestamp_ms);
    mle_row_long(row, "snapshot_id", s->id);
    mle_row_long(row, "parent_id", s->parent_id);
    mle_row_text(row, "operation", s->operation);
    mle_row_text(row, "manifest_list", s->manifest_list);
    mle_json *summary = mle_json_add_object(row, "summary");
    for (size_t j = 0; j < s->num_summary; j++)
      mle_json_add_text(summary, s->summary[j].key, s->summary[j].value);
    MLE_TRY(give(in, row, err));
  }
  return MLE_OK;
}

/* Of each snapshot whether it is the current one or an ancestor of it; ends on a circle, too. */
static mle_status find_ancestors(inspector *in, bool **out, mle_error *err) {
  const mle_metadata *m = in->metadata;
  bool *marked = mle_arena_array(&in->arena, m->num_snapshots, sizeof *marked);
  if (marked == NULL) return no_memory(err);
  const mle_snapshot *at = mle_metadata_current(m);
  while (at != NULL && !marked[at - m->snapshots]) {
    marked[at - m->snapshots] = true;
    at = mle_metadata_snapshot(m, at->parent_id);
  }
  *out = marked;
  return MLE_OK;
}

static mle_status inspect_history(inspector *in, mle_error *err) {
  const mle_metadata *m = in->metadata;
  bool *ancestors = NULL;
  MLE_TRY(find_ancestors(in, &ancestors, err));
  for (size_t i = 0; i < m->num_log; i++) {
    const mle_snapshot *s = mle_metadata_snapshot(m, m->log[i].snapshot_id);
    mle_json *row = mle_json_new_object();
    mle_row_time(row, "made_current_at", m->log[i].timestamp_ms);
    mle_row_long(row, "snapshot_id", m->log[i].snapshot_id);
    mle_row_long(row, "parent_id", s == NULL ? MLE_NULL_LONG : s->parent_id);
    mle_json_add_bool(row, "is_current_ancestor", s != NULL && ancestors[s - m->snapshots]);
    MLE_TRY(give(in, row, err));
  }
  return MLE_OK;
}

static mle_status inspect_refs(inspector *in, mle_error *err) {
  for (size_t i = 0; i < in->metadata->num_refs; i++) {
    const mle_ref *ref = &in->metadata->refs[i];
    mle_json *row = mle_json_new_object();
    mle_row_text(row, "name", ref->name);
    mle_row_text(row, "type", strcmp(ref->type, "tag") == 0 ? "TAG" : "BRANCH");
    mle_row_long(row, "snapshot_id", ref->snapshot_id);
    mle_row_long(row, "max_reference_age_in_ms", ref->max_ref_age_ms);
    mle_row_long(row, "min_snapshots_to_keep", ref->min_snapshots_to_keep);
    mle_row_long(row, "max_snapshot_age_in_ms", ref->max_snapshot_age_ms);
    MLE_TRY(give(in, row, err));
  }
  return MLE_OK;
}

/* ====== Manifests ====== */

static const mle_inspect_part *find_part(const inspector *in, int field_id) {
  for (size_t i = 0; i < in->num_parts; i++)
    if (in->parts[i].field_id == field_id) return &in->parts[i];
  return NULL;
}

/* Years, months, days and hours since 1970 as people write them. */
static mle_status put_period(mle_transform_kind kind, int64_t value, mle_buffer *out,
                             mle_error *err) {
  static const mle_type day = {.kind = MLE_TYPE_DATE};
  int64_t year = value / 12 - (value % 12 < 0), days = value / 24 - (value % 24 < 0);
  if (kind == MLE_TRANSFORM_YEAR)
    return mle_buffer_printf(out, err, "%04lld", (long long)value + 1970);
  if (kind == MLE_TRANSFORM_MONTH)
    return mle_buffer_printf(out, err, "%04lld-%02lld", (long long)year + 1970,
                             (long long)(value - year * 12) + 1);
  int32_t date = (int32_t)(kind == MLE_TRANSFORM_HOUR ? days : value);
  MLE_TRY(mle_value_print(&day, (mle_bytes){(const char *)&date, sizeof date}, out, err));
  if (kind == MLE_TRANSFORM_DAY) return MLE_OK;
  return mle_buffer_printf(out, err, "-%02lld", (long long)(value - days * 24));
}

static bool is_period(mle_transform_kind kind) {
  return kind == MLE_TRANSFORM_YEAR || kind == MLE_TRANSFORM_MONTH || kind == MLE_TRANSFORM_DAY ||
         kind == MLE_TRANSFORM_HOUR;
}

static mle_status add_human(inspector *in, mle_json *to, const char *key,
                            const mle_inspect_part *part, mle_bytes bytes, mle_error *err) {
  mle_literal value = {.kind = MLE_LITERAL_NONE};
  if (part != NULL && bytes.data != NULL) value = mle_literal_from_bytes(&part->type, bytes);
  if (value.kind == MLE_LITERAL_NONE) {
    mle_json_add_null(to, key);
    return MLE_OK;
  }
  mle_buffer_clear(&in->text);
  if (is_period(part->transform.kind))
    MLE_TRY(put_period(part->transform.kind, (int64_t)value.whole, &in->text, err));
  else
    MLE_TRY(mle_value_sql_text(&part->type, bytes, &in->text, err));
  mle_json_add_text(to, key, in->text.data == NULL ? "" : in->text.data);
  return MLE_OK;
}

/* Summaries stand in the order of the spec's fields. */
static mle_status add_summaries(inspector *in, mle_json *row, const mle_manifest_file *manifest,
                                mle_error *err) {
  const mle_partition_spec *spec = mle_metadata_spec(in->metadata, manifest->spec_id);
  const mle_field_summary *items = manifest->partitions.items;
  mle_json *list = mle_json_add_array(row, "partition_summaries");
  for (size_t i = 0; i < manifest->partitions.count; i++) {
    bool known = spec != NULL && i < spec->num_fields;
    const mle_inspect_part *part = known ? find_part(in, spec->fields[i].field_id) : NULL;
    mle_json *to = mle_json_add_object(list, NULL);
    mle_json_add_bool(to, "contains_null", items[i].contains_null == 1);
    if (items[i].contains_nan == MLE_NULL_BOOL)
      mle_json_add_null(to, "contains_nan");
    else
      mle_json_add_bool(to, "contains_nan", items[i].contains_nan == 1);
    MLE_TRY(add_human(in, to, "lower_bound", part, items[i].lower, err));
    MLE_TRY(add_human(in, to, "upper_bound", part, items[i].upper, err));
  }
  return MLE_OK;
}

static mle_status inspect_manifest(inspector *in, const mle_manifest_file *manifest,
                                   mle_error *err) {
  bool data = manifest->content == MLE_MANIFEST_DATA;
  mle_json *row = mle_json_new_object();
  mle_row_int(row, "content", manifest->content);
  mle_row_text(row, "path", manifest->path);
  mle_row_long(row, "length", manifest->length);
  mle_row_int(row, "partition_spec_id", manifest->spec_id);
  mle_row_long(row, "added_snapshot_id", manifest->added_snapshot_id);
  mle_row_int(row, "added_data_files_count", data ? manifest->added_files : 0);
  mle_row_int(row, "existing_data_files_count", data ? manifest->existing_files : 0);
  mle_row_int(row, "deleted_data_files_count", data ? manifest->deleted_files : 0);
  mle_row_int(row, "added_delete_files_count", data ? 0 : manifest->added_files);
  mle_row_int(row, "existing_delete_files_count", data ? 0 : manifest->existing_files);
  mle_row_int(row, "deleted_delete_files_count", data ? 0 : manifest->deleted_files);
  mle_status status = add_summaries(in, row, manifest, err);
  if (status == MLE_OK) return give(in, row, err);
  mle_json_free(row);
  return status;
}

/* ====== Entries and files ====== */

static mle_status add_partition(inspector *in, mle_json *row, const mle_list *tuple,
                                mle_error *err) {
  if (in->num_parts == 0) return MLE_OK;
  mle_json *to = mle_json_add_object(row, "partition");
  for (size_t i = 0; i < in->num_parts; i++) {
    const mle_inspect_part *part = &in->parts[i];
    const mle_datum *datum = mle_tuple_find(tuple, part->field_id);
    mle_bytes bytes = {NULL, 0};
    if (datum != NULL) MLE_TRY(mle_datum_bytes(datum, &part->type, &in->once, &bytes, err));
    MLE_TRY(mle_row_value(to, part->name, &part->type, bytes, &in->text, err));
  }
  return MLE_OK;
}

static void add_counts(mle_json *row, const char *key, const mle_list *list) {
  const mle_key_long *items = list->items;
  char id[16];
  if (items == NULL) {
    mle_json_add_null(row, key);
    return;
  }
  mle_json *to = mle_json_add_object(row, key);
  for (size_t i = 0; i < list->count; i++) {
    snprintf(id, sizeof id, "%d", (int)items[i].key);
    mle_json_add_int(to, id, items[i].value);
  }
}

static mle_status add_bounds(inspector *in, mle_json *row, const char *key, const mle_list *list,
                             mle_error *err) {
  const mle_key_bytes *items = list->items;
  char id[16];
  if (items == NULL) {
    mle_json_add_null(row, key);
    return MLE_OK;
  }
  mle_json *to = mle_json_add_object(row, key);
  for (size_t i = 0; i < list->count; i++) {
    snprintf(id, sizeof id, "%d", (int)items[i].key);
    MLE_TRY(mle_row_hex(to, id, items[i].value, &in->text, err));
  }
  return MLE_OK;
}

static void add_offsets(mle_json *row, const mle_data_file *file) {
  const int64_t *offsets = file->split_offsets.items;
  const int32_t *ids = file->equality_ids.items;
  mle_json *to = offsets == NULL ? mle_json_add_null(row, "split_offsets")
                                 : mle_json_add_array(row, "split_offsets");
  for (size_t i = 0; i < file->split_offsets.count; i++) mle_json_add_int(to, NULL, offsets[i]);
  to = ids == NULL ? mle_json_add_null(row, "equality_ids")
                   : mle_json_add_array(row, "equality_ids");
  for (size_t i = 0; i < file->equality_ids.count; i++) mle_json_add_int(to, NULL, ids[i]);
}

static mle_status add_file(inspector *in, mle_json *row, const mle_data_file *file,
                           const int32_t *spec_id, mle_error *err) {
  mle_row_int(row, "content", file->content);
  mle_row_text(row, "file_path", file->path);
  mle_row_text(row, "file_format", file->format);
  if (spec_id != NULL) mle_row_int(row, "spec_id", *spec_id);
  MLE_TRY(add_partition(in, row, &file->partition, err));
  mle_row_long(row, "record_count", file->record_count);
  mle_row_long(row, "file_size_in_bytes", file->file_size);
  add_counts(row, "column_sizes", &file->column_sizes);
  add_counts(row, "value_counts", &file->value_counts);
  add_counts(row, "null_value_counts", &file->null_counts);
  add_counts(row, "nan_value_counts", &file->nan_counts);
  MLE_TRY(add_bounds(in, row, "lower_bounds", &file->lower_bounds, err));
  MLE_TRY(add_bounds(in, row, "upper_bounds", &file->upper_bounds, err));
  MLE_TRY(mle_row_hex(row, "key_metadata", file->key_metadata, &in->text, err));
  add_offsets(row, file);
  mle_row_int(row, "sort_order_id", file->sort_order_id);
  if (in->metadata->format_version >= 3) mle_row_long(row, "first_row_id", file->first_row_id);
  return MLE_OK;
}

static int64_t count_of(const mle_list *list, int id) {
  const mle_key_long *items = list->items;
  for (size_t i = 0; i < list->count; i++)
    if (items[i].key == id) return items[i].value;
  return MLE_NULL_LONG;
}

static mle_bytes bound_of(const mle_list *list, int id) {
  const mle_key_bytes *items = list->items;
  for (size_t i = 0; i < list->count; i++)
    if (items[i].key == id) return items[i].value;
  return (mle_bytes){NULL, 0};
}

static mle_status add_metrics(inspector *in, mle_json *row, const mle_data_file *file,
                              mle_error *err) {
  const mle_schema *schema = in->metadata->schema;
  mle_json *metrics = mle_json_add_object(row, "readable_metrics");
  for (size_t i = 0; i < schema->num_fields; i++) {
    const mle_field *field = &schema->fields[i];
    mle_json *to = mle_json_add_object(metrics, field->name);
    mle_row_long(to, "column_size", count_of(&file->column_sizes, field->id));
    mle_row_long(to, "value_count", count_of(&file->value_counts, field->id));
    mle_row_long(to, "null_value_count", count_of(&file->null_counts, field->id));
    mle_row_long(to, "nan_value_count", count_of(&file->nan_counts, field->id));
    mle_bytes lower = bound_of(&file->lower_bounds, field->id);
    mle_bytes upper = bound_of(&file->upper_bounds, field->id);
    MLE_TRY(mle_row_value(to, "lower_bound", field->type, lower, &in->text, err));
    MLE_TRY(mle_row_value(to, "upper_bound", field->type, upper, &in->text, err));
  }
  return MLE_OK;
}

typedef mle_status (*see_entry)(inspector *in, const mle_manifest_entry *entry, int32_t spec_id,
                                mle_error *err);

static mle_status give_entry(inspector *in, const mle_manifest_entry *entry, int32_t spec_id,
                             mle_error *err) {
  (void)spec_id;
  mle_json *row = mle_json_new_object();
  mle_row_int(row, "status", entry->status);
  mle_row_long(row, "snapshot_id", entry->snapshot_id);
  mle_row_long(row, "sequence_number", entry->sequence_number);
  mle_row_long(row, "file_sequence_number", entry->file_sequence_number);
  mle_json *file = mle_json_add_object(row, "data_file");
  mle_status status = add_file(in, file, &entry->file, NULL, err);
  if (status == MLE_OK) status = add_metrics(in, row, &entry->file, err);
  if (status == MLE_OK) return give(in, row, err);
  mle_json_free(row);
  return status;
}

static mle_status give_file(inspector *in, const mle_manifest_entry *entry, int32_t spec_id,
                            mle_error *err) {
  if (entry->status == MLE_ENTRY_DELETED) return MLE_OK;
  mle_json *row = mle_json_new_object();
  mle_status status = add_file(in, row, &entry->file, &spec_id, err);
  if (status == MLE_OK) status = add_metrics(in, row, &entry->file, err);
  if (status == MLE_OK) return give(in, row, err);
  mle_json_free(row);
  return status;
}

static mle_status read_manifest(inspector *in, const mle_manifest_file *manifest, see_entry see,
                                mle_error *err) {
  mle_manifest_reader *reader;
  mle_manifest_entry entry;
  mle_status status;
  bool found;
  if (mle_cancelled()) return mle_cancel_fail(err, "inspecting a table");
  MLE_TRY(mle_manifest_open(manifest, MLE_MANIFEST_ALL, &reader, err));
  for (;;) {
    MLE_GO(mle_manifest_next(reader, &entry, &found, err));
    if (!found) break;
    MLE_GO(mle_tuple_identify(&entry.file.partition, mle_metadata_spec(in->metadata, mle_manifest_spec(reader)),
                              &in->once, err));
    MLE_GO(see(in, &entry, mle_manifest_spec(reader), err));
  }
done:
  mle_manifest_close(reader);
  return status;
}

/* ====== Partitions ====== */

static mle_status give_partition(inspector *in, const mle_partition_group *one, mle_error *err) {
  mle_json *row = mle_json_new_object();
  mle_status status = add_partition(in, row, &one->tuple, err);
  if (in->num_parts > 0) mle_row_int(row, "spec_id", one->spec_id);
  mle_row_long(row, "record_count", one->records);
  mle_row_long(row, "file_count", one->files);
  mle_row_long(row, "total_data_file_size_in_bytes", one->bytes);
  mle_row_long(row, "position_delete_record_count", one->position_records);
  mle_row_long(row, "position_delete_file_count", one->position_files);
  mle_row_long(row, "equality_delete_record_count", one->equality_records);
  mle_row_long(row, "equality_delete_file_count", one->equality_files);
  if (one->updated == NULL)
    mle_json_add_null(row, "last_updated_at");
  else
    mle_row_time(row, "last_updated_at", one->updated->timestamp_ms);
  mle_row_long(row, "last_updated_snapshot_id",
           one->updated == NULL ? MLE_NULL_LONG : one->updated->id);
  if (status == MLE_OK) return give(in, row, err);
  mle_json_free(row);
  return status;
}

/* ====== A snapshot's manifests ====== */

static mle_status read_all(inspector *in, const mle_manifest_list *list, see_entry see,
                           mle_error *err) {
  for (size_t i = 0; i < list->count; i++) MLE_TRY(read_manifest(in, &list->files[i], see, err));
  return MLE_OK;
}

static mle_status count_entry(inspector *in, const mle_manifest_entry *entry, int32_t spec_id,
                              mle_error *err) {
  return mle_partition_count(in->context, in->metadata, entry, spec_id, err);
}

static mle_status inspect_partitions(inspector *in, const mle_manifest_list *list, mle_error *err) {
  mle_partition_groups g = {.memory = &in->arena};
  void *context = in->context;
  in->context = &g;
  mle_status status = read_all(in, list, count_entry, err);
  in->context = context;
  for (size_t i = 0; i < g.count && status == MLE_OK; i++)
    status = give_partition(in, &g.items[i], err);
  mle_partition_groups_free(&g);
  return status;
}

static mle_status inspect_list(inspector *in, mle_inspect_kind kind, const mle_snapshot *snapshot,
                               mle_error *err) {
  mle_manifest_list list;
  if (snapshot == NULL) return MLE_OK;
  MLE_TRY(mle_inspect_parts(in->metadata, &in->arena, &in->parts, &in->num_parts, err));
  MLE_TRY(mle_snapshot_manifests(in->metadata, snapshot, &in->arena, &list, err));
  switch (kind) {
    case MLE_INSPECT_ENTRIES: return read_all(in, &list, give_entry, err);
    case MLE_INSPECT_FILES: return read_all(in, &list, give_file, err);
    case MLE_INSPECT_PARTITIONS: return inspect_partitions(in, &list, err);
    default: break;
  }
  for (size_t i = 0; i < list.count; i++) MLE_TRY(inspect_manifest(in, &list.files[i], err));
  return MLE_OK;
}

mle_status mle_inspect(const mle_metadata *metadata, mle_inspect_kind kind,
                       const mle_snapshot *snapshot, mle_inspect_row row, void *context,
                       mle_error *err) {
  inspector in = {.metadata = metadata, .arena = MLE_ARENA, .once = MLE_ARENA,
                  .text = MLE_BUFFER(TEXT_MAX), .row = row, .context = context};
  mle_status status;
  switch (kind) {
    case MLE_INSPECT_SNAPSHOTS: status = inspect_snapshots(&in, err); break;
    case MLE_INSPECT_HISTORY: status = inspect_history(&in, err); break;
    case MLE_INSPECT_REFS: status = inspect_refs(&in, err); break;
    default:
      status = inspect_list(&in, kind, snapshot == NULL ? mle_metadata_current(metadata) : snapshot,
                            err);
  }
  mle_buffer_release(&in.text);
  mle_arena_release(&in.once);
  mle_arena_release(&in.arena);
  return status;
}

/* ====== To a file ====== */

typedef struct target {
  FILE *file;
  const char *path;
} target;

static mle_status write_row(void *context, const mle_json *row, mle_error *err) {
  target *to = context;
  char *text = mle_json_print(row, false);
  if (text == NULL) return no_memory(err);
  bool written = fputs(text, to->file) >= 0 && fputc('\n', to->file) != EOF;
  mle_free(text);
  return written ? MLE_OK : mle_fail(err, MLE_EIO, "cannot write '%s': %s", to->path, strerror(errno));
}

mle_status mle_inspect_write(const mle_metadata *metadata, mle_inspect_kind kind,
                             const mle_snapshot *snapshot, const char *path, mle_error *err) {
  int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  target to = {fd < 0 ? NULL : fdopen(fd, "w"), path};
  if (to.file == NULL) {
    if (fd >= 0) close(fd);
    return mle_fail(err, MLE_EIO, "cannot create '%s': %s", path, strerror(errno));
  }
  mle_status status = mle_inspect(metadata, kind, snapshot, write_row, &to, err);
  if (fclose(to.file) != 0 && status == MLE_OK)
    status = mle_fail(err, MLE_EIO, "cannot write '%s': %s", path, strerror(errno));
  return status;
}
