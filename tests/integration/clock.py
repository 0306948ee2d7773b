"""A clock that tests set, for what depends on the hour."""

import os
import subprocess
import tempfile

# A clock that is ahead by the seconds in the file $CLOCK_FILE: what libfaketime does, in the one call that is used.
SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

int clock_gettime(clockid_t id, struct timespec *out) {
  static int (*real)(clockid_t, struct timespec *);
  long long ahead = 0;
  if (real == NULL) *(void **)&real = dlsym(RTLD_NEXT, "clock_gettime");
  int result = real(id, out);
  const char *path = getenv("CLOCK_FILE");
  FILE *file = id == CLOCK_REALTIME && path != NULL ? fopen(path, "r") : NULL;
  if (file != NULL) {
    if (fscanf(file, "%lld", &ahead) == 1) out->tv_sec += ahead;
    fclose(file);
  }
  return result;
}
"""


def make_shim():
    """The library for LD_PRELOAD."""
    folder = tempfile.mkdtemp(prefix="mlengine-clock-")
    source, library = os.path.join(folder, "clock.c"), os.path.join(folder, "clock.so")
    with open(source, "w") as f:
        f.write(SHIM)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    return library
