#include "bindings/modules.h"

#include <dlfcn.h>
#include <lauxlib.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DATA_MODULE "mlengine_data.so"

/* Beside the program (a build), else in ../lib/mlengine (an installation). */
static int find_data_module(char *path, size_t size) {
  static const char *const places[] = {"", "../lib/mlengine/"};
  char program[PATH_MAX];
  ssize_t len = readlink("/proc/self/exe", program, sizeof program - 1);
  if (len < 0) return 0;
  program[len] = '\0';
  const char *folder = dirname(program);
  for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
    int wrote = snprintf(path, size, "%s/%s%s", folder, places[i], DATA_MODULE);
    if (wrote > 0 && (size_t)wrote < size && access(path, R_OK) == 0) return 1;
  }
  return 0;
}

/* OpenMP's threads would otherwise spin between rounds, beside DuckDB's. It is
 * read when the library loads (xgboost: 4.4 -> 3.5 s beside one busy core). */
static void *open_data_module(lua_State *L) {
  static void *handle; /* never closed: libraries below hold thread state */
  char path[PATH_MAX];
  if (handle != NULL) return handle;
  setenv("OMP_WAIT_POLICY", "passive", 0);
  if (!find_data_module(path, sizeof path))
    luaL_error(L, "%s is not beside the program; build it with sh vendor/bootstrap build",
               DATA_MODULE);
  handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (handle == NULL) luaL_error(L, "cannot load %s", dlerror());
  return handle;
}

void *mlb_data_symbol(lua_State *L, const char *symbol) {
  void *found = dlsym(open_data_module(L), symbol);
  if (found == NULL) luaL_error(L, "%s has no %s; build again", DATA_MODULE, symbol);
  return found;
}

static const struct data_module {
  const char *name, *symbol;
} data_modules[] = {
#define ROW(name, open) {name, #open},
    MLB_DATA_MODULES(ROW)
#undef ROW
        {NULL, NULL},
};

/* The loader of each data module; require passes its name. */
static int load_data(lua_State *L) {
  const char *name = luaL_checkstring(L, 1);
  const struct data_module *m = data_modules;
  while (m->name != NULL && strcmp(m->name, name) != 0) m++;
  if (m->name == NULL) return luaL_error(L, "no module '%s'", name);
  lua_CFunction open;
  void *symbol = mlb_data_symbol(L, m->symbol);
  memcpy(&open, &symbol, sizeof open); /* ISO C has no cast from object to function */
  return open(L);
}

static const luaL_Reg core_modules[] = {
#define ROW(name, open) {name, open},
    MLB_CORE_MODULES(ROW)
#undef ROW
        {NULL, NULL},
};

void mlb_preload(lua_State *L) {
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
  luaL_setfuncs(L, core_modules, 0);
  for (const struct data_module *m = data_modules; m->name != NULL; m++) {
    lua_pushcfunction(L, load_data);
    lua_setfield(L, -2, m->name);
  }
  lua_pop(L, 1);
}
