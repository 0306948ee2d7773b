/*
 * deletes.h -- a plan's delete files as one set of rows per data file. Data half.
 *
 *     MLE_GO(mle_deletes_read(session, metadata, &plan, &dead, err));    dead[i]: of plan.files[i]
 *   done:
 *     mle_deletes_free(dead, plan.num_files);
 *
 * Deletion vectors are decoded; position deletes are looked up by path; equality deletes
 * become positions by a join over the key columns alone, in which null equals null.
 * Thus all kinds are applied alike, and rows keep their order.
 */
#ifndef MLE_ICEBERG_DELETES_H
#define MLE_ICEBERG_DELETES_H

#include "engine/frame/frame.h"
#include "engine/iceberg/plan.h"

/* `out` NULL: nothing is deleted. */
mle_status mle_deletes_read(mle_session *session, const mle_metadata *metadata,
                            const mle_plan *plan, mle_bitmap ***out, mle_error *err);
void mle_deletes_free(mle_bitmap **dead, size_t count); /* NULL is ignored */

#endif
