/* mlflow.c -- mle.mlflow: tracking stores and their runs, of engine/mlflow/store.h and tracker.h */

#include "bindings/mlflow.h"

#include <stdlib.h>

#include "bindings/args.h"
#include "bindings/box.h"
#include "bindings/modules.h"
#include "engine/base/alloc.h"
#include "engine/base/cancel.h"
#include "engine/mlflow/origin.h"
#include "engine/mlflow/rules.h"
#include "engine/mlflow/sampler.h"
#include "engine/mlflow/sender.h"
#include "engine/mlflow/tracker.h"

static void release_store(void *store) { mle_mlflow_close(store); }
static void release_tracker(void *tracker) { mle_tracker_close(tracker); }
static void release_sampler(void *sampler) { mle_sampler_close(sampler); }
static void release_memory(void *memory) {
  mle_arena_release(memory);
  mle_free(memory);
}

static const mlb_class store_class = {"mle.mlflow.store", release_store};
static const mlb_class tracker_class = {"mle.mlflow.tracker", release_tracker};
static const mlb_class sampler_class = {"mle.mlflow.sampler", release_sampler};
static const mlb_class memory_class = {"mle.mlflow.memory", release_memory};

/* ====== Shared ====== */

mle_mlflow *mlb_check_mlflow(lua_State *L, int arg) { return mlb_check(L, arg, &store_class); }

mle_arena *mlb_push_arena(lua_State *L) {
  mlb_box *box = mlb_push(L, &memory_class);
  mle_arena *memory = mle_calloc(1, sizeof *memory);
  if (memory == NULL) luaL_error(L, "not enough memory");
  box->object = memory;
  return memory;
}

static size_t count_keys(lua_State *L, int index) {
  size_t count = 0;
  for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) count++;
  return count;
}

mle_mlflow_pairs mlb_pairs(lua_State *L, int index) {
  mle_mlflow_pairs pairs = {0, NULL};
  if (lua_isnoneornil(L, index)) {
    lua_pushnil(L);
    return pairs;
  }
  luaL_checktype(L, index, LUA_TTABLE);
  size_t count = count_keys(L, index);
  mle_mlflow_pair *list = lua_newuserdatauv(L, (count + 1) * sizeof *list, 0); /* [list] */
  for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) { /* [list, key, value] */
    if (lua_type(L, -2) != LUA_TSTRING || lua_type(L, -1) != LUA_TSTRING)
      luaL_argerror(L, index, "names and texts expected");
    list[pairs.count++] = (mle_mlflow_pair){lua_tostring(L, -2), lua_tostring(L, -1)};
  }
  pairs.item = list;
  return pairs;
}

void mlb_set_text(lua_State *L, const char *key, const char *value) {
  if (value == NULL) return;
  lua_pushstring(L, value);
  lua_setfield(L, -2, key);
}

void mlb_set_integer(lua_State *L, const char *key, int64_t value) {
  lua_pushinteger(L, value);
  lua_setfield(L, -2, key);
}

void mlb_set_pairs(lua_State *L, const char *key, const mle_mlflow_pairs *pairs) {
  lua_createtable(L, 0, (int)pairs->count);
  for (size_t i = 0; i < pairs->count; i++)
    mlb_set_text(L, pairs->item[i].key, pairs->item[i].value);
  lua_setfield(L, -2, key);
}

/* ====== Runs ====== */

static void push_run(lua_State *L, const mle_mlflow_run *run) {
  lua_createtable(L, 0, 10);
  mlb_set_text(L, "run_id", run->id);
  mlb_set_text(L, "experiment_id", run->experiment_id);
  mlb_set_text(L, "run_name", run->name);
  mlb_set_text(L, "user_id", run->user);
  mlb_set_text(L, "status", run->status);
  mlb_set_text(L, "lifecycle_stage", run->lifecycle_stage);
  mlb_set_text(L, "artifact_uri", run->artifact_uri);
  mlb_set_integer(L, "start_time", run->start_time);
  if (run->end_time != 0) mlb_set_integer(L, "end_time", run->end_time);
}

/* store:create_run{ experiment_id, run_id, name, user, start_time, tags } -> info */
static int l_create_run(lua_State *L) {
  static const char *const options[] = {"experiment_id", "run_id", "name", "user", "start_time",
                                        "tags", NULL};
  mle_mlflow *store = mlb_check_mlflow(L, 1);
  mlb_options(L, 2, options);
  mle_mlflow_new_run request = {
      .experiment_id = mlb_need_text(L, 2, "experiment_id"),
      .id = mlb_opt_text(L, 2, "run_id", NULL),
      .name = mlb_opt_text(L, 2, "name", NULL),
      .user = mlb_opt_text(L, 2, "user", NULL),
      .start_time = mlb_opt_integer(L, 2, "start_time", 0),
  };
  lua_getfield(L, 2, "tags");
  request.tags = mlb_pairs(L, lua_gettop(L));
  mle_arena *memory = mlb_push_arena(L);
  mle_mlflow_run run;
  mle_error err;
  mlb_try(L, mle_mlflow_create_run(store, &request, memory, &run, &err), &err);
  push_run(L, &run);
  return 1;
}

/* store:get_run(id) -> info */
static int l_get_run(lua_State *L) {
  mle_mlflow *store = mlb_check_mlflow(L, 1);
  const char *id = luaL_checkstring(L, 2);
  mle_arena *memory = mlb_push_arena(L);
  mle_mlflow_run run;
  mle_error err;
  mlb_try(L, mle_mlflow_get_run(store, id, memory, &run, &err), &err);
  push_run(L, &run);
  return 1;
}

static void set_metrics(lua_State *L, const mle_mlflow_metrics *metrics) {
  lua_createtable(L, 0, (int)metrics->count);
  for (size_t i = 0; i < metrics->count; i++) {
    lua_pushnumber(L, metrics->item[i].value);
    lua_setfield(L, -2, metrics->item[i].key);
  }
  lua_setfield(L, -2, "metrics");
}

static void push_dataset(lua_State *L, const mle_mlflow_dataset *dataset) {
  lua_createtable(L, 0, 7);
  mlb_set_text(L, "name", dataset->name);
  mlb_set_text(L, "digest", dataset->digest);
  mlb_set_text(L, "source_type", dataset->source_type);
  mlb_set_text(L, "source", dataset->source);
  mlb_set_text(L, "schema", dataset->schema);
  mlb_set_text(L, "profile", dataset->profile);
  mlb_set_text(L, "context", dataset->context);
}

/* store:get_run_data(id) -> { params, tags, metrics, datasets } */
static int l_get_run_data(lua_State *L) {
  mle_mlflow *store = mlb_check_mlflow(L, 1);
  const char *id = luaL_checkstring(L, 2);
  mle_arena *memory = mlb_push_arena(L);
  mle_mlflow_run_data data;
  mle_error err;
  mlb_try(L, mle_mlflow_get_run_data(store, id, memory, &data, &err), &err);
  lua_createtable(L, 0, 4);
  mlb_set_pairs(L, "params", &data.params);
  mlb_set_pairs(L, "tags", &data.tags);
  set_metrics(L, &data.metrics);
  lua_createtable(L, (int)data.num_datasets, 0);
  for (size_t i = 0; i < data.num_datasets; i++) {
    push_dataset(L, &data.dataset[i]);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  lua_setfield(L, -2, "datasets");
  return 1;
}

/* store:metric_history(run_id, key) -> { { value, step, timestamp }, ... } */
static int l_metric_history(lua_State *L) {
  mle_mlflow *store = mlb_check_mlflow(L, 1);
  const char *id = luaL_checkstring(L, 2), *key = luaL_checkstring(L, 3);
  mle_arena *memory = mlb_push_arena(L);
  mle_mlflow_metrics list;
  mle_error err;
  mlb_try(L, mle_mlflow_metric_history(store, id, key, memory, &list, &err), &err);
  lua_createtable(L, (int)list.count, 0);
  for (size_t i = 0; i < list.count; i++) {
    lua_createtable(L, 0, 3);
    lua_pushnumber(L, list.item[i].value);
    lua_setfield(L, -2, "value");
    mlb_set_integer(L, "step", list.item[i].step);
    mlb_set_integer(L, "timestamp", list.item[i].timestamp);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  return 1;
}

/* store:update_run(id, { status, name, end_time }) */
static int l_update_run(lua_State *L) {
  static const char *const options[] = {"status", "name", "end_time", NULL};
  mle_mlflow *store = mlb_check_mlflow(L, 1);
  const char *id = luaL_checkstring(L, 2);
  mlb_options(L, 3, options);
  mle_mlflow_run_change change = {
      .status = mlb_opt_text(L, 3, "status", NULL),
      .name = mlb_opt_text(L, 3, "name", NULL),
      .end_time = mlb_opt_integer(L, 3, "end_time", 0),
  };
  mle_error err;
  mlb_try(L, mle_mlflow_update_run(store, id, &change, &err), &err);
  return 0;
}

/* store:end_run(id, status [, end_time]): only one that still runs */
static int l_end_run(lua_State *L) {
  mle_mlflow *store = mlb_check_mlflow(L, 1);
  const char *id = luaL_checkstring(L, 2), *status = luaL_checkstring(L, 3);
  int64_t end_time = luaL_optinteger(L, 4, 0);
  mle_error err;
  mlb_try(L, mle_mlflow_end_run(store, id, status, end_time, &err), &err);
  return 0;
}

/* store:search_runs{ experiment_ids, filter, order_by, max, view, page_token } -> list of infos */
static int l_search_runs(lua_State *L) {
  mle_mlflow *store = mlb_check_mlflow(L, 1);
  mle_mlflow_search search = mlb_mlflow_search(L, 2);
  mle_arena *memory = mlb_push_arena(L);
  mle_mlflow_runs list;
  mle_error err;
  mlb_try(L, mle_mlflow_search_runs(store, &search, memory, &list, &err), &err);
  lua_createtable(L, (int)list.count, 1);
  for (size_t i = 0; i < list.count; i++) {
    push_run(L, &list.item[i]);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  mlb_set_text(L, "token", list.next_page_token);
  return 1;
}

/* store:delete_run(id) */
static int l_delete_run(lua_State *L) {
  mle_error err;
  mlb_try(L, mle_mlflow_delete_run(mlb_check_mlflow(L, 1), luaL_checkstring(L, 2), &err), &err);
  return 0;
}

/* store:restore_run(id) */
static int l_restore_run(lua_State *L) {
  mle_error err;
  mlb_try(L, mle_mlflow_restore_run(mlb_check_mlflow(L, 1), luaL_checkstring(L, 2), &err), &err);
  return 0;
}

/* store:delete_tag(run_id, key) */
static int l_delete_tag(lua_State *L) {
  mle_mlflow *store = mlb_check_mlflow(L, 1);
  const char *id = luaL_checkstring(L, 2), *key = luaL_checkstring(L, 3);
  mle_error err;
  mlb_try(L, mle_mlflow_delete_tag(store, id, key, &err), &err);
  return 0;
}

/* store:log_params(run_id, texts) */
static int l_log_params(lua_State *L) {
  mle_mlflow *store = mlb_check_mlflow(L, 1);
  const char *id = luaL_checkstring(L, 2);
  mle_mlflow_batch batch = {.params = mlb_pairs(L, 3)};
  mle_error err;
  mlb_try(L, mle_mlflow_log_batch(store, id, &batch, &err), &err);
  return 0;
}

/* store:set_tags(run_id, texts) */
static int l_set_tags(lua_State *L) {
  mle_mlflow *store = mlb_check_mlflow(L, 1);
  const char *id = luaL_checkstring(L, 2);
  mle_mlflow_batch batch = {.tags = mlb_pairs(L, 3)};
  mle_error err;
  mlb_try(L, mle_mlflow_log_batch(store, id, &batch, &err), &err);
  return 0;
}

/* store:log_dataset(run_id, { name, digest, source_type, source, schema, profile, context }) */
static int l_log_dataset(lua_State *L) {
  static const char *const options[] = {"name",   "digest",  "source_type", "source",
                                        "schema", "profile", "context",     NULL};
  mle_mlflow *store = mlb_check_mlflow(L, 1);
  const char *id = luaL_checkstring(L, 2);
  mlb_options(L, 3, options);
  mle_mlflow_dataset dataset = {
      .name = mlb_need_text(L, 3, "name"),
      .digest = mlb_need_text(L, 3, "digest"),
      .source_type = mlb_need_text(L, 3, "source_type"),
      .source = mlb_need_text(L, 3, "source"),
      .schema = mlb_opt_text(L, 3, "schema", NULL),
      .profile = mlb_opt_text(L, 3, "profile", NULL),
      .context = mlb_opt_text(L, 3, "context", NULL),
  };
  mle_error err;
  mlb_try(L, mle_mlflow_log_dataset(store, id, &dataset, &err), &err);
  return 0;
}

/* ====== A run at work ====== */

/* store:track(run_id [, spool]) -> tracker; closing one that was not ended ends its run FAILED or
 * KILLED. What a server could not be sent goes to the folder `spool`. */
static int l_track(lua_State *L) {
  mle_mlflow *store = mlb_check_mlflow(L, 1);
  const char *id = luaL_checkstring(L, 2), *spool = luaL_optstring(L, 3, NULL);
  mlb_box *box = mlb_push(L, &tracker_class);
  mle_tracker *tracker;
  mle_error err;
  mlb_try(L, mle_tracker_open(store, id, spool, &tracker, &err), &err);
  box->object = tracker;
  return 1;
}

/* store:send_spooled(file) -> points: sends what a run could not, and removes the file */
static int l_send_spooled(lua_State *L) {
  mle_mlflow *store = mlb_check_mlflow(L, 1);
  const char *file = luaL_checkstring(L, 2);
  int64_t points;
  mle_error err;
  mlb_try(L, mle_sender_flush(store, file, &points, &err), &err);
  lua_pushinteger(L, points);
  return 1;
}

/* tracker:log_metric(key, value [, step]) */
static int l_log_metric(lua_State *L) {
  mle_tracker *tracker = mlb_check(L, 1, &tracker_class);
  const char *key = luaL_checkstring(L, 2);
  lua_Number value = luaL_checknumber(L, 3);
  lua_Integer step = luaL_optinteger(L, 4, 0);
  mle_error err;
  mlb_try(L, mle_tracker_log_metric(tracker, key, value, step, &err), &err);
  return 0;
}

/* tracker:flush() */
static int l_flush(lua_State *L) {
  mle_error err;
  mlb_try(L, mle_tracker_flush(mlb_check(L, 1, &tracker_class), &err), &err);
  return 0;
}

/* tracker:finish(status) */
static int l_finish(lua_State *L) {
  mle_tracker *tracker = mlb_check(L, 1, &tracker_class);
  const char *status = luaL_checkstring(L, 2);
  mle_error err;
  mlb_try(L, mle_tracker_end(tracker, status, &err), &err);
  return 0;
}

/* tracker:leave(): somebody else will end the run */
static int l_leave(lua_State *L) {
  mle_error err;
  mlb_try(L, mle_tracker_leave(mlb_check(L, 1, &tracker_class), &err), &err);
  return 0;
}

/* tracker:is_open() -> neither ended, nor left, nor closed */
static int l_is_open(lua_State *L) {
  mle_tracker *tracker = mlb_test(L, 1, &tracker_class);
  lua_pushboolean(L, tracker != NULL && mle_tracker_is_open(tracker));
  return 1;
}

/*
 * __close of a run object of Lua's, which has its tracker in `tracker` and a method
 * `finish`. In C, because no Lua code runs any more once the process was asked to stop.
 */
static int l_run_closing(lua_State *L) {
  lua_settop(L, 2); /* [run, error] */
  lua_getfield(L, 1, "tracker");
  mle_tracker *tracker = mlb_test(L, 3, &tracker_class);
  if (tracker == NULL || !mle_tracker_is_open(tracker)) return 0;
  bool went_well = lua_isnil(L, 2) && !mle_cancelled();
  lua_getfield(L, went_well ? 1 : 3, went_well ? "finish" : "close");
  lua_pushvalue(L, went_well ? 1 : 3);
  lua_call(L, 1, 0);
  return 0;
}

/* ====== The module ====== */

/* open(uri) -> store */
static int l_open(lua_State *L) {
  const char *uri = luaL_checkstring(L, 1);
  mlb_box *box = mlb_push(L, &store_class);
  mle_mlflow *store;
  mle_error err;
  mlb_try(L, mle_mlflow_open(uri, &store, &err), &err);
  box->object = store;
  return 1;
}

/* sample(uri, run_id, interval_ms) -> sampler: logs what the machine does until it is closed */
static int l_sample(lua_State *L) {
  const char *uri = luaL_checkstring(L, 1), *id = luaL_checkstring(L, 2);
  lua_Integer interval_ms = luaL_checkinteger(L, 3);
  mlb_box *box = mlb_push(L, &sampler_class);
  mle_sampler *sampler;
  mle_error err;
  mlb_try(L, mle_sampler_open(uri, id, interval_ms, &sampler, &err), &err);
  box->object = sampler;
  return 1;
}

/* user() -> the user of this process */
static int l_user(lua_State *L) {
  lua_pushstring(L, mle_mlflow_user());
  return 1;
}

/* ask_briefly(): for who asks again by itself, and has others to serve meanwhile; the environment's own numbers hold */
static int l_ask_briefly(lua_State *L) {
  setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "5", 0);
  setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0", 0);
  lua_settop(L, 0);
  return 0;
}

/* check_alias(alias): raises unless MLflow takes it */
static int l_check_alias(lua_State *L) {
  mle_error err;
  mlb_try(L, mle_mlflow_check_alias(luaL_checkstring(L, 1), &err), &err);
  return 0;
}

/* git_head(path) -> commit or nil, branch or nil, of the work tree around it */
static int l_git_head(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  mle_arena *memory = mlb_push_arena(L);
  mle_git_head head;
  mle_error err;
  mlb_try(L, mle_git_find_head(path, memory, &head, &err), &err);
  lua_pushstring(L, head.commit); /* NULL pushes nil */
  lua_pushstring(L, head.branch);
  return 2;
}

static const luaL_Reg store_methods[] = {
    {"create_run", l_create_run},
    {"get_run", l_get_run},
    {"get_run_data", l_get_run_data},
    {"metric_history", l_metric_history},
    {"update_run", l_update_run},
    {"end_run", l_end_run},
    {"search_runs", l_search_runs},
    {"delete_run", l_delete_run},
    {"restore_run", l_restore_run},
    {"delete_tag", l_delete_tag},
    {"log_params", l_log_params},
    {"set_tags", l_set_tags},
    {"log_dataset", l_log_dataset},
    {"track", l_track},
    {"send_spooled", l_send_spooled},
    {NULL, NULL},
};

static const luaL_Reg tracker_methods[] = {
    {"log_metric", l_log_metric},
    {"flush", l_flush},
    {"finish", l_finish},
    {"leave", l_leave},
    {"is_open", l_is_open},
    {NULL, NULL},
};

static const luaL_Reg functions[] = {
    {"open", l_open},
    {"sample", l_sample},
    {"user", l_user},
    {"ask_briefly", l_ask_briefly},
    {"check_alias", l_check_alias},
    {"git_head", l_git_head},
    {"run_closing", l_run_closing},
    {NULL, NULL},
};

static const luaL_Reg no_methods[] = {{NULL, NULL}};

/* All methods of a store, whose class is registered with one list. */
static size_t gather(luaL_Reg *all, size_t count, const luaL_Reg *more) {
  for (; more->name != NULL; more++) all[count++] = *more;
  return count;
}

int luaopen_mle_mlflow(lua_State *L) {
  luaL_Reg all[64];
  size_t count = gather(all, 0, store_methods);
  count = gather(all, count, mlb_mlflow_experiment_methods);
  count = gather(all, count, mlb_mlflow_model_methods);
  count = gather(all, count, mlb_mlflow_registry_methods);
  all[count] = (luaL_Reg){NULL, NULL};
  mlb_register(L, &store_class, all);
  mlb_register(L, &tracker_class, tracker_methods);
  mlb_register(L, &sampler_class, no_methods);
  mlb_register(L, &memory_class, no_methods);
  luaL_newlib(L, functions);
  luaL_setfuncs(L, mlb_mlflow_model_functions, 0);
  return 1;
}
