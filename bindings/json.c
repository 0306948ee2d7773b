/* json.c -- mle.json: what Lua sees of engine/json/json.h */

#include <lauxlib.h>
#include <lua.h>
#include <math.h>
#include <string.h>

#include "bindings/box.h"
#include "bindings/modules.h"
#include "engine/base/alloc.h"
#include "engine/json/json.h"
#include "engine/mlflow/yaml.h"

#define DEPTH_MAX 100

/* Stands for JSON's null in Lua tables: a light userdata, so that it is truthy and unique. */
static char null_address;

static void release_json(void *doc) { mle_json_free(doc); }
static void release_text(void *text) { mle_free(text); }

static const mlb_class json_class = {"mle.json.document", release_json};
static const mlb_class text_class = {"mle.json.text", release_text};

/* ====== Decoding ====== */

static void push_value(lua_State *L, const mle_json_at *at);

static void push_table(lua_State *L, const mle_json_at *at) {
  mle_json_at item;
  bool is_array = mle_json_is_array(at);
  luaL_checkstack(L, 4, "JSON nested too deep");
  lua_createtable(L, is_array ? mle_json_count(at) : 0, is_array ? 0 : mle_json_count(at));
  for (bool more = mle_json_first(at, &item); more; more = mle_json_next(&item)) {
    if (item.key != NULL) lua_pushstring(L, item.key);
    push_value(L, &item);
    if (item.key != NULL)
      lua_rawset(L, -3);
    else
      lua_rawseti(L, -2, item.index + 1);
  }
  if (!is_array) return;
  luaL_setmetatable(L, "mle.json.array");
}

static void push_number(lua_State *L, const mle_json_at *at) {
  int64_t whole;
  double number;
  if (mle_json_int(at, &whole, NULL) == MLE_OK)
    lua_pushinteger(L, whole);
  else if (mle_json_double(at, &number, NULL) == MLE_OK)
    lua_pushnumber(L, number);
}

static void push_value(lua_State *L, const mle_json_at *at) {
  const char *text;
  if (mle_json_is_object(at) || mle_json_is_array(at))
    push_table(L, at);
  else if (mle_json_is_number(at))
    push_number(L, at);
  else if (mle_json_text(at, &text, NULL) == MLE_OK)
    lua_pushstring(L, text);
  else if (mle_json_is_bool(at))
    lua_pushboolean(L, mle_json_true(at));
  else
    lua_pushlightuserdata(L, &null_address);
}

/* json.decode(text) -> value */
static int l_decode(lua_State *L) {
  size_t len;
  const char *text = luaL_checklstring(L, 1, &len);
  mlb_box *box = mlb_push(L, &json_class);
  mle_json *doc;
  mle_error err;
  mlb_try(L, mle_json_parse(text, len, &doc, &err), &err);
  box->object = doc;
  mle_json_at root = mle_json_root(doc);
  push_value(L, &root);
  return 1;
}

/* json.decode_yaml(text) -> value, of as much YAML as engine/mlflow/yaml.h reads */
static int l_decode_yaml(lua_State *L) {
  size_t len;
  const char *text = luaL_checklstring(L, 1, &len);
  mlb_box *box = mlb_push(L, &json_class);
  mle_json *doc;
  mle_error err;
  mlb_try(L, mle_yaml_read(text, len, &doc, &err), &err);
  box->object = doc;
  mle_json_at root = mle_json_root(doc);
  push_value(L, &root);
  return 1;
}

/* ====== Encoding ====== */

static void add_value(lua_State *L, mle_json *to, const char *key, int depth);

/* A table is an array when it says so, or when it has elements and no other keys. */
static bool is_array(lua_State *L) {
  bool marked = false;
  if (lua_getmetatable(L, -1)) {
    luaL_getmetatable(L, "mle.json.array");
    marked = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
  }
  return marked || lua_rawlen(L, -1) > 0;
}

static void add_array(lua_State *L, mle_json *array, int depth) {
  lua_Integer count = luaL_len(L, -1);
  for (lua_Integer i = 1; i <= count; i++) {
    lua_geti(L, -1, i);
    add_value(L, array, NULL, depth);
    lua_pop(L, 1);
  }
}

/* Keys in order, so that equal tables give equal text. */
static void add_object(lua_State *L, mle_json *object, int depth) {
  lua_Integer count = 0;
  lua_newtable(L); /* [table, keys] */
  for (lua_pushnil(L); lua_next(L, -3);) {
    lua_pop(L, 1);
    if (lua_type(L, -1) != LUA_TSTRING)
      luaL_error(L, "JSON: a table must have only names, or only elements 1 to n, as keys");
    lua_pushvalue(L, -1);
    lua_rawseti(L, -3, ++count);
  }
  lua_getglobal(L, "table");
  lua_getfield(L, -1, "sort");
  lua_remove(L, -2);
  lua_pushvalue(L, -2);
  lua_call(L, 1, 0);
  for (lua_Integer i = 1; i <= count; i++) {
    lua_rawgeti(L, -1, i);
    lua_pushvalue(L, -1);
    lua_rawget(L, -4); /* [table, keys, key, value] */
    add_value(L, object, lua_tostring(L, -2), depth);
    lua_pop(L, 2);
  }
  lua_pop(L, 1);
}

static void add_table(lua_State *L, mle_json *to, const char *key, int depth) {
  if (depth > DEPTH_MAX) luaL_error(L, "JSON: nested more than %d levels, or a cycle", DEPTH_MAX);
  luaL_checkstack(L, 8, "JSON nested too deep");
  if (is_array(L))
    add_array(L, mle_json_add_array(to, key), depth + 1);
  else
    add_object(L, mle_json_add_object(to, key), depth + 1);
}

static void add_number(lua_State *L, mle_json *to, const char *key) {
  if (lua_isinteger(L, -1))
    mle_json_add_int(to, key, lua_tointeger(L, -1));
  else if (isfinite(lua_tonumber(L, -1)))
    mle_json_add_double(to, key, lua_tonumber(L, -1));
  else
    luaL_error(L, "JSON has no NaN or infinity");
}

static void add_value(lua_State *L, mle_json *to, const char *key, int depth) {
  switch (lua_type(L, -1)) {
    case LUA_TTABLE: add_table(L, to, key, depth); break;
    case LUA_TNUMBER: add_number(L, to, key); break;
    case LUA_TSTRING: mle_json_add_text(to, key, lua_tostring(L, -1)); break;
    case LUA_TBOOLEAN: mle_json_add_bool(to, key, lua_toboolean(L, -1)); break;
    case LUA_TLIGHTUSERDATA:
    case LUA_TNIL: mle_json_add_null(to, key); break;
    default: luaL_error(L, "JSON cannot hold a %s", luaL_typename(L, -1));
  }
}

/* json.encode(value [, pretty]) -> text */
static int l_encode(lua_State *L) {
  luaL_checkany(L, 1);
  bool pretty = lua_toboolean(L, 2);
  mlb_box *holder = mlb_push(L, &json_class);
  mlb_box *text = mlb_push(L, &text_class);
  holder->object = mle_json_new_array(); /* the value becomes its one element */
  lua_pushvalue(L, 1);
  add_value(L, holder->object, NULL, 0);
  mle_json_at root = mle_json_root(holder->object), value;
  if (holder->object != NULL && mle_json_first(&root, &value))
    text->object = mle_json_print(value.node, pretty);
  if (text->object == NULL) return luaL_error(L, "not enough memory");
  lua_pushstring(L, text->object);
  return 1;
}

/* json.array(table) -> the same table, printed as an array also when it is empty */
static int l_array(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  luaL_setmetatable(L, "mle.json.array");
  lua_settop(L, 1);
  return 1;
}

static const luaL_Reg functions[] = {
    {"decode", l_decode},
    {"decode_yaml", l_decode_yaml},
    {"encode", l_encode},
    {"array", l_array},
    {NULL, NULL},
};

static const luaL_Reg no_methods[] = {{NULL, NULL}};

int luaopen_mle_json(lua_State *L) {
  mlb_register(L, &json_class, no_methods);
  mlb_register(L, &text_class, no_methods);
  luaL_newmetatable(L, "mle.json.array");
  lua_pop(L, 1);
  luaL_newlib(L, functions);
  lua_pushlightuserdata(L, &null_address);
  lua_setfield(L, -2, "null");
  return 1;
}
