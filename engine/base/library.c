#include "engine/base/library.h"

#include <dlfcn.h>
#include <string.h>

mle_status mle_library_open(const char *file, const char *package, const char *const *names,
                            size_t count, void *functions, mle_error *err) {
  void *library = dlopen(file, RTLD_NOW | RTLD_LOCAL);
  if (library == NULL)
    return mle_fail(err, MLE_ENOTFOUND, "cannot open %s: %s; apt install %s", file, dlerror(), package);
  for (size_t i = 0; i < count; i++) {
    void *symbol = dlsym(library, names[i]);
    if (symbol == NULL)
      return mle_fail(err, MLE_EUNSUPPORTED, "%s has no %s; it needs a newer version", file, names[i]);
    /* ISO C has no cast from object to function */
    memcpy((char *)functions + i * sizeof symbol, &symbol, sizeof symbol);
  }
  return MLE_OK;
}
