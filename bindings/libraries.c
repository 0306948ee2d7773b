/* libraries.c -- mle.libraries: which DuckDB and XGBoost were loaded. */

#include <duckdb.h>
#include <lauxlib.h>
#include <lua.h>
#include <xgboost/c_api.h>

#include "bindings/modules.h"

/* versions() -> { duckdb = "v1.5.5", xgboost = "3.2.0" } */
static int l_versions(lua_State *L) {
  int major, minor, patch;
  XGBoostVersion(&major, &minor, &patch);
  lua_createtable(L, 0, 2);
  lua_pushstring(L, duckdb_library_version());
  lua_setfield(L, -2, "duckdb");
  lua_pushfstring(L, "%d.%d.%d", major, minor, patch);
  lua_setfield(L, -2, "xgboost");
  return 1;
}

static const luaL_Reg functions[] = {
    {"versions", l_versions},
    {NULL, NULL},
};

int luaopen_mle_libraries(lua_State *L) {
  luaL_newlib(L, functions);
  return 1;
}
