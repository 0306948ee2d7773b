#include "engine/frame/layout.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "engine/base/buffer.h"
#include "engine/base/hash.h"
#include "engine/frame/blame.h"
#include "engine/frame/query.h"
#include "engine/frame/source.h"

enum { DEPTH_MAX = 60 };
#define SIGNATURE_MAX ((size_t)64 << 20)

/* ====== Rows of parquet_schema ====== */

/* Depth first, file after file: name, id, children, repetition. */
typedef struct rows {
  duckdb_result result;
  duckdb_data_chunk chunk; /* NULL at the end */
  idx_t at;
} rows;

static bool next_row(rows *r) {
  if (r->chunk != NULL && ++r->at < duckdb_data_chunk_get_size(r->chunk)) return true;
  do {
    duckdb_destroy_data_chunk(&r->chunk);
    r->chunk = duckdb_fetch_chunk(r->result);
  } while (r->chunk != NULL && duckdb_data_chunk_get_size(r->chunk) == 0);
  r->at = 0;
  return r->chunk != NULL;
}

static int64_t number_at(const rows *r, idx_t column) {
  const int64_t *numbers = duckdb_vector_get_data(duckdb_data_chunk_get_vector(r->chunk, column));
  return numbers[r->at];
}

static const char *text_at(const rows *r, idx_t column, size_t *out_len) {
  duckdb_string_t *texts = duckdb_vector_get_data(duckdb_data_chunk_get_vector(r->chunk, column));
  *out_len = duckdb_string_t_length(texts[r->at]);
  return duckdb_string_t_data(&texts[r->at]);
}

/* ====== One file ====== */

static mle_status ends_early(mle_error *err) {
  return mle_fail(err, MLE_EFORMAT, "a Parquet file's schema ends too early");
}

/* The current row and all below it; `r` is left on the last of them. `signature` tells layouts apart. */
static mle_status take_node(rows *r, int depth, mle_arena *arena, mle_layout_node *out,
                            mle_buffer *signature, mle_error *err) {
  size_t len;
  const char *name = text_at(r, 0, &len);
  int64_t children = number_at(r, 2);
  if (depth > DEPTH_MAX || children < 0 || children > 1000000)
    return mle_fail(err, MLE_EFORMAT, "a Parquet file's schema is nested too deep");
  out->name = mle_arena_text(arena, name, len);
  out->field_id = (int32_t)number_at(r, 1);
  out->repeated = number_at(r, 3) != 0;
  out->num_children = (size_t)children;
  out->children = mle_arena_array(arena, out->num_children, sizeof *out->children);
  if (out->name == NULL || out->children == NULL) return mle_nomem(err, "reading file schemas");
  if (depth > 0) /* the root's name says nothing */
    MLE_TRY(mle_buffer_append(signature, out->name, len, err));
  MLE_TRY(mle_buffer_printf(signature, err, "|%" PRId32 "|%zu|%d\n", out->field_id,
                            out->num_children, out->repeated));
  for (size_t i = 0; i < out->num_children; i++) {
    if (!next_row(r)) return ends_early(err);
    MLE_TRY(take_node(r, depth + 1, arena, &out->children[i], signature, err));
  }
  return MLE_OK;
}

/* ====== Distinct layouts ====== */

typedef struct collection {
  mle_arena *arena;
  mle_layouts *out;
  uint64_t *hashes; /* of the signatures */
  const char **signatures;
} collection;

static mle_status add_layout(collection *c, mle_layout_node *root, const mle_buffer *signature,
                             size_t *out, mle_error *err) {
  size_t count = c->out->count;
  uint64_t hash = mle_hash64(signature->data, signature->len, 0);
  for (*out = 0; *out < count; ++*out)
    if (c->hashes[*out] == hash && strcmp(c->signatures[*out], signature->data) == 0) return MLE_OK;
  mle_layout_node **roots = mle_arena_grow(c->arena, c->out->roots, count, sizeof *roots);
  uint64_t *hashes = mle_arena_grow(c->arena, c->hashes, count, sizeof *hashes);
  const char **signatures = mle_arena_grow(c->arena, c->signatures, count, sizeof *signatures);
  if (roots == NULL || hashes == NULL || signatures == NULL)
    return mle_nomem(err, "reading file schemas");
  c->out->roots = roots;
  c->hashes = hashes;
  c->signatures = signatures;
  roots[count] = root;
  hashes[count] = hash;
  signatures[count] = mle_arena_text(c->arena, signature->data, signature->len);
  if (signatures[count] == NULL) return mle_nomem(err, "reading file schemas");
  c->out->count++;
  return MLE_OK;
}

static mle_status take_file(rows *r, collection *c, size_t *out, mle_error *err) {
  mle_buffer signature = MLE_BUFFER(SIGNATURE_MAX);
  mle_arena own = MLE_ARENA;
  mle_layout_node first, *root;
  size_t known = c->out->count;
  mle_status status = MLE_ENOMEM;
  MLE_GO(take_node(r, 0, &own, &first, &signature, err));
  MLE_GO(add_layout(c, NULL, &signature, out, err));
  if (c->out->count == known) goto done;
  root = mle_arena_alloc(c->arena, sizeof *root);
  if (root == NULL) MLE_GO(mle_nomem(err, "reading file schemas"));
  MLE_GO(mle_layout_copy(&first, c->arena, root, err));
  c->out->roots[*out] = root;
done:
  mle_arena_release(&own);
  mle_buffer_release(&signature);
  return status;
}

mle_status mle_layout_copy(const mle_layout_node *from, mle_arena *arena, mle_layout_node *out,
                           mle_error *err) {
  *out = *from;
  MLE_TRY(mle_arena_copy(arena, from->name, &out->name, err));
  out->children = mle_arena_array(arena, from->num_children, sizeof *out->children);
  if (out->children == NULL) return mle_nomem(err, "reading file schemas");
  for (size_t i = 0; i < from->num_children; i++)
    MLE_TRY(mle_layout_copy(&from->children[i], arena, &out->children[i], err));
  return MLE_OK;
}

/* ====== Many files ====== */

static mle_status read_some(mle_session *session, const char *const *paths, size_t count,
                            collection *c, size_t *of_file, mle_error *err) {
  char sql[300];
  mle_source *source = NULL;
  mle_connection *connection = NULL;
  rows r = {.chunk = NULL};
  mle_status status;
  MLE_GO(mle_source_of_paths(session, paths, count, &source, err));
  snprintf(sql, sizeof sql,
           "SELECT name, coalesce(field_id, -1)::BIGINT, coalesce(num_children, 0)::BIGINT, "
           "coalesce((repetition_type = 'REPEATED')::BIGINT, 0) FROM parquet_schema(mle_files(%lld))",
           (long long)source->number);
  MLE_GO(mle_connect(session, &connection, err));
  status = mle_query(connection, sql, &r.result, err);
  if (status != MLE_OK) {
    mle_source_blame(session, source, err);
    goto done;
  }
  for (size_t i = 0; i < count; i++) {
    if (!next_row(&r)) MLE_GO(ends_early(err));
    MLE_GO(take_file(&r, c, &of_file[i], err));
  }
done:
  duckdb_destroy_data_chunk(&r.chunk);
  duckdb_destroy_result(&r.result);
  mle_disconnect(connection);
  mle_source_free(source);
  return status;
}

mle_status mle_layouts_read(mle_session *session, const char *const *paths, size_t count,
                            mle_arena *arena, mle_layouts *out, mle_error *err) {
  collection c = {.arena = arena, .out = out};
  *out = (mle_layouts){.of_file = mle_arena_array(arena, count, sizeof *out->of_file)};
  if (out->of_file == NULL) return mle_nomem(err, "reading file schemas");
  for (size_t i = 0; i < count; i += MLE_SOURCE_PATHS_MAX) {
    size_t some = count - i < MLE_SOURCE_PATHS_MAX ? count - i : MLE_SOURCE_PATHS_MAX;
    MLE_TRY(read_some(session, paths + i, some, &c, out->of_file + i, err));
  }
  return MLE_OK;
}
