#include "engine/mlflow/sampler.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <time.h>

#include "engine/base/alloc.h"
#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "engine/base/thread.h"
#include "engine/mlflow/store.h"

#define MEGABYTE 1e6
#define POINTS_MAX 8

/* Counters that only grow; a point is the difference of two. */
typedef struct counters {
  uint64_t busy, all; /* ticks of all processors */
  uint64_t received, sent;
} counters;

struct mle_sampler {
  mle_mlflow *store;
  char *run_id;
  int64_t interval_ms, step;
  counters first, last;
  pthread_t thread;
  pthread_mutex_t lock;
  pthread_cond_t wake;
  bool started, stop, warned;
};

/* ====== Reading the machine ====== */

/* "cpu user nice system idle iowait irq softirq steal ..."; a guest's time is in user's. */
static void read_processors(counters *out) {
  uint64_t t[8] = {0};
  FILE *f = fopen("/proc/stat", "re");
  if (f == NULL) return;
  if (fscanf(f, "cpu %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64
                " %" SCNu64 " %" SCNu64,
             &t[0], &t[1], &t[2], &t[3], &t[4], &t[5], &t[6], &t[7]) == 8) {
    for (int i = 0; i < 8; i++) out->all += t[i];
    out->busy = out->all - t[3] - t[4];
  }
  fclose(f);
}

/* "  eth0: received-bytes 7 more  sent-bytes ..." */
static void read_network(counters *out) {
  char line[512];
  FILE *f = fopen("/proc/net/dev", "re");
  if (f == NULL) return;
  while (fgets(line, sizeof line, f) != NULL) {
    uint64_t received, sent;
    const char *colon = strchr(line, ':');
    if (colon == NULL) continue;
    if (sscanf(colon + 1, "%" SCNu64 " %*u %*u %*u %*u %*u %*u %*u %" SCNu64, &received, &sent) != 2)
      continue;
    out->received += received;
    out->sent += sent;
  }
  fclose(f);
}

static counters read_counters(void) {
  counters c = {0};
  read_processors(&c);
  read_network(&c);
  return c;
}

/* In kilobytes. */
static void read_memory(double *total, double *available) {
  char line[256];
  FILE *f = fopen("/proc/meminfo", "re");
  *total = *available = 0;
  if (f == NULL) return;
  while (fgets(line, sizeof line, f) != NULL) {
    uint64_t value;
    if (sscanf(line, "MemTotal: %" SCNu64, &value) == 1) *total = (double)value;
    if (sscanf(line, "MemAvailable: %" SCNu64, &value) == 1) *available = (double)value;
  }
  fclose(f);
}

/* ====== A point of each metric ====== */

typedef struct points {
  mle_mlflow_metric item[POINTS_MAX];
  size_t count;
  int64_t timestamp, step;
} points;

static void add(points *p, const char *key, double value) {
  p->item[p->count++] = (mle_mlflow_metric){key, value, p->timestamp, p->step};
}

static void add_memory(points *p) {
  double total, available;
  read_memory(&total, &available);
  if (total == 0) return;
  add(p, "system/system_memory_usage_megabytes", (total - available) * 1024 / MEGABYTE);
  add(p, "system/system_memory_usage_percentage", (total - available) / total * 100);
}

/* The percentage is of what users may have, as df shows it. */
static void add_disk(points *p) {
  struct statvfs fs;
  if (statvfs("/", &fs) != 0) return;
  double used = (double)(fs.f_blocks - fs.f_bfree) * (double)fs.f_frsize;
  double free_bytes = (double)fs.f_bavail * (double)fs.f_frsize;
  if (used + free_bytes == 0) return;
  add(p, "system/disk_usage_megabytes", used / MEGABYTE);
  add(p, "system/disk_available_megabytes", free_bytes / MEGABYTE);
  add(p, "system/disk_usage_percentage", used / (used + free_bytes) * 100);
}

static void sample(mle_sampler *s, points *p) {
  counters now = read_counters();
  *p = (points){.timestamp = mle_now_ms(), .step = s->step++};
  if (now.all > s->last.all)
    add(p, "system/cpu_utilization_percentage",
        (double)(now.busy - s->last.busy) / (double)(now.all - s->last.all) * 100);
  add_memory(p);
  add_disk(p);
  add(p, "system/network_receive_megabytes", (double)(now.received - s->first.received) / MEGABYTE);
  add(p, "system/network_transmit_megabytes", (double)(now.sent - s->first.sent) / MEGABYTE);
  s->last = now;
}

static void log_point(mle_sampler *s) {
  points p;
  mle_error err;
  sample(s, &p);
  mle_mlflow_batch batch = {.metrics = {p.count, p.item}};
  if (mle_mlflow_log_batch(s->store, s->run_id, &batch, &err) == MLE_OK || s->warned) return;
  s->warned = true;
  mle_log(MLE_WARN, "system metrics of run '%s': %s", s->run_id, err.message);
}

/* ====== The thread ====== */

/* True when the time has come, false when the sampler is to stop. */
static bool wait_for_turn(mle_sampler *s) {
  struct timespec until;
  clock_gettime(CLOCK_MONOTONIC, &until);
  until.tv_sec += s->interval_ms / 1000;
  until.tv_nsec += s->interval_ms % 1000 * 1000000;
  if (until.tv_nsec >= 1000000000) until.tv_sec++, until.tv_nsec -= 1000000000;
  while (!s->stop)
    if (pthread_cond_timedwait(&s->wake, &s->lock, &until) != 0) return !s->stop;
  return false;
}

static void *run(void *sampler) {
  mle_sampler *s = sampler;
  pthread_mutex_lock(&s->lock);
  while (wait_for_turn(s)) {
    pthread_mutex_unlock(&s->lock);
    log_point(s);
    pthread_mutex_lock(&s->lock);
  }
  pthread_mutex_unlock(&s->lock);
  return NULL;
}

static mle_status start(mle_sampler *s, mle_error *err) {
  MLE_TRY(mle_thread_start(&s->thread, run, s, err));
  s->started = true;
  return MLE_OK;
}

mle_status mle_sampler_open(const char *uri, const char *run_id, int64_t interval_ms,
                            mle_sampler **out, mle_error *err) {
  pthread_condattr_t monotonic;
  mle_status status;
  *out = NULL;
  if (interval_ms < MLE_SAMPLER_INTERVAL_MIN_MS)
    return mle_fail(err, MLE_EINVAL, "system metrics every %" PRId64 " ms: at least %d", interval_ms,
                    MLE_SAMPLER_INTERVAL_MIN_MS);
  mle_sampler *s = mle_calloc(1, sizeof *s);
  if (s == NULL) return mle_nomem(err, "sampling system metrics");
  pthread_mutex_init(&s->lock, NULL);
  pthread_condattr_init(&monotonic);
  pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
  pthread_cond_init(&s->wake, &monotonic);
  pthread_condattr_destroy(&monotonic);
  s->interval_ms = interval_ms;
  s->run_id = mle_strdup(run_id);
  s->first = s->last = read_counters();
  if (s->run_id == NULL) status = mle_nomem(err, "sampling system metrics");
  else status = mle_mlflow_open(uri, &s->store, err);
  if (status == MLE_OK) status = start(s, err);
  if (status == MLE_OK) *out = s;
  else mle_sampler_close(s);
  return status;
}

void mle_sampler_close(mle_sampler *s) {
  if (s == NULL) return;
  pthread_mutex_lock(&s->lock);
  s->stop = true;
  pthread_cond_signal(&s->wake);
  pthread_mutex_unlock(&s->lock);
  if (s->started) pthread_join(s->thread, NULL);
  pthread_cond_destroy(&s->wake);
  pthread_mutex_destroy(&s->lock);
  mle_mlflow_close(s->store);
  mle_free(s->run_id);
  mle_free(s);
}
