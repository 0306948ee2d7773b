/*
 * catalog_sql.c -- a catalog in a database, shared with PyIceberg's SqlCatalog and
 * Java's JdbcCatalog (schema V1; V0, without iceberg_type, is read and written too):
 *
 *     iceberg_tables                 one row per table: where its metadata is now
 *     iceberg_namespace_properties   one row per property; "exists" = "true" makes a namespace
 *
 * A commit writes the next metadata file, then moves the row with
 *     UPDATE ... SET metadata_location = NEW WHERE metadata_location = OLD
 * so of two writers one changes a row and the other none. That is also why a statement
 * whose outcome is not known may be sent again: it takes effect once at most.
 */
#include <stdio.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/base/cancel.h"
#include "engine/base/clock.h"
#include "engine/http/retry.h"
#include "engine/iceberg/sql_door.h"
#include "engine/store/store.h"

#define SENT_MAX 5 /* times that one statement of unknown outcome is sent */

typedef struct sql_catalog {
  mle_catalog base;
  mle_sql_door *door;
  bool ready;    /* the tables are there */
  bool has_type; /* the column iceberg_type: absent in V0 */
} sql_catalog;

/* Rows of views, which Java keeps in the same table, are not tables. */
#define TABLES_ONLY " and (iceberg_type is null or iceberg_type = 'TABLE')"
#define THE_TABLE " where catalog_name = $1 and table_namespace = $2 and table_name = $3"

/* What a statement is given, in the order of $1, $2, ... */
#define WITH(...) ((const char *const[]){__VA_ARGS__, NULL})

static sql_catalog *cast(mle_catalog *catalog) { return (sql_catalog *)catalog; }

static const char *type_filter(const sql_catalog *c) { return c->has_type ? TABLES_ONLY : ""; }

static mle_status run(sql_catalog *c, const char *sql, const char *const *with, int64_t *changed,
                      mle_error *err) {
  return c->door->class->run(c->door, sql, with, changed, err);
}

static mle_status query(sql_catalog *c, const char *sql, const char *const *with,
                        mle_sql_visit visit, void *context, mle_error *err) {
  return c->door->class->query(c->door, sql, with, visit, context, err);
}

/* ====== The database ====== */

static const char *const create_sql[] = {
    "create table if not exists iceberg_tables ("
    " catalog_name VARCHAR(255) NOT NULL, table_namespace VARCHAR(255) NOT NULL,"
    " table_name VARCHAR(255) NOT NULL, metadata_location VARCHAR(1000),"
    " previous_metadata_location VARCHAR(1000), iceberg_type VARCHAR(5),"
    " PRIMARY KEY (catalog_name, table_namespace, table_name))",
    "create table if not exists iceberg_namespace_properties ("
    " catalog_name VARCHAR(255) NOT NULL, namespace VARCHAR(255) NOT NULL,"
    " property_key VARCHAR(255) NOT NULL, property_value VARCHAR(1000) NOT NULL,"
    " PRIMARY KEY (catalog_name, namespace, property_key))",
};

static mle_status look(sql_catalog *c, bool *ready, mle_error *err) {
  bool tables, namespaces = false;
  MLE_TRY(c->door->class->has_table(c->door, "iceberg_tables", &tables, err));
  if (tables)
    MLE_TRY(c->door->class->has_table(c->door, "iceberg_namespace_properties", &namespaces, err));
  *ready = tables && namespaces;
  if (!*ready) return MLE_OK;
  return c->door->class->has_column(c->door, "iceberg_tables", "iceberg_type", &c->has_type, err);
}

/* Two that make the tables at once may get into each other's way, in PostgreSQL: both then have them. */
static mle_status make_tables(sql_catalog *c, mle_error *err) {
  mle_status status = MLE_OK;
  for (int tried = 0; tried < 3; tried++) {
    status = MLE_OK;
    for (size_t i = 0; i < 2 && status == MLE_OK; i++) status = run(c, create_sql[i], NULL, NULL, err);
    if (status == MLE_OK || status == MLE_ENOMEM) break;
    mle_sleep_ms(50);
  }
  return status;
}

/* Reading a catalog that nobody made yet leaves `ready` false. */
static mle_status connect(sql_catalog *c, bool create, bool *ready, mle_error *err) {
  bool there;
  MLE_TRY(c->door->class->connect(c->door, create, &there, err));
  *ready = c->ready;
  if (*ready || !there) return MLE_OK;
  MLE_TRY(look(c, ready, err));
  if (!*ready && create) {
    MLE_TRY(make_tables(c, err));
    MLE_TRY(look(c, ready, err));
  }
  c->ready = *ready;
  return MLE_OK;
}

static mle_status connect_to_read(sql_catalog *c, bool *ready, mle_error *err) {
  return connect(c, false, ready, err);
}

static mle_status connect_to_write(sql_catalog *c, mle_error *err) {
  bool ready;
  return connect(c, true, &ready, err);
}

static mle_status open_sql(const mle_property *properties, size_t count, mle_catalog **out,
                           mle_error *err) {
  *out = NULL;
  sql_catalog *c = mle_calloc(1, sizeof *c);
  if (c == NULL) return mle_nomem(err, "opening a catalog");
  mle_status status = mle_sql_door_open(properties, count, &c->door, err);
  if (status == MLE_OK)
    *out = &c->base;
  else
    mle_free(c);
  return status;
}

static void close_sql(mle_catalog *catalog) {
  sql_catalog *c = cast(catalog);
  c->door->class->close(c->door);
  mle_free(c);
}

/* ====== Rows ====== */

static mle_status note_row(void *context, const char *const *columns, mle_error *err) {
  (void)columns, (void)err;
  *(bool *)context = true;
  return MLE_OK;
}

static mle_status add_name(void *context, const char *const *columns, mle_error *err) {
  return columns[0] == NULL ? MLE_OK : mle_names_add(context, columns[0], err);
}

static mle_status add_property(void *context, const char *const *columns, mle_error *err) {
  if (columns[0] == NULL || columns[1] == NULL) return MLE_OK;
  return mle_properties_add(context, columns[0], columns[1], err);
}

static mle_status keep_text(void *context, const char *const *columns, mle_error *err) {
  char **out = context;
  if (columns[0] == NULL || *out != NULL) return MLE_OK;
  *out = mle_strdup(columns[0]);
  return *out == NULL ? mle_nomem(err, "reading a catalog") : MLE_OK;
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

/* Whether a statement about catalog $1, namespace $2 and the pattern $3 of those below has rows. */
static mle_status any(sql_catalog *c, const char *sql, const char *space, bool *out,
                      mle_error *err) {
  bool ready;
  *out = false;
  MLE_TRY(connect_to_read(c, &ready, err));
  if (!ready) return MLE_OK;
  char *pattern = below(space);
  if (pattern == NULL) return mle_nomem(err, "looking up a namespace");
  mle_status status = query(c, sql, WITH(c->base.name, space, pattern), note_row, out, err);
  mle_free(pattern);
  return status;
}

static mle_status has_namespace(mle_catalog *catalog, const char *space, bool *out,
                                mle_error *err) {
  return any(cast(catalog),
             "select 1 where exists (select 1 from iceberg_tables where catalog_name = $1"
             "  and (table_namespace = $2 or table_namespace like $3 escape '!'))"
             " or exists (select 1 from iceberg_namespace_properties where catalog_name = $1"
             "  and (namespace = $2 or namespace like $3 escape '!'))",
             space, out, err);
}

static mle_status create_namespace(mle_catalog *catalog, const char *space, mle_error *err) {
  sql_catalog *c = cast(catalog);
  MLE_TRY(connect_to_write(c, err));
  return run(c,
             "insert into iceberg_namespace_properties"
             " (catalog_name, namespace, property_key, property_value)"
             " values ($1, $2, 'exists', 'true') on conflict do nothing",
             WITH(catalog->name, space), NULL, err);
}

static mle_status drop_namespace(mle_catalog *catalog, const char *space, mle_error *err) {
  sql_catalog *c = cast(catalog);
  bool used;
  MLE_TRY(any(c,
              "select 1 where exists (select 1 from iceberg_tables where catalog_name = $1"
              "  and (table_namespace = $2 or table_namespace like $3 escape '!'))"
              " or exists (select 1 from iceberg_namespace_properties where catalog_name = $1"
              "  and namespace like $3 escape '!')",
              space, &used, err));
  if (used)
    return mle_fail(err, MLE_EREFUSED, "namespace '%s' is not empty; drop what is in it first", space);
  return run(c, "delete from iceberg_namespace_properties where catalog_name = $1 and namespace = $2",
             WITH(catalog->name, space), NULL, err);
}

static mle_status namespace_properties(mle_catalog *catalog, const char *space,
                                       mle_properties *out, mle_error *err) {
  sql_catalog *c = cast(catalog);
  bool ready;
  MLE_TRY(connect_to_read(c, &ready, err));
  if (!ready) return MLE_OK;
  return query(c,
               "select property_key, property_value from iceberg_namespace_properties"
               " where catalog_name = $1 and namespace = $2 and property_key <> 'exists'",
               WITH(catalog->name, space), add_property, out, err);
}

static mle_status change_properties(sql_catalog *c, const char *space,
                                    const mle_namespace_change *change, mle_error *err) {
  for (size_t i = 0; i < change->num_updates; i++)
    MLE_TRY(run(c,
                "insert into iceberg_namespace_properties"
                " (catalog_name, namespace, property_key, property_value) values ($1, $2, $3, $4)"
                " on conflict (catalog_name, namespace, property_key)"
                " do update set property_value = excluded.property_value",
                WITH(c->base.name, space, change->updates[i].key, change->updates[i].value), NULL,
                err));
  for (size_t i = 0; i < change->num_removals; i++)
    MLE_TRY(run(c,
                "delete from iceberg_namespace_properties where catalog_name = $1 and namespace = $2"
                " and property_key = $3 and property_key <> 'exists'",
                WITH(c->base.name, space, change->removals[i]), NULL, err));
  return MLE_OK;
}

static mle_status update_namespace(mle_catalog *catalog, const char *space,
                                   const mle_namespace_change *change, mle_error *err) {
  sql_catalog *c = cast(catalog);
  MLE_TRY(connect_to_write(c, err));
  MLE_TRY(run(c, "begin", NULL, NULL, err));
  mle_status status = change_properties(c, space, change, err);
  if (status == MLE_OK) return run(c, "commit", NULL, NULL, err);
  run(c, "rollback", NULL, NULL, NULL);
  return status;
}

static mle_status list_namespaces(mle_catalog *catalog, mle_names *out, mle_error *err) {
  sql_catalog *c = cast(catalog);
  bool ready;
  MLE_TRY(connect_to_read(c, &ready, err));
  if (!ready) return MLE_OK;
  return query(c,
               "select table_namespace from iceberg_tables where catalog_name = $1 union"
               " select namespace from iceberg_namespace_properties where catalog_name = $1",
               WITH(catalog->name), add_name, out, err);
}

static mle_status list_tables(mle_catalog *catalog, const char *space, mle_names *out,
                              mle_error *err) {
  sql_catalog *c = cast(catalog);
  bool ready;
  char sql[256];
  MLE_TRY(connect_to_read(c, &ready, err));
  if (!ready) return MLE_OK;
  snprintf(sql, sizeof sql,
           "select table_name from iceberg_tables where catalog_name = $1 and table_namespace = $2%s",
           type_filter(c));
  return query(c, sql, WITH(catalog->name, space), add_name, out, err);
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
  mle_status status = query(c, sql, WITH(c->base.name, name->space, name->name), keep_text, out, err);
  if (status == MLE_OK && *out != NULL) return MLE_OK;
  mle_free(*out);
  *out = NULL;
  return status == MLE_OK ? mle_catalog_not_found(&c->base, name, err) : status;
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

/* Whether the row is the one that we meant to insert. */
static bool is_ours(sql_catalog *c, const mle_table_name *name, const char *location) {
  char *there;
  if (find_location(c, name, &there, NULL) != MLE_OK) return false;
  bool same = strcmp(there, location) == 0;
  mle_free(there);
  return same;
}

/* One statement, so that of two creators only one inserts. */
static mle_status insert_table(sql_catalog *c, const mle_table_name *name, const char *location,
                               mle_error *err) {
  char label[MLE_TABLE_LABEL];
  int64_t changed = 0;
  const char *sql = c->has_type
                        ? "insert into iceberg_tables (catalog_name, table_namespace, table_name,"
                          " metadata_location, iceberg_type) values ($1, $2, $3, $4, 'TABLE')"
                          " on conflict do nothing"
                        : "insert into iceberg_tables (catalog_name, table_namespace, table_name,"
                          " metadata_location) values ($1, $2, $3, $4) on conflict do nothing";
  const char *const *with = WITH(c->base.name, name->space, name->name, location);
  mle_status status = run(c, sql, with, &changed, err);
  bool doubtful = status == MLE_EUNKNOWN;
  if (doubtful) status = run(c, sql, with, &changed, err);
  if (doubtful && status != MLE_OK) return MLE_EUNKNOWN;
  if (status != MLE_OK || changed == 1) return status;
  if (doubtful && is_ours(c, name, location)) return MLE_OK;
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
  if (status != MLE_OK && status != MLE_EUNKNOWN) mle_store_remove(location, NULL);
done:
  mle_free(location);
  mle_metadata_free(metadata);
  mle_buffer_release(&text);
  return status;
}

/* The metadata is read first: a row that leads nowhere would be a table nobody can open. */
static mle_status register_table(mle_catalog *catalog, const mle_table_name *name,
                                 const char *location, mle_error *err) {
  sql_catalog *c = cast(catalog);
  mle_table *table;
  MLE_TRY(mle_catalog_reach(catalog, location, err));
  MLE_TRY(mle_table_read(name, location, &table, err));
  mle_table_free(table);
  MLE_TRY(connect_to_write(c, err));
  return insert_table(c, name, location, err);
}

static mle_status drop_table(mle_catalog *catalog, const mle_table_name *name, mle_error *err) {
  sql_catalog *c = cast(catalog);
  char sql[256];
  int64_t changed = 0;
  bool ready;
  MLE_TRY(connect_to_read(c, &ready, err));
  if (!ready) return mle_catalog_not_found(catalog, name, err);
  snprintf(sql, sizeof sql, "delete from iceberg_tables" THE_TABLE "%s", type_filter(c));
  MLE_TRY(run(c, sql, WITH(catalog->name, name->space, name->name), &changed, err));
  return changed == 1 ? MLE_OK : mle_catalog_not_found(catalog, name, err);
}

static mle_status rename_table(mle_catalog *catalog, const mle_table_name *from,
                               const mle_table_name *to, mle_error *err) {
  sql_catalog *c = cast(catalog);
  char sql[256];
  int64_t changed = 0;
  MLE_TRY(connect_to_write(c, err));
  snprintf(sql, sizeof sql,
           "update iceberg_tables set table_namespace = $1, table_name = $2"
           " where catalog_name = $3 and table_namespace = $4 and table_name = $5%s",
           type_filter(c));
  MLE_TRY(run(c, sql, WITH(to->space, to->name, catalog->name, from->space, from->name), &changed,
              err));
  return changed == 1 ? MLE_OK : mle_catalog_not_found(catalog, from, err);
}

/* ====== Commit ====== */

static mle_status swap_location(sql_catalog *c, const mle_table *base, const char *location,
                                mle_error *err) {
  char sql[320];
  int64_t changed = 0;
  MLE_TRY(connect_to_write(c, err));
  snprintf(sql, sizeof sql,
           "update iceberg_tables set metadata_location = $1, previous_metadata_location = $2"
           " where catalog_name = $3 and table_namespace = $4 and table_name = $5"
           " and metadata_location = $2%s",
           type_filter(c));
  MLE_TRY(run(c, sql, WITH(location, base->metadata_location, c->base.name, base->space, base->name),
              &changed, err));
  if (changed == 1) return MLE_OK;
  return mle_fail(err, MLE_ECONFLICT, "table %s.%s was changed by another writer", base->space,
                  base->name);
}

/* Until the outcome is known, or nobody can tell. A row that is not at `base` any more ends all doubt. */
static mle_status swap_for_certain(sql_catalog *c, const mle_table *base, int64_t snapshot_id,
                                   const char *location, mle_error *err) {
  mle_status status = swap_location(c, base, location, err);
  bool doubtful = status == MLE_EUNKNOWN;
  for (int sent = 1; doubtful && status != MLE_OK && status != MLE_ECONFLICT && sent < SENT_MAX;
       sent++) {
    if (mle_cancelled()) break;
    mle_sleep_ms(mle_retry_wait_ms(sent, 200, -1));
    status = swap_location(c, base, location, err);
  }
  if (status == MLE_OK || (status == MLE_ECONFLICT && !doubtful)) return status;
  if (doubtful && status != MLE_ECONFLICT) {
    status = MLE_EUNKNOWN;
    if (err != NULL) err->status = status, err->retryable = false;
  }
  /* a statement may fail after it took effect: the disk said no to the last sync */
  return mle_catalog_settle(&c->base, base, snapshot_id, status, err);
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
  MLE_GO(swap_for_certain(c, base, snapshot->id, location, err));
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
    .drop_namespace = drop_namespace,
    .namespace_properties = namespace_properties,
    .update_namespace = update_namespace,
    .list_namespaces = list_namespaces,
    .list_tables = list_tables,
    .create_table = create_table,
    .load = load,
    .drop_table = drop_table,
    .rename_table = rename_table,
    .register_table = register_table,
    .commit = commit,
};
