#include "engine/base/crypto.h"

#include <pthread.h>

#include "engine/base/library.h"

static pthread_once_t started = PTHREAD_ONCE_INIT;
static mle_crypto crypto;
static mle_status status;
static mle_error problem;

static void start(void) {
#define NAME(name) #name,
  static const char *const names[] = {MLE_CRYPTO_FUNCTIONS(NAME)};
#undef NAME
  status = mle_library_open("libcrypto.so.3", "libssl3", names, sizeof names / sizeof *names, &crypto, &problem);
}

mle_status mle_crypto_open(const mle_crypto **out, mle_error *err) {
  pthread_once(&started, start);
  *out = status == MLE_OK ? &crypto : NULL;
  if (status != MLE_OK && err != NULL) *err = problem;
  return status;
}
