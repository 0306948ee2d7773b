#include "engine/iceberg/manifest.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/iceberg/manifest_records.h"
#include "engine/store/store.h"

#define FILE_MAX ((size_t)1 << 30)

/* ====== Manifest list ====== */

static mle_status check_manifest(const mle_manifest_file *file, mle_error *err) {
  if (file->path == NULL) return mle_fail(err, MLE_EFORMAT, "a manifest without a path");
  if (file->length < 0)
    return mle_fail(err, MLE_EFORMAT, "manifest '%s' has a negative length", file->path);
  if (file->content != MLE_MANIFEST_DATA && file->content != MLE_MANIFEST_DELETES)
    return mle_fail(err, MLE_EFORMAT,
                    "manifest '%s' has content %d, neither data (0) nor deletes (1)", file->path,
                    file->content);
  return MLE_OK;
}

static mle_status keep_bytes(mle_arena *arena, mle_bytes *bytes, mle_error *err) {
  if (bytes->data == NULL) return MLE_OK;
  bytes->data = mle_arena_text(arena, bytes->data, bytes->len);
  return bytes->data == NULL ? mle_nomem(err, "reading a manifest list") : MLE_OK;
}

mle_status mle_manifest_keep(mle_arena *arena, mle_manifest_file *file, mle_error *err) {
  MLE_TRY(mle_arena_copy(arena, file->path, &file->path, err));
  MLE_TRY(keep_bytes(arena, &file->key_metadata, err));
  if (file->partitions.items == NULL) return MLE_OK;
  size_t count = file->partitions.count;
  mle_field_summary *copies = mle_arena_array(arena, count, sizeof *copies);
  if (copies == NULL) return mle_nomem(err, "reading a manifest list");
  memcpy(copies, file->partitions.items, count * sizeof *copies);
  for (size_t i = 0; i < count; i++) {
    MLE_TRY(keep_bytes(arena, &copies[i].lower, err));
    MLE_TRY(keep_bytes(arena, &copies[i].upper, err));
  }
  file->partitions.items = copies;
  return MLE_OK;
}

static mle_status visit_rows(mle_avro_reader *reader, mle_manifest_visit visit, void *context,
                             mle_error *err) {
  for (;;) {
    bool found;
    mle_manifest_file file = mle_manifest_file_none;
    MLE_TRY(mle_avro_next(reader, &file, &found, err));
    if (!found) return MLE_OK;
    MLE_TRY(check_manifest(&file, err));
    MLE_TRY(visit(context, &file, err));
  }
}

static mle_status visit_bytes(mle_bytes bytes, mle_avro_reader **reader, mle_manifest_visit visit,
                              void *context, mle_error *err) {
  MLE_TRY(*reader == NULL
              ? mle_avro_open(bytes.data, bytes.len, &mle_record_manifest_file, reader, err)
              : mle_avro_reopen(*reader, bytes.data, bytes.len, err));
  return visit_rows(*reader, visit, context, err);
}

mle_status mle_manifest_list_visit(const char *uri, mle_avro_reader **reader,
                                   mle_manifest_visit visit, void *context, mle_error *err) {
  mle_buffer bytes = MLE_BUFFER(FILE_MAX);
  mle_status status = mle_store_read(uri, &bytes, err);
  if (status == MLE_OK)
    status = visit_bytes((mle_bytes){bytes.data, bytes.len}, reader, visit, context, err);
  mle_buffer_release(&bytes);
  return status == MLE_OK ? MLE_OK : mle_context(err, "manifest list '%s'", uri);
}

typedef struct collected {
  mle_arena *arena;
  mle_manifest_list *list;
} collected;

static mle_status collect(void *context, const mle_manifest_file *file, mle_error *err) {
  const collected *to = context;
  mle_manifest_list *list = to->list;
  mle_manifest_file *longer = mle_arena_grow(to->arena, list->files, list->count, sizeof *longer);
  if (longer == NULL) return mle_nomem(err, "reading a manifest list");
  list->files = longer;
  list->files[list->count] = *file;
  return mle_manifest_keep(to->arena, &list->files[list->count++], err);
}

mle_status mle_manifest_list_parse(mle_bytes bytes, mle_arena *arena, mle_manifest_list *out,
                                   mle_error *err) {
  mle_avro_reader *reader = NULL;
  collected to = {arena, out};
  *out = (mle_manifest_list){NULL, 0};
  mle_status status = visit_bytes(bytes, &reader, collect, &to, err);
  mle_avro_close(reader);
  if (status != MLE_OK) *out = (mle_manifest_list){NULL, 0};
  return status;
}

mle_status mle_manifest_list_read(const char *uri, mle_arena *arena, mle_manifest_list *out,
                                  mle_error *err) {
  mle_avro_reader *reader = NULL;
  collected to = {arena, out};
  *out = (mle_manifest_list){NULL, 0};
  mle_status status = mle_manifest_list_visit(uri, &reader, collect, &to, err);
  mle_avro_close(reader);
  if (status != MLE_OK) *out = (mle_manifest_list){NULL, 0};
  return status;
}

/* ====== Manifest ====== */

struct mle_manifest_reader {
  mle_manifest_columns columns;
  mle_manifest_file manifest; /* what entries inherit from */
  mle_buffer bytes;           /* of the file, when it was read here */
  mle_avro_reader *avro;      /* NULL until a first file could be opened */
  char *path;                 /* for messages */
  int64_t next_row_id;        /* of the next data file that has none; MLE_NULL_LONG: no rows have ids */
  const int32_t *only;
  size_t num_only;
};

/*
 * Spec, "Sequence Number Inheritance" and "Snapshot ID inheritance". Nulls are
 * inherited by ADDED entries only; v1 manifests have no sequence numbers at all,
 * and there all of them are 0.
 */
static mle_status inherit(const mle_manifest_file *manifest, mle_manifest_entry *entry,
                          mle_error *err) {
  if (entry->snapshot_id == MLE_NULL_LONG) entry->snapshot_id = manifest->added_snapshot_id;
  bool added = entry->status == MLE_ENTRY_ADDED;
  int64_t inherited = added ? manifest->sequence_number : MLE_NULL_LONG;
  if (manifest->sequence_number == 0) inherited = 0;
  if (entry->sequence_number == MLE_NULL_LONG) entry->sequence_number = inherited;
  if (entry->file_sequence_number == MLE_NULL_LONG) entry->file_sequence_number = inherited;
  if (entry->sequence_number == MLE_NULL_LONG && entry->status != MLE_ENTRY_DELETED)
    return mle_fail(err, MLE_EFORMAT, "the existing file '%s' has no sequence number",
                    entry->file.path);
  return MLE_OK;
}

/* Spec, "First Row ID Inheritance": of files that have none, one after the other. */
static mle_status inherit_row_id(mle_manifest_reader *reader, mle_manifest_entry *entry,
                                 mle_error *err) {
  mle_data_file *file = &entry->file;
  if (reader->next_row_id == MLE_NULL_LONG) file->first_row_id = MLE_NULL_LONG;
  if (reader->next_row_id == MLE_NULL_LONG || entry->status == MLE_ENTRY_DELETED ||
      file->first_row_id != MLE_NULL_LONG)
    return MLE_OK;
  file->first_row_id = reader->next_row_id;
  if (!__builtin_add_overflow(reader->next_row_id, file->record_count, &reader->next_row_id))
    return MLE_OK;
  return mle_fail(err, MLE_EFORMAT, "the row ids of file '%s' overflow", file->path);
}

static mle_status check_entry(const mle_manifest_entry *entry, mle_error *err) {
  const mle_data_file *file = &entry->file;
  if (file->path == NULL) return mle_fail(err, MLE_EFORMAT, "an entry without a file path");
  if (entry->status < MLE_ENTRY_EXISTING || entry->status > MLE_ENTRY_DELETED)
    return mle_fail(err, MLE_EFORMAT, "file '%s' has the unknown status %d", file->path,
                    entry->status);
  if (file->record_count < 0 || file->file_size < 0)
    return mle_fail(err, MLE_EFORMAT, "file '%s' has a negative size or row count", file->path);
  if (file->content < MLE_FILE_DATA || file->content > MLE_FILE_EQUALITY_DELETES)
    return mle_fail(err, MLE_EFORMAT, "file '%s' has the unknown content %d", file->path,
                    file->content);
  return MLE_OK;
}

static const mle_avro_record *record_of(mle_manifest_columns columns) {
  return columns == MLE_MANIFEST_PLAN    ? &mle_record_entry_plan
         : columns == MLE_MANIFEST_PRUNE ? &mle_record_entry_prune
                                         : &mle_record_entry;
}

/* A file that lost its end may still be a whole one of fewer blocks. Lengths that lists have alone are no
 * proof, some files were rewritten in place: the numbers of entries are. */
static mle_status check_shorter(const mle_manifest_reader *reader, size_t len, mle_error *err) {
  const mle_manifest_file *m = &reader->manifest;
  bool known = m->added_files >= 0 && m->existing_files >= 0 && m->deleted_files >= 0;
  int64_t wanted = (int64_t)m->added_files + m->existing_files + m->deleted_files, found = -1;
  if (m->length <= 0 || len >= (uint64_t)m->length) return MLE_OK;
  if (known) MLE_TRY(mle_avro_count(reader->avro, &found, err));
  if (known && found == wanted) return MLE_OK;
  return mle_fail(err, MLE_EFORMAT, "it has %zu bytes, its manifest list says %" PRId64 " (truncated?)",
                  len, m->length);
}

static mle_status open_bytes(mle_manifest_reader *reader, mle_bytes bytes, mle_error *err) {
  const mle_avro_record *record = record_of(reader->columns);
  MLE_TRY(reader->avro == NULL
              ? mle_avro_open(bytes.data, bytes.len, record, &reader->avro, err)
              : mle_avro_reopen(reader->avro, bytes.data, bytes.len, err));
  MLE_TRY(check_shorter(reader, bytes.len, err));
  mle_avro_only(reader->avro, reader->only, reader->num_only);
  const char *spec = mle_avro_meta(reader->avro, "partition-spec-id");
  if (spec != NULL) reader->manifest.spec_id = (int32_t)strtol(spec, NULL, 10);
  return MLE_OK;
}

static mle_status begin(mle_manifest_reader *reader, const mle_manifest_file *manifest,
                        mle_error *err) {
  char *path = mle_strdup(manifest->path);
  if (path == NULL) return mle_nomem(err, "reading a manifest");
  mle_free(reader->path);
  reader->path = path;
  reader->manifest = *manifest;
  reader->next_row_id =
      manifest->content == MLE_MANIFEST_DATA ? manifest->first_row_id : MLE_NULL_LONG;
  mle_buffer_clear(&reader->bytes);
  return MLE_OK;
}

mle_status mle_manifest_reopen_bytes(mle_manifest_reader *reader, mle_bytes bytes,
                                     const mle_manifest_file *manifest, size_t from, size_t to,
                                     mle_error *err) {
  MLE_TRY(begin(reader, manifest, err));
  mle_status status = open_bytes(reader, bytes, err);
  if (status != MLE_OK) return mle_context(err, "manifest '%s'", reader->path);
  if (from > 0) reader->next_row_id = MLE_NULL_LONG; /* what stands before is not known */
  mle_avro_window(reader->avro, from, to);
  return MLE_OK;
}

mle_status mle_manifest_reopen(mle_manifest_reader *reader, const mle_manifest_file *manifest,
                               mle_error *err) {
  MLE_TRY(begin(reader, manifest, err));
  if (mle_store_read(manifest->path, &reader->bytes, err) != MLE_OK)
    return mle_context(err, "manifest");
  mle_status status = open_bytes(reader, (mle_bytes){reader->bytes.data, reader->bytes.len}, err);
  return status == MLE_OK ? MLE_OK : mle_context(err, "manifest '%s'", reader->path);
}

mle_status mle_manifest_new(mle_manifest_columns columns, mle_manifest_reader **out,
                            mle_error *err) {
  *out = mle_calloc(1, sizeof **out);
  if (*out == NULL) return mle_nomem(err, "reading a manifest");
  (*out)->columns = columns;
  (*out)->bytes = MLE_BUFFER(FILE_MAX);
  return MLE_OK;
}

mle_status mle_manifest_open_bytes(mle_bytes bytes, const mle_manifest_file *manifest,
                                   mle_manifest_columns columns, mle_manifest_reader **out,
                                   mle_error *err) {
  MLE_TRY(mle_manifest_new(columns, out, err));
  mle_status status = mle_manifest_reopen_bytes(*out, bytes, manifest, 0, SIZE_MAX, err);
  if (status == MLE_OK) return MLE_OK;
  mle_manifest_close(*out);
  *out = NULL;
  return status;
}

mle_status mle_manifest_open(const mle_manifest_file *manifest, mle_manifest_columns columns,
                             mle_manifest_reader **out, mle_error *err) {
  MLE_TRY(mle_manifest_new(columns, out, err));
  mle_status status = mle_manifest_reopen(*out, manifest, err);
  if (status == MLE_OK) return MLE_OK;
  mle_manifest_close(*out);
  *out = NULL;
  return status;
}

void mle_manifest_only(mle_manifest_reader *reader, const int32_t *ids, size_t count) {
  reader->only = ids;
  reader->num_only = count;
}

mle_status mle_manifest_next(mle_manifest_reader *reader, mle_manifest_entry *out, bool *found,
                             mle_error *err) {
  *out = mle_manifest_entry_none;
  mle_status status = mle_avro_next(reader->avro, out, found, err);
  if (status == MLE_OK && *found) status = check_entry(out, err);
  if (status == MLE_OK && *found) status = inherit(&reader->manifest, out, err);
  if (status == MLE_OK && *found) status = inherit_row_id(reader, out, err);
  return status == MLE_OK ? MLE_OK : mle_context(err, "manifest '%s'", reader->path);
}

int32_t mle_manifest_spec(const mle_manifest_reader *reader) { return reader->manifest.spec_id; }

void mle_manifest_close(mle_manifest_reader *reader) {
  if (reader == NULL) return;
  mle_avro_close(reader->avro);
  mle_buffer_release(&reader->bytes);
  mle_free(reader->path);
  mle_free(reader);
}

/* ====== Writing ====== */

#define NUMBER_TEXT 24

static const char *number_text(int64_t value, char text[NUMBER_TEXT]) {
  if (value == MLE_NULL_LONG) return "null"; /* as the reference implementation writes it */
  snprintf(text, NUMBER_TEXT, "%lld", (long long)value);
  return text;
}

static mle_status put_entries(mle_avro_writer *writer, int64_t snapshot_id,
                              const mle_data_file *files, size_t count, mle_error *err) {
  mle_manifest_entry entry =
      mle_manifest_entry_none; /* null numbers: inherited, so a retry may keep the file */
  entry.status = MLE_ENTRY_ADDED;
  entry.snapshot_id = snapshot_id;
  for (size_t i = 0; i < count; i++) {
    entry.file = files[i];
    MLE_TRY(mle_avro_put(writer, &entry, err));
  }
  return mle_avro_end(writer, err);
}

static void describe(mle_manifest_file *out, int64_t snapshot_id, int spec_id, size_t length,
                     const mle_data_file *files, size_t count) {
  *out = mle_manifest_file_none;
  out->length = (int64_t)length;
  out->spec_id = spec_id;
  out->added_snapshot_id = snapshot_id;
  out->added_files = (int32_t)count;
  out->existing_files = out->deleted_files = 0;
  out->added_rows = out->existing_rows = out->deleted_rows = 0;
  for (size_t i = 0; i < count; i++) out->added_rows += files[i].record_count;
}

mle_status mle_manifest_write(const char *uri, const mle_manifest_header *header,
                              int64_t snapshot_id, const mle_data_file *files, size_t count,
                              mle_manifest_file *out, mle_error *err) {
  char spec_id[NUMBER_TEXT];
  const mle_avro_pair meta[] = {
      {"schema", header->schema},
      {"partition-spec", header->spec},
      {"partition-spec-id", number_text(header->spec_id, spec_id)},
      {"format-version", "2"},
      {"content", "data"},
      {NULL, NULL},
  };
  mle_avro_writer writer;
  mle_status status = mle_avro_begin(&writer, &mle_record_entry_v2, header->shape, meta, err);
  if (status == MLE_OK) status = put_entries(&writer, snapshot_id, files, count, err);
  if (status == MLE_OK) status = mle_store_create(uri, writer.out.data, writer.out.len, err);
  describe(out, snapshot_id, header->spec_id, writer.out.len, files, count);
  out->partitions = header->summaries;
  if (out->partitions.items == NULL) out->partitions.items = ""; /* no field, not null: Spark */
  out->path = uri;
  mle_avro_release(&writer);
  return status == MLE_OK ? MLE_OK : mle_context(err, "writing a manifest");
}

mle_status mle_manifest_list_write(const char *uri, int64_t snapshot_id, int64_t parent_id,
                                   int64_t sequence_number, const mle_manifest_file *files,
                                   size_t count, mle_error *err) {
  char id[NUMBER_TEXT], parent[NUMBER_TEXT], sequence[NUMBER_TEXT];
  const mle_avro_pair meta[] = {
      {"snapshot-id", number_text(snapshot_id, id)},
      {"parent-snapshot-id", number_text(parent_id, parent)},
      {"sequence-number", number_text(sequence_number, sequence)},
      {"format-version", "2"},
      {NULL, NULL},
  };
  mle_avro_writer writer;
  mle_status status = mle_avro_begin(&writer, &mle_record_manifest_file_v2, NULL, meta, err);
  for (size_t i = 0; i < count && status == MLE_OK; i++) {
    mle_manifest_file row = files[i];
    bool ours = row.added_snapshot_id == snapshot_id;
    if (ours) row.sequence_number = row.min_sequence_number = sequence_number;
    status = mle_avro_put(&writer, &row, err);
  }
  if (status == MLE_OK) status = mle_avro_end(&writer, err);
  if (status == MLE_OK) status = mle_store_create(uri, writer.out.data, writer.out.len, err);
  mle_avro_release(&writer);
  return status == MLE_OK ? MLE_OK : mle_context(err, "writing a manifest list");
}
