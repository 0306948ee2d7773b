#include "engine/mlflow/tracker.h"

#include <string.h>

#include "engine/base/alloc.h"
#include "engine/base/cancel.h"
#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "engine/mlflow/rules.h"
#include "engine/mlflow/sender.h"

#define KEPT_MAX 1000
#define FLUSH_NS INT64_C(1000000000)

struct mle_tracker {
  mle_mlflow *store;
  char *id;
  mle_sender *sender; /* NULL: the store is quick */
  bool open;
  int64_t flushed_ns;
  mle_arena keys; /* of the metrics kept */
  size_t kept;
  mle_mlflow_metric metric[KEPT_MAX];
};

mle_status mle_tracker_open(mle_mlflow *store, const char *id, const char *spool,
                            mle_tracker **out, mle_error *err) {
  *out = NULL;
  mle_tracker *tracker = mle_calloc(1, sizeof *tracker);
  char *copy = mle_strdup(id);
  if (tracker == NULL || copy == NULL) {
    mle_free(copy);
    mle_free(tracker);
    return mle_nomem(err, "starting a run");
  }
  mle_status status = mle_sender_open(store, id, spool, &tracker->sender, err);
  if (status != MLE_OK) {
    mle_free(copy);
    mle_free(tracker);
    return status;
  }
  tracker->store = mle_mlflow_retain(store);
  tracker->id = copy;
  tracker->open = true;
  tracker->flushed_ns = mle_monotonic_ns() - FLUSH_NS;
  *out = tracker;
  return MLE_OK;
}

/* What another's lock held back is tried again later while there is room; what was
 * refused is dropped with its error, as it would be refused again. */
static mle_status write_kept(mle_tracker *tracker, mle_error *err) {
  if (tracker->kept == 0) return MLE_OK;
  mle_mlflow_batch batch = {.metrics = {tracker->kept, tracker->metric}};
  mle_status status = tracker->sender != NULL
                          ? mle_sender_give(tracker->sender, &batch.metrics, err)
                          : mle_mlflow_log_batch(tracker->store, tracker->id, &batch, err);
  tracker->flushed_ns = mle_monotonic_ns();
  if (status != MLE_EBUSY || tracker->kept == KEPT_MAX) {
    tracker->kept = 0;
    mle_arena_release(&tracker->keys);
  }
  if (status != MLE_OK) mle_context(err, "logging metrics of run '%s'", tracker->id);
  return status;
}

mle_status mle_tracker_flush(mle_tracker *tracker, mle_error *err) {
  MLE_TRY(write_kept(tracker, err));
  return tracker->sender == NULL ? MLE_OK : mle_sender_drain(tracker->sender, err);
}

mle_status mle_tracker_log_metric(mle_tracker *tracker, const char *key, double value, int64_t step,
                              mle_error *err) {
  const char *copy;
  MLE_TRY(mle_mlflow_check_key("metric", key, err));
  MLE_TRY(mle_arena_copy(&tracker->keys, key, &copy, err));
  tracker->metric[tracker->kept++] = (mle_mlflow_metric){copy, value, mle_now_ms(), step};
  bool may_wait = mle_monotonic_ns() - tracker->flushed_ns < FLUSH_NS;
  if (tracker->kept < KEPT_MAX && may_wait) return MLE_OK;
  return write_kept(tracker, err);
}

/* The status is written even when the last metrics could not be. */
mle_status mle_tracker_end(mle_tracker *tracker, const char *status, mle_error *err) {
  mle_status flushed = mle_tracker_flush(tracker, err);
  mle_status ended = mle_mlflow_end_run(tracker->store, tracker->id, status, 0,
                                        flushed == MLE_OK ? err : NULL);
  if (ended == MLE_OK) tracker->open = false;
  return flushed != MLE_OK ? flushed : ended;
}

mle_status mle_tracker_leave(mle_tracker *tracker, mle_error *err) {
  MLE_TRY(mle_tracker_flush(tracker, err));
  tracker->open = false;
  return MLE_OK;
}

bool mle_tracker_is_open(const mle_tracker *tracker) { return tracker->open; }

void mle_tracker_close(mle_tracker *tracker) {
  mle_error err;
  if (tracker == NULL) return;
  const char *status = mle_cancelled() ? MLE_MLFLOW_KILLED : MLE_MLFLOW_FAILED;
  if (tracker->open && mle_tracker_end(tracker, status, &err) != MLE_OK)
    mle_log(MLE_WARN, "ending run '%s' %s: %s", tracker->id, status, err.message);
  mle_sender_close(tracker->sender);
  mle_arena_release(&tracker->keys);
  mle_mlflow_close(tracker->store);
  mle_free(tracker->id);
  mle_free(tracker);
}
