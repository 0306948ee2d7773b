/* jobs.h -- what mle.jobs shares with mle.process and mle.triggers. */
#ifndef MLB_JOBS_H
#define MLB_JOBS_H

#include <lauxlib.h>
#include <lua.h>

#include "bindings/box.h"
#include "engine/jobs/lock.h"
#include "engine/jobs/state.h"
#include "engine/jobs/watermark.h"

/* The lock at `arg`; raises when it is none, or given back. [-0, +0, v] */
mle_lock *mlb_check_lock(lua_State *L, int arg);

/* The state at `arg`; raises when it is none, or closed. [-0, +0, v] */
mle_state *mlb_check_state(lua_State *L, int arg);

/* A box for a lock. [-0, +1, m] */
mlb_box *mlb_push_lock(lua_State *L);

/* Ends a function that gives a JSON text: raises what failed, else puts the text into `box`, a text's, and pushes it. */
int mlb_push_json(lua_State *L, mlb_box *box, mle_status status, char *json, const mle_error *err);

/* A box for a text that the engine allocated. [-0, +1, m] */
mlb_box *mlb_push_text(lua_State *L);

/* Returns what `read` gives in json_text_, nothing for NULL; `read` is called with the box on the stack. */
#define MLB_RETURN_JSON(L, read)                       \
  do {                                                 \
    char *json_text_;                                  \
    mle_error err;                                     \
    mlb_box *box_ = mlb_push_text(L);                  \
    mlb_try(L, read, &err);                            \
    if ((box_->object = json_text_) == NULL) return 0; \
    lua_pushstring(L, box_->object);                   \
    return 1;                                          \
  } while (0)

/* Whose watermark: consumer, table's UUID and branch at 2, 3, 4. [-0, +0, v] */
mle_watermark_key mlb_check_watermark_key(lua_State *L);

/* Methods of a state, by file. */
extern const luaL_Reg mlb_jobs_watermark_methods[];
extern const luaL_Reg mlb_jobs_history_methods[];

#endif
