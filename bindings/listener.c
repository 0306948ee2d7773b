/* listener.c -- mle.listener: HTTP requests for Lua's one thread, from engine/http/inbox.h */

#include <errno.h>
#include <lauxlib.h>
#include <lua.h>
#include <poll.h>
#include <string.h>

#include "bindings/args.h"
#include "bindings/box.h"
#include "bindings/modules.h"
#include "engine/base/alloc.h"
#include "engine/http/feed.h"
#include "engine/http/inbox.h"
#include "engine/jobs/signals.h"

#define WAITING_MAX 256
#define STOP_MS 2000
#define FEED_BYTES ((size_t)1 << 20)
#define FOLLOWERS_MAX 256

typedef struct listener {
  mle_http_inbox *inbox;
  mle_http_feed *feed;
  mle_http_server *server;
  mle_address address;
} listener;

static void release_listener(void *object) {
  listener *l = object;
  if (l->inbox != NULL) mle_http_inbox_close(l->inbox);
  if (l->feed != NULL) mle_http_feed_close(l->feed);
  mle_http_server_stop(l->server, STOP_MS);
  mle_http_feed_free(l->feed);
  mle_http_inbox_free(l->inbox);
  mle_free(l);
}

/* A request that nobody answered, because of an error or a full memory, still has a client. */
static void release_request(void *kept) { mle_http_inbox_refuse(kept, 500, "the request was dropped"); }

static const mlb_class listener_class = {"mle.listener", release_listener};
static const mlb_class request_class = {"mle.listener.request", release_request};

static listener *check_listener(lua_State *L) { return mlb_check(L, 1, &listener_class); }
static mle_http_kept *check_request(lua_State *L) { return mlb_check(L, 1, &request_class); }

/* ====== The listener ====== */

static mle_status start(listener *l, mle_error *err) {
  mle_http_server_options options = MLE_HTTP_SERVER_OPTIONS;
  options.handler = mle_http_inbox_receive;
  options.keeps = true;
  options.workers = 1;
  options.connections_max = 512;
  options.body_max = (size_t)1 << 20;
  MLE_TRY(mle_http_inbox_new(WAITING_MAX, &l->inbox, err));
  MLE_TRY(mle_http_feed_new(FEED_BYTES, FOLLOWERS_MAX, &l->feed, err));
  options.context = l->inbox;
  return mle_http_server_start(&options, &l->address, &l->server, err);
}

/* open("127.0.0.1:8701") -> listener */
static int l_open(lua_State *L) {
  mle_error err;
  mle_address address = {.host = "127.0.0.1", .port = 8701};
  mlb_try(L, mle_address_parse(luaL_checkstring(L, 1), &address, &err), &err);
  mlb_box *box = mlb_push(L, &listener_class);
  listener *l = mle_calloc(1, sizeof *l);
  if (l == NULL) return luaL_error(L, "not enough memory");
  l->address = address;
  box->object = l;
  mlb_try(L, start(l, &err), &err);
  return 1;
}

/* listener:address() -> host, port */
static int l_address(lua_State *L) {
  const listener *l = check_listener(L);
  lua_pushstring(L, l->address.host);
  lua_pushinteger(L, l->address.port);
  return 2;
}

/* listener:wait(ms): until a request comes, or a signal that asks to stop */
static int l_wait(lua_State *L) {
  const listener *l = check_listener(L);
  lua_Integer ms = luaL_checkinteger(L, 2);
  struct pollfd items[] = {{mle_http_inbox_fd(l->inbox), POLLIN, 0}, {mle_signals_fd(), POLLIN, 0}};
  if (poll(items, 2, ms > 60000 ? 60000 : (int)ms) < 0 && errno != EINTR)
    return luaL_error(L, "cannot wait for requests: %s", strerror(errno));
  mle_http_server_tick(l->server);
  return 0;
}

/* listener:take() -> request, or nil */
static int l_take(lua_State *L) {
  const listener *l = check_listener(L);
  mlb_box *box = mlb_push(L, &request_class);
  box->object = mle_http_inbox_take(l->inbox);
  if (box->object == NULL) lua_pushnil(L);
  return 1;
}

/* listener:publish(bytes): to all that follow */
static int l_publish(lua_State *L) {
  const listener *l = check_listener(L);
  size_t len;
  const char *bytes = luaL_checklstring(L, 2, &len);
  mle_error err;
  mlb_try(L, mle_http_feed_publish(l->feed, bytes, len, &err), &err);
  return 0;
}

/* listener:followers() -> how many */
static int l_followers(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)mle_http_feed_readers(check_listener(L)->feed));
  return 1;
}

/* ====== Requests ====== */

/* request:line() -> method, path */
static int l_line(lua_State *L) {
  const mle_http_kept *kept = check_request(L);
  lua_pushstring(L, kept->call.method);
  lua_pushstring(L, kept->call.path);
  return 2;
}

/* request:header(name), request:query(name) -> text, or nil */
static int l_header(lua_State *L) {
  lua_pushstring(L, mle_http_call_header(&check_request(L)->call, luaL_checkstring(L, 2)));
  return 1;
}

static int l_query(lua_State *L) {
  lua_pushstring(L, mle_http_call_query(&check_request(L)->call, luaL_checkstring(L, 2)));
  return 1;
}

/* request:body() -> bytes */
static int l_body(lua_State *L) {
  const mle_http_kept *kept = check_request(L);
  lua_pushlstring(L, kept->call.body, kept->call.body_len);
  return 1;
}

static const char *const types[] = {"application/json", "text/plain; charset=utf-8", "text/html; charset=utf-8",
                                    "text/plain; version=0.0.4; charset=utf-8", "text/event-stream",
                                    "text/javascript; charset=utf-8", "text/css; charset=utf-8", "image/svg+xml",
                                    "image/png", "application/octet-stream"};
static const char *const type_names[] = {"json", "text", "html", "metrics", "events", "script", "style", "svg", "png", "bytes", NULL};

/* Headers that an answer may have. */
static const char *const header_names[] = {"Allow", "Location", "Cache-Control", "WWW-Authenticate", "X-Next-Offset",
                                           "X-Run-State", "X-Log-Size", "X-Total", "X-Next-Before", "Referrer-Policy",
                                           "X-Content-Type-Options", "Content-Security-Policy", NULL};

/* { Allow = "GET" } */
static void read_headers(lua_State *L, int arg, mle_http_answer *answer) {
  if (lua_isnoneornil(L, arg)) return;
  mlb_options(L, arg, header_names);
  for (const char *const *name = header_names; *name != NULL; name++)
    mle_http_answer_header(answer, *name, mlb_opt_text(L, arg, *name, NULL));
}

/* request:answer(status, kind, body [, headers]); once */
static int l_answer(lua_State *L) {
  mle_http_kept *kept = check_request(L);
  size_t len;
  kept->answer.status = (int)luaL_checkinteger(L, 2);
  kept->answer.content_type = types[luaL_checkoption(L, 3, NULL, type_names)];
  const char *body = luaL_checklstring(L, 4, &len);
  read_headers(L, 5, &kept->answer);
  mle_error err;
  mlb_try(L, mle_buffer_append(&kept->answer.body, body, len, &err), &err);
  mlb_box *box = lua_touserdata(L, 1);
  box->object = NULL;
  mle_http_kept_send(kept);
  return 0;
}

/* request:follow(listener, first): answers with `first`, and what is published from now on */
static int l_follow(lua_State *L) {
  mle_http_kept *kept = check_request(L);
  const listener *l = mlb_check(L, 2, &listener_class);
  size_t len;
  const char *first = luaL_checklstring(L, 3, &len);
  kept->answer.content_type = "text/event-stream";
  mle_http_answer_header(&kept->answer, "Cache-Control", "no-store");
  mle_error err;
  mlb_try(L, mle_http_feed_attach(l->feed, kept, first, len, &err), &err);
  mlb_box *box = lua_touserdata(L, 1);
  box->object = NULL;
  return 0;
}

static const luaL_Reg listener_methods[] = {
    {"address", l_address}, {"wait", l_wait},           {"take", l_take},
    {"publish", l_publish}, {"followers", l_followers}, {NULL, NULL},
};

static const luaL_Reg request_methods[] = {
    {"line", l_line}, {"header", l_header}, {"query", l_query},
    {"body", l_body}, {"answer", l_answer}, {"follow", l_follow}, {NULL, NULL},
};

static const luaL_Reg functions[] = {{"open", l_open}, {NULL, NULL}};

int luaopen_mle_listener(lua_State *L) {
  mlb_register(L, &listener_class, listener_methods);
  mlb_register(L, &request_class, request_methods);
  luaL_newlib(L, functions);
  return 1;
}
