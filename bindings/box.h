/*
 * box.h -- one engine object inside one Lua userdata.
 *
 * Almost every Lua API call may longjmp out of the running C function, and an
 * engine object that is not yet inside a box is lost when that happens. So in
 * this folder the box always comes first: push it, then fill it.
 *
 *     mlb_box *box = mlb_push(L, &model_class);
 *     if (mle_model_open(path, &model, &err) != MLE_OK) return mlb_raise(L, &err);
 *     box->object = model;
 *
 * Brackets give a function's effect on the Lua stack in the notation of the
 * Lua manual: [-popped, +pushed, raises].
 */
#ifndef MLB_BOX_H
#define MLB_BOX_H

#include <lauxlib.h>
#include <lua.h>

#include "engine/base/error.h"

/* What all boxes of one kind share. Instances are static const. */
typedef struct mlb_class {
  const char *name;              /* metatable key; also what tostring shows */
  void (*release)(void *object); /* gives one engine object back */
} mlb_class;

typedef struct mlb_box {
  void *object; /* NULL until filled, and again once closed */
  void (*release)(void *object);
} mlb_box;

/* Creates the metatable of `class` unless this state has it. [-0, +0, m] */
void mlb_register(lua_State *L, const mlb_class *class, const luaL_Reg *methods);

/* Pushes an empty box, with one user value to keep another object alive. [-0, +1, m] */
mlb_box *mlb_push(lua_State *L, const mlb_class *class);

/* Returns the object at `arg`; raises if closed or of another class. [-0, +0, v] */
void *mlb_check(lua_State *L, int arg, const mlb_class *class);

/* The same, but NULL when `arg` is not a box of that class. [-0, +0, m] */
void *mlb_test(lua_State *L, int arg, const mlb_class *class);

/* Raises `err` as {kind, message, where, retryable}; never returns. [-0, +0, v] */
int mlb_raise(lua_State *L, const mle_error *err);

/* Raises unless `status` is MLE_OK. [-0, +0, v] */
void mlb_try(lua_State *L, mle_status status, const mle_error *err);

#endif
