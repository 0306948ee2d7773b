/*
 * catalog_rest.h -- the catalog behind an Iceberg REST server; internal to catalog_rest*.c.
 */
#ifndef MLE_ICEBERG_CATALOG_REST_H
#define MLE_ICEBERG_CATALOG_REST_H

#include "engine/iceberg/rest.h"

typedef struct mle_rest_catalog {
  mle_catalog base; /* first: a catalog is one of these */
  mle_irc *server;
} mle_rest_catalog;

/* What the server answers about a table (LoadTableResult, CommitTableResponse) as that table. */
mle_status mle_rest_catalog_take(const mle_table_name *name, const mle_json *answer,
                                 mle_table **out, mle_error *err);

/* catalog_rest_commit.c */
mle_status mle_rest_catalog_commit(mle_catalog *catalog, const mle_table *base,
                                   const mle_snapshot *snapshot, mle_table **out, mle_error *err);

#endif
