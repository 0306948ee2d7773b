#include "engine/serve/trial.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/clock.h"
#include "engine/base/hash.h"

#define KS_ONE_IN_A_THOUSAND 1.95

void mle_trial_init(mle_trial *trial) { pthread_mutex_init(&trial->lock, NULL); }

void mle_trial_begin(mle_trial *trial, const mle_trial_bounds *bounds) {
  pthread_mutex_lock(&trial->lock);
  atomic_fetch_add(&trial->number, 1);
  atomic_store(&trial->share, 0);
  atomic_store(&trial->shadow, false);
  memset(trial->side, 0, sizeof trial->side);
  trial->compared = trial->differed = trial->dropped = 0;
  trial->sum_apart = trial->max_apart = 0;
  trial->ended[0] = '\0';
  trial->bounds = *bounds;
  trial->asked_ns = mle_monotonic_ns();
  trial->under_way = true;
  pthread_mutex_unlock(&trial->lock);
}

bool mle_trial_set(mle_trial *trial, unsigned share, bool shadow) {
  pthread_mutex_lock(&trial->lock);
  bool goes_on = trial->under_way;
  atomic_store(&trial->share, goes_on ? share : 0);
  atomic_store(&trial->shadow, goes_on && shadow);
  pthread_mutex_unlock(&trial->lock);
  return goes_on;
}

/* With the lock held. */
static void end(mle_trial *trial, const char *why) {
  if (!trial->under_way) return;
  trial->under_way = false;
  atomic_store(&trial->share, 0);
  atomic_store(&trial->shadow, false);
  snprintf(trial->ended, sizeof trial->ended, "%s", why);
}

void mle_trial_end(mle_trial *trial, const char *why) {
  pthread_mutex_lock(&trial->lock);
  end(trial, why);
  pthread_mutex_unlock(&trial->lock);
}

/* A mixed counter: the share holds over any hundred requests or so, without a pattern. */
bool mle_trial_takes(mle_trial *trial) {
  unsigned share = atomic_load_explicit(&trial->share, memory_order_relaxed);
  if (share == 0) return false;
  uint64_t turn = atomic_fetch_add_explicit(&trial->turn, 1, memory_order_relaxed);
  return mle_mix64(turn) % MLE_TRIAL_WHOLE < share;
}

bool mle_trial_watches(const mle_trial *trial) {
  return atomic_load_explicit(&trial->share, memory_order_relaxed) > 0 ||
         atomic_load_explicit(&trial->shadow, memory_order_relaxed);
}

unsigned long long mle_trial_number(const mle_trial *trial) {
  return atomic_load_explicit(&trial->number, memory_order_acquire);
}

/* Each side keeps as many as the other, so both windows are of the same time: traffic that changes is no drift. */
static void keep_scores(mle_trial_side *side, const mle_trial_side *other, const float *scores, size_t count) {
  if (side->scores > other->scores) return;
  size_t first = count > MLE_TRIAL_SCORES ? count - MLE_TRIAL_SCORES : 0;
  for (size_t i = first; i < count; i++)
    side->last[side->scores++ % MLE_TRIAL_SCORES] = scores[i];
}

/* With the lock held. */
static void note(mle_trial_side *side, const char *failure) {
  side->requests++;
  side->failed += failure != NULL;
  if (failure != NULL) snprintf(side->failure, sizeof side->failure, "%s", failure);
}

void mle_trial_note(mle_trial *trial, unsigned long long number, mle_side side, const char *failure, const float *scores,
                    size_t count) {
  pthread_mutex_lock(&trial->lock);
  if (number == atomic_load(&trial->number)) {
    note(&trial->side[side], failure);
    keep_scores(&trial->side[side], &trial->side[1 - side], scores, count);
  }
  pthread_mutex_unlock(&trial->lock);
}

/* How far two scores are apart; one that is no number is far from all but its like. */
static double apart(float a, float b) {
  if (!isfinite(a) || !isfinite(b)) return memcmp(&a, &b, sizeof a) == 0 ? 0 : (double)INFINITY;
  return fabs((double)a - (double)b);
}

void mle_trial_compare(mle_trial *trial, unsigned long long number, const float *live, const float *tried,
                       size_t count) {
  pthread_mutex_lock(&trial->lock);
  if (number != atomic_load(&trial->number)) count = 0;
  for (size_t i = 0; i < count; i++) {
    double distance = apart(live[i], tried[i]);
    trial->compared++;
    trial->differed += distance > trial->bounds.tolerance;
    if (isfinite(distance)) trial->sum_apart += distance;
    if (distance > trial->max_apart) trial->max_apart = distance;
  }
  pthread_mutex_unlock(&trial->lock);
}

void mle_trial_drop(mle_trial *trial) {
  pthread_mutex_lock(&trial->lock);
  trial->dropped++;
  pthread_mutex_unlock(&trial->lock);
}

/* ====== Judging ====== */

static int compare_floats(const void *a, const void *b) {
  float x = *(const float *)a, y = *(const float *)b;
  return (x > y) - (x < y);
}

static size_t sorted(const mle_trial_side *side, float out[MLE_TRIAL_SCORES]) {
  size_t kept = side->scores < MLE_TRIAL_SCORES ? (size_t)side->scores : MLE_TRIAL_SCORES, n = 0;
  for (size_t i = 0; i < kept; i++)
    if (!isnan(side->last[i])) out[n++] = side->last[i];
  qsort(out, n, sizeof *out, compare_floats);
  return n;
}

/* The largest distance between the two empirical distributions, less what chance explains. */
static double drift_of(const mle_trial *trial) {
  float a[MLE_TRIAL_SCORES], b[MLE_TRIAL_SCORES];
  size_t n = sorted(&trial->side[MLE_SIDE_LIVE], a), m = sorted(&trial->side[MLE_SIDE_TRIED], b);
  double most = 0;
  if (n == 0 || m == 0) return 0;
  for (size_t i = 0, j = 0; i < n && j < m;) {
    float at = a[i] < b[j] ? a[i] : b[j];
    while (i < n && a[i] <= at) i++;
    while (j < m && b[j] <= at) j++;
    double distance = fabs((double)i / (double)n - (double)j / (double)m);
    if (distance > most) most = distance;
  }
  double chance = KS_ONE_IN_A_THOUSAND * sqrt((double)(n + m) / ((double)n * (double)m));
  return most > chance ? most - chance : 0;
}

static double share_of(uint64_t part, uint64_t whole) {
  return whole == 0 ? 0 : (double)part / (double)whole;
}

static void judge(mle_trial *t) {
  const mle_trial_side *live = &t->side[MLE_SIDE_LIVE], *tried = &t->side[MLE_SIDE_TRIED];
  char why[MLE_TRIAL_WHY];
  if (tried->requests < t->bounds.minimum) return;
  double errors = share_of(tried->failed, tried->requests);
  double allowed = share_of(live->failed, live->requests) + t->bounds.errors;
  double differed = share_of(t->differed, t->compared), drift = drift_of(t);
  if (errors > allowed)
    snprintf(why, sizeof why, "%.3g %% of its answers failed, more than %.3g %%; the last: %s", 100 * errors,
             100 * allowed, tried->failure);
  else if (drift > t->bounds.drift)
    snprintf(why, sizeof why, "its scores drift by %.3g, more than %.3g", drift, t->bounds.drift);
  else if (differed > t->bounds.disagreement)
    snprintf(why, sizeof why, "%.3g %% of its answers differ by more than %g, more than %.3g %%",
             100 * differed, t->bounds.tolerance, 100 * t->bounds.disagreement);
  else
    return;
  end(t, why);
}

void mle_trial_judge(mle_trial *trial) {
  pthread_mutex_lock(&trial->lock);
  if (trial->under_way) judge(trial);
  pthread_mutex_unlock(&trial->lock);
}

void mle_trial_expire(mle_trial *trial) {
  pthread_mutex_lock(&trial->lock);
  if (trial->bounds.lease_ns > 0 && mle_monotonic_ns() - trial->asked_ns > trial->bounds.lease_ns)
    end(trial, "the release that tried it went away");
  pthread_mutex_unlock(&trial->lock);
}

void mle_trial_ask(mle_trial *trial, mle_trial_report *out) {
  pthread_mutex_lock(&trial->lock);
  trial->asked_ns = mle_monotonic_ns();
  if (trial->under_way) judge(trial);
  pthread_mutex_unlock(&trial->lock);
  mle_trial_look(trial, out);
}

void mle_trial_look(mle_trial *trial, mle_trial_report *out) {
  pthread_mutex_lock(&trial->lock);
  for (int i = 0; i < MLE_SIDES; i++) {
    out->requests[i] = trial->side[i].requests;
    out->failed[i] = trial->side[i].failed;
  }
  out->compared = trial->compared;
  out->differed = trial->differed;
  out->dropped = trial->dropped;
  out->drift = drift_of(trial);
  out->mean_apart = trial->compared == 0 ? 0 : trial->sum_apart / (double)trial->compared;
  out->max_apart = trial->max_apart;
  out->share = atomic_load(&trial->share);
  out->shadow = atomic_load(&trial->shadow);
  strcpy(out->ended, trial->ended);
  pthread_mutex_unlock(&trial->lock);
}
