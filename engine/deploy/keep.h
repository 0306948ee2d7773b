/*
 * keep.h -- the project's own copy of a deployed model.
 *
 *     MLE_GO(mle_keep_plan(source, ".mlengine/models", &kept, err));   digest and path, no writing
 *     MLE_GO(mle_keep_copy(source, &kept, err));
 *
 * A server must come back after the artifact store was cleaned, or is away. The copy's
 * name is the digest of what it holds, so equal models share one, and a copy that was
 * changed since is noticed.
 */
#ifndef MLE_KEEP_H
#define MLE_KEEP_H

#include "engine/base/arena.h"
#include "engine/base/db.h"
#include "engine/base/hash.h"

/* The name of the xgboost flavour's data file in a model's folder. */
mle_status mle_keep_data_file(const char *folder, mle_arena *memory, const char **out,
                              mle_error *err);

typedef struct mle_kept {
  char sha256[MLE_SHA256_HEX]; /* over MLmodel, the model's data and the example */
  char path[4096];
} mle_kept;

/* ENOTFOUND, EFORMAT, EUNSUPPORTED: what is at `source` is no XGBoost model of MLflow's. */
mle_status mle_keep_plan(const char *source, const char *models, mle_kept *out, mle_error *err);

/* Makes the copy unless it is there. */
mle_status mle_keep_copy(const char *source, const mle_kept *kept, mle_error *err);

/* Fails unless the copy still has its digest. */
mle_status mle_keep_check(const mle_kept *kept, mle_error *err);

/* Removes copies that no deployment record needs, and what was left half-made a day ago. */
mle_status mle_keep_prune(mle_db *db, const char *models, mle_error *err);

#endif
