/*
 * model.h -- models between Lua and the bindings that score with them.
 */
#ifndef MLB_MODEL_H
#define MLB_MODEL_H

#include <lua.h>

#include "engine/xgboost/model.h"

/* The model in the box at `arg`. [-0, +0, v] */
const mle_model *mlb_check_model(lua_State *L, int arg);

#endif
