#include "engine/base/pages.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <zlib.h>

#define NAME "mlengine-pages"
#define RESERVED 8
#define PAGE 4096
#define PAGE_MIN 512
#define HEADER_LEN 100 /* of a database, at the beginning of its first page */
#define PAGE_SIZE_AT 16
#define VERSIONS_AT 18 /* to write and to read */
#define VERSION_MAX 2
#define RESERVED_AT 20

static const unsigned char mark[] = {'m', 'l', 'e', 1}; /* then the CRC-32 of all before */

/* SQLite's own file comes behind it, in the same block. */
typedef struct checked_file {
  sqlite3_file base;
  bool checked; /* its pages have room for checksums, as its header says */
} checked_file;

#define ALIGNED(size) (((size) + 15) / 16 * 16)

static sqlite3_file *real_of(sqlite3_file *file) {
  return (sqlite3_file *)((char *)file + ALIGNED(sizeof(checked_file)));
}

#define REAL(file) real_of(file)->pMethods

/* ====== Checksums ====== */

/* What of the first page a program that copies the file changes: versions and counters, which decide nothing. */
static const struct { int at, len; } passing[] = {{18, 2}, {24, 4}, {40, 4}, {92, 8}};

static void make_checksum(const unsigned char *page, bool first, unsigned char out[RESERVED]) {
  unsigned char header[HEADER_LEN];
  memcpy(header, page, HEADER_LEN);
  for (size_t i = 0; first && i < sizeof passing / sizeof *passing; i++) memset(header + passing[i].at, 0, (size_t)passing[i].len);
  uLong crc = crc32(crc32(0, NULL, 0), header, HEADER_LEN);
  crc = crc32(crc, page + HEADER_LEN, PAGE - RESERVED - HEADER_LEN);
  memcpy(out, mark, sizeof mark);
  for (int i = 0; i < 4; i++) out[4 + i] = (unsigned char)(crc >> 8 * i);
}

static bool has_mark(const unsigned char *page, int len) {
  return memcmp(page + len - RESERVED, mark, sizeof mark) == 0;
}

static bool is_whole(const unsigned char *page, bool first) {
  unsigned char wanted[RESERVED];
  if (!has_mark(page, PAGE)) return true;
  make_checksum(page, first, wanted);
  return memcmp(page + PAGE - RESERVED, wanted, RESERVED) == 0;
}

static bool is_page(const checked_file *file, int len, sqlite3_int64 at) {
  return file->checked && len == PAGE && at % PAGE == 0;
}

/* The header says how long a page is, and what is left free of it: all, as we made it, or nothing, as others did.
 * False when it says anything else, or a first page has a checksum and the header no room for it. */
static bool learn(checked_file *file, const unsigned char *bytes, int len, sqlite3_int64 at) {
  if (at != 0 || len < HEADER_LEN || memcmp(bytes, "SQLite format 3", 16) != 0) return true;
  int page = bytes[PAGE_SIZE_AT] << 8 | bytes[PAGE_SIZE_AT + 1];
  file->checked = bytes[RESERVED_AT] == RESERVED;
  if (bytes[VERSIONS_AT] > VERSION_MAX || bytes[VERSIONS_AT + 1] > VERSION_MAX) return false;
  if (file->checked) return page == PAGE;
  return bytes[RESERVED_AT] == 0 && !(len >= PAGE_MIN && has_mark(bytes, len));
}

/* ====== A database's file ====== */

/* Whether there is a part of the page that begins at `at`. */
static bool ends_behind(sqlite3_file *given, sqlite3_int64 at) {
  sqlite3_int64 size = 0;
  return REAL(given)->xFileSize(real_of(given), &size) == SQLITE_OK && size > at;
}

/* What is left of the checksum would be wrong once the page is changed, and may then get into the log, and from there
 * into the file by a program that knows nothing of it. */
static int read_page(sqlite3_file *given, void *bytes, int len, sqlite3_int64 at) {
  checked_file *file = (checked_file *)given;
  int code = REAL(given)->xRead(real_of(given), bytes, len, at);
  if (code == SQLITE_IOERR_SHORT_READ && is_page(file, len, at) && ends_behind(given, at)) return SQLITE_IOERR_DATA;
  if (code != SQLITE_OK) return code;
  if (!learn(file, bytes, len, at)) return SQLITE_IOERR_DATA;
  if (!is_page(file, len, at)) return SQLITE_OK;
  if (!is_whole(bytes, at == 0)) return SQLITE_IOERR_DATA;
  memset((char *)bytes + PAGE - RESERVED, 0, RESERVED);
  return SQLITE_OK;
}

static int write_page(sqlite3_file *given, const void *bytes, int len, sqlite3_int64 at) {
  checked_file *file = (checked_file *)given;
  unsigned char page[PAGE];
  if (!learn(file, bytes, len, at)) return SQLITE_IOERR_DATA;
  if (!is_page(file, len, at)) return REAL(given)->xWrite(real_of(given), bytes, len, at);
  memcpy(page, bytes, PAGE);
  make_checksum(page, at == 0, page + PAGE - RESERVED);
  return REAL(given)->xWrite(real_of(given), page, PAGE, at);
}

static int file_close(sqlite3_file *f) { return REAL(f)->xClose(real_of(f)); }
static int file_truncate(sqlite3_file *f, sqlite3_int64 size) { return REAL(f)->xTruncate(real_of(f), size); }
static int file_sync(sqlite3_file *f, int flags) { return REAL(f)->xSync(real_of(f), flags); }
/* A last page that is cut off is no page: SQLite, which would count it, then misses one, whoever reads it or not. */
static int file_size(sqlite3_file *f, sqlite3_int64 *out) {
  int code = REAL(f)->xFileSize(real_of(f), out);
  bool checked = ((checked_file *)f)->checked;
  if (code == SQLITE_OK && checked && *out > PAGE) *out -= *out % PAGE;
  return code;
}
static int file_lock(sqlite3_file *f, int kind) { return REAL(f)->xLock(real_of(f), kind); }
static int file_unlock(sqlite3_file *f, int kind) { return REAL(f)->xUnlock(real_of(f), kind); }
static int file_reserved(sqlite3_file *f, int *out) { return REAL(f)->xCheckReservedLock(real_of(f), out); }
static int file_control(sqlite3_file *f, int op, void *arg) { return REAL(f)->xFileControl(real_of(f), op, arg); }
static int file_sector(sqlite3_file *f) { return REAL(f)->xSectorSize(real_of(f)); }
static int file_device(sqlite3_file *f) { return REAL(f)->xDeviceCharacteristics(real_of(f)); }
static int shm_map(sqlite3_file *f, int page, int len, int extend, void volatile **out) {
  return REAL(f)->xShmMap(real_of(f), page, len, extend, out);
}
static int shm_lock(sqlite3_file *f, int at, int count, int flags) {
  return REAL(f)->xShmLock(real_of(f), at, count, flags);
}
static void shm_barrier(sqlite3_file *f) { REAL(f)->xShmBarrier(real_of(f)); }
static int shm_unmap(sqlite3_file *f, int remove) { return REAL(f)->xShmUnmap(real_of(f), remove); }

/* Version 2: what is mapped into memory (3) would go past read_page. */
static const sqlite3_io_methods methods = {
    .iVersion = 2, .xClose = file_close, .xRead = read_page, .xWrite = write_page,
    .xTruncate = file_truncate, .xSync = file_sync, .xFileSize = file_size, .xLock = file_lock,
    .xUnlock = file_unlock, .xCheckReservedLock = file_reserved, .xFileControl = file_control,
    .xSectorSize = file_sector, .xDeviceCharacteristics = file_device, .xShmMap = shm_map,
    .xShmLock = shm_lock, .xShmBarrier = shm_barrier, .xShmUnmap = shm_unmap};

/* ====== The file system ====== */

#define BELOW(vfs) ((sqlite3_vfs *)(vfs)->pAppData)

static int vfs_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *out_flags) {
  if (!(flags & SQLITE_OPEN_MAIN_DB)) return BELOW(vfs)->xOpen(BELOW(vfs), name, file, flags, out_flags);
  ((checked_file *)file)->checked = false;
  file->pMethods = NULL;
  real_of(file)->pMethods = NULL;
  int code = BELOW(vfs)->xOpen(BELOW(vfs), name, real_of(file), flags, out_flags);
  if (code == SQLITE_OK && REAL(file)->iVersion < 2) { /* no log without shared memory */
    REAL(file)->xClose(real_of(file));
    return SQLITE_CANTOPEN;
  }
  if (code == SQLITE_OK) file->pMethods = &methods;
  return code;
}

static int vfs_delete(sqlite3_vfs *v, const char *name, int sync) { return BELOW(v)->xDelete(BELOW(v), name, sync); }
static int vfs_access(sqlite3_vfs *v, const char *name, int flags, int *out) {
  return BELOW(v)->xAccess(BELOW(v), name, flags, out);
}
static int vfs_full(sqlite3_vfs *v, const char *name, int len, char *out) {
  return BELOW(v)->xFullPathname(BELOW(v), name, len, out);
}
static int vfs_random(sqlite3_vfs *v, int len, char *out) { return BELOW(v)->xRandomness(BELOW(v), len, out); }
static int vfs_sleep(sqlite3_vfs *v, int us) { return BELOW(v)->xSleep(BELOW(v), us); }
static int vfs_time(sqlite3_vfs *v, double *out) { return BELOW(v)->xCurrentTime(BELOW(v), out); }
static int vfs_error(sqlite3_vfs *v, int len, char *out) { return BELOW(v)->xGetLastError(BELOW(v), len, out); }

static sqlite3_vfs vfs = {.iVersion = 1, .zName = NAME, .xOpen = vfs_open, .xDelete = vfs_delete,
                          .xAccess = vfs_access, .xFullPathname = vfs_full, .xRandomness = vfs_random,
                          .xSleep = vfs_sleep, .xCurrentTime = vfs_time, .xGetLastError = vfs_error};
static bool registered;

static void register_vfs(void) {
  sqlite3_vfs *below = sqlite3_vfs_find(NULL);
  if (below == NULL) return;
  vfs.pAppData = below;
  vfs.mxPathname = below->mxPathname;
  vfs.szOsFile = (int)ALIGNED(sizeof(checked_file)) + below->szOsFile;
  registered = sqlite3_vfs_register(&vfs, 0) == SQLITE_OK;
}

const char *mle_pages_vfs(void) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, register_vfs);
  return registered ? NAME : NULL;
}

mle_status mle_pages_reserve(struct sqlite3 *handle, mle_error *err) {
  int bytes = RESERVED;
  if (sqlite3_exec(handle, "pragma page_size = 4096", NULL, NULL, NULL) == SQLITE_OK &&
      sqlite3_file_control(handle, "main", SQLITE_FCNTL_RESERVE_BYTES, &bytes) == SQLITE_OK)
    return MLE_OK;
  return mle_fail(err, MLE_EIO, "cannot keep room for checksums in '%s'", sqlite3_db_filename(handle, "main"));
}
