/* frame.c -- mle.frame: what Lua sees of engine/frame/frame.h */

#include "bindings/frame.h"

#include <lauxlib.h>

#include "bindings/args.h"
#include "bindings/modules.h"
#include "engine/base/alloc.h"

#define COLLECT_MAX ((size_t)64 << 20)

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

/* ====== From a user's SQL ====== */

static void read_value(lua_State *L, int index, mle_sql_value *out) {
  switch (lua_type(L, index)) {
    case LUA_TBOOLEAN:
      *out = (mle_sql_value){.kind = MLE_SQL_BOOL, .boolean = lua_toboolean(L, index)};
      break;
    case LUA_TNUMBER:
      if (lua_isinteger(L, index))
        *out = (mle_sql_value){.kind = MLE_SQL_INT, .integer = lua_tointeger(L, index)};
      else
        *out = (mle_sql_value){.kind = MLE_SQL_DOUBLE, .number = lua_tonumber(L, index)};
      break;
    case LUA_TSTRING:
      *out = (mle_sql_value){.kind = MLE_SQL_TEXT};
      out->text = lua_tolstring(L, index, &out->len); /* the list keeps it */
      break;
    case LUA_TLIGHTUSERDATA: /* JSON's null */
      *out = (mle_sql_value){.kind = MLE_SQL_NULL};
      break;
    default: luaL_error(L, "SQL cannot take a %s as a value", luaL_typename(L, index));
  }
}

/* The values of the list at `arg`, in userdata left on the stack. [-0, +1, v] */
static mle_sql_value *read_values(lua_State *L, int arg, size_t *out_count) {
  luaL_checktype(L, arg, LUA_TTABLE);
  size_t count = (size_t)luaL_len(L, arg);
  mle_sql_value *values = lua_newuserdatauv(L, (count + 1) * sizeof *values, 0);
  for (size_t i = 0; i < count; i++) {
    lua_rawgeti(L, arg, (lua_Integer)i + 1);
    read_value(L, lua_gettop(L), &values[i]);
    lua_pop(L, 1);
  }
  *out_count = count;
  return values;
}

/* The frames of { name = frame } at `arg`, in userdata left on the stack. [-0, +1, v] */
static mle_sql_table *read_tables(lua_State *L, int arg, size_t *out_count) {
  size_t count = 0, i = 0;
  luaL_checktype(L, arg, LUA_TTABLE);
  for (lua_pushnil(L); lua_next(L, arg); lua_pop(L, 1)) count++;
  mle_sql_table *tables = lua_newuserdatauv(L, (count + 1) * sizeof *tables, 0);
  for (lua_pushnil(L); lua_next(L, arg); lua_pop(L, 1)) { /* [tables, name, frame] */
    if (lua_type(L, -2) != LUA_TSTRING) luaL_error(L, "frames for SQL have names");
    tables[i++] = (mle_sql_table){lua_tostring(L, -2), mlb_check_frame(L, lua_gettop(L))};
  }
  *out_count = count;
  return tables;
}

/* query(text, values, frames) -> frame */
static int l_query(lua_State *L) {
  const char *text = luaL_checkstring(L, 1);
  size_t num_values, num_tables;
  const mle_sql_value *values = read_values(L, 2, &num_values);
  const mle_sql_table *tables = read_tables(L, 3, &num_tables);
  mlb_box *box = mlb_push_frame(L);
  mle_frame *frame;
  mle_error err;
  mlb_try(L, mle_frame_query(mlb_session(L), text, values, num_values, tables, num_tables, &frame, &err),
          &err);
  box->object = frame;
  return 1;
}

/* ====== From another frame ====== */

/* Fills the box on top with what `status` made, once its texts were planned. */
static int give_checked(lua_State *L, mlb_box *box, mle_status status, mle_frame *made,
                        mle_error *err) {
  mlb_try(L, status, err);
  box->object = made;
  mlb_try(L, mle_frame_check(made, err), err);
  return 1;
}

/* frame:select(expressions) -> frame */
static int l_select(lua_State *L) {
  mle_frame *frame = mlb_check_frame(L, 1), *made;
  size_t count;
  const char **expressions = mlb_texts(L, 2, &count);
  mlb_box *box = mlb_push_frame(L);
  mle_error err;
  mle_status status = mle_frame_select(frame, expressions, count, &made, &err);
  return give_checked(L, box, status, made, &err);
}

/* frame:where(predicate) -> frame */
static int l_where(lua_State *L) {
  mle_frame *frame = mlb_check_frame(L, 1), *made;
  const char *predicate = luaL_checkstring(L, 2);
  mlb_box *box = mlb_push_frame(L);
  mle_error err;
  mle_status status = mle_frame_where(frame, predicate, &made, &err);
  return give_checked(L, box, status, made, &err);
}

/* frame:sort(terms) -> frame */
static int l_sort(lua_State *L) {
  mle_frame *frame = mlb_check_frame(L, 1), *made;
  const char *terms = luaL_checkstring(L, 2);
  mlb_box *box = mlb_push_frame(L);
  mle_error err;
  mle_status status = mle_frame_sort(frame, terms, &made, &err);
  return give_checked(L, box, status, made, &err);
}

/* frame:limit(count, offset) -> frame */
static int l_limit(lua_State *L) {
  mle_frame *frame = mlb_check_frame(L, 1), *made;
  int64_t count = luaL_checkinteger(L, 2), offset = luaL_optinteger(L, 3, 0);
  mlb_box *box = mlb_push_frame(L);
  mle_error err;
  mlb_try(L, mle_frame_limit(frame, count, offset, &made, &err), &err);
  box->object = made;
  return 1;
}

/* frame:pin() -> frame */
static int l_pin(lua_State *L) {
  mle_frame *frame = mlb_check_frame(L, 1), *made;
  mlb_box *box = mlb_push_frame(L);
  mle_error err;
  mlb_try(L, mle_frame_pin(frame, &made, &err), &err);
  box->object = made;
  return 1;
}

/* frame:steady() -> frame, pinned: itself, or its pin when readings may differ */
static int l_steady(lua_State *L) {
  mle_frame *frame = mlb_check_frame(L, 1), *made;
  mlb_box *box = mlb_push_frame(L);
  mle_error err;
  mlb_try(L, mle_frame_steady(frame, &made, &err), &err);
  box->object = made;
  lua_pushboolean(L, made != frame);
  return 2;
}

/* frame:split(options) -> train, test */
static int l_split(lua_State *L) {
  static const char *const options[] = {"test", "seed", "by", "stratify", "after", "column", NULL};
  mle_frame *frame = mlb_check_frame(L, 1), *train, *test;
  mlb_options(L, 2, options);
  mle_split how = {
      .test = mlb_opt_number(L, 2, "test", 0.25),
      .seed = mlb_opt_integer(L, 2, "seed", 0),
      .by = mlb_opt_text(L, 2, "by", NULL),
      .stratify = mlb_opt_text(L, 2, "stratify", NULL),
      .after = mlb_opt_text(L, 2, "after", NULL),
      .column = mlb_opt_text(L, 2, "column", NULL),
  };
  mlb_box *train_box = mlb_push_frame(L), *test_box = mlb_push_frame(L);
  mle_error err;
  mlb_try(L, mle_frame_split(frame, &how, &train, &test, &err), &err);
  train_box->object = train;
  test_box->object = test;
  return 2;
}

/* ====== Out of a frame ====== */

/* frame:volatile() -> boolean */
static int l_volatile(lua_State *L) {
  lua_pushboolean(L, mle_frame_volatile(mlb_check_frame(L, 1)));
  return 1;
}

static void release_buffer(void *object) {
  mle_buffer_release(object);
  mle_free(object);
}

static const mlb_class text_class = {"mle.frame.text", release_buffer};

/* frame:collect(rows) -> one JSON object a line */
static int l_collect(lua_State *L) {
  mle_frame *frame = mlb_check_frame(L, 1);
  int64_t rows = luaL_checkinteger(L, 2);
  mlb_box *box = mlb_push(L, &text_class);
  mle_buffer *text = mle_calloc(1, sizeof *text);
  if (text == NULL) return luaL_error(L, "not enough memory");
  *text = MLE_BUFFER(COLLECT_MAX);
  box->object = text;
  mle_error err;
  mlb_try(L, mle_frame_collect(frame, rows, text, &err), &err);
  lua_pushlstring(L, text->data == NULL ? "" : text->data, text->len);
  return 1;
}

/* frame:write_parquet(path); frame:write(path, options) for what else DuckDB's COPY writes */
static int l_write_parquet(lua_State *L) {
  mle_error err;
  mlb_try(L, mle_frame_write_parquet(mlb_check_frame(L, 1), luaL_checkstring(L, 2), NULL, NULL, &err),
          &err);
  return 0;
}

static int l_write(lua_State *L) {
  mle_error err;
  mlb_try(L, mle_frame_write(mlb_check_frame(L, 1), luaL_checkstring(L, 2), luaL_checkstring(L, 3), &err),
          &err);
  return 0;
}

static const luaL_Reg methods[] = {
    {"columns", l_columns},
    {"count", l_count},
    {"known_rows", l_known_rows},
    {"volatile", l_volatile},
    {"select", l_select},
    {"where", l_where},
    {"sort", l_sort},
    {"limit", l_limit},
    {"pin", l_pin},
    {"steady", l_steady},
    {"split", l_split},
    {"collect", l_collect},
    {"write_parquet", l_write_parquet},
    {"write", l_write},
    {NULL, NULL},
};

static const luaL_Reg functions[] = {
    {"configure", l_configure},
    {"from_sql", l_from_sql},
    {"query", l_query},
    {NULL, NULL},
};

static const luaL_Reg no_methods[] = {{NULL, NULL}};

int luaopen_mle_frame(lua_State *L) {
  mlb_register(L, &frame_class, methods);
  mlb_register(L, &text_class, no_methods);
  luaL_newlib(L, functions);
  return 1;
}
