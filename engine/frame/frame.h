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

#include "engine/base/bitmap.h"
#include "engine/base/buffer.h"
#include "engine/base/error.h"
#include "engine/frame/session.h"
#include "engine/frame/stream.h"

typedef struct mle_frame mle_frame;

/* ====== Making ====== */

/* From a SELECT of ours, without a semicolon. */
mle_status mle_frame_from_sql(mle_session *session, const char *sql, mle_frame **out,
                              mle_error *err);

mle_session *mle_frame_session(const mle_frame *frame); /* of whoever made it */
mle_frame *mle_frame_ref(mle_frame *frame); /* one more holder; returns it */
void mle_frame_free(mle_frame *frame);      /* one holder less; NULL is ignored */

typedef struct mle_scan_column {
  int32_t field_id;
  const char *name;            /* as the frame shows it */
  const char *type;            /* DuckDB's: "BIGINT", "STRUCT(\"x\" DOUBLE)[]", ... */
  const char *initial_default; /* DuckDB's text of the value in files that lack it; NULL: null */
  bool required;               /* shows as not nullable */
} mle_scan_column;

/* How some files hold a column. All zero: under its field id, in its type; or not at all. */
typedef struct mle_scan_stored {
  const char *name;       /* its name there, in a group that goes by name; NULL: not there */
  const char *type;       /* what it is read as; NULL: the column's type */
  const char *expression; /* SQL over c<id>, which is what was read, that makes the column of it */
  int constant;           /* 1 + which constant of the file takes its place; 0: none */
} mle_scan_stored;

/* Files that hold their columns alike. By name: for files without field ids. */
typedef struct mle_scan_group {
  bool by_name;
  const mle_scan_stored *columns; /* one per column of the scan */
} mle_scan_group;

typedef struct mle_scan_file {
  const char *path;     /* local path; no glob */
  int64_t record_count; /* rows in the file, as its metadata says */
  size_t number;        /* what `place` calls it */
  size_t group;         /* ascending from file to file */
  mle_bitmap *dead;     /* rows that are left out; NULL: none. The frame holds it too */
  const char *const *constants; /* texts, NULL for null; NULL where the group uses none */
} mle_scan_file;

/*
 * Parquet files read as one relation, in list order, columns found by field id or by
 * what a group says. Below the top level DuckDB finds children by name: where that
 * is not what is meant, a group has an expression. No files: an empty relation.
 */
typedef struct mle_scan {
  const mle_scan_file *files;
  size_t num_files;
  const mle_scan_column *columns;
  size_t num_columns;
  const mle_scan_group *groups; /* NULL: one, by field id */
  size_t num_groups;
  size_t num_constants;         /* of each file that has some */
  const char *filter;           /* SQL over the columns' names, or NULL */
  const char *place;            /* name of one column more: number << MLE_PLACE_BITS | row; or NULL */
} mle_scan;

#define MLE_PLACE_BITS 40

mle_status mle_frame_scan(mle_session *session, const mle_scan *scan, mle_frame **out,
                          mle_error *err);

/* Numbers that are in memory: copies the columns of a batch. Rows keep their order. */
mle_status mle_frame_from_batch(mle_session *session, const char *const *names,
                                const mle_batch *batch, mle_frame **out, mle_error *err);

/* ====== From a user's SQL ====== */

typedef struct mle_sql_value {
  enum { MLE_SQL_NULL, MLE_SQL_BOOL, MLE_SQL_INT, MLE_SQL_DOUBLE, MLE_SQL_TEXT } kind;
  bool boolean;
  int64_t integer;
  double number;
  const char *text;
  size_t len;
} mle_sql_value;

typedef struct mle_sql_table {
  const char *name;
  mle_frame *frame;
} mle_sql_table;

/* One SELECT in which each ? stands for the next value and each table is a frame. Checked here. */
mle_status mle_frame_query(mle_session *session, const char *text, const mle_sql_value *values,
                           size_t num_values, const mle_sql_table *tables, size_t num_tables,
                           mle_frame **out, mle_error *err);

/* ====== From another frame ====== */

/* Columns by SQL expressions, "\"a\"", "a * 2 AS twice". */
mle_status mle_frame_select(mle_frame *frame, const char *const *expressions, size_t num,
                            mle_frame **out, mle_error *err);

/* The rows for which a SQL predicate is true. */
mle_status mle_frame_where(mle_frame *frame, const char *predicate, mle_frame **out,
                           mle_error *err);

/* `count` rows after the first `offset`. */
mle_status mle_frame_limit(mle_frame *frame, int64_t count, int64_t offset, mle_frame **out,
                           mle_error *err);

/* Rows by "a, b DESC"; rows that are equal there keep their order. */
mle_status mle_frame_sort(mle_frame *frame, const char *terms, mle_frame **out, mle_error *err);

typedef struct mle_split {
  double test;          /* share of the test part, in [0, 1) */
  int64_t seed;
  const char *by;       /* rows with equal values of this column stay together; or NULL */
  const char *stratify; /* each value of this column is shared out alike; or NULL */
  const char *after;    /* instead of dice: test is what is at or after this time; or NULL */
  const char *column;   /* the time's column; NULL: the only date or timestamp there is */
} mle_split;

/*
 * Two disjoint frames that together are all rows, both in plan order. Who goes
 * where hangs on the seed and the row's position (or value) alone: never on
 * threads, batches, or what a `where` left out before. Splitting a part again
 * with the same seed throws other dice. A frame that is not steady is pinned.
 */
mle_status mle_frame_split(mle_frame *frame, const mle_split *how, mle_frame **out_train,
                           mle_frame **out_test, mle_error *err);

/* The same rows kept in DuckDB (and spilled when they outgrow its memory). */
mle_status mle_frame_pin(mle_frame *frame, mle_frame **out, mle_error *err);

/* Itself when each reading gives the same rows in the same order; else its pin. */
mle_status mle_frame_steady(mle_frame *frame, mle_frame **out, mle_error *err);

/* Whether some text above names a function like random(). */
bool mle_frame_volatile(const mle_frame *frame);

/* Plans the frame, so that mistakes in user's texts show here. Reads no row. */
mle_status mle_frame_check(mle_frame *frame, mle_error *err);

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
 * Appends the first `rows` rows, each as a JSON object on a line of its own:
 * integers exact, decimals as numbers, times as text, NaN as null.
 */
mle_status mle_frame_collect(mle_frame *frame, int64_t rows, mle_buffer *out, mle_error *err);

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

/* A path for a file of the caller's in the session's temporary folder, which is there; owned
 * by the caller, who removes the file. One that is left ends with the session. */
mle_status mle_frame_temporary(const mle_frame *frame, char **out, mle_error *err);

/*
 * Writes the rows to a new Parquet file (zstd), synced to disk, which has its
 * name only once it is whole. `field_ids` is the inside of DuckDB's FIELD_IDS,
 * "a: 1, st: {__duckdb_field_id: 2, x: 3}", or NULL. `stats` may be NULL.
 */
mle_status mle_frame_write_parquet(mle_frame *frame, const char *path, const char *field_ids,
                                   mle_parquet_stats *stats, mle_error *err);

/* Writes any format of DuckDB's COPY, by its options ("FORMAT csv, HEADER"); as safe as the above. */
mle_status mle_frame_write(mle_frame *frame, const char *path, const char *options,
                           mle_error *err);

/* ====== SQL text ====== */

/* Appends a name in double quotes, a text in single quotes. */
mle_status mle_sql_name(mle_buffer *sql, const char *name, mle_error *err);
mle_status mle_sql_text(mle_buffer *sql, const char *text, size_t len, mle_error *err);

/*
 * Appends DuckDB's reading of a predicate as JSON: the "where_clause" of
 * json_serialize_sql. One that is no predicate gives {"error": true, ...}.
 */
mle_status mle_sql_where_tree(mle_session *session, const char *predicate, mle_buffer *out,
                              mle_error *err);

#endif
