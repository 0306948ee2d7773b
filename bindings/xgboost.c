/* xgboost.c -- mle.xgboost: what Lua sees of engine/xgboost/{matrix,booster,score}.h */

#include <lauxlib.h>
#include <lua.h>
#include <string.h>

#include "bindings/args.h"
#include "bindings/box.h"
#include "bindings/frame.h"
#include "bindings/model.h"
#include "bindings/modules.h"
#include "engine/base/alloc.h"
#include "engine/base/buffer.h"
#include "engine/xgboost/booster.h"
#include "engine/xgboost/library.h"
#include "engine/xgboost/score.h"

#define MODEL_MAX ((size_t)1 << 30)

static void release_matrix(void *matrix) { mle_matrix_free(matrix); }
static void release_booster(void *booster) { mle_booster_free(booster); }

static void release_buffer(void *buffer) {
  mle_buffer_release(buffer);
  mle_free(buffer);
}

static void release_scores(void *scores) {
  mle_scores_release(scores);
  mle_free(scores);
}

static const mlb_class matrix_class = {"mle.xgboost.matrix", release_matrix};
static const mlb_class booster_class = {"mle.xgboost.booster", release_booster};
static const mlb_class buffer_class = {"mle.xgboost.bytes", release_buffer};
static const mlb_class scores_class = {"mle.xgboost.scores", release_scores};

/* ====== Arguments ====== */

/* A list {name, value, name, value, ...} as parameters, in userdata left on the stack. */
static mle_parameter *check_params(lua_State *L, int arg, size_t *out_count) {
  const char **texts = mlb_texts(L, arg, out_count); /* [texts] */
  *out_count /= 2;
  mle_parameter *params = lua_newuserdatauv(L, (*out_count + 1) * sizeof *params, 0);
  for (size_t i = 0; i < *out_count; i++)
    params[i] = (mle_parameter){texts[2 * i], texts[2 * i + 1]};
  return params;
}

/* The list of texts that an option holds. */
static const char **need_texts(lua_State *L, int arg, const char *key, size_t *out_count) {
  lua_getfield(L, arg, key); /* [list]: stays, so that the texts do */
  return mlb_texts(L, -1, out_count);
}

static mle_matrix_options check_columns(lua_State *L, int arg) {
  mle_matrix_options o = {.what = mlb_opt_text(L, arg, "what", "training")};
  size_t num_types;
  const char *objective = mlb_opt_text(L, arg, "objective", "");
  o.names = need_texts(L, arg, "names", &o.num_features);
  o.types = need_texts(L, arg, "types", &num_types);
  luaL_argcheck(L, num_types == o.num_features, arg, "as many types as names");
  o.label.name = mlb_opt_text(L, arg, "label", "label");
  o.label.objective = mle_objective_find(objective);
  o.label.num_classes = (size_t)mlb_opt_integer(L, arg, "num_class", 0);
  o.label.training = mlb_opt_boolean(L, arg, "training", false);
  o.weight = mlb_opt_text(L, arg, "weight", NULL);
  o.base_margin = mlb_opt_text(L, arg, "base_margin", NULL);
  o.max_bin = (int)mlb_opt_integer(L, arg, "max_bin", 0);
  o.num_threads = (int)mlb_opt_integer(L, arg, "nthread", 0);
  o.spool.folder = mlb_opt_text(L, arg, "temp", NULL);
  o.spool.memory_max = (size_t)mlb_opt_integer(L, arg, "memory", 0);
  return o;
}

/* ====== Parameters and matrices ====== */

/* check(params, num_features) -> names of parameters without use, "a, b" */
static int l_check(lua_State *L) {
  size_t count;
  size_t features = (size_t)luaL_checkinteger(L, 2);
  mle_parameter *params = check_params(L, 1, &count);
  mle_error err;
  mlb_try(L, mle_booster_check(params, count, features, &err), &err);
  lua_pushstring(L, mle_booster_unused());
  return 1;
}

static mle_status read_matrix(mle_frame *frame, const char **expressions, size_t count,
                              const mle_matrix_options *options, mle_matrix **out, mle_error *err) {
  mle_stream *stream;
  *out = NULL;
  mle_status status = mle_frame_stream(frame, expressions, count, &stream, err);
  if (status != MLE_OK) return mle_context(err, "%s", options->what);
  status = mle_matrix_read(stream, options, out, err);
  mle_stream_close(stream);
  return status;
}

/* matrix(frame, expressions, options [, ref]) -> matrix */
static int l_matrix(lua_State *L) {
  static const char *const known[] = {"what",   "names",   "types",     "label", "objective",
                                      "num_class", "training", "weight", "base_margin",
                                      "max_bin", "nthread", "temp",      "memory", NULL};
  size_t count;
  mle_matrix *matrix;
  mle_error err;
  lua_settop(L, 4);
  mlb_options(L, 3, known);
  mle_frame *frame = mlb_check_frame(L, 1);
  mle_matrix_options options = check_columns(L, 3);
  if (!lua_isnil(L, 4)) options.ref = mlb_check(L, 4, &matrix_class);
  const char **expressions = mlb_texts(L, 2, &count);
  mlb_box *box = mlb_push(L, &matrix_class);
  mlb_try(L, read_matrix(frame, expressions, count, &options, &matrix, &err), &err);
  box->object = matrix;
  return 1;
}

/* matrix:rows() -> integer */
static int l_rows(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)mle_matrix_rows(mlb_check(L, 1, &matrix_class)));
  return 1;
}

/* matrix:missing(i) -> rows without a value of the i-th feature, from 1 */
static int l_missing(lua_State *L) {
  const mle_matrix *matrix = mlb_check(L, 1, &matrix_class);
  size_t feature = (size_t)luaL_checkinteger(L, 2) - 1;
  lua_pushinteger(L, (lua_Integer)mle_matrix_missing(matrix, feature));
  return 1;
}

/* ====== Boosters ====== */

static mle_matrix **check_matrices(lua_State *L, int arg, size_t *out_count) {
  luaL_checktype(L, arg, LUA_TTABLE);
  *out_count = (size_t)luaL_len(L, arg);
  mle_matrix **list = lua_newuserdatauv(L, (*out_count + 1) * sizeof *list, 0); /* [list] */
  for (size_t i = 0; i < *out_count; i++) {
    lua_rawgeti(L, arg, (lua_Integer)i + 1);
    list[i] = mlb_check(L, -1, &matrix_class);
    lua_pop(L, 1); /* the table still holds it */
  }
  return list;
}

/* booster(params, train, evals, options) -> booster */
static int l_booster(lua_State *L) {
  static const char *const known[] = {"names", "types", "num_boost_round",
                                      "early_stopping_rounds", "maximize", "start", NULL};
  mle_matrix_options columns = {0};
  mle_training t = {.columns = &columns, .train = mlb_check(L, 2, &matrix_class)};
  mle_booster *booster;
  mle_error err;
  size_t num_types;
  lua_settop(L, 4);
  mlb_options(L, 4, known);
  t.params = check_params(L, 1, &t.num_params);
  t.evals = check_matrices(L, 3, &t.num_evals);
  columns.names = need_texts(L, 4, "names", &columns.num_features);
  columns.types = need_texts(L, 4, "types", &num_types);
  t.num_rounds = (int)mlb_opt_integer(L, 4, "num_boost_round", 10);
  t.early_stopping_rounds = (int)mlb_opt_integer(L, 4, "early_stopping_rounds", 0);
  t.maximize = (int)mlb_opt_integer(L, 4, "maximize", -1);
  if (lua_getfield(L, 4, "start") != LUA_TNIL) /* [start]: stays, so that its bytes do */
    t.start = luaL_checklstring(L, -1, &t.start_len);
  mlb_box *box = mlb_push(L, &booster_class);
  mlb_try(L, mle_booster_new(&t, &booster, &err), &err);
  box->object = booster;
  return 1;
}

/* booster:round() -> whether another follows, { { set, name, value }, ... } */
static int l_round(lua_State *L) {
  mle_booster *booster = mlb_check(L, 1, &booster_class);
  bool more;
  size_t count;
  mle_error err;
  mlb_try(L, mle_booster_round(booster, &more, &err), &err);
  const mle_metric *metrics = mle_booster_metrics(booster, &count);
  lua_pushboolean(L, more);
  lua_createtable(L, (int)count, 0);
  for (size_t i = 0; i < count; i++) {
    lua_createtable(L, 3, 0); /* [more, list, metric] */
    lua_pushinteger(L, (lua_Integer)metrics[i].set + 1);
    lua_rawseti(L, -2, 1);
    lua_pushstring(L, metrics[i].name);
    lua_rawseti(L, -2, 2);
    lua_pushnumber(L, metrics[i].value);
    lua_rawseti(L, -2, 3);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  return 2;
}

/* booster:best() -> round from 0, score; nothing without early stopping */
static int l_best(lua_State *L) {
  const mle_booster *booster = mlb_check(L, 1, &booster_class);
  if (mle_booster_best_round(booster) < 0) return 0;
  lua_pushinteger(L, mle_booster_best_round(booster));
  lua_pushnumber(L, mle_booster_best_score(booster));
  return 2;
}

/* booster:finish(keep_best) */
static int l_finish(lua_State *L) {
  mle_error err;
  mlb_try(L, mle_booster_finish(mlb_check(L, 1, &booster_class), lua_toboolean(L, 2), &err), &err);
  return 0;
}

static mlb_box *push_buffer(lua_State *L) {
  mlb_box *box = mlb_push(L, &buffer_class);
  mle_buffer *bytes = mle_calloc(1, sizeof *bytes);
  if (bytes == NULL) luaL_error(L, "not enough memory");
  *bytes = MLE_BUFFER(MODEL_MAX);
  box->object = bytes;
  return box;
}

static int push_bytes(lua_State *L, const mle_buffer *bytes) {
  lua_pushlstring(L, bytes->data == NULL ? "" : bytes->data, bytes->len);
  return 1;
}

/* booster:save(format) -> bytes */
static int l_save(lua_State *L) {
  const mle_booster *booster = mlb_check(L, 1, &booster_class);
  const char *format = luaL_checkstring(L, 2);
  mlb_box *box = push_buffer(L);
  mle_error err;
  mlb_try(L, mle_booster_save(booster, format, box->object, &err), &err);
  return push_bytes(L, box->object);
}

/* load(bytes) -> booster, for save() and predict() in the library's own code */
static int l_load(lua_State *L) {
  size_t len;
  const char *bytes = luaL_checklstring(L, 1, &len);
  mlb_box *box = mlb_push(L, &booster_class);
  mle_booster *booster;
  mle_error err;
  mlb_try(L, mle_booster_load(bytes, len, &booster, &err), &err);
  box->object = booster;
  return 1;
}

/* ====== Scores ====== */

/* evaluate(model, frame, expressions) -> { auc = ..., ... }; the last expression is the label */
static int l_evaluate(lua_State *L) {
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

/* predict(model, frame, expressions, options) -> scores: options margin, library (a booster) */
static int l_predict(lua_State *L) {
  static const char *const known[] = {"margin", "library", NULL};
  size_t count;
  mle_stream *stream;
  mle_error err;
  lua_settop(L, 4);
  mlb_options(L, 4, known);
  mle_scorer scorer = {.model = mlb_check_model(L, 1)};
  mle_frame *frame = mlb_check_frame(L, 2);
  scorer.margin = mlb_opt_boolean(L, 4, "margin", false);
  if (!lua_isnil(L, 4) && lua_getfield(L, 4, "library") != LUA_TNIL)
    scorer.library = mlb_check(L, -1, &booster_class);
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

/* version() -> "3.2.0" */
static int l_version(lua_State *L) {
  lua_pushstring(L, mle_library_version());
  return 1;
}

static const luaL_Reg matrix_methods[] = {
    {"rows", l_rows},
    {"missing", l_missing},
    {NULL, NULL},
};

static const luaL_Reg booster_methods[] = {
    {"round", l_round},
    {"best", l_best},
    {"finish", l_finish},
    {"save", l_save},
    {NULL, NULL},
};

static const luaL_Reg scores_methods[] = {
    {"rows", l_scores_rows},
    {"width", l_scores_width},
    {"at", l_scores_at},
    {"frame", l_scores_frame},
    {NULL, NULL},
};

static const luaL_Reg no_methods[] = {{NULL, NULL}};

static const luaL_Reg functions[] = {
    {"check", l_check},
    {"matrix", l_matrix},
    {"booster", l_booster},
    {"load", l_load},
    {"evaluate", l_evaluate},
    {"predict", l_predict},
    {"version", l_version},
    {NULL, NULL},
};

int luaopen_mle_xgboost(lua_State *L) {
  mlb_register(L, &matrix_class, matrix_methods);
  mlb_register(L, &booster_class, booster_methods);
  mlb_register(L, &scores_class, scores_methods);
  mlb_register(L, &buffer_class, no_methods);
  luaL_newlib(L, functions);
  return 1;
}
