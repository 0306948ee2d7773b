/*
 * catalog_static.c -- one table, opened from its metadata file or its folder, to read:
 * PyIceberg's StaticTable. The catalog has one namespace, "static", and in it the table,
 * by the name of its folder. A metadata file never changes; of a folder each load looks
 * for the newest (metadata_file.h). Nothing is written: only the catalog that a table
 * belongs to can tell what comes after a version.
 */
#include <ctype.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/base/file.h"
#include "engine/iceberg/catalog_class.h"
#include "engine/iceberg/metadata_file.h"
#include "engine/store/store.h"

#define SPACE "static"

typedef struct static_catalog {
  mle_catalog base;
  char *uri; /* of the metadata file, or the table's folder */
  char *table;
} static_catalog;

static static_catalog *cast(mle_catalog *catalog) { return (static_catalog *)catalog; }

static void close_static(mle_catalog *catalog) {
  static_catalog *c = cast(catalog);
  mle_free(c->uri);
  mle_free(c->table);
  mle_free(c);
}

static void cut_last(char *path) {
  char *slash = strrchr(path, '/');
  if (slash != NULL) *slash = '\0';
}

/* "file:///w/bank/cc_trx/metadata/v3.metadata.json" gives "cc_trx". */
static char *name_of_table(const char *uri) {
  char *path = mle_strdup(uri);
  if (path == NULL) return NULL;
  if (mle_metadata_file_named(mle_path_name(path))) cut_last(path);
  if (strcmp(mle_path_name(path), "metadata") == 0) cut_last(path);
  const char *folder = mle_path_name(path);
  char *name = mle_strdup(*folder == '\0' ? "table" : folder);
  for (char *at = name; at != NULL && *at != '\0'; at++)
    if (*at == '.' || iscntrl((unsigned char)*at)) *at = '_';
  mle_free(path);
  return name;
}

static mle_status open_static(const mle_property *properties, size_t count, mle_catalog **out,
                              mle_error *err) {
  const char *uri = mle_property_find(properties, count, "uri");
  *out = NULL;
  if (uri == NULL)
    return mle_fail(err, MLE_EINVAL,
                    "the property uri is missing: a metadata file, or the folder of a table");
  MLE_TRY(mle_store_check(uri, err));
  static_catalog *c = mle_calloc(1, sizeof *c);
  if (c == NULL) return mle_nomem(err, "opening a catalog");
  size_t len = strlen(uri);
  while (len > 1 && uri[len - 1] == '/') len--;
  c->uri = mle_strndup(uri, len);
  if (c->uri != NULL) c->table = name_of_table(c->uri);
  if (c->table != NULL) {
    *out = &c->base;
    return MLE_OK;
  }
  close_static(&c->base);
  return mle_nomem(err, "opening a catalog");
}

/* ====== Looking ====== */

static mle_status has_namespace(mle_catalog *catalog, const char *space, bool *out,
                                mle_error *err) {
  (void)catalog, (void)err;
  *out = strcmp(space, SPACE) == 0;
  return MLE_OK;
}

static mle_status list_namespaces(mle_catalog *catalog, mle_names *out, mle_error *err) {
  (void)catalog;
  return mle_names_add(out, SPACE, err);
}

static mle_status list_tables(mle_catalog *catalog, const char *space, mle_names *out,
                              mle_error *err) {
  if (strcmp(space, SPACE) != 0) return MLE_OK;
  return mle_names_add(out, cast(catalog)->table, err);
}

static mle_status load(mle_catalog *catalog, const mle_table_name *name, mle_table **out,
                       mle_error *err) {
  static_catalog *c = cast(catalog);
  if (strcmp(name->space, SPACE) != 0 || strcmp(name->name, c->table) != 0)
    return mle_catalog_not_found(catalog, name, err);
  mle_metadata_file newest = {NULL, 0};
  MLE_TRY(mle_catalog_reach(catalog, c->uri, err));
  bool is_file = mle_metadata_file_named(mle_path_name(c->uri));
  if (!is_file) MLE_TRY(mle_metadata_file_find(c->uri, &newest, err));
  mle_status status = mle_table_read(name, is_file ? c->uri : newest.location, out, err);
  if (status == MLE_OK) (*out)->read_only = true;
  mle_free(newest.location);
  return status;
}

/* ====== What is refused ====== */

static mle_status refuse(mle_catalog *catalog, mle_error *err) {
  return mle_fail(err, MLE_EREFUSED,
                  "'%s' was opened to read; only the catalog that a table belongs to changes it",
                  cast(catalog)->uri);
}

static mle_status create_namespace(mle_catalog *catalog, const char *space, mle_error *err) {
  (void)space;
  return refuse(catalog, err);
}

static mle_status create_table(mle_catalog *catalog, const mle_table_name *name,
                               const mle_new_table *table, mle_error *err) {
  (void)name, (void)table;
  return refuse(catalog, err);
}

static mle_status drop_table(mle_catalog *catalog, const mle_table_name *name, mle_error *err) {
  (void)name;
  return refuse(catalog, err);
}

static mle_status rename_table(mle_catalog *catalog, const mle_table_name *from,
                               const mle_table_name *to, mle_error *err) {
  (void)from, (void)to;
  return refuse(catalog, err);
}

static mle_status commit(mle_catalog *catalog, const mle_table *base, const mle_snapshot *snapshot,
                         mle_table **out, mle_error *err) {
  (void)base, (void)snapshot, (void)out;
  return refuse(catalog, err);
}

const mle_catalog_class mle_catalog_static = {
    .type = "static",
    .open = open_static,
    .close = close_static,
    .create_namespace = create_namespace,
    .has_namespace = has_namespace,
    .list_namespaces = list_namespaces,
    .list_tables = list_tables,
    .create_table = create_table,
    .load = load,
    .drop_table = drop_table,
    .rename_table = rename_table,
    .commit = commit,
};
