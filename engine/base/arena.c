#include "engine/base/arena.h"

#include <stdalign.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "engine/base/alloc.h"

#define BLOCK_SIZE 4000 /* of the first; later ones double */
#define BLOCK_SIZE_MAX ((size_t)1 << 20)
#define ALIGNMENT alignof(max_align_t)

typedef struct mle_arena_block {
  struct mle_arena_block *older;
  size_t used, size;
  alignas(max_align_t) unsigned char bytes[];
} mle_arena_block;

static mle_arena_block *add_block(mle_arena *arena, size_t size) {
  size_t usual = arena->blocks == NULL ? BLOCK_SIZE : 2 * arena->blocks->size;
  if (usual > BLOCK_SIZE_MAX) usual = BLOCK_SIZE_MAX;
  if (size < usual) size = usual;
  if (size > SIZE_MAX - sizeof(mle_arena_block)) return NULL;
  mle_arena_block *block = mle_calloc(1, sizeof *block + size);
  if (block == NULL) return NULL;
  block->older = arena->blocks;
  block->size = size;
  arena->blocks = block;
  return block;
}

void *mle_arena_alloc(mle_arena *arena, size_t size) {
  if (size > SIZE_MAX / 2) return NULL;
  size = (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
  mle_arena_block *block = arena->blocks;
  if (block == NULL || block->size - block->used < size) block = add_block(arena, size);
  if (block == NULL) return NULL;
  void *found = block->bytes + block->used;
  block->used += size;
  return found;
}

void *mle_arena_array(mle_arena *arena, size_t count, size_t size) {
  if (size != 0 && count > SIZE_MAX / size) return NULL;
  return mle_arena_alloc(arena, count * size);
}

char *mle_arena_text(mle_arena *arena, const char *bytes, size_t len) {
  char *text = len == SIZE_MAX ? NULL : mle_arena_alloc(arena, len + 1);
  if (text != NULL && len > 0) memcpy(text, bytes, len);
  return text;
}

mle_status mle_arena_copy(mle_arena *arena, const char *text, const char **out, mle_error *err) {
  *out = NULL;
  if (text == NULL) return MLE_OK;
  size_t size = strlen(text) + 1;
  char *copy = mle_arena_alloc(arena, size);
  if (copy == NULL) return mle_nomem(err, "copying a text");
  *out = memcpy(copy, text, size);
  return MLE_OK;
}

char *mle_arena_format(mle_arena *arena, const char *fmt, ...) {
  va_list args;
  va_start(args, fmt);
  int len = vsnprintf(NULL, 0, fmt, args);
  va_end(args);
  char *text = len < 0 ? NULL : mle_arena_alloc(arena, (size_t)len + 1);
  if (text == NULL) return NULL;
  va_start(args, fmt);
  vsnprintf(text, (size_t)len + 1, fmt, args);
  va_end(args);
  return text;
}

/* Full at 0, 4, 8, 16, ...: so the length is known from the count. */
static int is_full(size_t count) { return count == 0 || (count >= 4 && (count & (count - 1)) == 0); }

void *mle_arena_grow(mle_arena *arena, void *items, size_t count, size_t size) {
  if (!is_full(count)) return items;
  size_t room = count == 0 ? 4 : 2 * count;
  if (room > SIZE_MAX / size) return NULL;
  void *longer = mle_arena_alloc(arena, room * size);
  if (longer != NULL && count > 0) memcpy(longer, items, count * size);
  return longer;
}

static void free_blocks(mle_arena_block *block) {
  for (mle_arena_block *older; block != NULL; block = older) {
    older = block->older;
    mle_free(block);
  }
}

void mle_arena_clear(mle_arena *arena) {
  mle_arena_block *newest = arena->blocks;
  if (newest == NULL) return;
  free_blocks(newest->older);
  newest->older = NULL;
  memset(newest->bytes, 0, newest->used); /* what alloc hands out is zeroed */
  newest->used = 0;
}

void mle_arena_join(mle_arena *arena, mle_arena *from) {
  mle_arena_block **last = &arena->blocks;
  while (*last != NULL) last = &(*last)->older;
  *last = from->blocks;
  from->blocks = NULL;
}

void mle_arena_release(mle_arena *arena) {
  free_blocks(arena->blocks);
  arena->blocks = NULL;
}
