/*
 * args.h -- reading option tables: { from = 1, to = 5, timeout = 30 }.
 *
 *     static const char *const options[] = {"rows", "seed", NULL};
 *     mlb_options(L, 2, options);
 *     int64_t seed = mlb_opt_integer(L, 2, "seed", 0);
 *
 * All of these may raise, so they come before anything is held. An absent
 * table is an empty one. Texts stay valid while the table is on the stack.
 */
#ifndef MLB_ARGS_H
#define MLB_ARGS_H

#include <lua.h>
#include <stdbool.h>
#include <stdint.h>

/* Checks that `arg` is nil or a table whose keys are all in `known` (NULL-terminated). [-0, +0, v] */
void mlb_options(lua_State *L, int arg, const char *const *known);

int64_t mlb_opt_integer(lua_State *L, int arg, const char *key, int64_t fallback);
double mlb_opt_number(lua_State *L, int arg, const char *key, double fallback);
bool mlb_opt_boolean(lua_State *L, int arg, const char *key, bool fallback);
const char *mlb_opt_text(lua_State *L, int arg, const char *key, const char *fallback);
const char *mlb_need_text(lua_State *L, int arg, const char *key);

/* Copies the list of texts at `index` into userdata left on the stack. [-0, +1, v]
 * The texts live as long as the list does. */
const char **mlb_texts(lua_State *L, int index, size_t *out_count);

#endif
