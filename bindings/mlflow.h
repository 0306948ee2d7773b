/*
 * mlflow.h -- what the files that bind engine/mlflow share.
 */
#ifndef MLB_MLFLOW_H
#define MLB_MLFLOW_H

#include <lauxlib.h>
#include <lua.h>

#include "engine/mlflow/store.h"

/* The store at `arg`; raises if closed. [-0, +0, v] */
mle_mlflow *mlb_check_mlflow(lua_State *L, int arg);

/* Pushes an arena that dies with the value pushed. [-0, +1, m] */
mle_arena *mlb_push_arena(lua_State *L);

/* Copies the table { key = text } at `index` into userdata left on the stack; nil is
 * empty. The texts live as long as the table. [-0, +1, v] */
mle_mlflow_pairs mlb_pairs(lua_State *L, int index);

/* Reads { experiment_ids, filter, order_by, max, view, page_token } and
 * { name, description, set_tags, delete_tag } at `index`; what they hold lives as long as the
 * table and what is pushed. [-0, +n, v] */
mle_mlflow_search mlb_mlflow_search(lua_State *L, int index);
mle_mlflow_change mlb_mlflow_change(lua_State *L, int index);

/* Sets fields of the table on top; NULL sets nothing. [-0, +0, m] */
void mlb_set_text(lua_State *L, const char *key, const char *value);
void mlb_set_integer(lua_State *L, const char *key, int64_t value);
void mlb_set_pairs(lua_State *L, const char *key, const mle_mlflow_pairs *pairs);

/* Methods of a store, by file. */
extern const luaL_Reg mlb_mlflow_experiment_methods[];
extern const luaL_Reg mlb_mlflow_model_methods[];
extern const luaL_Reg mlb_mlflow_registry_methods[];

/* read_model(folder), to_yaml(json) */
extern const luaL_Reg mlb_mlflow_model_functions[];

#endif
