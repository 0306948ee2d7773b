/*
 * xgboost.h -- the two halves of mle.xgboost: xgboost.c trains, xgboost_scores.c scores and explains.
 */
#ifndef MLB_XGBOOST_H
#define MLB_XGBOOST_H

#include <lua.h>

#include "engine/xgboost/booster.h"

mle_booster *mlb_check_booster(lua_State *L, int arg); /* [-0, +0, v] */

void mlb_register_scores(lua_State *L); /* the class of what predict() gives. [-0, +0, m] */

/* Functions and methods of the module. */
int mlb_model_evaluate(lua_State *L);
int mlb_model_predict(lua_State *L);
int mlb_booster_scores(lua_State *L);
int mlb_booster_importance(lua_State *L);
int mlb_booster_dump(lua_State *L);

#endif
