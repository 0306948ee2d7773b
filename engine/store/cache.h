/*
 * cache.h -- remote objects that never change, kept in memory; internal to this folder.
 *
 * Manifests and a table's metadata have names of their own for each version; what was read
 * once is read again within a commit, a scan and a range. At most 64 MiB are kept, what
 * was used longest ago goes first. Any thread may call.
 */
#ifndef MLE_STORE_CACHE_H
#define MLE_STORE_CACHE_H

#include <stdbool.h>

#include "engine/base/buffer.h"

#define MLE_CACHE_BYTES ((size_t)64 << 20)

/* Whether the name is of the kind that is never written twice. */
bool mle_cache_takes(const char *uri);

/* Appends the object to `out`; `found` says whether it was there. */
mle_status mle_cache_get(const char *uri, mle_buffer *out, bool *found, mle_error *err);

/* Keeps a copy; where there is no memory it keeps none. */
void mle_cache_put(const char *uri, const char *bytes, size_t len);

void mle_cache_drop(const char *uri);
void mle_cache_clear(void);

#endif
