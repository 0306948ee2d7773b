/*
 * A batch is one block, equal in memory and in the file:
 *
 *     has_nulls   a byte per column
 *     bits        per column: batch_rows / 8 bytes, 1 for a value
 *     values      per column: batch_rows values, from a multiple of 64 bytes
 *
 * All batches but the last have batch_rows rows, whatever the stream's own batches were. The block
 * being filled is in memory; once full it stays there or is written to the file and reused.
 */
#include "engine/xgboost/spool.h"

#include <errno.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "engine/base/alloc.h"
#include "engine/base/file.h"
#include "engine/xgboost/narrow.h"

#define BATCH_BYTES ((size_t)8 << 20)
#define BATCH_ROWS_MAX ((size_t)65536)
#define BATCH_ROWS_MIN ((size_t)4096)

typedef struct layout {
  mle_kind kind;
  size_t bits, values; /* offsets in a block */
} layout;

struct mle_spool {
  char *folder;
  size_t memory_max;
  size_t num_columns;
  layout *layouts;
  mle_spool_facts *facts;
  mle_column *view;  /* of the batch handed out */
  size_t batch_rows, block_size;
  size_t rows;
  char **block;      /* the blocks in memory, first to last; then those in the file */
  size_t num_blocks, block_capacity;
  char *filling;     /* the last batch: in no list */
  size_t filled;     /* rows in it */
  int fd;
  size_t num_in_file;
  char *mapped;      /* a block of the file, handed out */
  mle_column *whole; /* all rows, once gathered */
};

/* ====== Making ====== */

static const char *default_folder(void) {
  const char *folder = getenv("TMPDIR");
  return folder != NULL && *folder != '\0' ? folder : "/tmp";
}

static size_t default_memory(void) {
  long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
  return pages > 0 && size > 0 ? (size_t)pages / 4 * (size_t)size : (size_t)1 << 30;
}

mle_status mle_spool_new(const mle_spool_options *options, mle_spool **out, mle_error *err) {
  *out = NULL;
  mle_spool *s = mle_calloc(1, sizeof *s);
  if (s == NULL) return mle_nomem(err, "keeping rows");
  s->fd = -1;
  s->memory_max = options->memory_max > 0 ? options->memory_max : default_memory();
  s->folder = mle_strdup(options->folder != NULL ? options->folder : default_folder());
  if (s->folder == NULL) {
    mle_spool_free(s);
    return mle_nomem(err, "keeping rows");
  }
  *out = s;
  return MLE_OK;
}

static void unmap(mle_spool *s) {
  if (s->mapped != NULL) munmap(s->mapped, s->block_size);
  s->mapped = NULL;
}

/* Values and their bits are one allocation. */
static void free_whole(mle_column *column) {
  union {
    const void *given;
    void *own;
  } data = {column->data};
  mle_free(data.own);
}

void mle_spool_free(mle_spool *spool) {
  if (spool == NULL) return;
  unmap(spool);
  if (spool->fd >= 0) close(spool->fd);
  for (size_t i = 0; i < spool->num_blocks; i++) mle_free(spool->block[i]);
  mle_free(spool->block);
  mle_free(spool->filling);
  mle_free(spool->layouts);
  mle_free(spool->facts);
  for (size_t c = 0; spool->whole != NULL && c < spool->num_columns; c++)
    free_whole(&spool->whole[c]);
  mle_free(spool->whole);
  mle_free(spool->view);
  mle_free(spool->folder);
  mle_free(spool);
}

static size_t rounded(size_t size, size_t unit) { return (size + unit - 1) / unit * unit; }

/* Decided by the first batch: fewer rows to a batch when there are many columns. */
static mle_status lay_out(mle_spool *s, const mle_batch *first, mle_error *err) {
  size_t count = first->num_columns, row = 0, at;
  s->layouts = mle_calloc(count, sizeof *s->layouts);
  s->facts = mle_calloc(count, sizeof *s->facts);
  s->view = mle_calloc(count, sizeof *s->view);
  if (s->layouts == NULL || s->facts == NULL || s->view == NULL)
    return mle_nomem(err, "keeping rows");
  for (size_t c = 0; c < count; c++) {
    s->layouts[c].kind = mle_narrow_kind(first->column[c].kind);
    s->facts[c].whole = mle_narrow_is_whole(first->column[c].kind);
    row += mle_kind_size(s->layouts[c].kind);
  }
  s->batch_rows = BATCH_ROWS_MAX;
  while (s->batch_rows > BATCH_ROWS_MIN && s->batch_rows * row > BATCH_BYTES) s->batch_rows /= 2;
  at = rounded(count, 64);
  for (size_t c = 0; c < count; c++, at += s->batch_rows / 8) s->layouts[c].bits = at;
  for (size_t c = 0; c < count; c++) {
    s->layouts[c].values = at;
    at += rounded(s->batch_rows * mle_kind_size(s->layouts[c].kind), 64);
  }
  s->block_size = rounded(at, (size_t)sysconf(_SC_PAGESIZE));
  s->num_columns = count;
  return MLE_OK;
}

/* ====== The file ====== */

static mle_status file_failure(const mle_spool *s, mle_error *err) {
  return mle_fail(err, MLE_EIO,
                  "keeping rows for training in '%s': %s; free some space there or allow more memory",
                  s->folder, strerror(errno));
}

static mle_status open_file(mle_spool *s, mle_error *err) {
  MLE_TRY(mle_make_folders(s->folder, 0700, err));
  char *path = mle_format("%s/mlengine-spool-XXXXXX", s->folder);
  if (path == NULL) return mle_nomem(err, "keeping rows");
  s->fd = mkstemp(path);
  if (s->fd >= 0) unlink(path);
  mle_free(path);
  return s->fd >= 0 ? MLE_OK : file_failure(s, err);
}

/* Written, not mapped: a full disk is then an error and not a signal. */
static mle_status write_block(mle_spool *s, mle_error *err) {
  size_t done = 0;
  if (s->fd < 0) MLE_TRY(open_file(s, err));
  while (done < s->block_size) {
    ssize_t n = pwrite(s->fd, s->filling + done, s->block_size - done,
                       (off_t)(s->num_in_file * s->block_size + done));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return file_failure(s, err);
    done += (size_t)n;
  }
  s->num_in_file++;
  return MLE_OK;
}

static mle_status map_block(mle_spool *s, size_t index, const char **out, mle_error *err) {
  unmap(s);
  void *at = mmap(NULL, s->block_size, PROT_READ, MAP_PRIVATE, s->fd, (off_t)(index * s->block_size));
  if (at == MAP_FAILED) return file_failure(s, err);
  *out = s->mapped = at;
  return MLE_OK;
}

/* ====== Filling ====== */

/* Puts the full block away: in memory while the budget lasts, from then on in the file. */
static mle_status put_away(mle_spool *s, mle_error *err) {
  bool fits = s->num_in_file == 0 && (s->num_blocks + 2) * s->block_size <= s->memory_max;
  if (!fits) {
    MLE_TRY(write_block(s, err));
  } else {
    if (s->num_blocks == s->block_capacity) {
      size_t capacity = s->block_capacity * 2 + 16;
      char **grown = mle_realloc_array(s->block, capacity, sizeof *grown);
      if (grown == NULL) return mle_nomem(err, "keeping rows");
      s->block = grown;
      s->block_capacity = capacity;
    }
    s->block[s->num_blocks++] = s->filling;
    s->filling = NULL;
  }
  s->filled = 0;
  return MLE_OK;
}

static mle_status start_block(mle_spool *s, mle_error *err) {
  if (s->filling == NULL) s->filling = mle_alloc(s->block_size);
  if (s->filling == NULL) return mle_nomem(err, "keeping rows");
  memset(s->filling, 0, rounded(s->num_columns, 64) + s->num_columns * (s->batch_rows / 8));
  return MLE_OK;
}

static void append_column(mle_spool *s, size_t c, const mle_column *from, size_t first, size_t rows) {
  const layout *l = &s->layouts[c];
  uint64_t *bits = (uint64_t *)(void *)(s->filling + l->bits);
  char *values = s->filling + l->values + s->filled * mle_kind_size(l->kind);
  size_t nulls = mle_narrow_bits(from->valid, first, rows, bits, s->filled);
  if (nulls > 0) s->filling[c] = 1;
  s->facts[c].nulls += nulls;
  mle_narrow_values(from, first, rows, values, &s->facts[c]);
}

static mle_status append_rows(mle_spool *s, const mle_batch *batch, mle_error *err) {
  for (size_t first = 0; first < batch->rows;) {
    if (s->filled == s->batch_rows) MLE_TRY(put_away(s, err));
    if (s->filled == 0) MLE_TRY(start_block(s, err));
    size_t left = batch->rows - first, room = s->batch_rows - s->filled;
    size_t rows = left < room ? left : room;
    for (size_t c = 0; c < s->num_columns; c++)
      append_column(s, c, &batch->column[c], first, rows);
    s->filled += rows;
    s->rows += rows;
    first += rows;
  }
  return MLE_OK;
}

/* A source keeps its columns; a batch that differs would be stored as what it is not. */
static mle_status check_batch(const mle_spool *s, const mle_batch *batch, mle_error *err) {
  bool same = batch->num_columns == s->num_columns;
  for (size_t c = 0; same && c < s->num_columns; c++)
    same = mle_narrow_kind(batch->column[c].kind) == s->layouts[c].kind;
  return same ? MLE_OK : mle_fail(err, MLE_EINVAL, "keeping rows: a batch has other columns");
}

mle_status mle_spool_fill(mle_spool *spool, mle_stream *stream, mle_error *err) {
  mle_batch batch;
  for (;;) {
    MLE_TRY(mle_stream_next(stream, &batch, err));
    if (batch.rows == 0) return MLE_OK;
    if (spool->layouts == NULL) MLE_TRY(lay_out(spool, &batch, err));
    MLE_TRY(check_batch(spool, &batch, err));
    MLE_TRY(append_rows(spool, &batch, err));
  }
}

/* ====== Reading ====== */

size_t mle_spool_rows(const mle_spool *spool) { return spool->rows; }
size_t mle_spool_num_columns(const mle_spool *spool) { return spool->num_columns; }

size_t mle_spool_num_batches(const mle_spool *spool) {
  return spool->num_blocks + spool->num_in_file + (spool->filled > 0);
}

const mle_spool_facts *mle_spool_column_facts(const mle_spool *spool, size_t column) {
  return &spool->facts[column];
}

size_t mle_spool_memory(const mle_spool *spool) {
  return (spool->num_blocks + (spool->filling != NULL)) * spool->block_size;
}

size_t mle_spool_file_size(const mle_spool *spool) {
  return spool->num_in_file * spool->block_size;
}

mle_status mle_spool_batch(mle_spool *spool, size_t index, mle_batch *out, mle_error *err) {
  const char *block = spool->filling;
  size_t stored = spool->num_blocks + spool->num_in_file;
  *out = (mle_batch){0};
  if (index < spool->num_blocks)
    block = spool->block[index];
  else if (index < stored)
    MLE_TRY(map_block(spool, index - spool->num_blocks, &block, err));
  for (size_t c = 0; c < spool->num_columns; c++) {
    const layout *l = &spool->layouts[c];
    const void *bits = block + l->bits;
    spool->view[c] = (mle_column){l->kind, block + l->values, block[c] ? bits : NULL};
  }
  *out = (mle_batch){
      .rows = index < stored ? spool->batch_rows : spool->filled,
      .num_columns = spool->num_columns,
      .column = spool->view,
  };
  return MLE_OK;
}

/* ====== All rows at once ====== */

static size_t bits_size(size_t rows) { return (rows + 63) / 64 * 8; }

static size_t whole_size(const mle_spool *s) {
  size_t size = 0;
  for (size_t c = 0; c < s->num_columns; c++)
    size += rounded(s->rows * mle_kind_size(s->layouts[c].kind), 64) + bits_size(s->rows);
  return size;
}

static mle_status make_whole(mle_spool *s, mle_error *err) {
  s->whole = mle_calloc(s->num_columns, sizeof *s->whole);
  if (s->whole == NULL) return mle_nomem(err, "gathering rows");
  for (size_t c = 0; c < s->num_columns; c++) {
    mle_kind kind = s->layouts[c].kind;
    size_t values = rounded(s->rows * mle_kind_size(kind), 64);
    char *block = mle_alloc(values + bits_size(s->rows));
    if (block == NULL) return mle_nomem(err, "gathering rows");
    memset(block + values, 0, bits_size(s->rows));
    const void *bits = block + values;
    s->whole[c] = (mle_column){kind, block, bits};
  }
  return MLE_OK;
}

static void copy_into_whole(mle_spool *s, const mle_batch *batch, size_t first) {
  for (size_t c = 0; c < s->num_columns; c++) {
    size_t size = mle_kind_size(s->layouts[c].kind);
    union {
      const void *given;
      char *own;
    } values = {s->whole[c].data};
    size_t bits = rounded(s->rows * size, 64);
    memcpy(values.own + first * size, batch->column[c].data, batch->rows * size);
    mle_narrow_bits(batch->column[c].valid, 0, batch->rows,
                    (uint64_t *)(void *)(values.own + bits), first);
  }
}

mle_status mle_spool_gather(mle_spool *spool, size_t memory_max, mle_batch *out, mle_error *err) {
  size_t first = 0;
  *out = (mle_batch){0};
  if (spool->whole == NULL) {
    if (whole_size(spool) > memory_max)
      return mle_fail(err, MLE_EREFUSED,
                      "this training needs all rows in memory at once: %zu MiB, over the %zu it may take",
                      whole_size(spool) >> 20, memory_max >> 20);
    MLE_TRY(make_whole(spool, err));
    for (size_t i = 0; i < mle_spool_num_batches(spool); i++) {
      mle_batch batch;
      MLE_TRY(mle_spool_batch(spool, i, &batch, err));
      copy_into_whole(spool, &batch, first);
      first += batch.rows;
    }
  }
  for (size_t c = 0; c < spool->num_columns; c++) {
    spool->view[c] = spool->whole[c];
    if (spool->facts[c].nulls == 0) spool->view[c].valid = NULL;
  }
  *out = (mle_batch){spool->rows, spool->num_columns, spool->view};
  return MLE_OK;
}
