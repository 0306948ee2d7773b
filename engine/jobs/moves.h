/*
 * moves.h -- watermarks moved by hand: what, from where to where, by whom and why.
 *
 *     const mle_watermark_move move = {.action = MLE_MOVE_SET, .table_name = "bank.trx",
 *                                      .snapshot = 42, .who = "ann", .why = "bad batch"};
 *     MLE_GO(mle_watermark_move_by_hand(state, &key, &move, err));
 *
 * The caller holds the consumer's lock, so that no run of it is reading. Rows that wait for
 * a release (held.h) do so no more once the watermark was moved.
 */
#ifndef MLE_JOBS_MOVES_H
#define MLE_JOBS_MOVES_H

#include "engine/jobs/watermark.h"

typedef enum mle_move_action {
  MLE_MOVE_ADOPT,  /* sets one where there is none: EEXISTS when there is */
  MLE_MOVE_SET,    /* sets it, wherever it was */
  MLE_MOVE_RESET,  /* removes it: the next run begins as the first did */
  MLE_MOVE_SKIP,   /* leaves it; the rows that `snapshot` added are never read */
  MLE_MOVE_UNSKIP, /* they are again: ENOTFOUND when they are not left out */
} mle_move_action;

typedef struct mle_watermark_move {
  mle_move_action action;
  const char *table_name, *who, *why;
  int64_t snapshot; /* but for a reset */
} mle_watermark_move;

/* The move and its record, in one transaction. */
mle_status mle_watermark_move_by_hand(mle_state *state, const mle_watermark_key *key,
                                      const mle_watermark_move *move, mle_error *err);

/* Whether there is no watermark because somebody wanted that. */
mle_status mle_watermark_was_reset(mle_state *state, const mle_watermark_key *key, bool *out,
                                   mle_error *err);

/* The snapshots left out, as a JSON array of ids owned by the caller. */
mle_status mle_watermark_skipped_json(mle_state *state, const mle_watermark_key *key, char **out,
                                      mle_error *err);

/* The newest moves first, as a JSON array of objects owned by the caller. */
mle_status mle_watermark_moves_json(mle_state *state, int64_t limit, char **out, mle_error *err);

#endif
