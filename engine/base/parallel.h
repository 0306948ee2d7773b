/*
 * parallel.h -- one loop, on a few threads.
 *
 *     MLE_GO(mle_parallel(threads, count, read_one, &context, err));    read_one(&context, w, i, err)
 *
 * `work` is called once for each i below `count`, in their order as far as threads can: each
 * takes the next one. `worker`, below `threads`, says which thread that is, for memory of its
 * own. The first failure, by i, is what comes back; what was not begun by then is left undone.
 *
 * What computes has as many threads as processors, what waits for a network more.
 */
#ifndef MLE_PARALLEL_H
#define MLE_PARALLEL_H

#include <stddef.h>

#include "engine/base/error.h"

#define MLE_PARALLEL_MAX 64 /* threads */

typedef mle_status (*mle_parallel_work)(void *context, unsigned worker, size_t i, mle_error *err);

/* The caller's thread is one of them. Where no more can be started it does all. */
mle_status mle_parallel(unsigned threads, size_t count, mle_parallel_work work, void *context,
                        mle_error *err);

/* Processors that this process may use, at least 1. */
unsigned mle_processors(void);

#endif
