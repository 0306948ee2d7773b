#include "engine/iceberg/plan_part.h"

#include <pthread.h>
#include <string.h>
#include <strings.h>

#include "engine/base/alloc.h"
#include "engine/base/cancel.h"
#include "engine/iceberg/prune.h"
#include "engine/iceberg/value.h"
#include "engine/store/store.h"

#define FILE_MAX ((size_t)1 << 30)
#define POLL_EVERY 1024 /* entries between two looks at the flag to stop */

enum { PATH_FIELD = 2147483546 }; /* spec, "Reserved Field IDs" */

/* What adding to a part needs. */
typedef struct adding {
  const mle_plan_request *request;
  mle_plan_part *part;
  mle_arena *arena;
  int32_t spec_id;
} adding;

static mle_status no_memory(mle_error *err) { return mle_nomem(err, "planning a scan"); }

/* Room for one element more: full at 0, 16, 32, 64, ... NULL leaves the old array as it is. */
static void *longer(void *items, size_t count, size_t size) {
  bool full = count == 0 || (count >= 16 && (count & (count - 1)) == 0);
  return full ? mle_realloc_array(items, count == 0 ? 16 : 2 * count, size) : items;
}

/* ====== Data files ====== */

static mle_status check_format(const mle_data_file *file, const char *what, mle_error *err) {
  if (file->format != NULL && strcasecmp(file->format, "parquet") == 0) return MLE_OK;
  return mle_fail(err, MLE_EUNSUPPORTED, "the %s file '%s' is %.20s; this version reads Parquet",
                  what, file->path, file->format == NULL ? "of no format" : file->format);
}

static mle_status check_file(const mle_data_file *file, mle_error *err) {
  if (file->content != MLE_FILE_DATA)
    return mle_fail(err, MLE_EFORMAT, "the delete file '%s' stands in a data manifest", file->path);
  return check_format(file, "data", err);
}

static mle_status copy_partition(const adding *a, const mle_list *from, mle_list *out,
                                 mle_error *err) {
  const mle_partition_spec *spec = mle_metadata_spec(a->request->metadata, a->spec_id);
  MLE_TRY(mle_tuple_copy(from, a->arena, out, err));
  return mle_tuple_identify(out, spec, a->arena, err);
}

static mle_status add_file(const adding *a, const mle_manifest_entry *entry, mle_error *err) {
  const mle_data_file *file = &entry->file;
  mle_plan_part *part = a->part;
  MLE_TRY(check_file(file, err));
  mle_plan_file *files = longer(part->files, part->num_files, sizeof *files);
  if (files == NULL) return no_memory(err);
  part->files = files;
  mle_plan_file *added = &files[part->num_files];
  *added = (mle_plan_file){.record_count = file->record_count,
                           .file_size = file->file_size,
                           .snapshot_id = entry->snapshot_id,
                           .sequence_number = entry->sequence_number,
                           .spec_id = a->spec_id};
  MLE_TRY(mle_arena_copy(a->arena, file->path, &added->path, err));
  MLE_TRY(mle_metadata_uri(a->request->metadata, added->path, a->arena, &added->uri, err));
  MLE_TRY(copy_partition(a, &file->partition, &added->partition, err));
  part->num_files++;
  return MLE_OK;
}

/* ====== What a condition leaves out ====== */

static mle_status skip_file(const adding *a, const mle_data_file *file, bool *out, mle_error *err) {
  const mle_condition *condition = a->request->condition;
  const mle_partition_spec *spec = mle_metadata_spec(a->request->metadata, a->spec_id);
  mle_plan_part *part = a->part;
  mle_skipped_by by = MLE_SKIPPED_PARTITION;
  const mle_condition *why = mle_prune_partition(condition, spec, &file->partition);
  if (why == NULL) {
    by = MLE_SKIPPED_BOUNDS;
    why = mle_prune_file(condition, file);
  }
  *out = why != NULL;
  if (!*out) return MLE_OK;
  mle_plan_skipped *skipped = longer(part->skipped, part->num_skipped, sizeof *skipped);
  if (skipped == NULL) return no_memory(err);
  part->skipped = skipped;
  skipped[part->num_skipped] = (mle_plan_skipped){by, NULL, why};
  return mle_arena_copy(a->arena, file->path, &skipped[part->num_skipped++].path, err);
}

/* Whether an entry belongs to the plan. */
static bool is_selected(const mle_plan_source *source, const mle_manifest_entry *entry) {
  if (source->snapshot_id == MLE_NO_SNAPSHOT) return entry->status != MLE_ENTRY_DELETED;
  return entry->status == MLE_ENTRY_ADDED && entry->snapshot_id == source->snapshot_id;
}

static mle_status add_data(const adding *a, const mle_manifest_entry *entry, mle_error *err) {
  bool skipped = false;
  if (a->request->condition != NULL) MLE_TRY(skip_file(a, &entry->file, &skipped, err));
  return skipped ? MLE_OK : add_file(a, entry, err);
}

/* ====== Delete files ====== */

static mle_status copy_bytes(mle_arena *arena, mle_bytes from, mle_bytes *out, mle_error *err) {
  *out = from;
  if (from.data == NULL) return MLE_OK;
  out->data = mle_arena_text(arena, from.data, from.len);
  return out->data == NULL ? no_memory(err) : MLE_OK;
}

static mle_bytes find_bound(const mle_list *bounds, int id) {
  const mle_key_bytes *items = bounds->items;
  for (size_t i = 0; i < bounds->count; i++)
    if (items[i].key == id) return items[i].value;
  return (mle_bytes){NULL, 0};
}

/* Which data files a position delete is about. Bounds that are equal name one, unless they were cut. */
static mle_status copy_about(mle_arena *arena, const mle_data_file *file, mle_delete_file *to,
                             mle_error *err) {
  MLE_TRY(mle_arena_copy(arena, file->referenced_data_file, &to->referenced, err));
  MLE_TRY(copy_bytes(arena, find_bound(&file->lower_bounds, PATH_FIELD), &to->first, err));
  MLE_TRY(copy_bytes(arena, find_bound(&file->upper_bounds, PATH_FIELD), &to->last, err));
  bool one = to->first.data != NULL && to->last.data != NULL && to->first.len == to->last.len &&
             to->first.len > 4 * MLE_BOUND_LENGTH &&
             memcmp(to->first.data, to->last.data, to->first.len) == 0;
  if (one && to->referenced == NULL) to->referenced = to->first.data;
  return MLE_OK;
}

static mle_status check_delete(const mle_data_file *file, bool is_vector, mle_error *err) {
  if (file->content == MLE_FILE_DATA)
    return mle_fail(err, MLE_EFORMAT, "the data file '%s' stands in a delete manifest", file->path);
  if (file->content == MLE_FILE_EQUALITY_DELETES && file->equality_ids.count == 0)
    return mle_fail(err, MLE_EFORMAT, "the equality delete file '%s' names no columns", file->path);
  if (!is_vector) return check_format(file, "delete", err);
  if (file->referenced_data_file != NULL && file->content_offset != MLE_NULL_LONG &&
      file->content_size != MLE_NULL_LONG)
    return MLE_OK;
  return mle_fail(err, MLE_EFORMAT, "the deletion vector in '%s' names no data file, offset or size",
                  file->path);
}

static mle_status copy_ids(mle_arena *arena, const mle_list *from, mle_list *out, mle_error *err) {
  int32_t *ids = mle_arena_array(arena, from->count, sizeof *ids);
  if (ids == NULL) return no_memory(err);
  if (from->count > 0) memcpy(ids, from->items, from->count * sizeof *ids);
  *out = (mle_list){ids, from->count};
  return MLE_OK;
}

static mle_status add_delete(const adding *a, const mle_manifest_entry *entry, mle_error *err) {
  const mle_data_file *file = &entry->file;
  mle_plan_part *part = a->part;
  bool is_vector = file->content == MLE_FILE_POSITION_DELETES && file->format != NULL &&
                   strcasecmp(file->format, "puffin") == 0;
  MLE_TRY(check_delete(file, is_vector, err));
  mle_delete_file *items = longer(part->deletes, part->num_deletes, sizeof *items);
  if (items == NULL) return no_memory(err);
  part->deletes = items;
  mle_delete_file *to = &items[part->num_deletes];
  *to = (mle_delete_file){.content = file->content,
                          .is_vector = is_vector,
                          .record_count = file->record_count,
                          .file_size = file->file_size,
                          .sequence_number = entry->sequence_number,
                          .snapshot_id = entry->snapshot_id,
                          .offset = file->content_offset,
                          .size = file->content_size,
                          .spec_id = a->spec_id};
  MLE_TRY(mle_arena_copy(a->arena, file->path, &to->path, err));
  MLE_TRY(mle_metadata_uri(a->request->metadata, to->path, a->arena, &to->uri, err));
  MLE_TRY(copy_partition(a, &file->partition, &to->partition, err));
  MLE_TRY(copy_ids(a->arena, &file->equality_ids, &to->equality_ids, err));
  if (file->content == MLE_FILE_POSITION_DELETES) MLE_TRY(copy_about(a->arena, file, to, err));
  part->num_deletes++;
  return MLE_OK;
}

/* ====== A file that several threads read ====== */

struct mle_plan_shared {
  pthread_mutex_t lock;
  const char *uri;
  unsigned users;
  bool read;
  mle_status status;
  mle_error error;
  mle_buffer bytes;
};

mle_status mle_plan_shared_new(const char *uri, unsigned users, struct mle_plan_shared **out,
                               mle_error *err) {
  struct mle_plan_shared *shared = *out = mle_calloc(1, sizeof *shared);
  if (shared == NULL) return no_memory(err);
  pthread_mutex_init(&shared->lock, NULL);
  shared->uri = uri;
  shared->users = users;
  shared->bytes = MLE_BUFFER(FILE_MAX);
  return MLE_OK;
}

void mle_plan_shared_free(struct mle_plan_shared *shared) {
  if (shared == NULL) return;
  pthread_mutex_destroy(&shared->lock);
  mle_buffer_release(&shared->bytes);
  mle_free(shared);
}

/* The bytes stay until let_go. */
static mle_status take_shared(struct mle_plan_shared *shared, mle_bytes *out, mle_error *err) {
  pthread_mutex_lock(&shared->lock);
  if (!shared->read) {
    shared->read = true;
    shared->status = mle_store_read(shared->uri, &shared->bytes, &shared->error);
    if (shared->status != MLE_OK) mle_context(&shared->error, "manifest");
  }
  pthread_mutex_unlock(&shared->lock);
  if (shared->status != MLE_OK && err != NULL) *err = shared->error;
  *out = (mle_bytes){shared->bytes.data, shared->bytes.len};
  return shared->status;
}

static void let_go(struct mle_plan_shared *shared) {
  pthread_mutex_lock(&shared->lock);
  if (--shared->users == 0) mle_buffer_release(&shared->bytes);
  pthread_mutex_unlock(&shared->lock);
}

/* ====== Entries ====== */

static mle_status add_entries(adding *a, const mle_plan_source *source, mle_manifest_reader *reader,
                              mle_error *err) {
  bool found, deletes = source->manifest->content == MLE_MANIFEST_DELETES;
  mle_manifest_entry entry;
  a->spec_id = mle_manifest_spec(reader);
  for (size_t i = 1;; i++) {
    if (i % POLL_EVERY == 0 && mle_cancelled()) return mle_cancel_fail(err, "planning a scan");
    MLE_TRY(mle_manifest_next(reader, &entry, &found, err));
    if (!found) return MLE_OK;
    if (!is_selected(source, &entry)) continue;
    MLE_TRY(deletes ? add_delete(a, &entry, err) : add_data(a, &entry, err));
  }
}

/* The worker's reader for such manifests. */
static mle_status find_reader(const mle_plan_request *request, const mle_plan_source *source,
                              mle_plan_worker *worker, mle_manifest_reader **out, mle_error *err) {
  static const int32_t paths[] = {PATH_FIELD};
  bool deletes = source->manifest->content == MLE_MANIFEST_DELETES, prunes = request->condition != NULL;
  mle_manifest_reader **kept = deletes ? &worker->deletes : &worker->data;
  if (*kept == NULL) {
    mle_manifest_columns columns = deletes  ? MLE_MANIFEST_ALL
                                   : prunes ? MLE_MANIFEST_PRUNE
                                            : MLE_MANIFEST_PLAN;
    MLE_TRY(mle_manifest_new(columns, kept, err));
    mle_manifest_only(*kept, deletes ? paths : request->columns, deletes ? 1 : request->num_columns);
  }
  *out = *kept;
  return MLE_OK;
}

mle_status mle_plan_part_read(const mle_plan_request *request, const mle_plan_source *source,
                              mle_plan_worker *worker, mle_plan_part *part, mle_error *err) {
  adding a = {.request = request, .part = part, .arena = &worker->arena};
  mle_manifest_reader *reader;
  mle_bytes bytes;
  if (mle_cancelled()) return mle_cancel_fail(err, "planning a scan");
  MLE_TRY(find_reader(request, source, worker, &reader, err));
  if (source->shared == NULL) {
    MLE_TRY(mle_manifest_reopen(reader, source->manifest, err));
    return add_entries(&a, source, reader, err);
  }
  mle_status status = take_shared(source->shared, &bytes, err);
  if (status == MLE_OK)
    status = mle_manifest_reopen_bytes(reader, bytes, source->manifest, source->from, source->to,
                                       err);
  if (status == MLE_OK) status = add_entries(&a, source, reader, err);
  let_go(source->shared);
  return status;
}

void mle_plan_part_release(mle_plan_part *part) {
  mle_free(part->files);
  mle_free(part->deletes);
  mle_free(part->skipped);
  *part = (mle_plan_part){0};
}

void mle_plan_worker_close(mle_plan_worker *worker) {
  mle_manifest_close(worker->data);
  mle_manifest_close(worker->deletes);
  worker->data = worker->deletes = NULL;
}
