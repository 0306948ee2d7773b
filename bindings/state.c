#include "bindings/state.h"

#include <lauxlib.h>
#include <lualib.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "bindings/box.h"
#include "bindings/modules.h"
#include "engine/base/alloc.h"
#include "engine/base/cancel.h"
#include "stdlib/embedded.h"

#define HOOK_COUNT 10000 /* instructions; the price is having a hook, not its count */

/* The allocator's `ud`: what Lua holds, and the most it may. */
typedef struct quota {
  size_t used, max;
} quota;

static void *allocate(void *ud, void *block, size_t old_size, size_t new_size) {
  quota *q = ud;
  if (block == NULL) old_size = 0; /* then it holds a type tag, not a size */
  if (new_size == 0) {
    mle_free(block);
    q->used -= old_size;
    return NULL;
  }
  if (new_size > old_size && q->max > 0 && q->used + (new_size - old_size) > q->max) return NULL;
  void *moved = mle_realloc(block, new_size);
  if (moved != NULL) q->used += new_size - old_size;
  if (moved == NULL && new_size <= old_size) return block; /* Lua assumes shrinking works */
  return moved;
}

/* The standard library ends by itself, and has things to put in order first. */
static bool is_ours(lua_State *L, lua_Debug *at) {
  lua_getinfo(L, "S", at);
  return at->source[0] == '@' && strstr(at->source, "stdlib/mlengine/") != NULL;
}

static void stop_when_cancelled(lua_State *L, lua_Debug *at) {
  if (!mle_cancelled()) { /* also after the prompt forgave an interrupt */
    if (lua_gethookcount(L) == 1) lua_sethook(L, stop_when_cancelled, LUA_MASKCOUNT, HOOK_COUNT);
    return;
  }
  lua_sethook(L, stop_when_cancelled, LUA_MASKCOUNT | LUA_MASKLINE, 1); /* beat any pcall loop */
  if (is_ours(L, at)) return;
  mle_error err;
  mle_cancel_fail(&err, "the script");
  mlb_raise(L, &err);
}

lua_State *mlb_state_new(size_t memory_max) {
  quota *q = mle_calloc(1, sizeof *q);
  if (q == NULL) return NULL;
  q->max = memory_max;
  lua_State *L = lua_newstate(allocate, q);
  if (L == NULL) {
    mle_free(q);
    return NULL;
  }
  lua_sethook(L, stop_when_cancelled, LUA_MASKCOUNT, HOOK_COUNT);
  return L;
}

void mlb_state_free(lua_State *L) {
  if (L == NULL) return;
  void *ud;
  lua_getallocf(L, &ud);
  lua_close(L);
  mle_free(ud);
}

void mlb_state_set_max(lua_State *L, size_t memory_max) {
  void *ud;
  lua_getallocf(L, &ud);
  ((quota *)ud)->max = memory_max;
}

/* ====== Libraries ====== */

static int load_from_disk(lua_State *L, const char *root, const mle_embedded *m) {
  const char *path = lua_pushfstring(L, "%s/%s", root, m->chunk + strlen("@stdlib/"));
  return luaL_loadfilex(L, path, "t");
}

/* package.searchers entry: modules of stdlib/, from $MLENGINE_STDLIB while one works on them. */
static int search_stdlib(lua_State *L) {
  const char *name = luaL_checkstring(L, 1);
  const char *root = getenv("MLENGINE_STDLIB");
  for (const mle_embedded *m = mle_stdlib; m->module != NULL; m++) {
    if (strcmp(m->module, name) != 0) continue;
    int status = root != NULL
                     ? load_from_disk(L, root, m)
                     : luaL_loadbufferx(L, (const char *)m->bytes, m->size, m->chunk, "t");
    return status == LUA_OK ? 1 : lua_error(L);
  }
  lua_pushfstring(L, "no module '%s' in the standard library", name);
  return 1;
}

/* Searchers: preload, our standard library, then Lua files on package.path. No C. */
static void set_searchers(lua_State *L) {
  lua_getglobal(L, "package");
  lua_getfield(L, -1, "searchers"); /* [package, searchers] */
  lua_rawgeti(L, -1, 2);            /* [package, searchers, files] */
  lua_rawseti(L, -2, 3);
  lua_pushcfunction(L, search_stdlib);
  lua_rawseti(L, -2, 2);
  lua_pushnil(L);
  lua_rawseti(L, -2, 4);
  lua_pop(L, 1); /* [package] */
  lua_pushliteral(L, "./?.lua;./?/init.lua");
  lua_setfield(L, -2, "path");
  lua_pushliteral(L, "");
  lua_setfield(L, -2, "cpath");
  lua_pushnil(L);
  lua_setfield(L, -2, "loadlib");
  lua_pop(L, 1);
}

/* Calls the original with "t" as argument `mode`, so that bytecode is refused. */
static int call_as_text(lua_State *L, int mode) {
  if (lua_gettop(L) < mode) lua_settop(L, mode);
  lua_pushliteral(L, "t");
  lua_replace(L, mode);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
  return lua_gettop(L);
}

/* load(chunk, name, mode, env), loadfile(path, mode, env) */
static int load_text(lua_State *L) { return call_as_text(L, 3); }
static int load_file_text(lua_State *L) { return call_as_text(L, 2); }

/* A hook's error reaches the message handler while hooks are off, so that a
 * user's handler could run for ever: once asked to stop, it is not called. */
static int handle_unless_cancelled(lua_State *L) {
  lua_settop(L, 1);
  if (mle_cancelled()) return 1;
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  lua_call(L, 1, 1);
  return 1;
}

static int all_results(lua_State *L, int status, lua_KContext context) {
  (void)status;
  (void)context;
  return lua_gettop(L);
}

static int guarded_xpcall(lua_State *L) { /* xpcall(f, handler, ...) */
  luaL_checkany(L, 2);
  lua_pushvalue(L, 2);
  lua_pushcclosure(L, handle_unless_cancelled, 1);
  lua_replace(L, 2);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  lua_callk(L, lua_gettop(L) - 1, LUA_MULTRET, 0, all_results);
  return lua_gettop(L);
}

/* Replaces the global function `name` by `wrapper`, whose first upvalue is the original. */
static void wrap(lua_State *L, const char *name, lua_CFunction wrapper) {
  lua_getglobal(L, name);
  lua_pushcclosure(L, wrapper, 1);
  lua_setglobal(L, name);
}

static void remove_field(lua_State *L, const char *library, const char *field) {
  lua_getglobal(L, library);
  lua_pushnil(L);
  lua_setfield(L, -2, field);
  lua_pop(L, 1);
}

void mlb_state_open_libraries(lua_State *L) {
  luaL_openlibs(L);
  mlb_preload(L);
  set_searchers(L);
  wrap(L, "load", load_text);
  wrap(L, "loadfile", load_file_text);
  wrap(L, "xpcall", guarded_xpcall);
  lua_pushnil(L);
  lua_setglobal(L, "dofile");
  remove_field(L, "string", "dump");
  remove_field(L, "os", "exit");
  remove_field(L, "debug", "sethook");
  remove_field(L, "debug", "setmetatable");
  remove_field(L, "debug", "getregistry");
  remove_field(L, "debug", "setupvalue");
}
