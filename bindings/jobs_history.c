/* jobs_history.c -- the methods of mle.jobs' state that tell what ran, as JSON texts: engine/jobs/{history,attempt}.h */

#include "bindings/args.h"
#include "bindings/jobs.h"
#include "engine/jobs/attempt.h"
#include "engine/jobs/history.h"

/* state:pipeline_run(id) */
static int l_pipeline_run(lua_State *L) {
  mle_state *state = mlb_check_state(L, 1);
  int64_t id = luaL_checkinteger(L, 2);
  MLB_RETURN_JSON(L, mle_pipeline_run_json(state, id, &json_text_, &err));
}

/* state:unfinished() */
static int l_unfinished(lua_State *L) {
  mle_state *state = mlb_check_state(L, 1);
  MLB_RETURN_JSON(L, mle_unfinished_json(state, &json_text_, &err));
}

/* state:pinned(consumer, table_uuid, branch, run) */
static int l_pinned(lua_State *L) {
  mle_state *state = mlb_check_state(L, 1);
  mle_watermark_key key = mlb_check_watermark_key(L);
  int64_t run = luaL_checkinteger(L, 5);
  MLB_RETURN_JSON(L, mle_run_pinned_json(state, run, &key, &json_text_, &err));
}

/* state:key(run) */
static int l_key(lua_State *L) {
  mle_state *state = mlb_check_state(L, 1);
  int64_t run = luaL_checkinteger(L, 2);
  MLB_RETURN_JSON(L, mle_run_key(state, run, &json_text_, &err));
}

/* state:script(sha256) */
static int l_script(lua_State *L) {
  mle_state *state = mlb_check_state(L, 1);
  const char *sha256 = luaL_checkstring(L, 2);
  MLB_RETURN_JSON(L, mle_script_text(state, sha256, &json_text_, &err));
}

/* state:history(limit [, { pipeline, job, state, trigger, before, floor, pipeline_run }]) */
static int l_history(lua_State *L) {
  static const char *const known[] = {"pipeline", "job", "state", "trigger", "before", "floor", "pipeline_run", NULL};
  mle_state *state = mlb_check_state(L, 1);
  int64_t limit = luaL_checkinteger(L, 2);
  mlb_options(L, 3, known);
  mle_history_filter filter = {.pipeline = mlb_opt_text(L, 3, "pipeline", NULL),
                               .job = mlb_opt_text(L, 3, "job", NULL),
                               .run_state = mlb_opt_text(L, 3, "state", NULL),
                               .trigger = mlb_opt_text(L, 3, "trigger", NULL),
                               .before = mlb_opt_integer(L, 3, "before", 0),
                               .floor = mlb_opt_integer(L, 3, "floor", 0),
                               .pipeline_run = mlb_opt_integer(L, 3, "pipeline_run", 0)};
  MLB_RETURN_JSON(L, mle_history_json(state, &filter, limit, &json_text_, &err));
}

/* state:last_runs() */
static int l_last_runs(lua_State *L) {
  mle_state *state = mlb_check_state(L, 1);
  MLB_RETURN_JSON(L, mle_history_last_runs(state, &json_text_, &err));
}

/* state:last_states() */
static int l_last_states(lua_State *L) {
  mle_state *state = mlb_check_state(L, 1);
  MLB_RETURN_JSON(L, mle_history_last_states(state, &json_text_, &err));
}

/* state:last_run(pipeline, job) */
static int l_last_run(lua_State *L) {
  mle_state *state = mlb_check_state(L, 1);
  const char *pipeline = luaL_checkstring(L, 2), *job = luaL_checkstring(L, 3);
  MLB_RETURN_JSON(L, mle_history_last_json(state, pipeline, job, &json_text_, &err));
}

/* state:runs_total(), state:seconds_total() */
static int l_runs_total(lua_State *L) {
  mle_state *state = mlb_check_state(L, 1);
  MLB_RETURN_JSON(L, mle_history_runs_total(state, &json_text_, &err));
}

static int l_seconds_total(lua_State *L) {
  mle_state *state = mlb_check_state(L, 1);
  MLB_RETURN_JSON(L, mle_history_seconds_total(state, &json_text_, &err));
}

/* state:details(run) */
static int l_details(lua_State *L) {
  mle_state *state = mlb_check_state(L, 1);
  int64_t run = luaL_checkinteger(L, 2);
  MLB_RETURN_JSON(L, mle_history_run_json(state, run, &json_text_, &err));
}

/* state:result(run) */
static int l_result(lua_State *L) {
  mle_state *state = mlb_check_state(L, 1);
  int64_t run = luaL_checkinteger(L, 2);
  MLB_RETURN_JSON(L, mle_history_result_json(state, run, &json_text_, &err));
}

/* state:output(pipeline, job, child) */
static int l_output(lua_State *L) {
  mle_state *state = mlb_check_state(L, 1);
  const char *pipeline = luaL_checkstring(L, 2), *job = luaL_checkstring(L, 3),
             *child = luaL_checkstring(L, 4);
  MLB_RETURN_JSON(L, mle_history_output_json(state, pipeline, job, child, &json_text_, &err));
}

/* state:before(run, kind) */
static int l_before(lua_State *L) {
  mle_state *state = mlb_check_state(L, 1);
  int64_t run = luaL_checkinteger(L, 2);
  const char *kind = luaL_checkstring(L, 3);
  MLB_RETURN_JSON(L, mle_history_before_json(state, run, kind, &json_text_, &err));
}

/* state:unsettled([run]) */
static int l_unsettled(lua_State *L) {
  mle_state *state = mlb_check_state(L, 1);
  int64_t run = luaL_optinteger(L, 2, 0);
  MLB_RETURN_JSON(L, mle_history_unsettled_json(state, run, &json_text_, &err));
}

const luaL_Reg mlb_jobs_history_methods[] = {
    {"pipeline_run", l_pipeline_run},
    {"unfinished", l_unfinished},
    {"pinned", l_pinned},
    {"key", l_key},
    {"script", l_script},
    {"history", l_history},
    {"last_run", l_last_run},
    {"last_runs", l_last_runs},
    {"last_states", l_last_states},
    {"runs_total", l_runs_total},
    {"seconds_total", l_seconds_total},
    {"details", l_details},
    {"result", l_result},
    {"output", l_output},
    {"before", l_before},
    {"unsettled", l_unsettled},
    {NULL, NULL},
};
