/*
 * upgrade.h -- the tables of .mlengine/state.db, from any version to this program's.
 *
 *     MLE_GO(mle_state_upgrade(db, err));
 *
 * A version is a list of steps, each in a function of its own (upgrade.c); all that
 * are missing are taken in one transaction. MLE_EREFUSED when a newer mlengine wrote the file.
 */
#ifndef MLE_JOBS_UPGRADE_H
#define MLE_JOBS_UPGRADE_H

#include "engine/base/db.h"

mle_status mle_state_upgrade(mle_db *db, mle_error *err);

#endif
