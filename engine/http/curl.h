/*
 * curl.h -- libcurl, opened on first use (engine/base/library.h).
 *
 *     const mle_curl *curl;
 *     MLE_TRY(mle_curl_open(&curl, err));
 *     CURL *easy = curl->easy_init();
 */
#ifndef MLE_HTTP_CURL_H
#define MLE_HTTP_CURL_H

#define CURL_DISABLE_TYPECHECK
#include <curl/curl.h>

#include "engine/base/error.h"

#define MLE_CURL_FUNCTIONS(X)                                                              \
  X(easy_cleanup) X(easy_getinfo) X(easy_init) X(easy_perform) X(easy_reset)               \
  X(easy_setopt) X(easy_strerror) X(global_init_mem) X(slist_append) X(slist_free_all)

typedef struct mle_curl {
#define MLE_CURL_FIELD(name) __typeof__(curl_##name) *name;
  MLE_CURL_FUNCTIONS(MLE_CURL_FIELD)
#undef MLE_CURL_FIELD
} mle_curl;

/* The same for the whole process; any thread may ask. */
mle_status mle_curl_open(const mle_curl **out, mle_error *err);

#endif
