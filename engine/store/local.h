/*
 * local.h -- objects that are files of this machine; internal to this folder.
 *
 * `path` is what mle_store_local_path found in the URI `folder`.
 */
#ifndef MLE_STORE_LOCAL_H
#define MLE_STORE_LOCAL_H

#include "engine/store/store.h"

mle_status mle_local_create(const char *path, const void *bytes, size_t len, mle_error *err);
mle_status mle_local_replace(const char *path, const void *bytes, size_t len, mle_error *err);
mle_status mle_local_list(const char *folder, const char *path, mle_store_visit visit,
                          void *context, mle_error *err);
mle_status mle_local_list_names(const char *folder, const char *path, mle_store_visit_name visit,
                                void *context, mle_error *err);

#endif
