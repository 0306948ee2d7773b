/*
 * state.h -- a Lua state as mlengine makes them.
 *
 *     lua_State *L = mlb_state_new(memory_max);
 *
 * Its libraries are the standard ones less what can leave the process's rules:
 * no loading of C modules or bytecode, no os.exit. The standard library's Lua
 * modules are found inside the program. A count hook, inherited by coroutines,
 * raises in users' code for as long as the process is asked to stop, so that no
 * pcall outlives it; the standard library's own code goes on and puts things in order.
 */
#ifndef MLB_STATE_H
#define MLB_STATE_H

#include <lua.h>
#include <stddef.h>

/* NULL when out of memory. `memory_max` bounds what Lua itself allocates; 0: no bound. */
lua_State *mlb_state_new(size_t memory_max);
void mlb_state_free(lua_State *L);

/* Changes the bound of this state, from inside it too. */
void mlb_state_set_max(lua_State *L, size_t memory_max);

/* Opens the libraries. [-0, +0, e] */
void mlb_state_open_libraries(lua_State *L);

#endif
