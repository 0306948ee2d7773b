/* iceberg.c -- mle.iceberg: catalogs, as engine/iceberg/catalog.h has them */

#include "bindings/iceberg.h"

#include <lauxlib.h>

#include "bindings/args.h"
#include "bindings/modules.h"
#include "engine/base/alloc.h"

static void release_catalog(void *catalog) { mle_catalog_close(catalog); }
static void release_written(void *written) { mle_written_free(written); }
static void release_names(void *names) {
  mle_names_release(names);
  mle_free(names);
}
static void release_properties(void *properties) {
  mle_properties_release(properties);
  mle_free(properties);
}

static const mlb_class catalog_class = {"mle.iceberg.catalog", release_catalog};
static const mlb_class names_class = {"mle.iceberg.names", release_names};
static const mlb_class properties_class = {"mle.iceberg.properties", release_properties};
const mlb_class mlb_written_class = {"mle.iceberg.written", release_written};

static mle_catalog *check_catalog(lua_State *L) { return mlb_check(L, 1, &catalog_class); }

static mle_table_name check_name(lua_State *L, int arg) {
  return (mle_table_name){luaL_checkstring(L, arg), luaL_checkstring(L, arg + 1)};
}

/* ====== Arguments ====== */

const mle_property *mlb_properties(lua_State *L, int arg, size_t *out_count) {
  size_t count = 0, i = 0;
  if (!lua_isnoneornil(L, arg)) {
    luaL_checktype(L, arg, LUA_TTABLE);
    for (lua_pushnil(L); lua_next(L, arg); lua_pop(L, 1)) count++;
  }
  mle_property *properties = lua_newuserdatauv(L, (count + 1) * sizeof *properties, 0);
  *out_count = count;
  if (count == 0) return properties;
  for (lua_pushnil(L); lua_next(L, arg); lua_pop(L, 1)) { /* [properties, key, value] */
    if (lua_type(L, -2) != LUA_TSTRING || lua_type(L, -1) != LUA_TSTRING)
      luaL_error(L, "properties are texts by name, not %s by %s", luaL_typename(L, -1),
                 luaL_typename(L, -2));
    properties[i++] = (mle_property){lua_tostring(L, -2), lua_tostring(L, -1)};
  }
  return properties;
}

/* { { name, type, nullable }, ... }, as frames describe themselves. */
static const mle_column_spec *check_columns(lua_State *L, int arg, size_t *out_count) {
  luaL_checktype(L, arg, LUA_TTABLE);
  *out_count = (size_t)luaL_len(L, arg);
  mle_column_spec *columns = lua_newuserdatauv(L, (*out_count + 1) * sizeof *columns, 0);
  for (size_t i = 0; i < *out_count; i++) {
    if (lua_geti(L, arg, (lua_Integer)i + 1) != LUA_TTABLE)
      luaL_error(L, "column %d is not a table", (int)i + 1);
    columns[i].name = mlb_need_text(L, lua_gettop(L), "name");
    columns[i].type = mlb_need_text(L, lua_gettop(L), "type");
    columns[i].nullable = mlb_opt_boolean(L, lua_gettop(L), "nullable", true);
    lua_pop(L, 1); /* the list still holds it */
  }
  return columns;
}

/* ====== Catalog ====== */

/* open(name, properties) -> catalog */
static int l_open(lua_State *L) {
  size_t count;
  const char *name = luaL_checkstring(L, 1);
  const mle_property *properties = mlb_properties(L, 2, &count);
  mlb_box *box = mlb_push(L, &catalog_class);
  mle_catalog *catalog;
  mle_error err;
  mlb_try(L, mle_catalog_open(name, properties, count, &catalog, &err), &err);
  box->object = catalog;
  return 1;
}

/* catalog:create_namespace(space) */
static int l_create_namespace(lua_State *L) {
  mle_error err;
  mlb_try(L, mle_catalog_create_namespace(check_catalog(L), luaL_checkstring(L, 2), &err), &err);
  return 0;
}

/* catalog:drop_namespace(space) */
static int l_drop_namespace(lua_State *L) {
  mle_error err;
  mlb_try(L, mle_catalog_drop_namespace(check_catalog(L), luaL_checkstring(L, 2), &err), &err);
  return 0;
}

/* catalog:namespace_properties(space) -> table */
static int l_namespace_properties(lua_State *L) {
  mle_catalog *catalog = check_catalog(L);
  const char *space = luaL_checkstring(L, 2);
  mlb_box *box = mlb_push(L, &properties_class);
  mle_properties *found = mle_calloc(1, sizeof *found);
  mle_error err;
  if (found == NULL) return luaL_error(L, "not enough memory");
  box->object = found;
  mlb_try(L, mle_catalog_namespace_properties(catalog, space, found, &err), &err);
  lua_createtable(L, 0, (int)found->count);
  for (size_t i = 0; i < found->count; i++) {
    lua_pushstring(L, found->items[i].value);
    lua_setfield(L, -2, found->items[i].key);
  }
  return 1;
}

/* { "key", ... } as C has it; [list, texts] stay on the stack. */
static const char *const *check_texts(lua_State *L, int arg, size_t *out_count) {
  luaL_checktype(L, arg, LUA_TTABLE);
  *out_count = (size_t)luaL_len(L, arg);
  const char **texts = lua_newuserdatauv(L, (*out_count + 1) * sizeof *texts, 0);
  for (size_t i = 0; i < *out_count; i++) {
    if (lua_rawgeti(L, arg, (lua_Integer)i + 1) != LUA_TSTRING)
      luaL_error(L, "element %d is no text", (int)i + 1);
    texts[i] = lua_tostring(L, -1);
    lua_pop(L, 1); /* the list still holds it */
  }
  return texts;
}

/* catalog:update_namespace(space, updates, removals) */
static int l_update_namespace(lua_State *L) {
  mle_catalog *catalog = check_catalog(L);
  const char *space = luaL_checkstring(L, 2);
  mle_namespace_change change;
  mle_error err;
  change.updates = mlb_properties(L, 3, &change.num_updates);
  change.removals = check_texts(L, 4, &change.num_removals);
  mlb_try(L, mle_catalog_update_namespace(catalog, space, &change, &err), &err);
  return 0;
}

/* catalog:has_namespace(space) -> boolean */
static int l_has_namespace(lua_State *L) {
  bool found;
  mle_error err;
  mlb_try(L, mle_catalog_has_namespace(check_catalog(L), luaL_checkstring(L, 2), &found, &err),
          &err);
  lua_pushboolean(L, found);
  return 1;
}

static mle_names *push_names(lua_State *L) {
  mlb_box *box = mlb_push(L, &names_class);
  mle_names *names = mle_calloc(1, sizeof *names);
  if (names == NULL) luaL_error(L, "not enough memory");
  box->object = names;
  return names;
}

static int push_list(lua_State *L, const mle_names *names) {
  lua_createtable(L, (int)names->count, 0);
  for (size_t i = 0; i < names->count; i++) {
    lua_pushstring(L, names->items[i]);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  return 1;
}

/* catalog:namespaces() -> names */
static int l_namespaces(lua_State *L) {
  mle_catalog *catalog = check_catalog(L);
  mle_names *names = push_names(L);
  mle_error err;
  mlb_try(L, mle_catalog_list_namespaces(catalog, names, &err), &err);
  return push_list(L, names);
}

/* catalog:tables(space) -> names */
static int l_tables(lua_State *L) {
  mle_catalog *catalog = check_catalog(L);
  const char *space = luaL_checkstring(L, 2);
  mle_names *names = push_names(L);
  mle_error err;
  mlb_try(L, mle_catalog_list_tables(catalog, space, names, &err), &err);
  return push_list(L, names);
}

/* catalog:has_table(space, name) -> boolean */
static int l_has_table(lua_State *L) {
  mle_catalog *catalog = check_catalog(L);
  const mle_table_name name = check_name(L, 2);
  bool found;
  mle_error err;
  mlb_try(L, mle_catalog_has_table(catalog, &name, &found, &err), &err);
  lua_pushboolean(L, found);
  return 1;
}

/* catalog:create_table(space, name, columns [, properties [, location [, partition_by]]]) -> table */
static int l_create_table(lua_State *L) {
  mle_catalog *catalog = check_catalog(L);
  const mle_table_name name = check_name(L, 2);
  mle_table_request request = {.location = luaL_optstring(L, 6, NULL)};
  request.columns = check_columns(L, 4, &request.num_columns);
  request.properties = mlb_properties(L, 5, &request.num_properties);
  if (!lua_isnoneornil(L, 7)) request.partition_by = mlb_texts(L, 7, &request.num_partition_by);
  mlb_box *box = mlb_push(L, &mlb_table_class);
  mle_table *table;
  mle_error err;
  mlb_try(L, mle_catalog_create_table(catalog, &name, &request, &table, &err), &err);
  box->object = table;
  return 1;
}

/* catalog:load(space, name) -> table */
static int l_load(lua_State *L) {
  mle_catalog *catalog = check_catalog(L);
  const mle_table_name name = check_name(L, 2);
  mlb_box *box = mlb_push(L, &mlb_table_class);
  mle_table *table;
  mle_error err;
  mlb_try(L, mle_catalog_load(catalog, &name, &table, &err), &err);
  box->object = table;
  return 1;
}

/* catalog:drop_table(space, name) */
static int l_drop_table(lua_State *L) {
  mle_catalog *catalog = check_catalog(L);
  const mle_table_name name = check_name(L, 2);
  mle_error err;
  mlb_try(L, mle_catalog_drop_table(catalog, &name, &err), &err);
  return 0;
}

/* catalog:rename_table(space, name, new_space, new_name) */
static int l_rename_table(lua_State *L) {
  mle_catalog *catalog = check_catalog(L);
  const mle_table_name from = check_name(L, 2), to = check_name(L, 4);
  mle_error err;
  mlb_try(L, mle_catalog_rename_table(catalog, &from, &to, &err), &err);
  return 0;
}

/* catalog:register_table(space, name, metadata_location) -> table */
static int l_register_table(lua_State *L) {
  mle_catalog *catalog = check_catalog(L);
  const mle_table_name name = check_name(L, 2);
  const char *location = luaL_checkstring(L, 4);
  mlb_box *box = mlb_push(L, &mlb_table_class);
  mle_table *table;
  mle_error err;
  mlb_try(L, mle_catalog_register_table(catalog, &name, location, &table, &err), &err);
  box->object = table;
  return 1;
}

/* catalog:append(table, written [, summary]) -> the table's next version, the snapshot's id */
static int l_append(lua_State *L) {
  mle_catalog *catalog = check_catalog(L);
  const mle_table *table = mlb_check(L, 2, &mlb_table_class);
  mle_written *written = mlb_check(L, 3, &mlb_written_class);
  size_t count;
  const mle_property *summary = mlb_properties(L, 4, &count);
  mlb_box *box = mlb_push(L, &mlb_table_class);
  mle_table *next;
  int64_t id;
  mle_error err;
  mlb_try(L, mle_written_commit(written, catalog, table, summary, count, &next, &id, &err), &err);
  box->object = next;
  lua_pushinteger(L, id);
  return 2;
}

/* ====== Written files ====== */

/* written:facts() -> { files, rows, bytes } */
static int l_written_facts(lua_State *L) {
  const mle_written *written = mlb_check(L, 1, &mlb_written_class);
  lua_createtable(L, 0, 3);
  set_integer(L, "files", (int64_t)written->num_files);
  set_integer(L, "rows", written->rows);
  set_integer(L, "bytes", written->bytes);
  return 1;
}

static const luaL_Reg catalog_methods[] = {
    {"create_namespace", l_create_namespace},
    {"drop_namespace", l_drop_namespace},
    {"namespace_properties", l_namespace_properties},
    {"update_namespace", l_update_namespace},
    {"has_namespace", l_has_namespace},
    {"namespaces", l_namespaces},
    {"tables", l_tables},
    {"has_table", l_has_table},
    {"create_table", l_create_table},
    {"load", l_load},
    {"drop_table", l_drop_table},
    {"rename_table", l_rename_table},
    {"register_table", l_register_table},
    {"append", l_append},
    {NULL, NULL},
};

static const luaL_Reg written_methods[] = {
    {"facts", l_written_facts},
    {NULL, NULL},
};

static const luaL_Reg no_methods[] = {{NULL, NULL}};

static const luaL_Reg functions[] = {
    {"open", l_open},
    {NULL, NULL},
};

int luaopen_mle_iceberg(lua_State *L) {
  mlb_register(L, &catalog_class, catalog_methods);
  mlb_register(L, &names_class, no_methods);
  mlb_register(L, &properties_class, no_methods);
  mlb_register(L, &mlb_written_class, written_methods);
  mlb_register_table(L);
  luaL_newlib(L, functions);
  return 1;
}
