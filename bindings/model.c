/* model.c -- mle.model: what Lua sees of engine/xgboost/{model,predictor}.h */

#include "bindings/model.h"

#include <lauxlib.h>
#include <math.h>

#include "bindings/box.h"
#include "bindings/modules.h"
#include "engine/xgboost/predictor.h"

static void release(void *model) { mle_model_free(model); }

static const mlb_class model_class = {"mle.model", release};

const mle_model *mlb_check_model(lua_State *L, int arg) { return mlb_check(L, arg, &model_class); }

/* parse(bytes) -> model */
static int l_parse(lua_State *L) {
  size_t len;
  const char *bytes = luaL_checklstring(L, 1, &len);
  mlb_box *box = mlb_push(L, &model_class);
  mle_model *model;
  mle_error err;
  mlb_try(L, mle_model_parse(bytes, len, &model, &err), &err);
  box->object = model;
  return 1;
}

static void set_integer(lua_State *L, const char *key, size_t value) {
  lua_pushinteger(L, (lua_Integer)value);
  lua_setfield(L, -2, key);
}

/* Pushes the names or types of all features, nil when the model has none. */
static void push_features(lua_State *L, const mle_model *model,
                          const char *(*text)(const mle_model *, size_t)) {
  if (text(model, 0) == NULL) {
    lua_pushnil(L);
    return;
  }
  size_t count = mle_model_num_features(model);
  lua_createtable(L, (int)count, 0);
  for (size_t i = 0; i < count; i++) {
    lua_pushstring(L, text(model, i));
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
}

/* model:info() -> facts */
static int l_info(lua_State *L) {
  const mle_model *model = mlb_check_model(L, 1);
  int major, minor;
  mle_model_version(model, &major, &minor);
  lua_createtable(L, 0, 8); /* [info] */
  lua_pushstring(L, mle_model_objective(model));
  lua_setfield(L, -2, "objective");
  lua_pushfstring(L, "%d.%d", major, minor);
  lua_setfield(L, -2, "version");
  set_integer(L, "num_features", mle_model_num_features(model));
  set_integer(L, "num_outputs", mle_model_num_outputs(model));
  set_integer(L, "num_rounds", mle_model_num_rounds(model));
  set_integer(L, "num_trees", mle_model_num_trees(model));
  push_features(L, model, mle_model_feature_name);
  lua_setfield(L, -2, "feature_names");
  push_features(L, model, mle_model_feature_type);
  lua_setfield(L, -2, "feature_types");
  return 1;
}

/* model:categories(i) -> names of the i-th feature's categories in the order of their codes, or nil */
static int l_categories(lua_State *L) {
  const mle_model *model = mlb_check_model(L, 1);
  size_t feature = (size_t)luaL_checkinteger(L, 2) - 1;
  size_t count = mle_model_num_categories(model, feature);
  if (count == 0) return 0;
  lua_createtable(L, (int)count, 0);
  for (size_t i = 0; i < count; i++) {
    lua_pushstring(L, mle_model_category(model, feature, i));
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  return 1;
}

/* model:keep_range(begin, end): forgets the other rounds */
static int l_keep_range(lua_State *L) {
  union {
    const mle_model *given;
    mle_model *own;
  } model = {mlb_check_model(L, 1)};
  lua_Integer begin = luaL_checkinteger(L, 2), end = luaL_checkinteger(L, 3);
  mle_error err;
  luaL_argcheck(L, begin >= 0 && end >= 0, 2, "rounds are numbered from 0");
  mlb_try(L, mle_model_keep_range(model.own, (size_t)begin, (size_t)end, &err), &err);
  return 0;
}

/* model:attribute(name) -> text or nil */
static int l_attribute(lua_State *L) {
  lua_pushstring(L, mle_model_attribute(mlb_check_model(L, 1), luaL_checkstring(L, 2)));
  return 1;
}

/* model:predict(row [, margin]) -> list of numbers; a row is a list, false for a missing value */
static int l_predict(lua_State *L) {
  const mle_model *model = mlb_check_model(L, 1);
  bool margin = lua_toboolean(L, 3);
  size_t features = mle_model_num_features(model), outputs = mle_model_num_outputs(model);
  luaL_checktype(L, 2, LUA_TTABLE);
  float *row = lua_newuserdatauv(L, (features + outputs) * sizeof *row, 0); /* [scratch] */
  for (size_t i = 0; i < features; i++) {
    lua_rawgeti(L, 2, (lua_Integer)i + 1);
    row[i] = lua_isnumber(L, -1) ? (float)lua_tonumber(L, -1) : NAN;
    lua_pop(L, 1);
  }
  float *out = row + features;
  (margin ? mle_predictor_margin : mle_predictor_predict)(model, row, out);
  size_t width = margin ? outputs : mle_predictor_width(model);
  lua_createtable(L, (int)width, 0);
  for (size_t i = 0; i < width; i++) {
    lua_pushnumber(L, (lua_Number)out[i]);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  return 1;
}

static const luaL_Reg methods[] = {
    {"info", l_info},
    {"attribute", l_attribute},
    {"categories", l_categories},
    {"keep_range", l_keep_range},
    {"predict", l_predict},
    {NULL, NULL},
};

static const luaL_Reg functions[] = {
    {"parse", l_parse},
    {NULL, NULL},
};

int luaopen_mle_model(lua_State *L) {
  mlb_register(L, &model_class, methods);
  luaL_newlib(L, functions);
  return 1;
}
