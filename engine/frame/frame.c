#include "engine/frame/frame.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/frame/blame.h"
#include "engine/frame/query.h"
#include "engine/frame/recipe.h"
#include "engine/frame/type.h"

/* ====== A life ====== */

mle_status mle_frame_take(mle_session *session, char *sql, char *positioned, mle_frame **out,
                          mle_error *err) {
  *out = NULL;
  mle_frame *frame = sql == NULL ? NULL : mle_calloc(1, sizeof *frame);
  if (frame == NULL) {
    mle_free(sql);
    mle_free(positioned);
    return mle_nomem(err, "making a frame");
  }
  frame->holders = 1;
  frame->session = mle_session_ref(session);
  frame->sql = sql;
  frame->positioned = positioned;
  frame->known_rows = -1;
  *out = frame;
  return MLE_OK;
}

mle_status mle_frame_from_sql(mle_session *session, const char *sql, mle_frame **out,
                              mle_error *err) {
  return mle_frame_take(session, mle_strdup(sql), NULL, out, err);
}

mle_session *mle_frame_session(const mle_frame *frame) { return frame->session; }

mle_frame *mle_frame_ref(mle_frame *frame) {
  atomic_fetch_add(&frame->holders, 1);
  return frame;
}

mle_status mle_frame_add_parent(mle_frame *frame, mle_frame *parent, mle_error *err) {
  mle_frame **parents =
      mle_realloc_array(frame->parents, frame->num_parents + 1, sizeof *parents);
  if (parents == NULL) return mle_nomem(err, "making a frame");
  parents[frame->num_parents++] = mle_frame_ref(parent);
  frame->parents = parents;
  frame->volatile_ = frame->volatile_ || parent->volatile_;
  if (parent->splits > frame->splits) frame->splits = parent->splits;
  return MLE_OK;
}

static void free_columns(mle_frame_column *columns, size_t count) {
  for (size_t i = 0; columns != NULL && i < count; i++) {
    mle_free(columns[i].name);
    mle_free(columns[i].type);
  }
  mle_free(columns);
}

static void drop_pin(const mle_frame *frame) {
  char *sql = mle_format("DROP TABLE IF EXISTS %s", frame->pin);
  if (sql != NULL) mle_run(frame->session, sql, NULL);
  mle_free(sql);
}

void mle_frame_free(mle_frame *frame) {
  if (frame == NULL || atomic_fetch_sub(&frame->holders, 1) > 1) return;
  if (frame->pin != NULL) drop_pin(frame);
  for (size_t i = 0; i < frame->num_parents; i++) mle_frame_free(frame->parents[i]);
  mle_free(frame->parents);
  mle_source_free(frame->source);
  free_columns(frame->columns, frame->num_columns);
  mle_session_close(frame->session);
  mle_free(frame->pin);
  mle_free(frame->positioned);
  mle_free(frame->sql);
  mle_free(frame);
}

/* ====== Before reading ====== */

mle_status mle_frame_ready(mle_frame *frame, mle_connection *c, mle_error *err) {
  for (size_t i = 0; i < frame->num_parents; i++)
    MLE_TRY(mle_frame_ready(frame->parents[i], c, err));
  if (frame->pin != NULL && frame->pin_generation != mle_connection_generation(c))
    return mle_fail(err, MLE_EIO, "a pinned frame was lost when DuckDB was started anew; run again");
  return MLE_OK;
}

mle_status mle_frame_connect(mle_frame *frame, mle_connection **out, mle_error *err) {
  mle_connection *c;
  *out = NULL;
  MLE_TRY(mle_connect(frame->session, &c, err));
  mle_status status = mle_frame_ready(frame, c, err);
  if (status != MLE_OK) {
    mle_disconnect(c);
    return status;
  }
  *out = c;
  return MLE_OK;
}

mle_status mle_frame_put_positioned(const mle_frame *frame, mle_buffer *sql, mle_error *err) {
  if (frame->positioned != NULL) return mle_buffer_puts(sql, frame->positioned, err);
  return mle_buffer_printf(
      sql, err, "SELECT *, row_number() OVER () - 1 AS " MLE_POSITION " FROM (%s)", frame->sql);
}

/* ====== Columns ====== */

static pthread_mutex_t columns_lock = PTHREAD_MUTEX_INITIALIZER;

static mle_status describe_column(duckdb_prepared_statement statement, idx_t i,
                                  mle_frame_column *out, mle_error *err) {
  mle_buffer text = MLE_BUFFER(MLE_SQL_MAX);
  const char *name = duckdb_prepared_statement_column_name(statement, i);
  duckdb_logical_type type = duckdb_prepared_statement_column_logical_type(statement, i);
  mle_status status = mle_type_text(type, &text, err);
  duckdb_destroy_logical_type(&type);
  if (status == MLE_OK) {
    out->name = mle_strdup(name);
    out->type = mle_buffer_take(&text);
    out->nullable = true;
    if (out->name == NULL || out->type == NULL) status = mle_nomem(err, "listing columns");
  }
  duckdb_free((void *)(uintptr_t)name);
  mle_buffer_release(&text);
  return status;
}

static mle_status describe(duckdb_prepared_statement statement, mle_frame_column **out,
                           size_t *out_count, mle_error *err) {
  mle_status status = MLE_OK;
  idx_t count = duckdb_prepared_statement_column_count(statement);
  mle_frame_column *columns = mle_calloc(count, sizeof *columns);
  if (columns == NULL) return mle_nomem(err, "listing columns");
  for (idx_t i = 0; status == MLE_OK && i < count; i++)
    status = describe_column(statement, i, &columns[i], err);
  if (status != MLE_OK) {
    free_columns(columns, count);
    return status;
  }
  *out = columns;
  *out_count = count;
  return MLE_OK;
}

/* Under the lock. */
static mle_status find_columns(mle_frame *frame, mle_error *err) {
  mle_connection *c;
  duckdb_prepared_statement statement = NULL;
  if (frame->columns != NULL) return MLE_OK;
  MLE_TRY(mle_frame_connect(frame, &c, err));
  mle_status status = mle_prepare(c, frame->sql, &statement, err);
  if (status == MLE_OK) status = describe(statement, &frame->columns, &frame->num_columns, err);
  duckdb_destroy_prepare(&statement);
  mle_disconnect(c);
  return status;
}

mle_status mle_frame_columns(mle_frame *frame, const mle_frame_column **out, size_t *out_count,
                             mle_error *err) {
  while (frame->like != NULL) frame = frame->like;
  pthread_mutex_lock(&columns_lock);
  mle_status status = find_columns(frame, err);
  *out = status == MLE_OK ? frame->columns : NULL;
  *out_count = status == MLE_OK ? frame->num_columns : 0;
  pthread_mutex_unlock(&columns_lock);
  return status;
}

static mle_status no_such_column(const mle_frame_column *columns, size_t count, const char *name,
                                 mle_error *err) {
  char names[400] = "";
  for (size_t i = 0, len = 0; i < count && len < sizeof names; i++)
    len += (size_t)snprintf(names + len, sizeof names - len, "%s%s", i > 0 ? ", " : "",
                            columns[i].name);
  return mle_fail(err, MLE_ENOTFOUND, "there is no column '%s'; there are: %s", name, names);
}

mle_status mle_frame_find_column(mle_frame *frame, const char *name, const mle_frame_column **out,
                                 mle_error *err) {
  const mle_frame_column *columns;
  size_t count;
  *out = NULL;
  MLE_TRY(mle_frame_columns(frame, &columns, &count, err));
  for (size_t i = 0; i < count; i++)
    if (strcmp(columns[i].name, name) == 0) *out = &columns[i];
  return *out != NULL ? MLE_OK : no_such_column(columns, count, name, err);
}

/* Planning a text tells its columns too: then nobody plans it again for them. Types that have no name are
 * not its business: who asks for the columns is told. */
static mle_status plan(mle_frame *frame, mle_connection *c, const char *sql, mle_error *err) {
  duckdb_prepared_statement statement = NULL;
  mle_status status = mle_prepare(c, sql, &statement, err);
  if (status == MLE_OK && sql == frame->sql && frame->like == NULL) {
    pthread_mutex_lock(&columns_lock);
    if (frame->columns == NULL)
      describe(statement, &frame->columns, &frame->num_columns, NULL);
    pthread_mutex_unlock(&columns_lock);
  }
  duckdb_destroy_prepare(&statement);
  return status;
}

/* The positioned text fails where the plain one does not if an expression is not one per row. */
mle_status mle_frame_check(mle_frame *frame, mle_error *err) {
  mle_connection *c;
  MLE_TRY(mle_frame_connect(frame, &c, err));
  mle_status status = plan(frame, c, frame->sql, err);
  if (status == MLE_OK && frame->positioned != NULL && !frame->alike) {
    status = plan(frame, c, frame->positioned, err);
    if (status == MLE_EINVAL)
      mle_fail(err, status, "an expression here must give one value per row; frame.sql can aggregate");
  }
  mle_disconnect(c);
  return status;
}

/* ====== Rows ====== */

bool mle_frame_volatile(const mle_frame *frame) { return frame->volatile_; }

int64_t mle_frame_known_rows(const mle_frame *frame) { return frame->known_rows; }

mle_status mle_frame_count(mle_frame *frame, int64_t *out, mle_error *err) {
  mle_connection *c = NULL;
  mle_status status;
  *out = frame->known_rows;
  if (frame->known_rows >= 0) return MLE_OK;
  char *sql = mle_format("SELECT count(*) FROM (%s)", frame->sql);
  if (sql == NULL) return mle_nomem(err, "counting rows");
  MLE_GO(mle_frame_connect(frame, &c, err));
  MLE_GO(mle_query_int(c, sql, out, err));
done:
  mle_disconnect(c);
  mle_free(sql);
  return mle_frame_blame(frame, status, err);
}
