#include "engine/frame/session.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "engine/base/alloc.h"
#include "engine/base/cancel.h"
#include "engine/base/file.h"
#include "engine/base/parallel.h"
#include "engine/frame/functions.h"
#include "engine/frame/query.h"
#include "engine/frame/remote.h"

#define WATCH_EVERY_NS 50000000 /* between two looks at the request to stop */

typedef struct database {
  duckdb_database handle;
  int generation;
  int connections;
  bool broken; /* said INTERNAL or FATAL: closes with its last connection */
} database;

struct mle_session {
  atomic_int holders;
  int threads;
  int64_t memory_max;
  char *temp_folder; /* of this session alone */
  mle_remotes *remotes;
  pthread_mutex_t lock; /* guards all below */
  pthread_cond_t changed;
  database *database; /* NULL until the first connection */
  int generation;
  mle_connection *connections;
  pthread_t watcher;
  bool watching, closing;
};

/* ====== Interrupting ====== */

static void wait_a_while(mle_session *session) {
  struct timespec until;
  clock_gettime(CLOCK_REALTIME, &until);
  until.tv_nsec += WATCH_EVERY_NS;
  if (until.tv_nsec >= 1000000000) {
    until.tv_sec++;
    until.tv_nsec -= 1000000000;
  }
  pthread_cond_timedwait(&session->changed, &session->lock, &until);
}

/* Interrupts repeatedly: one that comes before its query has begun is lost. */
static void *watch(void *arg) {
  mle_session *session = arg;
  pthread_mutex_lock(&session->lock);
  while (!session->closing) {
    if (session->connections == NULL) {
      pthread_cond_wait(&session->changed, &session->lock);
      continue;
    }
    if (mle_cancelled())
      for (mle_connection *c = session->connections; c != NULL; c = c->next)
        duckdb_interrupt(c->handle);
    wait_a_while(session);
  }
  pthread_mutex_unlock(&session->lock);
  return NULL;
}

/* Signals stay with the threads that expect them. */
static mle_status start_watcher(mle_session *session, mle_error *err) {
  sigset_t all, before;
  if (session->watching) return MLE_OK;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int failed = pthread_create(&session->watcher, NULL, watch, session);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (failed) return mle_fail(err, MLE_EIO, "cannot start a thread: %s", strerror(failed));
  session->watching = true;
  return MLE_OK;
}

/* ====== The database ====== */

static mle_status set(duckdb_config config, const char *name, const char *value, mle_error *err) {
  if (duckdb_set_config(config, name, value) == DuckDBSuccess) return MLE_OK;
  return mle_fail(err, MLE_EINVAL, "DuckDB refuses the setting %s = '%s'", name, value);
}

static mle_status configure(mle_session *session, duckdb_config config, mle_error *err) {
  char number[32];
  MLE_TRY(set(config, "autoload_known_extensions", "false", err));
  MLE_TRY(set(config, "autoinstall_known_extensions", "false", err));
  MLE_TRY(set(config, "allow_community_extensions", "false", err));
  MLE_TRY(set(config, "allow_persistent_secrets", "false", err));
  MLE_TRY(set(config, "preserve_insertion_order", "true", err));
  MLE_TRY(set(config, "temp_directory", session->temp_folder, err));
  MLE_TRY(set(config, "allocator_background_threads", "true", err));
  snprintf(number, sizeof number, "%d", session->threads);
  MLE_TRY(set(config, "threads", number, err));
  snprintf(number, sizeof number, "%lldB", (long long)session->memory_max);
  return set(config, "memory_limit", number, err);
}

static void close_database(database *db) {
  if (db == NULL) return;
  duckdb_close(&db->handle);
  mle_free(db);
}

static mle_status set_up(database *db, mle_error *err) {
  duckdb_connection c = NULL;
  mle_status status = MLE_OK;
  if (duckdb_connect(db->handle, &c) != DuckDBSuccess) return mle_nomem(err, "connecting to DuckDB");
  /* A file's footer is read by who looks at its layout, by scans and by their repetitions: once. A file that
   * was changed since, or less than ten seconds ago, is not taken from there. */
  if (duckdb_query(c, "SET GLOBAL TimeZone = 'UTC'; SET GLOBAL parquet_metadata_cache = true; "
                      "CREATE SCHEMA mle", NULL) != DuckDBSuccess)
    status = mle_fail(err, MLE_EIO, "DuckDB refuses its first settings");
  if (status == MLE_OK) status = mle_functions_register(c, err);
  duckdb_disconnect(&c);
  return status;
}

static mle_status open_database(mle_session *session, database **out, mle_error *err) {
  mle_status status = MLE_ENOMEM;
  duckdb_config config = NULL;
  char *message = NULL;
  *out = NULL;
  database *db = mle_calloc(1, sizeof *db);
  if (db == NULL || duckdb_create_config(&config) != DuckDBSuccess) {
    mle_nomem(err, "opening DuckDB");
    goto done;
  }
  MLE_GO(configure(session, config, err));
  if (duckdb_open_ext(NULL, &db->handle, config, &message) != DuckDBSuccess) {
    status = mle_fail(err, MLE_EIO, "opening DuckDB: %s", message == NULL ? "failed" : message);
    goto done;
  }
  MLE_GO(set_up(db, err));
  db->generation = ++session->generation;
  *out = db;
  db = NULL;
done:
  duckdb_free(message);
  duckdb_destroy_config(&config);
  close_database(db);
  return status;
}

/* ====== Connections ====== */

static mle_status use_database(mle_session *session, mle_error *err) {
  if (session->database != NULL && session->database->broken) session->database = NULL;
  if (session->database == NULL) MLE_TRY(open_database(session, &session->database, err));
  return start_watcher(session, err);
}

static mle_status connect_locked(mle_session *session, mle_connection *c, mle_error *err) {
  MLE_TRY(use_database(session, err));
  if (duckdb_connect(session->database->handle, &c->handle) != DuckDBSuccess)
    return mle_nomem(err, "connecting to DuckDB");
  c->session = mle_session_ref(session);
  c->database = session->database;
  c->database->connections++;
  c->next = session->connections;
  c->at = &session->connections;
  if (c->next != NULL) c->next->at = &c->next;
  session->connections = c;
  pthread_cond_signal(&session->changed);
  return MLE_OK;
}

static mle_status connect_new(mle_session *session, mle_connection **out, mle_error *err) {
  *out = NULL;
  if (mle_cancelled()) return mle_cancel_fail(err, "reading rows");
  mle_connection *c = mle_calloc(1, sizeof *c);
  if (c == NULL) return mle_nomem(err, "connecting to DuckDB");
  pthread_mutex_lock(&session->lock);
  mle_status status = connect_locked(session, c, err);
  pthread_mutex_unlock(&session->lock);
  if (status != MLE_OK) {
    mle_free(c);
    return status;
  }
  *out = c;
  return MLE_OK;
}

void mle_disconnect(mle_connection *c) {
  if (c == NULL) return;
  mle_session *session = c->session;
  pthread_mutex_lock(&session->lock);
  *c->at = c->next;
  if (c->next != NULL) c->next->at = c->at;
  pthread_mutex_unlock(&session->lock); /* nobody can interrupt it from here on */
  duckdb_disconnect(&c->handle);
  pthread_mutex_lock(&session->lock);
  bool last = --c->database->connections == 0 && c->database->broken;
  if (last && session->database == c->database) session->database = NULL;
  pthread_mutex_unlock(&session->lock);
  if (last) close_database(c->database);
  mle_free(c);
  mle_session_close(session);
}

/* What is on other machines can be read as soon as there is a connection. */
mle_status mle_connect(mle_session *session, mle_connection **out, mle_error *err) {
  MLE_TRY(connect_new(session, out, err));
  mle_status status = mle_remotes_ready(session->remotes, *out, err);
  if (status == MLE_OK) return MLE_OK;
  mle_disconnect(*out);
  *out = NULL;
  return status;
}

int mle_connection_generation(const mle_connection *c) { return c->database->generation; }

void mle_connection_broken(mle_connection *c) {
  pthread_mutex_lock(&c->session->lock);
  c->database->broken = true;
  pthread_mutex_unlock(&c->session->lock);
}

/* ====== Sessions ====== */

static int64_t half_of_memory(void) {
  return (int64_t)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE) / 2;
}

static char *own_temp_folder(const char *folder) {
  static atomic_int sessions;
  if (folder == NULL) folder = getenv("TMPDIR");
  if (folder == NULL) folder = "/tmp";
  return mle_format("%s/duckdb-%d-%d", folder, (int)getpid(), atomic_fetch_add(&sessions, 1));
}

mle_status mle_session_open(const mle_session_options *options, mle_session **out,
                            mle_error *err) {
  *out = NULL;
  mle_session *session = mle_calloc(1, sizeof *session);
  if (session == NULL) return mle_nomem(err, "opening DuckDB");
  session->temp_folder = own_temp_folder(options->temp_folder);
  session->remotes = mle_remotes_new();
  if (session->temp_folder == NULL || session->remotes == NULL) {
    mle_remotes_free(session->remotes);
    mle_free(session->temp_folder);
    mle_free(session);
    return mle_nomem(err, "opening DuckDB");
  }
  session->holders = 1;
  session->threads = options->threads > 0 ? options->threads : (int)mle_processors();
  session->memory_max = options->memory_max > 0 ? options->memory_max : half_of_memory();
  pthread_mutex_init(&session->lock, NULL);
  pthread_cond_init(&session->changed, NULL);
  *out = session;
  return MLE_OK;
}

mle_session *mle_session_ref(mle_session *session) {
  atomic_fetch_add(&session->holders, 1);
  return session;
}

int mle_session_threads(const mle_session *session) { return session->threads; }
int64_t mle_session_memory(const mle_session *session) { return session->memory_max; }

const char *mle_session_temp_folder(const mle_session *session) { return session->temp_folder; }

mle_remotes *mle_session_remotes(mle_session *session) { return session->remotes; }

static void stop_watcher(mle_session *session) {
  if (!session->watching) return;
  pthread_mutex_lock(&session->lock);
  session->closing = true;
  pthread_cond_signal(&session->changed);
  pthread_mutex_unlock(&session->lock);
  pthread_join(session->watcher, NULL);
}

void mle_session_close(mle_session *session) {
  if (session == NULL || atomic_fetch_sub(&session->holders, 1) > 1) return;
  stop_watcher(session);
  close_database(session->database);
  mle_remove_tree(session->temp_folder, NULL);
  pthread_cond_destroy(&session->changed);
  pthread_mutex_destroy(&session->lock);
  mle_remotes_free(session->remotes);
  mle_free(session->temp_folder);
  mle_free(session);
}

/* ====== The process's session ====== */

static pthread_mutex_t shared_lock = PTHREAD_MUTEX_INITIALIZER;
static mle_session *shared;
static mle_session_options shared_options;
static char *shared_folder; /* the text of shared_options.temp_folder */

/* Closing would cost a millisecond and free what dies anyway; spilled files would stay. */
static void remove_spilled(void) { mle_remove_tree(shared->temp_folder, NULL); }

mle_status mle_session_configure(const mle_session_options *options, mle_error *err) {
  mle_status status = MLE_OK;
  char *folder = mle_strdup(options->temp_folder);
  if (folder == NULL && options->temp_folder != NULL) return mle_nomem(err, "configuring DuckDB");
  pthread_mutex_lock(&shared_lock);
  if (shared != NULL) {
    status = mle_fail(err, MLE_EREFUSED, "DuckDB is configured before its first use, not after");
    mle_free(folder);
  } else {
    mle_free(shared_folder);
    shared_folder = folder;
    shared_options = *options;
    shared_options.temp_folder = folder;
  }
  pthread_mutex_unlock(&shared_lock);
  return status;
}

mle_status mle_session_shared(mle_session **out, mle_error *err) {
  mle_status status = MLE_OK;
  pthread_mutex_lock(&shared_lock);
  if (shared == NULL) {
    status = mle_session_open(&shared_options, &shared, err);
    if (status == MLE_OK) atexit(remove_spilled);
  }
  *out = shared;
  pthread_mutex_unlock(&shared_lock);
  return status;
}
