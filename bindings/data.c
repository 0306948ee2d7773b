/*
 * data.c -- mle.data: files that hold data written as Lua, such as mlengine.conf.lua.
 *
 * Such a text runs in a state of its own that has no libraries, little memory
 * and few instructions, so that the worst it can do is to be refused. What it
 * leaves behind is copied over value by value.
 */

#include <lauxlib.h>
#include <lua.h>
#include <stdbool.h>

#include "bindings/box.h"
#include "bindings/modules.h"
#include "bindings/state.h"

#define MEMORY_MAX ((size_t)16 << 20)
#define INSTRUCTIONS_MAX 1000000
#define DEPTH_MAX 16

static void release_state(void *state) { mlb_state_free(state); }

static const mlb_class state_class = {"mle.data.state", release_state};

static void stop(lua_State *D, lua_Debug *at) {
  (void)at;
  luaL_error(D, "this file is data, and it ran for too long");
}

/* Leaves in D the table the text returned or, without one, the globals it set. */
static int evaluate(lua_State *D) {
  const char *text = lua_touserdata(D, 1), *name = lua_touserdata(D, 2);
  size_t len = *(size_t *)lua_touserdata(D, 3);
  if (luaL_loadbufferx(D, text, len, name, "t") != LUA_OK) return lua_error(D);
  lua_call(D, 0, 1);
  if (lua_isnil(D, -1)) lua_pushglobaltable(D);
  if (!lua_istable(D, -1)) return luaL_error(D, "this file must set names, or return a table");
  return 1;
}

static void copy_table(lua_State *L, lua_State *D, int depth);

/* Copies the value at the top of D to the top of L. None of the calls on D can raise. */
static void copy_value(lua_State *L, lua_State *D, int depth) {
  size_t len;
  switch (lua_type(D, -1)) {
    case LUA_TTABLE: copy_table(L, D, depth + 1); break;
    case LUA_TBOOLEAN: lua_pushboolean(L, lua_toboolean(D, -1)); break;
    case LUA_TNUMBER:
      if (lua_isinteger(D, -1))
        lua_pushinteger(L, lua_tointeger(D, -1));
      else
        lua_pushnumber(L, lua_tonumber(D, -1));
      break;
    case LUA_TSTRING: {
      const char *text = lua_tolstring(D, -1, &len);
      lua_pushlstring(L, text, len);
      break;
    }
    default: luaL_error(L, "a data file cannot hold a %s", luaL_typename(D, -1));
  }
}

static void copy_table(lua_State *L, lua_State *D, int depth) {
  if (depth > DEPTH_MAX || !lua_checkstack(D, 4))
    luaL_error(L, "a data file is nested at most %d levels deep", DEPTH_MAX);
  luaL_checkstack(L, 4, "data nested too deep");
  lua_newtable(L);
  for (lua_pushnil(D); lua_next(D, -2); lua_pop(D, 1)) { /* D: [table, key, value] */
    lua_pushvalue(D, -2);
    copy_value(L, D, depth); /* L: [copy, key] */
    lua_pop(D, 1);
    copy_value(L, D, depth); /* L: [copy, key, value] */
    lua_rawset(L, -3);
  }
}

/* read(text, chunk_name) -> table; raises the text's own error, as a string */
static int l_read(lua_State *L) {
  size_t len;
  const char *text = luaL_checklstring(L, 1, &len), *name = luaL_checkstring(L, 2);
  mlb_box *box = mlb_push(L, &state_class);
  lua_State *D = box->object = mlb_state_new(MEMORY_MAX);
  if (D == NULL) return luaL_error(L, "not enough memory");
  lua_sethook(D, stop, LUA_MASKCOUNT, INSTRUCTIONS_MAX);
  lua_pushcfunction(D, evaluate);
  lua_pushlightuserdata(D, (void *)(uintptr_t)text);
  lua_pushlightuserdata(D, (void *)(uintptr_t)name);
  lua_pushlightuserdata(D, &len);
  if (lua_pcall(D, 3, 1, 0) != LUA_OK) {
    bool has_text = lua_type(D, -1) == LUA_TSTRING;
    lua_pushstring(L, has_text ? lua_tostring(D, -1) : "the file raised an error without a text");
    return lua_error(L);
  }
  copy_value(L, D, 0);
  return 1;
}

static const luaL_Reg functions[] = {
    {"read", l_read},
    {NULL, NULL},
};

static const luaL_Reg no_methods[] = {{NULL, NULL}};

int luaopen_mle_data(lua_State *L) {
  mlb_register(L, &state_class, no_methods);
  luaL_newlib(L, functions);
  return 1;
}
