/*
 * sql_postgres.c -- the door to PostgreSQL, by libpq, which is opened on first use.
 *
 * Nothing waits without an end: connecting takes CONNECT_MS at most, a statement
 * STATEMENT_MS on the server and a little more here; both end when the process is
 * asked to stop. Every statement is a transaction of its own, unless begin and commit
 * say otherwise. After a failure of the connection the next statement makes another.
 */
#include <libpq-fe.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/base/cancel.h"
#include "engine/base/clock.h"
#include "engine/base/library.h"
#include "engine/base/line.h"
#include "engine/iceberg/sql_door.h"

#define CONNECT_MS 10000
#define STATEMENT_MS 30000
#define WAIT_MS (STATEMENT_MS + 10000)
#define STEP_MS 100 /* between two looks at the wish to stop */
#define SAID_MAX 400
#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)

/* ====== The library ====== */

#define FUNCTIONS(X)                                                                        \
  X(PQclear) X(PQcmdTuples) X(PQconnectPoll) X(PQconnectStartParams) X(PQconninfoFree)      \
  X(PQconninfoParse) X(PQconsumeInput) X(PQerrorMessage) X(PQfinish) X(PQflush)             \
  X(PQfreemem) X(PQgetisnull) X(PQgetResult) X(PQgetvalue) X(PQisBusy) X(PQnfields)         \
  X(PQntuples) X(PQresultErrorField) X(PQresultErrorMessage) X(PQresultStatus)              \
  X(PQsendQueryParams) X(PQsetNoticeProcessor) X(PQsetnonblocking) X(PQsocket) X(PQstatus)

static struct {
#define FIELD(name) __typeof__(name) *name;
  FUNCTIONS(FIELD)
#undef FIELD
} pq;

static pthread_once_t opened = PTHREAD_ONCE_INIT;
static mle_status open_status;
static mle_error open_error;

static void open_library(void) {
#define NAME(name) #name,
  static const char *const names[] = {FUNCTIONS(NAME)};
#undef NAME
  open_status = mle_library_open("libpq.so.5", "libpq5", names, sizeof names / sizeof *names, &pq,
                                 &open_error);
}

static mle_status need_library(mle_error *err) {
  pthread_once(&opened, open_library);
  if (open_status != MLE_OK && err != NULL) *err = open_error;
  return open_status;
}

/* ====== The door ====== */

typedef struct postgres_door {
  mle_sql_door base;
  char *uri, *user, *password; /* the latter two: properties, or NULL */
  char *hidden; /* the password in the uri; NULL: none */
  char *label;  /* "host:port/database", for messages */
  PGconn *connection; /* NULL until used, and after it failed */
} postgres_door;

static postgres_door *cast(mle_sql_door *door) { return (postgres_door *)door; }

/* What PostgreSQL says, as part of a line of ours, without a password. */
static const char *said(const postgres_door *d, const char *text, char out[SAID_MAX]) {
  mle_line_copy(text == NULL ? "" : text, out, SAID_MAX);
  for (size_t len = strlen(out); len > 0 && out[len - 1] == ' ';) out[--len] = '\0';
  mle_line_hide(out, d->hidden);
  mle_line_hide(out, d->password);
  return out;
}

static void disconnect(postgres_door *d) {
  if (d->connection != NULL) pq.PQfinish(d->connection);
  d->connection = NULL;
}

static void close_postgres(mle_sql_door *door) {
  postgres_door *d = cast(door);
  disconnect(d);
  mle_free(d->uri);
  mle_free(d->user);
  mle_free(d->password);
  mle_free(d->hidden);
  mle_free(d->label);
  mle_free(d);
}

/* Without SQLAlchemy's "+driver" and Java's "jdbc:". */
static char *libpq_uri(const char *uri) {
  if (strncmp(uri, "jdbc:", 5) == 0) uri += 5;
  const char *rest = strstr(uri, "://");
  return rest == NULL ? NULL : mle_format("postgresql%s", rest);
}

static const char *option(const PQconninfoOption *options, const char *keyword,
                          const char *fallback) {
  for (; options->keyword != NULL; options++)
    if (strcmp(options->keyword, keyword) == 0 && options->val != NULL) return options->val;
  return fallback;
}

/* libpq's own message would repeat the uri, with the password in it. */
static mle_status parse_uri(postgres_door *d, mle_error *err) {
  PQconninfoOption *options = pq.PQconninfoParse(d->uri, NULL);
  bool fine = options != NULL && strchr(option(options, "host", ""), '@') == NULL;
  mle_status status = MLE_OK;
  if (!fine) {
    status = mle_fail(err, MLE_EINVAL,
                      "uri is none that PostgreSQL takes; write postgresql://user:password@host:port/"
                      "database, with %%40 for @ and %%2F for / in the password");
  } else {
    const char *password = option(options, "password", NULL);
    d->label = mle_format("%s:%s/%s", option(options, "host", "localhost"),
                          option(options, "port", "5432"), option(options, "dbname", ""));
    d->hidden = password == NULL ? NULL : mle_strdup(password);
    if (d->label == NULL || (password != NULL && d->hidden == NULL))
      status = mle_nomem(err, "opening a catalog");
  }
  if (options != NULL) pq.PQconninfoFree(options);
  return status;
}

static mle_status copy_property(const mle_property *properties, size_t count, const char *key,
                                char **out, mle_error *err) {
  const char *value = mle_property_find(properties, count, key);
  *out = mle_strdup(value);
  return value == NULL || *out != NULL ? MLE_OK : mle_nomem(err, "opening a catalog");
}

static const mle_sql_door_class postgres_class;

mle_status mle_postgres_door_open(const mle_property *properties, size_t count,
                                  mle_sql_door **out, mle_error *err) {
  mle_status status;
  *out = NULL;
  MLE_TRY(need_library(err));
  postgres_door *d = mle_calloc(1, sizeof *d);
  if (d == NULL) return mle_nomem(err, "opening a catalog");
  d->base.class = &postgres_class;
  d->uri = libpq_uri(mle_property_find(properties, count, "uri"));
  status = d->uri == NULL ? mle_nomem(err, "opening a catalog") : parse_uri(d, err);
  if (status == MLE_OK) status = copy_property(properties, count, "jdbc.user", &d->user, err);
  if (status == MLE_OK)
    status = copy_property(properties, count, "jdbc.password", &d->password, err);
  if (status == MLE_OK)
    *out = &d->base;
  else
    close_postgres(&d->base);
  return status;
}

/* ====== Waiting ====== */

/* Until the socket is ready, for `deadline` at most. */
static mle_status wait_for(const postgres_door *d, short events, int64_t deadline,
                           mle_error *err) {
  struct pollfd one = {.fd = pq.PQsocket(d->connection), .events = events};
  for (;;) {
    if (mle_cancelled()) return mle_cancel_fail(err, "waiting for PostgreSQL");
    if (mle_now_ms() >= deadline)
      return mle_fail(err, MLE_ETIMEOUT, "PostgreSQL at %s does not answer", d->label);
    if (poll(&one, 1, STEP_MS) > 0) return MLE_OK;
  }
}

static void drop_notice(void *context, const char *message) { (void)context, (void)message; }

static mle_status establish(postgres_door *d, mle_error *err) {
  const char *const keys[] = {"dbname", "application_name", "user", "password", NULL};
  const char *const values[] = {d->uri, "mlengine", d->user, d->password, NULL};
  int64_t deadline = mle_now_ms() + CONNECT_MS;
  PostgresPollingStatusType step = PGRES_POLLING_WRITING;
  char text[SAID_MAX];
  d->connection = pq.PQconnectStartParams(keys, values, 1);
  if (d->connection == NULL) return mle_nomem(err, "connecting to PostgreSQL");
  while (pq.PQstatus(d->connection) != CONNECTION_BAD && step != PGRES_POLLING_OK &&
         step != PGRES_POLLING_FAILED) {
    MLE_TRY(wait_for(d, step == PGRES_POLLING_READING ? POLLIN : POLLOUT, deadline, err));
    step = pq.PQconnectPoll(d->connection);
  }
  if (pq.PQstatus(d->connection) == CONNECTION_OK && step == PGRES_POLLING_OK) return MLE_OK;
  mle_fail(err, MLE_EIO, "cannot connect to PostgreSQL at %s: %s", d->label,
           said(d, pq.PQerrorMessage(d->connection), text));
  if (err != NULL) err->retryable = true;
  return MLE_EIO;
}

static mle_status execute(postgres_door *d, const char *sql, const char *const *parameters,
                          PGresult **out, mle_error *err);

/* A connection that works, as far as one can tell without asking. */
static mle_status need_connection(postgres_door *d, mle_error *err) {
  PGresult *result = NULL;
  if (d->connection != NULL && pq.PQstatus(d->connection) == CONNECTION_OK) return MLE_OK;
  disconnect(d);
  mle_status status = establish(d, err);
  if (status == MLE_OK) {
    pq.PQsetNoticeProcessor(d->connection, drop_notice, NULL);
    pq.PQsetnonblocking(d->connection, 1);
    status = execute(d, "set statement_timeout = " TEXT(STATEMENT_MS), NULL, &result, err);
    pq.PQclear(result);
  }
  if (status == MLE_OK) return MLE_OK;
  disconnect(d);
  return status == MLE_EUNKNOWN ? MLE_EIO : status; /* what was to be sent was not */
}

/* ====== Statements ====== */

/* By SQLSTATE, PostgreSQL's appendix A. The last of these may come after a commit. */
static mle_status status_of(const char *state) {
  static const struct {
    const char *state;
    mle_status status;
  } known[] = {
      {"23505", MLE_EEXISTS},  {"40", MLE_EBUSY},     {"42501", MLE_EREFUSED}, {"28", MLE_EREFUSED},
      {"55P03", MLE_EBUSY},    {"57014", MLE_ETIMEOUT}, {"25006", MLE_EREFUSED}, {"08", MLE_EUNKNOWN},
      {"57P", MLE_EUNKNOWN},
  };
  if (state == NULL) return MLE_EUNKNOWN;
  for (size_t i = 0; i < sizeof known / sizeof *known; i++)
    if (strncmp(state, known[i].state, strlen(known[i].state)) == 0) return known[i].status;
  return MLE_EIO;
}

static mle_status fail_lost(const postgres_door *d, mle_error *err) {
  char text[SAID_MAX];
  mle_fail(err, MLE_EUNKNOWN, "PostgreSQL at %s: the connection broke: %s", d->label,
           said(d, pq.PQerrorMessage(d->connection), text));
  return MLE_EUNKNOWN;
}

static mle_status check_result(const postgres_door *d, const PGresult *result, mle_error *err) {
  ExecStatusType kind = pq.PQresultStatus(result);
  char text[SAID_MAX];
  if (kind == PGRES_COMMAND_OK || kind == PGRES_TUPLES_OK) return MLE_OK;
  const char *state = pq.PQresultErrorField(result, PG_DIAG_SQLSTATE);
  mle_status status = status_of(state);
  mle_fail(err, status, "PostgreSQL at %s: %s%s%s", d->label,
           said(d, pq.PQresultErrorMessage(result), text), state == NULL ? "" : ", SQLSTATE ",
           state == NULL ? "" : state);
  return status;
}

static mle_status send_all(postgres_door *d, int64_t deadline, mle_error *err) {
  for (;;) {
    int left = pq.PQflush(d->connection);
    if (left == 0) return MLE_OK;
    if (left < 0) return fail_lost(d, err);
    MLE_TRY(wait_for(d, POLLOUT | POLLIN, deadline, err));
    if (!pq.PQconsumeInput(d->connection)) return fail_lost(d, err);
  }
}

/* The last result of a statement; `*out` must be cleared, also after a failure. */
static mle_status execute(postgres_door *d, const char *sql, const char *const *parameters,
                          PGresult **out, mle_error *err) {
  int64_t deadline = mle_now_ms() + WAIT_MS;
  int count = 0;
  *out = NULL;
  while (parameters != NULL && parameters[count] != NULL) count++;
  if (!pq.PQsendQueryParams(d->connection, sql, count, NULL, parameters, NULL, NULL, 0))
    return fail_lost(d, err);
  MLE_TRY(send_all(d, deadline, err));
  for (;;) {
    while (pq.PQisBusy(d->connection)) {
      MLE_TRY(wait_for(d, POLLIN, deadline, err));
      if (!pq.PQconsumeInput(d->connection)) return fail_lost(d, err);
    }
    PGresult *next = pq.PQgetResult(d->connection);
    if (next == NULL) break;
    pq.PQclear(*out);
    *out = next;
  }
  return *out == NULL ? fail_lost(d, err) : check_result(d, *out, err);
}

/* A connection in the middle of something is of no more use. */
static mle_status ask(postgres_door *d, const char *sql, const char *const *parameters,
                      PGresult **out, mle_error *err) {
  *out = NULL;
  MLE_TRY(need_connection(d, err));
  mle_status status = execute(d, sql, parameters, out, err);
  bool cut = status == MLE_EUNKNOWN || status == MLE_ETIMEOUT || status == MLE_ECANCELLED;
  if (cut && *out == NULL) {
    disconnect(d);
    if (status == MLE_ETIMEOUT && err != NULL) err->status = MLE_EUNKNOWN;
    if (status == MLE_ETIMEOUT) status = MLE_EUNKNOWN; /* it may still be at it */
  }
  return status;
}

static mle_status run(mle_sql_door *door, const char *sql, const char *const *parameters,
                      int64_t *changed, mle_error *err) {
  PGresult *result;
  mle_status status = ask(cast(door), sql, parameters, &result, err);
  if (status == MLE_OK && changed != NULL) *changed = strtoll(pq.PQcmdTuples(result), NULL, 10);
  pq.PQclear(result);
  return status;
}

/* A question that broke off is asked once more: a server was started anew meanwhile. */
static mle_status query(mle_sql_door *door, const char *sql, const char *const *parameters,
                        mle_sql_visit visit, void *context, mle_error *err) {
  postgres_door *d = cast(door);
  PGresult *result;
  const char *columns[4] = {0};
  mle_status status = ask(d, sql, parameters, &result, err);
  if (status == MLE_EUNKNOWN && !mle_cancelled()) {
    pq.PQclear(result);
    status = ask(d, sql, parameters, &result, err);
  }
  for (int i = 0; status == MLE_OK && i < pq.PQntuples(result); i++) {
    for (int k = 0; k < pq.PQnfields(result) && k < 4; k++)
      columns[k] = pq.PQgetisnull(result, i, k) ? NULL : pq.PQgetvalue(result, i, k);
    status = visit(context, columns, err);
  }
  pq.PQclear(result);
  if (status == MLE_EUNKNOWN && err != NULL) err->status = MLE_EIO, err->retryable = true;
  return status == MLE_EUNKNOWN ? MLE_EIO : status;
}

/* ====== What is there ====== */

static mle_status connect(mle_sql_door *door, bool create, bool *there, mle_error *err) {
  (void)create;
  *there = true;
  return need_connection(cast(door), err);
}

static mle_status note_row(void *context, const char *const *columns, mle_error *err) {
  (void)columns, (void)err;
  *(bool *)context = true;
  return MLE_OK;
}

static mle_status has_table(mle_sql_door *door, const char *table, bool *out, mle_error *err) {
  const char *const name[] = {table, NULL};
  *out = false;
  return query(door, "select 1 where to_regclass($1) is not null", name, note_row, out, err);
}

static mle_status has_column(mle_sql_door *door, const char *table, const char *column, bool *out,
                             mle_error *err) {
  const char *const names[] = {table, column, NULL};
  *out = false;
  return query(door,
               "select 1 from pg_attribute where attrelid = to_regclass($1) and attname = $2"
               " and not attisdropped",
               names, note_row, out, err);
}

static const mle_sql_door_class postgres_class = {
    .connect = connect,
    .has_table = has_table,
    .has_column = has_column,
    .run = run,
    .query = query,
    .close = close_postgres,
};
