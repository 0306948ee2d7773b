/*
 * records.h -- what was deployed where: the truth a server starts from.
 *
 *     MLE_GO(mle_records_open(".mlengine", &db, err));
 *     MLE_GO(mle_records_begin(db, &wanted, &id, err));           intent
 *     MLE_GO(mle_records_advance(db, id, "verified", NULL, err));
 *     MLE_GO(mle_records_point(db, id, err));                     the slot record
 *     MLE_GO(mle_records_finish(db, id, err));                    live
 *
 * Tables `deployments` and `slots` in the project's state.db. A deployment's states, and the function behind
 * each arrow (without its mle_records_):
 *
 *                 begin
 *                   |
 *                   v     advance             advance
 *                started ---------> verified ---------> accepted ----+
 *                   |                  |                   |         | point, point_back
 *                   +------------------+-------------------+         v
 *                                      | advance                  recorded
 *                                      v                             |
 *                              failed, rejected                      | finish
 *                                                                    v
 *          rolled back <-- point_back of a rollback to before it -- live -- finish of the next --> retired
 *
 * One that is still `recorded` when the next is pointed to is retired by that, and retire() ends an endpoint's
 * last one. `recorded` is the turning point: from there on the slot names this deployment, and
 * whatever dies, the rest is repeated until it is live. Every call is one transaction.
 */
#ifndef MLE_RECORDS_H
#define MLE_RECORDS_H

#include <stdint.h>

#include "engine/base/arena.h"
#include "engine/base/db.h"

typedef struct mle_deployment {
  int64_t id, previous; /* previous: what the slot named before it; while under way, what it named at the begin; 0: nothing */
  const char *endpoint;
  const char *uri;      /* "models:/FraudCLF/3", "runs:/...", a path */
  const char *name, *version, *run_id, *snapshot_id; /* NULL when unknown */
  const char *folder;   /* the project's own copy, where it is now */
  const char *sha256;   /* of that copy */
  const char *scores;   /* of the logged example, as JSON; NULL until verified */
  const char *alias;    /* NULL: none is moved */
  const char *state, *outcome; /* outcome: a line for people, NULL while under way */
  int64_t created_ms, updated_ms;
} mle_deployment;

typedef struct mle_deployments {
  mle_deployment *item;
  size_t count;
} mle_deployments;

/* Opens (and when missing makes, mode 0600) state.db in the folder, with these tables. */
mle_status mle_records_open(const char *state_folder, mle_db **out, mle_error *err);

/*
 * Writes the intent; texts and `sha256` of `wanted` are taken. A deployment of the same
 * model to the same endpoint that is not over yet, or is live, is taken up again; from `recorded` on
 * only while the slot names it.
 */
mle_status mle_records_begin(mle_db *db, const mle_deployment *wanted, int64_t *out_id,
                             mle_error *err);

/* Moves a deployment on. `text` is the outcome, or for "verified" the scores. ECONFLICT
 * when its state does not lead there. */
mle_status mle_records_advance(mle_db *db, int64_t id, const char *state, const char *text,
                               mle_error *err);

/* Makes the deployment its endpoint's slot record; state `recorded`. Another one that had come no further is retired. */
mle_status mle_records_point(mle_db *db, int64_t id, mle_error *err);

/* The same for going back: what the slot had becomes `rolled back`, and the slot's
 * previous is what came before `earlier`, the deployment whose model `id` has again. */
mle_status mle_records_point_back(mle_db *db, int64_t id, int64_t earlier, mle_error *err);

/* `recorded` to `live`; whatever else of the endpoint was live is retired. Rows that waited
 * for this model are consumed (jobs/held.h). */
mle_status mle_records_finish(mle_db *db, int64_t id, mle_error *err);

/* Forgets an endpoint's slot: what it had is retired, and there is nothing to go back to. ENOTFOUND without one. */
mle_status mle_records_retire(mle_db *db, const char *endpoint, mle_error *err);

/* ENOTFOUND when there is no such deployment. */
mle_status mle_records_get(mle_db *db, int64_t id, mle_arena *memory, mle_deployment *out,
                           mle_error *err);

/* What the slot of an endpoint names; id 0 when it has none. */
mle_status mle_records_slot(mle_db *db, const char *endpoint, mle_arena *memory,
                            mle_deployment *out, mle_error *err);

/* What every slot names. */
mle_status mle_records_slots(mle_db *db, mle_arena *memory, mle_deployments *out, mle_error *err);

/* The newest deployments, of one endpoint or (NULL) of all. */
mle_status mle_records_list(mle_db *db, const char *endpoint, int limit, mle_arena *memory,
                            mle_deployments *out, mle_error *err);

/* Whether a copy is of use: a slot's, one under way, or of an endpoint's last ten. It goes by its name, the beginning of
 * the digest: a project may be reached by more than one path. */
mle_status mle_records_needs(mle_db *db, const char *folder, bool *out, mle_error *err);

#endif
