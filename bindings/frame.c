/* frame.c -- mle.frame: what Lua sees of engine/frame/frame.h */

#include "bindings/frame.h"

#include <lauxlib.h>

#include "bindings/args.h"
#include "bindings/modules.h"

static void release(void *frame) { mle_frame_free(frame); }

static const mlb_class frame_class = {"mle.frame", release};

mle_session *mlb_session(lua_State *L) {
  mle_session *session;
  mle_error err;
  mlb_try(L, mle_session_shared(&session, &err), &err);
  return session;
}

mlb_box *mlb_push_frame(lua_State *L) { return mlb_push(L, &frame_class); }

mle_frame *mlb_check_frame(lua_State *L, int arg) {
  if (!lua_istable(L, arg)) return mlb_check(L, arg, &frame_class);
  lua_getfield(L, arg, "handle");
  mle_frame *frame = mlb_test(L, -1, &frame_class);
  luaL_argcheck(L, frame != NULL, arg, "frame expected");
  lua_pop(L, 1); /* the table still holds it */
  return frame;
}

/* configure{threads, memory, temp}: how DuckDB will be opened */
static int l_configure(lua_State *L) {
  static const char *const options[] = {"threads", "memory", "temp", NULL};
  mlb_options(L, 1, options);
  mle_session_options settings = {
      .threads = (int)mlb_opt_integer(L, 1, "threads", 0),
      .memory_max = mlb_opt_integer(L, 1, "memory", 0),
      .temp_folder = mlb_opt_text(L, 1, "temp", NULL),
  };
  mle_error err;
  mlb_try(L, mle_session_configure(&settings, &err), &err);
  return 0;
}

/* select(sql) -> frame, of a SELECT that the standard library made */
static int l_from_sql(lua_State *L) {
  const char *sql = luaL_checkstring(L, 1);
  mlb_box *box = mlb_push_frame(L);
  mle_frame *frame;
  mle_error err;
  mlb_try(L, mle_frame_from_sql(mlb_session(L), sql, &frame, &err), &err);
  box->object = frame;
  return 1;
}

/* frame:columns() -> { { name, type, nullable }, ... } */
static int l_columns(lua_State *L) {
  const mle_frame_column *columns;
  size_t count;
  mle_error err;
  mlb_try(L, mle_frame_columns(mlb_check_frame(L, 1), &columns, &count, &err), &err);
  lua_createtable(L, (int)count, 0);
  for (size_t i = 0; i < count; i++) {
    lua_createtable(L, 0, 3); /* [list, column] */
    lua_pushstring(L, columns[i].name);
    lua_setfield(L, -2, "name");
    lua_pushstring(L, columns[i].type);
    lua_setfield(L, -2, "type");
    lua_pushboolean(L, columns[i].nullable);
    lua_setfield(L, -2, "nullable");
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  return 1;
}

/* frame:count() -> integer */
static int l_count(lua_State *L) {
  int64_t count;
  mle_error err;
  mlb_try(L, mle_frame_count(mlb_check_frame(L, 1), &count, &err), &err);
  lua_pushinteger(L, count);
  return 1;
}

/* frame:known_rows() -> integer or nil, from metadata */
static int l_known_rows(lua_State *L) {
  int64_t rows = mle_frame_known_rows(mlb_check_frame(L, 1));
  if (rows < 0)
    lua_pushnil(L);
  else
    lua_pushinteger(L, rows);
  return 1;
}

static const luaL_Reg methods[] = {
    {"columns", l_columns},
    {"count", l_count},
    {"known_rows", l_known_rows},
    {NULL, NULL},
};

static const luaL_Reg functions[] = {
    {"configure", l_configure},
    {"from_sql", l_from_sql},
    {NULL, NULL},
};

int luaopen_mle_frame(lua_State *L) {
  mlb_register(L, &frame_class, methods);
  luaL_newlib(L, functions);
  return 1;
}
