/* xgboost.c -- mle.xgboost: what Lua sees of engine/xgboost/{matrix,booster}.h */

#include <lauxlib.h>
#include <lua.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "bindings/args.h"
#include "bindings/box.h"
#include "bindings/frame.h"
#include "bindings/model.h"
#include "bindings/modules.h"
#include "bindings/xgboost.h"
#include "engine/base/alloc.h"
#include "engine/base/buffer.h"
#include "engine/xgboost/booster.h"
#include "engine/xgboost/gradients.h"
#include "engine/xgboost/library.h"
#include "engine/xgboost/stopping.h"

#define MODEL_MAX ((size_t)1 << 30)

static void release_matrix(void *matrix) { mle_matrix_free(matrix); }
static void release_booster(void *booster) { mle_booster_free(booster); }

static void release_buffer(void *buffer) {
  mle_buffer_release(buffer);
  mle_free(buffer);
}

static const mlb_class matrix_class = {"mle.xgboost.matrix", release_matrix};
static const mlb_class booster_class = {"mle.xgboost.booster", release_booster};
static const mlb_class buffer_class = {"mle.xgboost.bytes", release_buffer};

mle_booster *mlb_check_booster(lua_State *L, int arg) { return mlb_check(L, arg, &booster_class); }

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

/* A list {field, name, width, field, name, width, ...}, in userdata left on the stack. */
static const mle_matrix_field *check_fields(lua_State *L, int arg, size_t *out_count) {
  size_t count;
  const char **texts = need_texts(L, arg, "fields", &count); /* [list, texts] */
  mle_matrix_field *fields = lua_newuserdatauv(L, (count / 3 + 1) * sizeof *fields, 0);
  *out_count = count / 3;
  for (size_t i = 0; i < count / 3; i++)
    fields[i] = (mle_matrix_field){texts[3 * i], texts[3 * i + 1],
                                   (size_t)strtoul(texts[3 * i + 2], NULL, 10)};
  return fields;
}

/* A list of names as one dictionary, whose memory is left on the stack. */
static mle_dictionary check_dictionary(lua_State *L, int index) {
  size_t count, size = 0, at = 0;
  const char **names = mlb_texts(L, index, &count); /* [names] */
  for (size_t i = 0; i < count; i++) size += strlen(names[i]);
  luaL_argcheck(L, size <= INT32_MAX, 3, "category names over 2 GiB");
  int32_t *offset = lua_newuserdatauv(L, (count + 1) * sizeof *offset + size + 1, 0);
  char *bytes = (char *)(offset + count + 1);
  for (size_t i = 0; i < count; i++) {
    size_t len = strlen(names[i]);
    offset[i] = (int32_t)at;
    memcpy(bytes + at, names[i], len);
    at += len;
  }
  offset[count] = (int32_t)at;
  lua_remove(L, -2);
  return (mle_dictionary){count, offset, bytes};
}

/* categories = { false, { "DE", "FR" }, ... }: a list of names or false for each feature. */
static const mle_dictionary *opt_dictionaries(lua_State *L, int arg, size_t features) {
  if (lua_getfield(L, arg, "categories") == LUA_TNIL) return NULL; /* [nil] */
  luaL_checktype(L, -1, LUA_TTABLE);
  mle_dictionary *list = lua_newuserdatauv(L, (features + 1) * sizeof *list, 0); /* [lists, list] */
  lua_newtable(L); /* [lists, list, kept]: what the dictionaries point into */
  int kept = lua_gettop(L), lists = kept - 2;
  for (size_t i = 0; i < features; i++) {
    list[i] = (mle_dictionary){0, NULL, NULL};
    if (lua_rawgeti(L, lists, (lua_Integer)i + 1) == LUA_TTABLE) {
      list[i] = check_dictionary(L, lua_gettop(L));
      lua_rawseti(L, kept, (lua_Integer)i + 1);
    }
    lua_settop(L, kept);
  }
  return list;
}

/* A number for each feature. */
static const float *opt_feature_weights(lua_State *L, int arg, size_t features) {
  if (lua_getfield(L, arg, "feature_weights") == LUA_TNIL) return NULL; /* [nil] */
  luaL_checktype(L, -1, LUA_TTABLE);
  float *weights = lua_newuserdatauv(L, (features + 1) * sizeof *weights, 0);
  for (size_t i = 0; i < features; i++) {
    lua_rawgeti(L, -2, (lua_Integer)i + 1);
    weights[i] = (float)luaL_checknumber(L, -1);
    lua_pop(L, 1);
  }
  return weights;
}

static mle_matrix_options check_columns(lua_State *L, int arg) {
  static const char *const kinds[] = {"quantile", "external", "plain", NULL};
  mle_matrix_options o = {.what = mlb_opt_text(L, arg, "what", "training")};
  size_t num_types;
  lua_getfield(L, arg, "kind");
  o.kind = (mle_matrix_kind)luaL_checkoption(L, -1, "quantile", kinds);
  o.names = need_texts(L, arg, "names", &o.num_features);
  o.types = need_texts(L, arg, "types", &num_types);
  luaL_argcheck(L, num_types == o.num_features, arg, "as many types as names");
  o.dictionaries = opt_dictionaries(L, arg, o.num_features);
  o.feature_weights = opt_feature_weights(L, arg, o.num_features);
  o.fields = check_fields(L, arg, &o.num_fields);
  o.label.objective = mle_objective_find(mlb_opt_text(L, arg, "objective", ""));
  o.label.num_classes = (size_t)mlb_opt_integer(L, arg, "num_class", 0);
  o.label.training = mlb_opt_boolean(L, arg, "training", false);
  o.max_bin = (int)mlb_opt_integer(L, arg, "max_bin", 0);
  o.num_threads = (int)mlb_opt_integer(L, arg, "nthread", 0);
  o.memory_max = (size_t)mlb_opt_integer(L, arg, "memory_max", 0);
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
  static const char *const known[] = {
      "what",      "kind",     "names",   "types",   "categories", "feature_weights", "fields", "objective",
      "num_class", "training", "max_bin", "nthread", "memory_max", "temp",            "memory", NULL};
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

/* matrix:memory() -> bytes of its bins, and of each booster that trains on it */
static int l_memory(lua_State *L) {
  size_t bins, booster;
  mle_matrix_memory(mlb_check(L, 1, &matrix_class), &bins, &booster);
  lua_pushinteger(L, (lua_Integer)bins);
  lua_pushinteger(L, (lua_Integer)booster);
  return 2;
}

/* matrix:missing(i) -> rows without a value of the i-th feature, from 1 */
static int l_missing(lua_State *L) {
  const mle_matrix *matrix = mlb_check(L, 1, &matrix_class);
  size_t feature = (size_t)luaL_checkinteger(L, 2) - 1;
  lua_pushinteger(L, (lua_Integer)mle_matrix_missing(matrix, feature));
  return 1;
}

/* matrix:groups() -> groups of rows; 0 when there are none */
static int l_groups(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)mle_matrix_groups(mlb_check(L, 1, &matrix_class)));
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

/* booster(params, train, evals, options [, lanes, lane]) -> booster, to be trained in that lane */
static int l_booster(lua_State *L) {
  static const char *const known[] = {
      "names",       "types",       "num_boost_round", "early_stopping_rounds", "maximize", "stop_set",
      "stop_metric", "min_delta",   "first_iteration", "start",                 NULL};
  mle_matrix_options columns = {0};
  mle_training t = {.columns = &columns, .train = mlb_check(L, 2, &matrix_class)};
  mle_booster *booster;
  mle_error err;
  size_t num_types, lane = 0;
  lua_settop(L, 6);
  mlb_options(L, 4, known);
  mle_lanes *lanes = lua_isnil(L, 5) ? NULL : mlb_check_lanes(L, 5, &lane);
  t.params = check_params(L, 1, &t.num_params);
  t.evals = check_matrices(L, 3, &t.num_evals);
  columns.names = need_texts(L, 4, "names", &columns.num_features);
  columns.types = need_texts(L, 4, "types", &num_types);
  t.num_rounds = (int)mlb_opt_integer(L, 4, "num_boost_round", 10);
  t.early_stopping_rounds = (int)mlb_opt_integer(L, 4, "early_stopping_rounds", 0);
  t.maximize = (int)mlb_opt_integer(L, 4, "maximize", -1);
  t.stop_set = (int)mlb_opt_integer(L, 4, "stop_set", 0);
  t.stop_metric = mlb_opt_text(L, 4, "stop_metric", NULL);
  t.min_delta = mlb_opt_number(L, 4, "min_delta", 0);
  t.first_iteration = (int)mlb_opt_integer(L, 4, "first_iteration", 0);
  if (lua_getfield(L, 4, "start") != LUA_TNIL) /* [start]: stays, so that its bytes do */
    t.start = luaL_checklstring(L, -1, &t.start_len);
  mlb_box *box = mlb_push(L, &booster_class);
  mle_status status = lanes == NULL ? mle_booster_new(&t, &booster, &err)
                                    : mle_lanes_new(lanes, lane, &t, &booster, &err);
  mlb_try(L, status, &err);
  box->object = booster;
  return 1;
}

/* booster:update() */
static int l_update(lua_State *L) {
  mle_error err;
  mlb_try(L, mle_booster_update(mlb_check_booster(L, 1), &err), &err);
  return 0;
}

static mle_status boost(mle_booster *booster, mle_frame *frame, const char **expressions,
                        size_t count, size_t rows, mle_error *err) {
  mle_stream *stream = NULL;
  mle_gradients g = {0};
  mle_status status;
  MLE_GO(mle_frame_stream(frame, expressions, count, &stream, err));
  MLE_GO(mle_gradients_read(stream, rows, count / 2, &g, err));
  MLE_GO(mle_booster_boost(booster, g.gradient, g.hessian, g.rows, g.width, err));
done:
  mle_gradients_release(&g);
  mle_stream_close(stream);
  return status;
}

/* booster:boost(frame, expressions, rows): gradients, then as many hessians */
static int l_boost(lua_State *L) {
  size_t count;
  mle_error err;
  mle_booster *booster = mlb_check_booster(L, 1);
  mle_frame *frame = mlb_check_frame(L, 2);
  size_t rows = (size_t)luaL_checkinteger(L, 4);
  const char **expressions = mlb_texts(L, 3, &count);
  luaL_argcheck(L, count > 0 && count % 2 == 0, 3, "as many hessians as gradients");
  mlb_try(L, boost(booster, frame, expressions, count, rows, &err), &err);
  return 0;
}

/* booster:evaluate() */
static int l_evaluate(lua_State *L) {
  mle_error err;
  mlb_try(L, mle_booster_evaluate(mlb_check_booster(L, 1), &err), &err);
  return 0;
}

/* booster:add_metric(set, name, value): the set from 1 */
static int l_add_metric(lua_State *L) {
  mle_error err;
  mle_booster *booster = mlb_check_booster(L, 1);
  size_t set = (size_t)luaL_checkinteger(L, 2) - 1;
  const char *name = luaL_checkstring(L, 3);
  mlb_try(L, mle_booster_add_metric(booster, set, name, luaL_checknumber(L, 4), &err), &err);
  return 0;
}

static void push_metrics(lua_State *L, const mle_booster *booster) {
  size_t count;
  const mle_metric *metrics = mle_booster_metrics(booster, &count);
  lua_createtable(L, (int)count, 0); /* [list] */
  for (size_t i = 0; i < count; i++) {
    lua_createtable(L, 3, 0); /* [list, metric] */
    lua_pushinteger(L, (lua_Integer)metrics[i].set + 1);
    lua_rawseti(L, -2, 1);
    lua_pushstring(L, metrics[i].name);
    lua_rawseti(L, -2, 2);
    lua_pushnumber(L, metrics[i].value);
    lua_rawseti(L, -2, 3);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
}

/* booster:end_round() -> whether another follows, { { set, name, value }, ... } */
static int l_end_round(lua_State *L) {
  mle_booster *booster = mlb_check_booster(L, 1);
  bool more;
  mle_error err;
  mlb_try(L, mle_booster_end_round(booster, &more, &err), &err);
  lua_pushboolean(L, more);
  push_metrics(L, booster);
  return 2;
}

/* booster:recall(round, metric, value): the round from 0 */
static int l_recall(lua_State *L) {
  mle_error err;
  mle_booster *booster = mlb_check_booster(L, 1);
  int round = (int)luaL_checkinteger(L, 2);
  const char *metric = luaL_checkstring(L, 3);
  mlb_try(L, mle_booster_recall(booster, round, metric, luaL_checknumber(L, 4), &err), &err);
  return 0;
}

/* booster:reset() */
static int l_reset(lua_State *L) {
  mle_error err;
  mlb_try(L, mle_booster_reset(mlb_check_booster(L, 1), &err), &err);
  return 0;
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

/* version() -> "3.2.0" */
static int l_version(lua_State *L) {
  lua_pushstring(L, mle_library_version());
  return 1;
}

/* maximizes(metric) -> whether more of it is better, by its name */
static int l_maximizes(lua_State *L) {
  lua_pushboolean(L, mle_stopping_maximizes(luaL_checkstring(L, 1)));
  return 1;
}

/* peak_memory() -> the most bytes this process has had in memory */
static int l_peak_memory(lua_State *L) {
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  lua_pushinteger(L, (lua_Integer)usage.ru_maxrss * 1024);
  return 1;
}

static const luaL_Reg matrix_methods[] = {
    {"rows", l_rows},
    {"memory", l_memory},
    {"missing", l_missing},
    {"groups", l_groups},
    {NULL, NULL},
};

static const luaL_Reg booster_methods[] = {
    {"update", l_update},
    {"boost", l_boost},
    {"evaluate", l_evaluate},
    {"add_metric", l_add_metric},
    {"end_round", l_end_round},
    {"recall", l_recall},
    {"reset", l_reset},
    {"scores", mlb_booster_scores},
    {"importance", mlb_booster_importance},
    {"dump", mlb_booster_dump},
    {"best", l_best},
    {"finish", l_finish},
    {"save", l_save},
    {NULL, NULL},
};

static const luaL_Reg no_methods[] = {{NULL, NULL}};

static const luaL_Reg functions[] = {
    {"check", l_check},
    {"matrix", l_matrix},
    {"booster", l_booster},
    {"lanes", mlb_lanes},
    {"load", l_load},
    {"evaluate", mlb_model_evaluate},
    {"predict", mlb_model_predict},
    {"version", l_version},
    {"maximizes", l_maximizes},
    {"peak_memory", l_peak_memory},
    {NULL, NULL},
};

int luaopen_mle_xgboost(lua_State *L) {
  mlb_register(L, &matrix_class, matrix_methods);
  mlb_register(L, &booster_class, booster_methods);
  mlb_register_scores(L);
  mlb_register_lanes(L);
  mlb_register(L, &buffer_class, no_methods);
  luaL_newlib(L, functions);
  return 1;
}
