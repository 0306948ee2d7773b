#include "bindings/args.h"

#include <lauxlib.h>
#include <string.h>

static bool is_known(const char *const *known, const char *key) {
  for (; *known != NULL; known++)
    if (strcmp(*known, key) == 0) return true;
  return false;
}

void mlb_options(lua_State *L, int arg, const char *const *known) {
  if (lua_isnoneornil(L, arg)) return;
  luaL_checktype(L, arg, LUA_TTABLE);
  for (lua_pushnil(L); lua_next(L, arg); lua_pop(L, 1)) { /* [key, value] */
    if (lua_type(L, -2) != LUA_TSTRING) luaL_argerror(L, arg, "options have names");
    const char *key = lua_tostring(L, -2);
    if (!is_known(known, key)) luaL_error(L, "unknown option '%s'", key);
  }
}

/* Pushes the option, nil when the table or the key is absent. */
static int push_option(lua_State *L, int arg, const char *key) {
  if (lua_isnoneornil(L, arg)) {
    lua_pushnil(L);
    return LUA_TNIL;
  }
  return lua_getfield(L, arg, key);
}

static int bad_option(lua_State *L, const char *key, const char *wanted) {
  return luaL_error(L, "option '%s' must be %s, not %s", key, wanted, luaL_typename(L, -1));
}

int64_t mlb_opt_integer(lua_State *L, int arg, const char *key, int64_t fallback) {
  int is_integer = 1;
  if (push_option(L, arg, key) != LUA_TNIL) fallback = lua_tointegerx(L, -1, &is_integer);
  if (!is_integer) bad_option(L, key, "a whole number");
  lua_pop(L, 1);
  return fallback;
}

double mlb_opt_number(lua_State *L, int arg, const char *key, double fallback) {
  int is_number = 1;
  if (push_option(L, arg, key) != LUA_TNIL) fallback = lua_tonumberx(L, -1, &is_number);
  if (!is_number) bad_option(L, key, "a number");
  lua_pop(L, 1);
  return fallback;
}

bool mlb_opt_boolean(lua_State *L, int arg, const char *key, bool fallback) {
  int type = push_option(L, arg, key);
  if (type != LUA_TNIL && type != LUA_TBOOLEAN) bad_option(L, key, "true or false");
  if (type == LUA_TBOOLEAN) fallback = lua_toboolean(L, -1);
  lua_pop(L, 1);
  return fallback;
}

const char *mlb_opt_text(lua_State *L, int arg, const char *key, const char *fallback) {
  int type = push_option(L, arg, key);
  if (type != LUA_TNIL && type != LUA_TSTRING) bad_option(L, key, "a string");
  if (type == LUA_TSTRING) fallback = lua_tostring(L, -1);
  lua_pop(L, 1); /* the table still holds it */
  return fallback;
}

const char *mlb_need_text(lua_State *L, int arg, const char *key) {
  const char *text = mlb_opt_text(L, arg, key, NULL);
  if (text == NULL) luaL_error(L, "option '%s' is missing", key);
  return text;
}

const char **mlb_texts(lua_State *L, int index, size_t *out_count) {
  index = lua_absindex(L, index);
  luaL_checktype(L, index, LUA_TTABLE);
  size_t count = (size_t)luaL_len(L, index);
  const char **texts = lua_newuserdatauv(L, (count + 1) * sizeof *texts, 0); /* [texts] */
  for (size_t i = 0; i < count; i++) {
    if (lua_rawgeti(L, index, (lua_Integer)i + 1) != LUA_TSTRING)
      luaL_error(L, "element %d must be a string, not %s", (int)i + 1, luaL_typename(L, -1));
    texts[i] = lua_tostring(L, -1);
    lua_pop(L, 1);
  }
  texts[count] = NULL;
  *out_count = count;
  return texts;
}
