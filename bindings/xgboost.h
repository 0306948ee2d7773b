/*
 * xgboost.h -- the parts of mle.xgboost: xgboost.c trains, xgboost_lanes.c side by side, xgboost_scores.c scores
 * and explains.
 */
#ifndef MLB_XGBOOST_H
#define MLB_XGBOOST_H

#include <lua.h>

#include "engine/xgboost/booster.h"
#include "engine/xgboost/lanes.h"

mle_booster *mlb_check_booster(lua_State *L, int arg); /* [-0, +0, v] */

/* Lanes at `arg` and the number of one, from 1, behind them. [-0, +0, v] */
mle_lanes *mlb_check_lanes(lua_State *L, int arg, size_t *out_lane);

void mlb_register_lanes(lua_State *L); /* the class of what lanes() gives. [-0, +0, m] */
void mlb_register_scores(lua_State *L); /* the class of what predict() gives. [-0, +0, m] */

/* Functions and methods of the module. */
int mlb_lanes(lua_State *L);
int mlb_model_evaluate(lua_State *L);
int mlb_model_predict(lua_State *L);
int mlb_booster_scores(lua_State *L);
int mlb_booster_importance(lua_State *L);
int mlb_booster_dump(lua_State *L);

#endif
