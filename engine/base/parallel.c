#include "engine/base/parallel.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>

#include "engine/base/thread.h"

typedef struct loop {
  mle_parallel_work work;
  void *context;
  size_t count;
  atomic_size_t next;
  atomic_bool failed;
} loop;

typedef struct member {
  loop *loop;
  unsigned number;
  mle_status status;
  size_t failed_at;
  mle_error err;
  pthread_t thread;
} member;

static void *run(void *context) {
  member *m = context;
  loop *l = m->loop;
  while (!atomic_load(&l->failed)) {
    size_t i = atomic_fetch_add(&l->next, 1);
    if (i >= l->count) break;
    m->status = l->work(l->context, m->number, i, &m->err);
    if (m->status == MLE_OK) continue;
    m->failed_at = i;
    atomic_store(&l->failed, true);
  }
  return NULL;
}

/* How many could be started. */
static unsigned start(member *members, unsigned count) {
  unsigned started = 0;
  while (started < count &&
         mle_thread_start(&members[started].thread, run, &members[started], NULL) == MLE_OK)
    started++;
  return started;
}

mle_status mle_parallel(unsigned threads, size_t count, mle_parallel_work work, void *context,
                        mle_error *err) {
  loop l = {.work = work, .context = context, .count = count};
  member members[MLE_PARALLEL_MAX];
  if (threads > MLE_PARALLEL_MAX) threads = MLE_PARALLEL_MAX;
  if (threads > count) threads = (unsigned)count;
  for (unsigned i = 0; i < threads || i == 0; i++)
    members[i] = (member){.loop = &l, .number = i, .failed_at = SIZE_MAX};
  unsigned others = threads > 1 ? start(members + 1, threads - 1) : 0;
  run(&members[0]);
  const member *first = &members[0];
  for (unsigned i = 1; i <= others; i++) {
    pthread_join(members[i].thread, NULL);
    if (members[i].failed_at < first->failed_at) first = &members[i];
  }
  if (first->status != MLE_OK && err != NULL) *err = first->err;
  return first->status;
}

unsigned mle_processors(void) {
  cpu_set_t cpus;
  if (sched_getaffinity(0, sizeof cpus, &cpus) != 0) return 1;
  return CPU_COUNT(&cpus) < 1 ? 1 : (unsigned)CPU_COUNT(&cpus);
}
