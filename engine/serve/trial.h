/*
 * trial.h -- a staged model tried on the traffic before it answers all of it.
 *
 *     mle_trial_begin(&slot->trial, &bounds);
 *     mle_trial_set(&slot->trial, 500, false);            a canary on 5 % of the requests
 *     mle_trial_set(&slot->trial, 0, true);               a shadow: a copy of each request
 *     mle_trial_judge(&slot->trial);                      about twice a second, as mle_trial_expire
 *
 * Workers note what both sides answered; judging compares, and ends the trial for good when a
 * bound is crossed. Drift is the Kolmogorov-Smirnov distance of the last scores of both sides,
 * less what chance explains at one in a thousand.
 */
#ifndef MLE_TRIAL_H
#define MLE_TRIAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MLE_TRIAL_WHOLE 10000
#define MLE_TRIAL_SCORES 2048 /* kept of each side */
#define MLE_TRIAL_WHY 400

typedef struct mle_trial_bounds {
  double errors;       /* share of failures above the live model's own; what neither could answer is no failure */
  double drift;        /* of the scores, 0 to 1 */
  double disagreement; /* shadow: share of answers that differ by more than `tolerance` */
  double tolerance;
  uint64_t minimum;    /* requests before anything is judged */
  int64_t lease_ns;    /* ends when nobody asked after it for so long; 0: never */
} mle_trial_bounds;

typedef enum mle_side { MLE_SIDE_LIVE, MLE_SIDE_TRIED, MLE_SIDES } mle_side;

typedef struct mle_trial_side {
  uint64_t requests, failed, scores; /* scores: taken, as many as of the other side; the last are kept */
  float last[MLE_TRIAL_SCORES];
  char failure[200]; /* the last one's message */
} mle_trial_side;

typedef struct mle_trial {
  atomic_uint share; /* of MLE_TRIAL_WHOLE requests */
  atomic_bool shadow;
  atomic_ullong turn;
  atomic_ullong number; /* of trials begun here: what is noted late, of an earlier one, is told by it */
  pthread_mutex_t lock; /* guards what follows */
  bool under_way;
  mle_trial_bounds bounds;
  int64_t asked_ns;
  mle_trial_side side[MLE_SIDES];
  uint64_t compared, differed, dropped;
  double sum_apart, max_apart;
  char ended[MLE_TRIAL_WHY]; /* why it was ended; "" while it was not */
} mle_trial;

void mle_trial_init(mle_trial *trial);

void mle_trial_begin(mle_trial *trial, const mle_trial_bounds *bounds);

/* False when the trial was ended: it does not begin again by itself. */
bool mle_trial_set(mle_trial *trial, unsigned share, bool shadow);
void mle_trial_end(mle_trial *trial, const char *why);

/* For workers: whether this request goes to the staged model; whether anybody keeps scores. */
bool mle_trial_takes(mle_trial *trial);
bool mle_trial_watches(const mle_trial *trial);

/* Which trial this is: asked before the staged model is acquired, and given back with what is noted. */
unsigned long long mle_trial_number(const mle_trial *trial);

/* One request and its scores, or why it failed; NULL: it did not. */
void mle_trial_note(mle_trial *trial, unsigned long long number, mle_side side, const char *failure, const float *scores,
                    size_t count);

/* A mirrored request's answers of both; a failure of the shadow is noted with mle_trial_note. */
void mle_trial_compare(mle_trial *trial, unsigned long long number, const float *live, const float *tried,
                       size_t count);
void mle_trial_drop(mle_trial *trial); /* a request that could not be mirrored */

/* Ends a trial that is out of bounds. */
void mle_trial_judge(mle_trial *trial);

/* Ends a trial that nobody asks after; on the thread that hears who asks, after it has heard all. */
void mle_trial_expire(mle_trial *trial);

typedef struct mle_trial_report {
  uint64_t requests[MLE_SIDES], failed[MLE_SIDES], compared, differed, dropped;
  double drift, mean_apart, max_apart;
  unsigned share;
  bool shadow;
  char ended[MLE_TRIAL_WHY];
} mle_trial_report;

/* Also renews the lease: it is the release that asks. */
void mle_trial_ask(mle_trial *trial, mle_trial_report *out);

/* For who only watches: the lease is as it was. */
void mle_trial_look(mle_trial *trial, mle_trial_report *out);

#endif
