/* mlflow_experiments.c -- mle.mlflow: experiments, and what searches and changes are given */

#include "bindings/args.h"
#include "bindings/box.h"
#include "bindings/mlflow.h"

/* ====== Shared ====== */

mle_mlflow_search mlb_mlflow_search(lua_State *L, int index) {
  static const char *const options[] = {"experiment_ids", "filter", "order_by", "max",
                                        "view",           "page_token", NULL};
  static const char *const views[] = {"ACTIVE_ONLY", "DELETED_ONLY", "ALL", NULL};
  size_t count;
  int64_t max;
  mle_mlflow_search search = {0};
  mlb_options(L, index, options);
  lua_getfield(L, index, "experiment_ids");
  if (!lua_isnil(L, -1)) search.experiment_ids = mlb_texts(L, lua_gettop(L), &count);
  lua_getfield(L, index, "order_by");
  if (!lua_isnil(L, -1)) search.order_by = mlb_texts(L, lua_gettop(L), &count);
  search.filter = mlb_opt_text(L, index, "filter", NULL);
  search.page_token = mlb_opt_text(L, index, "page_token", NULL);
  max = mlb_opt_integer(L, index, "max", 0);
  luaL_argcheck(L, max >= 0, index, "'max' is below 0");
  search.max = (size_t)max;
  lua_getfield(L, index, "view");
  search.view = (mle_mlflow_view)luaL_checkoption(L, lua_gettop(L), "ACTIVE_ONLY", views);
  return search;
}

mle_mlflow_change mlb_mlflow_change(lua_State *L, int index) {
  static const char *const options[] = {"name", "description", "set_tags", "delete_tag", NULL};
  mlb_options(L, index, options);
  mle_mlflow_change change = {
      .name = mlb_opt_text(L, index, "name", NULL),
      .description = mlb_opt_text(L, index, "description", NULL),
      .delete_tag = mlb_opt_text(L, index, "delete_tag", NULL),
  };
  lua_getfield(L, index, "set_tags");
  change.set_tags = mlb_pairs(L, lua_gettop(L));
  return change;
}

/* ====== Experiments ====== */

static void push_experiment(lua_State *L, const mle_mlflow_experiment *experiment) {
  lua_createtable(L, 0, 7);
  mlb_set_text(L, "experiment_id", experiment->id);
  mlb_set_text(L, "name", experiment->name);
  mlb_set_text(L, "artifact_location", experiment->artifact_location);
  mlb_set_text(L, "lifecycle_stage", experiment->lifecycle_stage);
  mlb_set_integer(L, "creation_time", experiment->creation_time);
  mlb_set_integer(L, "last_update_time", experiment->last_update_time);
  mlb_set_pairs(L, "tags", &experiment->tags);
}

/* store:use_experiment(name) -> experiment, created when missing */
static int l_use_experiment(lua_State *L) {
  mle_mlflow *store = mlb_check_mlflow(L, 1);
  const char *name = luaL_checkstring(L, 2);
  mle_arena *memory = mlb_push_arena(L);
  mle_mlflow_experiment experiment;
  mle_error err;
  mlb_try(L, mle_mlflow_use_experiment(store, name, memory, &experiment, &err), &err);
  push_experiment(L, &experiment);
  return 1;
}

/* store:find_experiment(name) -> experiment or nil */
static int l_find_experiment(lua_State *L) {
  mle_mlflow *store = mlb_check_mlflow(L, 1);
  const char *name = luaL_checkstring(L, 2);
  mle_arena *memory = mlb_push_arena(L);
  mle_mlflow_experiment experiment;
  mle_error err;
  mlb_try(L, mle_mlflow_find_experiment(store, name, memory, &experiment, &err), &err);
  if (experiment.id == NULL) return 0;
  push_experiment(L, &experiment);
  return 1;
}

/* store:get_experiment(id) -> experiment */
static int l_get_experiment(lua_State *L) {
  mle_mlflow *store = mlb_check_mlflow(L, 1);
  const char *id = luaL_checkstring(L, 2);
  mle_arena *memory = mlb_push_arena(L);
  mle_mlflow_experiment experiment;
  mle_error err;
  mlb_try(L, mle_mlflow_get_experiment(store, id, memory, &experiment, &err), &err);
  push_experiment(L, &experiment);
  return 1;
}

static int push_experiments(lua_State *L, const mle_mlflow_experiments *list) {
  lua_createtable(L, (int)list->count, 1);
  for (size_t i = 0; i < list->count; i++) {
    push_experiment(L, &list->item[i]);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  mlb_set_text(L, "token", list->next_page_token);
  return 1;
}

/* store:list_experiments() -> the active ones */
static int l_list_experiments(lua_State *L) {
  mle_mlflow *store = mlb_check_mlflow(L, 1);
  mle_arena *memory = mlb_push_arena(L);
  mle_mlflow_experiments list;
  mle_error err;
  mlb_try(L, mle_mlflow_list_experiments(store, memory, &list, &err), &err);
  return push_experiments(L, &list);
}

/* store:search_experiments{ filter, order_by, max, view, page_token } -> list */
static int l_search_experiments(lua_State *L) {
  mle_mlflow *store = mlb_check_mlflow(L, 1);
  mle_mlflow_search search = mlb_mlflow_search(L, 2);
  mle_arena *memory = mlb_push_arena(L);
  mle_mlflow_experiments list;
  mle_error err;
  mlb_try(L, mle_mlflow_search_experiments(store, &search, memory, &list, &err), &err);
  return push_experiments(L, &list);
}

/* store:create_experiment{ name, artifact_location, tags } -> experiment */
static int l_create_experiment(lua_State *L) {
  static const char *const options[] = {"name", "artifact_location", "tags", NULL};
  mle_mlflow *store = mlb_check_mlflow(L, 1);
  mlb_options(L, 2, options);
  mle_mlflow_new_experiment request = {
      .name = mlb_need_text(L, 2, "name"),
      .artifact_location = mlb_opt_text(L, 2, "artifact_location", NULL),
  };
  lua_getfield(L, 2, "tags");
  request.tags = mlb_pairs(L, lua_gettop(L));
  mle_arena *memory = mlb_push_arena(L);
  mle_mlflow_experiment experiment;
  mle_error err;
  mlb_try(L, mle_mlflow_create_experiment(store, &request, memory, &experiment, &err), &err);
  push_experiment(L, &experiment);
  return 1;
}

/* store:change_experiment(id, { name, set_tags, delete_tag }) */
static int l_change_experiment(lua_State *L) {
  mle_mlflow *store = mlb_check_mlflow(L, 1);
  const char *id = luaL_checkstring(L, 2);
  mle_mlflow_change change = mlb_mlflow_change(L, 3);
  mle_error err;
  mlb_try(L, mle_mlflow_change_experiment(store, id, &change, &err), &err);
  return 0;
}

/* store:delete_experiment(id) */
static int l_delete_experiment(lua_State *L) {
  mle_mlflow *store = mlb_check_mlflow(L, 1);
  mle_error err;
  mlb_try(L, mle_mlflow_delete_experiment(store, luaL_checkstring(L, 2), &err), &err);
  return 0;
}

/* store:restore_experiment(id) */
static int l_restore_experiment(lua_State *L) {
  mle_mlflow *store = mlb_check_mlflow(L, 1);
  mle_error err;
  mlb_try(L, mle_mlflow_restore_experiment(store, luaL_checkstring(L, 2), &err), &err);
  return 0;
}

const luaL_Reg mlb_mlflow_experiment_methods[] = {
    {"use_experiment", l_use_experiment},
    {"find_experiment", l_find_experiment},
    {"get_experiment", l_get_experiment},
    {"list_experiments", l_list_experiments},
    {"search_experiments", l_search_experiments},
    {"create_experiment", l_create_experiment},
    {"change_experiment", l_change_experiment},
    {"delete_experiment", l_delete_experiment},
    {"restore_experiment", l_restore_experiment},
    {NULL, NULL},
};
