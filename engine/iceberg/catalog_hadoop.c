/*
 * catalog_hadoop.c -- a directory as catalog, shared with Java's HadoopCatalog:
 *
 *     <warehouse>/<namespace, a folder per level>/<table>/metadata/v<N>.metadata.json
 *
 * A folder with metadata in it is a table, any other a namespace. A commit creates the
 * file of the next version, which fails when that name is taken: of two writers one has
 * it. version-hint.text follows, and may lag behind (metadata_file.h). What a directory
 * cannot do is refused: a table's name is its folder, so it is neither renamed nor put
 * elsewhere, and to drop it is to remove its files.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/alloc.h"
#include "engine/base/file.h"
#include "engine/base/hash.h"
#include "engine/iceberg/catalog_class.h"
#include "engine/iceberg/metadata_file.h"
#include "engine/store/store.h"

#define LEVELS_MAX 16 /* of namespaces that are listed */

static mle_status no_memory(mle_error *err) { return mle_nomem(err, "using a catalog"); }

/* ====== Folders ====== */

/* The URI of a namespace's folder, or with `name` of a table's; NULL: out of memory. */
static char *folder_of(const mle_catalog *catalog, const char *space, const char *name) {
  size_t root = strlen(catalog->warehouse) + 1;
  char *uri = mle_format("%s/%s", catalog->warehouse, space);
  if (uri == NULL) return NULL;
  for (char *at = uri + root; *at != '\0'; at++)
    if (*at == '.') *at = '/';
  if (name == NULL) return uri;
  char *table = mle_format("%s/%s", uri, name);
  mle_free(uri);
  return table;
}

/* A name that a file has is no folder: what is below it does not exist. */
static mle_status is_folder(const char *uri, bool *out, mle_error *err) {
  char *below = mle_format("%s/.", uri);
  if (below == NULL) return no_memory(err);
  mle_status status = mle_store_exists(below, out, err);
  mle_free(below);
  return status;
}

static mle_status is_namespace(const char *uri, bool *out, mle_error *err) {
  bool has_metadata;
  MLE_TRY(is_folder(uri, out, err));
  if (!*out) return MLE_OK;
  MLE_TRY(mle_metadata_file_any(uri, &has_metadata, err));
  *out = !has_metadata;
  return MLE_OK;
}

static mle_status open_hadoop(const mle_property *properties, size_t count, mle_catalog **out,
                              mle_error *err) {
  const char *warehouse = mle_property_find(properties, count, "warehouse"), *path;
  *out = NULL;
  if (warehouse == NULL)
    return mle_fail(err, MLE_EINVAL,
                    "the property warehouse is missing: the folder that namespaces and tables "
                    "are in");
  if (mle_store_is_remote(warehouse))
    return mle_fail(err, MLE_EUNSUPPORTED,
                    "a Hadoop directory on '%s': an object store has no step that both Java's commit "
                    "and ours would respect, so commits would be lost; use a SQL or REST catalog, or "
                    "read one table with type = static", warehouse);
  MLE_TRY(mle_store_local_path(warehouse, &path, err));
  *out = mle_calloc(1, sizeof **out);
  return *out == NULL ? no_memory(err) : MLE_OK;
}

static void close_hadoop(mle_catalog *catalog) { mle_free(catalog); }

/* ====== Namespaces ====== */

static mle_status has_namespace(mle_catalog *catalog, const char *space, bool *out,
                                mle_error *err) {
  char *uri = folder_of(catalog, space, NULL);
  if (uri == NULL) return no_memory(err);
  mle_status status = is_namespace(uri, out, err);
  mle_free(uri);
  return status;
}

/* A namespace may not lie in a table's folder. */
static mle_status check_levels(const mle_catalog *catalog, const char *space, char *uri,
                               mle_error *err) {
  char *at = uri + strlen(catalog->warehouse) + 1;
  for (bool last = false; !last;) {
    bool is_table;
    at += strcspn(at, "/");
    last = *at == '\0';
    *at = '\0';
    MLE_TRY(mle_metadata_file_any(uri, &is_table, err));
    if (is_table)
      return mle_fail(err, MLE_EREFUSED, "namespace '%s' cannot be: '%s' is a table", space, uri);
    if (!last) *at++ = '/';
  }
  return MLE_OK;
}

static mle_status create_namespace(mle_catalog *catalog, const char *space, mle_error *err) {
  const char *path;
  char *uri = folder_of(catalog, space, NULL);
  mle_status status;
  if (uri == NULL) return no_memory(err);
  MLE_GO(check_levels(catalog, space, uri, err));
  MLE_GO(mle_store_local_path(uri, &path, err));
  status = mle_make_folders(path, 0755, err);
done:
  mle_free(uri);
  return status;
}

static mle_status drop_namespace(mle_catalog *catalog, const char *space, mle_error *err) {
  const char *path;
  char *uri = folder_of(catalog, space, NULL);
  mle_status status;
  if (uri == NULL) return no_memory(err);
  MLE_GO(mle_store_local_path(uri, &path, err));
  if (rmdir(path) != 0)
    status = mle_fail(err, errno == ENOTEMPTY || errno == EEXIST ? MLE_EREFUSED : MLE_EIO,
                      "cannot drop namespace '%s': %s: %s", space, path, strerror(errno));
done:
  mle_free(uri);
  return status;
}

/* Names that neither a namespace nor a table can have here belong to somebody else. */
static bool is_usable(const char *name) { return strchr(name, '.') == NULL; }

typedef struct namespaces {
  mle_names *out;
  const char *uri;    /* of the folder that is listed */
  const char *space;  /* "" at the root */
  int level;
} namespaces;

static mle_status see_namespace(void *context, const char *name, int64_t size, mle_error *err) {
  const namespaces *above = context;
  bool is_space = false;
  if (size >= 0 || !is_usable(name) || above->level == LEVELS_MAX) return MLE_OK;
  char *uri = mle_format("%s/%s", above->uri, name);
  char *space = mle_format("%s%s%s", above->space, *above->space == '\0' ? "" : ".", name);
  namespaces below = {above->out, uri, space, above->level + 1};
  mle_status status = uri == NULL || space == NULL ? no_memory(err) : MLE_OK;
  if (status == MLE_OK) status = is_namespace(uri, &is_space, err);
  if (status == MLE_OK && is_space) status = mle_names_add(above->out, space, err);
  if (status == MLE_OK && is_space) status = mle_store_list_names(uri, see_namespace, &below, err);
  mle_free(space);
  mle_free(uri);
  return status;
}

static mle_status list_namespaces(mle_catalog *catalog, mle_names *out, mle_error *err) {
  namespaces root = {out, catalog->warehouse, "", 0};
  return mle_store_list_names(catalog->warehouse, see_namespace, &root, err);
}

typedef struct tables {
  mle_names *out;
  const char *uri; /* of the namespace's folder */
} tables;

static mle_status see_table(void *context, const char *name, int64_t size, mle_error *err) {
  const tables *t = context;
  bool is_table;
  if (size >= 0 || !is_usable(name)) return MLE_OK;
  char *uri = mle_format("%s/%s", t->uri, name);
  if (uri == NULL) return no_memory(err);
  mle_status status = mle_metadata_file_any(uri, &is_table, err);
  if (status == MLE_OK && is_table) status = mle_names_add(t->out, name, err);
  mle_free(uri);
  return status;
}

static mle_status list_tables(mle_catalog *catalog, const char *space, mle_names *out,
                              mle_error *err) {
  char *uri = folder_of(catalog, space, NULL);
  if (uri == NULL) return no_memory(err);
  mle_status status = mle_store_list_names(uri, see_table, &(tables){out, uri}, err);
  mle_free(uri);
  return status;
}

/* ====== Tables ====== */

static mle_status load(mle_catalog *catalog, const mle_table_name *name, mle_table **out,
                       mle_error *err) {
  mle_metadata_file now = {NULL, 0};
  bool is_table;
  char *uri = folder_of(catalog, name->space, name->name);
  mle_status status;
  if (uri == NULL) return no_memory(err);
  MLE_GO(mle_metadata_file_any(uri, &is_table, err));
  if (!is_table) MLE_GO(mle_catalog_not_found(catalog, name, err));
  MLE_GO(mle_metadata_file_find(uri, &now, err));
  MLE_GO(mle_table_read(name, now.location, out, err));
  (*out)->read_only = now.version == 0; /* another kind of catalog knows its newest version */
done:
  mle_free(now.location);
  mle_free(uri);
  return status;
}

/* A folder that has others in it, besides a table's own, is a namespace in use. */
static mle_status see_used(void *context, const char *name, int64_t size, mle_error *err) {
  if (size >= 0 || strcmp(name, "data") == 0 || strcmp(name, "metadata") == 0) return MLE_OK;
  return mle_fail(err, MLE_EREFUSED, "the folder '%s' is a namespace: '%s' is in it",
                  (const char *)context, name);
}

static mle_status create_table(mle_catalog *catalog, const mle_table_name *name,
                               const mle_new_table *table, mle_error *err) {
  mle_buffer text = MLE_BUFFER((size_t)64 << 20);
  char *uri = folder_of(catalog, name->space, name->name);
  char *location = uri == NULL ? NULL : mle_format("%s/metadata/v1.metadata.json", uri);
  mle_status status;
  if (location == NULL) MLE_GO(no_memory(err));
  if (strcmp(uri, table->location) != 0)
    MLE_GO(mle_fail(err, MLE_EUNSUPPORTED,
                    "a table of a Hadoop directory lies in its folder, %s; leave out location",
                    uri));
  MLE_GO(mle_store_list_names(uri, see_used, uri, err));
  MLE_GO(mle_metadata_create(table, &text, err));
  status = mle_store_create(location, text.data, text.len, err);
  if (status == MLE_EEXISTS) mle_fail(err, status, "the table exists already");
  if (status == MLE_OK) mle_metadata_file_hint(uri, 1);
done:
  mle_free(location);
  mle_free(uri);
  mle_buffer_release(&text);
  return status;
}

/* In one step the name is gone, whatever happens while the files are removed. */
static mle_status remove_table(const mle_catalog *catalog, const mle_table_name *name,
                               const char *from, const char *to, mle_error *err) {
  const char *from_path, *to_path;
  MLE_TRY(mle_store_local_path(from, &from_path, err));
  MLE_TRY(mle_store_local_path(to, &to_path, err));
  if (rename(from_path, to_path) == 0) return mle_remove_tree(to_path, err);
  if (errno == ENOENT) return mle_catalog_not_found(catalog, name, err);
  return mle_fail(err, MLE_EIO, "cannot move '%s' away: %s", from_path, strerror(errno));
}

static mle_status drop_table(mle_catalog *catalog, const mle_table_name *name, mle_error *err) {
  char id[MLE_UUID_TEXT];
  bool is_table;
  char *uri = folder_of(catalog, name->space, name->name), *space = NULL, *away = NULL;
  mle_status status;
  if (uri != NULL) space = folder_of(catalog, name->space, NULL);
  if (space != NULL) away = mle_format("%s/.%s.dropped-%.12s", space, name->name, mle_uuid_hex(id));
  if (away == NULL) MLE_GO(no_memory(err));
  MLE_GO(mle_metadata_file_any(uri, &is_table, err));
  status = is_table ? remove_table(catalog, name, uri, away, err)
                    : mle_catalog_not_found(catalog, name, err);
done:
  mle_free(away);
  mle_free(space);
  mle_free(uri);
  return status;
}

static mle_status rename_table(mle_catalog *catalog, const mle_table_name *from,
                               const mle_table_name *to, mle_error *err) {
  char label[MLE_TABLE_LABEL];
  (void)catalog, (void)to;
  return mle_fail(err, MLE_EUNSUPPORTED,
                  "table %s cannot be renamed: in a Hadoop directory its folder is its name, and "
                  "its metadata names that folder",
                  mle_table_label(from, label));
}

/* ====== Commit ====== */

static mle_status conflict(const mle_table *base, mle_error *err) {
  return mle_fail(err, MLE_ECONFLICT, "table %s.%s was changed by another writer", base->space,
                  base->name);
}

/* Whether `version` is the newest there is. The name of the next one being free does not say
 * so: others may have gone past it, and removed old versions. */
static mle_status is_newest(const char *table, int64_t version, bool *out, mle_error *err) {
  mle_metadata_file now;
  MLE_TRY(mle_metadata_file_find(table, &now, err));
  *out = now.version == version;
  mle_free(now.location);
  return MLE_OK;
}

/* Whether `base` is the table now. One that was dropped and made anew has the same names. */
static mle_status check_base(mle_catalog *catalog, const mle_table *base, mle_error *err) {
  const mle_table_name name = {base->space, base->name};
  mle_table *now;
  MLE_TRY(load(catalog, &name, &now, err));
  const char *before = base->metadata->uuid, *uuid = now->metadata->uuid;
  bool same = before == NULL || (uuid != NULL && strcmp(before, uuid) == 0);
  same = same && mle_metadata_file_version(now->metadata_location) ==
                     mle_metadata_file_version(base->metadata_location);
  mle_table_free(now);
  return same ? MLE_OK : conflict(base, err);
}

/* Ours was too late: the name was free, but others are past that version. */
static mle_status give_up(mle_catalog *catalog, const mle_table *base, const mle_table *next,
                          int64_t snapshot_id, mle_error *err) {
  mle_status status = mle_catalog_settle(catalog, base, snapshot_id, conflict(base, err), err);
  if (status == MLE_ECONFLICT) mle_store_remove(next->metadata_location, NULL);
  return status;
}

static mle_status take_name(mle_catalog *catalog, const mle_table *base, const char *table,
                            const mle_table *next, int64_t snapshot_id, const mle_buffer *text,
                            mle_error *err) {
  int64_t version = mle_metadata_file_version(next->metadata_location);
  bool newest;
  MLE_TRY(check_base(catalog, base, err));
  mle_status status = mle_store_create(next->metadata_location, text->data, text->len, err);
  if (status == MLE_EEXISTS) return conflict(base, err);
  if (status == MLE_OK) status = is_newest(table, version, &newest, err);
  if (status != MLE_OK) return mle_catalog_settle(catalog, base, snapshot_id, status, err);
  return newest ? MLE_OK : give_up(catalog, base, next, snapshot_id, err);
}

/* What may fail is done before the name is taken. */
static mle_status commit(mle_catalog *catalog, const mle_table *base, const mle_snapshot *snapshot,
                         mle_table **out, mle_error *err) {
  const mle_table_name name = {base->space, base->name};
  int64_t version = mle_metadata_file_version(base->metadata_location) + 1;
  mle_buffer text = MLE_BUFFER((size_t)512 << 20);
  char *uri = folder_of(catalog, base->space, base->name), *location = NULL;
  mle_table *next = NULL;
  mle_status status;
  if (uri != NULL) location = mle_format("%s/metadata/v%" PRId64 ".metadata.json", uri, version);
  if (location == NULL) MLE_GO(no_memory(err));
  MLE_GO(mle_metadata_append(base->metadata, base->metadata_location, snapshot, &text, err));
  MLE_GO(mle_table_parse(&name, location, &text, &next, err));
  MLE_GO(take_name(catalog, base, uri, next, snapshot->id, &text, err));
  mle_metadata_file_hint(uri, version);
  mle_catalog_remove_old(base, next);
  *out = next;
  next = NULL;
done:
  mle_table_free(next);
  mle_free(location);
  mle_free(uri);
  mle_buffer_release(&text);
  return status;
}

const mle_catalog_class mle_catalog_hadoop = {
    .type = "hadoop",
    .open = open_hadoop,
    .close = close_hadoop,
    .create_namespace = create_namespace,
    .has_namespace = has_namespace,
    .drop_namespace = drop_namespace,
    .list_namespaces = list_namespaces,
    .list_tables = list_tables,
    .create_table = create_table,
    .load = load,
    .drop_table = drop_table,
    .rename_table = rename_table,
    .commit = commit,
};
