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
 * The child finds `input` on descriptor 3, may write an answer to descriptor 4, ask
 * for something on descriptor 5, and holds the locks from descriptor 6 on. It has no standard input; its
 * output is read here, line by line, secrets masked, and kept in the log. When it ends,
 * whatever it started is ended too, wherever that went (keeper.h); and when this process
 * dies, all of them do.
 */
#ifndef MLE_JOBS_PROCESS_H
#define MLE_JOBS_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/buffer.h"
#include "engine/jobs/lock.h"
#include "engine/jobs/profile.h"

#define MLE_PROCESS_INPUT_FD 3
#define MLE_PROCESS_ANSWER_FD 4
#define MLE_PROCESS_REQUESTS_FD 5
#define MLE_PROCESS_LOCKS_FD 6
#define MLE_PROCESS_LOCKS_MAX 4
#define MLE_PROCESS_LINE_MAX ((size_t)64 << 10) /* longer lines are cut into several */
#define MLE_PROCESS_REQUEST_MAX 4096
#define MLE_PROCESS_LOG_MAX ((int64_t)256 << 20)

typedef struct mle_process mle_process;

typedef struct mle_process_options {
  const char *const *argv; /* after the program's name; ends with NULL */
  const void *input;
  size_t input_len;
  mle_lock *const *locks;
  size_t num_locks;
  mle_profile profile;
  const char *const *environment; /* "NAME=value", over this process's own; NULL or ends with NULL */
  const char *const *secrets;     /* what is masked in its lines; NULL or ends with NULL */
  const char *log;                /* file for its lines; NULL: none is kept */
} mle_process_options;

mle_status mle_process_start(const mle_process_options *options, mle_process **out, mle_error *err);

/* Ends the group if it is still there; NULL is ignored. */
void mle_process_free(mle_process *process);

/* The child's own number. */
int64_t mle_process_id(const mle_process *process);

typedef enum mle_process_kind {
  MLE_PROCESS_NOTHING, /* the time is up */
  MLE_PROCESS_LINE,    /* a line of output, without its end */
  MLE_PROCESS_REQUEST, /* the child asks for something, and waits for the reply */
  MLE_PROCESS_ASKED,   /* this process was asked to stop (signals.h) */
  MLE_PROCESS_ENDED    /* the child has ended, and all its lines were given */
} mle_process_kind;

typedef struct mle_process_event {
  mle_process_kind kind;
  bool is_error;    /* LINE: written to standard error */
  const char *text; /* LINE, REQUEST: until the next call */
  size_t len;
  int signal; /* ASKED: which; ENDED: the one that ended it, else 0 */
  int code;   /* ENDED: its exit code */
} mle_process_event;

mle_status mle_process_next(mle_process *process, int64_t timeout_ms, mle_process_event *out,
                            mle_error *err);

/* The answer to a request, at most MLE_PROCESS_REQUEST_MAX bytes. A child that is gone is no failure. */
void mle_process_reply(mle_process *process, const char *text, size_t len);

/* In the child: asks the engine for something, and waits for its reply, which is appended. */
mle_status mle_process_ask(const char *text, size_t len, mle_buffer *reply, mle_error *err);

/* SIGTERM to its process group; SIGKILL to everything it started. */
void mle_process_signal(mle_process *process, int signal);

typedef struct mle_process_usage {
  int64_t peak_memory; /* bytes, of the child and all it started together */
  int64_t cpu_us, bytes_read;
  bool out_of_memory; /* it was ended for wanting more than its profile's memory_max */
  int left;           /* processes of it that could not be ended */
} mle_process_usage;

/* What it used; all zero before it has ended. */
mle_process_usage mle_process_used(const mle_process *process);

/* Appends what the child wrote to descriptor 4, once it has ended. */
mle_status mle_process_answer(mle_process *process, mle_buffer *out, mle_error *err);

#endif
