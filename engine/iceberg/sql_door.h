/*
 * sql_door.h -- the database of a SQL catalog: SQLite or PostgreSQL; internal to catalog_sql.c.
 *
 *     const char *const names[] = {"default", "bank", NULL};
 *     MLE_TRY(door->class->run(door, "delete from t where a = $1 and b = $2", names, &changed, err));
 *
 * One text of SQL for both: parameters are $1, $2, ... in the order of their first use,
 * and texts. A door is one thread's. What a SQLite file cannot be, a server can: gone.
 * A statement that may or may not have been done fails with EUNKNOWN.
 */
#ifndef MLE_ICEBERG_SQL_DOOR_H
#define MLE_ICEBERG_SQL_DOOR_H

#include "engine/iceberg/catalog_class.h"

#define MLE_SQL_PARAMETERS_MAX 8

typedef struct mle_sql_door mle_sql_door;

/* Is given each row's columns, NULL for null; a failure ends the query. */
typedef mle_status (*mle_sql_visit)(void *context, const char *const *columns, mle_error *err);

typedef struct mle_sql_door_class {
  /* Whether the database is there; with `create` it is made where that is possible. */
  mle_status (*connect)(mle_sql_door *, bool create, bool *there, mle_error *err);
  mle_status (*has_table)(mle_sql_door *, const char *table, bool *out, mle_error *err);
  mle_status (*has_column)(mle_sql_door *, const char *table, const char *column, bool *out,
                           mle_error *err);
  /* One statement; `parameters` ends with NULL. `changed` (may be NULL): rows. */
  mle_status (*run)(mle_sql_door *, const char *sql, const char *const *parameters,
                    int64_t *changed, mle_error *err);
  mle_status (*query)(mle_sql_door *, const char *sql, const char *const *parameters,
                      mle_sql_visit visit, void *context, mle_error *err);
  void (*close)(mle_sql_door *); /* frees it */
} mle_sql_door_class;

struct mle_sql_door {
  const mle_sql_door_class *class;
};

/* By the property uri: sqlite:///..., jdbc:sqlite:..., postgresql[+driver]://..., jdbc:postgresql:// */
mle_status mle_sql_door_open(const mle_property *properties, size_t count, mle_sql_door **out,
                             mle_error *err);

mle_status mle_sqlite_door_open(const char *path, mle_sql_door **out, mle_error *err);
mle_status mle_postgres_door_open(const mle_property *properties, size_t count,
                                  mle_sql_door **out, mle_error *err);

#endif
