/*
 * watermark.h -- how far a consumer has read a branch of a table.
 *
 * A watermark moves when a run succeeds (run.h), when a model is released (held.h) and
 * by hand (moves.h).
 */
#ifndef MLE_JOBS_WATERMARK_H
#define MLE_JOBS_WATERMARK_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/jobs/state.h"

typedef struct mle_watermark_key {
  const char *consumer, *table_uuid, *branch;
} mle_watermark_key;

/* The last snapshot that is consumed; `out_found` is false when there is no watermark. */
mle_status mle_watermark_find(mle_state *state, const mle_watermark_key *key, bool *out_found,
                              int64_t *out_snapshot, mle_error *err);

/* The range this consumer last consumed rows from; `out_found` is false when it never did. */
typedef struct mle_consumed {
  bool has_from;
  int64_t from, to, run;
} mle_consumed;
mle_status mle_consumed_last(mle_state *state, const mle_watermark_key *key, bool *out_found,
                             mle_consumed *out, mle_error *err);

/*
 * The columns that this consumer saw when it last consumed rows: {"run": N, "schema_id": N,
 * "fields": [...]}, owned by the caller; NULL when that is not recorded.
 */
mle_status mle_consumed_schema_json(mle_state *state, const mle_watermark_key *key, char **out,
                                    mle_error *err);

/* All watermarks as a JSON array of objects, owned by the caller. */
mle_status mle_watermarks_json(mle_state *state, char **out, mle_error *err);

#endif
