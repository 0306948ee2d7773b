#include "engine/frame/query.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "engine/base/cancel.h"
#include "engine/frame/remote.h"

#define STREAM_SHARE 8 /* of the session's memory, for the rows that wait to be fetched */

mle_status mle_query(mle_connection *c, const char *sql, duckdb_result *out, mle_error *err) {
  if (duckdb_query(c->handle, sql, out) == DuckDBSuccess) return MLE_OK;
  return mle_query_fail(c, duckdb_result_error(out), err);
}

mle_status mle_run(mle_session *session, const char *sql, mle_error *err) {
  mle_connection *c;
  duckdb_result result = {0};
  MLE_TRY(mle_connect(session, &c, err));
  mle_status status = mle_query(c, sql, &result, err);
  duckdb_destroy_result(&result);
  mle_disconnect(c);
  return status;
}

/* Below 16 MB one thread does the reading; the buffer is outside DuckDB's memory limit. */
mle_status mle_connection_stream(mle_connection *c, mle_error *err) {
  duckdb_result result = {0};
  char sql[64];
  int64_t megabytes = mle_session_memory(c->session) / STREAM_SHARE >> 20;
  if (megabytes < 16) megabytes = 16;
  if (megabytes > 64) megabytes = 64;
  snprintf(sql, sizeof sql, "SET streaming_buffer_size = '%lldMB'", (long long)megabytes);
  mle_status status = mle_query(c, sql, &result, err);
  duckdb_destroy_result(&result);
  return status;
}

static mle_status take_int(duckdb_result result, int64_t *out, mle_error *err) {
  duckdb_data_chunk chunk = duckdb_fetch_chunk(result);
  if (chunk == NULL) return mle_fail(err, MLE_EFORMAT, "DuckDB gave no row");
  const int64_t *values = duckdb_vector_get_data(duckdb_data_chunk_get_vector(chunk, 0));
  *out = values[0];
  duckdb_destroy_data_chunk(&chunk);
  return MLE_OK;
}

mle_status mle_query_int(mle_connection *c, const char *sql, int64_t *out, mle_error *err) {
  duckdb_result result = {0};
  *out = 0;
  mle_status status = mle_query(c, sql, &result, err);
  if (status == MLE_OK) status = take_int(result, out, err);
  duckdb_destroy_result(&result);
  return status;
}

mle_status mle_prepare(mle_connection *c, const char *sql, duckdb_prepared_statement *out,
                       mle_error *err) {
  if (duckdb_prepare(c->handle, sql, out) == DuckDBSuccess) return MLE_OK;
  mle_status status = mle_query_fail(c, duckdb_prepare_error(*out), err);
  duckdb_destroy_prepare(out);
  return status;
}

/* ====== What DuckDB says, as one line ====== */

static const struct kind {
  const char *prefix;
  mle_status status;
} kinds[] = {
    {"Out of Memory Error: ", MLE_ENOMEM},    {"IO Error: ", MLE_EIO},
    {"HTTP Error: ", MLE_EIO},                {"INTERRUPT Error: ", MLE_ECANCELLED},
    {"Catalog Error: ", MLE_EINVAL},          {"Binder Error: ", MLE_EINVAL},
    {"Parser Error: ", MLE_EINVAL},           {"Conversion Error: ", MLE_EFORMAT},
    {"Invalid Input Error: ", MLE_EINVAL},    {"Out of Range Error: ", MLE_EINVAL},
    {"Constraint Error: ", MLE_EINVAL},       {"Permission Error: ", MLE_EREFUSED},
    {"Not implemented Error: ", MLE_EUNSUPPORTED}, {"Mismatch Type Error: ", MLE_EINVAL},
    {"Serialization Error: ", MLE_EFORMAT},   {"INTERNAL Error: ", MLE_EIO},
    {"FATAL Error: ", MLE_EIO},               {"Invalid Error: ", MLE_EIO},
};

static bool starts_with(const char *text, const char *prefix) {
  return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* "Attempting to fetch from ...\nError: IO Error: x" is about "IO Error: x". */
static const char *skip_wrappers(const char *message) {
  static const char wrapper[] = "\nError: ";
  for (const char *at; (at = strstr(message, wrapper)) != NULL;) message = at + sizeof wrapper - 1;
  return message;
}

static bool is_broken(const char *message) {
  return starts_with(message, "INTERNAL Error: ") || starts_with(message, "FATAL Error: ");
}

/* Lines after the first are pictures, and hints about options our users do not have, but for these. */
static bool is_worth_keeping(const char *line) {
  static const char *const keep[] = {"Candidate bindings", "Candidate functions", "Candidate tables",
                                     "\t", "Did you mean", "Expected Number", "Error when conv",
                                     "  file = ", NULL};
  for (const char *const *prefix = keep; *prefix != NULL; prefix++)
    if (starts_with(line, *prefix) && line[strspn(line, "\t ")] != '\n') return true;
  return false;
}

static void append(mle_error *err, const char *text, size_t len) {
  size_t have = strlen(err->message);
  size_t room = sizeof err->message - 1 - have;
  if (len > room) len = room;
  memcpy(err->message + have, text, len);
  err->message[have + len] = '\0';
}

static void keep_lines(mle_error *err, const char *message) {
  size_t len = strcspn(message, "\n");
  err->message[0] = '\0';
  append(err, message, len);
  while (message[len] != '\0') {
    message += len + 1;
    len = strcspn(message, "\n");
    if (!is_worth_keeping(message)) continue;
    size_t skip = strspn(message, " \t");
    append(err, "; ", 2);
    append(err, message + skip, len - skip);
  }
}

mle_status mle_query_fail(mle_connection *c, const char *message, mle_error *err) {
  if (mle_cancelled()) return mle_cancel_fail(err, "reading rows");
  if (message == NULL) message = "failed without saying why";
  message = skip_wrappers(message);
  bool broken = is_broken(message);
  if (broken) mle_connection_broken(c);
  mle_status status = MLE_EIO;
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
    if (!starts_with(message, kinds[i].prefix)) continue;
    message += strlen(kinds[i].prefix);
    status = kinds[i].status;
    break;
  }
  mle_fail(err, status, "%s", "");
  if (err == NULL) return status;
  keep_lines(err, message);
  mle_remotes_failed(mle_session_remotes(c->session), err);
  if (broken) return mle_context(err, "DuckDB failed inside and was started anew");
  return status;
}
