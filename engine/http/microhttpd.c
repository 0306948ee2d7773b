#include "engine/http/microhttpd.h"

#include <pthread.h>

#include "engine/base/library.h"

static pthread_once_t started = PTHREAD_ONCE_INIT;
static mle_microhttpd library;
static mle_status status;
static mle_error problem;

static void start(void) {
#define NAME(name) "MHD_" #name,
  static const char *const names[] = {MLE_MICROHTTPD_FUNCTIONS(NAME)};
#undef NAME
  status = mle_library_open("libmicrohttpd.so.12", "libmicrohttpd12", names,
                            sizeof names / sizeof *names, &library, &problem);
}

mle_status mle_microhttpd_open(const mle_microhttpd **out, mle_error *err) {
  pthread_once(&started, start);
  *out = status == MLE_OK ? &library : NULL;
  if (status != MLE_OK && err != NULL) *err = problem;
  return status;
}
