#include "engine/http/curl.h"

#include <pthread.h>

#include "engine/base/alloc.h"
#include "engine/base/library.h"

static pthread_once_t started = PTHREAD_ONCE_INIT;
static mle_curl curl;
static mle_status status;
static mle_error problem;

static void start(void) {
#define NAME(name) "curl_" #name,
  static const char *const names[] = {MLE_CURL_FUNCTIONS(NAME)};
#undef NAME
  status = mle_library_open("libcurl.so.4", "libcurl4", names, sizeof names / sizeof *names, &curl,
                            &problem);
  if (status != MLE_OK) return;
  CURLcode code = curl.global_init_mem(CURL_GLOBAL_DEFAULT, mle_alloc, mle_free, mle_realloc,
                                       mle_strdup, mle_calloc);
  if (code != CURLE_OK)
    status = mle_fail(&problem, MLE_EIO, "cannot start libcurl: %s", curl.easy_strerror(code));
}

mle_status mle_curl_open(const mle_curl **out, mle_error *err) {
  pthread_once(&started, start);
  *out = status == MLE_OK ? &curl : NULL;
  if (status != MLE_OK && err != NULL) *err = problem;
  return status;
}
