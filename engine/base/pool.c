#include "engine/base/pool.h"

#include <pthread.h>

#include "engine/base/alloc.h"

typedef struct item {
  mle_pool_work work;
  void *context;
} item;

struct mle_pool {
  pthread_mutex_t lock;
  pthread_cond_t filled;
  item *ring;
  unsigned size, first, count; /* of the ring: what waits */
  unsigned load;               /* reserved, waiting or running */
  bool stopping;
  unsigned num_threads;
  pthread_t *thread;
};

static bool take(mle_pool *pool, item *out) {
  if (pool->count == 0) return false;
  *out = pool->ring[pool->first];
  pool->first = (pool->first + 1) % pool->size;
  pool->count--;
  return true;
}

static void *run(void *context) {
  mle_pool *pool = context;
  item next;
  pthread_mutex_lock(&pool->lock);
  for (;;) {
    while (pool->count == 0 && !pool->stopping) pthread_cond_wait(&pool->filled, &pool->lock);
    if (pool->stopping || !take(pool, &next)) break;
    pthread_mutex_unlock(&pool->lock);
    next.work(next.context, false);
    pthread_mutex_lock(&pool->lock);
    pool->load--;
  }
  pthread_mutex_unlock(&pool->lock);
  return NULL;
}

static mle_status start_threads(mle_pool *pool, unsigned threads, mle_error *err) {
  for (; pool->num_threads < threads; pool->num_threads++)
    if (pthread_create(&pool->thread[pool->num_threads], NULL, run, pool) != 0)
      return mle_fail(err, MLE_EIO, "cannot start a thread");
  return MLE_OK;
}

mle_status mle_pool_start(unsigned threads, unsigned queue_max, mle_pool **out, mle_error *err) {
  *out = NULL;
  mle_pool *pool = mle_calloc(1, sizeof *pool);
  if (pool == NULL) return mle_nomem(err, "starting threads");
  pthread_mutex_init(&pool->lock, NULL);
  pthread_cond_init(&pool->filled, NULL);
  pool->size = queue_max;
  pool->ring = mle_calloc(queue_max, sizeof *pool->ring);
  pool->thread = mle_calloc(threads, sizeof *pool->thread);
  mle_status status = pool->ring == NULL || pool->thread == NULL
                          ? mle_nomem(err, "starting threads")
                          : start_threads(pool, threads, err);
  if (status == MLE_OK)
    *out = pool;
  else
    mle_pool_free(pool);
  return status;
}

bool mle_pool_reserve(mle_pool *pool) {
  pthread_mutex_lock(&pool->lock);
  bool room = pool->load < pool->size && !pool->stopping;
  if (room) pool->load++;
  pthread_mutex_unlock(&pool->lock);
  return room;
}

void mle_pool_cancel(mle_pool *pool) {
  pthread_mutex_lock(&pool->lock);
  pool->load--;
  pthread_mutex_unlock(&pool->lock);
}

/* Between a reservation and this the pool may have begun to stop: then it is dropped here. */
void mle_pool_submit(mle_pool *pool, mle_pool_work work, void *context) {
  pthread_mutex_lock(&pool->lock);
  bool stopping = pool->stopping;
  if (!stopping) {
    pool->ring[(pool->first + pool->count++) % pool->size] = (item){work, context};
    pthread_cond_signal(&pool->filled);
  } else {
    pool->load--;
  }
  pthread_mutex_unlock(&pool->lock);
  if (stopping) work(context, true);
}

unsigned mle_pool_load(mle_pool *pool) {
  pthread_mutex_lock(&pool->lock);
  unsigned load = pool->load;
  pthread_mutex_unlock(&pool->lock);
  return load;
}

void mle_pool_stop(mle_pool *pool) {
  if (pool == NULL) return;
  pthread_mutex_lock(&pool->lock);
  pool->stopping = true;
  pthread_cond_broadcast(&pool->filled);
  pthread_mutex_unlock(&pool->lock);
  for (unsigned i = 0; i < pool->num_threads; i++) pthread_join(pool->thread[i], NULL);
  pool->num_threads = 0;
  item left;
  while (take(pool, &left)) left.work(left.context, true);
}

void mle_pool_free(mle_pool *pool) {
  if (pool == NULL) return;
  mle_pool_stop(pool);
  pthread_cond_destroy(&pool->filled);
  pthread_mutex_destroy(&pool->lock);
  mle_free(pool->ring);
  mle_free(pool->thread);
  mle_free(pool);
}
