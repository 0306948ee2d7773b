/* serve.c -- mle.serve: what Lua sees of this project's model server */

#include <lauxlib.h>

#include "bindings/args.h"
#include "bindings/box.h"
#include "bindings/modules.h"
#include "engine/base/alloc.h"
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

/* run{ state, listen, version, workers?, ready_fd? }: serves until it is told to stop */
static int l_run(lua_State *L) {
  static const char *const options[] = {"state", "listen", "version", "workers", "ready_fd", NULL};
  mlb_options(L, 1, options);
  mle_service_options given = {.state = mlb_need_text(L, 1, "state"),
                               .program = PROGRAM,
                               .version = mlb_need_text(L, 1, "version"),
                               .ready_fd = (int)mlb_opt_integer(L, 1, "ready_fd", -1)};
  int64_t workers = mlb_opt_integer(L, 1, "workers", 0);
  if (workers < 0 || workers > 256) return luaL_error(L, "workers must be 0 to 256");
  given.workers = (unsigned)workers;
  read_address(L, 1, &given.address);
  mle_error err;
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
