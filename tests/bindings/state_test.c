/* What a script may try, and how each attempt ends. */

#include <lauxlib.h>
#include <lua.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "bindings/state.h"
#include "engine/base/cancel.h"
#include "engine/base/clock.h"

#define MEMORY_MAX ((size_t)8 << 20)
#define CANCEL_AFTER_MS 50
#define ENDS_WITHIN_MS 20000 /* sanitizers are slow; without a stop it would be never */

static lua_State *new_state(void) {
  lua_State *L = mlb_state_new(MEMORY_MAX);
  assert_non_null(L);
  mlb_state_open_libraries(L);
  return L;
}

/* Runs `text`; returns its error's text, which the state holds, or NULL. */
static const char *run(lua_State *L, const char *text) {
  lua_settop(L, 0);
  assert_int_equal(luaL_loadbufferx(L, text, strlen(text), "@job.lua", "t"), LUA_OK);
  if (lua_pcall(L, 0, 0, 0) == LUA_OK) return NULL;
  return luaL_tolstring(L, -1, NULL);
}

/* ====== Being asked to stop ====== */

static void *cancel_soon(void *unused) {
  (void)unused;
  usleep(CANCEL_AFTER_MS * 1000);
  mle_cancel(SIGINT);
  return NULL;
}

static const char *const endless[] = {
    "while true do end",
    "repeat until false",
    "local function f() return f() end f()",
    "coroutine.wrap(function() while true do end end)()",
    "local co = coroutine.create(function() while true do end end)"
    " while true do coroutine.resume(co) end",
    "while true do pcall(function() while true do end end) end",
    "while true do pcall(error) end",
    "while true do xpcall(function() while true do end end, function() while true do end end) end",
    "local t <close> = setmetatable({}, { __close = function() while true do end end })",
    "local t = setmetatable({}, { __index = function(t, k) return t[k .. 'x'] end })"
    " while true do pcall(function() return t.a end) end",
    "while true do load('local x = 1')() end",
    "table.sort({ 3, 2, 1 }, function(a, b) while true do end end)",
    "string.gsub('aaa', 'a', function() while true do end end)",
};

static void endless_scripts_stop(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof endless / sizeof *endless; i++) {
    lua_State *L = new_state();
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, cancel_soon, NULL), 0);
    int64_t start = mle_now_ms();
    const char *problem = run(L, endless[i]);
    assert_int_equal(pthread_join(thread, NULL), 0);
    if (problem == NULL) fail_msg("ended without an error: %s", endless[i]);
    assert_true(mle_now_ms() - start < ENDS_WITHIN_MS);
    assert_true(mle_cancel_forgive());
    mlb_state_free(L);
  }
}

static void the_library_puts_things_in_order(void **state) {
  (void)state;
  static const char library[] =
      "closed = 0\n"
      "return setmetatable({}, { __close = function() for i = 1, 1e5 do closed = i end end })";
  lua_State *L = new_state();
  int status =
      luaL_loadbufferx(L, library, strlen(library), "@stdlib/mlengine/run.lua", "t");
  assert_int_equal(status, LUA_OK);
  lua_setglobal(L, "open_run");
  mle_cancel(SIGINT);
  assert_non_null(run(L, "local run <close> = open_run() while true do end"));
  assert_true(mle_cancel_forgive());
  assert_null(run(L, "assert(closed == nil or closed == 1e5)"));
  mlb_state_free(L);
}

static void a_forgiven_interrupt_leaves_no_trace(void **state) {
  (void)state;
  lua_State *L = new_state();
  mle_cancel(SIGINT);
  assert_non_null(strstr(run(L, "for i = 1, 1e6 do end"), "stopped by SIGINT"));
  assert_true(mle_cancel_forgive());
  assert_false(mle_cancel_forgive());
  assert_null(run(L, "for i = 1, 1e6 do end"));
  assert_true(lua_gethookcount(L) > 1);
  mle_cancel(SIGTERM); /* is not the prompt's to forgive */
  assert_false(mle_cancel_forgive());
  mle_cancel(SIGINT);
  assert_true(mle_cancel_forgive());
  mlb_state_free(L);
}

/* ====== Memory ====== */

static const char *const bombs[] = {
    "return string.rep('x', 1 << 40)",
    "return ('x'):rep(1 << 30)",
    "local s = 'x' while true do s = s .. s end",
    "local t = {} for i = 1, math.huge do t[i] = { i } end",
    "return table.concat({ 'a', 'b' }, ('x'):rep(5 << 20))",
    "local function f(...) return f(1, ...) end f()",
    "return string.format('%s%s', ('x'):rep(5 << 20), ('x'):rep(5 << 20))",
};

static void memory_ends_cleanly(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof bombs / sizeof *bombs; i++) {
    lua_State *L = new_state();
    const char *problem = run(L, bombs[i]);
    assert_non_null(problem);
    if (!strstr(problem, "not enough memory") && !strstr(problem, "overflow") &&
        !strstr(problem, "too large"))
      fail_msg("%s: %s", bombs[i], problem);
    assert_null(run(L, "assert(('x'):rep(1 << 20))")); /* there is life after it */
    mlb_state_free(L);
  }
}

/* ====== Doors that are closed ====== */

static const char *const closed[] = {
    "assert(os.exit == nil)",
    "assert(string.dump == nil)",
    "assert(dofile == nil)",
    "assert(package.loadlib == nil)",
    "assert(package.cpath == '')",
    "assert(#package.searchers == 3)",
    "assert(debug.sethook == nil and debug.getregistry == nil and debug.setmetatable == nil)",
    "local f, e = load('\\27Lua') assert(not f and e:find 'binary chunk')",
    "local f, e = load('\\27Lua', 'x', 'b') assert(not f and e:find 'binary chunk')",
    "assert(load('return x', 'c', 't', { x = 4 })() == 4)",
    "assert(not pcall(require, 'socket.core'))",
};

static void doors_are_closed(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof closed / sizeof *closed; i++) {
    lua_State *L = new_state();
    const char *problem = run(L, closed[i]);
    if (problem != NULL) fail_msg("%s: %s", closed[i], problem);
    mlb_state_free(L);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(endless_scripts_stop),
      cmocka_unit_test(the_library_puts_things_in_order),
      cmocka_unit_test(a_forgiven_interrupt_leaves_no_trace),
      cmocka_unit_test(memory_ends_cleanly),
      cmocka_unit_test(doors_are_closed),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
