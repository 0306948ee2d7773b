/* xgboost_scores.c -- predictions, importance and trees: what Lua sees of engine/xgboost/{score,booster}.h */

#include <lauxlib.h>
#include <lua.h>
#include <string.h>

#include "bindings/args.h"
#include "bindings/box.h"
#include "bindings/frame.h"
#include "bindings/model.h"
#include "bindings/xgboost.h"
#include "engine/base/alloc.h"
#include "engine/xgboost/score.h"

static void release_scores(void *scores) {
  mle_scores_release(scores);
  mle_free(scores);
}

static const mlb_class scores_class = {"mle.xgboost.scores", release_scores};

/* ====== Scores ====== */

/* evaluate(model, frame, expressions) -> { auc = ..., ... }; the last expression is the label */
int mlb_model_evaluate(lua_State *L) {
  const mle_model *model = mlb_check_model(L, 1);
  mle_frame *frame = mlb_check_frame(L, 2);
  size_t num_expressions, count;
  const char **expressions = mlb_texts(L, 3, &num_expressions);
  mle_score scores[MLE_SCORES_MAX];
  mle_stream *stream;
  mle_error err;
  mlb_try(L, mle_frame_stream(frame, expressions, num_expressions, &stream, &err), &err);
  mle_status status = mle_score_evaluate(model, stream, scores, &count, &err);
  mle_stream_close(stream);
  mlb_try(L, status, &err);
  lua_createtable(L, 0, (int)count);
  for (size_t i = 0; i < count; i++) {
    lua_pushnumber(L, scores[i].value);
    lua_setfield(L, -2, scores[i].name);
  }
  return 1;
}

/* predict(model, frame, expressions, options) -> scores: options kind, begin, end, library (a booster) */
int mlb_model_predict(lua_State *L) {
  static const char *const known[] = {"kind", "begin", "end", "library", NULL};
  size_t count;
  mle_stream *stream;
  mle_error err;
  lua_settop(L, 4);
  mlb_options(L, 4, known);
  mle_scorer scorer = {.model = mlb_check_model(L, 1)};
  mle_frame *frame = mlb_check_frame(L, 2);
  scorer.options.kind = (mle_prediction)mlb_opt_integer(L, 4, "kind", MLE_PREDICT_VALUE);
  scorer.options.begin = (int)mlb_opt_integer(L, 4, "begin", 0);
  scorer.options.end = (int)mlb_opt_integer(L, 4, "end", 0);
  if (!lua_isnil(L, 4) && lua_getfield(L, 4, "library") != LUA_TNIL)
    scorer.library = mlb_check_booster(L, -1);
  luaL_argcheck(L, scorer.library != NULL || scorer.options.kind <= MLE_PREDICT_MARGIN, 4,
                "this kind of prediction needs the library");
  const char **expressions = mlb_texts(L, 3, &count);
  mlb_box *box = mlb_push(L, &scores_class);
  mle_scores *scores = mle_calloc(1, sizeof *scores);
  if (scores == NULL) return luaL_error(L, "not enough memory");
  box->object = scores;
  mlb_try(L, mle_frame_stream(frame, expressions, count, &stream, &err), &err);
  mle_status status = mle_score_all(&scorer, stream, scores, &err);
  mle_stream_close(stream);
  mlb_try(L, status, &err);
  return 1;
}

/* scores:rows() -> integer */
static int l_scores_rows(lua_State *L) {
  const mle_scores *scores = mlb_check(L, 1, &scores_class);
  lua_pushinteger(L, (lua_Integer)scores->rows);
  return 1;
}

/* scores:width() -> values a row has */
static int l_scores_width(lua_State *L) {
  const mle_scores *scores = mlb_check(L, 1, &scores_class);
  lua_pushinteger(L, (lua_Integer)scores->width);
  return 1;
}

/* scores:at(row [, i]) -> the i-th value of a row, both from 1 */
static int l_scores_at(lua_State *L) {
  const mle_scores *scores = mlb_check(L, 1, &scores_class);
  lua_Integer row = luaL_checkinteger(L, 2), i = luaL_optinteger(L, 3, 1);
  luaL_argcheck(L, row >= 1 && (size_t)row <= scores->rows, 2, "no such row");
  luaL_argcheck(L, i >= 1 && (size_t)i <= scores->width, 3, "no such value");
  lua_pushnumber(L, (lua_Number)scores->column[i - 1][row - 1]);
  return 1;
}

/* scores:frame(names) -> a frame with a column for each value of a row */
static int l_scores_frame(lua_State *L) {
  const mle_scores *scores = mlb_check(L, 1, &scores_class);
  size_t count;
  const char **names = mlb_texts(L, 2, &count);
  luaL_argcheck(L, count == scores->width, 2, "a name for each value");
  mle_column *columns = lua_newuserdatauv(L, count * sizeof *columns, 0);
  for (size_t i = 0; i < count; i++)
    columns[i] = (mle_column){MLE_FLOAT, scores->column[i], NULL};
  const mle_batch batch = {scores->rows, count, columns};
  mle_session *session = mlb_session(L);
  mlb_box *box = mlb_push_frame(L);
  mle_frame *frame;
  mle_error err;
  mlb_try(L, mle_frame_from_batch(session, names, &batch, &frame, &err), &err);
  box->object = frame;
  return 1;
}

/* booster:scores(set, margin, width) -> scores of a set, from 1, or of the training set: 0 */
int mlb_booster_scores(lua_State *L) {
  mle_booster *booster = mlb_check_booster(L, 1);
  int set = (int)luaL_checkinteger(L, 2) - 1;
  size_t width = (size_t)luaL_checkinteger(L, 4), count;
  const float *values;
  mle_error err;
  luaL_argcheck(L, width > 0, 4, "at least 1");
  mlb_box *box = mlb_push(L, &scores_class);
  mle_scores *scores = mle_calloc(1, sizeof *scores);
  if (scores == NULL) return luaL_error(L, "not enough memory");
  box->object = scores;
  mlb_try(L, mle_booster_scores(booster, set, lua_toboolean(L, 3), &values, &count, &err), &err);
  mlb_try(L, mle_scores_copy(values, count / width, width, scores, &err), &err);
  return 1;
}

static void add_importance(void *context, const char *feature, double value) {
  lua_State *L = context;
  lua_pushnumber(L, value);
  lua_setfield(L, -2, feature);
}

/* booster:importance(kind) -> { feature = value, ... } */
int mlb_booster_importance(lua_State *L) {
  static const char *const kinds[] = {"weight", "gain", "cover", "total_gain", "total_cover", NULL};
  mle_booster *booster = mlb_check_booster(L, 1);
  const char *kind = kinds[luaL_checkoption(L, 2, "weight", kinds)];
  mle_error err;
  lua_newtable(L);
  mlb_try(L, mle_booster_importance(booster, kind, add_importance, L, &err), &err);
  return 1;
}

/* booster:dump(format, with_stats) -> list of texts, one for each tree */
int mlb_booster_dump(lua_State *L) {
  mle_booster *booster = mlb_check_booster(L, 1);
  const char *format = luaL_checkstring(L, 2);
  const char *const *texts;
  size_t count;
  mle_error err;
  mlb_try(L, mle_booster_dump(booster, format, lua_toboolean(L, 3), &texts, &count, &err), &err);
  lua_createtable(L, (int)count, 0);
  for (size_t i = 0; i < count; i++) {
    lua_pushstring(L, texts[i]);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  return 1;
}

static const luaL_Reg scores_methods[] = {
    {"rows", l_scores_rows},
    {"width", l_scores_width},
    {"at", l_scores_at},
    {"frame", l_scores_frame},
    {NULL, NULL},
};

void mlb_register_scores(lua_State *L) { mlb_register(L, &scores_class, scores_methods); }
