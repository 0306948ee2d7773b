/*
 * lookup.h -- texts to numbers, in SQL: mle_lookup(3, path) is the path's number, or -1.
 *
 *     MLE_GO(mle_lookup_new(texts, count, &lookup, err));
 *     "... WHERE mle_lookup(" + mle_lookup_number(lookup) + ", file_path) >= 0"
 *   done:
 *     mle_lookup_free(lookup);
 *
 * The texts stay the caller's, and must stay.
 */
#ifndef MLE_LOOKUP_H
#define MLE_LOOKUP_H

#include <duckdb.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/error.h"

typedef struct mle_lookup mle_lookup;

mle_status mle_lookup_new(const char *const *texts, size_t count, mle_lookup **out,
                          mle_error *err);
int64_t mle_lookup_number(const mle_lookup *lookup);
void mle_lookup_free(mle_lookup *lookup); /* NULL is ignored */

mle_status mle_lookup_functions(duckdb_connection c, mle_error *err);

#endif
