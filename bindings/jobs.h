/* jobs.h -- what mle.jobs shares with mle.process. */
#ifndef MLB_JOBS_H
#define MLB_JOBS_H

#include <lua.h>

#include "engine/jobs/lock.h"

/* The lock at `arg`; raises when it is none, or given back. [-0, +0, v] */
mle_lock *mlb_check_lock(lua_State *L, int arg);

#endif
