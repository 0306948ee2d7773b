#include "engine/iceberg/inspect.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/alloc.h"
#include "engine/base/cancel.h"
#include "engine/base/clock.h"
#include "engine/base/hash.h"
#include "engine/iceberg/literal.h"
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

/* ====== Members ====== */

static void add_time(mle_json *row, const char *key, int64_t ms) {
  char text[MLE_TIME_TEXT];
  mle_json_add_text(row, key, mle_time_text(ms, text));
}

static void add_long(mle_json *row, const char *key, int64_t value) {
  if (value == MLE_NULL_LONG)
    mle_json_add_null(row, key);
  else
    mle_json_add_int(row, key, value);
}

static void add_int(mle_json *row, const char *key, int32_t value) {
  add_long(row, key, value == MLE_NULL_INT ? MLE_NULL_LONG : value);
}

static void add_text(mle_json *row, const char *key, const char *text) {
  if (text == NULL)
    mle_json_add_null(row, key);
  else
    mle_json_add_text(row, key, text);
}

static mle_status add_hex(inspector *in, mle_json *row, const char *key, mle_bytes bytes,
                          mle_error *err) {
  mle_buffer_clear(&in->text);
  if (bytes.data == NULL) {
    mle_json_add_null(row, key);
    return MLE_OK;
  }
  MLE_TRY(mle_buffer_puts(&in->text, "", err));
  for (size_t i = 0; i < bytes.len; i++)
    MLE_TRY(mle_buffer_printf(&in->text, err, "%02x", (unsigned)(uint8_t)bytes.data[i]));
  mle_json_add_text(row, key, in->text.data == NULL ? "" : in->text.data);
  return MLE_OK;
}

static bool is_number(const mle_type *type, const char *text) {
  bool real = type->kind == MLE_TYPE_FLOAT || type->kind == MLE_TYPE_DOUBLE;
  if (real) return strpbrk(text, "nN") == NULL; /* nan, infinity */
  return type->kind == MLE_TYPE_INT || type->kind == MLE_TYPE_LONG ||
         type->kind == MLE_TYPE_BOOLEAN;
}

/* A bound or partition value; null where the bytes are no value of the type. */
static mle_status add_value(inspector *in, mle_json *row, const char *key, const mle_type *type,
                            mle_bytes bytes, mle_error *err) {
  bool real = type->kind == MLE_TYPE_FLOAT || type->kind == MLE_TYPE_DOUBLE;
  bool opaque = type->kind >= MLE_TYPE_UNKNOWN || type->kind == MLE_TYPE_BINARY ||
                type->kind == MLE_TYPE_FIXED;
  if (bytes.data == NULL || (opaque && mle_type_is_nested(type))) {
    mle_json_add_null(row, key);
    return MLE_OK;
  }
  if (opaque) return add_hex(in, row, key, bytes, err);
  bool known = mle_literal_from_bytes(type, bytes).kind != MLE_LITERAL_NONE ||
               (real && (bytes.len == 4 || bytes.len == 8));
  if (!known) {
    mle_json_add_null(row, key);
    return MLE_OK;
  }
  mle_buffer_clear(&in->text);
  MLE_TRY(mle_value_sql_text(type, bytes, &in->text, err));
  const char *text = in->text.data == NULL ? "" : in->text.data;
  if (is_number(type, text))
    mle_json_add_raw(row, key, text);
  else
    mle_json_add_text(row, key, text);
  return MLE_OK;
}

/* ====== Snapshots, history, refs ====== */

static mle_status inspect_snapshots(inspector *in, mle_error *err) {
  for (size_t i = 0; i < in->metadata->num_snapshots; i++) {
    const mle_snapshot *s = &in->metadata->snapshots[i];
    mle_json *row = mle_json_new_object();
    add_time(row, "committed_at", s->timestamp_ms);
    add_long(row, "snapshot_id", s->id);
    add_long(row, "parent_id", s->parent_id);
    add_text(row, "operation", s->operation);
    add_text(row, "manifest_list", s->manifest_list);
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
    add_time(row, "made_current_at", m->log[i].timestamp_ms);
    add_long(row, "snapshot_id", m->log[i].snapshot_id);
    add_long(row, "parent_id", s == NULL ? MLE_NULL_LONG : s->parent_id);
    mle_json_add_bool(row, "is_current_ancestor", s != NULL && ancestors[s - m->snapshots]);
    MLE_TRY(give(in, row, err));
  }
  return MLE_OK;
}

static mle_status inspect_refs(inspector *in, mle_error *err) {
  for (size_t i = 0; i < in->metadata->num_refs; i++) {
    const mle_ref *ref = &in->metadata->refs[i];
    mle_json *row = mle_json_new_object();
    add_text(row, "name", ref->name);
    add_text(row, "type", strcmp(ref->type, "tag") == 0 ? "TAG" : "BRANCH");
    add_long(row, "snapshot_id", ref->snapshot_id);
    add_long(row, "max_reference_age_in_ms", ref->max_ref_age_ms);
    add_long(row, "min_snapshots_to_keep", ref->min_snapshots_to_keep);
    add_long(row, "max_snapshot_age_in_ms", ref->max_snapshot_age_ms);
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
  add_int(row, "content", manifest->content);
  add_text(row, "path", manifest->path);
  add_long(row, "length", manifest->length);
  add_int(row, "partition_spec_id", manifest->spec_id);
  add_long(row, "added_snapshot_id", manifest->added_snapshot_id);
  add_int(row, "added_data_files_count", data ? manifest->added_files : 0);
  add_int(row, "existing_data_files_count", data ? manifest->existing_files : 0);
  add_int(row, "deleted_data_files_count", data ? manifest->deleted_files : 0);
  add_int(row, "added_delete_files_count", data ? 0 : manifest->added_files);
  add_int(row, "existing_delete_files_count", data ? 0 : manifest->existing_files);
  add_int(row, "deleted_delete_files_count", data ? 0 : manifest->deleted_files);
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
    MLE_TRY(add_value(in, to, part->name, &part->type, bytes, err));
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
    MLE_TRY(add_hex(in, to, id, items[i].value, err));
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
  add_int(row, "content", file->content);
  add_text(row, "file_path", file->path);
  add_text(row, "file_format", file->format);
  if (spec_id != NULL) add_int(row, "spec_id", *spec_id);
  MLE_TRY(add_partition(in, row, &file->partition, err));
  add_long(row, "record_count", file->record_count);
  add_long(row, "file_size_in_bytes", file->file_size);
  add_counts(row, "column_sizes", &file->column_sizes);
  add_counts(row, "value_counts", &file->value_counts);
  add_counts(row, "null_value_counts", &file->null_counts);
  add_counts(row, "nan_value_counts", &file->nan_counts);
  MLE_TRY(add_bounds(in, row, "lower_bounds", &file->lower_bounds, err));
  MLE_TRY(add_bounds(in, row, "upper_bounds", &file->upper_bounds, err));
  MLE_TRY(add_hex(in, row, "key_metadata", file->key_metadata, err));
  add_offsets(row, file);
  add_int(row, "sort_order_id", file->sort_order_id);
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
    add_long(to, "column_size", count_of(&file->column_sizes, field->id));
    add_long(to, "value_count", count_of(&file->value_counts, field->id));
    add_long(to, "null_value_count", count_of(&file->null_counts, field->id));
    add_long(to, "nan_value_count", count_of(&file->nan_counts, field->id));
    mle_bytes lower = bound_of(&file->lower_bounds, field->id);
    mle_bytes upper = bound_of(&file->upper_bounds, field->id);
    MLE_TRY(add_value(in, to, "lower_bound", field->type, lower, err));
    MLE_TRY(add_value(in, to, "upper_bound", field->type, upper, err));
  }
  return MLE_OK;
}

typedef mle_status (*see_entry)(inspector *in, const mle_manifest_entry *entry, int32_t spec_id,
                                mle_error *err);

static mle_status give_entry(inspector *in, const mle_manifest_entry *entry, int32_t spec_id,
                             mle_error *err) {
  (void)spec_id;
  mle_json *row = mle_json_new_object();
  add_int(row, "status", entry->status);
  add_long(row, "snapshot_id", entry->snapshot_id);
  add_long(row, "sequence_number", entry->sequence_number);
  add_long(row, "file_sequence_number", entry->file_sequence_number);
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
    MLE_GO(see(in, &entry, mle_manifest_spec(reader), err));
  }
done:
  mle_manifest_close(reader);
  return status;
}

/* ====== Partitions ====== */

typedef struct partition {
  mle_list tuple;
  int32_t spec_id;
  int64_t records, files, bytes;
  int64_t position_records, position_files, equality_records, equality_files;
  const mle_snapshot *updated;
} partition;

typedef struct grouping {
  partition *items;
  size_t count;
  size_t *slots; /* item + 1; open addressing, at most half full */
  size_t capacity;
} grouping;

/* The slot of a partition, or the free one it would have. */
static size_t find_slot(const grouping *g, int32_t spec_id, const mle_list *tuple) {
  size_t at = (size_t)mle_tuple_hash(spec_id, tuple) & (g->capacity - 1);
  for (; g->slots[at] != 0; at = (at + 1) & (g->capacity - 1)) {
    const partition *one = &g->items[g->slots[at] - 1];
    if (one->spec_id == spec_id && mle_tuple_equal(&one->tuple, tuple)) break;
  }
  return at;
}

static mle_status grow(grouping *g, mle_error *err) {
  size_t capacity = g->capacity == 0 ? 64 : g->capacity * 2;
  size_t *slots = mle_calloc(capacity, sizeof *slots);
  if (slots == NULL) return no_memory(err);
  mle_free(g->slots);
  g->slots = slots;
  g->capacity = capacity;
  for (size_t i = 0; i < g->count; i++)
    slots[find_slot(g, g->items[i].spec_id, &g->items[i].tuple)] = i + 1;
  return MLE_OK;
}

static mle_status find_partition(inspector *in, grouping *g, const mle_manifest_entry *entry,
                                 int32_t spec_id, partition **out, mle_error *err) {
  if (2 * (g->count + 1) > g->capacity) MLE_TRY(grow(g, err));
  size_t at = find_slot(g, spec_id, &entry->file.partition);
  if (g->slots[at] == 0) {
    partition *items = mle_arena_grow(&in->arena, g->items, g->count, sizeof *items);
    if (items == NULL) return no_memory(err);
    g->items = items;
    items[g->count] = (partition){.spec_id = spec_id};
    MLE_TRY(mle_tuple_copy(&entry->file.partition, &in->arena, &items[g->count].tuple, err));
    g->slots[at] = ++g->count;
  }
  *out = &g->items[g->slots[at] - 1];
  return MLE_OK;
}

static mle_status count_entry(inspector *in, const mle_manifest_entry *entry, int32_t spec_id,
                              mle_error *err) {
  grouping *g = in->context;
  partition *to = NULL;
  if (entry->status == MLE_ENTRY_DELETED) return MLE_OK;
  MLE_TRY(find_partition(in, g, entry, spec_id, &to, err));
  const mle_snapshot *snapshot = mle_metadata_snapshot(in->metadata, entry->snapshot_id);
  if (snapshot != NULL && (to->updated == NULL || to->updated->timestamp_ms < snapshot->timestamp_ms))
    to->updated = snapshot;
  switch (entry->file.content) {
    case MLE_FILE_DATA:
      to->records += entry->file.record_count;
      to->bytes += entry->file.file_size;
      to->files++;
      break;
    case MLE_FILE_POSITION_DELETES:
      to->position_records += entry->file.record_count;
      to->position_files++;
      break;
    default:
      to->equality_records += entry->file.record_count;
      to->equality_files++;
      break;
  }
  return MLE_OK;
}

static mle_status give_partition(inspector *in, const partition *one, mle_error *err) {
  mle_json *row = mle_json_new_object();
  mle_status status = add_partition(in, row, &one->tuple, err);
  if (in->num_parts > 0) add_int(row, "spec_id", one->spec_id);
  add_long(row, "record_count", one->records);
  add_long(row, "file_count", one->files);
  add_long(row, "total_data_file_size_in_bytes", one->bytes);
  add_long(row, "position_delete_record_count", one->position_records);
  add_long(row, "position_delete_file_count", one->position_files);
  add_long(row, "equality_delete_record_count", one->equality_records);
  add_long(row, "equality_delete_file_count", one->equality_files);
  if (one->updated == NULL)
    mle_json_add_null(row, "last_updated_at");
  else
    add_time(row, "last_updated_at", one->updated->timestamp_ms);
  add_long(row, "last_updated_snapshot_id",
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

static mle_status inspect_partitions(inspector *in, const mle_manifest_list *list, mle_error *err) {
  grouping g = {.items = NULL};
  void *context = in->context;
  in->context = &g;
  mle_status status = read_all(in, list, count_entry, err);
  in->context = context;
  for (size_t i = 0; i < g.count && status == MLE_OK; i++)
    status = give_partition(in, &g.items[i], err);
  mle_free(g.slots);
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
