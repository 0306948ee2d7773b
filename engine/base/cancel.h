/*
 * cancel.h -- one flag that asks the whole process to stop.
 *
 *     mle_cancel_on_signals();            in main
 *     if (mle_cancelled()) return mle_cancel_fail(err, "training");
 *
 * Long native loops poll it; a Lua hook polls it for scripts. Once set it stays
 * set, so that nothing can swallow it. Any thread or signal handler may set it.
 */
#ifndef MLE_CANCEL_H
#define MLE_CANCEL_H

#include <stdbool.h>

#include "engine/base/error.h"

/* SIGINT and SIGTERM set the flag from now on; the second SIGINT ends the process. */
void mle_cancel_on_signals(void);

void mle_cancel(int signal); /* 0: no signal, a caller of ours asked */
bool mle_cancelled(void);
int mle_cancel_signal(void); /* the signal that asked, 0 when none did */

/* Takes back a SIGINT, and nothing else: for the prompt, between two evaluations. */
bool mle_cancel_forgive(void);

/* Returns MLE_ECANCELLED with "<doing>: stopped by SIGINT". */
mle_status mle_cancel_fail(mle_error *err, const char *doing);

#endif
