/* mlflow_models.c -- mle.mlflow: artifacts and models, of engine/mlflow */

#include <string.h>

#include "bindings/args.h"
#include "bindings/box.h"
#include "bindings/mlflow.h"
#include "engine/base/buffer.h"
#include "engine/json/json.h"
#include "engine/mlflow/artifact_store.h"
#include "engine/mlflow/log_model.h"
#include "engine/mlflow/resolve.h"
#include "engine/mlflow/yaml.h"

/* ====== Artifacts ====== */

/* store:log_artifact(artifact_uri, local [, folder]) */
static int l_log_artifact(lua_State *L) {
  mle_mlflow *store = mlb_check_mlflow(L, 1);
  const char *uri = luaL_checkstring(L, 2), *local = luaL_checkstring(L, 3);
  const char *folder = luaL_optstring(L, 4, NULL);
  mle_error err;
  mlb_try(L, mle_mlflow_put_artifact(store, uri, folder, local, &err), &err);
  return 0;
}

/* store:log_bytes(artifact_uri, path, bytes) */
static int l_log_bytes(lua_State *L) {
  size_t len;
  mle_mlflow *store = mlb_check_mlflow(L, 1);
  const char *uri = luaL_checkstring(L, 2), *path = luaL_checkstring(L, 3);
  const char *bytes = luaL_checklstring(L, 4, &len);
  mle_error err;
  mlb_try(L, mle_mlflow_put_bytes(store, uri, path, bytes, len, &err), &err);
  return 0;
}

/* store:list_artifacts(artifact_uri [, path]) -> { { path, is_dir, file_size }, ... } */
static int l_list_artifacts(lua_State *L) {
  mle_mlflow *store = mlb_check_mlflow(L, 1);
  const char *uri = luaL_checkstring(L, 2), *path = luaL_optstring(L, 3, NULL);
  mle_arena *memory = mlb_push_arena(L);
  mle_artifact_list list;
  mle_error err;
  mlb_try(L, mle_mlflow_list_artifacts(store, uri, path, memory, &list, &err), &err);
  lua_createtable(L, (int)list.count, 0);
  for (size_t i = 0; i < list.count; i++) {
    lua_createtable(L, 0, 3);
    mlb_set_text(L, "path", list.item[i].path);
    mlb_set_integer(L, "file_size", list.item[i].size);
    lua_pushboolean(L, list.item[i].is_folder);
    lua_setfield(L, -2, "is_dir");
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  return 1;
}

/* ====== Models ====== */

/* The model in the table at `index`: { bytes, model_class, xgb_version, inputs, outputs, example, metadata } */
static mle_flavor check_flavor(lua_State *L, int index) {
  static const char *const options[] = {"bytes",   "model_class", "xgb_version", "inputs",
                                        "outputs", "example",     "metadata",    NULL};
  mlb_options(L, index, options);
  mle_flavor flavor = {
      .model_class = mlb_opt_text(L, index, "model_class", "Booster"),
      .xgb_version = mlb_opt_text(L, index, "xgb_version", NULL),
      .inputs = mlb_opt_text(L, index, "inputs", NULL),
      .outputs = mlb_opt_text(L, index, "outputs", NULL),
      .example = mlb_opt_text(L, index, "example", NULL),
      .metadata = mlb_opt_text(L, index, "metadata", NULL),
  };
  mlb_need_text(L, index, "bytes");
  lua_getfield(L, index, "bytes");
  flavor.bytes = lua_tolstring(L, -1, &flavor.len);
  return flavor; /* the table at `index` keeps the texts */
}

/* store:log_model(run_id, name, model) -> { uri, artifact_uri, run_id, name, model_id } */
static int l_log_model(lua_State *L) {
  mle_mlflow *store = mlb_check_mlflow(L, 1);
  const char *run_id = luaL_checkstring(L, 2), *name = luaL_checkstring(L, 3);
  mle_flavor flavor = check_flavor(L, 4);
  mle_arena *memory = mlb_push_arena(L);
  mle_mlflow_model model;
  mle_error err;
  mlb_try(L, mle_mlflow_log_model(store, run_id, name, &flavor, memory, &model, &err), &err);
  lua_createtable(L, 0, 5);
  mlb_set_text(L, "uri", model.uri);
  mlb_set_text(L, "artifact_uri", model.artifact_uri);
  mlb_set_text(L, "run_id", model.run_id);
  mlb_set_text(L, "name", model.name);
  mlb_set_text(L, "model_id", model.id);
  return 1;
}

/* write_model(folder, run_id, name, model): the files of MLflow 2's layout, into an empty folder */
static int l_write_model(lua_State *L) {
  const char *folder = luaL_checkstring(L, 1);
  mle_mlflow_model model = {
      .run_id = luaL_checkstring(L, 2), .name = luaL_checkstring(L, 3), .format = "2.22.5"};
  mle_flavor flavor = check_flavor(L, 4);
  mle_arena *memory = mlb_push_arena(L);
  const char *flavors;
  mle_error err;
  mlb_try(L, mle_flavor_write(folder, &model, &flavor, memory, &flavors, &err), &err);
  return 0;
}

/* ====== Logged models ====== */

static void push_logged(lua_State *L, const mle_mlflow_logged *logged) {
  lua_createtable(L, 0, 13);
  mlb_set_text(L, "model_id", logged->model.id);
  mlb_set_text(L, "model_uri", logged->model.uri);
  mlb_set_text(L, "name", logged->model.name);
  mlb_set_text(L, "source_run_id", logged->model.run_id);
  mlb_set_text(L, "artifact_location", logged->model.artifact_uri);
  mlb_set_text(L, "experiment_id", logged->experiment_id);
  mlb_set_text(L, "model_type", logged->type);
  mlb_set_text(L, "status", logged->status);
  mlb_set_integer(L, "creation_timestamp", logged->creation_time);
  mlb_set_integer(L, "last_updated_timestamp", logged->last_updated_time);
  mlb_set_pairs(L, "params", &logged->params);
  mlb_set_pairs(L, "tags", &logged->tags);
  lua_createtable(L, 0, (int)logged->metrics.count);
  for (size_t i = 0; i < logged->metrics.count; i++) {
    lua_pushnumber(L, logged->metrics.item[i].value);
    lua_setfield(L, -2, logged->metrics.item[i].key);
  }
  lua_setfield(L, -2, "metrics");
}

/* store:get_logged(id) -> logged model */
static int l_get_logged(lua_State *L) {
  mle_mlflow *store = mlb_check_mlflow(L, 1);
  const char *id = luaL_checkstring(L, 2);
  mle_arena *memory = mlb_push_arena(L);
  mle_mlflow_logged logged;
  mle_error err;
  mlb_try(L, mle_mlflow_get_logged(store, id, memory, &logged, &err), &err);
  push_logged(L, &logged);
  return 1;
}

/* store:search_logged{ experiment_ids, filter, order_by, max, page_token } -> list */
static int l_search_logged(lua_State *L) {
  mle_mlflow *store = mlb_check_mlflow(L, 1);
  mle_mlflow_search search = mlb_mlflow_search(L, 2);
  mle_arena *memory = mlb_push_arena(L);
  mle_mlflow_logged_list list;
  mle_error err;
  mlb_try(L, mle_mlflow_search_logged(store, &search, memory, &list, &err), &err);
  lua_createtable(L, (int)list.count, 1);
  for (size_t i = 0; i < list.count; i++) {
    push_logged(L, &list.item[i]);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  mlb_set_text(L, "token", list.next_page_token);
  return 1;
}

/* store:change_logged(id, { set_tags, delete_tag }) */
static int l_change_logged(lua_State *L) {
  mle_mlflow *store = mlb_check_mlflow(L, 1);
  const char *id = luaL_checkstring(L, 2);
  mle_mlflow_change change = mlb_mlflow_change(L, 3);
  mle_error err;
  mlb_try(L, mle_mlflow_change_logged(store, id, &change, &err), &err);
  return 0;
}

/* store:delete_logged(id) */
static int l_delete_logged(lua_State *L) {
  mle_mlflow *store = mlb_check_mlflow(L, 1);
  const char *id = luaL_checkstring(L, 2);
  mle_error err;
  mlb_try(L, mle_mlflow_delete_logged(store, id, &err), &err);
  return 0;
}

/* ====== Files of models ====== */

/* store:fetch(location, target): copies what is behind the server to a local file or folder */
static int l_fetch(lua_State *L) {
  mle_mlflow *store = mlb_check_mlflow(L, 1);
  const char *location = luaL_checkstring(L, 2), *target = luaL_checkstring(L, 3);
  mle_error err;
  mlb_try(L, mle_mlflow_fetch(store, location, target, &err), &err);
  return 0;
}

/* store:resolve(uri) -> { location, folder, run_id, model_id, name, version } */
static int l_resolve(lua_State *L) {
  mle_mlflow *store = mlb_check_mlflow(L, 1);
  const char *uri = luaL_checkstring(L, 2);
  mle_arena *memory = mlb_push_arena(L);
  mle_mlflow_place place;
  mle_error err;
  mlb_try(L, mle_mlflow_resolve(store, uri, memory, &place, &err), &err);
  lua_createtable(L, 0, 6);
  mlb_set_text(L, "location", place.location);
  mlb_set_text(L, "folder", place.folder);
  mlb_set_text(L, "run_id", place.run_id);
  mlb_set_text(L, "model_id", place.model_id);
  mlb_set_text(L, "name", place.name);
  if (place.version > 0) mlb_set_integer(L, "version", place.version);
  return 1;
}

/* read_model(folder) -> what its MLmodel says */
static int l_read_model(lua_State *L) {
  const char *folder = luaL_checkstring(L, 1);
  mle_arena *memory = mlb_push_arena(L);
  mle_flavor_info info;
  mle_error err;
  mlb_try(L, mle_flavor_read(folder, memory, &info, &err), &err);
  lua_createtable(L, 0, 12);
  mlb_set_text(L, "data", info.data);
  mlb_set_text(L, "model_class", info.model_class);
  mlb_set_text(L, "model_format", info.model_format);
  mlb_set_text(L, "xgb_version", info.xgb_version);
  mlb_set_text(L, "mlflow_version", info.mlflow_version);
  mlb_set_text(L, "run_id", info.run_id);
  mlb_set_text(L, "model_id", info.model_id);
  mlb_set_text(L, "utc_time_created", info.utc_time_created);
  mlb_set_text(L, "inputs", info.inputs);
  mlb_set_text(L, "outputs", info.outputs);
  mlb_set_text(L, "example", info.example);
  mlb_set_text(L, "metadata", info.metadata);
  return 1;
}

static void release_json(void *doc) { mle_json_free(doc); }
static const mlb_class json_class = {"mle.mlflow.json", release_json};

static void release_buffer(void *buffer) { mle_buffer_release(buffer); }
static const mlb_class buffer_class = {"mle.mlflow.buffer", release_buffer};

static const luaL_Reg no_methods[] = {{NULL, NULL}};

/* to_yaml(json) -> the same as YAML */
static int l_to_yaml(lua_State *L) {
  size_t len;
  const char *text = luaL_checklstring(L, 1, &len);
  mlb_register(L, &json_class, no_methods);
  mlb_register(L, &buffer_class, no_methods);
  mle_arena *memory = mlb_push_arena(L);
  mle_buffer *yaml = mle_arena_alloc(memory, sizeof *yaml); /* [arena] outlives [buffer]: older */
  if (yaml == NULL) return luaL_error(L, "not enough memory");
  *yaml = MLE_BUFFER(MLE_YAML_MAX);
  mlb_push(L, &buffer_class)->object = yaml;
  mlb_box *box = mlb_push(L, &json_class);
  mle_json *doc;
  mle_error err;
  mlb_try(L, mle_json_parse(text, len, &doc, &err), &err);
  box->object = doc;
  mle_json_at root = mle_json_root(doc);
  mlb_try(L, mle_yaml_print(&root, yaml, &err), &err);
  lua_pushlstring(L, yaml->data, yaml->len);
  return 1;
}

const luaL_Reg mlb_mlflow_model_methods[] = {
    {"log_artifact", l_log_artifact},
    {"log_bytes", l_log_bytes},
    {"list_artifacts", l_list_artifacts},
    {"log_model", l_log_model},
    {"get_logged", l_get_logged},
    {"search_logged", l_search_logged},
    {"change_logged", l_change_logged},
    {"delete_logged", l_delete_logged},
    {"resolve", l_resolve},
    {"fetch", l_fetch},
    {NULL, NULL},
};

const luaL_Reg mlb_mlflow_model_functions[] = {
    {"read_model", l_read_model},
    {"to_yaml", l_to_yaml},
    {"write_model", l_write_model},
    {NULL, NULL},
};
