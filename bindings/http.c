/* http.c -- mle.http: what Lua sees of engine/http/client.h and mail.h */

#include "engine/http/client.h"

#include <lauxlib.h>
#include <string.h>

#include "bindings/args.h"
#include "bindings/box.h"
#include "bindings/modules.h"
#include "engine/base/alloc.h"
#include "engine/http/mail.h"

#define HEADERS_MAX 100

static void release_client(void *client) { mle_http_client_free(client); }
static void release_response(void *response) {
  mle_http_response_release(response);
  mle_free(response);
}

static const mlb_class client_class = {"mle.http.client", release_client};
static const mlb_class response_class = {"mle.http.response", release_response};

static const char *const options[] = {"method",     "url",     "headers", "body",
                                      "unix_socket", "timeout", "connect_timeout", "retries",
                                      "response_max", "idempotent", "ca_file", "insecure", "proxy", NULL};

/* client() -> client: keeps its connections; one at a time uses it */
static int l_client(lua_State *L) {
  mlb_box *box = mlb_push(L, &client_class);
  mle_http_client *client;
  mle_error err;
  mlb_try(L, mle_http_client_new(&client, &err), &err);
  box->object = client;
  return 1;
}

/* Builds "Name: value" lines of { name = value } at `index`, kept by the table it pushes. */
static const char **push_headers(lua_State *L, int index) {
  int count = 0;
  const char **lines = lua_newuserdatauv(L, (HEADERS_MAX + 1) * sizeof *lines, 1);
  lua_newtable(L); /* [lines, keep] */
  for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
    if (lua_type(L, -2) != LUA_TSTRING || !lua_isstring(L, -1))
      luaL_error(L, "headers must be a table of texts by name");
    if (count == HEADERS_MAX) luaL_error(L, "more than %d headers", HEADERS_MAX);
    lines[count++] = lua_pushfstring(L, "%s: %s", lua_tostring(L, -2), lua_tostring(L, -1));
    lua_rawseti(L, -4, count); /* [lines, keep, key, value] */
  }
  lines[count] = NULL;
  lua_setiuservalue(L, -2, 1); /* [lines] */
  return lines;
}

static void read_headers(lua_State *L, mle_http_request *request) {
  if (lua_getfield(L, 2, "headers") != LUA_TNIL) {
    luaL_checktype(L, -1, LUA_TTABLE);
    request->headers = push_headers(L, lua_gettop(L));
  }
}

static void read_request(lua_State *L, mle_http_request *request) {
  mlb_options(L, 2, options);
  *request = MLE_HTTP_REQUEST(mlb_opt_text(L, 2, "method", "GET"), mlb_need_text(L, 2, "url"));
  request->unix_socket = mlb_opt_text(L, 2, "unix_socket", NULL);
  request->total_ms = (int64_t)(mlb_opt_number(L, 2, "timeout", 120) * 1000);
  request->connect_ms = (int64_t)(mlb_opt_number(L, 2, "connect_timeout", 10) * 1000);
  request->retries = (int)mlb_opt_integer(L, 2, "retries", 4);
  request->ca_file = mlb_opt_text(L, 2, "ca_file", NULL);
  request->insecure = mlb_opt_boolean(L, 2, "insecure", false);
  request->proxy = mlb_opt_text(L, 2, "proxy", NULL);
  request->idempotent = mlb_opt_boolean(L, 2, "idempotent", false);
  int64_t max = mlb_opt_integer(L, 2, "response_max", (int64_t)64 << 20);
  if (max < 0 || request->total_ms <= 0 || request->connect_ms <= 0 || request->retries < 0)
    luaL_error(L, "timeouts must be above 0, retries and response_max not below");
  request->response_max = (size_t)max;
  if (lua_getfield(L, 2, "body") != LUA_TNIL)
    request->body = luaL_checklstring(L, -1, &request->body_len);
  read_headers(L, request); /* body and headers stay on the stack, so they stay alive */
}

static void push_response_headers(lua_State *L, const mle_http_response *response) {
  lua_newtable(L);
  const char *line = response->headers.data;
  while (line != NULL && *line != '\0') {
    const char *end = strchr(line, '\n'), *colon = memchr(line, ':', (size_t)(end - line));
    if (colon != NULL) {
      const char *value = colon + 1 + strspn(colon + 1, " \t");
      lua_pushlstring(L, line, (size_t)(colon - line));
      lua_pushlstring(L, value, (size_t)(end - value));
      lua_rawset(L, -3);
    }
    line = end + 1;
  }
}

/* client:request{ method, url, ... } -> { status, body, headers } */
static int l_request(lua_State *L) {
  mle_http_client *client = mlb_check(L, 1, &client_class);
  mle_http_request request;
  read_request(L, &request);
  mlb_box *box = mlb_push(L, &response_class);
  mle_http_response *response = mle_calloc(1, sizeof *response);
  if (response == NULL) return luaL_error(L, "not enough memory");
  box->object = response;
  mle_error err;
  mlb_try(L, mle_http_send(client, &request, response, &err), &err);
  lua_createtable(L, 0, 3);
  lua_pushinteger(L, response->status);
  lua_setfield(L, -2, "status");
  lua_pushlstring(L, response->body.data == NULL ? "" : response->body.data, response->body.len);
  lua_setfield(L, -2, "body");
  push_response_headers(L, response);
  lua_setfield(L, -2, "headers");
  return 1;
}

/* mail{ url, user, password, ca_file, from, to, text } */
static int l_mail(lua_State *L) {
  static const char *const known[] = {"url", "user", "password", "ca_file", "from", "to", "text", NULL};
  luaL_checktype(L, 1, LUA_TTABLE);
  mlb_options(L, 1, known);
  size_t count;
  lua_getfield(L, 1, "to");
  mle_mail mail = {.url = mlb_need_text(L, 1, "url"),
                   .user = mlb_opt_text(L, 1, "user", NULL),
                   .password = mlb_opt_text(L, 1, "password", NULL),
                   .ca_file = mlb_opt_text(L, 1, "ca_file", NULL),
                   .from = mlb_need_text(L, 1, "from"),
                   .to = mlb_texts(L, -1, &count),
                   .text = mlb_need_text(L, 1, "text")};
  mle_error err;
  mlb_try(L, mle_mail_send(&mail, &err), &err);
  return 0;
}

static const luaL_Reg client_methods[] = {
    {"request", l_request},
    {NULL, NULL},
};

static const luaL_Reg functions[] = {
    {"client", l_client},
    {"mail", l_mail},
    {NULL, NULL},
};

static const luaL_Reg no_methods[] = {{NULL, NULL}};

int luaopen_mle_http(lua_State *L) {
  mlb_register(L, &client_class, client_methods);
  mlb_register(L, &response_class, no_methods);
  luaL_newlib(L, functions);
  return 1;
}
