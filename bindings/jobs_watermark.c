/* jobs_watermark.c -- the methods of mle.jobs' state that tell and move watermarks: engine/jobs/{watermark,moves,held}.h */

#include "bindings/args.h"
#include "bindings/jobs.h"
#include "engine/jobs/held.h"
#include "engine/jobs/moves.h"

mle_watermark_key mlb_check_watermark_key(lua_State *L) {
  return (mle_watermark_key){luaL_checkstring(L, 2), luaL_checkstring(L, 3),
                             luaL_checkstring(L, 4)};
}

/* state:watermark(consumer, table_uuid, branch) -> snapshot id, or nil */
static int l_watermark(lua_State *L) {
  mle_watermark_key key = mlb_check_watermark_key(L);
  bool found;
  int64_t snapshot;
  mle_error err;
  mlb_try(L, mle_watermark_find(mlb_check_state(L, 1), &key, &found, &snapshot, &err), &err);
  if (!found) return 0;
  lua_pushinteger(L, snapshot);
  return 1;
}

/* state:move_watermark(consumer, table_uuid, branch, { action, table_name, snapshot, who, why }) */
static int l_move_watermark(lua_State *L) {
  static const char *const known[] = {"action", "table_name", "snapshot", "who", "why", NULL};
  static const char *const actions[] = {"adopt", "set", "reset", "skip", "unskip", NULL};
  mle_watermark_key key = mlb_check_watermark_key(L);
  luaL_checktype(L, 5, LUA_TTABLE);
  mlb_options(L, 5, known);
  lua_getfield(L, 5, "action");
  mle_watermark_move move = {
      .action = (mle_move_action)luaL_checkoption(L, -1, NULL, actions),
      .table_name = mlb_need_text(L, 5, "table_name"),
      .snapshot = mlb_opt_integer(L, 5, "snapshot", 0),
      .who = mlb_need_text(L, 5, "who"),
      .why = mlb_need_text(L, 5, "why"),
  };
  mle_error err;
  mlb_try(L, mle_watermark_move_by_hand(mlb_check_state(L, 1), &key, &move, &err), &err);
  return 0;
}

/* state:was_reset(consumer, table_uuid, branch) -> boolean */
static int l_was_reset(lua_State *L) {
  mle_watermark_key key = mlb_check_watermark_key(L);
  bool reset;
  mle_error err;
  mlb_try(L, mle_watermark_was_reset(mlb_check_state(L, 1), &key, &reset, &err), &err);
  lua_pushboolean(L, reset);
  return 1;
}

/* state:waiting(consumer, table_uuid, branch) -> run, snapshot; nothing when no rows wait */
static int l_waiting(lua_State *L) {
  mle_watermark_key key = mlb_check_watermark_key(L);
  int64_t run, to;
  mle_error err;
  mlb_try(L, mle_held_waiting(mlb_check_state(L, 1), &key, &run, &to, &err), &err);
  if (run == 0) return 0;
  lua_pushinteger(L, run);
  lua_pushinteger(L, to);
  return 2;
}

/* state:last_consumed(consumer, table_uuid, branch) -> to, from or nil; nothing when there is none */
static int l_last_consumed(lua_State *L) {
  mle_watermark_key key = mlb_check_watermark_key(L);
  bool found;
  mle_consumed last;
  mle_error err;
  mlb_try(L, mle_consumed_last(mlb_check_state(L, 1), &key, &found, &last, &err), &err);
  if (!found) return 0;
  lua_pushinteger(L, last.to);
  if (!last.has_from) return 1;
  lua_pushinteger(L, last.from);
  return 2;
}

/* ====== JSON texts ====== */

/* state:skipped(consumer, table_uuid, branch) */
static int l_skipped(lua_State *L) {
  mle_state *state = mlb_check_state(L, 1);
  mle_watermark_key key = mlb_check_watermark_key(L);
  MLB_RETURN_JSON(L, mle_watermark_skipped_json(state, &key, &json_text_, &err));
}

/* state:consumed_schema(consumer, table_uuid, branch) */
static int l_consumed_schema(lua_State *L) {
  mle_state *state = mlb_check_state(L, 1);
  mle_watermark_key key = mlb_check_watermark_key(L);
  MLB_RETURN_JSON(L, mle_consumed_schema_json(state, &key, &json_text_, &err));
}

/* state:moves(limit) */
static int l_moves(lua_State *L) {
  mle_state *state = mlb_check_state(L, 1);
  int64_t limit = luaL_checkinteger(L, 2);
  MLB_RETURN_JSON(L, mle_watermark_moves_json(state, limit, &json_text_, &err));
}

/* state:watermarks() */
static int l_watermarks(lua_State *L) {
  mle_state *state = mlb_check_state(L, 1);
  MLB_RETURN_JSON(L, mle_watermarks_json(state, &json_text_, &err));
}

const luaL_Reg mlb_jobs_watermark_methods[] = {
    {"watermark", l_watermark},
    {"move_watermark", l_move_watermark},
    {"was_reset", l_was_reset},
    {"waiting", l_waiting},
    {"skipped", l_skipped},
    {"consumed_schema", l_consumed_schema},
    {"moves", l_moves},
    {"last_consumed", l_last_consumed},
    {"watermarks", l_watermarks},
    {NULL, NULL},
};
