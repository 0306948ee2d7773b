/*
 * lanes.h -- boosters that train side by side, each lane a thread of its own.
 *
 *     MLE_TRY(mle_lanes_start(2, &lanes, err));
 *     MLE_GO(mle_lanes_new(lanes, 0, &training, &booster, err));
 *     mle_lanes_begin(lanes, 0, &booster, 1);          a round; it goes on while others begin
 *     while (mle_lanes_wait(lanes, &lane))             the first that is through with its round
 *       MLE_GO(mle_lanes_result(lanes, lane, err));
 *   done:
 *     mle_lanes_free(lanes);                           waits for what runs
 *
 * The library's random numbers are a thread's, so a booster is made and trained in one lane, and has
 * it for itself until it ends. Matrices may be shared where they are of kind MLE_MATRIX_QUANTILE:
 * nothing of those is made on the way. One thread calls all of this.
 */
#ifndef MLE_XGBOOST_LANES_H
#define MLE_XGBOOST_LANES_H

#include "engine/xgboost/booster.h"

typedef struct mle_lanes mle_lanes;

mle_status mle_lanes_start(size_t count, mle_lanes **out, mle_error *err);
void mle_lanes_free(mle_lanes *lanes); /* NULL is ignored */
size_t mle_lanes_count(const mle_lanes *lanes);

/* As mle_booster_new, in the lane; EINVAL while it is at work. */
mle_status mle_lanes_new(mle_lanes *lanes, size_t lane, const mle_training *training,
                         mle_booster **out, mle_error *err);

/* Begins a round, update and evaluation, of each booster in their order; holds them meanwhile. */
mle_status mle_lanes_begin(mle_lanes *lanes, size_t lane, mle_booster *const *boosters,
                           size_t count, mle_error *err);

/* Waits until a lane is through; false when none is at work. */
bool mle_lanes_wait(mle_lanes *lanes, size_t *out_lane);

/* How its last round ended. */
mle_status mle_lanes_result(const mle_lanes *lanes, size_t lane, mle_error *err);

#endif
