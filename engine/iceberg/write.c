#include "engine/iceberg/write.h"

#include <inttypes.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/base/file.h"
#include "engine/base/hash.h"
#include "engine/iceberg/sql_partition.h"
#include "engine/iceberg/sql_type.h"
#include "engine/iceberg/value.h"
#include "engine/store/store.h"

/* ====== Columns ====== */

typedef struct columns {
  const mle_frame_column *items;
  size_t count;
} columns;

static const mle_frame_column *find_column(const columns *c, const char *name) {
  for (size_t i = 0; i < c->count; i++)
    if (strcmp(c->items[i].name, name) == 0) return &c->items[i];
  return NULL;
}

static mle_status refuse_extra(const mle_schema *schema, const columns *c, mle_error *err) {
  for (size_t i = 0; i < c->count; i++)
    if (mle_schema_find(schema, c->items[i].name) == NULL)
      return mle_fail(err, MLE_EINVAL,
                      "column '%s' (%s) is not a column of the table; leave it out with select",
                      c->items[i].name, c->items[i].type);
  return MLE_OK;
}

static mle_status check_type(const mle_field *field, const mle_frame_column *column,
                             mle_arena *arena, mle_error *err) {
  char theirs[MLE_TYPE_LABEL], ours[MLE_TYPE_LABEL];
  const mle_type *type;
  mle_status status = mle_sql_type_parse(column->type, arena, &type, err);
  if (status != MLE_OK) return mle_context(err, "column '%s'", column->name);
  if (mle_type_widens(type, field->type)) return MLE_OK;
  return mle_fail(err, MLE_EINVAL, "column '%s' is %s (%.100s), but the table's is %s; cast it",
                  column->name, mle_type_label(type, ours), column->type,
                  mle_type_label(field->type, theirs));
}

/* CAST("x" AS BIGINT) AS "x"; a column that the frame lacks is nulls of its type. */
static mle_status put_expression(const mle_field *field, const mle_frame_column *column,
                                 mle_buffer *out, mle_error *err) {
  MLE_TRY(mle_buffer_puts(out, "CAST(", err));
  if (column == NULL)
    MLE_TRY(mle_buffer_puts(out, "NULL", err));
  else
    MLE_TRY(mle_sql_name(out, column->name, err));
  MLE_TRY(mle_buffer_puts(out, " AS ", err));
  MLE_TRY(mle_sql_type_print(field->type, out, err));
  MLE_TRY(mle_buffer_puts(out, ") AS ", err));
  return mle_sql_name(out, field->name, err);
}

static mle_status make_expression(const mle_field *field, const columns *c, mle_arena *arena,
                                  const char **out, mle_error *err) {
  const mle_frame_column *column = find_column(c, field->name);
  char label[MLE_TYPE_LABEL];
  if (field->type->kind == MLE_TYPE_FIXED)
    return mle_fail(err, MLE_EUNSUPPORTED, "column '%s': this version does not write %s",
                    field->name, mle_type_label(field->type, label));
  if (column == NULL && field->required)
    return mle_fail(err, MLE_EINVAL, "column '%s' (%s) is missing, and the table requires it",
                    field->name, mle_type_label(field->type, label));
  if (column != NULL) MLE_TRY(check_type(field, column, arena, err));
  mle_buffer text = MLE_BUFFER(MLE_TYPE_TEXT_MAX);
  mle_status status = put_expression(field, column, &text, err);
  if (status == MLE_OK && (*out = mle_arena_text(arena, text.data, text.len)) == NULL)
    status = mle_nomem(err, "writing a data file");
  mle_buffer_release(&text);
  return status;
}

/* The frame with exactly the table's columns, in its order and types. */
static mle_status conform(const mle_schema *schema, mle_frame *frame, mle_arena *arena,
                          mle_frame **out, mle_error *err) {
  columns c;
  *out = NULL;
  MLE_TRY(mle_frame_columns(frame, &c.items, &c.count, err));
  MLE_TRY(refuse_extra(schema, &c, err));
  const char **expressions = mle_arena_array(arena, schema->num_fields, sizeof *expressions);
  if (expressions == NULL) return mle_nomem(err, "writing a data file");
  for (size_t i = 0; i < schema->num_fields; i++)
    MLE_TRY(make_expression(&schema->fields[i], &c, arena, &expressions[i], err));
  return mle_frame_select(frame, expressions, schema->num_fields, out, err);
}

/* ====== Metrics ====== */

/* The field at a path that leads through structs only: others' metrics are not per row. */
static const mle_field *find_leaf(const mle_schema *schema, const mle_parquet_column *column) {
  const mle_type top = {
      .kind = MLE_TYPE_STRUCT, .num_fields = schema->num_fields, .fields = schema->fields};
  const mle_type *type = &top;
  const mle_field *field = NULL;
  for (size_t depth = 0; depth < column->path_len; depth++) {
    if (type->kind != MLE_TYPE_STRUCT) return NULL;
    field = NULL;
    for (size_t i = 0; i < type->num_fields; i++)
      if (strcmp(type->fields[i].name, column->path[depth]) == 0) field = &type->fields[i];
    if (field == NULL) return NULL;
    type = field->type;
  }
  return field == NULL || mle_type_is_nested(field->type) ? NULL : field;
}

static mle_status check_required(const mle_schema *schema, const mle_parquet_column *column,
                                 const mle_field *field, mle_error *err) {
  bool top = mle_schema_find_id(schema, field->id) != NULL;
  if (!top || !field->required || column->null_count <= 0) return MLE_OK;
  return mle_fail(err, MLE_EINVAL,
                  "column '%s' has %" PRId64 " nulls, and the table requires a value", field->name,
                  column->null_count);
}

static void put_count(mle_list *list, int key, int64_t value) {
  union {
    const void *from;
    mle_key_long *items;
  } cast = {list->items}; /* made by set_metrics, from its arena */
  if (value >= 0) cast.items[list->count++] = (mle_key_long){key, value};
}

static mle_status put_bound(mle_list *list, const mle_field *field, mle_bound which,
                            const char *text, size_t len, mle_arena *arena, mle_error *err) {
  union {
    const void *from;
    mle_key_bytes *items;
  } cast = {list->items};
  mle_bytes value;
  if (text == NULL) return MLE_OK;
  mle_status status = mle_value_bound(field->type, which, text, len, arena, &value, err);
  if (status != MLE_OK) return mle_context(err, "the bounds of column '%s'", field->name);
  if (value.data != NULL) cast.items[list->count++] = (mle_key_bytes){field->id, value};
  return MLE_OK;
}

static mle_status make_lists(mle_data_file *file, size_t count, mle_arena *arena, mle_error *err) {
  mle_list *const lists[] = {&file->column_sizes, &file->value_counts, &file->null_counts,
                             &file->lower_bounds, &file->upper_bounds};
  for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
    size_t size = i < 3 ? sizeof(mle_key_long) : sizeof(mle_key_bytes);
    lists[i]->items = mle_arena_array(arena, count + 1, size);
    if (lists[i]->items == NULL) return mle_nomem(err, "writing a data file");
  }
  return MLE_OK;
}

static mle_status set_metrics(const mle_schema *schema, const mle_parquet_stats *stats,
                              mle_arena *arena, mle_data_file *file, mle_error *err) {
  MLE_TRY(make_lists(file, stats->num_columns, arena, err));
  for (size_t i = 0; i < stats->num_columns; i++) {
    const mle_parquet_column *column = &stats->columns[i];
    const mle_field *field = find_leaf(schema, column);
    if (field == NULL) continue;
    MLE_TRY(check_required(schema, column, field, err));
    put_count(&file->column_sizes, field->id, column->column_size);
    put_count(&file->value_counts, field->id, column->value_count);
    put_count(&file->null_counts, field->id, column->null_count);
    MLE_TRY(put_bound(&file->lower_bounds, field, MLE_BOUND_LOWER, column->min, column->min_len,
                      arena, err));
    MLE_TRY(put_bound(&file->upper_bounds, field, MLE_BOUND_UPPER, column->max, column->max_len,
                      arena, err));
  }
  return MLE_OK;
}

static mle_status set_offsets(const mle_parquet_stats *stats, mle_arena *arena, mle_data_file *file,
                              mle_error *err) {
  size_t count = stats->num_split_offsets;
  int64_t *offsets = mle_arena_array(arena, count, sizeof *offsets);
  if (offsets == NULL) return mle_nomem(err, "writing a data file");
  if (count > 0) memcpy(offsets, stats->split_offsets, count * sizeof *offsets);
  file->split_offsets = (mle_list){count == 0 ? NULL : offsets, count};
  return MLE_OK;
}

/* ====== Files ====== */

/* PyIceberg's and Java's names: <partition>-<task>-<uuid>.parquet, in a folder of the partition. */
static const char *new_path(const mle_metadata *m, const char *partition, mle_arena *arena) {
  char uuid[MLE_UUID_TEXT];
  const char *folder = mle_metadata_property(m, "write.data.path", NULL);
  const char *between = *partition == '\0' ? "" : "/";
  mle_uuid(uuid);
  if (folder == NULL)
    return mle_arena_format(arena, "%s/data%s%s/00000-0-%s.parquet", m->location, between, partition,
                            uuid);
  return mle_arena_format(arena, "%s%s%s/00000-0-%s.parquet", folder, between, partition, uuid);
}

static mle_status make_folder(const char *path, mle_error *err) {
  char *folder = mle_strndup(path, (size_t)(mle_path_name(path) - path));
  if (folder == NULL) return mle_nomem(err, "writing a data file");
  mle_status status = mle_make_folders(folder, 0755, err);
  mle_free(folder);
  return status;
}

/* A remote file is written here first: what fails then leaves nothing there, and what its own
 * statistics need is read without a request. */
static mle_status write_remote(mle_frame *frame, const char *uri, const char *ids,
                               mle_parquet_stats *stats, mle_error *err) {
  char *local;
  MLE_TRY(mle_frame_temporary(frame, &local, err));
  mle_status status = mle_frame_write_parquet(frame, local, ids, stats, err);
  if (status == MLE_OK) status = mle_store_upload(uri, local, err);
  mle_file_remove(local, NULL);
  mle_free(local);
  return status;
}

static mle_status write_local(mle_frame *frame, const char *uri, const char *ids,
                              mle_parquet_stats *stats, mle_error *err) {
  const char *path;
  MLE_TRY(mle_store_local_path(uri, &path, err));
  MLE_TRY(make_folder(path, err));
  return mle_frame_write_parquet(frame, path, ids, stats, err);
}

static mle_status write_file(const mle_metadata *m, mle_frame *frame, const char *uri,
                             mle_parquet_stats *stats, mle_error *err) {
  mle_buffer ids = MLE_BUFFER(MLE_TYPE_TEXT_MAX);
  mle_status status = mle_sql_field_ids(m->schema, &ids, err);
  if (status == MLE_OK)
    status = mle_store_is_remote(uri) ? write_remote(frame, uri, ids.data, stats, err)
                                      : write_local(frame, uri, ids.data, stats, err);
  mle_buffer_release(&ids);
  return status;
}

static mle_status describe(const mle_metadata *m, const mle_parquet_stats *stats,
                           mle_written *written, mle_data_file *file, mle_error *err) {
  file->format = "PARQUET";
  file->record_count = stats->record_count;
  file->file_size = stats->file_size;
  file->sort_order_id = 0; /* rows are in no order that the table knows of */
  written->rows += stats->record_count;
  written->bytes += stats->file_size;
  MLE_TRY(set_offsets(stats, &written->arena, file, err));
  return set_metrics(m->schema, stats, &written->arena, file, err);
}

/* One more file; rows that are none leave none. */
static mle_status add_file(const mle_metadata *m, const mle_partition_rows *part,
                           mle_written *written, mle_error *err) {
  mle_parquet_stats stats = {0};
  mle_status status;
  mle_data_file *file = &written->files[written->num_files];
  const char *path = new_path(m, part->folder, &written->arena);
  if (path == NULL) return mle_nomem(err, "writing a data file");
  *file = mle_manifest_entry_none.file;
  file->path = path;
  file->partition = part->tuple;
  MLE_GO(write_file(m, part->frame, path, &stats, err));
  written->num_files++; /* from here on, freeing `written` removes the file */
  MLE_GO(describe(m, &stats, written, file, err));
  if (stats.record_count > 0) goto done;
  MLE_GO(mle_store_remove(path, err));
  written->num_files--;
done:
  mle_parquet_stats_release(&stats);
  return status;
}

static mle_status add_files(const mle_metadata *m, const mle_partitions *parts,
                            mle_written *written, mle_error *err) {
  written->files = mle_arena_array(&written->arena, parts->count, sizeof *written->files);
  if (written->files == NULL) return mle_nomem(err, "writing a data file");
  for (size_t i = 0; i < parts->count; i++)
    MLE_TRY(add_file(m, &parts->items[i], written, err));
  return MLE_OK;
}

static mle_status write_rows(const mle_metadata *m, mle_frame *frame, mle_written *written,
                             mle_error *err) {
  mle_frame *conformed;
  mle_partitions parts;
  MLE_TRY(conform(m->schema, frame, &written->arena, &conformed, err));
  mle_partition_rows whole = {.folder = "", .frame = conformed};
  if (m->spec->num_fields == 0) {
    parts = (mle_partitions){&whole, 1};
    mle_status status = add_files(m, &parts, written, err);
    mle_frame_free(conformed);
    return status;
  }
  mle_status status = mle_partition_split(m, conformed, &written->arena, &parts, err);
  mle_frame_free(conformed);
  if (status == MLE_OK) status = add_files(m, &parts, written, err);
  mle_partitions_release(&parts);
  return status;
}

mle_status mle_iceberg_write(const mle_table *table, mle_frame *frame, mle_written **out,
                             mle_error *err) {
  *out = NULL;
  MLE_TRY(mle_append_check(table, err));
  mle_written *written = mle_calloc(1, sizeof *written);
  if (written == NULL) return mle_nomem(err, "writing a data file");
  written->arena = MLE_ARENA;
  mle_status status = write_rows(table->metadata, frame, written, err);
  if (status == MLE_OK) {
    *out = written;
    return MLE_OK;
  }
  mle_written_free(written);
  return mle_context(err, "appending to %s.%s", table->space, table->name);
}
