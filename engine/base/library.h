/*
 * library.h -- shared libraries that are opened on first use.
 *
 * What only some commands need, and brings many libraries along, would be a
 * cost to all of them if it were linked: libcurl and libmicrohttpd took 8 of the
 * 11 ms in which a process started.
 *
 *     static const char *const names[] = {"curl_easy_init", "curl_easy_perform"};
 *     struct { CURL *(*init)(void); CURLcode (*perform)(CURL *); } curl;
 *     MLE_TRY(mle_library_open("libcurl.so.4", "libcurl4", names, 2, &curl, err));
 */
#ifndef MLE_LIBRARY_H
#define MLE_LIBRARY_H

#include <stddef.h>

#include "engine/base/error.h"

/*
 * Opens `file` for the life of the process and fills `functions`, a struct of
 * `count` function pointers, in the order of `names`. `package` is what to
 * install when it is missing.
 */
mle_status mle_library_open(const char *file, const char *package, const char *const *names,
                            size_t count, void *functions, mle_error *err);

#endif
