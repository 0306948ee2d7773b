/* iceberg_table.c -- mle.iceberg.table: one version of a table, its history, its files */

#include <lauxlib.h>
#include <string.h>

#include "bindings/args.h"
#include "bindings/iceberg.h"
#include "engine/base/alloc.h"
#include "engine/iceberg/inspect.h"
#include "engine/iceberg/orphans.h"
#include "engine/iceberg/sql_type.h"

#define TEXT_MAX ((size_t)1 << 20)
#define INSPECT_MAX ((size_t)1 << 30)

static void release_table(void *table) { mle_table_free(table); }
static void release_arena(void *arena) {
  mle_arena_release(arena);
  mle_free(arena);
}
static void release_orphans(void *orphans) {
  mle_orphans_release(orphans);
  mle_free(orphans);
}
static void release_buffer(void *buffer) {
  mle_buffer_release(buffer);
  mle_free(buffer);
}

const mlb_class mlb_table_class = {"mle.iceberg.table", release_table};
static const mlb_class arena_class = {"mle.iceberg.arena", release_arena};
static const mlb_class orphans_class = {"mle.iceberg.orphans", release_orphans};
static const mlb_class buffer_class = {"mle.iceberg.buffer", release_buffer};

static const mle_table *check_table(lua_State *L) { return mlb_check(L, 1, &mlb_table_class); }

/* ====== Helpers ====== */

static void *push_memory(lua_State *L, const mlb_class *class, size_t size) {
  mlb_box *box = mlb_push(L, class);
  box->object = mle_calloc(1, size);
  if (box->object == NULL) luaL_error(L, "not enough memory");
  return box->object;
}

static mle_buffer *push_buffer(lua_State *L) {
  mle_buffer *buffer = push_memory(L, &buffer_class, sizeof *buffer);
  *buffer = MLE_BUFFER(TEXT_MAX);
  return buffer;
}

static void push_pairs(lua_State *L, const mle_property *pairs, size_t count) {
  lua_createtable(L, 0, (int)count);
  for (size_t i = 0; i < count; i++) set_text(L, pairs[i].key, pairs[i].value);
}

/* ====== Facts ====== */

/* { id, name, type = Iceberg's, sql = DuckDB's or nil, required, doc } */
static void push_field(lua_State *L, const mle_field *field, mle_buffer *text) {
  lua_createtable(L, 0, 6);
  set_integer(L, "id", field->id);
  set_text(L, "name", field->name);
  set_text(L, "doc", field->doc);
  lua_pushboolean(L, field->required);
  lua_setfield(L, -2, "required");
  mle_buffer_clear(text);
  if (mle_type_print(field->type, text, NULL) == MLE_OK) set_text(L, "type", text->data);
  mle_buffer_clear(text);
  if (mle_sql_type_print(field->type, text, NULL) == MLE_OK) set_text(L, "sql", text->data);
}

/* table:schema([id]) -> fields */
static int l_schema(lua_State *L) {
  const mle_metadata *m = check_table(L)->metadata;
  const mle_schema *schema =
      lua_isnoneornil(L, 2) ? m->schema : mle_metadata_schema(m, (int)luaL_checkinteger(L, 2));
  if (schema == NULL) return luaL_error(L, "the table has no schema %d", (int)lua_tointeger(L, 2));
  mle_buffer *text = push_buffer(L);
  lua_createtable(L, (int)schema->num_fields, 0);
  for (size_t i = 0; i < schema->num_fields; i++) {
    push_field(L, &schema->fields[i], text);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  return 1;
}

static void push_spec(lua_State *L, const mle_metadata *m) {
  lua_createtable(L, (int)m->spec->num_fields, 0);
  for (size_t i = 0; i < m->spec->num_fields; i++) {
    const mle_partition_field *field = &m->spec->fields[i];
    const mle_field *source = mle_schema_find_id(m->schema, field->source_id);
    lua_createtable(L, 0, 3);
    set_text(L, "name", field->name);
    set_text(L, "transform", field->transform);
    set_text(L, "source", source == NULL ? NULL : source->name);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
}

/* table:facts() -> what does not change within a version */
static int l_facts(lua_State *L) {
  const mle_table *table = check_table(L);
  const mle_metadata *m = table->metadata;
  lua_createtable(L, 0, 12);
  set_text(L, "namespace", table->space);
  set_text(L, "table", table->name);
  set_text(L, "uuid", m->uuid != NULL ? m->uuid : m->location); /* version 1 may have none */
  set_text(L, "location", m->location);
  set_text(L, "metadata_location", table->metadata_location);
  set_integer(L, "format_version", m->format_version);
  set_integer(L, "last_sequence_number", m->last_sequence_number);
  set_integer(L, "last_updated_ms", m->last_updated_ms);
  set_integer(L, "sort_order_id", m->sort_order_id);
  set_snapshot(L, "current_snapshot_id", m->current_snapshot_id);
  push_pairs(L, m->properties, m->num_properties);
  lua_setfield(L, -2, "properties");
  push_spec(L, m);
  lua_setfield(L, -2, "partition_fields");
  return 1;
}

/* ====== History ====== */

static void push_snapshot(lua_State *L, const mle_snapshot *snapshot) {
  lua_createtable(L, 0, 8);
  set_integer(L, "id", snapshot->id);
  set_snapshot(L, "parent_id", snapshot->parent_id);
  set_integer(L, "sequence_number", snapshot->sequence_number);
  set_integer(L, "timestamp_ms", snapshot->timestamp_ms);
  set_text(L, "operation", snapshot->operation);
  set_text(L, "manifest_list", snapshot->manifest_list);
  if (snapshot->schema_id >= 0) set_integer(L, "schema_id", snapshot->schema_id);
  push_pairs(L, snapshot->summary, snapshot->num_summary);
  lua_setfield(L, -2, "summary");
}

/* table:snapshots() -> snapshots, in the order of the metadata */
static int l_snapshots(lua_State *L) {
  const mle_metadata *m = check_table(L)->metadata;
  lua_createtable(L, (int)m->num_snapshots, 0);
  for (size_t i = 0; i < m->num_snapshots; i++) {
    push_snapshot(L, &m->snapshots[i]);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  return 1;
}

/* table:snapshot(id) -> snapshot, or nil */
static int l_snapshot(lua_State *L) {
  const mle_snapshot *snapshot =
      mle_metadata_snapshot(check_table(L)->metadata, luaL_checkinteger(L, 2));
  if (snapshot == NULL)
    lua_pushnil(L);
  else
    push_snapshot(L, snapshot);
  return 1;
}

/* table:history() -> { { snapshot_id, timestamp_ms }, ... }: what was current, oldest first */
static int l_history(lua_State *L) {
  const mle_metadata *m = check_table(L)->metadata;
  lua_createtable(L, (int)m->num_log, 0);
  for (size_t i = 0; i < m->num_log; i++) {
    lua_createtable(L, 0, 2);
    set_integer(L, "snapshot_id", m->log[i].snapshot_id);
    set_integer(L, "timestamp_ms", m->log[i].timestamp_ms);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  return 1;
}

/* table:refs() -> { { name, type, snapshot_id }, ... } */
static int l_refs(lua_State *L) {
  const mle_metadata *m = check_table(L)->metadata;
  lua_createtable(L, (int)m->num_refs, 0);
  for (size_t i = 0; i < m->num_refs; i++) {
    lua_createtable(L, 0, 3);
    set_text(L, "name", m->refs[i].name);
    set_text(L, "type", m->refs[i].type);
    set_integer(L, "snapshot_id", m->refs[i].snapshot_id);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  return 1;
}

/* ====== Ranges ====== */

static int choose(lua_State *L, int arg, const char *key, const char *const *choices) {
  const char *given = mlb_opt_text(L, arg, key, choices[0]);
  for (int i = 0; choices[i] != NULL; i++)
    if (strcmp(choices[i], given) == 0) return i;
  return luaL_error(L, "option '%s' must not be '%s'", key, given);
}

static void read_ids(lua_State *L, int arg, const char *key, const int64_t **out,
                     size_t *out_count);

static mle_increment_options read_range_options(lua_State *L, int arg) {
  static const char *const on_non_append[] = {"error", "skip", "include_added", NULL};
  static const char *const on_gap[] = {"error", "full", NULL};
  static const char *const on_rollback[] = {"error", "common_ancestor", "full", NULL};
  mle_increment_options options = {
      .from = mlb_opt_integer(L, arg, "from", MLE_NO_SNAPSHOT),
      .inclusive = mlb_opt_boolean(L, arg, "inclusive", false),
      .to = mlb_opt_integer(L, arg, "to", MLE_NO_SNAPSHOT),
      .branch = mlb_opt_text(L, arg, "branch", NULL),
      .max_snapshots = mlb_opt_integer(L, arg, "max_snapshots", 0),
      .max_rows = mlb_opt_integer(L, arg, "max_rows", 0),
      .on_non_append = (mle_on_non_append)choose(L, arg, "on_non_append", on_non_append),
      .on_gap = (mle_on_gap)choose(L, arg, "on_gap", on_gap),
      .on_rollback = (mle_on_rollback)choose(L, arg, "on_rollback", on_rollback),
  };
  read_ids(L, arg, "without", &options.without, &options.num_without);
  return options;
}

static void push_range(lua_State *L, const mle_metadata *m, const mle_increment *range) {
  int64_t rows;
  mle_error err;
  mlb_try(L, mle_increment_rows(m, range, &rows, &err), &err);
  lua_createtable(L, 0, 8);
  set_snapshot(L, "from", range->from);
  set_snapshot(L, "to", range->to);
  set_integer(L, "rows", rows);
  lua_pushboolean(L, range->full);
  lua_setfield(L, -2, "full");
  lua_pushboolean(L, range->more);
  lua_setfield(L, -2, "more");
  lua_createtable(L, (int)range->count, 0);
  for (size_t i = 0; i < range->count; i++) {
    lua_pushinteger(L, range->snapshots[i]);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  lua_setfield(L, -2, "snapshots");
}

/* The schema that the range is read with: the table's, or that of its end. */
static int schema_of(const mle_metadata *m, const mle_increment *range, bool at_end) {
  const mle_snapshot *to = at_end ? mle_metadata_snapshot(m, range->to) : NULL;
  bool known = to != NULL && mle_metadata_schema(m, to->schema_id) != NULL;
  return known ? to->schema_id : m->schema->id;
}

/* table:range{from, inclusive, to, branch, on_non_append, on_gap, on_rollback, without, max_snapshots,
 * max_rows, schema, last_snapshots, age_ms, since_ms}
 * -> { from, to, snapshots, full, rows, more, schema_id, window = likewise }; see increment.h */
static int l_range(lua_State *L) {
  static const char *const known[] = {
      "from",    "inclusive",     "to",       "branch", "on_non_append",  "on_gap", "on_rollback",
      "without", "max_snapshots", "max_rows", "schema", "last_snapshots", "age_ms", "since_ms", NULL};
  static const char *const schemas[] = {"current", "end", NULL};
  const mle_metadata *m = check_table(L)->metadata;
  mlb_options(L, 2, known);
  const mle_increment_options options = read_range_options(L, 2);
  const mle_window window = {.snapshots = mlb_opt_integer(L, 2, "last_snapshots", 0),
                             .age_ms = mlb_opt_integer(L, 2, "age_ms", 0),
                             .since_ms = mlb_opt_integer(L, 2, "since_ms", 0)};
  mle_arena *arena = push_memory(L, &arena_class, sizeof *arena);
  mle_increment range;
  mle_error err;
  mlb_try(L, mle_increment_resolve(m, &options, arena, &range, &err), &err);
  push_range(L, m, &range);
  set_integer(L, "schema_id", schema_of(m, &range, choose(L, 2, "schema", schemas) == 1));
  if (window.snapshots > 0 || window.age_ms > 0 || window.since_ms > 0) {
    mlb_try(L, mle_increment_widen(m, &options, &window, arena, &range, &err), &err);
    range.more = false;
    push_range(L, m, &range);
    lua_setfield(L, -2, "window");
  }
  return 1;
}

/* The ids in options[key], in userdata left on the stack. [-0, +1, v] */
static void read_ids(lua_State *L, int arg, const char *key, const int64_t **out,
                     size_t *out_count) {
  int64_t *ids = NULL;
  *out_count = 0;
  if (!lua_isnoneornil(L, arg) && lua_getfield(L, arg, key) == LUA_TTABLE)
    *out_count = (size_t)luaL_len(L, -1);
  else if (lua_isnoneornil(L, arg))
    lua_pushnil(L);
  ids = lua_newuserdatauv(L, (*out_count + 1) * sizeof *ids, 0); /* [list, ids] */
  for (size_t i = 0; i < *out_count; i++) {
    int is_integer;
    lua_geti(L, -2, (lua_Integer)i + 1);
    ids[i] = lua_tointegerx(L, -1, &is_integer);
    if (!is_integer) luaL_error(L, "snapshot ids are whole numbers");
    lua_pop(L, 1);
  }
  lua_remove(L, -2);
  *out = ids;
}

bool mlb_range(lua_State *L, int arg, const mle_metadata *metadata, mle_increment *out) {
  *out = (mle_increment){.from = MLE_NO_SNAPSHOT, .full = true};
  bool listed = !lua_isnoneornil(L, arg) && lua_getfield(L, arg, "snapshots") == LUA_TTABLE;
  if (!lua_isnoneornil(L, arg)) lua_pop(L, 1);
  if (listed) {
    out->full = mlb_opt_boolean(L, arg, "full", false);
    out->to = mlb_opt_integer(L, arg, "to", MLE_NO_SNAPSHOT);
    read_ids(L, arg, "snapshots", &out->snapshots, &out->count);
    return out->to != MLE_NO_SNAPSHOT;
  }
  out->to = mlb_opt_integer(L, arg, "snapshot_id", metadata->current_snapshot_id);
  lua_newuserdatauv(L, 1, 0);
  if (out->to != MLE_NO_SNAPSHOT && mle_metadata_snapshot(metadata, out->to) == NULL)
    luaL_error(L, "snapshot %I is not in the table's metadata", (LUAI_UACINT)out->to);
  return out->to != MLE_NO_SNAPSHOT;
}

/* ====== Files ====== */

const mle_condition *mlb_condition(lua_State *L, int arg, const mle_schema *schema) {
  const mle_condition *condition = NULL;
  const char *tree =
      lua_isnoneornil(L, arg) ? NULL : mlb_opt_text(L, arg, "condition", NULL);
  mle_arena *arena = push_memory(L, &arena_class, sizeof *arena);
  mle_error err;
  if (tree != NULL) mlb_try(L, mle_condition_parse(tree, schema, arena, &condition, &err), &err);
  return condition;
}

static mle_status add_line(void *context, const mle_json *row, mle_error *err) {
  mle_buffer *text = context;
  char *line = mle_json_print(row, false);
  if (line == NULL) return mle_nomem(err, "inspecting a table");
  mle_status status = mle_buffer_puts(text, line, err);
  if (status == MLE_OK) status = mle_buffer_puts(text, "\n", err);
  mle_free(line);
  return status;
}

/* inspect(kind [, snapshot_id [, path]]) -> JSON lines; or with a path written there, and DuckDB's
 * SELECT over them: see engine/iceberg/inspect.h */
static int l_inspect(lua_State *L) {
  const mle_metadata *m = check_table(L)->metadata;
  const char *path = luaL_optstring(L, 4, NULL);
  const mle_snapshot *snapshot =
      lua_isnoneornil(L, 3) ? NULL : mle_metadata_snapshot(m, luaL_checkinteger(L, 3));
  if (snapshot == NULL && !lua_isnoneornil(L, 3))
    return luaL_error(L, "snapshot %I is not in the table's metadata", (LUAI_UACINT)lua_tointeger(L, 3));
  mle_buffer *text = push_buffer(L);
  mle_inspect_kind kind;
  mle_error err;
  mlb_try(L, mle_inspect_find(luaL_checkstring(L, 2), &kind, &err), &err);
  if (path == NULL) {
    *text = MLE_BUFFER(INSPECT_MAX);
    mlb_try(L, mle_inspect(m, kind, snapshot, add_line, text, &err), &err);
  } else {
    mlb_try(L, mle_inspect_write(m, kind, snapshot, path, &err), &err);
    mlb_try(L, mle_inspect_select(m, kind, path, text, &err), &err);
  }
  lua_pushlstring(L, text->data == NULL ? "" : text->data, text->len);
  return 1;
}

/* table:orphans() -> { { path, bytes }, ... } */
static int l_orphans(lua_State *L) {
  const mle_table *table = check_table(L);
  mle_orphans *found = push_memory(L, &orphans_class, sizeof *found);
  mle_error err;
  mlb_try(L, mle_orphans_find(table->metadata, table->metadata_location, found, &err), &err);
  lua_createtable(L, (int)found->count, 0);
  for (size_t i = 0; i < found->count; i++) {
    lua_createtable(L, 0, 2);
    lua_pushstring(L, found->items[i].uri);
    lua_setfield(L, -2, "path");
    lua_pushinteger(L, found->items[i].size);
    lua_setfield(L, -2, "bytes");
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  return 1;
}

/* table:check_append(): raises when this version cannot append to it */
static int l_check_append(lua_State *L) {
  mle_error err;
  mlb_try(L, mle_append_check(check_table(L), &err), &err);
  return 0;
}

static const luaL_Reg methods[] = {
    {"facts", l_facts},
    {"schema", l_schema},
    {"snapshots", l_snapshots},
    {"snapshot", l_snapshot},
    {"history", l_history},
    {"refs", l_refs},
    {"range", l_range},
    {"plan", mlb_plan},
    {"inspect", l_inspect},
    {"orphans", l_orphans},
    {"check_append", l_check_append},
    {NULL, NULL},
};

static const luaL_Reg no_methods[] = {{NULL, NULL}};

void mlb_register_table(lua_State *L) {
  mlb_register(L, &mlb_table_class, methods);
  mlb_register(L, &arena_class, no_methods);
  mlb_register_plan(L);
  mlb_register(L, &buffer_class, no_methods);
  mlb_register(L, &orphans_class, no_methods);
}
