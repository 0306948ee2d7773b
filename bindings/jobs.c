/* jobs.c -- mle.jobs: what Lua sees of engine/jobs/{state,run,attempt,lock}.h; the rest of a state is in
 * jobs_watermark.c and jobs_history.c */

#include <lauxlib.h>
#include <lua.h>
#include <unistd.h>

#include "bindings/args.h"
#include "bindings/box.h"
#include "bindings/jobs.h"
#include "bindings/modules.h"
#include "engine/base/alloc.h"
#include "engine/base/hash.h"
#include "engine/jobs/attempt.h"
#include "engine/jobs/run.h"

static void release_state(void *state) { mle_state_close(state); }
static void release_lock(void *lock) { mle_lock_free(lock); }
static void release_text(void *text) { mle_free(text); }

static const mlb_class state_class = {"mle.jobs.state", release_state};
static const mlb_class lock_class = {"mle.jobs.lock", release_lock};
static const mlb_class text_class = {"mle.jobs.text", release_text};

static mle_state *check_state(lua_State *L) { return mlb_check(L, 1, &state_class); }

mle_state *mlb_check_state(lua_State *L, int arg) { return mlb_check(L, arg, &state_class); }

mlb_box *mlb_push_lock(lua_State *L) { return mlb_push(L, &lock_class); }

mle_lock *mlb_check_lock(lua_State *L, int arg) { return mlb_check(L, arg, &lock_class); }

mlb_box *mlb_push_text(lua_State *L) { return mlb_push(L, &text_class); }

int mlb_push_json(lua_State *L, mlb_box *box, mle_status status, char *json, const mle_error *err) {
  mlb_try(L, status, err);
  box->object = json;
  lua_pushstring(L, json);
  return 1;
}

/* open(folder) -> state */
static int l_open(lua_State *L) {
  const char *folder = luaL_checkstring(L, 1);
  mlb_box *box = mlb_push(L, &state_class);
  mle_state *state;
  mle_error err;
  mlb_try(L, mle_state_open(folder, &state, &err), &err);
  box->object = state;
  return 1;
}

/* ====== Locks ====== */

/* state:lock(kind, name, holder) -> lock */
static int l_lock(lua_State *L) {
  mle_state *state = check_state(L);
  const char *kind = luaL_checkstring(L, 2), *name = luaL_checkstring(L, 3),
             *holder = luaL_checkstring(L, 4);
  mlb_box *box = mlb_push(L, &lock_class);
  mle_lock *lock;
  mle_error err;
  mlb_try(L, mle_lock_take(mle_state_folder(state), kind, name, &lock, &err), &err);
  box->object = lock;
  mle_lock_describe(lock, holder);
  return 1;
}

/* lock:describe(holder): what others are told while they cannot have it */
static int l_describe(lua_State *L) {
  mle_lock_describe(mlb_check_lock(L, 1), luaL_checkstring(L, 2));
  return 0;
}

/* state:is_alive(run) -> boolean: a process holds the run's lock */
static int l_is_alive(lua_State *L) {
  mle_state *state = check_state(L);
  bool held;
  mle_error err;
  const char *run = lua_pushfstring(L, "%I", (LUAI_UACINT)luaL_checkinteger(L, 2));
  mlb_try(L, mle_lock_is_held(mle_state_folder(state), "run", run, &held, &err), &err);
  lua_pushboolean(L, held);
  return 1;
}

/* state:forget_lock(run): its file, once the run has ended */
static int l_forget_lock(lua_State *L) {
  mle_state *state = check_state(L);
  const char *run = lua_pushfstring(L, "%I", (LUAI_UACINT)luaL_checkinteger(L, 2));
  mle_lock_remove(mle_state_folder(state), "run", run);
  return 0;
}

/* ====== Making runs ====== */

/* Reads options.inputs, { {parent, run}, ... }, into userdata left on the stack. */
static void read_inputs(lua_State *L, int arg, mle_run_spec *spec) {
  if (lua_getfield(L, arg, "inputs") == LUA_TNIL) return;
  luaL_checktype(L, -1, LUA_TTABLE);
  size_t count = (size_t)luaL_len(L, -1);
  mle_run_input *inputs =
      lua_newuserdatauv(L, (count + 1) * sizeof *inputs, 0); /* [list, inputs] */
  for (size_t i = 0; i < count; i++) {
    lua_geti(L, -2, (lua_Integer)i + 1);
    inputs[i].parent = mlb_need_text(L, lua_gettop(L), "parent");
    inputs[i].run = mlb_opt_integer(L, lua_gettop(L), "run", 0);
    lua_pop(L, 1);
  }
  spec->inputs = inputs;
  spec->num_inputs = count;
}

static mle_run_spec read_spec(lua_State *L, int arg) {
  static const char *const known[] = {"pipeline_run", "pipeline", "job",       "script",
                                      "script_text",  "consumer", "rehearsal", "params",
                                      "inputs",       "spec",     NULL};
  luaL_checktype(L, arg, LUA_TTABLE);
  mlb_options(L, arg, known);
  mle_run_spec spec = {.pipeline_run = mlb_opt_integer(L, arg, "pipeline_run", 0),
                       .pipeline = mlb_opt_text(L, arg, "pipeline", NULL),
                       .job = mlb_need_text(L, arg, "job"),
                       .script = mlb_need_text(L, arg, "script"),
                       .script_text = mlb_need_text(L, arg, "script_text"),
                       .consumer = mlb_need_text(L, arg, "consumer"),
                       .rehearsal = mlb_opt_text(L, arg, "rehearsal", NULL),
                       .params = mlb_need_text(L, arg, "params"),
                       .spec = mlb_opt_text(L, arg, "spec", NULL)};
  read_inputs(L, arg, &spec);
  return spec;
}

/* state:create(spec) -> run, lock */
static int l_create(lua_State *L) {
  mle_state *state = check_state(L);
  mle_run_spec spec = read_spec(L, 2);
  mlb_box *box = mlb_push(L, &lock_class);
  mle_lock *lock;
  int64_t run;
  mle_error err;
  mlb_try(L, mle_run_create(state, &spec, &lock, &run, &err), &err);
  box->object = lock;
  lua_pushinteger(L, run);
  lua_insert(L, -2);
  return 2;
}

/* state:create_skipped(spec, reason) -> run */
static int l_create_skipped(lua_State *L) {
  mle_state *state = check_state(L);
  const char *reason = luaL_checkstring(L, 3);
  mle_run_spec spec = read_spec(L, 2);
  int64_t run;
  mle_error err;
  mlb_try(L, mle_run_create_skipped(state, &spec, reason, &run, &err), &err);
  lua_pushinteger(L, run);
  return 1;
}

/* state:create_pipeline(pipeline, file, rehearsal, plan) -> id, lock */
static int l_create_pipeline(lua_State *L) {
  mle_state *state = check_state(L);
  const char *pipeline = luaL_checkstring(L, 2), *file = luaL_checkstring(L, 3);
  const char *rehearsal = luaL_optstring(L, 4, NULL), *steps = luaL_optstring(L, 5, NULL);
  mlb_box *box = mlb_push(L, &lock_class);
  mle_lock *lock;
  int64_t id;
  mle_error err;
  mlb_try(L, mle_pipeline_run_create(state, pipeline, file, rehearsal, steps, &lock, &id, &err),
          &err);
  box->object = lock;
  lua_pushinteger(L, id);
  lua_insert(L, -2);
  return 2;
}

/* state:reopen_pipeline(id) -> lock */
static int l_reopen_pipeline(lua_State *L) {
  mle_state *state = check_state(L);
  int64_t id = luaL_checkinteger(L, 2);
  mlb_box *box = mlb_push(L, &lock_class);
  mle_lock *lock;
  mle_error err;
  mlb_try(L, mle_pipeline_run_reopen(state, id, &lock, &err), &err);
  box->object = lock;
  return 1;
}

/* state:try_again(run) -> attempt, lock */
static int l_try_again(lua_State *L) {
  mle_state *state = check_state(L);
  int64_t run = luaL_checkinteger(L, 2), attempt;
  mlb_box *box = mlb_push(L, &lock_class);
  mle_lock *lock;
  mle_error err;
  mlb_try(L, mle_run_try_again(state, run, &lock, &attempt, &err), &err);
  box->object = lock;
  lua_pushinteger(L, attempt);
  lua_insert(L, -2);
  return 2;
}

/* state:keep_script(text) -> sha256 */
static int l_keep_script(lua_State *L) {
  char sha256[MLE_SHA256_HEX];
  mle_error err;
  mlb_try(L, mle_script_keep(mle_state_db(check_state(L)), luaL_checkstring(L, 2), sha256, &err),
          &err);
  lua_pushstring(L, sha256);
  return 1;
}

/* state:finish_pipeline(id, how, reason) */
static int l_finish_pipeline(lua_State *L) {
  mle_state *state = check_state(L);
  mle_error err;
  mlb_try(L,
          mle_pipeline_run_end(state, luaL_checkinteger(L, 2), luaL_checkstring(L, 3),
                               luaL_optstring(L, 4, NULL), &err),
          &err);
  return 0;
}

/* ====== What a run records ====== */

/* state:start(run): this process is the run's */
static int l_start(lua_State *L) {
  mle_error err;
  mlb_try(L, mle_run_start(check_state(L), luaL_checkinteger(L, 2), getpid(), &err), &err);
  return 0;
}

static bool opt_id(lua_State *L, int arg, const char *key, int64_t *out) {
  bool has = lua_getfield(L, arg, key) != LUA_TNIL;
  lua_pop(L, 1);
  *out = has ? mlb_opt_integer(L, arg, key, 0) : 0;
  return has;
}

/* state:pin_range(run, { consumer, table_uuid, branch, table_name, expected, from, to, rows,
 * read, fields, schema_id, held }) */
static int l_pin_range(lua_State *L) {
  static const char *const known[] = {"consumer",  "table_uuid", "branch", "table_name",
                                      "expected",  "from",       "to",     "rows",
                                      "read",      "fields",     "schema_id", "held", NULL};
  mle_state *state = check_state(L);
  int64_t run = luaL_checkinteger(L, 2);
  luaL_checktype(L, 3, LUA_TTABLE);
  mlb_options(L, 3, known);
  mle_run_range range = {.consumer = mlb_need_text(L, 3, "consumer"),
                         .table_uuid = mlb_need_text(L, 3, "table_uuid"),
                         .branch = mlb_need_text(L, 3, "branch"),
                         .table_name = mlb_need_text(L, 3, "table_name"),
                         .rows = mlb_opt_integer(L, 3, "rows", 0),
                         .read = mlb_opt_text(L, 3, "read", NULL),
                         .fields = mlb_opt_text(L, 3, "fields", NULL),
                         .schema_id = mlb_opt_integer(L, 3, "schema_id", 0),
                         .held = mlb_opt_boolean(L, 3, "held", false)};
  range.has_expected = opt_id(L, 3, "expected", &range.expected);
  range.has_from = opt_id(L, 3, "from", &range.from);
  range.has_to = opt_id(L, 3, "to", &range.to);
  mle_error err;
  mlb_try(L, mle_run_pin_range(state, run, &range, &err), &err);
  return 0;
}

/* state:intend(run, kind, data) */
static int l_intend(lua_State *L) {
  mle_error err;
  mlb_try(L,
          mle_run_intend(check_state(L), luaL_checkinteger(L, 2), luaL_checkstring(L, 3),
                         luaL_checkstring(L, 4), &err),
          &err);
  return 0;
}

/* state:settle(intent) */
static int l_settle(lua_State *L) {
  mle_error err;
  mlb_try(L, mle_intent_settle(check_state(L), luaL_checkinteger(L, 2), &err), &err);
  return 0;
}

/* state:note(run, kind, data) */
static int l_note(lua_State *L) {
  mle_error err;
  mlb_try(L,
          mle_run_note(check_state(L), luaL_checkinteger(L, 2), luaL_checkstring(L, 3),
                       luaL_checkstring(L, 4), &err),
          &err);
  return 0;
}

/* Reads { {kind, data}, ... } into userdata left on the stack. */
static const mle_run_action *read_actions(lua_State *L, int arg, size_t *out_count) {
  luaL_checktype(L, arg, LUA_TTABLE);
  size_t count = (size_t)luaL_len(L, arg);
  mle_run_action *actions = lua_newuserdatauv(L, (count + 1) * sizeof *actions, 0);
  for (size_t i = 0; i < count; i++) {
    lua_geti(L, arg, (lua_Integer)i + 1);
    actions[i].kind = mlb_need_text(L, lua_gettop(L), "kind");
    actions[i].data = mlb_need_text(L, lua_gettop(L), "data");
    lua_pop(L, 1); /* the list still holds it */
  }
  *out_count = count;
  return actions;
}

/* state:succeed(run, outputs, actions): the commit */
static int l_succeed(lua_State *L) {
  mle_state *state = check_state(L);
  int64_t run = luaL_checkinteger(L, 2);
  const char *outputs = luaL_checkstring(L, 3);
  size_t count;
  const mle_run_action *actions = read_actions(L, 4, &count);
  mle_error err;
  mlb_try(L, mle_run_succeed(state, run, outputs, actions, count, &err), &err);
  return 0;
}

/* state:reuse(run, earlier, kind) */
static int l_reuse(lua_State *L) {
  mle_error err;
  mlb_try(L,
          mle_run_reuse(check_state(L), luaL_checkinteger(L, 2), luaL_checkinteger(L, 3),
                        luaL_checkstring(L, 4), &err),
          &err);
  return 0;
}

/* state:skip(run, reason, actions) */
static int l_skip(lua_State *L) {
  mle_state *state = check_state(L);
  int64_t run = luaL_checkinteger(L, 2);
  const char *reason = luaL_checkstring(L, 3);
  size_t count;
  const mle_run_action *actions = read_actions(L, 4, &count);
  mle_error err;
  mlb_try(L, mle_run_skip(state, run, reason, actions, count, &err), &err);
  return 0;
}

/* state:action_done(action) */
static int l_action_done(lua_State *L) {
  mle_error err;
  mlb_try(L, mle_action_done(check_state(L), luaL_checkinteger(L, 2), &err), &err);
  return 0;
}

/* state:finish(run, how, reason [, trace]) -> whether it was still going */
static int l_finish(lua_State *L) {
  bool ended;
  mle_error err;
  mlb_try(L,
          mle_run_end(check_state(L), luaL_checkinteger(L, 2), luaL_checkstring(L, 3),
                      luaL_checkstring(L, 4), luaL_optstring(L, 5, NULL), &ended, &err),
          &err);
  lua_pushboolean(L, ended);
  return 1;
}

/* state:used(run, usage): what its processes used, as JSON */
static int l_used(lua_State *L) {
  mle_error err;
  mlb_try(L,
          mle_run_used(check_state(L), luaL_checkinteger(L, 2), luaL_checkstring(L, 3), &err),
          &err);
  return 0;
}

/* state:recover() */
static int l_recover(lua_State *L) {
  mle_error err;
  mlb_try(L, mle_state_recover(check_state(L), &err), &err);
  return 0;
}

static const luaL_Reg state_methods[] = {
    {"lock", l_lock},
    {"is_alive", l_is_alive},
    {"forget_lock", l_forget_lock},
    {"create", l_create},
    {"create_skipped", l_create_skipped},
    {"create_pipeline", l_create_pipeline},
    {"reopen_pipeline", l_reopen_pipeline},
    {"finish_pipeline", l_finish_pipeline},
    {"try_again", l_try_again},
    {"keep_script", l_keep_script},
    {"start", l_start},
    {"pin_range", l_pin_range},
    {"intend", l_intend},
    {"settle", l_settle},
    {"note", l_note},
    {"succeed", l_succeed},
    {"reuse", l_reuse},
    {"skip", l_skip},
    {"action_done", l_action_done},
    {"finish", l_finish},
    {"used", l_used},
    {"recover", l_recover},
    {NULL, NULL},
};

static const luaL_Reg lock_methods[] = {{"describe", l_describe}, {NULL, NULL}};
static const luaL_Reg no_methods[] = {{NULL, NULL}};
static const luaL_Reg functions[] = {{"open", l_open}, {NULL, NULL}};

/* All methods of a state, whose class is registered with one list. */
#define METHODS_MAX 64

static size_t gather(luaL_Reg *all, size_t count, const luaL_Reg *some) {
  while (some->name != NULL && count < METHODS_MAX) all[count++] = *some++;
  return count;
}

int luaopen_mle_jobs(lua_State *L) {
  luaL_Reg all[METHODS_MAX + 1];
  size_t count = gather(all, 0, state_methods);
  count = gather(all, count, mlb_jobs_watermark_methods);
  count = gather(all, count, mlb_jobs_history_methods);
  all[count] = (luaL_Reg){NULL, NULL};
  mlb_register(L, &state_class, all);
  mlb_register(L, &lock_class, lock_methods);
  mlb_register(L, &text_class, no_methods);
  luaL_newlib(L, functions);
  return 1;
}
