"""A disk that is full while a file is there: for servers that are not ours."""

import os
import subprocess
import tempfile

# While $DISK_FULL names a file that is there, nothing more is written to files; pipes and sockets go on.
SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static int is_full(int fd) {
  struct stat info;
  const char *path = getenv("DISK_FULL");
  return path != NULL && access(path, F_OK) == 0 && fstat(fd, &info) == 0 && S_ISREG(info.st_mode);
}

#define REAL(name) \
  static __typeof__(&name) real; \
  if (real == NULL) *(void **)&real = dlsym(RTLD_NEXT, #name); \
  if (is_full(fd)) { errno = ENOSPC; return -1; }

ssize_t write(int fd, const void *bytes, size_t len) { REAL(write) return real(fd, bytes, len); }
ssize_t pwrite(int fd, const void *bytes, size_t len, off_t at) { REAL(pwrite) return real(fd, bytes, len, at); }
ssize_t pwrite64(int fd, const void *bytes, size_t len, off64_t at) { REAL(pwrite64) return real(fd, bytes, len, at); }
ssize_t writev(int fd, const struct iovec *list, int count) { REAL(writev) return real(fd, list, count); }
"""


class Disk:
    """`env` is for the program whose disk it is."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="mlengine-disk-")
        source, library, self.file = (os.path.join(self.folder, name) for name in ("full.c", "full.so", "full"))
        with open(source, "w") as f:
            f.write(SHIM)
        subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
        self.env = {"LD_PRELOAD": library, "DISK_FULL": self.file}

    def fill(self):
        open(self.file, "w").close()

    def free(self):
        if os.path.exists(self.file):
            os.remove(self.file)
