#include "engine/iceberg/append.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/base/cancel.h"
#include "engine/base/clock.h"
#include "engine/base/hash.h"
#include "engine/iceberg/partition.h"
#include "engine/iceberg/partition_spec.h"
#include "engine/store/store.h"

/* Iceberg's default is 4 retries; ten lose nothing and let more writers share a table. */
#define RETRIES 10
#define MIN_WAIT_MS 100
#define MAX_WAIT_MS 60000
#define TOTAL_TIMEOUT_MS 1800000

/* ====== What can be written to ====== */

mle_status mle_append_check(const mle_table *table, mle_error *err) {
  const mle_metadata *m = table->metadata;
  if (table->read_only)
    return mle_fail(err, MLE_EREFUSED,
                    "cannot append to %s.%s: it was opened from %s, and only the catalog that the "
                    "table belongs to can change it",
                    table->space, table->name, table->metadata_location);
  if (m->format_version != 2)
    return mle_fail(err, MLE_EUNSUPPORTED,
                    "cannot append to %s.%s: it has format version %d, this version writes 2",
                    table->space, table->name, m->format_version);
  if (m->num_rewrites > 0)
    return mle_fail(err, MLE_EREFUSED,
                    "cannot append to %s.%s: it is read with location-rewrite, and its new files "
                    "would be found with it only",
                    table->space, table->name);
  return MLE_OK;
}

/* ====== Summary ====== */

#define SUMMARY_MAX 12

typedef struct totals {
  int64_t files, rows, bytes;
} totals;

static totals count_added(const mle_append *append) {
  totals added = {.files = (int64_t)append->num_files};
  for (size_t i = 0; i < append->num_files; i++) {
    added.rows += append->files[i].record_count;
    added.bytes += append->files[i].file_size;
  }
  return added;
}

typedef struct summary {
  mle_arena *arena;
  mle_property *pairs;
  size_t count;
  bool failed;
} summary;

static void put(summary *s, const char *key, int64_t value) {
  mle_property *pair = &s->pairs[s->count++];
  pair->key = key;
  pair->value = mle_arena_format(s->arena, "%" PRId64, value);
  s->failed |= pair->value == NULL;
}

/* A total goes on from the parent's; one the parent does not know stays unknown. */
static void put_total(summary *s, const mle_snapshot *parent, const char *key, int64_t added) {
  const char *before = parent == NULL ? "0" : mle_snapshot_summary(parent, key);
  int64_t total;
  if (before == NULL || __builtin_add_overflow(strtoll(before, NULL, 10), added, &total)) return;
  put(s, key, total);
}

/* Spec, Appendix F "Snapshot summary": the optional counts, as the reference writes them. */
static mle_status summarize(const mle_append *append, const mle_snapshot *parent, mle_arena *arena,
                            mle_snapshot *out, mle_error *err) {
  totals added = count_added(append);
  summary s = {.arena = arena};
  s.pairs = mle_arena_array(arena, SUMMARY_MAX + append->num_summary, sizeof *s.pairs);
  if (s.pairs == NULL) return mle_nomem(err, "committing");
  for (size_t i = 0; i < append->num_summary; i++) s.pairs[s.count++] = append->summary[i];
  put(&s, "added-data-files", added.files);
  put(&s, "added-records", added.rows);
  put(&s, "added-files-size", added.bytes);
  put(&s, "changed-partition-count", added.files); /* each has one file */
  put_total(&s, parent, "total-records", added.rows);
  put_total(&s, parent, "total-files-size", added.bytes);
  put_total(&s, parent, "total-data-files", added.files);
  put_total(&s, parent, "total-delete-files", 0);
  put_total(&s, parent, "total-position-deletes", 0);
  put_total(&s, parent, "total-equality-deletes", 0);
  out->summary = s.pairs;
  out->num_summary = s.count;
  return s.failed ? mle_nomem(err, "committing") : MLE_OK;
}

/* ====== One attempt ====== */

typedef struct attempt {
  mle_catalog *catalog;
  const mle_append *append;
  mle_manifest_file manifest; /* ours; written once and kept through all attempts */
  int64_t snapshot_id;
  bool repeated; /* snapshot_id is that of an earlier append with our key */
  char uuid[MLE_UUID_TEXT];
  mle_arena kept; /* what lives through all attempts */
} attempt;

/* Manifests of version 1 may have no counts, which version 2 requires. */
static mle_status fill_counts(mle_manifest_file *file, mle_error *err) {
  mle_manifest_reader *reader;
  mle_manifest_entry entry;
  bool found = true;
  mle_status status;
  bool known = file->added_files != MLE_NULL_INT && file->existing_files != MLE_NULL_INT &&
               file->deleted_files != MLE_NULL_INT && file->added_rows != MLE_NULL_LONG &&
               file->existing_rows != MLE_NULL_LONG && file->deleted_rows != MLE_NULL_LONG;
  if (known) return MLE_OK;
  MLE_TRY(mle_manifest_open(file, MLE_MANIFEST_PLAN, &reader, err));
  file->added_files = file->existing_files = file->deleted_files = 0;
  file->added_rows = file->existing_rows = file->deleted_rows = 0;
  while ((status = mle_manifest_next(reader, &entry, &found, err)) == MLE_OK && found) {
    bool added = entry.status == MLE_ENTRY_ADDED, deleted = entry.status == MLE_ENTRY_DELETED;
    *(added ? &file->added_files : deleted ? &file->deleted_files : &file->existing_files) += 1;
    *(added     ? &file->added_rows
      : deleted ? &file->deleted_rows
                : &file->existing_rows) += entry.file.record_count;
  }
  mle_manifest_close(reader);
  return status;
}

/* Our manifest first, then the parent's: the newest rows are what readers ask for. */
static mle_status write_list(attempt *a, const mle_metadata *m, const mle_snapshot *snapshot,
                             const mle_snapshot *parent, mle_arena *arena, mle_error *err) {
  mle_manifest_list before = {NULL, 0};
  if (parent != NULL) MLE_TRY(mle_snapshot_manifests(m, parent, arena, &before, err));
  mle_manifest_file *all = mle_arena_array(arena, before.count + 1, sizeof *all);
  if (all == NULL) return mle_nomem(err, "committing");
  all[0] = a->manifest;
  if (before.count > 0) memcpy(all + 1, before.files, before.count * sizeof *all);
  for (size_t i = 1; i <= before.count; i++) MLE_TRY(fill_counts(&all[i], err));
  return mle_manifest_list_write(snapshot->manifest_list, snapshot->id, snapshot->parent_id,
                                 snapshot->sequence_number, all, before.count + 1, err);
}

/* Each snapshot is later than the last, whatever this machine's clock says: a time names one. */
static int64_t next_time(const mle_metadata *m) {
  int64_t now = mle_now_ms();
  return now > m->last_updated_ms ? now : m->last_updated_ms + 1;
}

static mle_status try_once(attempt *a, const mle_table *base, int number, mle_table **out,
                           mle_error *err) {
  const mle_metadata *m = base->metadata;
  const mle_snapshot *parent = mle_metadata_current(m);
  mle_arena arena = MLE_ARENA;
  mle_snapshot snapshot = {
      .id = a->snapshot_id,
      .parent_id = parent == NULL ? MLE_NO_SNAPSHOT : parent->id,
      .sequence_number = m->last_sequence_number + 1,
      .timestamp_ms = next_time(m),
      .operation = "append",
      .schema_id = m->schema->id,
      .manifest_list = mle_arena_format(&arena, "%s/metadata/snap-%" PRId64 "-%d-%s.avro",
                                        m->location, a->snapshot_id, number, a->uuid),
  };
  mle_status status;
  if (snapshot.manifest_list == NULL) MLE_GO(mle_nomem(err, "committing"));
  MLE_GO(summarize(a->append, parent, &arena, &snapshot, err));
  MLE_GO(write_list(a, m, &snapshot, parent, &arena, err));
  status = mle_catalog_commit(a->catalog, base, &snapshot, out, err);
done:
  if (status != MLE_OK && status != MLE_EUNKNOWN && snapshot.manifest_list != NULL)
    mle_store_remove(snapshot.manifest_list, NULL);
  mle_arena_release(&arena);
  return status;
}

/* ====== Attempts ====== */

/* From half to all of a wait that doubles: two writers do not meet again in step. */
static void wait_before(const mle_metadata *m, int number) {
  int64_t min = mle_metadata_number(m, "commit.retry.min-wait-ms", MIN_WAIT_MS);
  int64_t max = mle_metadata_number(m, "commit.retry.max-wait-ms", MAX_WAIT_MS);
  int64_t wait = min < 1 ? 1 : min;
  for (int i = 1; i < number && wait < max; i++) wait *= 2;
  if (wait > max) wait = max < 1 ? 1 : max;
  mle_sleep_ms(wait / 2 + mle_random_id() % (wait / 2 + 1));
}

/* The table as it is now; refuses one that only has the same name. */
static mle_status reload(mle_catalog *catalog, const mle_table *table, mle_table **out,
                         mle_error *err) {
  const mle_table_name name = {table->space, table->name};
  MLE_TRY(mle_catalog_load(catalog, &name, out, err));
  const char *before = table->metadata->uuid, *now = (*out)->metadata->uuid;
  bool same = before == NULL || (now != NULL && strcmp(before, now) == 0);
  mle_status status =
      same ? mle_append_check(*out, err)
           : mle_fail(err, MLE_EREFUSED, "table %s.%s was dropped and made anew meanwhile",
                      table->space, table->name);
  if (status == MLE_OK) return MLE_OK;
  mle_table_free(*out);
  *out = NULL;
  return status;
}

static const char *key_of(const mle_append *append) {
  for (size_t i = 0; i < append->num_summary; i++)
    if (strcmp(append->summary[i].key, MLE_COMMIT_KEY) == 0) return append->summary[i].value;
  return NULL;
}

/* Whether the table has it already: ours, of an attempt that was taken for lost, or one with our key. */
static bool has_it(attempt *a, const mle_metadata *m) {
  const char *key = key_of(a->append), *other;
  if (mle_metadata_snapshot(m, a->snapshot_id) != NULL) return true;
  for (size_t i = 0; key != NULL && i < m->num_snapshots; i++) {
    other = mle_snapshot_summary(&m->snapshots[i], MLE_COMMIT_KEY);
    if (other == NULL || strcmp(other, key) != 0) continue;
    a->snapshot_id = m->snapshots[i].id;
    a->repeated = true;
    return true;
  }
  return false;
}

static mle_status try_until(attempt *a, const mle_table *table, mle_table **out, mle_error *err) {
  int64_t retries = mle_metadata_number(table->metadata, "commit.retry.num-retries", RETRIES);
  int64_t limit =
      mle_metadata_number(table->metadata, "commit.retry.total-timeout-ms", TOTAL_TIMEOUT_MS);
  int64_t deadline = mle_now_ms() + limit;
  mle_table *newest = NULL;
  mle_status status = try_once(a, table, 0, out, err);
  for (int number = 1; status == MLE_ECONFLICT && number <= retries && mle_now_ms() < deadline;
       number++) {
    wait_before(table->metadata, number);
    if (mle_cancelled()) {
      status = mle_cancel_fail(err, "appending");
      break;
    }
    mle_table_free(newest);
    newest = NULL;
    status = reload(a->catalog, table, &newest, err);
    if (status == MLE_OK && has_it(a, newest->metadata)) {
      *out = newest;
      return MLE_OK;
    }
    if (status == MLE_OK) status = try_once(a, newest, number, out, err);
  }
  mle_table_free(newest);
  return status;
}

static mle_status write_manifest(attempt *a, const mle_table *table, mle_error *err) {
  const mle_metadata *m = table->metadata;
  mle_buffer schema = MLE_BUFFER((size_t)64 << 20), spec = MLE_BUFFER((size_t)1 << 20);
  const mle_partition_column *columns;
  const size_t count = m->spec->num_fields;
  mle_avro_shape shape;
  mle_list summaries;
  mle_status status = MLE_OK;
  const char *uri = mle_arena_format(&a->kept, "%s/metadata/%s-m0.avro", m->location, a->uuid);
  if (uri == NULL) MLE_GO(mle_nomem(err, "committing"));
  MLE_GO(mle_schema_print(m->schema, &schema, err));
  MLE_GO(mle_partition_spec_print(m->spec, &spec, err));
  MLE_GO(mle_partition_columns(m, &a->kept, &columns, err));
  MLE_GO(mle_partition_shape(columns, count, &a->kept, &shape, err));
  MLE_GO(mle_partition_summaries(columns, count, a->append->files, a->append->num_files, &a->kept,
                                 &summaries, err));
  const mle_manifest_header header = {schema.data, spec.data, m->spec->id, &shape, summaries};
  MLE_GO(mle_manifest_write(uri, &header, a->snapshot_id, a->append->files, a->append->num_files,
                            &a->manifest, err));
done:
  mle_buffer_release(&schema);
  mle_buffer_release(&spec);
  return status;
}

static int64_t new_snapshot_id(const mle_metadata *m) {
  int64_t id = mle_random_id();
  while (mle_metadata_snapshot(m, id) != NULL) id = mle_random_id();
  return id;
}

mle_status mle_append_commit(mle_catalog *catalog, const mle_table *table, const mle_append *append,
                             mle_table **out, mle_appended *out_appended, mle_error *err) {
  *out = NULL;
  MLE_TRY(mle_append_check(table, err));
  attempt a = {.catalog = catalog, .append = append, .kept = MLE_ARENA};
  a.snapshot_id = new_snapshot_id(table->metadata);
  mle_uuid(a.uuid);
  mle_status status = write_manifest(&a, table, err);
  if (status == MLE_OK) {
    status = try_until(&a, table, out, err);
    bool lost = status != MLE_OK && status != MLE_EUNKNOWN;
    if (lost || a.repeated) mle_store_remove(a.manifest.path, NULL);
  }
  *out_appended = (mle_appended){a.snapshot_id, a.repeated};
  mle_arena_release(&a.kept);
  return status == MLE_OK ? MLE_OK
                          : mle_context(err, "appending to %s.%s", table->space, table->name);
}
