/* mlflow_registry.c -- mle.mlflow: registered models, of engine/mlflow/store.h and register.h */

#include "bindings/args.h"
#include "bindings/box.h"
#include "bindings/mlflow.h"
#include "engine/mlflow/register.h"

/* store:register(uri, name, tags) -> version */
static int l_register(lua_State *L) {
  mle_mlflow *store = mlb_check_mlflow(L, 1);
  const char *uri = luaL_checkstring(L, 2), *name = luaL_checkstring(L, 3);
  mle_mlflow_pairs tags = mlb_pairs(L, 4);
  int64_t version;
  mle_error err;
  mlb_try(L, mle_mlflow_register(store, uri, name, &tags, &version, &err), &err);
  lua_pushinteger(L, version);
  return 1;
}

/* store:create_registered_model(name [, description]) */
static int l_create_registered_model(lua_State *L) {
  mle_mlflow *store = mlb_check_mlflow(L, 1);
  const char *name = luaL_checkstring(L, 2), *description = luaL_optstring(L, 3, NULL);
  mle_error err;
  mlb_try(L, mle_mlflow_create_registered_model(store, name, description, &err), &err);
  return 0;
}

static void push_model(lua_State *L, const mle_mlflow_registered_model *model) {
  lua_createtable(L, 0, 6);
  mlb_set_text(L, "name", model->name);
  mlb_set_text(L, "description", model->description);
  mlb_set_integer(L, "creation_time", model->creation_time);
  mlb_set_integer(L, "last_updated_time", model->last_updated_time);
  mlb_set_pairs(L, "tags", &model->tags);
  mlb_set_pairs(L, "aliases", &model->aliases);
}

/* store:get_registered_model(name) -> { name, description, creation_time, last_updated_time,
 * tags, aliases } */
static int l_get_registered_model(lua_State *L) {
  mle_mlflow *store = mlb_check_mlflow(L, 1);
  const char *name = luaL_checkstring(L, 2);
  mle_arena *memory = mlb_push_arena(L);
  mle_mlflow_registered_model model;
  mle_error err;
  mlb_try(L, mle_mlflow_get_registered_model(store, name, memory, &model, &err), &err);
  push_model(L, &model);
  return 1;
}

/* store:search_registered_models{ filter, order_by, max, page_token } -> list */
static int l_search_registered_models(lua_State *L) {
  mle_mlflow *store = mlb_check_mlflow(L, 1);
  mle_mlflow_search search = mlb_mlflow_search(L, 2);
  mle_arena *memory = mlb_push_arena(L);
  mle_mlflow_registered_models list;
  mle_error err;
  mlb_try(L, mle_mlflow_search_registered_models(store, &search, memory, &list, &err), &err);
  lua_createtable(L, (int)list.count, 1);
  for (size_t i = 0; i < list.count; i++) {
    push_model(L, &list.item[i]);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  mlb_set_text(L, "token", list.next_page_token);
  return 1;
}

/* store:change_registered_model(name, { name, description, set_tags, delete_tag }) */
static int l_change_registered_model(lua_State *L) {
  mle_mlflow *store = mlb_check_mlflow(L, 1);
  const char *name = luaL_checkstring(L, 2);
  mle_mlflow_change change = mlb_mlflow_change(L, 3);
  mle_error err;
  mlb_try(L, mle_mlflow_change_registered_model(store, name, &change, &err), &err);
  return 0;
}

/* store:delete_registered_model(name) */
static int l_delete_registered_model(lua_State *L) {
  mle_mlflow *store = mlb_check_mlflow(L, 1);
  mle_error err;
  mlb_try(L, mle_mlflow_delete_registered_model(store, luaL_checkstring(L, 2), &err), &err);
  return 0;
}

static void push_version(lua_State *L, const mle_mlflow_version *version) {
  lua_createtable(L, 0, 11);
  mlb_set_text(L, "name", version->name);
  mlb_set_integer(L, "version", version->version);
  mlb_set_text(L, "status", version->status);
  mlb_set_text(L, "current_stage", version->stage);
  mlb_set_text(L, "source", version->source);
  mlb_set_text(L, "location", version->location);
  mlb_set_text(L, "run_id", version->run_id);
  mlb_set_text(L, "description", version->description);
  mlb_set_integer(L, "creation_time", version->creation_time);
  mlb_set_integer(L, "last_updated_time", version->last_updated_time);
  mlb_set_pairs(L, "tags", &version->tags);
}

/* store:get_version(name, version) -> version */
static int l_get_version(lua_State *L) {
  mle_mlflow *store = mlb_check_mlflow(L, 1);
  const char *name = luaL_checkstring(L, 2);
  lua_Integer number = luaL_checkinteger(L, 3);
  mle_arena *memory = mlb_push_arena(L);
  mle_mlflow_version version;
  mle_error err;
  mlb_try(L, mle_mlflow_get_version(store, name, number, memory, &version, &err), &err);
  push_version(L, &version);
  return 1;
}

static int push_versions(lua_State *L, const mle_mlflow_versions *list) {
  lua_createtable(L, (int)list->count, 1);
  for (size_t i = 0; i < list->count; i++) {
    push_version(L, &list->item[i]);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  mlb_set_text(L, "token", list->next_page_token);
  return 1;
}

/* store:list_versions(name) -> newest first */
static int l_list_versions(lua_State *L) {
  mle_mlflow *store = mlb_check_mlflow(L, 1);
  const char *name = luaL_checkstring(L, 2);
  mle_arena *memory = mlb_push_arena(L);
  mle_mlflow_versions list;
  mle_error err;
  mlb_try(L, mle_mlflow_list_versions(store, name, memory, &list, &err), &err);
  return push_versions(L, &list);
}

/* store:search_versions{ filter, order_by, max, page_token } -> list */
static int l_search_versions(lua_State *L) {
  mle_mlflow *store = mlb_check_mlflow(L, 1);
  mle_mlflow_search search = mlb_mlflow_search(L, 2);
  mle_arena *memory = mlb_push_arena(L);
  mle_mlflow_versions list;
  mle_error err;
  mlb_try(L, mle_mlflow_search_versions(store, &search, memory, &list, &err), &err);
  return push_versions(L, &list);
}

/* store:change_version(name, version, { description, set_tags, delete_tag }) */
static int l_change_version(lua_State *L) {
  mle_mlflow *store = mlb_check_mlflow(L, 1);
  const char *name = luaL_checkstring(L, 2);
  lua_Integer version = luaL_checkinteger(L, 3);
  mle_mlflow_change change = mlb_mlflow_change(L, 4);
  mle_error err;
  mlb_try(L, mle_mlflow_change_version(store, name, version, &change, &err), &err);
  return 0;
}

/* store:delete_version(name, version) */
static int l_delete_version(lua_State *L) {
  mle_mlflow *store = mlb_check_mlflow(L, 1);
  const char *name = luaL_checkstring(L, 2);
  lua_Integer version = luaL_checkinteger(L, 3);
  mle_error err;
  mlb_try(L, mle_mlflow_delete_version(store, name, version, &err), &err);
  return 0;
}

/* store:copy_version(name, version, to) -> version of `to` */
static int l_copy_version(lua_State *L) {
  mle_mlflow *store = mlb_check_mlflow(L, 1);
  const char *name = luaL_checkstring(L, 2);
  lua_Integer number = luaL_checkinteger(L, 3);
  const char *to = luaL_checkstring(L, 4);
  int64_t version;
  mle_error err;
  mlb_try(L, mle_mlflow_copy_version(store, name, number, to, &version, &err), &err);
  lua_pushinteger(L, version);
  return 1;
}

/* store:set_alias(name, alias, version) */
static int l_set_alias(lua_State *L) {
  mle_mlflow *store = mlb_check_mlflow(L, 1);
  const char *name = luaL_checkstring(L, 2), *alias = luaL_checkstring(L, 3);
  lua_Integer version = luaL_checkinteger(L, 4);
  mle_error err;
  mlb_try(L, mle_mlflow_set_alias(store, name, alias, version, &err), &err);
  return 0;
}

/* store:get_alias(name, alias) -> version or nil */
static int l_get_alias(lua_State *L) {
  mle_mlflow *store = mlb_check_mlflow(L, 1);
  const char *name = luaL_checkstring(L, 2), *alias = luaL_checkstring(L, 3);
  int64_t version;
  mle_error err;
  mlb_try(L, mle_mlflow_get_alias(store, name, alias, &version, &err), &err);
  if (version == 0) return 0;
  lua_pushinteger(L, version);
  return 1;
}

/* store:delete_alias(name, alias) */
static int l_delete_alias(lua_State *L) {
  mle_mlflow *store = mlb_check_mlflow(L, 1);
  const char *name = luaL_checkstring(L, 2), *alias = luaL_checkstring(L, 3);
  mle_error err;
  mlb_try(L, mle_mlflow_delete_alias(store, name, alias, &err), &err);
  return 0;
}

const luaL_Reg mlb_mlflow_registry_methods[] = {
    {"register", l_register},
    {"create_registered_model", l_create_registered_model},
    {"get_registered_model", l_get_registered_model},
    {"search_registered_models", l_search_registered_models},
    {"change_registered_model", l_change_registered_model},
    {"delete_registered_model", l_delete_registered_model},
    {"get_version", l_get_version},
    {"list_versions", l_list_versions},
    {"search_versions", l_search_versions},
    {"change_version", l_change_version},
    {"delete_version", l_delete_version},
    {"copy_version", l_copy_version},
    {"set_alias", l_set_alias},
    {"get_alias", l_get_alias},
    {"delete_alias", l_delete_alias},
    {NULL, NULL},
};
