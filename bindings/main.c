/* main.c -- the mlengine program: makes a Lua state and hands over to mlengine.cli. */

#include <lauxlib.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

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

/* Whoever started us may have left signals blocked. A peer that hangs up, or a
 * `| head` that has seen enough, must be an error of that write, not our end. */
static void prepare_signals(void) {
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  signal(SIGCHLD, SIG_DFL);
  signal(SIGPIPE, SIG_IGN);
  mle_cancel_on_signals();
}

static bool reader_left(void) {
  struct pollfd out = {STDOUT_FILENO, POLLOUT, 0};
  return poll(&out, 1, 0) == 1 && (out.revents & POLLERR) != 0;
}

/* Output that did not reach its file (a full disk) is a failure; a reader that left is none. */
static int flush_output(int code) {
  bool failed = ferror(stdout) != 0;
  if (fflush(stdout) != 0) failed = true;
  if (!failed || reader_left()) return code;
  fprintf(stderr, "mlengine: cannot write to standard output; is the disk full?\n");
  return code == EXIT_SUCCESS ? EXIT_FAILURE : code;
}

int main(int argc, char **argv) {
  arguments given = {argc, argv};
  prepare_signals();
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
  return flush_output(code);
}
