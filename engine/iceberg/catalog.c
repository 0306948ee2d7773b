#include "engine/iceberg/catalog.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "engine/base/alloc.h"
#include "engine/iceberg/catalog_class.h"
#include "engine/iceberg/metadata_file.h"
#include "engine/store/grant.h"
#include "engine/iceberg/partition_spec.h"
#include "engine/store/store.h"

/* ====== Small parts ====== */

const char *mle_table_label(const mle_table_name *name, char text[MLE_TABLE_LABEL]) {
  snprintf(text, MLE_TABLE_LABEL, "%s.%s", name->space, name->name);
  return text;
}

void mle_table_free(mle_table *table) {
  if (table == NULL) return;
  mle_metadata_free(table->metadata);
  mle_free(table->metadata_location);
  mle_free(table->space);
  mle_free(table->name);
  mle_free(table);
}

/* A table without metadata yet; NULL: out of memory. */
static mle_table *new_table(const mle_table_name *name, const char *location) {
  mle_table *table = mle_calloc(1, sizeof *table);
  if (table == NULL) return NULL;
  table->space = mle_strdup(name->space);
  table->name = mle_strdup(name->name);
  table->metadata_location = mle_strdup(location);
  if (table->space != NULL && table->name != NULL && table->metadata_location != NULL) return table;
  mle_table_free(table);
  return NULL;
}

/* Hands `table` out, or frees it after a failure. */
static mle_status finish_table(mle_table *table, mle_status status, const mle_table_name *name,
                               mle_table **out, mle_error *err) {
  char label[MLE_TABLE_LABEL];
  if (status == MLE_OK) {
    *out = table;
    return MLE_OK;
  }
  mle_table_free(table);
  return mle_context(err, "table %s", mle_table_label(name, label));
}

mle_status mle_table_read(const mle_table_name *name, const char *location, mle_table **out,
                          mle_error *err) {
  *out = NULL;
  mle_table *table = new_table(name, location);
  mle_status status = table == NULL ? mle_nomem(err, "loading a table")
                                    : mle_metadata_read(location, &table->metadata, err);
  return finish_table(table, status, name, out, err);
}

mle_status mle_table_parse(const mle_table_name *name, const char *location,
                           const mle_buffer *text, mle_table **out, mle_error *err) {
  *out = NULL;
  mle_table *table = new_table(name, location);
  mle_status status = table == NULL
                          ? mle_nomem(err, "loading a table")
                          : mle_metadata_parse(text->data, text->len, &table->metadata, err);
  return finish_table(table, status, name, out, err);
}

mle_status mle_catalog_not_found(const mle_catalog *catalog, const mle_table_name *name,
                                 mle_error *err) {
  char label[MLE_TABLE_LABEL];
  return mle_fail(err, MLE_ENOTFOUND, "catalog '%s' has no table %s", catalog->name,
                  mle_table_label(name, label));
}

/* ====== Tables ====== */

/* As PyIceberg and Java: <warehouse>/<namespace, a folder per level>/<table>. */
static char *default_location(const mle_catalog *catalog, const mle_table_name *name) {
  char *location = mle_format("%s/%s/%s", catalog->warehouse, name->space, name->name);
  if (location == NULL) return NULL;
  char *at = location + strlen(catalog->warehouse) + 1;
  for (char *end = at + strlen(name->space); at < end; at++)
    if (*at == '.') *at = '/';
  return location;
}

static mle_status make_namespace(mle_catalog *catalog, const char *space, mle_error *err) {
  bool exists;
  MLE_TRY(catalog->class->has_namespace(catalog, space, &exists, err));
  return exists ? MLE_OK : catalog->class->create_namespace(catalog, space, err);
}

static mle_status check_version(const mle_table_request *request, mle_error *err) {
  const char *version =
      mle_property_find(request->properties, request->num_properties, "format-version");
  if (version == NULL || strcmp(version, "2") == 0) return MLE_OK;
  return mle_fail(err, MLE_EUNSUPPORTED,
                  "format-version %s: this version makes tables of format version 2", version);
}

static mle_status create_table(mle_catalog *catalog, const mle_table_name *name,
                               const mle_table_request *request, const char *location,
                               mle_arena *arena, mle_error *err) {
  mle_new_table table = {.location = location,
                         .properties = request->properties,
                         .num_properties = request->num_properties};
  if (location != NULL) MLE_TRY(mle_store_check(location, err));
  if (location != NULL) MLE_TRY(mle_catalog_reach(catalog, location, err));
  MLE_TRY(mle_schema_from_columns(request->columns, request->num_columns, arena, &table.schema,
                                  &table.last_column_id, err));
  MLE_TRY(mle_partition_spec_make(request->partition_by, request->num_partition_by, table.schema,
                                  arena, &table.spec, err));
  MLE_TRY(make_namespace(catalog, name->space, err));
  return catalog->class->create_table(catalog, name, &table, err);
}

mle_status mle_catalog_create_table(mle_catalog *catalog, const mle_table_name *name,
                                    const mle_table_request *request, mle_table **out,
                                    mle_error *err) {
  char label[MLE_TABLE_LABEL];
  bool exists;
  *out = NULL;
  MLE_TRY(mle_catalog_has_table(catalog, name, &exists, err));
  if (exists)
    return mle_fail(err, MLE_EEXISTS, "table %s exists already", mle_table_label(name, label));
  bool placed = request->location != NULL || catalog->class->places_tables;
  if (!placed && catalog->warehouse == NULL)
    return mle_fail(err, MLE_EINVAL, "catalog '%s' has no warehouse, so table %s needs a location",
                    catalog->name, mle_table_label(name, label));
  MLE_TRY(check_version(request, err));
  mle_arena arena = MLE_ARENA;
  char *location = request->location != NULL ? mle_catalog_without_slash(request->location)
                   : placed                  ? NULL
                                             : default_location(catalog, name);
  bool missing = location == NULL && !(placed && request->location == NULL);
  mle_status status = missing
                          ? mle_nomem(err, "creating a table")
                          : create_table(catalog, name, request, location, &arena, err);
  mle_free(location);
  mle_arena_release(&arena);
  if (status != MLE_OK) return mle_context(err, "creating table %s", mle_table_label(name, label));
  return catalog->class->load(catalog, name, out, err);
}

static mle_status reach_prefix(const mle_catalog *catalog, const char *owner, const char *prefix,
                               bool weak, mle_error *err) {
  const mle_grant_request request = {.prefix = prefix, .properties = catalog->properties,
                                     .num_properties = catalog->num_properties, .owner = owner,
                                     .weak = weak};
  return mle_store_grant(&request, err);
}

/* "s3://b/t/metadata/00001-x.metadata.json" is of the table s3://b/t/. */
static size_t folder_len(const char *uri) {
  size_t len = strlen(uri);
  const char *slash = strrchr(uri, '/');
  bool file = mle_metadata_file_named(slash);
  if (file) len = (size_t)(slash - uri);
  if (file && len > 9 && strncmp(slash - 9, "/metadata", 9) == 0) len -= 9;
  while (len > 0 && uri[len - 1] == '/') len--;
  return len;
}

/* As in PyIceberg the properties hold for all files of the table, wherever they are: the table's
 * folder is this catalog's, its bucket and all others are unless another one came first. */
mle_status mle_catalog_reach(const mle_catalog *catalog, const char *uri, mle_error *err) {
  if (!mle_store_needs_grant(uri)) return MLE_OK;
  mle_arena arena = MLE_ARENA;
  const char *bucket = strstr(uri, "://") + 3;
  const char *owner = mle_arena_format(&arena, "catalog '%s'", catalog->name);
  const char *table = mle_arena_format(&arena, "%.*s/", (int)folder_len(uri), uri);
  const char *whole = mle_arena_format(&arena, "s3://%.*s/", (int)strcspn(bucket, "/"), bucket);
  mle_status status = owner == NULL || table == NULL || whole == NULL
                          ? mle_nomem(err, "loading a table") : MLE_OK;
  if (status == MLE_OK) status = reach_prefix(catalog, owner, table, false, err);
  if (status == MLE_OK) status = reach_prefix(catalog, owner, whole, true, err);
  if (status == MLE_OK) status = reach_prefix(catalog, owner, "s3://", true, err);
  mle_arena_release(&arena);
  return status;
}

/* Where else the table keeps its files. */
static mle_status reach_folders(const mle_catalog *catalog, const mle_metadata *m, mle_error *err) {
  static const char *const names[] = {"write.data.path", "write.metadata.path"};
  MLE_TRY(mle_catalog_reach(catalog, m->location, err));
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    const char *folder = mle_metadata_property(m, names[i], NULL);
    if (folder != NULL) MLE_TRY(mle_catalog_reach(catalog, folder, err));
  }
  return MLE_OK;
}

static mle_status rewrite_locations(const mle_json *rewrites, mle_metadata *m, mle_error *err) {
  mle_json_at root = mle_json_root(rewrites), item;
  size_t count = 0, room = (size_t)mle_json_count(&root);
  mle_property *pairs = mle_arena_array(&m->arena, room, sizeof *pairs);
  if (pairs == NULL) return mle_nomem(err, "loading a table");
  for (bool more = mle_json_first(&root, &item); more; more = mle_json_next(&item)) {
    pairs[count].key = item.key;
    MLE_TRY(mle_json_text(&item, &pairs[count++].value, err));
  }
  return mle_metadata_rewrite(m, pairs, count, err);
}

mle_status mle_catalog_load(mle_catalog *catalog, const mle_table_name *name, mle_table **out,
                            mle_error *err) {
  *out = NULL;
  MLE_TRY(mle_catalog_check_table(name, err));
  MLE_TRY(catalog->class->load(catalog, name, out, err));
  mle_status status = MLE_OK;
  if (catalog->rewrites != NULL)
    status = rewrite_locations(catalog->rewrites, (*out)->metadata, err);
  else if (!catalog->class->grants)
    status = reach_folders(catalog, (*out)->metadata, err);
  if (status == MLE_OK) return MLE_OK;
  mle_table_free(*out);
  *out = NULL;
  return status;
}

/* Does not read the metadata: a table whose files are broken exists. */
mle_status mle_catalog_has_table(mle_catalog *catalog, const mle_table_name *name, bool *out,
                                 mle_error *err) {
  bool has_space;
  mle_names names = {.arena = MLE_ARENA};
  *out = false;
  MLE_TRY(mle_catalog_check_table(name, err));
  if (catalog->class->has_table != NULL) return catalog->class->has_table(catalog, name, out, err);
  MLE_TRY(catalog->class->has_namespace(catalog, name->space, &has_space, err));
  if (!has_space) return MLE_OK;
  mle_status status = catalog->class->list_tables(catalog, name->space, &names, err);
  for (size_t i = 0; i < names.count && status == MLE_OK; i++)
    *out |= strcmp(names.items[i], name->name) == 0;
  mle_names_release(&names);
  return status;
}

mle_status mle_catalog_drop_table(mle_catalog *catalog, const mle_table_name *name,
                                  mle_error *err) {
  MLE_TRY(mle_catalog_check_table(name, err));
  return catalog->class->drop_table(catalog, name, err);
}

mle_status mle_catalog_rename_table(mle_catalog *catalog, const mle_table_name *from,
                                    const mle_table_name *to, mle_error *err) {
  bool exists;
  char label[MLE_TABLE_LABEL];
  MLE_TRY(mle_catalog_check_table(from, err));
  MLE_TRY(mle_catalog_has_table(catalog, to, &exists, err));
  if (exists)
    return mle_fail(err, MLE_EEXISTS, "table %s exists already", mle_table_label(to, label));
  MLE_TRY(make_namespace(catalog, to->space, err));
  return catalog->class->rename_table(catalog, from, to, err);
}

mle_status mle_catalog_register_table(mle_catalog *catalog, const mle_table_name *name,
                                      const char *location, mle_table **out, mle_error *err) {
  char label[MLE_TABLE_LABEL];
  bool exists;
  *out = NULL;
  if (catalog->class->register_table == NULL) return mle_catalog_refuse(catalog, "register tables", err);
  MLE_TRY(mle_catalog_has_table(catalog, name, &exists, err));
  if (exists)
    return mle_fail(err, MLE_EEXISTS, "table %s exists already", mle_table_label(name, label));
  MLE_TRY(make_namespace(catalog, name->space, err));
  MLE_TRY(catalog->class->register_table(catalog, name, location, err));
  return mle_catalog_load(catalog, name, out, err);
}

mle_status mle_catalog_commit(mle_catalog *catalog, const mle_table *base,
                              const mle_snapshot *snapshot, mle_table **out, mle_error *err) {
  *out = NULL;
  return catalog->class->commit(catalog, base, snapshot, out, err);
}

/* Others may have committed on top of it: the table's history tells. */
static mle_status was_committed(mle_catalog *catalog, const mle_table *base, int64_t snapshot_id,
                                bool *out, mle_error *err) {
  const mle_table_name name = {base->space, base->name};
  mle_table *now;
  *out = false;
  MLE_TRY(catalog->class->load(catalog, &name, &now, err));
  *out = mle_metadata_snapshot(now->metadata, snapshot_id) != NULL;
  mle_table_free(now);
  return MLE_OK;
}

mle_status mle_catalog_settle(mle_catalog *catalog, const mle_table *base, int64_t snapshot_id,
                              mle_status failed, mle_error *err) {
  mle_error why;
  bool committed;
  if (was_committed(catalog, base, snapshot_id, &committed, &why) == MLE_OK)
    return committed ? MLE_OK : failed;
  return mle_fail(
      err, MLE_EUNKNOWN,
      "whether snapshot %lld of %s.%s was committed is not known (%.300s); see mlengine table "
      "snapshots before trying again",
      (long long)snapshot_id, base->space, base->name, why.message);
}

/* ====== Old versions ====== */

static bool is_logged(const mle_json_at *log, const char *file) {
  mle_json_at entry;
  const char *other;
  for (bool more = mle_json_first(log, &entry); more; more = mle_json_next(&entry))
    if (mle_json_get_text(&entry, "metadata-file", &other, NULL) == MLE_OK &&
        strcmp(other, file) == 0)
      return true;
  return false;
}

void mle_catalog_remove_old(const mle_table *base, const mle_table *next) {
  mle_json_at before = mle_json_root(base->metadata->document), entry;
  mle_json_at after = mle_json_root(next->metadata->document), old, kept;
  const char *file, *wanted = mle_metadata_property(
                        next->metadata, "write.metadata.delete-after-commit.enabled", "false");
  if (strcasecmp(wanted, "true") != 0 || !mle_json_find(&before, "metadata-log", &old) ||
      !mle_json_find(&after, "metadata-log", &kept))
    return;
  for (bool more = mle_json_first(&old, &entry); more; more = mle_json_next(&entry))
    if (mle_json_get_text(&entry, "metadata-file", &file, NULL) == MLE_OK &&
        !is_logged(&kept, file))
      mle_store_remove(file, NULL);
}
