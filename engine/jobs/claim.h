/*
 * claim.h -- which of the machine's processors, or GPUs, a job gets.
 *
 *     mle_claim *claim;
 *     MLE_TRY(mle_claim_take("cpu", candidates, num_candidates, 2, chosen, &claim, err));
 *     mle_claim_free(claim);
 *
 * All engines of a user on a machine share one file of locks, so that two jobs
 * do not get the same processor while another is free; when none is, those with
 * the fewest jobs are shared. A claim ends with the last process that holds it.
 */
#ifndef MLE_JOBS_CLAIM_H
#define MLE_JOBS_CLAIM_H

#include <stddef.h>

#include "engine/base/error.h"

typedef struct mle_claim mle_claim;

/* Puts `count` of the candidates (small numbers) into `chosen`; fewer candidates than that is EINVAL. */
mle_status mle_claim_take(const char *what, const int *candidates, size_t num_candidates,
                          size_t count, int *chosen, mle_claim **out, mle_error *err);

int mle_claim_fd(const mle_claim *claim);
void mle_claim_free(mle_claim *claim); /* NULL is ignored */

#endif
