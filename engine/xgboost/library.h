/*
 * library.h -- calls into libxgboost: its errors as mle_error, its log ours.
 *
 *     mle_library_enter();                                 on each thread that calls it
 *     MLE_GO(mle_library_check(XGBoosterCreate(...), "creating a booster", err));
 *
 * Internal to engine/xgboost. XGBoost keeps its log callback, random state and last
 * error per thread: a booster and its matrices live on one thread.
 */
#ifndef MLE_XGBOOST_LIBRARY_H
#define MLE_XGBOOST_LIBRARY_H

#include <stdbool.h>
#include <stddef.h>

#include "engine/base/error.h"

/* Takes over this thread's log: warnings go to ours, but see below. */
void mle_library_enter(void);

/* MLE_OK for rc 0, else the library's last error: "<doing>: <its first line, cleaned>". */
mle_status mle_library_check(int rc, const char *doing, mle_error *err);

/*
 * What the library only warns of, kept for this thread since mle_library_forget():
 * the names of parameters it does not use, as "a, b", and that it fell back to the CPU.
 */
void mle_library_forget(void);
const char *mle_library_unused(void); /* "" when all were used */
bool mle_library_lost_device(void);

/* Whether this build of the library has CUDA. */
bool mle_library_has_cuda(void);

/* "3.2.0" */
const char *mle_library_version(void);

#endif
