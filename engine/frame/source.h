/*
 * source.h -- the files of one scan, named in SQL by a number.
 *
 * A recipe says read_parquet(mle_files(7), ...) and mle_live(7, file_index, ...): so it
 * stays short for 10,000 files, and no path is ever part of a SQL text.
 *
 *     mle_files(number)                      the paths
 *     mle_columns(number), mle_names(number) read_parquet's map of columns, by field id or by name
 *     mle_base(number, file_index)           rows in the files before this one
 *     mle_file(number, file_index)           the number that the scan gave it
 *     mle_constant(number, slot, file_index) a text, or null
 *     mle_live(number, file_index, row)      whether the row is not deleted
 */
#ifndef MLE_SOURCE_H
#define MLE_SOURCE_H

#include <duckdb.h>
#include <stdbool.h>
#include <stdint.h>

#include "engine/frame/frame.h"
#include "engine/frame/query.h"

/* A column that is read from the files, as c<field_id>. */
typedef struct mle_source_column {
  int32_t field_id;
  char *name;          /* as the scan shows it */
  char *stored;        /* in the files, where they are read by name, else NULL */
  char *type;
  char *default_value; /* of files that lack it; NULL: null */
} mle_source_column;

typedef struct mle_source {
  int64_t number;
  char **paths;         /* of the real ones */
  char **patterns;      /* globs that match exactly the paths */
  int64_t *bases;       /* rows in the files of the scan before this one */
  mle_bitmap **dead;    /* rows that are left out of a file; NULL: none */
  char **constants;     /* num_constants per file */
  size_t num_constants;
  size_t *numbers;      /* of the files, for mle_file */
  size_t group;         /* of the scan, for all of its files */
  size_t num_real;
  size_t num_files;     /* with the empty one that lets a single file be read by all threads */
  int64_t rows, live;   /* live: without those that are left out */
  bool any_dead;
  char columns_text[64]; /* arguments of read_parquet that name the columns; "": only footers are read */
  mle_source_column *columns;
  size_t num_columns;
  struct mle_source *sibling; /* the next group of the same scan */
  struct mle_source *next;
} mle_source;

/* Files first..end of a scan, `before` rows after its beginning. */
mle_status mle_source_new(const mle_scan *scan, size_t first, size_t end, int64_t before,
                          mle_source **out, mle_error *err);
void mle_source_free(mle_source *source); /* with its siblings; NULL is ignored */

enum { MLE_SOURCE_PATHS_MAX = 500 };

/* Whole files, at most so many, of which only the paths are known. A connection made from here on can read them. */
mle_status mle_source_of_paths(mle_session *session, const char *const *paths, size_t count,
                               mle_source **out, mle_error *err);

/* What a function of it is asked about; NULL, and an error of the function, if it is gone. */
const mle_source *mle_source_of(duckdb_function_info info, duckdb_data_chunk input);

mle_status mle_source_functions(duckdb_connection c, mle_error *err);
mle_status mle_columns_functions(duckdb_connection c, mle_error *err);

#endif
