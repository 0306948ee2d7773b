/*
 * source.h -- the files of one scan, named in SQL by a number.
 *
 * A recipe says read_parquet(mle_files(7), ...) and mle_base(7, file_index): so it
 * stays short for 10,000 files, and no path is ever part of a SQL text.
 */
#ifndef MLE_SOURCE_H
#define MLE_SOURCE_H

#include <duckdb.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "engine/frame/frame.h"
#include "engine/frame/query.h"

typedef struct mle_source {
  int64_t number;
  char **patterns;  /* globs that match exactly the paths */
  int64_t *bases;   /* rows in the files before this one */
  size_t num_real;
  size_t num_files; /* with the empty one that lets a single file be read by all threads */
  int64_t rows;
  atomic_bool checked; /* every column has a field id */
  struct mle_source *next;
} mle_source;

mle_status mle_source_new(const mle_scan *scan, mle_source **out, mle_error *err);
void mle_source_free(mle_source *source); /* NULL is ignored */

/* Refuses files that have columns without field ids; once. */
mle_status mle_source_check(mle_source *source, mle_connection *c, mle_error *err);

mle_status mle_source_functions(duckdb_connection c, mle_error *err);

#endif
