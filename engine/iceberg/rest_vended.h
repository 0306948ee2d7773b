/*
 * rest_vended.h -- credentials that a REST catalog gives out with a table; internal to catalog_rest.c.
 *
 * Spec, "LoadTableResult": `storage-credentials`, of which the longest prefix counts,
 * above the keys of `config`, above the catalog's own properties. They are asked for anew
 * before they expire, on a connection of their own: reading goes on in other threads.
 */
#ifndef MLE_ICEBERG_REST_VENDED_H
#define MLE_ICEBERG_REST_VENDED_H

#include "engine/iceberg/catalog_rest.h"

/* Lets the table's objects be reached with what `answer`, of a load, has for them. */
mle_status mle_rest_vended_grant(const mle_rest_catalog *catalog, const mle_table_name *name,
                                 const mle_json *answer, mle_error *err);

#endif
