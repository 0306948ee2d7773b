/* Fails the n-th allocation for n = 0, 1, 2, ... until a script that opens many
 * things succeeds. Nothing may crash, and, as LeakSanitizer sees, nothing may leak. */

#include <lauxlib.h>
#include <lua.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "bindings/state.h"
#include "engine/base/alloc.h"

static const char script[] =
    "local system, json, data = require 'mle.system', require 'mle.json', require 'mle.data'\n"
    "local folder = '/tmp/mlengine-memory-' .. system.pid()\n"
    "system.make_folders(folder, true)\n"
    "system.replace(folder .. '/a', 'bytes', true)\n"
    "assert(system.read(folder .. '/a') == 'bytes')\n"
    "assert(#system.list(folder) >= 1 and system.stat(folder .. '/a').size == 5)\n"
    "system.remove_tree(folder)\n"
    "local text = json.encode { a = json.array { 1, 2.5, 'x', true, json.null }, b = { c = {} } }\n"
    "assert(json.decode(text).a[2] == 2.5)\n"
    "assert(data.read('a = { 1, \"x\", true } b = 2.5', '@t').a[2] == 'x')\n"
    "assert(not pcall(data.read, 'a = ', '@t'))\n"
    "assert(not pcall(json.decode, '{'))\n"
    "assert(not pcall(system.read, folder .. '/absent'))\n"
    "assert(system.absolute('x'):find '/x$' and #system.sha256 'x' == 64)\n"
    "system.environment 'PATH'\n";

static int body(lua_State *L) {
  mlb_state_open_libraries(L);
  if (luaL_loadbufferx(L, script, sizeof script - 1, "@script.lua", "t") != LUA_OK)
    return lua_error(L);
  lua_call(L, 0, 0);
  return 0;
}

/* A script may see "not enough memory" itself, through pcall, and call it an assertion. */
static bool is_about_memory(const char *problem) {
  return strstr(problem, "memory") != NULL || strstr(problem, "assertion failed") != NULL;
}

static int run_with(long blocks) {
  mle_alloc_fail_after(blocks);
  lua_State *L = mlb_state_new(0);
  int status = LUA_ERRMEM;
  if (L != NULL) {
    lua_pushcfunction(L, body);
    status = lua_pcall(L, 0, 0, 0);
    mle_alloc_fail_after(-1);
    const char *problem = status == LUA_OK ? NULL : luaL_tolstring(L, -1, NULL);
    if (problem != NULL && !is_about_memory(problem)) fail_msg("block %ld: %s", blocks, problem);
  }
  mle_alloc_fail_after(-1);
  mlb_state_free(L);
  return status;
}

static void every_allocation_may_fail(void **state) {
  (void)state;
  long blocks = 0;
  while (run_with(blocks) != LUA_OK) blocks++;
  print_message("%ld points of failure\n", blocks);
  assert_true(blocks > 500);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(every_allocation_may_fail)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
