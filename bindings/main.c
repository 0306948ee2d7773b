/* main.c -- the mlengine program: makes a Lua state and hands over to mlengine.cli. */

#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>

#include "bindings/state.h"
#include "engine/base/cancel.h"

/* What protected_main is called with. */
typedef struct arguments {
  int argc;
  char **argv;
} arguments;

static int traceback(lua_State *L) {
  luaL_traceback(L, L, luaL_tolstring(L, 1, NULL), 1);
  return 1;
}

/* Everything that may raise happens in here, under main's lua_pcall. */
static int protected_main(lua_State *L) {
  const arguments *given = lua_touserdata(L, 1);
  mlb_state_open_libraries(L);
  lua_getglobal(L, "require");
  lua_pushliteral(L, "mlengine.cli");
  lua_call(L, 1, 1);
  lua_getfield(L, -1, "main"); /* [cli, main] */
  lua_createtable(L, given->argc - 1, 0);
  for (int i = 1; i < given->argc; i++) {
    lua_pushstring(L, given->argv[i]);
    lua_rawseti(L, -2, i);
  }
  lua_call(L, 1, 1);
  return 1;
}

int main(int argc, char **argv) {
  arguments given = {argc, argv};
  mle_cancel_on_signals();
  lua_State *L = mlb_state_new(0);
  if (L == NULL) {
    fprintf(stderr, "mlengine: out of memory\n");
    return EXIT_FAILURE;
  }
  lua_pushcfunction(L, traceback);
  lua_pushcfunction(L, protected_main);
  lua_pushlightuserdata(L, &given);
  int code = EXIT_FAILURE;
  if (lua_pcall(L, 1, 1, 1) == LUA_OK)
    code = (int)lua_tointeger(L, -1);
  else
    fprintf(stderr, "mlengine: %s\n", lua_tostring(L, -1));
  mlb_state_free(L);
  return code;
}
