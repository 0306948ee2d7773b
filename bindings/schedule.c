/* schedule.c -- mle.schedule: what Lua sees of engine/jobs/schedule.h */

#include <lauxlib.h>
#include <lua.h>

#include "bindings/box.h"
#include "bindings/modules.h"
#include "engine/jobs/schedule.h"

static void release_zone(void *zone) { mle_zone_free(zone); }

static const mlb_class zone_class = {"mle.schedule.zone", release_zone};

/* Reads a cron text and pushes its zone. [-0, +1, v] */
static mle_zone *read(lua_State *L, mle_cron *cron) {
  const char *text = luaL_checkstring(L, 1), *name = luaL_checkstring(L, 2);
  mle_error err;
  mlb_try(L, mle_cron_parse(text, cron, &err), &err);
  mlb_box *box = mlb_push(L, &zone_class);
  mle_zone *zone;
  mlb_try(L, mle_zone_open(name, &zone, &err), &err);
  box->object = zone;
  return zone;
}

/* check(cron, zone): raises when one of them is not understood */
static int l_check(lua_State *L) {
  mle_cron cron;
  read(L, &cron);
  return 0;
}

/* next(cron, zone, after) -> seconds since 1970; nil when it never comes */
static int l_next(lua_State *L) {
  mle_cron cron;
  mle_zone *zone = read(L, &cron);
  int64_t next;
  if (!mle_cron_next(&cron, zone, luaL_checkinteger(L, 3), &next)) return 0;
  lua_pushinteger(L, next);
  return 1;
}

/* due(cron, zone, cursor, now) -> number of times, the last of them, is it late */
static int l_due(lua_State *L) {
  mle_cron cron;
  mle_zone *zone = read(L, &cron);
  mle_due due = mle_cron_due(&cron, zone, luaL_checkinteger(L, 3), luaL_checkinteger(L, 4));
  lua_pushinteger(L, due.num);
  lua_pushinteger(L, due.at);
  lua_pushboolean(L, due.late);
  return 3;
}

static const luaL_Reg functions[] = {
    {"check", l_check},
    {"next", l_next},
    {"due", l_due},
    {NULL, NULL},
};

static const luaL_Reg no_methods[] = {{NULL, NULL}};

int luaopen_mle_schedule(lua_State *L) {
  mlb_register(L, &zone_class, no_methods);
  luaL_newlib(L, functions);
  return 1;
}
