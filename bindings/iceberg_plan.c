/* iceberg_plan.c -- mle.iceberg.plan: what a scan reads, a piece at a time */

#include <lauxlib.h>

#include "bindings/args.h"
#include "bindings/iceberg.h"
#include "engine/base/alloc.h"

#define TEXT_MAX ((size_t)1 << 20)

/* A plan's conditions lie in what its box holds on to: the table and the arena of the tree. */
typedef struct held_plan {
  mle_plan plan;
  mle_buffer text; /* scratch */
} held_plan;

static void release_plan(void *object) {
  held_plan *held = object;
  mle_plan_release(&held->plan);
  mle_buffer_release(&held->text);
  mle_free(held);
}

static const mlb_class plan_class = {"mle.iceberg.plan", release_plan};

static void set_condition(lua_State *L, const char *key, const mle_condition *condition,
                          mle_buffer *text) {
  mle_buffer_clear(text);
  if (condition != NULL && mle_condition_print(condition, text, NULL) == MLE_OK)
    set_text(L, key, text->data);
}

/* table:plan([what]) -> plan; `what` as for mlb_range, and condition */
int mlb_plan(lua_State *L) {
  const mle_table *table = mlb_check(L, 1, &mlb_table_class);
  const mle_metadata *m = table->metadata;
  mle_increment range;
  mle_error err;
  lua_settop(L, 2);
  bool any = mlb_range(L, 2, m, &range);
  const mle_condition *condition = mlb_condition(L, 2, m->schema);
  lua_createtable(L, 2, 0); /* [table, what, range, tree, kept] */
  lua_pushvalue(L, 1);
  lua_rawseti(L, -2, 1);
  lua_pushvalue(L, -2);
  lua_rawseti(L, -2, 2);
  mlb_box *box = mlb_push(L, &plan_class);
  held_plan *held = mle_calloc(1, sizeof *held);
  if (held == NULL) return luaL_error(L, "not enough memory");
  held->text = MLE_BUFFER(TEXT_MAX);
  box->object = held;
  lua_pushvalue(L, -2);
  lua_setiuservalue(L, -2, 1);
  held->plan.condition = condition;
  if (any) mlb_try(L, mle_increment_plan(m, &range, condition, &held->plan, &err), &err);
  return 1;
}

/* plan:facts() -> { rows, bytes, num_files, num_skipped, condition } */
static int l_facts(lua_State *L) {
  held_plan *held = mlb_check(L, 1, &plan_class);
  const mle_plan *plan = &held->plan;
  lua_createtable(L, 0, 5);
  set_integer(L, "rows", plan->rows);
  set_integer(L, "bytes", plan->bytes);
  set_integer(L, "num_files", (int64_t)plan->num_files);
  set_integer(L, "num_skipped", (int64_t)plan->num_skipped);
  set_condition(L, "condition", plan->condition, &held->text);
  return 1;
}

/* From (first, count) to places in a list of `total`; all of it where nothing is said. */
static void read_piece(lua_State *L, size_t total, size_t *from, size_t *to) {
  lua_Integer first = luaL_optinteger(L, 2, 1), count = luaL_optinteger(L, 3, LUA_MAXINTEGER);
  luaL_argcheck(L, first >= 1, 2, "counts from 1");
  luaL_argcheck(L, count >= 0, 3, "must not be negative");
  *from = (size_t)first - 1 < total ? (size_t)first - 1 : total;
  *to = (size_t)count < total - *from ? *from + (size_t)count : total;
}

/* plan:files([first [, count]]) -> { { path, rows, bytes, snapshot_id, deletes }, ... } */
static int l_files(lua_State *L) {
  const held_plan *held = mlb_check(L, 1, &plan_class);
  size_t from, to;
  read_piece(L, held->plan.num_files, &from, &to);
  lua_createtable(L, (int)(to - from), 0);
  for (size_t i = from; i < to; i++) {
    const mle_plan_file *file = &held->plan.files[i];
    lua_createtable(L, 0, 5);
    set_text(L, "path", file->path);
    set_integer(L, "rows", file->record_count);
    set_integer(L, "bytes", file->file_size);
    set_integer(L, "snapshot_id", file->snapshot_id);
    set_integer(L, "deletes", (int64_t)file->num_deletes);
    lua_rawseti(L, -2, (lua_Integer)(i - from) + 1);
  }
  return 1;
}

/* plan:skipped([first [, count]]) -> { { path, by, why }, ... } */
static int l_skipped(lua_State *L) {
  static const char *const by[] = {"manifest list", "partition", "bounds"};
  held_plan *held = mlb_check(L, 1, &plan_class);
  size_t from, to;
  read_piece(L, held->plan.num_skipped, &from, &to);
  lua_createtable(L, (int)(to - from), 0);
  for (size_t i = from; i < to; i++) {
    const mle_plan_skipped *skipped = &held->plan.skipped[i];
    lua_createtable(L, 0, 3);
    set_text(L, "path", skipped->path);
    set_text(L, "by", by[skipped->by]);
    set_condition(L, "why", skipped->why, &held->text);
    lua_rawseti(L, -2, (lua_Integer)(i - from) + 1);
  }
  return 1;
}

static const luaL_Reg methods[] = {
    {"facts", l_facts},
    {"files", l_files},
    {"skipped", l_skipped},
    {NULL, NULL},
};

void mlb_register_plan(lua_State *L) { mlb_register(L, &plan_class, methods); }
