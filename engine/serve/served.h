/*
 * served.h -- a model as it is served: immutable, counted, freed by its last user.
 *
 *     mle_served *served;
 *     MLE_TRY(mle_served_load(folder, &facts, &served, err));
 *     mle_served_score(served, row, 1, answer);
 *     mle_served_release(served);
 *
 * The folder is an MLflow model of the xgboost flavour. Its bytes are read by our own
 * strict reader: one that XGBoost's loader would crash on is refused. Answers are what
 * mlflow.pyfunc gives for the model's class. Any thread may score; references may be
 * taken and released on any thread.
 */
#ifndef MLE_SERVED_H
#define MLE_SERVED_H

#include <stdatomic.h>

#include "engine/base/arena.h"
#include "engine/base/hash.h"
#include "engine/serve/rows.h"
#include "engine/xgboost/predictor.h"

/* What the folder does not say of itself; texts are copied, NULL is unknown. */
typedef struct mle_served_facts {
  int64_t deployment; /* its row in the deployment records, 0: none */
  const char *uri, *name, *version, *run_id, *snapshot_id;
} mle_served_facts;

typedef struct mle_served {
  atomic_long references;
  mle_arena memory;
  mle_served_facts facts; /* run_id is the folder's own when none was given */
  mle_model *model;
  mle_features features;
  bool labels;    /* a classifier: whole numbers, not scores */
  size_t width;   /* values of one row's answer */
  size_t outputs; /* margins of one row */
  char deployment[24]; /* facts.deployment as text */
  char sha256[MLE_SHA256_HEX]; /* of the model's bytes */
  char copy_sha256[MLE_SHA256_HEX]; /* of the project's copy of the folder; "" when unknown */
  struct mle_meter *meter;     /* where its answers are counted; NULL: nowhere */
  struct mle_served *base;     /* whose model and features these are; NULL: its own */
} mle_served;

/* Loads the model in `folder`; the caller holds the one reference. */
mle_status mle_served_load(const char *folder, const mle_served_facts *facts, mle_served **out,
                           mle_error *err);

/* The same model for another deployment of the same bytes: nothing is loaded. */
mle_status mle_served_again(mle_served *base, const mle_served_facts *facts, mle_served **out,
                            mle_error *err);

mle_served *mle_served_retain(mle_served *served);
void mle_served_release(mle_served *served); /* NULL is ignored */

/* Writes `count` * width values; labels are whole. `rows` has the model's features. A larger batch is
 * split over the processors that no other batch has; each row's bits are the same however it is. */
mle_status mle_served_score(const mle_served *served, const float *rows, size_t count, float *out,
                            mle_error *err);

/* The rows of the folder's serving_input_example.json; ENOTFOUND when it has none. */
mle_status mle_served_example(const mle_served *served, const char *folder, mle_rows *out,
                              mle_error *err);

/* Models alive in this process; tests expect it to return to 0. */
long mle_served_live(void);

#endif
