/* serve.c -- mle.serve: what Lua sees of this project's model server */

#include <lauxlib.h>

#include "bindings/args.h"
#include "bindings/box.h"
#include "bindings/modules.h"
#include "engine/base/alloc.h"
#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "engine/serve/checker.h"
#include "engine/serve/control.h"
#include "engine/serve/daemon.h"
#include "engine/serve/service.h"
#include "engine/serve/slots.h"

#define PROGRAM "/proc/self/exe"
#define CHECK_MS 120000

static void release_text(void *text) { mle_free(text); }

static const mlb_class text_class = {"mle.serve.text", release_text};

static void read_address(lua_State *L, int arg, mle_address *out) {
  mle_error err;
  *out = (mle_address){.host = "127.0.0.1", .port = 8700};
  mlb_try(L, mle_address_parse(mlb_need_text(L, arg, "listen"), out, &err), &err);
}

/* ====== Following something, between commands ====== */

typedef struct follower {
  lua_State *L; /* its function is at stack index 2 */
  int64_t every_ns, next_ns;
  mle_commands *commands;
} follower;

/* call(json) -> json: a command, while the function runs */
static int l_command(lua_State *L) {
  follower *f = lua_touserdata(L, lua_upvalueindex(1));
  size_t len;
  const char *line = luaL_checklstring(L, 1, &len);
  mlb_box *box = mlb_push(L, &text_class);
  if (f->commands == NULL) return luaL_error(L, "commands are for while the function runs");
  box->object = mle_commands_answer(f->commands, line, len);
  if (box->object == NULL) return luaL_error(L, "not enough memory");
  lua_pushstring(L, box->object);
  return 1;
}

/* A failure is logged; the server goes on with what it has. [-0, +0, -] */
static void follow(void *context, mle_commands *commands) {
  follower *f = context;
  if (mle_monotonic_ns() < f->next_ns) return;
  f->commands = commands;
  lua_pushvalue(f->L, 2);
  lua_pushvalue(f->L, 3);
  if (lua_pcall(f->L, 1, 0, 0) != LUA_OK) {
    const char *message = luaL_tolstring(f->L, -1, NULL);
    mle_log(MLE_WARN, "%s", message);
    lua_pop(f->L, 2);
  }
  f->commands = NULL;
  f->next_ns = mle_monotonic_ns() + f->every_ns; /* it may have taken longer than that */
}

static void read_run(lua_State *L, mle_service_options *out) {
  static const char *const options[] = {"state",     "listen",  "version", "workers",       "ready_fd",
                                        "log_share", "openapi", "follow",  "follow_seconds",
                                        "tls_cert",  "tls_key", NULL};
  mlb_options(L, 1, options);
  *out = (mle_service_options){.state = mlb_need_text(L, 1, "state"),
                               .program = PROGRAM,
                               .version = mlb_need_text(L, 1, "version"),
                               .openapi = mlb_opt_text(L, 1, "openapi", NULL),
                               .log_share = mlb_opt_number(L, 1, "log_share", 0),
                               .tls_cert = mlb_opt_text(L, 1, "tls_cert", NULL),
                               .tls_key = mlb_opt_text(L, 1, "tls_key", NULL),
                               .ready_fd = (int)mlb_opt_integer(L, 1, "ready_fd", -1)};
  if ((out->tls_cert == NULL) != (out->tls_key == NULL)) luaL_error(L, "tls_cert and tls_key go together");
  int64_t workers = mlb_opt_integer(L, 1, "workers", 0);
  if (workers < 0 || workers > 256) luaL_error(L, "workers must be 0 to 256");
  out->workers = (unsigned)workers;
  read_address(L, 1, &out->address);
}

/* run{ state, listen, version, workers?, tls_cert?, tls_key?, ready_fd?, log_share?, openapi?,
 * follow?, follow_seconds? }: serves until it is told to stop */
static int l_run(lua_State *L) {
  mle_service_options given;
  follower f = {.L = L};
  mle_error err;
  lua_settop(L, 1);
  read_run(L, &given);
  f.every_ns = (int64_t)(mlb_opt_number(L, 1, "follow_seconds", 10) * 1e9);
  lua_settop(L, 1);
  if (lua_getfield(L, 1, "follow") == LUA_TFUNCTION) { /* [options, function] */
    lua_pushlightuserdata(L, &f);
    lua_pushcclosure(L, l_command, 1); /* [options, function, command] */
    given.tick = follow;
    given.tick_context = &f;
  }
  mlb_try(L, mle_service_run(&given, &err), &err);
  return 0;
}

/* start{ root, state, listen } -> url: the same in the background */
static int l_start(lua_State *L) {
  static const char *const options[] = {"root", "state", "listen", NULL};
  mlb_options(L, 1, options);
  mle_address address;
  read_address(L, 1, &address);
  char url[MLE_URL_MAX];
  mle_error err;
  mlb_try(L,
          mle_daemon_start(PROGRAM, mlb_need_text(L, 1, "root"), mlb_need_text(L, 1, "state"),
                           &address, url, &err),
          &err);
  lua_pushstring(L, url);
  return 1;
}

static int push_text(lua_State *L, mlb_box *box, mle_status status, char *text,
                     const mle_error *err) {
  mlb_try(L, status, err);
  box->object = text;
  lua_pushstring(L, text);
  return 1;
}

/* call(state, json, timeout seconds) -> json */
static int l_call(lua_State *L) {
  const char *state = luaL_checkstring(L, 1), *json = luaL_checkstring(L, 2);
  lua_Number seconds = luaL_optnumber(L, 3, 30);
  luaL_argcheck(L, seconds > 0 && seconds < 86400, 3, "must be seconds, above 0");
  mlb_box *box = mlb_push(L, &text_class);
  char *reply = NULL;
  mle_error err;
  mle_status status = mle_control_call(state, json, (int)(seconds * 1000), &reply, &err);
  return push_text(L, box, status, reply, &err);
}

/* check(folder) -> json, in this process */
static int l_check(lua_State *L) {
  const char *folder = luaL_checkstring(L, 1);
  mlb_box *box = mlb_push(L, &text_class);
  char *report = NULL;
  mle_error err;
  mle_status status = mle_check(folder, &report, &err);
  return push_text(L, box, status, report, &err);
}

/* check_in_child(folder) -> json, by `mlengine serve --check` */
static int l_check_in_child(lua_State *L) {
  const char *folder = luaL_checkstring(L, 1);
  mlb_box *box = mlb_push(L, &text_class);
  char *report = NULL;
  mle_error err;
  mle_status status = mle_check_in_child(PROGRAM, folder, CHECK_MS, &report, &err);
  return push_text(L, box, status, report, &err);
}

/* is_running(state) -> whether a server holds the project's lock, be it still starting */
static int l_is_running(lua_State *L) {
  bool running;
  mle_error err;
  mlb_try(L, mle_service_is_running(luaL_checkstring(L, 1), &running, &err), &err);
  lua_pushboolean(L, running);
  return 1;
}

/* check_endpoint(name): raises unless it can be an endpoint's */
static int l_check_endpoint(lua_State *L) {
  mle_error err;
  mlb_try(L, mle_endpoint_check(luaL_checkstring(L, 1), &err), &err);
  return 0;
}

static const luaL_Reg functions[] = {
    {"check_endpoint", l_check_endpoint},
    {"run", l_run},
    {"start", l_start},
    {"is_running", l_is_running},
    {"call", l_call},
    {"check", l_check},
    {"check_in_child", l_check_in_child},
    {NULL, NULL},
};

static const luaL_Reg no_methods[] = {{NULL, NULL}};

int luaopen_mle_serve(lua_State *L) {
  mlb_register(L, &text_class, no_methods);
  luaL_newlib(L, functions);
  return 1;
}
