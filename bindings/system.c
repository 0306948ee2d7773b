/* system.c -- mle.system: files, time and identity, for the command line and the library. */

#include <dirent.h>
#include <errno.h>
#include <lauxlib.h>
#include <lua.h>
#include <pwd.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bindings/box.h"
#include "bindings/modules.h"
#include "bindings/state.h"
#include "engine/base/alloc.h"
#include "engine/base/buffer.h"
#include "engine/base/cancel.h"
#include "engine/base/clock.h"
#include "engine/base/file.h"
#include "engine/base/hash.h"
#include "engine/base/log.h"

#define READ_MAX ((size_t)256 << 20)
#define PRIVATE_MODE 0600

static void release_buffer(void *object) {
  mle_buffer_release(object);
  mle_free(object);
}
static void release_text(void *text) { mle_free(text); }
static void release_folder(void *folder) { closedir(folder); }

static const mlb_class buffer_class = {"mle.system.buffer", release_buffer};
static const mlb_class text_class = {"mle.system.text", release_text};
static const mlb_class folder_class = {"mle.system.folder", release_folder};

static int fail_errno(lua_State *L, const char *doing, const char *path) {
  mle_error err;
  int code = errno;
  mle_fail(&err, code == ENOENT ? MLE_ENOTFOUND : MLE_EIO, "cannot %s '%s': %s", doing, path,
           strerror(code));
  return mlb_raise(L, &err);
}

/* ====== Files ====== */

/* read(path) -> bytes */
static int l_read(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  mlb_box *box = mlb_push(L, &buffer_class);
  mle_buffer *bytes = mle_calloc(1, sizeof *bytes);
  if (bytes == NULL) return luaL_error(L, "not enough memory");
  *bytes = MLE_BUFFER(READ_MAX);
  box->object = bytes;
  mle_error err;
  mlb_try(L, mle_file_read(path, bytes, &err), &err);
  lua_pushlstring(L, bytes->data == NULL ? "" : bytes->data, bytes->len);
  return 1;
}

/* replace(path, bytes [, private]): whole or not at all */
static int l_replace(lua_State *L) {
  size_t len;
  const char *path = luaL_checkstring(L, 1), *bytes = luaL_checklstring(L, 2, &len);
  mle_error err;
  mlb_try(L, mle_file_replace(path, bytes, len, lua_toboolean(L, 3) ? PRIVATE_MODE : 0644, &err),
          &err);
  return 0;
}

/* remove(path): a file that is not there is fine */
static int l_remove(lua_State *L) {
  mle_error err;
  mlb_try(L, mle_file_remove(luaL_checkstring(L, 1), &err), &err);
  return 0;
}

/* remove_tree(path) */
static int l_remove_tree(lua_State *L) {
  mle_error err;
  mlb_try(L, mle_remove_tree(luaL_checkstring(L, 1), &err), &err);
  return 0;
}

/* make_folders(path [, private]) */
static int l_make_folders(lua_State *L) {
  mle_error err;
  mlb_try(L, mle_make_folders(luaL_checkstring(L, 1), lua_toboolean(L, 2) ? 0700 : 0755, &err), &err);
  return 0;
}

/* list(folder) -> names, unsorted, without "." and ".." */
static int l_list(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  mlb_box *box = mlb_push(L, &folder_class);
  box->object = opendir(path);
  if (box->object == NULL) return fail_errno(L, "list folder", path);
  lua_newtable(L);
  lua_Integer count = 0;
  for (struct dirent *entry; (entry = readdir(box->object)) != NULL;) {
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
    lua_pushstring(L, entry->d_name);
    lua_rawseti(L, -2, ++count);
  }
  closedir(box->object); /* not left to the collector: a folder that is looked at each second would pile up */
  box->object = NULL;
  return 1;
}

static void set_integer(lua_State *L, const char *key, lua_Integer value) {
  lua_pushinteger(L, value);
  lua_setfield(L, -2, key);
}

/* stat(path) -> { kind, size, mtime_ns, uid, mode }, or nil when there is no such file */
static int l_stat(lua_State *L) {
  struct stat info;
  const char *path = luaL_checkstring(L, 1);
  if (stat(path, &info) != 0) {
    if (errno != ENOENT && errno != ENOTDIR) return fail_errno(L, "look at", path);
    lua_pushnil(L);
    return 1;
  }
  lua_createtable(L, 0, 5);
  lua_pushstring(L, S_ISDIR(info.st_mode) ? "folder" : S_ISREG(info.st_mode) ? "file" : "other");
  lua_setfield(L, -2, "kind");
  set_integer(L, "size", (lua_Integer)info.st_size);
  set_integer(L, "mtime_ns", (lua_Integer)info.st_mtim.tv_sec * 1000000000 + info.st_mtim.tv_nsec);
  set_integer(L, "uid", (lua_Integer)info.st_uid);
  set_integer(L, "mode", (lua_Integer)(info.st_mode & 07777));
  return 1;
}

/* absolute(path) -> path */
static int l_absolute(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  mlb_box *box = mlb_push(L, &text_class);
  box->object = mle_path_absolute(path);
  if (box->object == NULL) return luaL_error(L, "not enough memory");
  lua_pushstring(L, box->object);
  return 1;
}

/* ====== Time, identity, terminal ====== */

static int l_now_ms(lua_State *L) {
  lua_pushinteger(L, mle_now_ms());
  return 1;
}

static int l_monotonic_ns(lua_State *L) {
  lua_pushinteger(L, mle_monotonic_ns());
  return 1;
}

/* time_text(ms) -> "2026-11-24T03:30:00.123Z" */
static int l_time_text(lua_State *L) {
  char text[MLE_TIME_TEXT];
  lua_pushstring(L, mle_time_text(luaL_checkinteger(L, 1), text));
  return 1;
}

/* sleep(seconds): shorter when the process is asked to stop */
static int l_sleep(lua_State *L) {
  mle_sleep_ms((int64_t)(luaL_checknumber(L, 1) * 1000));
  return 0;
}

static int l_cancelled(lua_State *L) {
  lua_pushboolean(L, mle_cancelled());
  return 1;
}

/* forgive() -> whether a Ctrl-C was taken back; see mle_cancel_forgive. A write that it interrupted is no full disk. */
static int l_forgive(lua_State *L) {
  bool forgiven = mle_cancel_forgive();
  if (forgiven) clearerr(stdout);
  lua_pushboolean(L, forgiven);
  return 1;
}

static int l_uid(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)geteuid());
  return 1;
}

/* user() -> the name of who runs this, "uid 1000" where it has none */
static int l_user(lua_State *L) {
  char space[4096];
  struct passwd record, *found = NULL;
  if (getpwuid_r(getuid(), &record, space, sizeof space, &found) == 0 && found != NULL)
    lua_pushstring(L, found->pw_name);
  else
    lua_pushfstring(L, "uid %I", (LUAI_UACINT)getuid());
  return 1;
}

static int l_pid(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)getpid());
  return 1;
}

/* is_terminal(fd) -> boolean; terminal_width() -> columns, 80 when there is none */
static int l_is_terminal(lua_State *L) {
  lua_pushboolean(L, isatty((int)luaL_checkinteger(L, 1)));
  return 1;
}

static int l_terminal_width(lua_State *L) {
  struct winsize size;
  bool known = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
  lua_pushinteger(L, known ? size.ws_col : 80);
  return 1;
}

/* sha256(bytes) -> hex */
static int l_sha256(lua_State *L) {
  size_t len;
  const char *bytes = luaL_checklstring(L, 1, &len);
  char hex[MLE_SHA256_HEX];
  mle_error err;
  mlb_try(L, mle_sha256_hex(bytes, len, hex, &err), &err);
  lua_pushstring(L, hex);
  return 1;
}

/* uuid() -> 32 hex digits */
static int l_uuid(lua_State *L) {
  char hex[MLE_UUID_TEXT];
  lua_pushstring(L, mle_uuid_hex(hex));
  return 1;
}

/* environment(prefix) -> { NAME = value } of the variables that begin so, in either case */
static int l_environment(lua_State *L) {
  size_t len;
  const char *prefix = luaL_checklstring(L, 1, &len);
  lua_newtable(L);
  for (char **entry = environ; *entry != NULL; entry++) {
    const char *equals = strchr(*entry, '=');
    if (equals == NULL || strncasecmp(*entry, prefix, len) != 0) continue;
    lua_pushlstring(L, *entry, (size_t)(equals - *entry));
    lua_pushstring(L, equals + 1);
    lua_rawset(L, -3);
  }
  return 1;
}

/* set_memory_max(bytes): what Lua itself may hold from now on; 0 is no bound */
static int l_set_memory_max(lua_State *L) {
  lua_Integer bytes = luaL_checkinteger(L, 1);
  luaL_argcheck(L, bytes >= 0, 1, "must not be negative");
  mlb_state_set_max(L, (size_t)bytes);
  return 0;
}

/* log(level, text): one line on standard error; level is "debug", "info", "warning" or "error" */
static int l_log(lua_State *L) {
  static const char *const levels[] = {"debug", "info", "warning", "error", NULL};
  int level = luaL_checkoption(L, 1, NULL, levels);
  mle_log((mle_log_level)level, "%s", luaL_checkstring(L, 2));
  return 0;
}

static const luaL_Reg functions[] = {
    {"read", l_read},
    {"replace", l_replace},
    {"remove", l_remove},
    {"remove_tree", l_remove_tree},
    {"make_folders", l_make_folders},
    {"list", l_list},
    {"stat", l_stat},
    {"absolute", l_absolute},
    {"now_ms", l_now_ms},
    {"monotonic_ns", l_monotonic_ns},
    {"time_text", l_time_text},
    {"sleep", l_sleep},
    {"cancelled", l_cancelled},
    {"forgive", l_forgive},
    {"uid", l_uid},
    {"user", l_user},
    {"pid", l_pid},
    {"is_terminal", l_is_terminal},
    {"terminal_width", l_terminal_width},
    {"sha256", l_sha256},
    {"uuid", l_uuid},
    {"environment", l_environment},
    {"set_memory_max", l_set_memory_max},
    {"log", l_log},
    {NULL, NULL},
};

static const luaL_Reg no_methods[] = {{NULL, NULL}};

int luaopen_mle_system(lua_State *L) {
  mlb_register(L, &buffer_class, no_methods);
  mlb_register(L, &text_class, no_methods);
  mlb_register(L, &folder_class, no_methods);
  luaL_newlib(L, functions);
  return 1;
}
