/*
 * pool.h -- a few threads and a bounded queue of work for them.
 *
 *     MLE_TRY(mle_pool_start(2, 64, &pool, err));
 *     if (!mle_pool_reserve(pool)) ...             full: say so to whoever asks
 *     mle_pool_submit(pool, score, batch);         cannot fail after a reservation
 *     mle_pool_free(pool);
 *
 * Work that still waits when the pool is stopped is called with `dropped` set, on the
 * stopping thread, so that whoever waits for it hears of it.
 */
#ifndef MLE_POOL_H
#define MLE_POOL_H

#include <stdbool.h>

#include "engine/base/error.h"

typedef struct mle_pool mle_pool;

typedef void (*mle_pool_work)(void *context, bool dropped);

mle_status mle_pool_start(unsigned threads, unsigned queue_max, mle_pool **out, mle_error *err);

/* Keeps a place for one piece of work; false when there is none, or the pool is stopping. */
bool mle_pool_reserve(mle_pool *pool);
void mle_pool_submit(mle_pool *pool, mle_pool_work work, void *context);
void mle_pool_cancel(mle_pool *pool); /* gives the place back */

/* Work that waits or runs now. */
unsigned mle_pool_load(mle_pool *pool);

/* Waits for what runs, drops what waits, ends the threads; nothing can be reserved any more.
 * NULL is ignored. */
void mle_pool_stop(mle_pool *pool);

/* Stops it, too. NULL is ignored. */
void mle_pool_free(mle_pool *pool);

#endif
