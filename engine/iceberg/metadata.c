#include "engine/iceberg/metadata.h"

#include <stdlib.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/iceberg/avro_codec.h"
#include "engine/store/store.h"

#define FILE_MAX ((size_t)512 << 20)
#define VERSION_MAX 3

/* ====== Parts ====== */

static mle_status no_memory(mle_error *err) { return mle_nomem(err, "reading table metadata"); }

/* Zeroed room for the elements of an array, or of nothing when it is absent. */
static mle_status make_items(mle_metadata *m, const mle_json_at *list, size_t size,
                             size_t *out_count, void *out_items, mle_error *err) {
  *out_count = list->node == NULL ? 0 : (size_t)mle_json_count(list);
  void *items = mle_arena_array(&m->arena, *out_count, size);
  memcpy(out_items, &items, sizeof items);
  return items == NULL ? no_memory(err) : MLE_OK;
}

/* An array that may be absent or null: then `out` has no node. */
static mle_status find_list(const mle_json_at *at, const char *key, mle_json_at *out,
                            mle_error *err) {
  if (!mle_json_find(at, key, out) || mle_json_is_null(out)) {
    out->node = NULL;
    return MLE_OK;
  }
  return mle_json_is_array(out) ? MLE_OK : mle_json_fail(out, err, "must be an array");
}

/* Lists of what there is one of at least: version 1 may have a single member instead, and an empty list beside it. */
static mle_status find_versions(const mle_metadata *m, const mle_json_at *at, const char *key,
                                mle_json_at *out, mle_error *err) {
  MLE_TRY(find_list(at, key, out, err));
  if (m->format_version == 1 && out->node != NULL && mle_json_count(out) == 0) out->node = NULL;
  return MLE_OK;
}

static bool first_of(const mle_json_at *list, mle_json_at *item) {
  return list->node != NULL && mle_json_first(list, item);
}

static mle_status get_small(const mle_json_at *at, const char *key, int *out, mle_error *err) {
  int64_t value;
  MLE_TRY(mle_json_get_int(at, key, &value, err));
  if (value < INT32_MIN || value > INT32_MAX)
    return mle_json_fail(at, err, "\"%s\" is out of range", key);
  *out = (int)value;
  return MLE_OK;
}

static mle_status opt_small(const mle_json_at *at, const char *key, int fallback, int *out,
                            mle_error *err) {
  mle_json_at member;
  *out = fallback;
  if (!mle_json_find(at, key, &member) || mle_json_is_null(&member)) return MLE_OK;
  return get_small(at, key, out, err);
}

/* A text is the document's, which lives as long as the metadata. Some writers put numbers and flags as they are. */
static mle_status parse_value(mle_metadata *m, const mle_json_at *at, const char **out,
                              mle_error *err) {
  if (mle_json_is_text(at)) return mle_json_text(at, out, err);
  char *text = mle_json_print(at->node, false);
  mle_status status =
      text == NULL ? no_memory(err) : mle_arena_copy(&m->arena, text, out, err);
  mle_free(text);
  return status;
}

static mle_status parse_pairs(mle_metadata *m, const mle_json_at *object, const char *except,
                              size_t *out_count, const mle_property **out, mle_error *err) {
  mle_json_at item;
  mle_property *pairs;
  size_t count;
  MLE_TRY(make_items(m, object, sizeof *pairs, &count, &pairs, err));
  *out = pairs;
  *out_count = 0;
  for (bool more = first_of(object, &item); more; more = mle_json_next(&item)) {
    bool excepted = except != NULL && item.key[0] == except[0] && strcmp(item.key, except) == 0;
    if (excepted || mle_json_is_null(&item)) continue;
    mle_property *pair = &pairs[(*out_count)++];
    pair->key = item.key;
    MLE_TRY(parse_value(m, &item, &pair->value, err));
  }
  return MLE_OK;
}

/* ====== Schemas and partition specs ====== */

static mle_status parse_schemas(mle_metadata *m, const mle_json_at *root, mle_error *err) {
  mle_json_at list, item;
  int current = 0;
  size_t i = 0;
  MLE_TRY(find_versions(m, root, "schemas", &list, err));
  if (list.node == NULL) { /* version 1 may have one schema only */
    m->num_schemas = 1;
    m->schemas = mle_arena_array(&m->arena, 1, sizeof *m->schemas);
    if (m->schemas == NULL) return no_memory(err);
    MLE_TRY(mle_json_get_object(root, "schema", &item, err));
    MLE_TRY(mle_schema_parse(&item, &m->arena, &m->schemas[0], err));
    m->schema = m->schemas[0];
    return MLE_OK;
  }
  MLE_TRY(make_items(m, &list, sizeof *m->schemas, &m->num_schemas, &m->schemas, err));
  for (bool more = first_of(&list, &item); more; more = mle_json_next(&item))
    MLE_TRY(mle_schema_parse(&item, &m->arena, &m->schemas[i++], err));
  MLE_TRY(get_small(root, "current-schema-id", &current, err));
  m->schema = mle_metadata_schema(m, current);
  return m->schema != NULL ? MLE_OK : mle_json_fail(root, err, "there is no schema %d", current);
}

static mle_status parse_partition_field(const mle_json_at *at, int position,
                                        mle_partition_field *out, mle_error *err) {
  mle_json_at ids, first;
  int64_t source = -1;
  if (mle_json_find(at, "source-ids", &ids) &&
      mle_json_first(&ids, &first)) /* v3, several sources */
    MLE_TRY(mle_json_int(&first, &source, err));
  else
    MLE_TRY(mle_json_get_int(at, "source-id", &source, err));
  out->source_id = (int)source;
  MLE_TRY(opt_small(at, "field-id", 1000 + position, &out->field_id, err)); /* v1: by position */
  MLE_TRY(mle_json_get_text(at, "name", &out->name, err));
  return mle_json_get_text(at, "transform", &out->transform, err);
}

static mle_status parse_spec(mle_metadata *m, const mle_json_at *list, mle_partition_spec *spec,
                             mle_error *err) {
  mle_json_at item;
  mle_partition_field *fields;
  int i = 0;
  MLE_TRY(make_items(m, list, sizeof *fields, &spec->num_fields, &fields, err));
  spec->fields = fields;
  for (bool more = first_of(list, &item); more; more = mle_json_next(&item), i++)
    MLE_TRY(parse_partition_field(&item, i, &fields[i], err));
  return MLE_OK;
}

static mle_status parse_specs(mle_metadata *m, const mle_json_at *root, mle_error *err) {
  mle_json_at list, item, fields;
  mle_partition_spec *specs;
  int current = 0;
  size_t i = 0;
  MLE_TRY(find_versions(m, root, "partition-specs", &list, err));
  bool old = list.node == NULL; /* version 1 may have one spec only, without an id */
  if (old) MLE_TRY(find_list(root, "partition-spec", &fields, err));
  MLE_TRY(make_items(m, &list, sizeof *specs, &m->num_specs, &specs, err));
  if (old && (specs = mle_arena_alloc(&m->arena, sizeof *specs)) == NULL) return no_memory(err);
  if (old) m->num_specs = 1;
  m->specs = specs;
  if (old) MLE_TRY(parse_spec(m, &fields, &specs[0], err));
  for (bool more = first_of(&list, &item); more; more = mle_json_next(&item), i++) {
    MLE_TRY(get_small(&item, "spec-id", &specs[i].id, err));
    MLE_TRY(mle_json_get_array(&item, "fields", &fields, err));
    MLE_TRY(parse_spec(m, &fields, &specs[i], err));
  }
  if (!old) MLE_TRY(get_small(root, "default-spec-id", &current, err));
  m->spec = mle_metadata_spec(m, current);
  return m->spec != NULL ? MLE_OK
                         : mle_json_fail(root, err, "there is no partition spec %d", current);
}

/* ====== Snapshots ====== */

static mle_status parse_manifests(mle_metadata *m, const mle_json_at *at, mle_snapshot *snapshot,
                                  mle_error *err) {
  mle_json_at list, item;
  const char **paths;
  size_t i = 0;
  MLE_TRY(find_list(at, "manifests", &list, err));
  MLE_TRY(make_items(m, &list, sizeof *paths, &snapshot->num_manifests, &paths, err));
  snapshot->manifests = paths;
  for (bool more = first_of(&list, &item); more; more = mle_json_next(&item))
    MLE_TRY(mle_json_text(&item, &paths[i++], err));
  if (snapshot->manifest_list != NULL || list.node != NULL) return MLE_OK;
  return mle_json_fail(at, err, "\"manifest-list\" is missing");
}

static mle_status parse_snapshot(mle_metadata *m, const mle_json_at *at, mle_snapshot *out,
                                 mle_error *err) {
  mle_json_at summary;
  MLE_TRY(mle_json_get_int(at, "snapshot-id", &out->id, err));
  MLE_TRY(mle_json_opt_int(at, "parent-snapshot-id", MLE_NO_SNAPSHOT, &out->parent_id, err));
  MLE_TRY(mle_json_opt_int(at, "sequence-number", 0, &out->sequence_number, err));
  MLE_TRY(mle_json_get_int(at, "timestamp-ms", &out->timestamp_ms, err));
  MLE_TRY(mle_json_opt_text(at, "manifest-list", NULL, &out->manifest_list, err));
  MLE_TRY(opt_small(at, "schema-id", -1, &out->schema_id, err));
  MLE_TRY(parse_manifests(m, at, out, err));
  if (!mle_json_find(at, "summary", &summary) || mle_json_is_null(&summary)) return MLE_OK;
  MLE_TRY(mle_json_opt_text(&summary, "operation", NULL, &out->operation, err));
  return parse_pairs(m, &summary, "operation", &out->num_summary, &out->summary, err);
}

static mle_status parse_snapshots(mle_metadata *m, const mle_json_at *root, mle_error *err) {
  mle_json_at list, item;
  mle_snapshot *snapshots;
  size_t i = 0;
  MLE_TRY(find_list(root, "snapshots", &list, err));
  MLE_TRY(make_items(m, &list, sizeof *snapshots, &m->num_snapshots, &snapshots, err));
  m->snapshots = snapshots;
  for (bool more = first_of(&list, &item); more; more = mle_json_next(&item))
    MLE_TRY(parse_snapshot(m, &item, &snapshots[i++], err));
  MLE_TRY(mle_json_opt_int(root, "current-snapshot-id", -1, &m->current_snapshot_id, err));
  if (m->current_snapshot_id == -1) m->current_snapshot_id = MLE_NO_SNAPSHOT;
  if (m->current_snapshot_id == MLE_NO_SNAPSHOT || mle_metadata_current(m) != NULL) return MLE_OK;
  return mle_json_fail(root, err, "the current snapshot %lld is not among the snapshots",
                       (long long)m->current_snapshot_id);
}

static mle_status parse_log(mle_metadata *m, const mle_json_at *root, mle_error *err) {
  mle_json_at list, item;
  mle_log_entry *entries;
  size_t i = 0;
  MLE_TRY(find_list(root, "snapshot-log", &list, err));
  MLE_TRY(make_items(m, &list, sizeof *entries, &m->num_log, &entries, err));
  m->log = entries;
  for (bool more = first_of(&list, &item); more; more = mle_json_next(&item), i++) {
    MLE_TRY(mle_json_get_int(&item, "snapshot-id", &entries[i].snapshot_id, err));
    MLE_TRY(mle_json_get_int(&item, "timestamp-ms", &entries[i].timestamp_ms, err));
  }
  return MLE_OK;
}

static mle_status parse_ref(const mle_json_at *at, mle_ref *out, mle_error *err) {
  out->name = at->key;
  MLE_TRY(mle_json_get_int(at, "snapshot-id", &out->snapshot_id, err));
  MLE_TRY(mle_json_get_text(at, "type", &out->type, err));
  MLE_TRY(mle_json_opt_int(at, "max-ref-age-ms", MLE_NULL_LONG, &out->max_ref_age_ms, err));
  MLE_TRY(mle_json_opt_int(at, "min-snapshots-to-keep", MLE_NULL_LONG, &out->min_snapshots_to_keep,
                           err));
  return mle_json_opt_int(at, "max-snapshot-age-ms", MLE_NULL_LONG, &out->max_snapshot_age_ms, err);
}

/* Where refs are absent, main is the current snapshot (spec, "Snapshot References"). */
static mle_status parse_refs(mle_metadata *m, const mle_json_at *root, mle_error *err) {
  mle_json_at object, item;
  bool found = mle_json_find(root, "refs", &object) && mle_json_is_object(&object);
  size_t room = (found ? (size_t)mle_json_count(&object) : 0) + 1;
  mle_ref *refs = mle_arena_array(&m->arena, room, sizeof *refs);
  if (refs == NULL) return no_memory(err);
  m->refs = refs;
  for (bool more = found && mle_json_first(&object, &item); more; more = mle_json_next(&item))
    MLE_TRY(parse_ref(&item, &refs[m->num_refs++], err));
  if (m->current_snapshot_id != MLE_NO_SNAPSHOT && mle_metadata_ref(m, "main") == NULL)
    refs[m->num_refs++] = (mle_ref){
        "main", "branch", m->current_snapshot_id, MLE_NULL_LONG, MLE_NULL_LONG, MLE_NULL_LONG};
  return MLE_OK;
}

/* ====== The whole ====== */

static mle_status parse_head(mle_metadata *m, const mle_json_at *root, mle_error *err) {
  mle_json_at properties;
  MLE_TRY(get_small(root, "format-version", &m->format_version, err));
  if (m->format_version < 1 || m->format_version > VERSION_MAX)
    return mle_fail(err, MLE_EUNSUPPORTED, "format version %d; this version reads 1 to %d",
                    m->format_version, VERSION_MAX);
  MLE_TRY(mle_json_opt_text(root, "table-uuid", NULL, &m->uuid, err));
  if (m->uuid == NULL && m->format_version > 1)
    return mle_json_fail(root, err, "\"table-uuid\" is missing");
  MLE_TRY(mle_json_get_text(root, "location", &m->location, err));
  MLE_TRY(mle_json_opt_int(root, "last-sequence-number", 0, &m->last_sequence_number, err));
  MLE_TRY(mle_json_get_int(root, "last-updated-ms", &m->last_updated_ms, err));
  MLE_TRY(get_small(root, "last-column-id", &m->last_column_id, err));
  MLE_TRY(opt_small(root, "default-sort-order-id", 0, &m->sort_order_id, err));
  if (!mle_json_find(root, "properties", &properties) || mle_json_is_null(&properties))
    return MLE_OK;
  return parse_pairs(m, &properties, NULL, &m->num_properties, &m->properties, err);
}

/* What version 1 may leave out; spec, "Table Metadata Fields". */
static mle_status check_members(const mle_metadata *m, const mle_json_at *root, mle_error *err) {
  static const char *const required[] = {"schemas", "partition-specs", "last-partition-id",
                                         "sort-orders"};
  mle_json_at member;
  for (size_t i = 0; m->format_version > 1 && i < sizeof required / sizeof *required; i++)
    if (!mle_json_find(root, required[i], &member) || mle_json_is_null(&member))
      return mle_json_fail(root, err, "\"%s\" is missing", required[i]);
  return MLE_OK;
}

static mle_status parse_all(mle_metadata *m, mle_error *err) {
  mle_json_at root = mle_json_root(m->document);
  MLE_TRY(parse_head(m, &root, err));
  MLE_TRY(check_members(m, &root, err));
  MLE_TRY(parse_schemas(m, &root, err));
  MLE_TRY(parse_specs(m, &root, err));
  MLE_TRY(parse_snapshots(m, &root, err));
  MLE_TRY(parse_log(m, &root, err));
  return parse_refs(m, &root, err);
}

mle_status mle_metadata_parse(const char *text, size_t len, mle_metadata **out, mle_error *err) {
  *out = NULL;
  mle_metadata *m = mle_calloc(1, sizeof *m);
  if (m == NULL) return no_memory(err);
  mle_status status = mle_json_parse(text, len, &m->document, err);
  if (status == MLE_OK) status = parse_all(m, err);
  if (status == MLE_OK)
    *out = m;
  else
    mle_metadata_free(m);
  return status;
}

static bool begins_with(const mle_buffer *bytes, const char *magic, size_t len) {
  return bytes->len > len && memcmp(bytes->data, magic, len) == 0;
}

/* What the bytes say they are, whatever the name does. */
static mle_status unpack(const mle_buffer *bytes, mle_buffer *plain, const mle_buffer **out,
                         mle_error *err) {
  const mle_bytes in = {bytes->data, bytes->len};
  *out = plain;
  if (begins_with(bytes, "\x1f\x8b", 2)) return mle_gunzip(in, plain, err);
  if (begins_with(bytes, "\x28\xb5\x2f\xfd", 4)) return mle_unzstd(in, plain, err);
  *out = bytes;
  return MLE_OK;
}

mle_status mle_metadata_read(const char *location, mle_metadata **out, mle_error *err) {
  mle_buffer bytes = MLE_BUFFER(FILE_MAX), plain = MLE_BUFFER(FILE_MAX);
  const mle_buffer *text;
  mle_status status;
  *out = NULL;
  MLE_GO(mle_store_read(location, &bytes, err));
  MLE_GO(unpack(&bytes, &plain, &text, err));
  MLE_GO(mle_metadata_parse(text->data == NULL ? "" : text->data, text->len, out, err));
done:
  mle_buffer_release(&plain);
  mle_buffer_release(&bytes);
  return status == MLE_OK ? MLE_OK : mle_context(err, "table metadata '%s'", location);
}

void mle_metadata_free(mle_metadata *metadata) {
  if (metadata == NULL) return;
  mle_arena_release(&metadata->arena);
  mle_json_free(metadata->document);
  mle_free(metadata);
}

/* ====== Finding ====== */

const mle_snapshot *mle_metadata_snapshot(const mle_metadata *m, int64_t id) {
  for (size_t i = m->num_snapshots; i-- > 0;) /* the newest are asked for most */
    if (m->snapshots[i].id == id) return &m->snapshots[i];
  return NULL;
}

const mle_snapshot *mle_metadata_current(const mle_metadata *m) {
  return mle_metadata_snapshot(m, m->current_snapshot_id);
}

const mle_schema *mle_metadata_schema(const mle_metadata *m, int id) {
  for (size_t i = 0; i < m->num_schemas; i++)
    if (m->schemas[i]->id == id) return m->schemas[i];
  return NULL;
}

const mle_partition_spec *mle_metadata_spec(const mle_metadata *m, int id) {
  for (size_t i = 0; i < m->num_specs; i++)
    if (m->specs[i].id == id) return &m->specs[i];
  return NULL;
}

const mle_ref *mle_metadata_ref(const mle_metadata *m, const char *name) {
  for (size_t i = 0; i < m->num_refs; i++)
    if (strcmp(m->refs[i].name, name) == 0) return &m->refs[i];
  return NULL;
}

static const char *find_pair(const mle_property *pairs, size_t count, const char *key) {
  for (size_t i = 0; i < count; i++)
    if (strcmp(pairs[i].key, key) == 0) return pairs[i].value;
  return NULL;
}

const char *mle_snapshot_summary(const mle_snapshot *snapshot, const char *key) {
  return find_pair(snapshot->summary, snapshot->num_summary, key);
}

const char *mle_metadata_property(const mle_metadata *m, const char *key, const char *fallback) {
  const char *found = find_pair(m->properties, m->num_properties, key);
  return found == NULL ? fallback : found;
}

int64_t mle_metadata_number(const mle_metadata *m, const char *key, int64_t fallback) {
  const char *text = mle_metadata_property(m, key, "");
  char *end;
  long long value = strtoll(text, &end, 10);
  return *text == '\0' || *end != '\0' ? fallback : value;
}

mle_status mle_metadata_name_mapping(const mle_metadata *m, mle_json **out, mle_error *err) {
  const char *text = mle_metadata_property(m, "schema.name-mapping.default", NULL);
  *out = NULL;
  if (text == NULL) return MLE_OK;
  mle_status status = mle_json_parse(text, strlen(text), out, err);
  return status == MLE_OK ? MLE_OK : mle_context(err, "schema.name-mapping.default");
}

/* ====== Moved tables ====== */

mle_status mle_metadata_rewrite(mle_metadata *m, const mle_property *rewrites, size_t count,
                                mle_error *err) {
  mle_property *copies = mle_arena_array(&m->arena, count, sizeof *copies);
  if (copies == NULL) return no_memory(err);
  for (size_t i = 0; i < count; i++) {
    MLE_TRY(mle_arena_copy(&m->arena, rewrites[i].key, &copies[i].key, err));
    MLE_TRY(mle_arena_copy(&m->arena, rewrites[i].value, &copies[i].value, err));
  }
  m->rewrites = copies;
  m->num_rewrites = count;
  return MLE_OK;
}

mle_status mle_metadata_uri(const mle_metadata *m, const char *path, mle_arena *arena,
                            const char **out, mle_error *err) {
  const mle_property *best = NULL;
  size_t longest = 0;
  *out = path;
  for (size_t i = 0; i < m->num_rewrites; i++) {
    size_t len = strlen(m->rewrites[i].key);
    if (strncmp(path, m->rewrites[i].key, len) != 0 || (best != NULL && len <= longest)) continue;
    best = &m->rewrites[i];
    longest = len;
  }
  if (best == NULL) return MLE_OK;
  *out = mle_arena_format(arena, "%s%s", best->value, path + longest);
  return *out == NULL ? no_memory(err) : MLE_OK;
}

mle_status mle_snapshot_manifests(const mle_metadata *m, const mle_snapshot *snapshot,
                                  mle_arena *arena, mle_manifest_list *out, mle_error *err) {
  const char *uri;
  *out = (mle_manifest_list){NULL, 0};
  if (snapshot->manifest_list != NULL) {
    MLE_TRY(mle_metadata_uri(m, snapshot->manifest_list, arena, &uri, err));
    MLE_TRY(mle_manifest_list_read(uri, arena, out, err));
  } else {
    out->files = mle_arena_array(arena, snapshot->num_manifests, sizeof *out->files);
    if (out->files == NULL) return no_memory(err);
    out->count = snapshot->num_manifests;
    for (size_t i = 0; i < out->count; i++) {
      out->files[i] = mle_manifest_file_none;
      out->files[i].path = snapshot->manifests[i];
    }
  }
  for (size_t i = 0; m->num_rewrites > 0 && i < out->count; i++)
    MLE_TRY(mle_metadata_uri(m, out->files[i].path, arena, &out->files[i].path, err));
  return MLE_OK;
}
