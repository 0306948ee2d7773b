/*
 * error.h -- what went wrong, in a form that can be thrown away.
 *
 *     mle_error err;
 *     if (mle_file_read(path, MAX, &bytes, &err) != MLE_OK) puts(err.message);
 *
 * A mle_error is plain memory: it owns nothing, so it may sit on the C stack
 * of a function that Lua leaves by longjmp. A message says what was being done,
 * to what, what happened and, where the user can mend it, what to do.
 */
#ifndef MLE_ERROR_H
#define MLE_ERROR_H

#include <stdbool.h>

#define MLE_ERROR_MESSAGE_MAX 1024

typedef enum mle_status {
  MLE_OK = 0,
  MLE_ENOMEM,       /* allocation failed */
  MLE_EINVAL,       /* the caller passed something unusable */
  MLE_EIO,          /* the operating system or the network refused */
  MLE_EFORMAT,      /* bytes read do not follow their format */
  MLE_ENOTFOUND,    /* the named thing does not exist */
  MLE_EEXISTS,      /* the named thing exists already */
  MLE_ECONFLICT,    /* somebody else changed it first; read again and retry */
  MLE_EBUSY,        /* somebody else holds it */
  MLE_ETIMEOUT,     /* it took longer than it may */
  MLE_ECANCELLED,   /* the user, or a signal, asked to stop */
  MLE_EREFUSED,     /* a rule of ours forbids it; the message names the rule */
  MLE_EUNSUPPORTED, /* valid, but outside what this program does */
  MLE_EUNKNOWN      /* the request was sent and its outcome is not known */
} mle_status;

typedef struct mle_error {
  mle_status status;
  bool retryable; /* trying the same again later may succeed */
  char message[MLE_ERROR_MESSAGE_MAX];
} mle_error;

/* Returns the script-facing name of a status: "io", "format", "not found", ... */
const char *mle_status_name(mle_status status);

/*
 * Records a failure and returns `status`, so that a function can end with
 * `return mle_fail(err, MLE_EIO, ...)`. `err` may be NULL. Retryable is set
 * for ECONFLICT, EBUSY and ETIMEOUT.
 */
__attribute__((format(printf, 3, 4)))
mle_status mle_fail(mle_error *err, mle_status status, const char *fmt, ...);

/* The same for an exhausted allocator: "out of memory: <doing>". */
mle_status mle_nomem(mle_error *err, const char *doing);

/* Puts "<text>: " before the message of a failure and returns its status. */
__attribute__((format(printf, 2, 3)))
mle_status mle_context(mle_error *err, const char *fmt, ...);

/* Leaves the function when `expr` fails. Only where nothing is held. */
#define MLE_TRY(expr)                                      \
  do {                                                     \
    mle_status mle_try_status_ = (expr);                   \
    if (mle_try_status_ != MLE_OK) return mle_try_status_; \
  } while (0)

/* Goes to `done` when `expr` fails, with `status` set. Where something is held. */
#define MLE_GO(expr)                   \
  do {                                 \
    status = (expr);                   \
    if (status != MLE_OK) goto done;   \
  } while (0)

#endif
