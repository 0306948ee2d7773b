/*
 * edit.c -- mle.edit: lines typed at a terminal, with history and completion.
 *
 * libedit is opened by the first editor (engine/base/library.h): only the prompt needs it.
 */

#include <errno.h>
#include <histedit.h>
#include <lauxlib.h>
#include <locale.h>
#include <lua.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <wchar.h>

#include "bindings/box.h"
#include "bindings/modules.h"
#include "engine/base/alloc.h"
#include "engine/base/cancel.h"
#include "engine/base/library.h"

#define HISTORY_MAX 1000
#define PROMPT_MAX 64
#define CTRL_D 4
#define POLL_MS 100 /* how long a Ctrl-C that came just before a wait may go unseen */

#define EDIT_FUNCTIONS(X)                                                                   \
  X(el_init) X(el_end) X(el_set) X(el_get) X(el_gets) X(el_line) X(el_insertstr)            \
  X(el_resize) X(el_source) X(history_init) X(history_end) X(history)

typedef struct library {
#define FIELD(name) __typeof__(name) *name;
  EDIT_FUNCTIONS(FIELD)
#undef FIELD
} library;

typedef struct editor {
  library lib;
  EditLine *line;
  History *history;
  lua_State *L; /* while a line is read: who asked for it */
  mbstate_t decoder;
  char prompt[PROMPT_MAX];
} editor;

static void release_editor(void *object) {
  editor *e = object;
  if (e->line != NULL) e->lib.el_end(e->line);
  if (e->history != NULL) e->lib.history_end(e->history);
  mle_free(e);
}

static const mlb_class editor_class = {"mle.edit.editor", release_editor};

static editor *editor_of(EditLine *line, __typeof__(el_get) *get) {
  void *data = NULL;
  get(line, EL_CLIENTDATA, &data);
  return data;
}

/* ====== What libedit calls ====== */

static library opened; /* libedit's callbacks get an EditLine, and need el_get to find the rest */

static char *show_prompt(EditLine *line) { return editor_of(line, opened.el_get)->prompt; }

static int read_byte(char *out) {
  for (;;) {
    if (mle_cancelled()) return -1;
    struct pollfd in = {STDIN_FILENO, POLLIN, 0};
    if (poll(&in, 1, POLL_MS) <= 0) continue;
    ssize_t got = read(STDIN_FILENO, out, 1);
    if (got >= 0 || errno != EINTR) return (int)got;
  }
}

/* A Ctrl-D typed before the terminal was in raw mode comes as NUL, or is no command. */
static bool is_end(EditLine *line, wchar_t character) {
  const LineInfo *typed = opened.el_line(line);
  return (character == CTRL_D || character == 0) && typed->lastchar == typed->buffer;
}

/* libedit's own reader begins again after the first interrupt: this one ends the line. */
static int read_character(EditLine *line, wchar_t *out) {
  editor *e = editor_of(line, opened.el_get);
  for (;;) {
    char byte;
    int got = read_byte(&byte);
    if (got <= 0) return got;
    size_t used = mbrtowc(out, &byte, 1, &e->decoder);
    if (used == (size_t)-1) { /* not UTF-8: as good as nothing typed */
      memset(&e->decoder, 0, sizeof e->decoder);
      continue;
    }
    if (used != (size_t)-2) return is_end(line, *out) ? 0 : 1;
  }
}

/* (editor) -> what to insert, what to show: calls the script's function with the text so far */
static int ask(lua_State *L) {
  editor *e = mlb_check(L, 1, &editor_class);
  const LineInfo *typed = e->lib.el_line(e->line);
  lua_getiuservalue(L, 1, 1);
  lua_pushlstring(L, typed->buffer, (size_t)(typed->cursor - typed->buffer));
  lua_call(L, 1, 2);
  return 2;
}

/* No error of Lua may cross libedit: what fails completes nothing. */
static unsigned char complete(EditLine *line, int key) {
  (void)key;
  editor *e = editor_of(line, opened.el_get);
  lua_State *L = e->L;
  unsigned char result = CC_REFRESH_BEEP;
  lua_pushcfunction(L, ask);
  lua_pushvalue(L, 1);
  if (lua_pcall(L, 1, 2, 0) != LUA_OK) {
    lua_pop(L, 1);
    return result;
  }
  if (lua_type(L, -2) == LUA_TSTRING && lua_rawlen(L, -2) > 0) {
    e->lib.el_insertstr(line, lua_tostring(L, -2));
    result = CC_REFRESH;
  }
  if (lua_type(L, -1) == LUA_TSTRING) {
    fprintf(stdout, "\n%s\n", lua_tostring(L, -1));
    fflush(stdout);
    result = CC_REDISPLAY;
  }
  lua_pop(L, 2);
  return result;
}

/* ====== What Lua calls ====== */

static void open_library(lua_State *L, library *out) {
#define NAME(name) #name,
  static const char *const names[] = {EDIT_FUNCTIONS(NAME)};
#undef NAME
  mle_error err;
  mlb_try(L, mle_library_open("libedit.so.2", "libedit2", names, sizeof names / sizeof *names, out, &err),
          &err);
  opened = *out;
}

static void set_up(editor *e) {
  HistEvent event;
  e->lib.history(e->history, &event, H_SETSIZE, HISTORY_MAX);
  e->lib.history(e->history, &event, H_SETUNIQUE, 1);
  e->lib.el_set(e->line, EL_CLIENTDATA, e);
  e->lib.el_set(e->line, EL_SIGNAL, 0); /* signals are the program's */
  e->lib.el_set(e->line, EL_EDITOR, "emacs");
  e->lib.el_set(e->line, EL_HIST, e->lib.history, e->history);
  e->lib.el_set(e->line, EL_PROMPT, show_prompt);
  e->lib.el_set(e->line, EL_GETCFN, read_character);
  /* libedit 3.1 never frees its copies of these two texts: 136 bytes for each editor */
  e->lib.el_set(e->line, EL_ADDFN, "mlengine-complete", "complete a name", complete);
  e->lib.el_set(e->line, EL_BIND, "^I", "mlengine-complete", NULL);
  e->lib.el_source(e->line, NULL); /* the user's ~/.editrc */
}

/* open(complete) -> editor; complete(text so far) -> what to insert, what to show */
static int l_open(lua_State *L) {
  luaL_checktype(L, 1, LUA_TFUNCTION);
  mlb_box *box = mlb_push(L, &editor_class);
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, -2, 1);
  editor *e = mle_calloc(1, sizeof *e);
  if (e == NULL) return luaL_error(L, "not enough memory");
  box->object = e;
  open_library(L, &e->lib);
  setlocale(LC_CTYPE, "C.UTF-8"); /* characters are UTF-8 wherever we run */
  e->history = e->lib.history_init();
  e->line = e->lib.el_init("mlengine", stdin, stdout, stderr);
  if (e->history == NULL || e->line == NULL)
    return luaL_error(L, "cannot edit lines on this terminal");
  set_up(e);
  return 1;
}

/* editor:line(prompt) -> text without its newline; nil at the end of input, or when interrupted */
static int l_line(lua_State *L) {
  editor *e = mlb_check(L, 1, &editor_class);
  snprintf(e->prompt, sizeof e->prompt, "%s", luaL_checkstring(L, 2));
  lua_settop(L, 1);
  memset(&e->decoder, 0, sizeof e->decoder);
  e->L = L;
  e->lib.el_resize(e->line);
  int count = 0;
  const char *text = e->lib.el_gets(e->line, &count);
  e->L = NULL;
  if (text == NULL || count <= 0) return 0;
  size_t len = strlen(text);
  lua_pushlstring(L, text, len > 0 && text[len - 1] == '\n' ? len - 1 : len);
  return 1;
}

/* editor:add(text): into the history */
static int l_add(lua_State *L) {
  editor *e = mlb_check(L, 1, &editor_class);
  HistEvent event;
  e->lib.history(e->history, &event, H_ENTER, luaL_checkstring(L, 2));
  return 0;
}

/* editor:load(path) and editor:save(path) -> whether it could be done */
static int l_load(lua_State *L) {
  editor *e = mlb_check(L, 1, &editor_class);
  HistEvent event;
  lua_pushboolean(L, e->lib.history(e->history, &event, H_LOAD, luaL_checkstring(L, 2)) >= 0);
  return 1;
}

static int l_save(lua_State *L) {
  editor *e = mlb_check(L, 1, &editor_class);
  HistEvent event;
  lua_pushboolean(L, e->lib.history(e->history, &event, H_SAVE, luaL_checkstring(L, 2)) >= 0);
  return 1;
}

static const luaL_Reg methods[] = {
    {"line", l_line}, {"add", l_add}, {"load", l_load}, {"save", l_save}, {NULL, NULL},
};

static const luaL_Reg functions[] = {
    {"open", l_open},
    {NULL, NULL},
};

int luaopen_mle_edit(lua_State *L) {
  mlb_register(L, &editor_class, methods);
  luaL_newlib(L, functions);
  return 1;
}
