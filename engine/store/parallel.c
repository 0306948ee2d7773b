#include "engine/store/parallel.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#define THREADS_MAX 64

typedef struct job {
  mle_parallel_work work;
  void *context;
  size_t count;
  atomic_size_t next;
  atomic_bool failed;
  pthread_mutex_t lock; /* guards the two below */
  mle_status status;
  mle_error err;
} job;

static void fail(job *j, mle_status status, const mle_error *err) {
  pthread_mutex_lock(&j->lock);
  if (j->status == MLE_OK) {
    j->status = status;
    j->err = *err;
  }
  pthread_mutex_unlock(&j->lock);
  atomic_store(&j->failed, true);
}

static void *run(void *arg) {
  job *j = arg;
  while (!atomic_load(&j->failed)) {
    size_t index = atomic_fetch_add(&j->next, 1);
    if (index >= j->count) break;
    mle_error err;
    mle_status status = j->work(j->context, index, &err);
    if (status != MLE_OK) fail(j, status, &err);
  }
  return NULL;
}

/* A thread that cannot be made is one less: this one does the work too. Signals stay with the
 * threads that expect them. */
mle_status mle_parallel(size_t count, size_t threads, mle_parallel_work work, void *context,
                        mle_error *err) {
  job j = {.work = work, .context = context, .count = count, .status = MLE_OK};
  pthread_t made[THREADS_MAX];
  size_t num_made = 0;
  sigset_t all, before;
  pthread_mutex_init(&j.lock, NULL);
  if (threads > THREADS_MAX) threads = THREADS_MAX;
  if (threads > count) threads = count;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  while (num_made + 1 < threads && pthread_create(&made[num_made], NULL, run, &j) == 0) num_made++;
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  run(&j);
  for (size_t i = 0; i < num_made; i++) pthread_join(made[i], NULL);
  pthread_mutex_destroy(&j.lock);
  if (j.status != MLE_OK && err != NULL) *err = j.err;
  return j.status;
}
