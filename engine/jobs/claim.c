/*
 * The claim of a job on number N is a lock of the open file (F_OFD_SETLK) on the
 * byte N of the file; when another job has that, on the byte N + 4096, and so on.
 * Locks that processes hold say who is alive; nothing has to be cleaned up.
 */
#include "engine/jobs/claim.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/alloc.h"

#define NUMBERS_MAX 4096
#define LEVELS_MAX 256 /* so many jobs may share one number; beyond, nobody counts */

struct mle_claim {
  int fd;
};

/* In memory, so that it is the machine's, and gone when that starts again. */
static char *path_of(const char *what) {
  const char *runtime = getenv("XDG_RUNTIME_DIR");
  struct stat info;
  bool there = runtime != NULL && stat(runtime, &info) == 0 && info.st_uid == geteuid();
  return mle_format("%s/mlengine-%s-%u", there ? runtime : "/dev/shm", what, (unsigned)geteuid());
}

/* Another user could have put something else at a name in a folder of all. */
static int open_file(const char *path) {
  struct stat info;
  int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd >= 0 && (fstat(fd, &info) != 0 || info.st_uid != geteuid() || !S_ISREG(info.st_mode))) {
    close(fd);
    fd = -1;
  }
  return fd;
}

static bool lock_byte(int fd, int level, int number) {
  struct flock byte = {.l_type = F_WRLCK,
                       .l_whence = SEEK_SET,
                       .l_start = (off_t)level * NUMBERS_MAX + number,
                       .l_len = 1};
  return fcntl(fd, F_OFD_SETLK, &byte) == 0;
}

static void choose(int fd, const int *candidates, size_t num_candidates, size_t count,
                   int *chosen) {
  bool taken[NUMBERS_MAX] = {false};
  size_t got = 0;
  for (int level = 0; level <= LEVELS_MAX && got < count; level++)
    for (size_t i = 0; i < num_candidates && got < count; i++) {
      int number = candidates[i];
      if (number < 0 || number >= NUMBERS_MAX || taken[number]) continue;
      if (level < LEVELS_MAX && fd >= 0 && !lock_byte(fd, level, number)) continue;
      taken[number] = true;
      chosen[got++] = number;
    }
}

mle_status mle_claim_take(const char *what, const int *candidates, size_t num_candidates,
                          size_t count, int *chosen, mle_claim **out, mle_error *err) {
  mle_status status = MLE_OK;
  *out = NULL;
  if (count > num_candidates)
    return mle_fail(err, MLE_EINVAL, "the job wants %zu %s%s, but there %s %zu to use here; ask for fewer in its resources",
                    count, what, count == 1 ? "" : "s", num_candidates == 1 ? "is" : "are", num_candidates);
  char *path = path_of(what);
  mle_claim *claim = mle_calloc(1, sizeof *claim);
  if (path == NULL || claim == NULL) {
    status = mle_nomem(err, "claiming processors");
    goto done;
  }
  claim->fd = open_file(path); /* where no file can be, each engine chooses by itself */
  choose(claim->fd, candidates, num_candidates, count, chosen);
  *out = claim;
  claim = NULL;
done:
  mle_claim_free(claim);
  mle_free(path);
  return status;
}

int mle_claim_fd(const mle_claim *claim) { return claim->fd; }

void mle_claim_free(mle_claim *claim) {
  if (claim == NULL) return;
  if (claim->fd >= 0) close(claim->fd);
  mle_free(claim);
}
