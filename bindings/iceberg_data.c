/* iceberg_data.c -- mle.iceberg_data: rows in and out of tables, by engine/iceberg/{read,changes,write}.h
 */

#include <lauxlib.h>

#include "bindings/args.h"
#include "bindings/frame.h"
#include "bindings/iceberg.h"
#include "bindings/modules.h"
#include "engine/base/alloc.h"
#include "engine/frame/row_groups.h"
#include "engine/iceberg/changes.h"
#include "engine/iceberg/implied.h"
#include "engine/iceberg/read.h"
#include "engine/iceberg/write.h"
#include "engine/store/store.h"

static void release_plan(void *plan) {
  mle_plan_release(plan);
  mle_free(plan);
}

static void release_tree(void *tree) {
  mle_buffer_release(tree);
  mle_free(tree);
}

static const mlb_class plan_class = {"mle.iceberg_data.plan", release_plan};
static const mlb_class tree_class = {"mle.iceberg_data.tree", release_tree};

#define CONDITION_MAX ((size_t)16 << 20)

/* The names in options.columns, on the stack; NULL when there are none. [-0, +2, v] */
static const char **check_columns(lua_State *L, int arg, size_t *out_count) {
  *out_count = 0;
  if (lua_isnoneornil(L, arg)) {
    lua_settop(L, arg);
    lua_pushnil(L);
    return NULL;
  }
  return mlb_texts(L, arg, out_count);
}

/* The schema that what.schema_id names; the table's when it names none. */
static const mle_schema *schema_of(lua_State *L, int arg, const mle_metadata *m) {
  if (lua_isnoneornil(L, arg)) return m->schema;
  int64_t id = mlb_opt_integer(L, arg, "schema_id", m->schema->id);
  const mle_schema *schema = mle_metadata_schema(m, (int)id);
  if (schema == NULL) luaL_error(L, "the table has no schema %I any more", (LUAI_UACINT)id);
  return schema;
}

/* read(table, what [, columns]) -> frame, rows; `what` as for mlb_range, and schema_id, condition */
static int l_read(lua_State *L) {
  const mle_table *table = mlb_check(L, 1, &mlb_table_class);
  const mle_metadata *m = table->metadata;
  size_t num_columns;
  mle_increment range;
  mle_error err;
  const mle_schema *schema = schema_of(L, 2, m);
  const char **columns = check_columns(L, 3, &num_columns);
  bool any = mlb_range(L, 2, m, &range);
  const mle_condition *condition = mlb_condition(L, 2, schema);
  mlb_box *holder = mlb_push(L, &plan_class);
  mle_plan *plan = mle_calloc(1, sizeof *plan);
  if (plan == NULL) return luaL_error(L, "not enough memory");
  holder->object = plan;
  if (any) mlb_try(L, mle_increment_plan(m, &range, condition, plan, &err), &err);
  mlb_box *box = mlb_push_frame(L);
  mle_frame *frame;
  mlb_try(L,
          mle_iceberg_read(mlb_session(L), m, schema, plan, columns, num_columns, &frame, &err),
          &err);
  box->object = frame;
  lua_pushinteger(L, mle_frame_known_rows(frame));
  return 2;
}

/* changes(table, range [, where]) -> frame; `range` as for mlb_range, and schema_id, condition,
 * carry_over */
static int l_changes(lua_State *L) {
  const mle_table *table = mlb_check(L, 1, &mlb_table_class);
  const mle_metadata *m = table->metadata;
  mle_increment range;
  mle_error err;
  luaL_checktype(L, 2, LUA_TTABLE);
  const mle_schema *schema = schema_of(L, 2, m);
  mle_changes_options options = {.where = luaL_optstring(L, 3, NULL),
                                 .carried_over = mlb_opt_boolean(L, 2, "carry_over", false)};
  if (!mlb_range(L, 2, m, &range)) range = (mle_increment){.to = MLE_NO_SNAPSHOT};
  options.condition = mlb_condition(L, 2, schema);
  mlb_box *box = mlb_push_frame(L);
  mle_frame *frame;
  mlb_try(L, mle_changes_read(mlb_session(L), m, schema, &range, &options, &frame, &err), &err);
  box->object = frame;
  return 1;
}

/* write(table, frame) -> written */
static int l_write(lua_State *L) {
  const mle_table *table = mlb_check(L, 1, &mlb_table_class);
  mle_frame *frame = mlb_check_frame(L, 2);
  mlb_box *box = mlb_push(L, &mlb_written_class);
  mle_written *written;
  mle_error err;
  mlb_try(L, mle_iceberg_write(table, frame, &written, &err), &err);
  box->object = written;
  return 1;
}

/* condition(predicate) -> text: DuckDB's reading of it, for what.condition */
static int l_condition(lua_State *L) {
  const char *predicate = luaL_checkstring(L, 1);
  mlb_box *box = mlb_push(L, &tree_class);
  mle_buffer *tree = mle_calloc(1, sizeof *tree);
  if (tree == NULL) return luaL_error(L, "not enough memory");
  *tree = MLE_BUFFER(CONDITION_MAX);
  box->object = tree;
  mle_error err;
  mlb_try(L, mle_sql_where_tree(mlb_session(L), predicate, tree, &err), &err);
  lua_pushlstring(L, tree->data, tree->len);
  return 1;
}

/* implied(table, what) -> text or nil: what `what.condition` says of single columns; see engine/iceberg/implied.h */
static int l_implied(lua_State *L) {
  const mle_table *table = mlb_check(L, 1, &mlb_table_class);
  const mle_schema *schema = schema_of(L, 2, table->metadata);
  const mle_condition *condition = mlb_condition(L, 2, schema);
  mlb_box *box = mlb_push(L, &tree_class);
  mle_buffer *text = mle_calloc(1, sizeof *text);
  if (text == NULL) return luaL_error(L, "not enough memory");
  *text = MLE_BUFFER(CONDITION_MAX);
  box->object = text;
  mle_error err;
  mlb_try(L, mle_condition_implied(condition, schema, text, &err), &err);
  if (text->len > 0)
    lua_pushlstring(L, text->data, text->len);
  else
    lua_pushnil(L);
  return 1;
}

static void push_row_groups(lua_State *L, const mle_row_groups *counts) {
  const struct {
    const char *name;
    int64_t value;
  } facts[] = {{"groups", counts->groups}, {"rows", counts->rows},
               {"groups_left", counts->groups_left}, {"rows_left", counts->rows_left}};
  lua_createtable(L, 0, 4);
  for (size_t i = 0; i < sizeof facts / sizeof *facts; i++) {
    lua_pushinteger(L, facts[i].value);
    lua_setfield(L, -2, facts[i].name);
  }
}

/* Where the files of a plan are, in `arena`; NULL when out of memory. */
static mle_status paths_of(const mle_plan *plan, mle_arena *arena, const char ***out, mle_error *err) {
  *out = mle_arena_array(arena, plan->num_files + 1, sizeof **out);
  if (*out == NULL) return mle_nomem(err, "planning a scan");
  for (size_t i = 0; i < plan->num_files; i++)
    MLE_TRY(mle_store_data_path(plan->files[i].uri, &(*out)[i], err));
  return MLE_OK;
}

/* row_groups(table, what) -> { groups, rows, groups_left, rows_left }: reads the footers of the files that are left */
static int l_row_groups(lua_State *L) {
  const mle_table *table = mlb_check(L, 1, &mlb_table_class);
  const mle_schema *schema = schema_of(L, 2, table->metadata);
  mle_increment range;
  mle_error err;
  bool any = mlb_range(L, 2, table->metadata, &range);
  const mle_condition *condition = mlb_condition(L, 2, schema);
  mlb_box *holder = mlb_push(L, &plan_class), *box = mlb_push(L, &tree_class);
  mle_plan *plan = mle_calloc(1, sizeof *plan);
  holder->object = plan;
  mle_buffer *left = mle_calloc(1, sizeof *left);
  if (left != NULL) *left = MLE_BUFFER(CONDITION_MAX);
  box->object = left;
  if (plan == NULL || left == NULL) return luaL_error(L, "not enough memory");
  if (any) mlb_try(L, mle_increment_plan(table->metadata, &range, condition, plan, &err), &err);
  const char **paths;
  mle_row_groups counts;
  mlb_try(L, paths_of(plan, &plan->arena, &paths, &err), &err);
  mlb_try(L, mle_condition_left(condition, schema, left, &err), &err);
  mlb_try(L, mle_row_groups_count(mlb_session(L), paths, plan->num_files, left->data, &counts, &err), &err);
  push_row_groups(L, &counts);
  return 1;
}

static const luaL_Reg no_methods[] = {{NULL, NULL}};

static const luaL_Reg functions[] = {
    {"read", l_read},
    {"changes", l_changes},
    {"write", l_write},
    {"condition", l_condition},
    {"implied", l_implied},
    {"row_groups", l_row_groups},
    {NULL, NULL},
};

int luaopen_mle_iceberg_data(lua_State *L) {
  mlb_register(L, &plan_class, no_methods);
  mlb_register(L, &tree_class, no_methods);
  luaL_newlib(L, functions);
  return 1;
}
