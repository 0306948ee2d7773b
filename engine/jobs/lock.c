/*
 * The lock (kind, name) is flock() on the file locks/KIND-NAME when the name is
 * plain, as a run's number is, else on locks/KIND-<hash of the name>. The file's
 * text is what the holder said of itself; it means nothing while nobody holds it.
 */
#include "engine/jobs/lock.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/alloc.h"
#include "engine/base/buffer.h"
#include "engine/base/file.h"
#include "engine/base/hash.h"

#define HOLDER_MAX 256
#define PLAIN_MAX 20

struct mle_lock {
  int fd;
};

static bool is_plain(const char *name) {
  size_t len = strspn(name, "0123456789");
  return len > 0 && len <= PLAIN_MAX && name[len] == '\0';
}

static char *path_of(const char *folder, const char *kind, const char *name) {
  if (is_plain(name)) return mle_format("%s/locks/%s-%s", folder, kind, name);
  unsigned long long hash = mle_hash64(name, strlen(name), 0);
  return mle_format("%s/locks/%s-%016llx", folder, kind, hash);
}

static mle_status fail_busy(const char *path, const char *kind, const char *name, mle_error *err) {
  mle_buffer holder = MLE_BUFFER(HOLDER_MAX);
  if (mle_file_read(path, &holder, NULL) != MLE_OK || holder.len == 0)
    mle_buffer_puts(&holder, "another process", NULL);
  mle_status status = mle_fail(err, MLE_EBUSY, "%s '%s' is in use by %s; wait for it, or stop it",
                               kind, name, holder.data == NULL ? "another process" : holder.data);
  mle_buffer_release(&holder);
  return status;
}

mle_status mle_lock_take(const char *folder, const char *kind, const char *name, mle_lock **out,
                         mle_error *err) {
  mle_status status = MLE_ENOMEM;
  *out = NULL;
  mle_lock *lock = mle_calloc(1, sizeof *lock);
  char *path = path_of(folder, kind, name);
  if (lock == NULL || path == NULL) {
    mle_nomem(err, "taking a lock");
    goto done;
  }
  status = mle_file_lock(path, &lock->fd, err);
  if (status == MLE_EBUSY) fail_busy(path, kind, name, err);
  if (status != MLE_OK) goto done;
  *out = lock;
  lock = NULL;
done:
  mle_free(lock);
  mle_free(path);
  return status;
}

void mle_lock_describe(mle_lock *lock, const char *holder) {
  size_t len = strnlen(holder, HOLDER_MAX);
  if (ftruncate(lock->fd, 0) == 0 && pwrite(lock->fd, holder, len, 0) < 0)
    return; /* a full disk: then the holder stays unnamed */
}

int mle_lock_fd(const mle_lock *lock) { return lock->fd; }

void mle_lock_free(mle_lock *lock) {
  if (lock == NULL) return;
  close(lock->fd);
  mle_free(lock);
}

mle_status mle_lock_is_held(const char *folder, const char *kind, const char *name, bool *out,
                            mle_error *err) {
  *out = false;
  char *path = path_of(folder, kind, name);
  if (path == NULL) return mle_nomem(err, "looking at a lock");
  int fd = -1;
  mle_status status = mle_file_exists(path) ? mle_file_lock(path, &fd, err) : MLE_OK;
  mle_free(path);
  *out = status == MLE_EBUSY;
  if (fd >= 0) close(fd);
  return status == MLE_EBUSY ? MLE_OK : status;
}

void mle_lock_remove(const char *folder, const char *kind, const char *name) {
  char *path = path_of(folder, kind, name);
  if (path != NULL) unlink(path);
  mle_free(path);
}
