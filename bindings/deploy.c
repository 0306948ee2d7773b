/* deploy.c -- mle.deploy: what Lua sees of engine/deploy: records, and copies of models */

#include <lauxlib.h>
#include <string.h>

#include "bindings/args.h"
#include "bindings/box.h"
#include "bindings/modules.h"
#include "engine/base/alloc.h"
#include "engine/deploy/keep.h"
#include "engine/deploy/keys.h"
#include "engine/deploy/records.h"

#define LIST_MAX 1000

static void release_records(void *db) { mle_db_close(db); }
static void release_memory(void *memory) {
  mle_arena_release(memory);
  mle_free(memory);
}

static const mlb_class records_class = {"mle.deploy.records", release_records};
static const mlb_class memory_class = {"mle.deploy.memory", release_memory};

/* open(state folder) -> records */
static int l_open(lua_State *L) {
  const char *state = luaL_checkstring(L, 1);
  mlb_box *box = mlb_push(L, &records_class);
  mle_db *db;
  mle_error err;
  mlb_try(L, mle_records_open(state, &db, &err), &err);
  box->object = db;
  return 1;
}

/* ====== Steps ====== */

/* records:begin{ endpoint, uri, folder, sha256, ... } -> id */
static int l_begin(lua_State *L) {
  static const char *const options[] = {"endpoint", "uri",         "name",   "version", "run_id",
                                        "snapshot_id", "folder", "sha256", "alias",   NULL};
  mle_db *db = mlb_check(L, 1, &records_class);
  mlb_options(L, 2, options);
  mle_deployment wanted = {
      .endpoint = mlb_need_text(L, 2, "endpoint"),
      .uri = mlb_need_text(L, 2, "uri"),
      .name = mlb_opt_text(L, 2, "name", NULL),
      .version = mlb_opt_text(L, 2, "version", NULL),
      .run_id = mlb_opt_text(L, 2, "run_id", NULL),
      .snapshot_id = mlb_opt_text(L, 2, "snapshot_id", NULL),
      .folder = mlb_need_text(L, 2, "folder"),
      .sha256 = mlb_need_text(L, 2, "sha256"),
      .alias = mlb_opt_text(L, 2, "alias", NULL),
  };
  int64_t id;
  mle_error err;
  mlb_try(L, mle_records_begin(db, &wanted, &id, &err), &err);
  lua_pushinteger(L, id);
  return 1;
}

/* records:advance(id, state [, text]) */
static int l_advance(lua_State *L) {
  mle_db *db = mlb_check(L, 1, &records_class);
  lua_Integer id = luaL_checkinteger(L, 2);
  const char *state = luaL_checkstring(L, 3), *text = luaL_optstring(L, 4, NULL);
  mle_error err;
  mlb_try(L, mle_records_advance(db, id, state, text, &err), &err);
  return 0;
}

/* records:point(id): the slot record */
static int l_point(lua_State *L) {
  mle_db *db = mlb_check(L, 1, &records_class);
  mle_error err;
  mlb_try(L, mle_records_point(db, luaL_checkinteger(L, 2), &err), &err);
  return 0;
}

/* records:point_back(id, earlier) */
static int l_point_back(lua_State *L) {
  mle_db *db = mlb_check(L, 1, &records_class);
  lua_Integer id = luaL_checkinteger(L, 2), earlier = luaL_checkinteger(L, 3);
  mle_error err;
  mlb_try(L, mle_records_point_back(db, id, earlier, &err), &err);
  return 0;
}

/* records:finish(id) */
static int l_finish(lua_State *L) {
  mle_db *db = mlb_check(L, 1, &records_class);
  mle_error err;
  mlb_try(L, mle_records_finish(db, luaL_checkinteger(L, 2), &err), &err);
  return 0;
}

/* records:retire(endpoint) */
static int l_retire(lua_State *L) {
  mle_db *db = mlb_check(L, 1, &records_class);
  mle_error err;
  mlb_try(L, mle_records_retire(db, luaL_checkstring(L, 2), &err), &err);
  return 0;
}

/* ====== Reading ====== */

static void set_text(lua_State *L, const char *key, const char *text) {
  if (text == NULL) return;
  lua_pushstring(L, text);
  lua_setfield(L, -2, key);
}

static void set_integer(lua_State *L, const char *key, int64_t value) {
  lua_pushinteger(L, value);
  lua_setfield(L, -2, key);
}

static void push_deployment(lua_State *L, const mle_deployment *d) {
  lua_createtable(L, 0, 16);
  set_integer(L, "id", d->id);
  if (d->previous != 0) set_integer(L, "previous", d->previous);
  set_text(L, "endpoint", d->endpoint);
  set_text(L, "uri", d->uri);
  set_text(L, "name", d->name);
  set_text(L, "version", d->version);
  set_text(L, "run_id", d->run_id);
  set_text(L, "snapshot_id", d->snapshot_id);
  set_text(L, "folder", d->folder);
  set_text(L, "sha256", d->sha256);
  set_text(L, "scores", d->scores);
  set_text(L, "alias", d->alias);
  set_text(L, "state", d->state);
  set_text(L, "outcome", d->outcome);
  set_integer(L, "created_ms", d->created_ms);
  set_integer(L, "updated_ms", d->updated_ms);
}

/* Pushes a box with an empty arena in it. */
static mle_arena *push_memory(lua_State *L) {
  mlb_box *box = mlb_push(L, &memory_class);
  mle_arena *memory = mle_calloc(1, sizeof *memory);
  if (memory == NULL) luaL_error(L, "not enough memory");
  box->object = memory;
  return memory;
}

/* records:get(id) -> deployment */
static int l_get(lua_State *L) {
  mle_db *db = mlb_check(L, 1, &records_class);
  lua_Integer id = luaL_checkinteger(L, 2);
  mle_arena *memory = push_memory(L);
  mle_deployment found;
  mle_error err;
  mlb_try(L, mle_records_get(db, id, memory, &found, &err), &err);
  push_deployment(L, &found);
  return 1;
}

/* records:slot(endpoint) -> deployment, nil without one */
static int l_slot(lua_State *L) {
  mle_db *db = mlb_check(L, 1, &records_class);
  const char *endpoint = luaL_checkstring(L, 2);
  mle_arena *memory = push_memory(L);
  mle_deployment found;
  mle_error err;
  mlb_try(L, mle_records_slot(db, endpoint, memory, &found, &err), &err);
  if (found.id == 0)
    lua_pushnil(L);
  else
    push_deployment(L, &found);
  return 1;
}

/* records:list([endpoint [, limit]]) -> deployments, the newest first */
static int l_list(lua_State *L) {
  mle_db *db = mlb_check(L, 1, &records_class);
  const char *endpoint = luaL_optstring(L, 2, NULL);
  lua_Integer limit = luaL_optinteger(L, 3, 50);
  luaL_argcheck(L, limit > 0 && limit <= LIST_MAX, 3, "must be 1 to 1000");
  mle_arena *memory = push_memory(L);
  mle_deployments found;
  mle_error err;
  mlb_try(L, mle_records_list(db, endpoint, (int)limit, memory, &found, &err), &err);
  lua_createtable(L, (int)found.count, 0);
  for (size_t i = 0; i < found.count; i++) {
    push_deployment(L, &found.item[i]);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  return 1;
}

/* ====== Access keys ====== */

/* records:add_key(endpoint or nil [, label]) -> key, id */
static int l_add_key(lua_State *L) {
  mle_db *db = mlb_check(L, 1, &records_class);
  const char *endpoint = luaL_optstring(L, 2, NULL), *label = luaL_optstring(L, 3, "");
  char key[MLE_KEY_TEXT];
  int64_t id;
  mle_error err;
  mlb_try(L, mle_keys_add(db, endpoint, label, key, &id, &err), &err);
  lua_pushstring(L, key);
  lua_pushinteger(L, id);
  return 2;
}

/* records:revoke_key(id) */
static int l_revoke_key(lua_State *L) {
  mle_db *db = mlb_check(L, 1, &records_class);
  mle_error err;
  mlb_try(L, mle_keys_revoke(db, luaL_checkinteger(L, 2), &err), &err);
  return 0;
}

/* records:open_endpoint(endpoint): without keys */
static int l_open_endpoint(lua_State *L) {
  mle_db *db = mlb_check(L, 1, &records_class);
  mle_error err;
  mlb_try(L, mle_keys_open(db, luaL_checkstring(L, 2), &err), &err);
  return 0;
}

/* records:keys() -> { { id, endpoint, label, sha256, created_ms } } */
static int l_keys(lua_State *L) {
  mle_db *db = mlb_check(L, 1, &records_class);
  mle_arena *memory = push_memory(L);
  mle_keys keys;
  mle_error err;
  mlb_try(L, mle_keys_list(db, memory, &keys, &err), &err);
  lua_createtable(L, (int)keys.count, 0);
  for (size_t i = 0; i < keys.count; i++) {
    lua_createtable(L, 0, 5);
    set_integer(L, "id", keys.item[i].id);
    set_text(L, "endpoint", keys.item[i].endpoint);
    set_text(L, "label", keys.item[i].label);
    set_text(L, "sha256", keys.item[i].sha256);
    set_integer(L, "created_ms", keys.item[i].created_ms);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  return 1;
}

/* ====== Copies ====== */

/* plan(source folder, models folder) -> path, sha256 of the copy to be */
static int l_plan(lua_State *L) {
  const char *source = luaL_checkstring(L, 1), *models = luaL_checkstring(L, 2);
  mle_kept *kept = lua_newuserdatauv(L, sizeof *kept, 0);
  mle_error err;
  mlb_try(L, mle_keep_plan(source, models, kept, &err), &err);
  lua_pushstring(L, kept->path);
  lua_pushstring(L, kept->sha256);
  return 2;
}

/* copy(source folder, path, sha256) */
static int l_copy(lua_State *L) {
  const char *source = luaL_checkstring(L, 1), *path = luaL_checkstring(L, 2),
             *sha256 = luaL_checkstring(L, 3);
  mle_kept *kept = lua_newuserdatauv(L, sizeof *kept, 0);
  luaL_argcheck(L, strlen(path) < sizeof kept->path, 2, "too long");
  luaL_argcheck(L, strlen(sha256) < sizeof kept->sha256, 3, "too long");
  strcpy(kept->path, path);
  strcpy(kept->sha256, sha256);
  mle_error err;
  mlb_try(L, mle_keep_copy(source, kept, &err), &err);
  return 0;
}

/* data_file(folder) -> name of the xgboost flavour's data file */
static int l_data_file(lua_State *L) {
  const char *folder = luaL_checkstring(L, 1), *data;
  mle_arena *memory = push_memory(L);
  mle_error err;
  mlb_try(L, mle_keep_data_file(folder, memory, &data, &err), &err);
  lua_pushstring(L, data);
  return 1;
}

/* records:prune(models folder): removes copies that nothing needs */
static int l_prune(lua_State *L) {
  mle_db *db = mlb_check(L, 1, &records_class);
  mle_error err;
  mlb_try(L, mle_keep_prune(db, luaL_checkstring(L, 2), &err), &err);
  return 0;
}

static const luaL_Reg records_methods[] = {
    {"begin", l_begin}, {"advance", l_advance}, {"point", l_point}, {"point_back", l_point_back},
    {"finish", l_finish}, {"retire", l_retire}, {"get", l_get}, {"slot", l_slot}, {"list", l_list}, {"prune", l_prune},
    {"add_key", l_add_key}, {"revoke_key", l_revoke_key}, {"keys", l_keys},
    {"open_endpoint", l_open_endpoint},
    {NULL, NULL},
};

static const luaL_Reg functions[] = {
    {"open", l_open},
    {"plan", l_plan},
    {"copy", l_copy},
    {"data_file", l_data_file},
    {NULL, NULL},
};

static const luaL_Reg no_methods[] = {{NULL, NULL}};

int luaopen_mle_deploy(lua_State *L) {
  mlb_register(L, &records_class, records_methods);
  mlb_register(L, &memory_class, no_methods);
  luaL_newlib(L, functions);
  return 1;
}
