/* embedded.c -- mle.embedded: the texts that are linked into the program. */

#include <lauxlib.h>
#include <lua.h>
#include <string.h>

#include "bindings/modules.h"
#include "stdlib/embedded.h"

/* names() -> list of module names, guides ("docs/x.md") and examples ("scripts/x/y.lua") */
static int l_names(lua_State *L) {
  lua_newtable(L);
  for (lua_Integer i = 0; mle_stdlib[i].module != NULL; i++) {
    lua_pushstring(L, mle_stdlib[i].module);
    lua_rawseti(L, -2, i + 1);
  }
  return 1;
}

static const mle_embedded *find(const char *name) {
  for (const mle_embedded *m = mle_stdlib; m->module != NULL; m++)
    if (strcmp(m->module, name) == 0) return m;
  return NULL;
}

/* has(name) -> boolean */
static int l_has(lua_State *L) {
  lua_pushboolean(L, find(luaL_checkstring(L, 1)) != NULL);
  return 1;
}

/* text(name) -> bytes, nil when there is none of that name */
static int l_text(lua_State *L) {
  const mle_embedded *m = find(luaL_checkstring(L, 1));
  if (m == NULL)
    lua_pushnil(L);
  else
    lua_pushlstring(L, (const char *)m->bytes, m->size);
  return 1;
}

static const luaL_Reg functions[] = {
    {"names", l_names},
    {"has", l_has},
    {"text", l_text},
    {NULL, NULL},
};

int luaopen_mle_embedded(lua_State *L) {
  luaL_newlib(L, functions);
  return 1;
}
