/* xgboost_lanes.c -- trainings side by side; Lua itself stays on one thread. */
#include <lauxlib.h>
#include <lua.h>

#include "bindings/box.h"
#include "bindings/xgboost.h"
#include "engine/xgboost/lanes.h"

#define LANES_MAX 256

static void release_lanes(void *lanes) { mle_lanes_free(lanes); }
static const mlb_class lanes_class = {"mle.xgboost.lanes", release_lanes};

static size_t check_lane(lua_State *L, int arg, const mle_lanes *lanes) {
  lua_Integer lane = luaL_checkinteger(L, arg);
  luaL_argcheck(L, lane >= 1 && (size_t)lane <= mle_lanes_count(lanes), arg, "no such lane");
  return (size_t)lane - 1;
}

mle_lanes *mlb_check_lanes(lua_State *L, int arg, size_t *out_lane) {
  mle_lanes *lanes = mlb_check(L, arg, &lanes_class);
  *out_lane = check_lane(L, arg + 1, lanes);
  return lanes;
}

/* lanes(count) -> lanes */
int mlb_lanes(lua_State *L) {
  lua_Integer count = luaL_checkinteger(L, 1);
  mle_lanes *lanes;
  mle_error err;
  luaL_argcheck(L, count >= 1 && count <= LANES_MAX, 1, "1 to 256 lanes");
  mlb_box *box = mlb_push(L, &lanes_class);
  mlb_try(L, mle_lanes_start((size_t)count, &lanes, &err), &err);
  box->object = lanes;
  return 1;
}

/* lanes:begin(lane, boosters): a round of each; the lane holds them meanwhile */
static int l_begin(lua_State *L) {
  size_t lane;
  mle_lanes *lanes = mlb_check_lanes(L, 1, &lane);
  mle_error err;
  luaL_checktype(L, 3, LUA_TTABLE);
  size_t count = (size_t)luaL_len(L, 3);
  mle_booster **list = lua_newuserdatauv(L, (count + 1) * sizeof *list, 0); /* [list] */
  for (size_t i = 0; i < count; i++) {
    lua_rawgeti(L, 3, (lua_Integer)i + 1);
    list[i] = mlb_check_booster(L, -1);
    lua_pop(L, 1); /* the table still holds it */
  }
  mlb_try(L, mle_lanes_begin(lanes, lane, list, count, &err), &err);
  return 0;
}

/* lanes:wait() -> the first lane that is through; nil when none is at work */
static int l_wait(lua_State *L) {
  size_t lane;
  if (!mle_lanes_wait(mlb_check(L, 1, &lanes_class), &lane)) return 0;
  lua_pushinteger(L, (lua_Integer)lane + 1);
  return 1;
}

/* lanes:result(lane): raises what went wrong in its round */
static int l_result(lua_State *L) {
  size_t lane;
  const mle_lanes *lanes = mlb_check_lanes(L, 1, &lane);
  mle_error err;
  mlb_try(L, mle_lanes_result(lanes, lane, &err), &err);
  return 0;
}

static const luaL_Reg lanes_methods[] = {
    {"begin", l_begin},
    {"wait", l_wait},
    {"result", l_result},
    {NULL, NULL},
};

void mlb_register_lanes(lua_State *L) { mlb_register(L, &lanes_class, lanes_methods); }
