/*
 * modules.h -- every C module, by the name Lua requires it under.
 *
 * CORE modules are linked into the program. DATA modules are in the module that
 * holds DuckDB and XGBoost; it is opened by the first require of one of them.
 */
#ifndef MLB_MODULES_H
#define MLB_MODULES_H

#include <lua.h>

#define MLB_CORE_MODULES(X)        \
  X("mle.data", luaopen_mle_data)  \
  X("mle.deploy", luaopen_mle_deploy) \
  X("mle.edit", luaopen_mle_edit)  \
  X("mle.embedded", luaopen_mle_embedded) \
  X("mle.http", luaopen_mle_http) \
  X("mle.iceberg", luaopen_mle_iceberg) \
  X("mle.jobs", luaopen_mle_jobs)  \
  X("mle.json", luaopen_mle_json) \
  X("mle.lineage", luaopen_mle_lineage) \
  X("mle.listener", luaopen_mle_listener) \
  X("mle.mlflow", luaopen_mle_mlflow) \
  X("mle.model", luaopen_mle_model)  \
  X("mle.process", luaopen_mle_process) \
  X("mle.schedule", luaopen_mle_schedule) \
  X("mle.serve", luaopen_mle_serve) \
  X("mle.system", luaopen_mle_system) \
  X("mle.triggers", luaopen_mle_triggers)

#define MLB_DATA_MODULES(X)         \
  X("mle.frame", luaopen_mle_frame) \
  X("mle.iceberg_data", luaopen_mle_iceberg_data) \
  X("mle.libraries", luaopen_mle_libraries) \
  X("mle.xgboost", luaopen_mle_xgboost)

#define MLB_DECLARE(name, open) int open(lua_State *L);
MLB_CORE_MODULES(MLB_DECLARE)
MLB_DATA_MODULES(MLB_DECLARE)
#undef MLB_DECLARE

/* Makes all of them available to require(). [-0, +0, e] */
void mlb_preload(lua_State *L);

/* Opens the data module (once) and returns a symbol of it; raises when it cannot. [-0, +0, v] */
void *mlb_data_symbol(lua_State *L, const char *symbol);

#endif
