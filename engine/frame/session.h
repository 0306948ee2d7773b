/*
 * session.h -- the one DuckDB database of a process.
 *
 *     mle_session_configure(&(mle_session_options){.threads = 2, .memory_max = 2 << 30,
 *                                                  .temp_folder = ".mlengine/tmp"});
 *     mle_session *session;
 *     MLE_TRY(mle_session_shared(&session, err));
 *     MLE_TRY(mle_frame_from_sql(session, "select 1 as one", &frame, err));
 *
 * The database is opened by the first statement, in memory; what does not fit
 * spills to the temporary folder. Nothing is installed, loaded or remembered.
 * Time zone is UTC. A request to stop (base/cancel.h) interrupts what runs.
 * Any thread may use a session.
 */
#ifndef MLE_SESSION_H
#define MLE_SESSION_H

#include <stdint.h>

#include "engine/base/error.h"

typedef struct mle_session mle_session;

typedef struct mle_session_options {
  int threads;             /* 0: one per processor this process may use */
  int64_t memory_max;      /* bytes; 0: half of the machine's memory */
  const char *temp_folder; /* made when something spills; NULL: the system's */
} mle_session_options;

/* A session of its own, for tests. Frames keep it alive after its close. */
mle_status mle_session_open(const mle_session_options *options, mle_session **out, mle_error *err);
void mle_session_close(mle_session *session); /* drops the caller's hold; NULL is ignored */

/* Settles how the process's session will be opened; EREFUSED once it is. */
mle_status mle_session_configure(const mle_session_options *options, mle_error *err);

/* The process's session, which nobody closes. */
mle_status mle_session_shared(mle_session **out, mle_error *err);

#endif
