/* process.c -- mle.process: jobs' processes, seen from the engine and from within. */

#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <lua.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "bindings/args.h"
#include "bindings/box.h"
#include "bindings/jobs.h"
#include "bindings/modules.h"
#include "engine/base/alloc.h"
#include "engine/jobs/command.h"
#include "engine/jobs/process.h"
#include "engine/jobs/signals.h"

#define ANSWER_MAX ((size_t)4 << 20)

static void release_process(void *process) { mle_process_free(process); }
static void release_buffer(void *object) {
  mle_buffer_release(object);
  mle_free(object);
}

static const mlb_class process_class = {"mle.process", release_process};
static const mlb_class buffer_class = {"mle.process.buffer", release_buffer};

static mle_process *check_process(lua_State *L) { return mlb_check(L, 1, &process_class); }

static mle_buffer *push_buffer(lua_State *L) {
  mlb_box *box = mlb_push(L, &buffer_class);
  mle_buffer *buffer = mle_calloc(1, sizeof *buffer);
  if (buffer == NULL) luaL_error(L, "not enough memory");
  *buffer = MLE_BUFFER(ANSWER_MAX);
  box->object = buffer;
  return buffer;
}

/* ====== In the engine ====== */

/* Reads options.locks into userdata left on the stack, after the list that keeps them alive. */
static void read_locks(lua_State *L, int arg, mle_process_options *options) {
  if (lua_getfield(L, arg, "locks") == LUA_TNIL) return;
  size_t count = (size_t)luaL_len(L, -1);
  if (count > MLE_PROCESS_LOCKS_MAX)
    luaL_error(L, "a process takes at most %d locks", MLE_PROCESS_LOCKS_MAX);
  mle_lock **locks = lua_newuserdatauv(L, (count + 1) * sizeof *locks, 0); /* [list, locks] */
  for (size_t i = 0; i < count; i++) {
    lua_geti(L, -2, (lua_Integer)i + 1);
    locks[i] = mlb_check_lock(L, lua_gettop(L));
    lua_pop(L, 1);
  }
  options->locks = locks;
  options->num_locks = count;
}

/* A list of texts, ending with NULL, in userdata left on the stack; NULL when absent. */
static const char *const *opt_texts(lua_State *L, int arg, const char *key) {
  size_t count;
  if (lua_getfield(L, arg, key) == LUA_TNIL) return NULL;
  return mlb_texts(L, -1, &count);
}

static mle_profile read_profile(lua_State *L, int arg) {
  lua_Integer gpus = mlb_opt_integer(L, arg, "gpus", -1);
  return (mle_profile){.cpus = (int)mlb_opt_integer(L, arg, "cpus", 0),
                       .gpus = gpus < 0 ? 0 : gpus == 0 ? MLE_GPUS_NONE : (int)gpus,
                       .memory_max = mlb_opt_integer(L, arg, "memory", 0),
                       .no_groups = mlb_opt_boolean(L, arg, "no_groups", false)};
}

/* start{ argv, input, locks, cpus, gpus, memory, no_groups, environment, secrets, log } -> process */
static int l_start(lua_State *L) {
  static const char *const known[] = {"argv",      "input",       "locks",   "cpus", "gpus", "memory",
                                      "no_groups", "environment", "secrets", "log",  NULL};
  luaL_checktype(L, 1, LUA_TTABLE);
  mlb_options(L, 1, known);
  size_t count;
  lua_getfield(L, 1, "argv");
  mle_process_options options = {.argv = mlb_texts(L, -1, &count),
                                 .profile = read_profile(L, 1),
                                 .log = mlb_opt_text(L, 1, "log", NULL)};
  options.environment = opt_texts(L, 1, "environment");
  options.secrets = opt_texts(L, 1, "secrets");
  lua_getfield(L, 1, "input");
  options.input = luaL_optlstring(L, -1, "", &options.input_len);
  read_locks(L, 1, &options);
  mlb_box *box = mlb_push(L, &process_class);
  mle_process *process;
  mle_error err;
  mlb_try(L, mle_process_start(&options, &process, &err), &err);
  box->object = process;
  return 1;
}

/* process:next(timeout_ms) -> nil | "line", is_error, text | "request", text | "asked", signal | "ended", code, signal */
static int l_next(lua_State *L) {
  mle_process_event event;
  mle_error err;
  mlb_try(L, mle_process_next(check_process(L), luaL_checkinteger(L, 2), &event, &err), &err);
  switch (event.kind) {
    case MLE_PROCESS_LINE:
      lua_pushliteral(L, "line");
      lua_pushboolean(L, event.is_error);
      lua_pushlstring(L, event.text, event.len);
      return 3;
    case MLE_PROCESS_REQUEST:
      lua_pushliteral(L, "request");
      lua_pushlstring(L, event.text, event.len);
      return 2;
    case MLE_PROCESS_ASKED:
      lua_pushliteral(L, "asked");
      lua_pushinteger(L, event.signal);
      return 2;
    case MLE_PROCESS_ENDED:
      lua_pushliteral(L, "ended");
      lua_pushinteger(L, event.code);
      lua_pushinteger(L, event.signal);
      return 3;
    default:
      return 0;
  }
}

/* process:reply(text): to its request */
static int l_reply(lua_State *L) {
  mle_process *process = check_process(L);
  size_t len;
  const char *text = luaL_checklstring(L, 2, &len);
  mle_process_reply(process, text, len);
  return 0;
}

/* process:signal("TERM" or "KILL"): to its group, or to all it started */
static int l_signal(lua_State *L) {
  static const char *const names[] = {"TERM", "KILL", NULL};
  static const int numbers[] = {SIGTERM, SIGKILL};
  mle_process *process = check_process(L);
  mle_process_signal(process, numbers[luaL_checkoption(L, 2, NULL, names)]);
  return 0;
}

/* process:id() */
static int l_id(lua_State *L) {
  lua_pushinteger(L, mle_process_id(check_process(L)));
  return 1;
}

/* process:used() -> { peak_memory, cpu_us, bytes_read, out_of_memory, left }, once it has ended */
static int l_used(lua_State *L) {
  mle_process_usage used = mle_process_used(check_process(L));
  lua_createtable(L, 0, 5);
  lua_pushinteger(L, used.peak_memory);
  lua_setfield(L, -2, "peak_memory");
  lua_pushinteger(L, used.cpu_us);
  lua_setfield(L, -2, "cpu_us");
  lua_pushinteger(L, used.bytes_read);
  lua_setfield(L, -2, "bytes_read");
  lua_pushboolean(L, used.out_of_memory);
  lua_setfield(L, -2, "out_of_memory");
  lua_pushinteger(L, used.left);
  lua_setfield(L, -2, "left");
  return 1;
}

/* process:answer() -> what it answered, once it has ended */
static int l_answer(lua_State *L) {
  mle_process *process = check_process(L);
  mle_buffer *bytes = push_buffer(L);
  mle_error err;
  mlb_try(L, mle_process_answer(process, bytes, &err), &err);
  lua_pushlstring(L, bytes->data == NULL ? "" : bytes->data, bytes->len);
  return 1;
}

/* hold_signals(): being asked to stop is an event from now on */
static int l_hold_signals(lua_State *L) {
  mle_error err;
  mlb_try(L, mle_signals_hold(&err), &err);
  return 0;
}

static int l_release_signals(lua_State *L) {
  (void)L;
  mle_signals_release();
  return 0;
}

/* asked() -> the signal that came since the last call, or nil */
static int l_asked(lua_State *L) {
  int number;
  if (!mle_signals_take(&number)) return 0;
  lua_pushinteger(L, number);
  return 1;
}

/* signal_name(number) -> "SIGKILL" */
static int l_signal_name(lua_State *L) {
  int number = (int)luaL_checkinteger(L, 1);
  const char *name = sigabbrev_np(number);
  if (name != NULL)
    lua_pushfstring(L, "SIG%s", name);
  else
    lua_pushfstring(L, "signal %d", number);
  return 1;
}

/* ====== In a job's process ====== */

/* Programs that the script starts must not hold our locks. */
static void keep_descriptors(void) {
  for (int fd = MLE_PROCESS_INPUT_FD; fd < MLE_PROCESS_LOCKS_FD + MLE_PROCESS_LOCKS_MAX; fd++)
    fcntl(fd, F_SETFD, FD_CLOEXEC);
}

/* take_input() -> what the engine wrote for this process */
static int l_take_input(lua_State *L) {
  mle_buffer *bytes = push_buffer(L);
  mle_error err;
  char part[4096];
  ssize_t got;
  keep_descriptors();
  while ((got = read(MLE_PROCESS_INPUT_FD, part, sizeof part)) > 0)
    mlb_try(L, mle_buffer_append(bytes, part, (size_t)got, &err), &err);
  if (got < 0) return luaL_error(L, "this command is started by mlengine itself, not by hand");
  lua_pushlstring(L, bytes->data == NULL ? "" : bytes->data, bytes->len);
  return 1;
}

/* ask(text) -> the engine's reply */
static int l_ask(lua_State *L) {
  size_t len;
  const char *text = luaL_checklstring(L, 1, &len);
  mle_buffer *reply = push_buffer(L);
  mle_error err;
  mlb_try(L, mle_process_ask(text, len, reply, &err), &err);
  lua_pushlstring(L, reply->data == NULL ? "" : reply->data, reply->len);
  return 1;
}

/* give_answer(bytes) */
static int l_give_answer(lua_State *L) {
  size_t len;
  const char *bytes = luaL_checklstring(L, 1, &len);
  for (size_t done = 0; done < len;) {
    ssize_t put = write(MLE_PROCESS_ANSWER_FD, bytes + done, len - done);
    if (put < 0 && errno != EINTR) return luaL_error(L, "cannot answer: %s", strerror(errno));
    if (put > 0) done += (size_t)put;
  }
  return 0;
}

/* die_with_parent(): this process group ends when what minds it does */
static int l_die_with_parent(lua_State *L) {
  (void)L;
  mle_signals_die_with_parent();
  return 0;
}

/* execute(argv, folder) -> code, signal: another program, to its end */
static int l_execute(lua_State *L) {
  size_t count;
  const char *folder = luaL_checkstring(L, 2);
  const char *const *argv = mlb_texts(L, 1, &count);
  int code, signal;
  mle_error err;
  luaL_argcheck(L, count > 0, 1, "must name a program");
  mlb_try(L, mle_command_run(argv, folder, &code, &signal, &err), &err);
  lua_pushinteger(L, code);
  lua_pushinteger(L, signal);
  return 2;
}

/* unhook(): this thread of Lua is no longer stopped when the process is; coroutines made before are */
static int l_unhook(lua_State *L) {
  lua_sethook(L, NULL, 0, 0);
  return 0;
}

static const luaL_Reg methods[] = {
    {"next", l_next}, {"signal", l_signal}, {"id", l_id}, {"answer", l_answer}, {"used", l_used}, {"reply", l_reply},
    {NULL, NULL},
};

static const luaL_Reg functions[] = {
    {"start", l_start},
    {"hold_signals", l_hold_signals},
    {"release_signals", l_release_signals},
    {"asked", l_asked},
    {"signal_name", l_signal_name},
    {"take_input", l_take_input},
    {"ask", l_ask},
    {"give_answer", l_give_answer},
    {"die_with_parent", l_die_with_parent},
    {"execute", l_execute},
    {"unhook", l_unhook},
    {NULL, NULL},
};

static const luaL_Reg no_methods[] = {{NULL, NULL}};

int luaopen_mle_process(lua_State *L) {
  mlb_register(L, &process_class, methods);
  mlb_register(L, &buffer_class, no_methods);
  luaL_newlib(L, functions);
  return 1;
}
