/*
 * avro.c -- the container: "Obj\1", metadata, sync marker, then blocks of
 *
 *     count   long      records in the block
 *     size    long      bytes that follow, after compression
 *     data    size bytes
 *     sync    16 bytes  equal to the header's
 */
#include "engine/iceberg/avro.h"

#include <string.h>

#include "engine/base/alloc.h"
#include "engine/iceberg/avro_codec.h"
#include "engine/iceberg/avro_decode.h"

#define SYNC_SIZE 16
#define META_MAX 1000
#define BLOCK_MAX ((size_t)256 << 20)  /* after decompression */

static const char magic[4] = {'O', 'b', 'j', 1};

struct mle_avro_reader {
  const mle_avro_record *record;
  const char *start;     /* of the container */
  size_t to;             /* blocks that begin before are read */
  mle_avro_cursor file;  /* where the next block begins */
  mle_avro_cursor block; /* the next record; its arena is `records` */
  size_t block_at;       /* its place in the file */
  int64_t left;          /* records not read yet of the block */
  mle_avro_codec codec;
  mle_avro_inflater inflater;
  const char *sync;
  size_t num_meta;
  mle_avro_pair *meta;
  const char *schema_text; /* of `schema`, which the next file may have, too */
  mle_avro_node *schema;
  mle_buffer inflated;
  mle_arena shape;   /* the schema */
  mle_arena arena;   /* the file's metadata */
  mle_arena records; /* what the last record points to */
};

/* ====== Reading ====== */

static mle_status copy_view(mle_avro_reader *r, const char **out) {
  mle_bytes view;
  MLE_TRY(mle_avro_view(&r->file, &view));
  *out = mle_arena_text(&r->arena, view.data, view.len);
  return *out == NULL ? mle_nomem(r->file.err, "reading Avro") : MLE_OK;
}

/* Each block of pairs is as long as an array's; see next_block in avro_decode.c. */
static mle_status read_meta(mle_avro_reader *r) {
  r->num_meta = 0;
  for (;;) {
    int64_t count, size;
    MLE_TRY(mle_avro_long(&r->file, &count));
    if (count == 0) return MLE_OK;
    if (count < 0) MLE_TRY(mle_avro_long(&r->file, &size));
    if (count < 0) count = count == INT64_MIN ? INT64_MAX : -count;
    if (count > (int64_t)(META_MAX - r->num_meta))
      return mle_fail(r->file.err, MLE_EFORMAT, "more than %d pairs of metadata", META_MAX);
    for (; count > 0; count--, r->num_meta++) {
      mle_avro_pair *longer = mle_arena_grow(&r->arena, r->meta, r->num_meta, sizeof *longer);
      if (longer == NULL) return mle_nomem(r->file.err, "reading Avro");
      r->meta = longer;
      MLE_TRY(copy_view(r, &r->meta[r->num_meta].key));
      MLE_TRY(copy_view(r, &r->meta[r->num_meta].value));
    }
  }
}

const char *mle_avro_meta(const mle_avro_reader *reader, const char *key) {
  for (size_t i = 0; i < reader->num_meta; i++)
    if (strcmp(reader->meta[i].key, key) == 0) return reader->meta[i].value;
  return NULL;
}

/* The schema of the file before is kept when this one has it, too. */
static mle_status read_schema(mle_avro_reader *r, mle_error *err) {
  const char *text = mle_avro_meta(r, "avro.schema");
  if (text == NULL) return mle_fail(err, MLE_EFORMAT, "no Avro schema in the file");
  if (r->schema_text != NULL && strcmp(r->schema_text, text) == 0) return MLE_OK;
  r->schema_text = NULL;
  mle_arena_clear(&r->shape);
  MLE_TRY(mle_avro_schema_parse(text, strlen(text), &r->shape, &r->schema, err));
  MLE_TRY(mle_avro_schema_bind(r->schema, r->record, err));
  return mle_arena_copy(&r->shape, text, &r->schema_text, err);
}

static mle_status read_header(mle_avro_reader *r, mle_error *err) {
  const char *found;
  if (mle_avro_take(&r->file, sizeof magic, &found) != MLE_OK ||
      memcmp(found, magic, sizeof magic) != 0)
    return mle_fail(err, MLE_EFORMAT, "not an Avro file");
  MLE_TRY(read_meta(r));
  MLE_TRY(mle_avro_take(&r->file, SYNC_SIZE, &r->sync));
  MLE_TRY(mle_avro_find_codec(mle_avro_meta(r, "avro.codec"), &r->codec, err));
  return read_schema(r, err);
}

mle_status mle_avro_reopen(mle_avro_reader *r, const char *bytes, size_t len, mle_error *err) {
  mle_arena_clear(&r->arena);
  r->meta = NULL;
  r->num_meta = 0;
  r->left = 0;
  r->start = bytes;
  r->to = SIZE_MAX;
  r->file = (mle_avro_cursor){.at = bytes, .end = bytes + len, .arena = &r->arena, .err = err};
  mle_status status = read_header(r, err);
  if (status != MLE_OK) r->file.at = r->file.end; /* a file that cannot be read has no records */
  return status;
}

mle_status mle_avro_open(const char *bytes, size_t len, const mle_avro_record *record,
                         mle_avro_reader **out, mle_error *err) {
  *out = NULL;
  mle_avro_reader *r = mle_calloc(1, sizeof *r);
  if (r == NULL) return mle_nomem(err, "reading Avro");
  r->record = record;
  r->shape = MLE_ARENA;
  r->arena = MLE_ARENA;
  r->records = MLE_ARENA;
  r->block.arena = &r->records;
  r->inflated = MLE_BUFFER(BLOCK_MAX);
  mle_status status = mle_avro_reopen(r, bytes, len, err);
  if (status == MLE_OK)
    *out = r;
  else
    mle_avro_close(r);
  return status;
}

void mle_avro_only(mle_avro_reader *r, const int32_t *ids, size_t count) {
  r->block.only = ids;
  r->block.num_only = count;
}

/* Where the next block that begins at `from` or later does: behind a sync marker, which ends the one before. */
static const char *seek_block(const mle_avro_reader *r, size_t from) {
  size_t len = (size_t)(r->file.end - r->start);
  if (from <= (size_t)(r->file.at - r->start)) return r->file.at;
  for (size_t at = from - SYNC_SIZE; at < len && len - at >= SYNC_SIZE; at++) {
    const char *first = memchr(r->start + at, r->sync[0], len - at - SYNC_SIZE + 1);
    if (first == NULL) break;
    at = (size_t)(first - r->start);
    if (memcmp(first, r->sync, SYNC_SIZE) == 0) return first + SYNC_SIZE;
  }
  return r->file.end;
}

void mle_avro_window(mle_avro_reader *r, size_t from, size_t to) {
  r->file.at = seek_block(r, from);
  r->to = to;
}

/* The next block in the window; none leaves `left` 0. */
static mle_status find_block(mle_avro_reader *r, mle_bytes *out, mle_error *err) {
  const char *sync;
  for (;;) {
    size_t at = (size_t)(r->file.at - r->start);
    r->left = 0;
    if (r->file.at == r->file.end || at >= r->to) return MLE_OK;
    MLE_TRY(mle_avro_long(&r->file, &r->left));
    MLE_TRY(mle_avro_view(&r->file, out));
    MLE_TRY(mle_avro_take(&r->file, SYNC_SIZE, &sync));
    if (memcmp(sync, r->sync, SYNC_SIZE) != 0)
      return mle_fail(err, MLE_EFORMAT, "a block does not end with the sync marker");
    if (r->left != 0) return MLE_OK;
  }
}

mle_status mle_avro_count(mle_avro_reader *r, int64_t *out, mle_error *err) {
  const char *begin = r->file.at;
  mle_bytes data;
  mle_status status;
  r->file.err = err;
  *out = 0;
  do {
    MLE_GO(find_block(r, &data, err));
    if (r->left < 0 || __builtin_add_overflow(*out, r->left, out))
      MLE_GO(mle_fail(err, MLE_EFORMAT, "a block claims an impossible number of records"));
  } while (r->left > 0);
done:
  r->file.at = begin;
  r->left = 0;
  return status;
}

static mle_status next_block(mle_avro_reader *r, mle_error *err) {
  mle_bytes data;
  MLE_TRY(find_block(r, &data, err));
  if (r->left == 0) return MLE_OK;
  if (r->codec != CODEC_NULL) {
    mle_buffer_clear(&r->inflated);
    MLE_TRY(mle_avro_decompress(&r->inflater, r->codec, data, &r->inflated, err));
    data = (mle_bytes){r->inflated.data, r->inflated.len};
  }
  if (r->left < 0 || (uint64_t)r->left > data.len)
    return mle_fail(err, MLE_EFORMAT, "a block claims more records than it has bytes");
  r->block.at = data.data;
  r->block.end = data.data + data.len;
  r->block.depth = 0;
  return MLE_OK;
}

/* Data of a block is compressed: its own place is all that can be told. */
static mle_status fail_at(mle_status status, size_t block, mle_error *err) {
  mle_context(err, "the block at byte %zu", block);
  return status;
}

mle_status mle_avro_next(mle_avro_reader *r, void *item, bool *found, mle_error *err) {
  *found = false;
  r->file.err = r->block.err = err;
  if (r->left == 0) {
    size_t at = (size_t)(r->file.at - r->start);
    mle_status status = next_block(r, err);
    if (status != MLE_OK) r->left = 0;
    if (status != MLE_OK) return fail_at(status, at, err);
    if (r->left == 0) return MLE_OK;
    r->block_at = at;
  }
  mle_arena_clear(&r->records);
  mle_status status = mle_avro_decode(&r->block, r->schema, item, r->left == 1);
  if (status != MLE_OK) return fail_at(status, r->block_at, err);
  r->left--;
  *found = true;
  return MLE_OK;
}

void mle_avro_close(mle_avro_reader *r) {
  if (r == NULL) return;
  mle_buffer_release(&r->inflated);
  mle_avro_inflater_release(&r->inflater);
  mle_arena_release(&r->records);
  mle_arena_release(&r->arena);
  mle_arena_release(&r->shape);
  mle_free(r);
}
