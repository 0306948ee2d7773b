/*
 * scoring.h -- a request's rows through a model: the live one, a canary, a shadow.
 *
 * A canary that fails never shows: the live model answers then. A shadow scores a copy of the
 * request on a thread of its own, after the answer.
 */
#ifndef MLE_SCORING_H
#define MLE_SCORING_H

#include "engine/serve/exchange.h"

/* Answers with the model in `cell`, one of the slot's. `version`: the one asked for, or NULL. */
void mle_scoring_answer(mle_exchange *x, mle_slot *slot, mle_cell *cell, const char *version);

/* POST /model: {"accessKey": ..., "request": ...} */
void mle_scoring_cml(mle_exchange *x);

#endif
