/*
 * arena.h -- many small things that die together.
 *
 *     mle_arena memory = MLE_ARENA;
 *     MLE_GO(mle_mlflow_get_run(store, id, &memory, &run, err));   run's texts live in `memory`
 *   done:
 *     mle_arena_release(&memory);
 *
 * Nothing in it is freed alone. One thread at a time.
 */
#ifndef MLE_ARENA_H
#define MLE_ARENA_H

#include <stddef.h>

#include "engine/base/error.h"

typedef struct mle_arena {
  struct mle_arena_block *blocks; /* newest first */
} mle_arena;

#define MLE_ARENA ((mle_arena){NULL})

/* Zeroed memory for any type; NULL when out of memory. */
void *mle_arena_alloc(mle_arena *arena, size_t size);
void *mle_arena_array(mle_arena *arena, size_t count, size_t size);

/* A copy of bytes, ended by a NUL; NULL when out of memory. */
char *mle_arena_text(mle_arena *arena, const char *bytes, size_t len);

/* Copies a text; NULL gives NULL. */
mle_status mle_arena_copy(mle_arena *arena, const char *text, const char **out, mle_error *err);

/* A formatted text; NULL when out of memory. */
__attribute__((format(printf, 2, 3)))
char *mle_arena_format(mle_arena *arena, const char *fmt, ...);

/*
 * Room for one element more: returns `items`, or a copy twice as long when its
 * `count` elements fill it. NULL when out of memory. Always pass what it
 * returned last, NULL at first.
 */
void *mle_arena_grow(mle_arena *arena, void *items, size_t count, size_t size);

/* Forgets all but keeps a block's memory for what comes next. */
void mle_arena_clear(mle_arena *arena);

/* Takes over all that `from` has, which stays where it is; `from` is empty then. */
void mle_arena_join(mle_arena *arena, mle_arena *from);

/* Frees all; the arena is empty and usable again. */
void mle_arena_release(mle_arena *arena);

#endif
