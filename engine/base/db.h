/*
 * db.h -- a thin door to SQLite: typed parameters, errors as mle_error.
 *
 *     MLE_GO(mle_db_run(db, err, "insert into t(name, at) values (?, ?)", "si", name, at));
 *     MLE_GO(mle_db_query(db, &rows, err, "select name, at from t where at > ?", "i", since));
 *     while ((status = mle_db_next(&rows, err)) == MLE_OK && rows.found) use(mle_db_text(&rows, 0));
 *     mle_db_end(&rows);
 *
 * Parameter letters: s text (const char *, NULL binds null), i int64_t, d double,
 * n null (no argument), b blob (const void *, size_t). A connection belongs to
 * one thread at a time; several processes may open one file. The last statements
 * are kept compiled, by their text.
 */
#ifndef MLE_DB_H
#define MLE_DB_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "engine/base/error.h"

typedef struct mle_db mle_db;

typedef struct mle_db_options {
  bool create;     /* make the file when missing; else that is ENOTFOUND */
  bool wal;        /* write-ahead log, synchronous=FULL */
  bool checked;    /* each page has a checksum (pages.h): damage is EFORMAT, never believed */
  mode_t mode;     /* of a file made here; 0 means 0644 */
  int busy_ms;     /* how long a statement waits for another's lock; 0 means 20 s */
} mle_db_options;

mle_status mle_db_open(const char *path, const mle_db_options *options, mle_db **out,
                       mle_error *err);
void mle_db_close(mle_db *db); /* rolls back what is open; NULL is ignored */
const char *mle_db_path(const mle_db *db);

/* Runs a script of statements without parameters. */
mle_status mle_db_script(mle_db *db, const char *sql, mle_error *err);

/* Runs one statement; rows it gives are ignored. */
mle_status mle_db_run(mle_db *db, mle_error *err, const char *sql, const char *types, ...);

/*
 * The same outside a transaction, of a database with a write-ahead log, without waiting for the disk: a loss of power
 * may take it back until the next transaction, which brings it along. For what nobody was told of yet.
 */
mle_status mle_db_run_unsynced(mle_db *db, mle_error *err, const char *sql, const char *types, ...);

/* Rows the last mle_db_run changed; the rowid it inserted. */
int64_t mle_db_changes(const mle_db *db);
int64_t mle_db_inserted(const mle_db *db);

/* A transaction that takes the write lock at once (BEGIN IMMEDIATE). */
mle_status mle_db_begin(mle_db *db, mle_error *err);
mle_status mle_db_commit(mle_db *db, mle_error *err);
void mle_db_rollback(mle_db *db); /* no-op outside a transaction */

/* The rows of a query; plain memory, ended by mle_db_end, also after errors. */
typedef struct mle_db_rows {
  mle_db *db;
  void *statement;
  bool found; /* the row at hand is real; false at the end */
} mle_db_rows;

mle_status mle_db_query(mle_db *db, mle_db_rows *rows, mle_error *err, const char *sql,
                        const char *types, ...);
mle_status mle_db_next(mle_db_rows *rows, mle_error *err);
void mle_db_end(mle_db_rows *rows);

/* The same statement from its start with other parameters; step it by mle_db_next. */
mle_status mle_db_again(mle_db_rows *rows, mle_error *err, const char *types, ...);

/* A column of the row at hand, from 0. Text and blob live until the next step. */
bool mle_db_is_null(const mle_db_rows *rows, int column);
int64_t mle_db_int(const mle_db_rows *rows, int column);
double mle_db_double(const mle_db_rows *rows, int column);
const char *mle_db_text(const mle_db_rows *rows, int column); /* NULL for null */
int mle_db_columns(const mle_db_rows *rows);

/* One number; `fallback` when there is no row or it is null. */
mle_status mle_db_get_int(mle_db *db, int64_t fallback, int64_t *out, mle_error *err,
                          const char *sql, const char *types, ...);

/* One text, owned by the caller; NULL when there is no row or it is null. */
mle_status mle_db_get_text(mle_db *db, char **out, mle_error *err, const char *sql,
                           const char *types, ...);

mle_status mle_db_has_table(mle_db *db, const char *table, bool *out, mle_error *err);
mle_status mle_db_has_column(mle_db *db, const char *table, const char *column, bool *out,
                             mle_error *err);

#endif
