/*
 * thread.h -- a thread that no signal is delivered to: signals are the main thread's.
 *
 *     MLE_TRY(mle_thread_start(&s->thread, run, s, err));
 *     ...
 *     pthread_join(s->thread, NULL);
 */
#ifndef MLE_THREAD_H
#define MLE_THREAD_H

#include <pthread.h>

#include "engine/base/error.h"

/* EIO when the system has none to give. */
mle_status mle_thread_start(pthread_t *out, void *(*run)(void *), void *context, mle_error *err);

#endif
