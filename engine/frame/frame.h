/*
 * frame.h -- a lazy relation: columns of rows that nobody has read yet.
 *
 *     mle_frame *all, *good;
 *     MLE_GO(mle_frame_from_sql(session, "select i, i * 2 as j from range(10) t(i)", &all, err));
 *     MLE_GO(mle_frame_where(all, "j > 6", &good, err));
 *     MLE_GO(mle_frame_count(good, &count, err));
 *   done:
 *     mle_frame_free(good);
 *     mle_frame_free(all);
 *
 * A frame is immutable and counts its holders; making one from another holds
 * that one. Rows have a plan order, equal at each reading of a stable frame on
 * any number of threads. SQL texts here are trusted unless the function says
 * that it takes a user's. Any thread may use a frame.
 */
#ifndef MLE_FRAME_H
#define MLE_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/buffer.h"
#include "engine/base/error.h"
#include "engine/frame/session.h"
#include "engine/frame/stream.h"

typedef struct mle_frame mle_frame;

/* ====== Making ====== */

/* From a SELECT of ours, without a semicolon. */
mle_status mle_frame_from_sql(mle_session *session, const char *sql, mle_frame **out,
                              mle_error *err);

mle_frame *mle_frame_ref(mle_frame *frame); /* one more holder; returns it */
void mle_frame_free(mle_frame *frame);      /* one holder less; NULL is ignored */

typedef struct mle_scan_file {
  const char *path;     /* local path; no glob */
  int64_t record_count; /* rows in the file, as its metadata says */
} mle_scan_file;

typedef struct mle_scan_column {
  int32_t field_id;
  const char *name;            /* as the frame shows it */
  const char *type;            /* DuckDB's: "BIGINT", "STRUCT(\"x\" DOUBLE)[]", ... */
  const char *initial_default; /* DuckDB's text of the value in files that lack it; NULL: null */
  bool required;               /* shows as not nullable */
} mle_scan_column;

/*
 * Parquet files read as one relation, in list order, columns found by field id at
 * the top level. Below it children are found by name, which is right unless a
 * nested field was ever renamed, re-added or given a default: the caller looks
 * in its schema history and refuses those. A file without ids would read as
 * nulls, so files are checked before the first reading (one footer each) unless
 * `trusted_ids` says that we wrote them. No files: an empty relation of those types.
 */
typedef struct mle_scan {
  const mle_scan_file *files;
  size_t num_files;
  const mle_scan_column *columns;
  size_t num_columns;
  const char *filter; /* SQL over the columns' names, or NULL */
  bool trusted_ids;
} mle_scan;

mle_status mle_frame_scan(mle_session *session, const mle_scan *scan, mle_frame **out,
                          mle_error *err);

/* ====== Facts ====== */

typedef struct mle_frame_column {
  char *name;
  char *type; /* DuckDB's, names inside it always quoted: STRUCT("a" INTEGER, "b" VARCHAR[]) */
  bool nullable;
} mle_frame_column;

/* The columns, owned by the frame. The first call may ask DuckDB to plan, never to read rows. */
mle_status mle_frame_columns(mle_frame *frame, const mle_frame_column **out, size_t *out_count,
                             mle_error *err);

/* Rows, where metadata tells; -1 where only reading would. */
int64_t mle_frame_known_rows(const mle_frame *frame);

/* ====== Reading ====== */

mle_status mle_frame_count(mle_frame *frame, int64_t *out, mle_error *err);

/*
 * Streams the values of SQL expressions over the frame's columns, in plan order:
 *
 *     {"CAST(\"amount\" AS FLOAT)", "CAST(\"label\" AS FLOAT)"}
 *
 * Each must have a number type, BOOLEAN (MLE_UINT8) or ENUM (its codes); data is
 * DuckDB's own vectors, not a copy. The stream has its own connection and holds the frame.
 */
mle_status mle_frame_stream(mle_frame *frame, const char *const *expressions, size_t num,
                            mle_stream **out, mle_error *err);

/* ====== Writing ====== */

typedef struct mle_parquet_column {
  char **path; /* {"st", "x"}: field names from the top, "element", "key", "value" */
  size_t path_len;
  int64_t column_size; /* compressed bytes */
  int64_t value_count; /* nulls included */
  int64_t null_count;
  char *min, *max; /* DuckDB's text of a bound; NULL: none. May hold NUL bytes */
  size_t min_len, max_len;
} mle_parquet_column;

typedef struct mle_parquet_stats {
  int64_t record_count, file_size;
  int64_t *split_offsets; /* where each row group starts */
  size_t num_split_offsets;
  mle_parquet_column *columns; /* leaves, in no particular order */
  size_t num_columns;
} mle_parquet_stats;

void mle_parquet_stats_release(mle_parquet_stats *stats);

/*
 * Writes the rows to a new Parquet file (zstd), synced to disk, which has its
 * name only once it is whole. `field_ids` is the inside of DuckDB's FIELD_IDS,
 * "a: 1, st: {__duckdb_field_id: 2, x: 3}", or NULL. `stats` may be NULL.
 */
mle_status mle_frame_write_parquet(mle_frame *frame, const char *path, const char *field_ids,
                                   mle_parquet_stats *stats, mle_error *err);

/* ====== SQL text ====== */

/* Appends a name in double quotes, a text in single quotes. */
mle_status mle_sql_name(mle_buffer *sql, const char *name, mle_error *err);
mle_status mle_sql_text(mle_buffer *sql, const char *text, size_t len, mle_error *err);

#endif
