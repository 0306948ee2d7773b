/*
 * store.h -- objects by URI, whole or by range.
 *
 *     mle_buffer text = MLE_BUFFER(64 << 20);
 *     MLE_GO(mle_store_read("file:///w/bank/t/metadata/00000-x.metadata.json", &text, err));
 *
 * A local object is a plain absolute path, file:/path or file:///path; one on S3 is
 * s3://bucket/key, s3a:// or s3n:// (grant.h says how it is reached). As in PyIceberg
 * and Java, nothing in it is percent-decoded. Other schemes are refused by name.
 * Every write is whole or not at all. Any thread may call.
 */
#ifndef MLE_STORE_H
#define MLE_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/base/buffer.h"
#include "engine/base/error.h"

/* Appends the object's bytes to `out`, whose maximum bounds them. ENOTFOUND when absent. */
mle_status mle_store_read(const char *uri, mle_buffer *out, mle_error *err);

/* Appends `len` bytes from `offset`; fewer than that is EFORMAT. */
mle_status mle_store_read_range(const char *uri, int64_t offset, size_t len, mle_buffer *out,
                                mle_error *err);

/* Creates the object and the folders above it; EEXISTS when the name is taken. */
mle_status mle_store_create(const char *uri, const void *bytes, size_t len, mle_error *err);

/* Creates or replaces the object in one step. */
mle_status mle_store_replace(const char *uri, const void *bytes, size_t len, mle_error *err);

/* Copies a local file to a remote object, in one step for whoever reads it. */
mle_status mle_store_upload(const char *uri, const char *from, mle_error *err);

/* Removes the object; one that is not there is fine. */
mle_status mle_store_remove(const char *uri, mle_error *err);

mle_status mle_store_exists(const char *uri, bool *out, mle_error *err);
mle_status mle_store_size(const char *uri, int64_t *out, mle_error *err);

/* Is called for each object; a failure ends the listing and is what it returns. */
typedef mle_status (*mle_store_visit)(void *context, const char *uri, int64_t size, mle_error *err);

/* Visits every object below a folder, at any depth, in no order. A missing folder is empty. */
mle_status mle_store_list(const char *folder, mle_store_visit visit, void *context, mle_error *err);

/*
 * Is called for each name in a folder, with the size of a file, -1 for a folder; as with
 * mle_store_visit a failure ends the listing.
 */
typedef mle_status (*mle_store_visit_name)(void *context, const char *name, int64_t size,
                                           mle_error *err);

/* Visits what lies directly in a folder, links apart, in no order. A missing folder is empty. */
mle_status mle_store_list_names(const char *folder, mle_store_visit_name visit, void *context,
                                mle_error *err);

/* Whether the object lies on another machine. */
bool mle_store_is_remote(const char *uri);

/* Whether this program reads and writes such URIs; EUNSUPPORTED names the scheme. */
mle_status mle_store_check(const char *uri, mle_error *err);

/* What DuckDB calls the object: the local path, or the remote URI itself (views of `uri`). */
mle_status mle_store_data_path(const char *uri, const char **out, mle_error *err);

/* The local path inside `uri` (a view of it); EUNSUPPORTED for an object that is not local. */
mle_status mle_store_local_path(const char *uri, const char **out, mle_error *err);

#endif
