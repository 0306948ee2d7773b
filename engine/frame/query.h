/*
 * query.h -- statements on DuckDB, for this folder only.
 *
 *     mle_connection *c;
 *     MLE_TRY(mle_connect(session, &c, err));
 *     MLE_GO(mle_query(c, "select 1", &result, err));
 *   done:
 *     duckdb_destroy_result(&result);
 *     mle_disconnect(c);
 *
 * A connection belongs to one thread and runs one statement at a time. While it
 * exists a request to stop interrupts it, again and again (one may be lost).
 */
#ifndef MLE_QUERY_H
#define MLE_QUERY_H

#include <duckdb.h>

#include "engine/base/error.h"
#include "engine/frame/session.h"

typedef struct mle_connection {
  mle_session *session;
  struct database *database; /* the one it was opened on: an internal error ends a database */
  duckdb_connection handle;
  struct mle_connection *next, **at; /* in the session's list of what to interrupt */
} mle_connection;

mle_status mle_connect(mle_session *session, mle_connection **out, mle_error *err);
void mle_disconnect(mle_connection *c); /* NULL is ignored */

/* One more holder of a session. */
mle_session *mle_session_ref(mle_session *session);
int mle_session_threads(const mle_session *session);
int64_t mle_session_memory(const mle_session *session);

const char *mle_session_temp_folder(const mle_session *session);
struct mle_remotes *mle_session_remotes(mle_session *session);

/* Lets results of this connection run ahead by enough bytes to keep all threads busy. */
mle_status mle_connection_stream(mle_connection *c, mle_error *err);

/* Marks the database of a connection as ended: the next connection opens a new one. */
void mle_connection_broken(mle_connection *c);

/* Counts the databases of a session: what lived in an earlier one is gone. */
int mle_connection_generation(const mle_connection *c);

/* Runs one statement, its rows in memory. `out` is to be destroyed also after a failure. */
mle_status mle_query(mle_connection *c, const char *sql, duckdb_result *out, mle_error *err);

/* Runs one statement for its effect, on a connection of its own. */
mle_status mle_run(mle_session *session, const char *sql, mle_error *err);

/* The one number in the one row that a query gives. */
mle_status mle_query_int(mle_connection *c, const char *sql, int64_t *out, mle_error *err);

mle_status mle_prepare(mle_connection *c, const char *sql, duckdb_prepared_statement *out,
                       mle_error *err);

/* Records what DuckDB said, without its decorations. */
mle_status mle_query_fail(mle_connection *c, const char *message, mle_error *err);

#endif
