#include "engine/frame/remote.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/base/file.h"
#include "engine/frame/frame.h"
#include "engine/store/grant.h"
#include "engine/store/store.h"

#define REGION_MAX 64
#define SQL_TEXT_MAX ((size_t)64 << 10)
#define THREADS_MIN 16 /* each waits for one request most of the time */

typedef struct remote {
  char *scope, *uri;        /* the prefix; a file below it */
  const mle_access *access; /* what the secret was made of; NULL: there is none yet */
  int generation;           /* of the database that has it */
  size_t number;            /* in the secret's name */
} remote;

struct mle_remotes {
  atomic_bool any;
  pthread_mutex_t lock; /* guards all below; held while credentials are fetched */
  remote *items;
  size_t count, numbers; /* how many there are, and were */
  int loaded; /* generation of the database that has the extension; 0: none */
};

mle_remotes *mle_remotes_new(void) {
  mle_remotes *r = mle_calloc(1, sizeof *r);
  if (r != NULL) pthread_mutex_init(&r->lock, NULL);
  return r;
}

void mle_remotes_free(mle_remotes *r) {
  if (r == NULL) return;
  for (size_t i = 0; i < r->count; i++) {
    mle_access_free(r->items[i].access);
    mle_free(r->items[i].scope);
    mle_free(r->items[i].uri);
  }
  pthread_mutex_destroy(&r->lock);
  mle_free(r->items);
  mle_free(r);
}

/* ====== Noting ====== */

static mle_status add_locked(mle_remotes *r, char *scope, const char *path, mle_error *err) {
  for (size_t i = 0; i < r->count; i++)
    if (strcmp(r->items[i].scope, scope) == 0) {
      mle_free(scope);
      return MLE_OK;
    }
  remote *items = mle_realloc_array(r->items, r->count + 1, sizeof *items);
  char *uri = mle_strdup(path);
  if (items != NULL) r->items = items;
  if (items == NULL || uri == NULL) {
    mle_free(uri);
    mle_free(scope);
    return mle_nomem(err, "planning a scan");
  }
  items[r->count++] = (remote){.scope = scope, .uri = uri, .number = r->numbers++};
  atomic_store(&r->any, true);
  return MLE_OK;
}

mle_status mle_remotes_add(mle_remotes *r, const char *path, mle_error *err) {
  if (!mle_store_is_remote(path)) return MLE_OK;
  char *scope = mle_store_scope(path);
  if (scope == NULL) return mle_nomem(err, "planning a scan");
  pthread_mutex_lock(&r->lock);
  mle_status status = add_locked(r, scope, path, err);
  pthread_mutex_unlock(&r->lock);
  return status;
}

/* ====== The extension ====== */

static mle_status run(mle_connection *c, const char *sql, mle_error *err) {
  duckdb_result result = {0};
  mle_status status = MLE_OK;
  if (duckdb_query(c->handle, sql, &result) != DuckDBSuccess)
    status = mle_fail(err, MLE_EIO, "DuckDB: %.300s", duckdb_result_error(&result));
  duckdb_destroy_result(&result);
  return status;
}

static const char *extension(void) {
  const char *own = getenv("MLENGINE_HTTPFS");
  return own == NULL || *own == '\0' ? MLE_HTTPFS : own;
}

/* Keys are taken as they are (which enable_global_s3_configuration = false would undo); files of a table never change, so what was learnt of them holds. */
static const char settings[] =
    "SET GLOBAL s3_url_compatibility_mode = true;"
    "SET GLOBAL enable_server_cert_verification = true;"
    "SET GLOBAL enable_curl_server_cert_verification = true;"
    "SET GLOBAL enable_external_file_cache = false; SET GLOBAL enable_http_metadata_cache = true;"
    "SET GLOBAL httpfs_connection_caching = true; SET GLOBAL http_retries = 5;"
    "SET GLOBAL http_retry_wait_ms = 200";

static mle_status load(mle_connection *c, mle_error *err) {
  char number[80];
  int threads = mle_session_threads(c->session);
  mle_buffer sql = MLE_BUFFER(SQL_TEXT_MAX);
  mle_status status;
  if (!mle_file_exists(extension()))
    return mle_fail(err, MLE_ENOTFOUND,
                    "reading from S3 needs DuckDB's httpfs, and '%s' is not there: run sh vendor/fetch, "
                    "or say where it is by MLENGINE_HTTPFS", extension());
  snprintf(number, sizeof number, "SET GLOBAL threads = %d", threads > THREADS_MIN ? threads : THREADS_MIN);
  MLE_GO(mle_buffer_puts(&sql, "LOAD ", err));
  MLE_GO(mle_sql_text(&sql, extension(), strlen(extension()), err));
  MLE_GO(run(c, sql.data, err));
  MLE_GO(run(c, settings, err));
  MLE_GO(run(c, number, err));
done:
  mle_buffer_release(&sql);
  return status == MLE_OK ? MLE_OK : mle_context(err, "opening DuckDB's httpfs");
}

/* ====== Secrets ====== */

/* "host:port" and whether it is https. */
static const char *bare_endpoint(const mle_access *access, bool *secure) {
  *secure = strncmp(access->endpoint, "http://", 7) != 0;
  const char *host = strstr(access->endpoint, "://");
  return host == NULL ? NULL : host + 3;
}

static mle_status put_scopes(mle_buffer *sql, const char *scope, mle_error *err) {
  static const char *const schemes[] = {"s3", "s3a", "s3n"};
  const char *rest = strstr(scope, "://");
  char *text;
  MLE_TRY(mle_buffer_puts(sql, ", SCOPE [", err));
  for (size_t i = 0; i < 3; i++) {
    if (i > 0) MLE_TRY(mle_buffer_puts(sql, ", ", err));
    if ((text = mle_format("%s%s", schemes[i], rest)) == NULL) return mle_nomem(err, "planning a scan");
    mle_status status = mle_sql_text(sql, text, strlen(text), err);
    mle_free(text);
    MLE_TRY(status);
  }
  return mle_buffer_puts(sql, "])", err);
}

/* The keys are parameters, so no text that DuckDB may show holds them. */
static mle_status put_secret(mle_buffer *sql, const remote *to, const mle_access *access,
                             const char *region, mle_error *err) {
  bool secure;
  const char *endpoint = bare_endpoint(access, &secure);
  MLE_TRY(mle_buffer_printf(sql, err, "CREATE OR REPLACE TEMPORARY SECRET mle_%zu (TYPE s3, PROVIDER config, REGION ", to->number));
  MLE_TRY(mle_sql_text(sql, region, strlen(region), err));
  if (!access->anonymous) MLE_TRY(mle_buffer_puts(sql, ", KEY_ID $1, SECRET $2", err));
  if (access->keys.session_token != NULL) MLE_TRY(mle_buffer_puts(sql, ", SESSION_TOKEN $3", err));
  if (endpoint != NULL) {
    MLE_TRY(mle_buffer_puts(sql, ", ENDPOINT ", err));
    MLE_TRY(mle_sql_text(sql, endpoint, strlen(endpoint), err));
  }
  MLE_TRY(mle_buffer_printf(sql, err, ", URL_STYLE '%s', USE_SSL %s",
                            access->virtual_host ? "vhost" : "path", secure ? "true" : "false"));
  return put_scopes(sql, to->scope, err);
}

static mle_status execute(mle_connection *c, const char *sql, const mle_aws_keys *keys, mle_error *err) {
  const char *const values[] = {keys->access_key_id, keys->secret_access_key, keys->session_token};
  duckdb_prepared_statement statement = NULL;
  duckdb_result result = {0};
  bool fine = duckdb_prepare(c->handle, sql, &statement) == DuckDBSuccess;
  for (idx_t i = 0; fine && i < 3; i++)
    if (values[i] != NULL) fine = duckdb_bind_varchar(statement, i + 1, values[i]) == DuckDBSuccess;
  if (fine) fine = duckdb_execute_prepared(statement, &result) == DuckDBSuccess;
  duckdb_destroy_result(&result);
  duckdb_destroy_prepare(&statement);
  return fine ? MLE_OK : mle_fail(err, MLE_EIO, "DuckDB refuses the credentials for S3");
}

static mle_status set_one(mle_connection *c, const char *name, const char *value, mle_error *err) {
  mle_buffer sql = MLE_BUFFER(SQL_TEXT_MAX);
  mle_status status;
  MLE_GO(mle_buffer_printf(&sql, err, "SET GLOBAL %s = ", name));
  MLE_GO(mle_sql_text(&sql, value, strlen(value), err));
  MLE_GO(run(c, sql.data, err));
done:
  mle_buffer_release(&sql);
  return status;
}

/* "http://user:password@host:port" in three settings. */
static mle_status set_proxy(mle_connection *c, const char *proxy, mle_error *err) {
  const char *host = strstr(proxy, "://");
  host = host == NULL ? proxy : host + 3;
  const char *at = strrchr(host, '@'), *colon = at == NULL ? NULL : memchr(host, ':', (size_t)(at - host));
  mle_status status = MLE_OK;
  if (colon != NULL) {
    char *user = mle_strndup(host, (size_t)(colon - host));
    char *password = mle_strndup(colon + 1, (size_t)(at - colon - 1));
    if (user == NULL || password == NULL) status = mle_nomem(err, "planning a scan");
    if (status == MLE_OK) status = set_one(c, "http_proxy_username", user, err);
    if (status == MLE_OK) status = set_one(c, "http_proxy_password", password, err);
    mle_free(user);
    mle_free(password);
  }
  return status == MLE_OK ? set_one(c, "http_proxy", at == NULL ? host : at + 1, err) : status;
}

/* These hold for the whole database: one process reads through one proxy. */
static mle_status set_ways(mle_connection *c, const mle_access *access, mle_error *err) {
  char seconds[24];
  snprintf(seconds, sizeof seconds, "%lld", (long long)(access->request_ms / 1000 < 30 ? access->request_ms / 1000 + 1 : 30));
  MLE_TRY(set_one(c, "http_timeout", seconds, err));
  if (access->ca_file != NULL) MLE_TRY(set_one(c, "ca_cert_file", access->ca_file, err));
  return access->proxy != NULL ? set_proxy(c, access->proxy, err) : MLE_OK;
}

static mle_status make_secret(mle_connection *c, const remote *to, const mle_access *access,
                              mle_error *err) {
  char region[REGION_MAX];
  mle_buffer sql = MLE_BUFFER(SQL_TEXT_MAX);
  mle_status status;
  mle_store_region(to->uri, access, region, sizeof region);
  MLE_GO(put_secret(&sql, to, access, region, err));
  MLE_GO(set_ways(c, access, err));
  MLE_GO(execute(c, sql.data, &access->keys, err));
done:
  mle_buffer_release(&sql);
  return status;
}

/* Credentials that cannot be had anew leave those there were: whether they still do, S3 says to who reads there. */
static mle_status ready_one(remote *one, mle_connection *c, mle_error *err) {
  const mle_access *access;
  mle_status status = mle_store_access(one->uri, &access, err);
  if (status != MLE_OK && one->access == NULL) return mle_context(err, "%s", one->uri);
  bool anew = status == MLE_OK && (one->access == NULL || one->access->number != access->number);
  bool known = !anew && one->generation == mle_connection_generation(c);
  const mle_access *with = status == MLE_OK ? access : one->access;
  mle_status made = known ? MLE_OK : make_secret(c, one, with, err);
  if (status == MLE_OK && made == MLE_OK) {
    mle_access_free(one->access);
    one->access = access;
  } else if (status == MLE_OK) {
    mle_access_free(access);
  }
  if (made == MLE_OK) one->generation = mle_connection_generation(c);
  return made;
}

/* What could never be read is told once, to who wanted it: others read elsewhere. */
static void forget(mle_remotes *r, size_t i) {
  mle_access_free(r->items[i].access);
  mle_free(r->items[i].scope);
  mle_free(r->items[i].uri);
  r->items[i] = r->items[--r->count];
}

mle_status mle_remotes_ready(mle_remotes *r, mle_connection *c, mle_error *err) {
  if (!atomic_load(&r->any)) return MLE_OK;
  mle_status status = MLE_OK;
  pthread_mutex_lock(&r->lock);
  if (r->loaded != mle_connection_generation(c)) status = load(c, err);
  if (status == MLE_OK) r->loaded = mle_connection_generation(c);
  for (size_t i = 0; i < r->count && status == MLE_OK; i++) {
    status = ready_one(&r->items[i], c, err);
    if (status != MLE_OK && r->items[i].access == NULL) forget(r, i);
  }
  pthread_mutex_unlock(&r->lock);
  return status;
}

/* ====== After a failure ====== */

/* DuckDB keeps to itself why a server said 400 or 403. The next connection shall have newer
 * credentials, if there are any; then the old ones are the likely reason. */
static bool has_newer(const remote *one) {
  const mle_access *newer;
  if (one->access == NULL) return false;
  if (mle_store_access_anew(one->uri, one->access, &newer, NULL) != MLE_OK) return false;
  bool is_newer = newer->number != one->access->number;
  mle_access_free(newer);
  return is_newer;
}

static bool was_refused(const char *message) {
  return strstr(message, "HTTP 400") != NULL || strstr(message, "HTTP 403") != NULL ||
         strstr(message, "ExpiredToken") != NULL;
}

void mle_remotes_failed(mle_remotes *r, mle_error *err) {
  if (!atomic_load(&r->any)) return;
  bool refused = was_refused(err->message), expired = false;
  pthread_mutex_lock(&r->lock);
  for (size_t i = 0; i < r->count; i++) {
    if (r->items[i].access != NULL) mle_access_mask(r->items[i].access, err->message);
    if (refused) expired |= has_newer(&r->items[i]);
  }
  pthread_mutex_unlock(&r->lock);
  if (!expired) return;
  mle_context(err, "the credentials for S3 were replaced while rows were read; try again");
  err->retryable = true;
}
