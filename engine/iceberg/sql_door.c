/* sql_door.c -- which database a uri means, and the door to SQLite. */

#include "engine/iceberg/sql_door.h"

#include <string.h>

#include "engine/base/alloc.h"
#include "engine/base/db.h"
#include "engine/base/file.h"

/* The journal mode is left as it is found: whoever else opens the file waits on SQLite's own locks. */
typedef struct sqlite_door {
  mle_sql_door base;
  char *path;
  mle_db *db; /* NULL until used, and while the file is not there */
} sqlite_door;

static sqlite_door *cast(mle_sql_door *door) { return (sqlite_door *)door; }

static mle_status make_folder(const char *path, mle_error *err) {
  const char *slash = strrchr(path, '/');
  if (slash == NULL || slash == path) return MLE_OK;
  char *folder = mle_strndup(path, (size_t)(slash - path));
  if (folder == NULL) return mle_nomem(err, "opening a catalog");
  mle_status status = mle_make_folders(folder, 0700, err);
  mle_free(folder);
  return status;
}

static mle_status connect(mle_sql_door *door, bool create, bool *there, mle_error *err) {
  const mle_db_options options = {.create = create};
  sqlite_door *d = cast(door);
  *there = d->db != NULL || create || mle_file_exists(d->path);
  if (d->db != NULL || !*there) return MLE_OK;
  if (create) MLE_TRY(make_folder(d->path, err));
  return mle_db_open(d->path, &options, &d->db, err);
}

static mle_status has_table(mle_sql_door *door, const char *table, bool *out, mle_error *err) {
  return mle_db_has_table(cast(door)->db, table, out, err);
}

static mle_status has_column(mle_sql_door *door, const char *table, const char *column, bool *out,
                             mle_error *err) {
  return mle_db_has_column(cast(door)->db, table, column, out, err);
}

/* A letter for each of the first parameters; all are handed over, those without one unread. */
static const char *letters(const char *const *parameters, const char *all[MLE_SQL_PARAMETERS_MAX]) {
  size_t count = 0;
  for (; parameters != NULL && parameters[count] != NULL; count++) all[count] = parameters[count];
  return &"ssssssss"[MLE_SQL_PARAMETERS_MAX - count];
}

static mle_status run(mle_sql_door *door, const char *sql, const char *const *parameters,
                      int64_t *changed, mle_error *err) {
  const char *p[MLE_SQL_PARAMETERS_MAX] = {0}, *types = letters(parameters, p);
  MLE_TRY(mle_db_run(cast(door)->db, err, sql, types, p[0], p[1], p[2], p[3], p[4], p[5], p[6],
                     p[7]));
  if (changed != NULL) *changed = mle_db_changes(cast(door)->db);
  return MLE_OK;
}

static mle_status query(mle_sql_door *door, const char *sql, const char *const *parameters,
                        mle_sql_visit visit, void *context, mle_error *err) {
  const char *p[MLE_SQL_PARAMETERS_MAX] = {0}, *types = letters(parameters, p), *columns[4] = {0};
  mle_db_rows rows;
  mle_status status = mle_db_query(cast(door)->db, &rows, err, sql, types, p[0], p[1], p[2], p[3],
                                   p[4], p[5], p[6], p[7]);
  while (status == MLE_OK && (status = mle_db_next(&rows, err)) == MLE_OK && rows.found) {
    for (int i = 0; i < mle_db_columns(&rows) && i < 4; i++) columns[i] = mle_db_text(&rows, i);
    status = visit(context, columns, err);
  }
  mle_db_end(&rows);
  return status;
}

static void close_sqlite(mle_sql_door *door) {
  mle_db_close(cast(door)->db);
  mle_free(cast(door)->path);
  mle_free(door);
}

static const mle_sql_door_class sqlite_class = {
    .connect = connect,
    .has_table = has_table,
    .has_column = has_column,
    .run = run,
    .query = query,
    .close = close_sqlite,
};

mle_status mle_sqlite_door_open(const char *path, mle_sql_door **out, mle_error *err) {
  *out = NULL;
  if (*path == '\0' || strcmp(path, ":memory:") == 0 || strchr(path, '?') != NULL)
    return mle_fail(err, MLE_EINVAL, "uri must name a file (sqlite:////path/catalog.db)");
  sqlite_door *d = mle_calloc(1, sizeof *d);
  if (d != NULL) d->path = mle_path_absolute(path);
  if (d == NULL || d->path == NULL) {
    mle_free(d);
    return mle_nomem(err, "opening a catalog");
  }
  d->base.class = &sqlite_class;
  *out = &d->base;
  return MLE_OK;
}

/* SQLAlchemy's sqlite:///relative, sqlite:////absolute; JDBC's jdbc:sqlite:path. */
static const char *sqlite_path(const char *uri) {
  const char *path;
  if (strncmp(uri, "jdbc:sqlite:", 12) == 0)
    return strncmp(uri + 12, "file:", 5) == 0 ? uri + 17 : uri + 12;
  if (strncmp(uri, "sqlite", 6) != 0 || (path = strstr(uri, ":///")) == NULL) return NULL;
  return path + 4;
}

static bool begins(const char *text, const char *with) {
  return strncmp(text, with, strlen(with)) == 0;
}

mle_status mle_sql_door_open(const mle_property *properties, size_t count, mle_sql_door **out,
                             mle_error *err) {
  const char *uri = mle_property_find(properties, count, "uri");
  *out = NULL;
  if (uri == NULL)
    return mle_fail(err, MLE_EINVAL,
                    "the property uri is missing (sqlite:////path/catalog.db, "
                    "postgresql://user@host/database)");
  if (sqlite_path(uri) != NULL) return mle_sqlite_door_open(sqlite_path(uri), out, err);
  if (begins(uri, "postgres") || begins(uri, "jdbc:postgresql:"))
    return mle_postgres_door_open(properties, count, out, err);
  return mle_fail(err, MLE_EUNSUPPORTED,
                  "this version opens SQL catalogs on SQLite (sqlite:////path/catalog.db) and "
                  "PostgreSQL (postgresql://user@host/database), not '%.*s'",
                  (int)strcspn(uri, ":"), uri);
}
