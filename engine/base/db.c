#include "engine/base/db.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/alloc.h"
#include "engine/base/cancel.h"
#include "engine/base/clock.h"
#include "engine/base/file.h"
#include "engine/base/pages.h"

#define DEFAULT_BUSY_MS 20000
#define KEPT 24

/* A statement that may be used again: what it takes to read its text is more than to run it. */
typedef struct kept_statement {
  sqlite3_stmt *statement; /* NULL: the place is free */
  bool in_use;
  uint64_t used_at;
} kept_statement;

struct mle_db {
  sqlite3 *handle;
  char *path;
  kept_statement kept[KEPT];
  uint64_t uses;
};

static mle_status status_of(int code) {
  switch (code & 0xFF) {
    case SQLITE_NOMEM: return MLE_ENOMEM;
    case SQLITE_BUSY:
    case SQLITE_LOCKED: return MLE_EBUSY;
    case SQLITE_CONSTRAINT: return MLE_EEXISTS;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB: return MLE_EFORMAT;
    default: return MLE_EIO;
  }
}

static mle_status fail_db(const mle_db *db, const char *doing, mle_error *err) {
  int code = sqlite3_extended_errcode(db->handle);
  if (code == SQLITE_IOERR_DATA || status_of(code) == MLE_EFORMAT)
    return mle_fail(err, MLE_EFORMAT,
                    "'%s' is damaged: it does not hold what was written to it (%s); put a copy in its place, "
                    "and look after the disk",
                    db->path, sqlite3_errmsg(db->handle));
  if ((code & 0xFF) == SQLITE_IOERR && sqlite3_system_errno(db->handle) != 0)
    return mle_fail(err, MLE_EIO, "%s in '%s': %s", doing, db->path,
                    strerror(sqlite3_system_errno(db->handle)));
  bool busy = status_of(code) == MLE_EBUSY;
  return mle_fail(err, status_of(code), "%s in '%s': %s%s", doing, db->path,
                  sqlite3_errmsg(db->handle),
                  busy ? "; another program has it open and did not let go of it" : "");
}

/* ====== Life ====== */

/*
 * SQLite would make the file with the umask's mode; ours may have to be private. One that is there must not be opened
 * here: closing it would give back the locks that other connections of this process hold on it (POSIX), and another
 * process that closes the database last would remove a log that is in use.
 */
static mle_status make_file(const char *path, mode_t mode, mle_error *err) {
  int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, mode == 0 ? 0644 : mode);
  if (fd < 0 && errno == EEXIST) return MLE_OK;
  if (fd < 0)
    return mle_fail(err, MLE_EIO, "cannot create database '%s': %s", path, strerror(errno));
  close(fd);
  return MLE_OK;
}

/*
 * SQLite does not wait for a lock when it changes the journal: of several
 * processes that make one file together, all but the first are told "busy".
 */
static mle_status use_wal(mle_db *db, int busy_ms, mle_error *err) {
  int64_t end = mle_monotonic_ns() + (int64_t)busy_ms * 1000000;
  mle_status status;
  while ((status = mle_db_script(db, "pragma journal_mode = wal", err)) == MLE_EBUSY &&
         mle_monotonic_ns() < end && !mle_cancelled())
    mle_sleep_ms(5);
  return status;
}

static mle_status set_up(mle_db *db, const mle_db_options *options, mle_error *err) {
  int busy_ms = options->busy_ms > 0 ? options->busy_ms : DEFAULT_BUSY_MS;
  sqlite3_busy_timeout(db->handle, busy_ms);
  sqlite3_extended_result_codes(db->handle, 1);
  if (options->checked) MLE_TRY(mle_pages_reserve(db->handle, err));
  MLE_TRY(mle_db_script(db, "pragma foreign_keys = on", err));
  /* A rollback journal whose removal was not synced comes back after a power loss, and takes the commit with it. */
  if (!options->wal) return mle_db_script(db, "pragma synchronous = extra", err);
  MLE_TRY(use_wal(db, busy_ms, err));
  return mle_db_script(db, "pragma synchronous = full", err);
}

mle_status mle_db_open(const char *path, const mle_db_options *options, mle_db **out,
                       mle_error *err) {
  mle_status status = MLE_OK;
  *out = NULL;
  if (options->create) MLE_TRY(make_file(path, options->mode, err));
  if (!mle_file_exists(path))
    return mle_fail(err, MLE_ENOTFOUND, "there is no database '%s'", path);
  mle_db *db = mle_calloc(1, sizeof *db);
  if (db == NULL || (db->path = mle_strdup(path)) == NULL) {
    status = mle_nomem(err, "opening a database");
    goto done;
  }
  if (sqlite3_open_v2(path, &db->handle, SQLITE_OPEN_READWRITE, options->checked ? mle_pages_vfs() : NULL) !=
      SQLITE_OK) {
    status = db->handle != NULL ? fail_db(db, "cannot open the database", err)
                                : mle_nomem(err, "opening a database");
    goto done;
  }
  MLE_GO(set_up(db, options, err));
  *out = db;
  db = NULL;
done:
  mle_db_close(db);
  return status;
}

static void forget(kept_statement *kept) {
  sqlite3_finalize(kept->statement);
  *kept = (kept_statement){NULL, false, 0};
}

void mle_db_close(mle_db *db) {
  if (db == NULL) return;
  for (int i = 0; i < KEPT; i++) forget(&db->kept[i]);
  sqlite3_close_v2(db->handle);
  mle_free(db->path);
  mle_free(db);
}

const char *mle_db_path(const mle_db *db) { return db->path; }

/* ====== Statements ====== */

mle_status mle_db_script(mle_db *db, const char *sql, mle_error *err) {
  if (sqlite3_exec(db->handle, sql, NULL, NULL, NULL) == SQLITE_OK) return MLE_OK;
  return fail_db(db, "cannot run a statement", err);
}

static int bind_blob(sqlite3_stmt *statement, int index, va_list *args) {
  const void *bytes = va_arg(*args, const void *);
  size_t len = va_arg(*args, size_t);
  return sqlite3_bind_blob64(statement, index, bytes, len, SQLITE_TRANSIENT);
}

static int bind_one(sqlite3_stmt *statement, int index, char type, va_list *args) {
  switch (type) {
    case 's': return sqlite3_bind_text(statement, index, va_arg(*args, const char *), -1,
                                       SQLITE_TRANSIENT);
    case 'i': return sqlite3_bind_int64(statement, index, va_arg(*args, int64_t));
    case 'd': return sqlite3_bind_double(statement, index, va_arg(*args, double));
    case 'b': return bind_blob(statement, index, args);
    case 'n': return sqlite3_bind_null(statement, index);
    default: return SQLITE_MISUSE;
  }
}

static mle_status bind_all(mle_db *db, sqlite3_stmt *statement, const char *types, va_list *args,
                           mle_error *err) {
  for (int i = 0; types[i] != '\0'; i++)
    if (bind_one(statement, i + 1, types[i], args) != SQLITE_OK)
      return fail_db(db, "cannot bind a parameter", err);
  return MLE_OK;
}

static bool is_of(const kept_statement *kept, const char *sql) {
  return kept->statement != NULL && strcmp(sqlite3_sql(kept->statement), sql) == 0;
}

/* The place of a statement with this text that is not in use, else the one to be given up for it; NULL: all are in use. */
static kept_statement *place_for(mle_db *db, const char *sql) {
  kept_statement *oldest = NULL;
  for (int i = 0; i < KEPT; i++) {
    kept_statement *kept = &db->kept[i];
    if (kept->in_use) continue;
    if (is_of(kept, sql)) return kept;
    if (oldest == NULL || kept->used_at < oldest->used_at) oldest = kept;
  }
  return oldest;
}

static mle_status compile(mle_db *db, sqlite3_stmt **out, const char *sql, mle_error *err) {
  if (sqlite3_prepare_v2(db->handle, sql, -1, out, NULL) == SQLITE_OK) return MLE_OK;
  return fail_db(db, "cannot prepare a statement", err);
}

static mle_status obtain(mle_db *db, sqlite3_stmt **out, const char *sql, mle_error *err) {
  kept_statement *kept = place_for(db, sql);
  if (kept == NULL) return compile(db, out, sql, err);
  if (!is_of(kept, sql)) {
    forget(kept);
    MLE_TRY(compile(db, &kept->statement, sql, err));
  }
  *out = kept->statement;
  kept->in_use = kept->statement != NULL;
  kept->used_at = ++db->uses;
  return MLE_OK;
}

/* A statement that is kept holds neither locks nor values. */
static void put_back(mle_db *db, sqlite3_stmt *statement) {
  for (int i = 0; statement != NULL && i < KEPT; i++) {
    if (db->kept[i].statement != statement) continue;
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
    db->kept[i].in_use = false;
    return;
  }
  sqlite3_finalize(statement);
}

static mle_status prepare(mle_db *db, sqlite3_stmt **out, const char *sql, const char *types,
                          va_list *args, mle_error *err) {
  MLE_TRY(obtain(db, out, sql, err));
  mle_status status = bind_all(db, *out, types, args, err);
  if (status == MLE_OK) return MLE_OK;
  put_back(db, *out);
  *out = NULL;
  return status;
}

static mle_status open_rows(mle_db *db, mle_db_rows *rows, const char *sql, const char *types,
                            va_list *args, mle_error *err) {
  *rows = (mle_db_rows){.db = db};
  sqlite3_stmt *statement = NULL;
  MLE_TRY(prepare(db, &statement, sql, types, args, err));
  rows->statement = statement;
  return MLE_OK;
}

static mle_status run(mle_db *db, const char *sql, const char *types, va_list *args, mle_error *err) {
  mle_db_rows rows;
  mle_status status = open_rows(db, &rows, sql, types, args, err);
  rows.found = true;
  while (status == MLE_OK && rows.found) status = mle_db_next(&rows, err);
  mle_db_end(&rows);
  return status;
}

mle_status mle_db_run(mle_db *db, mle_error *err, const char *sql, const char *types, ...) {
  va_list args;
  va_start(args, types);
  mle_status status = run(db, sql, types, &args, err);
  va_end(args);
  return status;
}

mle_status mle_db_run_unsynced(mle_db *db, mle_error *err, const char *sql, const char *types, ...) {
  va_list args;
  MLE_TRY(mle_db_script(db, "pragma synchronous = normal", err));
  va_start(args, types);
  mle_status status = run(db, sql, types, &args, err);
  va_end(args);
  mle_status restored = mle_db_script(db, "pragma synchronous = full", status == MLE_OK ? err : NULL);
  return status == MLE_OK ? restored : status;
}

int64_t mle_db_changes(const mle_db *db) { return sqlite3_changes(db->handle); }
int64_t mle_db_inserted(const mle_db *db) { return sqlite3_last_insert_rowid(db->handle); }

mle_status mle_db_begin(mle_db *db, mle_error *err) {
  return mle_db_script(db, "begin immediate", err);
}

mle_status mle_db_commit(mle_db *db, mle_error *err) {
  mle_status status = mle_db_script(db, "commit", err);
  if (status != MLE_OK) mle_db_rollback(db);
  return status;
}

void mle_db_rollback(mle_db *db) {
  if (!sqlite3_get_autocommit(db->handle)) sqlite3_exec(db->handle, "rollback", NULL, NULL, NULL);
}

/* ====== Rows ====== */

mle_status mle_db_query(mle_db *db, mle_db_rows *rows, mle_error *err, const char *sql,
                        const char *types, ...) {
  va_list args;
  va_start(args, types);
  mle_status status = open_rows(db, rows, sql, types, &args, err);
  va_end(args);
  return status;
}

mle_status mle_db_next(mle_db_rows *rows, mle_error *err) {
  int code = sqlite3_step(rows->statement);
  rows->found = code == SQLITE_ROW;
  if (code == SQLITE_ROW || code == SQLITE_DONE) return MLE_OK;
  return fail_db(rows->db, "cannot run a statement", err);
}

void mle_db_end(mle_db_rows *rows) {
  if (rows->statement != NULL) put_back(rows->db, rows->statement);
  rows->statement = NULL;
  rows->found = false;
}

mle_status mle_db_again(mle_db_rows *rows, mle_error *err, const char *types, ...) {
  va_list args;
  sqlite3_reset(rows->statement); /* repeats the last step's error, told already */
  rows->found = false;
  va_start(args, types);
  mle_status status = bind_all(rows->db, rows->statement, types, &args, err);
  va_end(args);
  return status;
}

bool mle_db_is_null(const mle_db_rows *rows, int column) {
  return sqlite3_column_type(rows->statement, column) == SQLITE_NULL;
}

int64_t mle_db_int(const mle_db_rows *rows, int column) {
  return sqlite3_column_int64(rows->statement, column);
}

double mle_db_double(const mle_db_rows *rows, int column) {
  return sqlite3_column_double(rows->statement, column);
}

const char *mle_db_text(const mle_db_rows *rows, int column) {
  return (const char *)sqlite3_column_text(rows->statement, column);
}

int mle_db_columns(const mle_db_rows *rows) { return sqlite3_column_count(rows->statement); }

mle_status mle_db_get_int(mle_db *db, int64_t fallback, int64_t *out, mle_error *err,
                          const char *sql, const char *types, ...) {
  mle_db_rows rows;
  va_list args;
  *out = fallback;
  va_start(args, types);
  mle_status status = open_rows(db, &rows, sql, types, &args, err);
  va_end(args);
  if (status == MLE_OK) status = mle_db_next(&rows, err);
  if (status == MLE_OK && rows.found && !mle_db_is_null(&rows, 0)) *out = mle_db_int(&rows, 0);
  mle_db_end(&rows);
  return status;
}

mle_status mle_db_get_text(mle_db *db, char **out, mle_error *err, const char *sql,
                           const char *types, ...) {
  mle_db_rows rows;
  va_list args;
  *out = NULL;
  va_start(args, types);
  mle_status status = open_rows(db, &rows, sql, types, &args, err);
  va_end(args);
  if (status == MLE_OK) status = mle_db_next(&rows, err);
  if (status == MLE_OK && rows.found && !mle_db_is_null(&rows, 0)) {
    *out = mle_strdup(mle_db_text(&rows, 0));
    if (*out == NULL) status = mle_nomem(err, "reading a row");
  }
  mle_db_end(&rows);
  return status;
}

mle_status mle_db_has_table(mle_db *db, const char *table, bool *out, mle_error *err) {
  int64_t count;
  mle_status status = mle_db_get_int(
      db, 0, &count, err, "select count(*) from sqlite_master where type = 'table' and name = ?",
      "s", table);
  *out = count > 0;
  return status;
}

mle_status mle_db_has_column(mle_db *db, const char *table, const char *column, bool *out,
                             mle_error *err) {
  int64_t count;
  mle_status status =
      mle_db_get_int(db, 0, &count, err, "select count(*) from pragma_table_info(?) where name = ?",
                     "ss", table, column);
  *out = count > 0;
  return status;
}
