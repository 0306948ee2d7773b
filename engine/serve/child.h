/*
 * child.h -- this program again, in a process of its own, and what it says.
 */
#ifndef MLE_CHILD_H
#define MLE_CHILD_H

#include "engine/base/buffer.h"

/*
 * Runs `program` with nothing to read and no other descriptor, and waits. `out_code` is as
 * waitpid gives it. ETIMEOUT, ECANCELLED: it was killed. More output than the buffers take
 * is dropped.
 */
mle_status mle_child_run(const char *program, char *const argv[], int timeout_ms,
                         mle_buffer *output, mle_buffer *errors, int *out_code, mle_error *err);

/* The last line of what it said, without the program's name; `fallback` when it said nothing. */
const char *mle_child_last_line(mle_buffer *errors, const char *fallback);

#endif
