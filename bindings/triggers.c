/* triggers.c -- mle.triggers: what Lua sees of engine/jobs/{triggers,prune,detached}.h */

#include <lauxlib.h>
#include <lua.h>

#include "bindings/args.h"
#include "bindings/box.h"
#include "bindings/jobs.h"
#include "bindings/modules.h"
#include "engine/base/alloc.h"
#include "engine/jobs/detached.h"
#include "engine/jobs/prune.h"
#include "engine/jobs/triggers.h"

static void release_text(void *text) { mle_free(text); }

static const mlb_class text_class = {"mle.triggers.text", release_text};

/* ====== Triggers ====== */

static bool read_cursor(lua_State *L, int arg, const mle_trigger *wanted, mle_cursor *out) {
  static const char *const known[] = {"source", "value", NULL};
  if (lua_isnoneornil(L, arg)) return false;
  mlb_options(L, arg, known);
  *out = (mle_cursor){.pipeline = wanted->pipeline, .job = wanted->job,
                      .source = mlb_need_text(L, arg, "source"), .value = mlb_opt_integer(L, arg, "value", 0)};
  return true;
}

/* add(state, { pipeline, file, job, params, source, who, detail } [, { source, value }]) -> trigger */
static int l_add(lua_State *L) {
  static const char *const known[] = {"pipeline", "file", "job", "params", "source", "who", "detail", NULL};
  mle_state *state = mlb_check_state(L, 1);
  mlb_options(L, 2, known);
  mle_trigger wanted = {.pipeline = mlb_need_text(L, 2, "pipeline"), .file = mlb_need_text(L, 2, "file"),
                        .job = mlb_opt_text(L, 2, "job", NULL), .params = mlb_opt_text(L, 2, "params", "[]"),
                        .source = mlb_need_text(L, 2, "source"), .who = mlb_need_text(L, 2, "who"),
                        .detail = mlb_opt_text(L, 2, "detail", NULL)};
  mle_cursor cursor;
  bool moves = read_cursor(L, 3, &wanted, &cursor);
  int64_t id;
  mle_error err;
  mlb_try(L, mle_trigger_add(state, &wanted, moves ? &cursor : NULL, &id, &err), &err);
  lua_pushinteger(L, id);
  return 1;
}

/* take(state, trigger) -> lock */
static int l_take(lua_State *L) {
  mle_state *state = mlb_check_state(L, 1);
  int64_t id = luaL_checkinteger(L, 2);
  mlb_box *box = mlb_push_lock(L);
  mle_lock *lock;
  mle_error err;
  mlb_try(L, mle_trigger_take(state, id, &lock, &err), &err);
  box->object = lock;
  return 1;
}

/* put_back(state, trigger) */
static int l_put_back(lua_State *L) {
  mle_error err;
  mlb_try(L, mle_trigger_put_back(mlb_check_state(L, 1), luaL_checkinteger(L, 2), &err), &err);
  return 0;
}

/* bind(state, trigger, pipeline_run) */
static int l_bind(lua_State *L) {
  mle_error err;
  mlb_try(L, mle_trigger_bind(mlb_check_state(L, 1), luaL_checkinteger(L, 2), luaL_checkinteger(L, 3), &err), &err);
  return 0;
}

/* finish(state, trigger, outcome [, reason]) */
static int l_finish(lua_State *L) {
  mle_error err;
  mlb_try(L,
          mle_trigger_end(mlb_check_state(L, 1), luaL_checkinteger(L, 2), luaL_checkstring(L, 3),
                          luaL_optstring(L, 4, NULL), &err),
          &err);
  return 0;
}

/* version(state) -> a number that changes with the state */
static int l_version(lua_State *L) {
  int64_t version;
  mle_error err;
  mlb_try(L, mle_state_version(mlb_check_state(L, 1), &version, &err), &err);
  lua_pushinteger(L, version);
  return 1;
}

/* cancel(state, trigger, who) */
static int l_cancel(lua_State *L) {
  mle_error err;
  mlb_try(L, mle_trigger_cancel(mlb_check_state(L, 1), luaL_checkinteger(L, 2), luaL_checkstring(L, 3), &err), &err);
  return 0;
}

/* recover(state) */
static int l_recover(lua_State *L) {
  mle_error err;
  mlb_try(L, mle_triggers_recover(mlb_check_state(L, 1), &err), &err);
  return 0;
}

/* list(state, limit) -> json */
static int l_list(lua_State *L) {
  mle_state *state = mlb_check_state(L, 1);
  int64_t limit = luaL_checkinteger(L, 2);
  mlb_box *box = mlb_push(L, &text_class);
  char *json = NULL;
  mle_error err;
  mle_status status = mle_triggers_json(state, limit, &json, &err);
  return mlb_push_json(L, box, status, json, &err);
}

/* live(state) -> json */
static int l_live(lua_State *L) {
  mle_state *state = mlb_check_state(L, 1);
  mlb_box *box = mlb_push(L, &text_class);
  char *json = NULL;
  mle_error err;
  mle_status status = mle_triggers_live_json(state, &json, &err);
  return mlb_push_json(L, box, status, json, &err);
}

/* without_run(state, pipeline, job, limit) -> json */
static int l_without_run(lua_State *L) {
  mle_state *state = mlb_check_state(L, 1);
  const char *pipeline = luaL_checkstring(L, 2), *job = luaL_checkstring(L, 3);
  int64_t limit = luaL_checkinteger(L, 4);
  mlb_box *box = mlb_push(L, &text_class);
  char *json = NULL;
  mle_error err;
  mle_status status = mle_triggers_without_run_json(state, pipeline, job, limit, &json, &err);
  return mlb_push_json(L, box, status, json, &err);
}

/* get(state, trigger) -> json */
static int l_get(lua_State *L) {
  mle_state *state = mlb_check_state(L, 1);
  int64_t id = luaL_checkinteger(L, 2);
  mlb_box *box = mlb_push(L, &text_class);
  char *json = NULL;
  mle_error err;
  mle_status status = mle_trigger_json(state, id, &json, &err);
  return mlb_push_json(L, box, status, json, &err);
}

/* ====== Cursors, running, stopping ====== */

/* cursor(state, pipeline, job, source) -> value, or nil */
static int l_cursor(lua_State *L) {
  bool found;
  int64_t value;
  mle_error err;
  mlb_try(L,
          mle_cursor_find(mlb_check_state(L, 1), luaL_checkstring(L, 2), luaL_checkstring(L, 3),
                          luaL_checkstring(L, 4), &found, &value, &err),
          &err);
  if (!found) return 0;
  lua_pushinteger(L, value);
  return 1;
}

/* cursors_ahead(state, time) -> json */
static int l_cursors_ahead(lua_State *L) {
  mle_state *state = mlb_check_state(L, 1);
  int64_t time = luaL_checkinteger(L, 2);
  mlb_box *box = mlb_push(L, &text_class);
  char *json = NULL;
  mle_error err;
  mle_status status = mle_cursors_ahead_json(state, time, &json, &err);
  return mlb_push_json(L, box, status, json, &err);
}

/* set_cursor(state, pipeline, job, source, value) */
static int l_set_cursor(lua_State *L) {
  mle_error err;
  mle_cursor cursor = {.pipeline = luaL_checkstring(L, 2), .job = luaL_checkstring(L, 3),
                       .source = luaL_checkstring(L, 4), .value = luaL_checkinteger(L, 5)};
  mlb_try(L, mle_cursor_set(mlb_check_state(L, 1), &cursor, &err), &err);
  return 0;
}

/* at_once(state, f): what f writes is one transaction */
static int l_at_once(lua_State *L) {
  mle_db *db = mle_state_db(mlb_check_state(L, 1));
  mle_error err;
  luaL_checktype(L, 2, LUA_TFUNCTION);
  lua_settop(L, 2);
  mlb_try(L, mle_db_begin(db, &err), &err);
  if (lua_pcall(L, 0, 0, 0) != LUA_OK) {
    mle_db_rollback(db);
    return lua_error(L);
  }
  mle_status status = mle_db_commit(db, &err);
  if (status != MLE_OK) mle_db_rollback(db);
  mlb_try(L, status, &err);
  return 0;
}

/* is_running(state, pipeline) -> boolean */
static int l_is_running(lua_State *L) {
  bool running;
  mle_error err;
  mlb_try(L, mle_pipeline_is_running(mlb_check_state(L, 1), luaL_checkstring(L, 2), &running, &err), &err);
  lua_pushboolean(L, running);
  return 1;
}

/* ask_to_stop(state, run, who) */
static int l_ask_to_stop(lua_State *L) {
  mle_error err;
  mlb_try(L, mle_stop_ask(mlb_check_state(L, 1), luaL_checkinteger(L, 2), luaL_checkstring(L, 3), &err), &err);
  return 0;
}

/* who_stops(state, run) -> who asked it to stop, or nil */
static int l_who_stops(lua_State *L) {
  mle_state *state = mlb_check_state(L, 1);
  int64_t run = luaL_checkinteger(L, 2);
  mlb_box *box = mlb_push(L, &text_class);
  char *who = NULL;
  mle_error err;
  mlb_try(L, mle_stop_find(state, run, &who, &err), &err);
  if ((box->object = who) == NULL) return 0;
  lua_pushstring(L, who);
  return 1;
}

/* prune(state, { before_ms, keep }) -> how many were removed; 0 when none is left */
static int l_prune(lua_State *L) {
  static const char *const known[] = {"before_ms", "keep", NULL};
  mle_state *state = mlb_check_state(L, 1);
  mlb_options(L, 2, known);
  mle_prune_options options = {.before_ms = mlb_opt_integer(L, 2, "before_ms", 0),
                               .keep = mlb_opt_integer(L, 2, "keep", 0)};
  int64_t removed;
  mle_error err;
  mlb_try(L, mle_history_prune(state, &options, &removed, &err), &err);
  lua_pushinteger(L, removed);
  return 1;
}

/* ====== Processes that go on without this one ====== */

/* start{ argv, input, log, folder, lock } -> pid */
static int l_start(lua_State *L) {
  static const char *const known[] = {"argv", "input", "log", "folder", "lock", NULL};
  luaL_checktype(L, 1, LUA_TTABLE);
  mlb_options(L, 1, known);
  size_t count;
  mle_detached_options options = {.log = mlb_need_text(L, 1, "log"), .folder = mlb_need_text(L, 1, "folder")};
  lua_getfield(L, 1, "argv");
  options.argv = mlb_texts(L, -1, &count);
  lua_getfield(L, 1, "input");
  options.input = luaL_optlstring(L, -1, "", &options.input_len);
  if (lua_getfield(L, 1, "lock") != LUA_TNIL) options.lock = mlb_check_lock(L, lua_gettop(L));
  int64_t pid;
  mle_error err;
  mlb_try(L, mle_detached_start(&options, &pid, &err), &err);
  lua_pushinteger(L, pid);
  return 1;
}

/* reap(pid) -> code, signal once it has ended; else nothing */
static int l_reap(lua_State *L) {
  int code, signal;
  if (!mle_detached_reap(luaL_checkinteger(L, 1), &code, &signal)) return 0;
  lua_pushinteger(L, code);
  lua_pushinteger(L, signal);
  return 2;
}

static const luaL_Reg functions[] = {
    {"add", l_add},
    {"take", l_take},
    {"put_back", l_put_back},
    {"bind", l_bind},
    {"finish", l_finish},
    {"version", l_version},
    {"cancel", l_cancel},
    {"recover", l_recover},
    {"list", l_list},
    {"live", l_live},
    {"without_run", l_without_run},
    {"get", l_get},
    {"cursor", l_cursor},
    {"cursors_ahead", l_cursors_ahead},
    {"set_cursor", l_set_cursor},
    {"at_once", l_at_once},
    {"is_running", l_is_running},
    {"ask_to_stop", l_ask_to_stop},
    {"who_stops", l_who_stops},
    {"prune", l_prune},
    {"start", l_start},
    {"reap", l_reap},
    {NULL, NULL},
};

static const luaL_Reg no_methods[] = {{NULL, NULL}};

int luaopen_mle_triggers(lua_State *L) {
  mlb_register(L, &text_class, no_methods);
  luaL_newlib(L, functions);
  return 1;
}
