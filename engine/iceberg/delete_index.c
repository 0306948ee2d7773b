#include "engine/iceberg/delete_index.h"

#include <stdlib.h>
#include <string.h>

#include "engine/base/hash.h"

/* Deletes are looked up under a path, a partition, or (equality deletes of all partitions) 0. */
struct mle_delete_slot {
  uint64_t key;
  size_t number;
};

static bool is_unpartitioned(const mle_metadata *m, int spec_id) {
  const mle_partition_spec *spec = mle_metadata_spec(m, spec_id);
  for (size_t i = 0; spec != NULL && i < spec->num_fields; i++)
    if (strcmp(spec->fields[i].transform, "void") != 0) return false;
  return spec != NULL;
}

static bool is_global(const mle_metadata *m, const mle_delete_file *one) {
  return one->content == MLE_FILE_EQUALITY_DELETES && is_unpartitioned(m, one->spec_id);
}

static int compare_bytes(mle_bytes a, const char *text) {
  size_t len = strlen(text);
  int order = memcmp(a.data, text, a.len < len ? a.len : len);
  return order != 0 ? order : (a.len > len) - (a.len < len);
}

/* Bounds of file paths may be cut, but are bounds. */
static bool may_name(const mle_delete_file *one, const char *path) {
  if (one->referenced != NULL) return strcmp(one->referenced, path) == 0;
  if (one->first.data != NULL && compare_bytes(one->first, path) > 0) return false;
  return one->last.data == NULL || compare_bytes(one->last, path) >= 0;
}

bool mle_delete_applies(const mle_metadata *m, const mle_delete_file *one,
                        const mle_delete_target *file) {
  bool same = one->spec_id == file->spec_id && mle_tuple_equal(&one->partition, &file->partition);
  if (one->content == MLE_FILE_EQUALITY_DELETES)
    return file->sequence_number < one->sequence_number && (same || is_global(m, one));
  if (file->sequence_number > one->sequence_number || !may_name(one, file->path)) return false;
  return same || one->is_vector;
}

static uint64_t hash_path(const char *path) { return mle_hash64(path, strlen(path), 1) | 1; }

static uint64_t key_of(const mle_metadata *m, const mle_delete_file *one) {
  if (one->referenced != NULL) return hash_path(one->referenced);
  if (is_global(m, one)) return 0;
  return mle_tuple_hash(one->spec_id, &one->partition) & ~(uint64_t)1;
}

static int compare_slots(const void *a, const void *b) {
  const struct mle_delete_slot *x = a, *y = b;
  if (x->key != y->key) return x->key < y->key ? -1 : 1;
  return (x->number > y->number) - (x->number < y->number);
}

mle_status mle_delete_index_build(const mle_metadata *m, const mle_delete_file *deletes,
                                  size_t count, mle_arena *arena, mle_delete_index *out,
                                  mle_error *err) {
  *out = (mle_delete_index){m, deletes, mle_arena_array(arena, count, sizeof *out->slots), count};
  if (out->slots == NULL) return mle_nomem(err, "planning a scan");
  for (size_t i = 0; i < count; i++)
    out->slots[i] = (struct mle_delete_slot){key_of(m, &deletes[i]), i};
  qsort(out->slots, count, sizeof *out->slots, compare_slots);
  return MLE_OK;
}

/* ====== Finding ====== */

typedef struct found {
  size_t *numbers;
  size_t count;
  bool vector;
} found;

static size_t first_at(const mle_delete_index *index, uint64_t key) {
  size_t low = 0, high = index->count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (index->slots[middle].key < key)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

static mle_status add_key(const mle_delete_index *index, uint64_t key, const mle_delete_target *file,
                          mle_arena *arena, found *to, mle_error *err) {
  for (size_t i = first_at(index, key); i < index->count && index->slots[i].key == key; i++) {
    size_t number = index->slots[i].number;
    const mle_delete_file *one = &index->deletes[number];
    if (!mle_delete_applies(index->metadata, one, file)) continue;
    if (one->is_vector && to->vector)
      return mle_fail(err, MLE_EFORMAT, "the data file '%s' has two deletion vectors", file->path);
    to->vector |= one->is_vector;
    size_t *numbers = mle_arena_grow(arena, to->numbers, to->count, sizeof *numbers);
    if (numbers == NULL) return mle_nomem(err, "planning a scan");
    to->numbers = numbers;
    numbers[to->count++] = number;
  }
  return MLE_OK;
}

static int compare_numbers(const void *a, const void *b) {
  const size_t *x = a, *y = b;
  return (*x > *y) - (*x < *y);
}

/* Beside a deletion vector only equality deletes count. */
static void drop_positions(const mle_delete_index *index, found *f) {
  size_t kept = 0;
  for (size_t i = 0; i < f->count; i++) {
    const mle_delete_file *one = &index->deletes[f->numbers[i]];
    if (one->is_vector || one->content == MLE_FILE_EQUALITY_DELETES)
      f->numbers[kept++] = f->numbers[i];
  }
  f->count = kept;
}

mle_status mle_delete_index_find(const mle_delete_index *index, const mle_delete_target *file,
                                 mle_arena *arena, size_t **out, size_t *out_count,
                                 mle_error *err) {
  found f = {NULL, 0, false};
  uint64_t partition = mle_tuple_hash(file->spec_id, &file->partition) & ~(uint64_t)1;
  *out = NULL;
  *out_count = 0;
  if (index->count == 0) return MLE_OK;
  MLE_TRY(add_key(index, hash_path(file->path), file, arena, &f, err));
  MLE_TRY(add_key(index, partition, file, arena, &f, err));
  if (partition != 0) MLE_TRY(add_key(index, 0, file, arena, &f, err));
  if (f.vector) drop_positions(index, &f);
  if (f.count > 1) qsort(f.numbers, f.count, sizeof *f.numbers, compare_numbers);
  *out = f.numbers;
  *out_count = f.count;
  return MLE_OK;
}
