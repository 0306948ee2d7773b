/*
 * catalog_class.h -- what a kind of catalog implements; internal to catalog*.c.
 *
 * Arguments were checked by catalog.c. A class embeds mle_catalog as the first
 * member of its own struct.
 */
#ifndef MLE_ICEBERG_CATALOG_CLASS_H
#define MLE_ICEBERG_CATALOG_CLASS_H

#include "engine/iceberg/catalog.h"

/* What may be NULL is refused by catalog.c, with the type's name. */
typedef struct mle_catalog_class {
  const char *type;
  bool places_tables; /* it chooses the location of a table that has none */
  bool grants;        /* what it loads can be reached: its server has a say in that */
  mle_status (*open)(const mle_property *properties, size_t count, mle_catalog **out,
                     mle_error *err);
  void (*close)(mle_catalog *catalog);
  mle_status (*create_namespace)(mle_catalog *, const char *space, mle_error *err);
  mle_status (*has_namespace)(mle_catalog *, const char *space, bool *out, mle_error *err);
  mle_status (*drop_namespace)(mle_catalog *, const char *space, mle_error *err); /* may be NULL */
  mle_status (*namespace_properties)(mle_catalog *, const char *space, mle_properties *out,
                                     mle_error *err); /* may be NULL */
  mle_status (*update_namespace)(mle_catalog *, const char *space, const mle_namespace_change *,
                                 mle_error *err); /* may be NULL */
  mle_status (*list_namespaces)(mle_catalog *, mle_names *out, mle_error *err);
  mle_status (*list_tables)(mle_catalog *, const char *space, mle_names *out, mle_error *err);
  mle_status (*create_table)(mle_catalog *, const mle_table_name *, const mle_new_table *,
                             mle_error *err);
  mle_status (*load)(mle_catalog *, const mle_table_name *, mle_table **out, mle_error *err);
  mle_status (*has_table)(mle_catalog *, const mle_table_name *, bool *out,
                          mle_error *err); /* NULL: it is looked for among all */
  mle_status (*drop_table)(mle_catalog *, const mle_table_name *, mle_error *err);
  mle_status (*rename_table)(mle_catalog *, const mle_table_name *from, const mle_table_name *to,
                             mle_error *err);
  mle_status (*register_table)(mle_catalog *, const mle_table_name *, const char *location,
                               mle_error *err); /* may be NULL */
  mle_status (*commit)(mle_catalog *, const mle_table *base, const mle_snapshot *, mle_table **out,
                       mle_error *err);
} mle_catalog_class;

struct mle_catalog {
  const mle_catalog_class *class;
  char *name;
  char *warehouse; /* URI without a final slash, or NULL */
  mle_arena memory;   /* of the two below */
  mle_property *properties; /* a copy of what it was opened with */
  size_t num_properties;
  mle_json *rewrites; /* location-rewrite: an object of prefix to replacement, or NULL */
};

extern const mle_catalog_class mle_catalog_sql;
extern const mle_catalog_class mle_catalog_rest;
extern const mle_catalog_class mle_catalog_hadoop;
extern const mle_catalog_class mle_catalog_static;

/* Reads the metadata at `location` into a table of that name. */
mle_status mle_table_read(const mle_table_name *name, const char *location, mle_table **out,
                          mle_error *err);

/* The same from the metadata's text, which is to lie at `location`. */
mle_status mle_table_parse(const mle_table_name *name, const char *location,
                           const mle_buffer *text, mle_table **out, mle_error *err);

/* EINVAL: a name becomes a folder and part of a dotted name, so neither may be ambiguous. */
mle_status mle_catalog_check_namespace(const char *space, mle_error *err);
mle_status mle_catalog_check_table(const mle_table_name *name, mle_error *err);

/* A copy of the URI without slashes at its end; NULL: out of memory. */
char *mle_catalog_without_slash(const char *uri);

/* EUNSUPPORTED: "catalog 'x', of type 'hadoop', cannot <what>". */
mle_status mle_catalog_refuse(const mle_catalog *catalog, const char *what, mle_error *err);

/* "catalog 'default' has no table bank.trx". */
mle_status mle_catalog_not_found(const mle_catalog *catalog, const mle_table_name *name,
                                 mle_error *err);

/*
 * What became of a commit that ended with the failure `failed`, which may have come after
 * it took effect: MLE_OK when the table has the snapshot now, `failed` when it has not,
 * MLE_EUNKNOWN when the table cannot be read.
 */
mle_status mle_catalog_settle(mle_catalog *catalog, const mle_table *base, int64_t snapshot_id,
                              mle_status failed, mle_error *err);

/* After a commit: removes the metadata files that only the log of `base` has, where the table's
 * write.metadata.delete-after-commit.enabled says so. What cannot be removed stays. */
void mle_catalog_remove_old(const mle_table *base, const mle_table *next);

/* Lets the objects of a table be reached with the catalog's properties (engine/store/grant.h).
 * `uri` is the table's folder, or a file in its metadata folder. Nothing to do for local ones. */
mle_status mle_catalog_reach(const mle_catalog *catalog, const char *uri, mle_error *err);

mle_status mle_names_add(mle_names *names, const char *name, mle_error *err);
mle_status mle_properties_add(mle_properties *properties, const char *key, const char *value,
                              mle_error *err);

#endif
