/*
 * catalog.h -- where tables are found by name, and swapped to their next version.
 *
 *     mle_catalog *catalog;
 *     mle_property properties[] = {{"uri", "sqlite:////w/catalog.db"}, {"warehouse", "file:///w"}};
 *     MLE_GO(mle_catalog_open("default", properties, 2, &catalog, err));
 *     MLE_GO(mle_catalog_load(catalog, &(mle_table_name){"bank", "cc_trx"}, &table, err));
 *   done:
 *     mle_table_free(table);
 *     mle_catalog_close(catalog);
 *
 * Properties have PyIceberg's names. A kind of catalog is a mle_catalog_class; those
 * here are "sql" (on SQLite or PostgreSQL), "rest" (a server), "hadoop" (a directory) and
 * "static" (one table, to read). Namespaces are texts with dots between levels.
 * A catalog belongs to one thread at a time; processes may share what is behind it.
 */
#ifndef MLE_ICEBERG_CATALOG_H
#define MLE_ICEBERG_CATALOG_H

#include "engine/iceberg/metadata.h"

typedef struct mle_catalog mle_catalog;

typedef struct mle_table_name {
  const char *space; /* "bank", "a.b" */
  const char *name;
} mle_table_name;

/* One version of a table. Never changed; a commit or reload makes another one. */
typedef struct mle_table {
  char *space, *name;
  char *metadata_location;
  mle_metadata *metadata;
  bool read_only; /* the catalog it was found in cannot change it */
} mle_table;

void mle_table_free(mle_table *table); /* NULL is ignored */

/* "bank.cc_trx", for messages. */
#define MLE_TABLE_LABEL 200
const char *mle_table_label(const mle_table_name *name, char text[MLE_TABLE_LABEL]);

typedef struct mle_names {
  mle_arena arena;
  const char **items; /* sorted */
  size_t count;
} mle_names;

void mle_names_release(mle_names *names);

typedef struct mle_properties {
  mle_arena arena;
  mle_property *items; /* by key */
  size_t count;
} mle_properties;

void mle_properties_release(mle_properties *properties);

/* Touches nothing yet: a catalog that is not there is one without tables. */
mle_status mle_catalog_open(const char *name, const mle_property *properties, size_t count,
                            mle_catalog **out, mle_error *err);
void mle_catalog_close(mle_catalog *catalog); /* NULL is ignored */
const char *mle_catalog_name(const mle_catalog *catalog);

/* EEXISTS when it is there. */
mle_status mle_catalog_create_namespace(mle_catalog *catalog, const char *space, mle_error *err);
mle_status mle_catalog_has_namespace(mle_catalog *catalog, const char *space, bool *out,
                                     mle_error *err);
mle_status mle_catalog_list_namespaces(mle_catalog *catalog, mle_names *out, mle_error *err);

/* EREFUSED while there are tables or namespaces in it, ENOTFOUND when it is not there. */
mle_status mle_catalog_drop_namespace(mle_catalog *catalog, const char *space, mle_error *err);

/* EUNSUPPORTED in a Hadoop directory. */
mle_status mle_catalog_namespace_properties(mle_catalog *catalog, const char *space,
                                            mle_properties *out, mle_error *err);

typedef struct mle_namespace_change {
  const mle_property *updates;
  size_t num_updates;
  const char *const *removals; /* one that is not there is fine */
  size_t num_removals;
} mle_namespace_change;

mle_status mle_catalog_update_namespace(mle_catalog *catalog, const char *space,
                                        const mle_namespace_change *change, mle_error *err);

/* Tables of one namespace, by name; ENOTFOUND when there is no such namespace. */
mle_status mle_catalog_list_tables(mle_catalog *catalog, const char *space, mle_names *out,
                                   mle_error *err);

/* What create_table makes; its location is the warehouse's unless `location` says otherwise. */
typedef struct mle_table_request {
  const mle_column_spec *columns;
  size_t num_columns;
  const char *const *partition_by; /* terms, see partition_spec.h */
  size_t num_partition_by;
  const mle_property *properties;
  size_t num_properties;
  const char *location; /* NULL: <warehouse>/<namespace>/<table>, or what the server chooses */
} mle_table_request;

/* Makes an empty table, and its namespace where that is missing; EEXISTS when the name is taken. */
mle_status mle_catalog_create_table(mle_catalog *catalog, const mle_table_name *name,
                                    const mle_table_request *request, mle_table **out,
                                    mle_error *err);

/* ENOTFOUND names the table. */
mle_status mle_catalog_load(mle_catalog *catalog, const mle_table_name *name, mle_table **out,
                            mle_error *err);
mle_status mle_catalog_has_table(mle_catalog *catalog, const mle_table_name *name, bool *out,
                                 mle_error *err);

/* Forgets the name; the table's files stay, but in a Hadoop directory, where they are the name. */
mle_status mle_catalog_drop_table(mle_catalog *catalog, const mle_table_name *name,
                                  mle_error *err);
/* EUNSUPPORTED in a Hadoop directory. */
mle_status mle_catalog_rename_table(mle_catalog *catalog, const mle_table_name *from,
                                    const mle_table_name *to, mle_error *err);

/* A table of that name whose metadata is the file at `location`; EEXISTS when the name is taken. */
mle_status mle_catalog_register_table(mle_catalog *catalog, const mle_table_name *name,
                                      const char *location, mle_table **out, mle_error *err);

/*
 * Makes `snapshot` the head of main, provided that `base` is still the table's
 * version. ECONFLICT: it is not; nothing was changed. EUNKNOWN: it cannot be told
 * whether the change took place, so nothing it refers to may be removed. Any other
 * failure: it did not.
 */
mle_status mle_catalog_commit(mle_catalog *catalog, const mle_table *base,
                              const mle_snapshot *snapshot, mle_table **out, mle_error *err);

#endif
