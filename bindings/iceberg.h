/*
 * iceberg.h -- tables and written files between the two halves of the Iceberg binding.
 */
#ifndef MLB_ICEBERG_H
#define MLB_ICEBERG_H

#include <lua.h>

#include "bindings/box.h"
#include "engine/iceberg/catalog.h"
#include "engine/iceberg/increment.h"
#include "engine/iceberg/written.h"

/* One version of a table; written files. */
extern const mlb_class mlb_table_class;
extern const mlb_class mlb_written_class;

/* Registers mle.iceberg.table with its methods. [-0, +0, m] */
void mlb_register_table(lua_State *L);

/* table:plan([what]), and mle.iceberg.plan which it gives. */
int mlb_plan(lua_State *L);
void mlb_register_plan(lua_State *L);

/* Sets table[key] of the table at the top; what is not there sets nothing. [-0, +0, m] */
static inline void set_text(lua_State *L, const char *key, const char *value) {
  if (value == NULL) return;
  lua_pushstring(L, value);
  lua_setfield(L, -2, key);
}

static inline void set_integer(lua_State *L, const char *key, int64_t value) {
  lua_pushinteger(L, value);
  lua_setfield(L, -2, key);
}

static inline void set_snapshot(lua_State *L, const char *key, int64_t id) {
  if (id != MLE_NO_SNAPSHOT) set_integer(L, key, id);
}

/* The properties in the table at `arg` (nil: none), in userdata left on the stack. [-0, +1, v] */
const mle_property *mlb_properties(lua_State *L, int arg, size_t *out_count);

/*
 * What the tree of a filter, options.condition, says of files; NULL: nothing. Leaves userdata
 * on the stack that holds it. [-0, +1, v]
 */
const mle_condition *mlb_condition(lua_State *L, int arg, const mle_schema *schema);

/*
 * The rows a scan or listing is about, from {snapshot_id=} (nil: the current one)
 * or {to=, snapshots={ids}, full=}; leaves userdata on the stack. False when the table
 * has no snapshot. [-0, +1, v]
 */
bool mlb_range(lua_State *L, int arg, const mle_metadata *metadata, mle_increment *out);

#endif
