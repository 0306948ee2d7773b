/* lineage.c -- mle.lineage: what Lua sees of engine/jobs/lineage.h */

#include <lauxlib.h>
#include <lua.h>

#include "bindings/box.h"
#include "bindings/jobs.h"
#include "bindings/modules.h"
#include "engine/base/alloc.h"
#include "engine/jobs/lineage.h"

static void release_text(void *text) { mle_free(text); }

static const mlb_class text_class = {"mle.lineage.text", release_text};

/* run_of(state, MLflow run) -> run, or nil */
static int l_run_of(lua_State *L) {
  int64_t run;
  mle_error err;
  mlb_try(L, mle_lineage_run_of(mlb_check_state(L, 1), luaL_checkstring(L, 2), &run, &err), &err);
  if (run == 0) return 0;
  lua_pushinteger(L, run);
  return 1;
}

/* readers(state, snapshot) -> json */
static int l_readers(lua_State *L) {
  mle_state *state = mlb_check_state(L, 1);
  int64_t snapshot = luaL_checkinteger(L, 2);
  mlb_box *box = mlb_push(L, &text_class);
  char *json = NULL;
  mle_error err;
  mle_status status = mle_lineage_readers_json(state, snapshot, &json, &err);
  return mlb_push_json(L, box, status, json, &err);
}

/* children(state, run) -> json */
static int l_children(lua_State *L) {
  mle_state *state = mlb_check_state(L, 1);
  int64_t run = luaL_checkinteger(L, 2);
  mlb_box *box = mlb_push(L, &text_class);
  char *json = NULL;
  mle_error err;
  mle_status status = mle_lineage_children_json(state, run, &json, &err);
  return mlb_push_json(L, box, status, json, &err);
}

/* notes(state, kind, name, value) -> json */
static int l_notes(lua_State *L) {
  mle_state *state = mlb_check_state(L, 1);
  const char *kind = luaL_checkstring(L, 2), *name = luaL_checkstring(L, 3), *value = luaL_checkstring(L, 4);
  mlb_box *box = mlb_push(L, &text_class);
  char *json = NULL;
  mle_error err;
  mle_status status = mle_lineage_notes_json(state, kind, name, value, &json, &err);
  return mlb_push_json(L, box, status, json, &err);
}

static const luaL_Reg functions[] = {
    {"run_of", l_run_of},
    {"readers", l_readers},
    {"children", l_children},
    {"notes", l_notes},
    {NULL, NULL},
};

static const luaL_Reg no_methods[] = {{NULL, NULL}};

int luaopen_mle_lineage(lua_State *L) {
  mlb_register(L, &text_class, no_methods);
  luaL_newlib(L, functions);
  return 1;
}
