#include "engine/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/alloc.h"
#include "engine/base/hash.h"

static mle_status fail_io(mle_error *err, const char *doing, const char *path) {
  int code = errno;
  mle_status status = code == ENOENT ? MLE_ENOTFOUND : code == EEXIST ? MLE_EEXISTS : MLE_EIO;
  return mle_fail(err, status, "cannot %s '%s': %s", doing, path, strerror(code));
}

/* ====== Reading ====== */

static mle_status open_regular(const char *path, int *out_fd, int64_t *out_size, mle_error *err) {
  *out_fd = open(path, O_RDONLY | O_CLOEXEC);
  if (*out_fd < 0) return fail_io(err, "open", path);
  struct stat info;
  if (fstat(*out_fd, &info) == 0 && S_ISREG(info.st_mode)) {
    *out_size = info.st_size;
    return MLE_OK;
  }
  close(*out_fd);
  *out_fd = -1;
  return mle_fail(err, MLE_EIO, "cannot read '%s': not a regular file", path);
}

static mle_status read_fully(int fd, const char *path, int64_t offset, size_t len,
                             mle_buffer *out, mle_error *err) {
  mle_status status = mle_buffer_reserve(out, len, err);
  if (status != MLE_OK) return mle_context(err, "reading '%s'", path);
  size_t done = 0;
  while (done < len) {
    ssize_t got = pread(fd, out->data + out->len + done, len - done, (off_t)offset + (off_t)done);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail_io(err, "read", path);
    if (got == 0)
      return mle_fail(err, MLE_EFORMAT, "cannot read '%s': truncated at byte %lld", path,
                      (long long)offset + (long long)done);
    done += (size_t)got;
  }
  out->len += len;
  out->data[out->len] = '\0';
  return MLE_OK;
}

mle_status mle_file_read(const char *path, mle_buffer *out, mle_error *err) {
  int fd;
  int64_t size;
  MLE_TRY(open_regular(path, &fd, &size, err));
  mle_status status = read_fully(fd, path, 0, (size_t)size, out, err);
  close(fd);
  return status;
}

mle_status mle_file_read_range(const char *path, int64_t offset, size_t len, mle_buffer *out,
                               mle_error *err) {
  int fd;
  int64_t size;
  MLE_TRY(open_regular(path, &fd, &size, err));
  mle_status status = read_fully(fd, path, offset, len, out, err);
  close(fd);
  return status;
}

mle_status mle_file_size(const char *path, int64_t *out, mle_error *err) {
  struct stat info;
  *out = 0;
  if (stat(path, &info) != 0) return fail_io(err, "find", path);
  *out = info.st_size;
  return MLE_OK;
}

bool mle_file_exists(const char *path) { return access(path, F_OK) == 0; }

/* ====== Writing ====== */

static mle_status sync_folder_of(const char *path, mle_error *err) {
  const char *slash = strrchr(path, '/');
  char *folder = slash == NULL    ? mle_strdup(".")
                 : slash == path  ? mle_strdup("/")
                                  : mle_strndup(path, (size_t)(slash - path));
  if (folder == NULL) return mle_nomem(err, "syncing a folder");
  int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  mle_status status = MLE_OK;
  if (fd < 0 || fsync(fd) != 0) status = fail_io(err, "sync folder", folder);
  if (fd >= 0) close(fd);
  mle_free(folder);
  return status;
}

static mle_status write_fully(int fd, const char *path, const char *bytes, size_t len,
                              mle_error *err) {
  size_t done = 0;
  while (done < len) {
    ssize_t put = write(fd, bytes + done, len - done);
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return fail_io(err, "write", path);
    done += (size_t)put;
  }
  return fsync(fd) == 0 ? MLE_OK : fail_io(err, "sync", path);
}

static mle_status write_temporary(const char *temporary, const char *path, const void *bytes,
                                  size_t len, mode_t mode, mle_error *err) {
  int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
  if (fd < 0) return fail_io(err, "create", path);
  mle_status status = write_fully(fd, path, bytes, len, err);
  if (close(fd) != 0 && status == MLE_OK) status = fail_io(err, "close", path);
  return status;
}

/* `take` gives the synced temporary file its name: rename replaces, link does not. */
static mle_status write_as(const char *path, const void *bytes, size_t len, mode_t mode,
                           int (*take)(const char *, const char *), mle_error *err) {
  char id[MLE_UUID_TEXT];
  char *temporary = mle_format("%s.tmp-%.12s", path, mle_uuid_hex(id));
  if (temporary == NULL) return mle_nomem(err, "writing a file");
  mle_status status = write_temporary(temporary, path, bytes, len, mode, err);
  if (status == MLE_OK && take(temporary, path) != 0) status = fail_io(err, "create", path);
  if (status != MLE_OK || take == link) unlink(temporary);
  mle_free(temporary);
  return status == MLE_OK ? sync_folder_of(path, err) : status;
}

mle_status mle_file_create(const char *path, const void *bytes, size_t len, mode_t mode,
                           mle_error *err) {
  return write_as(path, bytes, len, mode, link, err);
}

mle_status mle_file_replace(const char *path, const void *bytes, size_t len, mode_t mode,
                            mle_error *err) {
  return write_as(path, bytes, len, mode, rename, err);
}

mle_status mle_file_sync(const char *path, mle_error *err) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return fail_io(err, "open", path);
  mle_status status = fsync(fd) == 0 ? MLE_OK : fail_io(err, "sync", path);
  close(fd);
  return status == MLE_OK ? sync_folder_of(path, err) : status;
}

/* ====== Names and folders ====== */

mle_status mle_file_remove(const char *path, mle_error *err) {
  if (unlink(path) == 0 || errno == ENOENT) return MLE_OK;
  return fail_io(err, "remove", path);
}

static int remove_entry(const char *path, const struct stat *info, int kind, struct FTW *at) {
  (void)info, (void)kind, (void)at;
  return remove(path);
}

mle_status mle_remove_tree(const char *path, mle_error *err) {
  if (nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS) == 0 || errno == ENOENT) return MLE_OK;
  return fail_io(err, "remove folder", path);
}

mle_status mle_make_folders(const char *path, mode_t mode, mle_error *err) {
  char *copy = mle_strdup(path);
  if (copy == NULL) return mle_nomem(err, "creating a folder");
  mle_status status = MLE_OK;
  for (char *at = copy + 1; status == MLE_OK && *copy != '\0'; at++) {
    bool last = *at == '\0';
    if (!last && *at != '/') continue;
    *at = '\0';
    if (mkdir(copy, mode) != 0 && errno != EEXIST) status = fail_io(err, "create folder", copy);
    if (last) break;
    *at = '/';
  }
  mle_free(copy);
  struct stat info;
  if (status == MLE_OK && (stat(path, &info) != 0 || !S_ISDIR(info.st_mode)))
    status = mle_fail(err, MLE_EIO, "cannot create folder '%s': a file has that name", path);
  return status;
}

char *mle_path_join(const char *folder, const char *name) {
  if (name[0] == '/') return mle_strdup(name);
  size_t len = strlen(folder);
  const char *slash = len > 0 && folder[len - 1] == '/' ? "" : "/";
  return mle_format("%s%s%s", folder, slash, name);
}

/* Works on text alone, left to right; `out` never grows past its input. */
static void remove_dots(char *path) {
  char *out = path;
  for (char *at = path; *at != '\0';) {
    char *end = strchrnul(at + 1, '/');
    size_t len = (size_t)(end - at);
    if (len == 3 && at[1] == '.' && at[2] == '.') {
      while (out > path && *--out != '/') continue;
    } else if (len > 1 && !(len == 2 && at[1] == '.')) {
      memmove(out, at, len);
      out += len;
    }
    at = end;
  }
  if (out == path) *out++ = '/';
  *out = '\0';
}

char *mle_path_absolute(const char *path) {
  char folder[4096];
  if (path[0] != '/' && getcwd(folder, sizeof folder) == NULL) return NULL;
  char *joined = path[0] == '/' ? mle_strdup(path) : mle_path_join(folder, path);
  if (joined != NULL) remove_dots(joined);
  return joined;
}

const char *mle_path_name(const char *path) {
  const char *slash = strrchr(path, '/');
  return slash == NULL ? path : slash + 1;
}

mle_status mle_file_lock(const char *path, int *out_fd, mle_error *err) {
  *out_fd = -1;
  int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return fail_io(err, "open", path);
  if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
    *out_fd = fd;
    return MLE_OK;
  }
  mle_status status = errno == EWOULDBLOCK
                          ? mle_fail(err, MLE_EBUSY, "'%s' is locked by another process", path)
                          : fail_io(err, "lock", path);
  close(fd);
  return status;
}
