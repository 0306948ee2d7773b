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
  mle_avro_cursor file;  /* where the next block begins */
  mle_avro_cursor block; /* the next record; its arena is `records` */
  int64_t left;          /* records not read yet of the block */
  mle_avro_codec codec;
  const char *sync;
  size_t num_meta;
  mle_avro_pair *meta;
  mle_avro_node *schema;
  mle_buffer inflated;
  mle_arena arena;   /* metadata and schema */
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
  r->meta = mle_arena_array(&r->arena, META_MAX, sizeof *r->meta);
  if (r->meta == NULL) return mle_nomem(r->file.err, "reading Avro");
  for (;;) {
    int64_t count, size;
    MLE_TRY(mle_avro_long(&r->file, &count));
    if (count == 0) return MLE_OK;
    if (count < 0) MLE_TRY(mle_avro_long(&r->file, &size));
    if (count < 0) count = count == INT64_MIN ? INT64_MAX : -count;
    if (count > (int64_t)(META_MAX - r->num_meta))
      return mle_fail(r->file.err, MLE_EFORMAT, "more than %d pairs of metadata", META_MAX);
    for (; count > 0; count--, r->num_meta++) {
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

static mle_status read_header(mle_avro_reader *r, const mle_avro_record *record, mle_error *err) {
  const char *found;
  if (mle_avro_take(&r->file, sizeof magic, &found) != MLE_OK ||
      memcmp(found, magic, sizeof magic) != 0)
    return mle_fail(err, MLE_EFORMAT, "not an Avro file");
  MLE_TRY(read_meta(r));
  MLE_TRY(mle_avro_take(&r->file, SYNC_SIZE, &r->sync));
  const char *schema = mle_avro_meta(r, "avro.schema");
  if (schema == NULL) return mle_fail(err, MLE_EFORMAT, "no Avro schema in the file");
  MLE_TRY(mle_avro_find_codec(mle_avro_meta(r, "avro.codec"), &r->codec, err));
  MLE_TRY(mle_avro_schema_parse(schema, strlen(schema), &r->arena, &r->schema, err));
  return mle_avro_schema_bind(r->schema, record, err);
}

mle_status mle_avro_open(const char *bytes, size_t len, const mle_avro_record *record,
                         mle_avro_reader **out, mle_error *err) {
  *out = NULL;
  mle_avro_reader *r = mle_calloc(1, sizeof *r);
  if (r == NULL) return mle_nomem(err, "reading Avro");
  r->arena = MLE_ARENA;
  r->records = MLE_ARENA;
  r->inflated = MLE_BUFFER(BLOCK_MAX);
  r->file = (mle_avro_cursor){.at = bytes, .end = bytes + len, .arena = &r->arena, .err = err};
  mle_status status = read_header(r, record, err);
  if (status == MLE_OK)
    *out = r;
  else
    mle_avro_close(r);
  return status;
}

static mle_status next_block(mle_avro_reader *r, mle_error *err) {
  mle_bytes data;
  const char *sync;
  MLE_TRY(mle_avro_long(&r->file, &r->left));
  MLE_TRY(mle_avro_view(&r->file, &data));
  MLE_TRY(mle_avro_take(&r->file, SYNC_SIZE, &sync));
  if (memcmp(sync, r->sync, SYNC_SIZE) != 0)
    return mle_fail(err, MLE_EFORMAT, "a block does not end with the sync marker");
  if (r->codec != CODEC_NULL) {
    mle_buffer_clear(&r->inflated);
    MLE_TRY(mle_avro_decompress(r->codec, data, &r->inflated, err));
    data = (mle_bytes){r->inflated.data, r->inflated.len};
  }
  if (r->left < 0 || (uint64_t)r->left > data.len)
    return mle_fail(err, MLE_EFORMAT, "a block claims more records than it has bytes");
  r->block = (mle_avro_cursor){.at = data.data, .end = data.data + data.len, .arena = &r->records};
  return MLE_OK;
}

mle_status mle_avro_next(mle_avro_reader *r, void *item, bool *found, mle_error *err) {
  *found = false;
  r->file.err = err;
  while (r->left == 0) {
    if (r->file.at == r->file.end) return MLE_OK;
    MLE_TRY(next_block(r, err));
  }
  mle_arena_clear(&r->records);
  r->block.err = err;
  MLE_TRY(mle_avro_decode(&r->block, r->schema, item));
  r->left--;
  *found = true;
  return MLE_OK;
}

void mle_avro_close(mle_avro_reader *r) {
  if (r == NULL) return;
  mle_buffer_release(&r->inflated);
  mle_arena_release(&r->records);
  mle_arena_release(&r->arena);
  mle_free(r);
}
