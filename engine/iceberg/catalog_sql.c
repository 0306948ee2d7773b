/*
 * catalog_sql.c -- the SQL catalog on SQLite, shared with PyIceberg's SqlCatalog
 * and Java's JdbcCatalog (schema V1):
 *
 *     iceberg_tables                 one row per table: where its metadata is now
 *     iceberg_namespace_properties   one row per property; "exists" = "true" makes a namespace
 *
 * A commit writes the next metadata file, then moves the row with
 *     UPDATE ... SET metadata_location = NEW WHERE metadata_location = OLD
 * so of two writers one changes a row and the other none. The journal mode is left
 * as it is found: whoever else opens the file waits on SQLite's own locks.
 */
#include <stdio.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/base/db.h"
#include "engine/base/file.h"
#include "engine/iceberg/catalog_class.h"
#include "engine/store/store.h"

typedef struct sql_catalog {
  mle_catalog base;
  char *path;
  mle_db *db;       /* NULL until used, and while the file is not there */
  bool has_type;    /* the column iceberg_type: absent in V0 */
} sql_catalog;

/* Rows of views, which Java keeps in the same table, are not tables. */
#define TABLES_ONLY " and (iceberg_type is null or iceberg_type = 'TABLE')"
#define THE_TABLE " where catalog_name = ? and table_namespace = ? and table_name = ?"

static sql_catalog *cast(mle_catalog *catalog) { return (sql_catalog *)catalog; }

static const char *type_filter(const sql_catalog *c) { return c->has_type ? TABLES_ONLY : ""; }

/* ====== The file ====== */

static const char create_sql[] =
    "create table if not exists iceberg_tables ("
    " catalog_name VARCHAR(255) NOT NULL, table_namespace VARCHAR(255) NOT NULL,"
    " table_name VARCHAR(255) NOT NULL, metadata_location VARCHAR(1000),"
    " previous_metadata_location VARCHAR(1000), iceberg_type VARCHAR(5),"
    " PRIMARY KEY (catalog_name, table_namespace, table_name));"
    "create table if not exists iceberg_namespace_properties ("
    " catalog_name VARCHAR(255) NOT NULL, namespace VARCHAR(255) NOT NULL,"
    " property_key VARCHAR(255) NOT NULL, property_value VARCHAR(1000) NOT NULL,"
    " PRIMARY KEY (catalog_name, namespace, property_key))";

static mle_status make_folder(const char *path, mle_error *err) {
  const char *slash = strrchr(path, '/');
  if (slash == NULL || slash == path) return MLE_OK;
  char *folder = mle_strndup(path, (size_t)(slash - path));
  if (folder == NULL) return mle_nomem(err, "opening a catalog");
  mle_status status = mle_make_folders(folder, 0700, err);
  mle_free(folder);
  return status;
}

static mle_status set_up(sql_catalog *c, bool create, bool *ready, mle_error *err) {
  bool tables, namespaces;
  MLE_TRY(mle_db_has_table(c->db, "iceberg_tables", &tables, err));
  MLE_TRY(mle_db_has_table(c->db, "iceberg_namespace_properties", &namespaces, err));
  *ready = tables && namespaces;
  if (!*ready && !create) return MLE_OK;
  if (!*ready) MLE_TRY(mle_db_script(c->db, create_sql, err));
  *ready = true;
  return mle_db_has_column(c->db, "iceberg_tables", "iceberg_type", &c->has_type, err);
}

/* Opens the file. Reading a catalog that nobody made yet leaves `ready` false. */
static mle_status connect(sql_catalog *c, bool create, bool *ready, mle_error *err) {
  const mle_db_options options = {.create = create};
  *ready = c->db != NULL;
  if (*ready) return MLE_OK;
  if (!create && !mle_file_exists(c->path)) return MLE_OK;
  if (create) MLE_TRY(make_folder(c->path, err));
  MLE_TRY(mle_db_open(c->path, &options, &c->db, err));
  mle_status status = set_up(c, create, ready, err);
  if (status == MLE_OK && *ready) return MLE_OK;
  mle_db_close(c->db);
  c->db = NULL;
  return status;
}

static mle_status connect_to_read(sql_catalog *c, bool *ready, mle_error *err) {
  return connect(c, false, ready, err);
}

static mle_status connect_to_write(sql_catalog *c, mle_error *err) {
  bool ready;
  return connect(c, true, &ready, err);
}

/* SQLAlchemy's sqlite:///relative, sqlite:////absolute; JDBC's jdbc:sqlite:path. */
static const char *path_of_uri(const char *uri) {
  const char *path;
  if (strncmp(uri, "jdbc:sqlite:", 12) == 0)
    return strncmp(uri + 12, "file:", 5) == 0 ? uri + 17 : uri + 12;
  if (strncmp(uri, "sqlite", 6) != 0 || (path = strstr(uri, ":///")) == NULL) return NULL;
  return path + 4;
}

static mle_status open_sql(const mle_property *properties, size_t count, mle_catalog **out,
                           mle_error *err) {
  const char *uri = mle_property_find(properties, count, "uri");
  const char *path = uri == NULL ? NULL : path_of_uri(uri);
  *out = NULL;
  if (uri == NULL)
    return mle_fail(err, MLE_EINVAL, "the property uri is missing (sqlite:////path/catalog.db)");
  if (path == NULL)
    return mle_fail(err, MLE_EUNSUPPORTED,
                    "this version opens SQL catalogs on SQLite (sqlite:////path/catalog.db)");
  if (*path == '\0' || strcmp(path, ":memory:") == 0 || strchr(path, '?') != NULL)
    return mle_fail(err, MLE_EINVAL, "uri must name a file (sqlite:////path/catalog.db)");
  sql_catalog *c = mle_calloc(1, sizeof *c);
  if (c != NULL) c->path = mle_path_absolute(path);
  if (c == NULL || c->path == NULL) {
    mle_free(c);
    return mle_nomem(err, "opening a catalog");
  }
  *out = &c->base;
  return MLE_OK;
}

static void close_sql(mle_catalog *catalog) {
  sql_catalog *c = cast(catalog);
  mle_db_close(c->db);
  mle_free(c->path);
  mle_free(c);
}

/* ====== Namespaces ====== */

/* "a_b" becomes "a!_b.%": what is below the namespace, with `escape '!'`. */
static char *below(const char *space) {
  char *pattern = mle_alloc(2 * strlen(space) + 3);
  size_t len = 0;
  if (pattern == NULL) return NULL;
  for (const char *at = space; *at != '\0'; at++) {
    if (strchr("!_%", *at) != NULL) pattern[len++] = '!';
    pattern[len++] = *at;
  }
  memcpy(pattern + len, ".%", 3);
  return pattern;
}

static mle_status has_namespace(mle_catalog *catalog, const char *space, bool *out,
                                mle_error *err) {
  sql_catalog *c = cast(catalog);
  int64_t count = 0;
  bool ready;
  *out = false;
  MLE_TRY(connect_to_read(c, &ready, err));
  if (!ready) return MLE_OK;
  char *pattern = below(space);
  if (pattern == NULL) return mle_nomem(err, "looking up a namespace");
  mle_status status = mle_db_get_int(
      c->db, 0, &count, err,
      "select exists (select 1 from iceberg_tables where catalog_name = ?1"
      "  and (table_namespace = ?2 or table_namespace like ?3 escape '!'))"
      " or exists (select 1 from iceberg_namespace_properties where catalog_name = ?1"
      "  and (namespace = ?2 or namespace like ?3 escape '!'))",
      "sss", catalog->name, space, pattern);
  mle_free(pattern);
  *out = count != 0;
  return status;
}

static mle_status create_namespace(mle_catalog *catalog, const char *space, mle_error *err) {
  sql_catalog *c = cast(catalog);
  MLE_TRY(connect_to_write(c, err));
  return mle_db_run(
      c->db, err,
      "insert or ignore into iceberg_namespace_properties"
      " (catalog_name, namespace, property_key, property_value) values (?, ?, 'exists', 'true')",
      "ss", catalog->name, space);
}

static mle_status add_rows(mle_db_rows *rows, mle_names *out, mle_error *err) {
  for (;;) {
    MLE_TRY(mle_db_next(rows, err));
    if (!rows->found) return MLE_OK;
    const char *name = mle_db_text(rows, 0);
    if (name != NULL) MLE_TRY(mle_names_add(out, name, err));
  }
}

static mle_status list_namespaces(mle_catalog *catalog, mle_names *out, mle_error *err) {
  sql_catalog *c = cast(catalog);
  bool ready;
  mle_db_rows rows;
  MLE_TRY(connect_to_read(c, &ready, err));
  if (!ready) return MLE_OK;
  mle_status status =
      mle_db_query(c->db, &rows, err,
                   "select table_namespace from iceberg_tables where catalog_name = ?1 union"
                   " select namespace from iceberg_namespace_properties where catalog_name = ?1",
                   "s", catalog->name);
  if (status == MLE_OK) status = add_rows(&rows, out, err);
  mle_db_end(&rows);
  return status;
}

static mle_status list_tables(mle_catalog *catalog, const char *space, mle_names *out,
                              mle_error *err) {
  sql_catalog *c = cast(catalog);
  bool ready;
  mle_db_rows rows;
  char sql[256];
  MLE_TRY(connect_to_read(c, &ready, err));
  if (!ready) return MLE_OK;
  snprintf(sql, sizeof sql,
           "select table_name from iceberg_tables where catalog_name = ? and table_namespace = ?%s",
           type_filter(c));
  mle_status status = mle_db_query(c->db, &rows, err, sql, "ss", catalog->name, space);
  if (status == MLE_OK) status = add_rows(&rows, out, err);
  mle_db_end(&rows);
  return status;
}

/* ====== Tables ====== */

/* The table's metadata location, owned by the caller; ENOTFOUND when there is no such table. */
static mle_status find_location(sql_catalog *c, const mle_table_name *name, char **out,
                                mle_error *err) {
  char sql[256];
  bool ready;
  *out = NULL;
  MLE_TRY(connect_to_read(c, &ready, err));
  if (!ready) return mle_catalog_not_found(&c->base, name, err);
  snprintf(sql, sizeof sql, "select metadata_location from iceberg_tables" THE_TABLE "%s",
           type_filter(c));
  MLE_TRY(mle_db_get_text(c->db, out, err, sql, "sss", c->base.name, name->space, name->name));
  return *out == NULL ? mle_catalog_not_found(&c->base, name, err) : MLE_OK;
}

static mle_status load(mle_catalog *catalog, const mle_table_name *name, mle_table **out,
                       mle_error *err) {
  char *location;
  MLE_TRY(find_location(cast(catalog), name, &location, err));
  mle_status status = mle_catalog_reach(catalog, location, err);
  if (status == MLE_OK) status = mle_table_read(name, location, out, err);
  mle_free(location);
  return status;
}

/* One statement, so that of two creators only one inserts. */
static mle_status insert_table(sql_catalog *c, const mle_table_name *name, const char *location,
                               mle_error *err) {
  char label[MLE_TABLE_LABEL];
  const char *sql =
      c->has_type
          ? "insert or ignore into iceberg_tables (catalog_name, table_namespace, table_name,"
            " metadata_location, iceberg_type) values (?, ?, ?, ?, 'TABLE')"
          : "insert or ignore into iceberg_tables (catalog_name, table_namespace, table_name,"
            " metadata_location) values (?, ?, ?, ?)";
  MLE_TRY(mle_db_run(c->db, err, sql, "ssss", c->base.name, name->space, name->name, location));
  if (mle_db_changes(c->db) == 1) return MLE_OK;
  return mle_fail(err, MLE_EEXISTS, "table %s exists already", mle_table_label(name, label));
}

static mle_status create_table(mle_catalog *catalog, const mle_table_name *name,
                               const mle_new_table *table, mle_error *err) {
  sql_catalog *c = cast(catalog);
  mle_buffer text = MLE_BUFFER((size_t)64 << 20);
  mle_metadata *metadata = NULL;
  char *location = NULL;
  mle_status status;
  MLE_GO(connect_to_write(c, err));
  MLE_GO(mle_metadata_create(table, &text, err));
  MLE_GO(mle_metadata_parse(text.data, text.len, &metadata, err));
  location = mle_metadata_next_location(metadata, "");
  if (location == NULL) MLE_GO(mle_nomem(err, "creating a table"));
  MLE_GO(mle_store_create(location, text.data, text.len, err));
  status = insert_table(c, name, location, err);
  if (status != MLE_OK) mle_store_remove(location, NULL);
done:
  mle_free(location);
  mle_metadata_free(metadata);
  mle_buffer_release(&text);
  return status;
}

static mle_status drop_table(mle_catalog *catalog, const mle_table_name *name, mle_error *err) {
  sql_catalog *c = cast(catalog);
  char sql[256];
  bool ready;
  MLE_TRY(connect_to_read(c, &ready, err));
  if (!ready) return mle_catalog_not_found(catalog, name, err);
  snprintf(sql, sizeof sql, "delete from iceberg_tables" THE_TABLE "%s", type_filter(c));
  MLE_TRY(mle_db_run(c->db, err, sql, "sss", catalog->name, name->space, name->name));
  return mle_db_changes(c->db) == 1 ? MLE_OK : mle_catalog_not_found(catalog, name, err);
}

static mle_status rename_table(mle_catalog *catalog, const mle_table_name *from,
                               const mle_table_name *to, mle_error *err) {
  sql_catalog *c = cast(catalog);
  char sql[256];
  MLE_TRY(connect_to_write(c, err));
  snprintf(sql, sizeof sql,
           "update iceberg_tables set table_namespace = ?, table_name = ?" THE_TABLE "%s",
           type_filter(c));
  MLE_TRY(mle_db_run(c->db, err, sql, "sssss", to->space, to->name, catalog->name, from->space,
                     from->name));
  return mle_db_changes(c->db) == 1 ? MLE_OK : mle_catalog_not_found(catalog, from, err);
}

/* ====== Commit ====== */

static mle_status swap_location(sql_catalog *c, const mle_table *base, const char *location,
                                mle_error *err) {
  char sql[256];
  MLE_TRY(connect_to_write(c, err));
  snprintf(
      sql, sizeof sql,
      "update iceberg_tables set metadata_location = ?, previous_metadata_location = ?" THE_TABLE
      " and metadata_location = ?%s",
      type_filter(c));
  MLE_TRY(mle_db_run(c->db, err, sql, "ssssss", location, base->metadata_location, c->base.name,
                     base->space, base->name, base->metadata_location));
  if (mle_db_changes(c->db) == 1) return MLE_OK;
  return mle_fail(err, MLE_ECONFLICT, "table %s.%s was changed by another writer", base->space,
                  base->name);
}

/* The next version is read back before the swap: after it, nothing may fail. */
static mle_status commit(mle_catalog *catalog, const mle_table *base, const mle_snapshot *snapshot,
                         mle_table **out, mle_error *err) {
  sql_catalog *c = cast(catalog);
  const mle_table_name name = {base->space, base->name};
  mle_buffer text = MLE_BUFFER((size_t)512 << 20);
  char *location = mle_metadata_next_location(base->metadata, base->metadata_location);
  mle_table *next = NULL;
  bool wrote = false;
  mle_status status;
  if (location == NULL) MLE_GO(mle_nomem(err, "committing"));
  MLE_GO(mle_metadata_append(base->metadata, base->metadata_location, snapshot, &text, err));
  MLE_GO(mle_store_create(location, text.data, text.len, err));
  wrote = true;
  MLE_GO(mle_table_read(&name, location, &next, err));
  status = swap_location(c, base, location, err);
  if (status == MLE_ECONFLICT) goto done;
  /* a statement may fail after it took effect: the disk said no to the last sync */
  if (status != MLE_OK) MLE_GO(mle_catalog_settle(catalog, base, snapshot->id, status, err));
  mle_catalog_remove_old(base, next);
  *out = next;
  next = NULL;
done:
  if (wrote && status != MLE_OK && status != MLE_EUNKNOWN) mle_store_remove(location, NULL);
  mle_table_free(next);
  mle_free(location);
  mle_buffer_release(&text);
  return status;
}

const mle_catalog_class mle_catalog_sql = {
    .type = "sql",
    .open = open_sql,
    .close = close_sql,
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
