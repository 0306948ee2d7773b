#include "bindings/box.h"

#include <string.h>

#define ERROR_TYPE "mle.error"
#define STDLIB_SOURCE "stdlib/mlengine/"
#define WHERE_LEVELS 100 /* a search without an end in a runaway recursion is none */

static mlb_box *to_box(lua_State *L) {
  return luaL_checkudata(L, 1, lua_tostring(L, lua_upvalueindex(1)));
}

/* __gc, __close and :close() in one: closing twice is harmless. */
static int box_close(lua_State *L) {
  mlb_box *box = to_box(L);
  void *object = box->object;
  box->object = NULL; /* first, so that nothing can release it again */
  if (object != NULL) box->release(object);
  return 0;
}

static int box_tostring(lua_State *L) {
  mlb_box *box = to_box(L);
  const char *name = lua_tostring(L, lua_upvalueindex(1));
  if (box->object == NULL)
    lua_pushfstring(L, "%s (closed)", name);
  else
    lua_pushfstring(L, "%s (%p)", name, box->object);
  return 1;
}

static const luaL_Reg box_metamethods[] = {
    {"__gc", box_close},
    {"__close", box_close},
    {"__tostring", box_tostring},
    {NULL, NULL},
};

static const luaL_Reg box_methods[] = {
    {"close", box_close},
    {NULL, NULL},
};

void mlb_register(lua_State *L, const mlb_class *class, const luaL_Reg *methods) {
  if (luaL_newmetatable(L, class->name)) { /* [mt] */
    lua_pushstring(L, class->name);
    luaL_setfuncs(L, box_metamethods, 1);
    lua_newtable(L); /* [mt, methods] */
    luaL_setfuncs(L, methods, 0);
    lua_pushstring(L, class->name);
    luaL_setfuncs(L, box_methods, 1);
    lua_setfield(L, -2, "__index"); /* [mt] */
    lua_pushstring(L, class->name);
    lua_setfield(L, -2, "__metatable"); /* scripts cannot reach __gc */
  }
  lua_pop(L, 1);
}

mlb_box *mlb_push(lua_State *L, const mlb_class *class) {
  mlb_box *box = lua_newuserdatauv(L, sizeof *box, 1);
  box->object = NULL; /* before the metatable: __gc may run from then on */
  box->release = class->release;
  luaL_setmetatable(L, class->name);
  return box;
}

void *mlb_check(lua_State *L, int arg, const mlb_class *class) {
  mlb_box *box = luaL_checkudata(L, arg, class->name);
  luaL_argcheck(L, box->object != NULL, arg, "already closed");
  return box->object;
}

void *mlb_test(lua_State *L, int arg, const mlb_class *class) {
  mlb_box *box = luaL_testudata(L, arg, class->name);
  return box == NULL ? NULL : box->object;
}

/* ====== Errors ====== */

static int error_tostring(lua_State *L) {
  lua_getfield(L, 1, "message");
  return 1;
}

/* Pushes "file.lua:12: " of the innermost frame that is a user's, "" without one. */
static void push_where(lua_State *L) {
  lua_Debug at;
  for (int level = 1; level < WHERE_LEVELS && lua_getstack(L, level, &at); level++) {
    lua_getinfo(L, "Sl", &at);
    if (at.currentline <= 0 || strstr(at.source, STDLIB_SOURCE) != NULL) continue;
    lua_pushfstring(L, "%s:%d: ", *at.source == '@' ? at.source + 1 : at.short_src, at.currentline);
    return;
  }
  lua_pushliteral(L, "");
}

int mlb_raise(lua_State *L, const mle_error *err) {
  lua_createtable(L, 0, 4); /* [e] */
  lua_pushstring(L, mle_status_name(err->status));
  lua_setfield(L, -2, "kind");
  lua_pushstring(L, err->message);
  lua_setfield(L, -2, "message");
  push_where(L);
  lua_setfield(L, -2, "where");
  lua_pushboolean(L, err->retryable);
  lua_setfield(L, -2, "retryable");
  if (luaL_newmetatable(L, ERROR_TYPE)) { /* [e, mt] */
    lua_pushcfunction(L, error_tostring);
    lua_setfield(L, -2, "__tostring");
  }
  lua_setmetatable(L, -2); /* [e] */
  return lua_error(L);
}

void mlb_try(lua_State *L, mle_status status, const mle_error *err) {
  if (status != MLE_OK) mlb_raise(L, err);
}
