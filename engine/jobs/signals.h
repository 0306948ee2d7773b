/*
 * signals.h -- being asked to stop, as an event for the process that minds others.
 *
 *     MLE_TRY(mle_signals_hold(err));
 *     ... mle_signals_take(&signal) ...
 *     mle_signals_release();
 *
 * While held, SIGINT, SIGTERM and SIGHUP interrupt nothing and wait to be taken:
 * the engine first ends the jobs it started, and records it. SIGPIPE is ignored,
 * so that a closed terminal does not end a job. One thread holds.
 */
#ifndef MLE_JOBS_SIGNALS_H
#define MLE_JOBS_SIGNALS_H

#include <stdbool.h>

#include "engine/base/error.h"

mle_status mle_signals_hold(mle_error *err); /* holding twice is fine */
void mle_signals_release(void);

/* Whether one came since the last call. */
bool mle_signals_take(int *out_signal);

/* Readable when one came; -1 while not held. */
int mle_signals_fd(void);

/* In a process made by fork: everything as a program expects to find it. */
void mle_signals_default(void);

/*
 * In a job's process: when its keeper (keeper.h) is killed, so is the whole process
 * group, at once. The death of the engine is the keeper's to see.
 */
void mle_signals_die_with_parent(void);

#endif
