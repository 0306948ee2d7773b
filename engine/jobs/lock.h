/*
 * lock.h -- named locks in .mlengine/locks, which say that a process is alive.
 *
 *     mle_lock *lock;
 *     MLE_TRY(mle_lock_take(folder, "consumer", "Fraud/Retrain", &lock, err));
 *     mle_lock_describe(lock, "run 7 (process 4711)");
 *
 * A lock is held until its last descriptor is closed: by mle_lock_free, or by
 * the end of the last process that has it, be it by SIGKILL. A process started
 * with it (process.h) holds it too. No clock is involved: a slow or stopped
 * process never looks dead.
 */
#ifndef MLE_JOBS_LOCK_H
#define MLE_JOBS_LOCK_H

#include <stdbool.h>

#include "engine/base/error.h"

typedef struct mle_lock mle_lock;

/* MLE_EBUSY, with what its holder said of itself, when another has it. Any text may be a name. */
mle_status mle_lock_take(const char *folder, const char *kind, const char *name, mle_lock **out,
                         mle_error *err);

/* What others are told while they cannot have it. */
void mle_lock_describe(mle_lock *lock, const char *holder);

int mle_lock_fd(const mle_lock *lock);
void mle_lock_free(mle_lock *lock); /* gives it back; NULL is ignored */

/* Whether a process holds the lock. */
mle_status mle_lock_is_held(const char *folder, const char *kind, const char *name, bool *out,
                            mle_error *err);

/* Removes the file of a name that is never used again. */
void mle_lock_remove(const char *folder, const char *kind, const char *name);

#endif
