/* A run's life from Lua, with memory ending at each allocation in turn: nothing leaks, no lock stays. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <lauxlib.h>

#include "bindings/state.h"
#include "engine/base/alloc.h"
#include "engine/base/file.h"

static const char script[] =
    "local folder = ...\n"
    "local jobs, json = require 'mle.jobs', require 'mle.json'\n"
    "local state <close> = jobs.open(folder)\n"
    "local run, lock <close> = state:create { pipeline = 'P', job = 'J', script = 'j.lua', "
    "script_text = 'x',\n"
    "  consumer = 'P/J', params = '{}', inputs = {} }\n"
    "state:start(run)\n"
    "state:pin_range(run, { consumer = 'P/J', table_uuid = 'u', branch = 'main', table_name = "
    "'t',\n"
    "  expected = state:watermark('P/J', 'u', 'main'), to = run, rows = 1 })\n"
    "state:intend(run, 'mlflow_run', '{}')\n"
    "state:note(run, 'model', '{}')\n"
    "local other <close> = state:lock('consumer', 'P/J', 'me')\n"
    "state:succeed(run, json.encode { id = run }, { { kind = 'k', data = '{}' } })\n"
    "assert(json.decode(state:details(run)).outputs.id == run)\n"
    "assert(json.decode(state:output('P', 'J', 'C')).consumed == false)\n"
    "assert(#json.decode(state:history(5)) > 0 and state:last_consumed('P/J', 'u', 'main') == "
    "run)\n"
    "local lineage = require 'mle.lineage'\n"
    "assert(#json.decode(lineage.readers(state, run)) == 1 and lineage.run_of(state, 'x') == nil)\n"
    "assert(lineage.children(state, run) == '[]' and lineage.notes(state, 'model', 'a', 'b') == '[]')\n"
    "local child <close> = require('mle.process').start { argv = { 'version' }, locks = { lock } "
    "}\n"
    "while child:next(5000) ~= 'ended' do end\n"
    "state:recover()\n";

/* What mlengine up keeps; the state is there already. */
static const char scheduler[] =
    "local folder = ...\n"
    "local jobs, triggers = require 'mle.jobs', require 'mle.triggers'\n"
    "local state <close> = jobs.open(folder)\n"
    "local wanted = { pipeline = 'P', file = 'p.lua', job = 'J', source = 'schedule', who = 'me' }\n"
    "local trigger = triggers.add(state, wanted, { source = 'cron', value = 7 })\n"
    "assert(triggers.cursor(state, 'P', 'J', 'cron') == 7)\n"
    "do local taken <close> = triggers.take(state, trigger) end\n"
    "triggers.finish(state, trigger, 'succeeded')\n"
    "triggers.at_once(state, function() triggers.set_cursor(state, 'P', 'K', 'cron', 8) end)\n"
    "assert(triggers.get(state, trigger) and triggers.live(state) and state:last_run('P', 'J'))\n"
    "triggers.prune(state, { keep = 1 })\n"
    "assert(require('mle.schedule').next('0 6 * * mon', 'Europe/Berlin', 0) == 363600)\n";

static int body(lua_State *L) {
  mlb_state_open_libraries(L);
  if (luaL_loadstring(L, lua_tostring(L, 2)) != LUA_OK) return lua_error(L);
  lua_pushvalue(L, 1);
  lua_call(L, 1, 0);
  return 0;
}

/* Grants `blocks` allocations after the state was made; 0 when that was enough. */
static int run_with(long blocks, const char *text, const char *folder) {
  lua_State *L = mlb_state_new(0);
  assert_non_null(L);
  lua_pushcfunction(L, body);
  lua_pushstring(L, folder);
  lua_pushstring(L, text);
  mle_alloc_fail_after(blocks);
  int status = lua_pcall(L, 2, 0, 0);
  mle_alloc_fail_after(-1);
  if (status != LUA_OK) {
    const char *message = luaL_tolstring(L, -1, NULL);
    if (strstr(message, "memory") == NULL) fail_msg("after %ld blocks: %s", blocks, message);
  }
  mlb_state_free(L);
  return status;
}

static void memory_may_end_anywhere(void **unused) {
  (void)unused;
  char in_memory[] = "/dev/shm/mlengine-jobs-XXXXXX", on_disk[] = "/tmp/mlengine-jobs-XXXXXX";
  char *folder = mkdtemp(in_memory); /* hundreds of commits: without a disk's syncs */
  if (folder == NULL) folder = mkdtemp(on_disk);
  assert_non_null(folder);
  const char *const texts[] = {script, scheduler};
  for (size_t i = 0; i < 2; i++) {
    assert_int_equal(run_with(-1, texts[i], folder), LUA_OK);
    long blocks = 0;
    while (run_with(blocks, texts[i], folder) != LUA_OK) blocks++;
    assert_true(blocks > 100);
  }
  assert_int_equal(mle_remove_tree(folder, NULL), MLE_OK);
}

int main(int argc, char **argv) {
  (void)argv;
  if (argc > 1) return 0; /* the process that the script starts */
  const struct CMUnitTest tests[] = {cmocka_unit_test(memory_may_end_anywhere)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
