#include "engine/xgboost/lanes.h"

#include <pthread.h>

#include "engine/base/alloc.h"
#include "engine/base/pool.h"

typedef struct lane {
  mle_lanes *all;
  mle_pool *thread; /* a pool of one, with room for the next while the last is leaving */
  const mle_training *training; /* to be made, or NULL: a round of the boosters */
  mle_booster **boosters;
  size_t count;
  bool busy, through; /* through: its work has ended, and nobody has been told */
  mle_status status;
  mle_error err;
} lane;

struct mle_lanes {
  pthread_mutex_t lock; /* guards busy and through */
  pthread_cond_t ended;
  size_t count;
  lane *lane;
};

/* ====== On a lane's thread ====== */

static mle_status round_of_each(lane *l) {
  for (size_t i = 0; i < l->count; i++) {
    MLE_TRY(mle_booster_update(l->boosters[i], &l->err));
    MLE_TRY(mle_booster_evaluate(l->boosters[i], &l->err));
  }
  return MLE_OK;
}

static void work(void *context, bool dropped) {
  lane *l = context;
  if (dropped)
    l->status = mle_fail(&l->err, MLE_ECANCELLED, "training: it was ended");
  else if (l->training != NULL)
    l->status = mle_booster_new(l->training, &l->boosters[0], &l->err);
  else
    l->status = round_of_each(l);
  pthread_mutex_lock(&l->all->lock);
  l->through = true;
  pthread_cond_broadcast(&l->all->ended);
  pthread_mutex_unlock(&l->all->lock);
}

/* ====== Beginning and ending ====== */

static mle_status put_to_work(lane *l, mle_error *err) {
  if (l->busy || !mle_pool_reserve(l->thread))
    return mle_fail(err, MLE_EINVAL, "training: the lane is at work");
  l->busy = true;
  mle_pool_submit(l->thread, work, l);
  return MLE_OK;
}

static void settle(lane *l) {
  l->busy = l->through = false;
  for (size_t i = 0; i < l->count; i++) mle_booster_free(l->boosters[i]);
  mle_free(l->boosters);
  l->boosters = NULL;
  l->count = 0;
}

static void wait_for(lane *l) {
  pthread_mutex_lock(&l->all->lock);
  while (l->busy && !l->through) pthread_cond_wait(&l->all->ended, &l->all->lock);
  pthread_mutex_unlock(&l->all->lock);
}

mle_status mle_lanes_start(size_t count, mle_lanes **out, mle_error *err) {
  mle_status status = MLE_OK;
  *out = NULL;
  mle_lanes *lanes = mle_calloc(1, sizeof *lanes);
  if (lanes == NULL) return mle_nomem(err, "starting lanes");
  pthread_mutex_init(&lanes->lock, NULL);
  pthread_cond_init(&lanes->ended, NULL);
  lanes->lane = mle_calloc(count, sizeof *lanes->lane);
  if (lanes->lane == NULL) status = mle_nomem(err, "starting lanes");
  for (; status == MLE_OK && lanes->count < count; lanes->count++) {
    lanes->lane[lanes->count].all = lanes;
    status = mle_pool_start(1, 2, &lanes->lane[lanes->count].thread, err);
  }
  if (status == MLE_OK)
    *out = lanes;
  else
    mle_lanes_free(lanes);
  return status;
}

void mle_lanes_free(mle_lanes *lanes) {
  if (lanes == NULL) return;
  for (size_t i = 0; i < lanes->count; i++) {
    wait_for(&lanes->lane[i]);
    mle_pool_free(lanes->lane[i].thread);
    settle(&lanes->lane[i]);
  }
  pthread_cond_destroy(&lanes->ended);
  pthread_mutex_destroy(&lanes->lock);
  mle_free(lanes->lane);
  mle_free(lanes);
}

size_t mle_lanes_count(const mle_lanes *lanes) { return lanes->count; }

/* ====== Work ====== */

mle_status mle_lanes_new(mle_lanes *lanes, size_t index, const mle_training *training,
                         mle_booster **out, mle_error *err) {
  mle_booster *made = NULL;
  lane *l = &lanes->lane[index];
  *out = NULL;
  if (l->busy) return put_to_work(l, err);
  l->training = training;
  l->boosters = &made;
  mle_status status = put_to_work(l, err);
  if (status == MLE_OK) {
    wait_for(l);
    status = l->status;
    if (err != NULL) *err = l->err;
  }
  l->busy = l->through = false;
  l->training = NULL;
  l->boosters = NULL;
  *out = made;
  return status;
}

mle_status mle_lanes_begin(mle_lanes *lanes, size_t index, mle_booster *const *boosters,
                           size_t count, mle_error *err) {
  lane *l = &lanes->lane[index];
  if (l->busy) return put_to_work(l, err);
  l->boosters = mle_calloc(count, sizeof(mle_booster *));
  if (l->boosters == NULL) return mle_nomem(err, "training");
  for (; l->count < count; l->count++) l->boosters[l->count] = mle_booster_ref(boosters[l->count]);
  mle_status status = put_to_work(l, err);
  if (status != MLE_OK) settle(l);
  return status;
}

static bool find_through(const mle_lanes *lanes, bool *out_working, size_t *out_lane) {
  *out_working = false;
  for (size_t i = 0; i < lanes->count; i++) {
    *out_working = *out_working || lanes->lane[i].busy;
    if (!lanes->lane[i].through) continue;
    *out_lane = i;
    return true;
  }
  return false;
}

bool mle_lanes_wait(mle_lanes *lanes, size_t *out_lane) {
  bool working, found;
  pthread_mutex_lock(&lanes->lock);
  for (;;) {
    found = find_through(lanes, &working, out_lane);
    if (found || !working) break;
    pthread_cond_wait(&lanes->ended, &lanes->lock);
  }
  pthread_mutex_unlock(&lanes->lock);
  if (found) settle(&lanes->lane[*out_lane]);
  return found;
}

mle_status mle_lanes_result(const mle_lanes *lanes, size_t index, mle_error *err) {
  const lane *l = &lanes->lane[index];
  if (l->status != MLE_OK && err != NULL) *err = l->err;
  return l->status;
}
