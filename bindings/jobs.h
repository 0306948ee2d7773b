/* jobs.h -- what mle.jobs shares with mle.process and mle.triggers. */
#ifndef MLB_JOBS_H
#define MLB_JOBS_H

#include <lua.h>

#include "bindings/box.h"
#include "engine/jobs/lock.h"
#include "engine/jobs/state.h"

/* The lock at `arg`; raises when it is none, or given back. [-0, +0, v] */
mle_lock *mlb_check_lock(lua_State *L, int arg);

/* The state at `arg`; raises when it is none, or closed. [-0, +0, v] */
mle_state *mlb_check_state(lua_State *L, int arg);

/* A box for a lock. [-0, +1, m] */
mlb_box *mlb_push_lock(lua_State *L);

/* Ends a function that gives a JSON text: raises what failed, else puts the text into `box`, a text's, and pushes it. */
int mlb_push_json(lua_State *L, mlb_box *box, mle_status status, char *json, const mle_error *err);

#endif
