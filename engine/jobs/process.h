/*
 * process.h -- another mlengine in a process group of its own, and what it says.
 *
 *     const char *const argv[] = {"child", "job", NULL};
 *     mle_process_options options = {.argv = argv, .input = json, .input_len = len};
 *     MLE_TRY(mle_process_start(&options, &process, err));
 *     do {
 *       MLE_GO(mle_process_next(process, 1000, &event, err));
 *       if (event.kind == MLE_PROCESS_LINE) use(event.text, event.len);
 *     } while (event.kind != MLE_PROCESS_ENDED);
 *   done:
 *     mle_process_free(process);
 *
 * The child finds `input` on descriptor 3, may write an answer to descriptor 4,
 * and holds the locks from descriptor 5 on. It has no standard input; its
 * output is read here, line by line, and kept in the log. When it ends, all
 * that is left of its group is ended too. When this process dies, the child does.
 */
#ifndef MLE_JOBS_PROCESS_H
#define MLE_JOBS_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/buffer.h"
#include "engine/jobs/lock.h"

#define MLE_PROCESS_INPUT_FD 3
#define MLE_PROCESS_ANSWER_FD 4
#define MLE_PROCESS_LOCKS_FD 5
#define MLE_PROCESS_LOCKS_MAX 4
#define MLE_PROCESS_LINE_MAX ((size_t)64 << 10) /* longer lines are cut into several */
#define MLE_PROCESS_LOG_MAX ((int64_t)256 << 20)

typedef struct mle_process mle_process;

typedef struct mle_process_options {
  const char *const *argv; /* after the program's name; ends with NULL */
  const void *input;
  size_t input_len;
  mle_lock *const *locks;
  size_t num_locks;
  int cpus;        /* how many it may use; 0: all this process may */
  const char *log; /* file for its lines; NULL: none is kept */
} mle_process_options;

mle_status mle_process_start(const mle_process_options *options, mle_process **out, mle_error *err);

/* Ends the group if it is still there; NULL is ignored. */
void mle_process_free(mle_process *process);

int64_t mle_process_id(const mle_process *process);

typedef enum mle_process_kind {
  MLE_PROCESS_NOTHING, /* the time is up */
  MLE_PROCESS_LINE,    /* a line of output, without its end */
  MLE_PROCESS_ASKED,   /* this process was asked to stop (signals.h) */
  MLE_PROCESS_ENDED    /* the child has ended, and all its lines were given */
} mle_process_kind;

typedef struct mle_process_event {
  mle_process_kind kind;
  bool is_error;    /* LINE: written to standard error */
  const char *text; /* LINE: until the next call */
  size_t len;
  int signal; /* ASKED: which; ENDED: the one that ended it, else 0 */
  int code;   /* ENDED: its exit code */
} mle_process_event;

mle_status mle_process_next(mle_process *process, int64_t timeout_ms, mle_process_event *out,
                            mle_error *err);

/* Sends a signal to the whole group. */
void mle_process_signal(mle_process *process, int signal);

/* Appends what the child wrote to descriptor 4, once it has ended. */
mle_status mle_process_answer(mle_process *process, mle_buffer *out, mle_error *err);

#endif
