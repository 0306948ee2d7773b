/*
 * catalog_class.h -- what a kind of catalog implements; internal to catalog*.c.
 *
 * Arguments were checked by catalog.c. A class embeds mle_catalog as the first
 * member of its own struct.
 */
#ifndef MLE_ICEBERG_CATALOG_CLASS_H
#define MLE_ICEBERG_CATALOG_CLASS_H

#include "engine/iceberg/catalog.h"

typedef struct mle_catalog_class {
  const char *type;
  mle_status (*open)(const mle_property *properties, size_t count, mle_catalog **out,
                     mle_error *err);
  void (*close)(mle_catalog *catalog);
  mle_status (*create_namespace)(mle_catalog *, const char *space, mle_error *err);
  mle_status (*has_namespace)(mle_catalog *, const char *space, bool *out, mle_error *err);
  mle_status (*list_namespaces)(mle_catalog *, mle_names *out, mle_error *err);
  mle_status (*list_tables)(mle_catalog *, const char *space, mle_names *out, mle_error *err);
  mle_status (*create_table)(mle_catalog *, const mle_table_name *, const mle_new_table *,
                             mle_error *err);
  mle_status (*load)(mle_catalog *, const mle_table_name *, mle_table **out, mle_error *err);
  mle_status (*drop_table)(mle_catalog *, const mle_table_name *, mle_error *err);
  mle_status (*rename_table)(mle_catalog *, const mle_table_name *from, const mle_table_name *to,
                             mle_error *err);
  mle_status (*commit)(mle_catalog *, const mle_table *base, const mle_snapshot *, mle_table **out,
                       mle_error *err);
} mle_catalog_class;

struct mle_catalog {
  const mle_catalog_class *class;
  char *name;
  char *warehouse; /* URI without a final slash, or NULL */
};

extern const mle_catalog_class mle_catalog_sql;

/* A property's value; NULL when absent or empty. */
const char *mle_property_find(const mle_property *properties, size_t count, const char *key);

/* Reads the metadata at `location` into a table of that name. */
mle_status mle_table_read(const mle_table_name *name, const char *location, mle_table **out,
                          mle_error *err);

mle_status mle_names_add(mle_names *names, const char *name, mle_error *err);

#endif
