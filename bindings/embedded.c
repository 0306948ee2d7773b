/* embedded.c -- mle.embedded: the texts that are linked into the program. */

#include <lauxlib.h>
#include <lua.h>
#include <string.h>

#include "bindings/modules.h"
#include "stdlib/embedded.h"

/* names() -> list of module names and guides ("docs/x.md") */
static int l_names(lua_State *L) {
  lua_newtable(L);
  for (lua_Integer i = 0; mle_stdlib[i].module != NULL; i++) {
    lua_pushstring(L, mle_stdlib[i].module);
    lua_rawseti(L, -2, i + 1);
  }
  return 1;
}

/* text(name) -> bytes, nil when there is none of that name */
static int l_text(lua_State *L) {
  const char *name = luaL_checkstring(L, 1);
  const mle_embedded *m = mle_stdlib;
  while (m->module != NULL && strcmp(m->module, name) != 0) m++;
  if (m->module == NULL)
    lua_pushnil(L);
  else
    lua_pushlstring(L, (const char *)m->bytes, m->size);
  return 1;
}

static const luaL_Reg functions[] = {
    {"names", l_names},
    {"text", l_text},
    {NULL, NULL},
};

int luaopen_mle_embedded(lua_State *L) {
  luaL_newlib(L, functions);
  return 1;
}
