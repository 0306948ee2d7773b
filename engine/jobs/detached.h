/*
 * detached.h -- another mlengine in a session of its own, which goes on when this process ends.
 *
 *     const char *const argv[] = {"child", "engine", NULL};
 *     mle_detached_options options = {.argv = argv, .input = json, .input_len = len, .log = path, .lock = lock};
 *     MLE_TRY(mle_detached_start(&options, &pid, err));
 *     ... mle_detached_reap(pid, &code, &signal) now and then ...
 *
 * As with process.h the child finds `input` on descriptor 3 and holds the lock from descriptor 5 on; its output
 * goes to the log.
 */
#ifndef MLE_JOBS_DETACHED_H
#define MLE_JOBS_DETACHED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/jobs/lock.h"

typedef struct mle_detached_options {
  const char *const *argv; /* after the program's name; ends with NULL */
  const void *input;
  size_t input_len;
  const char *log;      /* appended to */
  const char *folder;   /* its working folder */
  const mle_lock *lock; /* NULL: none */
} mle_detached_options;

mle_status mle_detached_start(const mle_detached_options *options, int64_t *out_pid, mle_error *err);

/* Whether it has ended; then its number means nothing any more. */
bool mle_detached_reap(int64_t pid, int *out_code, int *out_signal);

#endif
