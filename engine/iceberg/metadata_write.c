/* metadata_write.c -- the next version of a table's metadata, as JSON. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/base/clock.h"
#include "engine/base/file.h"
#include "engine/base/hash.h"
#include "engine/iceberg/metadata.h"
#include "engine/iceberg/partition_spec.h"

#define METADATA_LOG_MAX 100  /* the default of write.metadata.previous-versions-max */

static mle_status print(mle_json *doc, mle_buffer *out, mle_error *err) {
  char *text = mle_json_print(doc, false);
  mle_status status =
      text == NULL ? mle_nomem(err, "writing table metadata") : mle_buffer_puts(out, text, err);
  mle_free(text);
  return status;
}

static void add_pairs(mle_json *to, const mle_property *pairs, size_t count) {
  for (size_t i = 0; i < count; i++) mle_json_add_text(to, pairs[i].key, pairs[i].value);
}

/* ====== A new table ====== */

mle_status mle_metadata_create(const mle_new_table *table, mle_buffer *out, mle_error *err) {
  char uuid[MLE_UUID_TEXT];
  mle_json *doc = mle_json_new_object();
  mle_json_add_int(doc, "format-version", 2);
  mle_json_add_text(doc, "table-uuid", mle_uuid(uuid));
  mle_json_add_text(doc, "location", table->location);
  mle_json_add_int(doc, "last-sequence-number", 0);
  mle_json_add_int(doc, "last-updated-ms", mle_now_ms());
  mle_json_add_int(doc, "last-column-id", table->last_column_id);
  mle_json_add_int(doc, "current-schema-id", table->schema->id);
  mle_schema_add_json(mle_json_add_array(doc, "schemas"), NULL, table->schema);
  mle_json_add_int(doc, "default-spec-id", 0);
  mle_partition_spec_add_json(mle_json_add_array(doc, "partition-specs"), NULL, table->spec);
  mle_json_add_int(doc, "last-partition-id",
                   MLE_FIRST_PARTITION_ID - 1 + (int64_t)table->spec->num_fields);
  mle_json_add_int(doc, "default-sort-order-id", 0);
  mle_json *order = mle_json_add_object(mle_json_add_array(doc, "sort-orders"), NULL);
  mle_json_add_int(order, "order-id", 0);
  mle_json_add_array(order, "fields");
  add_pairs(mle_json_add_object(doc, "properties"), table->properties, table->num_properties);
  mle_json_add_int(doc, "current-snapshot-id", -1);
  mle_json_add_object(doc, "refs");
  mle_json_add_array(doc, "snapshots");
  mle_json_add_array(doc, "statistics");
  mle_json_add_array(doc, "partition-statistics");
  mle_json_add_array(doc, "snapshot-log");
  mle_json_add_array(doc, "metadata-log");
  mle_status status = print(doc, out, err);
  mle_json_free(doc);
  return status;
}

/* ====== A snapshot more ====== */

typedef struct change {
  const mle_metadata *base;
  const char *base_location;
  const mle_snapshot *snapshot;
} change;

void mle_metadata_add_snapshot(mle_json *to, const char *key, const mle_snapshot *snapshot) {
  mle_json *object = mle_json_add_object(to, key);
  mle_json_add_int(object, "sequence-number", snapshot->sequence_number);
  mle_json_add_int(object, "snapshot-id", snapshot->id);
  if (snapshot->parent_id != MLE_NO_SNAPSHOT)
    mle_json_add_int(object, "parent-snapshot-id", snapshot->parent_id);
  mle_json_add_int(object, "timestamp-ms", snapshot->timestamp_ms);
  mle_json *summary = mle_json_add_object(object, "summary");
  mle_json_add_text(summary, "operation", snapshot->operation);
  add_pairs(summary, snapshot->summary, snapshot->num_summary);
  mle_json_add_text(object, "manifest-list", snapshot->manifest_list);
  mle_json_add_int(object, "schema-id", snapshot->schema_id);
}

/* Copies a list of `base`, without its first `skip` elements; an absent one is empty. */
static mle_json *add_list(mle_json *doc, const change *c, const char *key, int skip) {
  mle_json *list = mle_json_add_array(doc, key);
  mle_json_at root = mle_json_root(c->base->document), old, item;
  if (!mle_json_find(&root, key, &old)) return list;
  for (bool more = mle_json_first(&old, &item); more; more = mle_json_next(&item))
    if (item.index >= skip) mle_json_add_copy(list, NULL, item.node);
  return list;
}

static int count_of(const change *c, const char *key) {
  mle_json_at root = mle_json_root(c->base->document), list;
  return mle_json_find(&root, key, &list) ? mle_json_count(&list) : 0;
}

static void write_last_sequence_number(mle_json *doc, const change *c) {
  mle_json_add_int(doc, "last-sequence-number", c->snapshot->sequence_number);
}

static void write_last_updated(mle_json *doc, const change *c) {
  mle_json_add_int(doc, "last-updated-ms", c->snapshot->timestamp_ms);
}

static void write_current_snapshot(mle_json *doc, const change *c) {
  mle_json_add_int(doc, "current-snapshot-id", c->snapshot->id);
}

static void write_snapshots(mle_json *doc, const change *c) {
  mle_metadata_add_snapshot(add_list(doc, c, "snapshots", 0), NULL, c->snapshot);
}

static void write_snapshot_log(mle_json *doc, const change *c) {
  mle_json *entry = mle_json_add_object(add_list(doc, c, "snapshot-log", 0), NULL);
  mle_json_add_int(entry, "snapshot-id", c->snapshot->id);
  mle_json_add_int(entry, "timestamp-ms", c->snapshot->timestamp_ms);
}

/* Keeps the newest versions; the files of older ones stay, unless write.metadata.
 * delete-after-commit.enabled is on: mle_catalog_remove_old. */
static void write_metadata_log(mle_json *doc, const change *c) {
  int64_t max =
      mle_metadata_number(c->base, "write.metadata.previous-versions-max", METADATA_LOG_MAX);
  if (max < 1 || max > INT32_MAX - 1) max = METADATA_LOG_MAX;
  mle_json *list = add_list(doc, c, "metadata-log", count_of(c, "metadata-log") + 1 - (int)max);
  mle_json *entry = mle_json_add_object(list, NULL);
  mle_json_add_text(entry, "metadata-file", c->base_location);
  mle_json_add_int(entry, "timestamp-ms", c->base->last_updated_ms);
}

/* main moves and keeps its retention settings; other refs stay as they are. */
static void write_refs(mle_json *doc, const change *c) {
  mle_json *refs = mle_json_add_object(doc, "refs"), *branch;
  mle_json_at root = mle_json_root(c->base->document), old, ref, member;
  bool found = mle_json_find(&root, "refs", &old), has_main = false;
  for (bool more = found && mle_json_first(&old, &ref); more; more = mle_json_next(&ref)) {
    if (strcmp(ref.key, "main") != 0) {
      mle_json_add_copy(refs, ref.key, ref.node);
      continue;
    }
    has_main = true;
    branch = mle_json_add_object(refs, "main");
    mle_json_add_int(branch, "snapshot-id", c->snapshot->id);
    for (bool next = mle_json_first(&ref, &member); next; next = mle_json_next(&member))
      if (strcmp(member.key, "snapshot-id") != 0)
        mle_json_add_copy(branch, member.key, member.node);
  }
  if (has_main) return;
  branch = mle_json_add_object(refs, "main");
  mle_json_add_int(branch, "snapshot-id", c->snapshot->id);
  mle_json_add_text(branch, "type", "branch");
}

/* What a new snapshot changes; each key's writer also makes it where it is absent. */
static const struct {
  const char *key;
  void (*write)(mle_json *doc, const change *c);
} writers[] = {
    {"last-sequence-number", write_last_sequence_number},
    {"last-updated-ms", write_last_updated},
    {"current-snapshot-id", write_current_snapshot},
    {"snapshots", write_snapshots},
    {"snapshot-log", write_snapshot_log},
    {"metadata-log", write_metadata_log},
    {"refs", write_refs},
};

#define NUM_WRITERS (sizeof writers / sizeof *writers)

static size_t find_writer(const char *key) {
  size_t i = 0;
  while (i < NUM_WRITERS && strcmp(writers[i].key, key) != 0) i++;
  return i;
}

mle_status mle_metadata_append(const mle_metadata *base, const char *location,
                               const mle_snapshot *snapshot, mle_buffer *out, mle_error *err) {
  const change c = {base, location, snapshot};
  mle_json_at root = mle_json_root(base->document), member;
  bool written[NUM_WRITERS] = {false};
  mle_json *doc = mle_json_new_object();
  for (bool more = mle_json_first(&root, &member); more; more = mle_json_next(&member)) {
    size_t i = find_writer(member.key);
    if (i == NUM_WRITERS) {
      mle_json_add_copy(doc, member.key, member.node);
      continue;
    }
    writers[i].write(doc, &c);
    written[i] = true;
  }
  for (size_t i = 0; i < NUM_WRITERS; i++)
    if (!written[i]) writers[i].write(doc, &c);
  mle_status status = print(doc, out, err);
  mle_json_free(doc);
  return status;
}

/* ====== Names ====== */

/* The number in "00003-<uuid>.metadata.json" or "v3.metadata.json"; -1 when there is none. */
static long version_of(const char *location) {
  const char *name = mle_path_name(location);
  if (*name == 'v') name++;
  char *end;
  long version = strtol(name, &end, 10);
  return end == name || version < 0 || (*end != '-' && *end != '.') ? -1 : version;
}

char *mle_metadata_next_location(const mle_metadata *base, const char *location) {
  char uuid[MLE_UUID_TEXT];
  const char *folder = mle_metadata_property(base, "write.metadata.path", NULL);
  char *own = folder == NULL ? mle_format("%s/metadata", base->location) : mle_strdup(folder);
  if (own == NULL) return NULL;
  size_t len = strlen(own);
  while (len > 1 && own[len - 1] == '/') own[--len] = '\0';
  char *next =
      mle_format("%s/%05ld-%s.metadata.json", own, version_of(location) + 1, mle_uuid(uuid));
  mle_free(own);
  return next;
}
