/*
 * parallel.h -- the same for many things at once; internal to this folder.
 *
 *     MLE_TRY(mle_parallel(count, 8, read_one, &request, err));
 *
 * For work that waits for a network: more threads than processors are of use.
 */
#ifndef MLE_STORE_PARALLEL_H
#define MLE_STORE_PARALLEL_H

#include <stddef.h>

#include "engine/base/error.h"

typedef mle_status (*mle_parallel_work)(void *context, size_t index, mle_error *err);

/* Calls `work` for 0..count, on at most `threads` threads. After a
 * failure no further one begins; the first failure is what it returns. */
mle_status mle_parallel(size_t count, size_t threads, mle_parallel_work work, void *context,
                        mle_error *err);

#endif
