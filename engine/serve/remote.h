/*
 * remote.h -- the deployment records of a server, for a release that runs elsewhere.
 *
 *     {"command": "record", "call": "begin", "endpoint": ..., "uri": ..., "sha256": ...}
 *
 * The calls are those of deploy/records.h: begin, advance, point, point_back, finish, retire, get,
 * slot, list. `begin` takes the copy that was uploaded for its digest.
 */
#ifndef MLE_REMOTE_H
#define MLE_REMOTE_H

#include "engine/base/db.h"
#include "engine/json/json.h"

mle_status mle_remote_record(mle_db *db, const char *state, const mle_json_at *request,
                             mle_json *reply, mle_error *err);

#endif
