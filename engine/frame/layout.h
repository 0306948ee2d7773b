/*
 * layout.h -- which columns Parquet files have, under which names and field ids.
 *
 *     MLE_GO(mle_layouts_read(session, paths, count, &arena, &layouts, err));
 *     const mle_layout_node *root = layouts.roots[layouts.of_file[0]];
 *
 * Files of one writer mostly have one layout: it is kept once.
 */
#ifndef MLE_LAYOUT_H
#define MLE_LAYOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/arena.h"
#include "engine/base/error.h"
#include "engine/frame/session.h"

typedef struct mle_layout_node {
  const char *name;
  int32_t field_id; /* -1: none */
  bool repeated;    /* Parquet's repetition: the middle of a list or map, or an old list */
  size_t num_children;
  struct mle_layout_node *children;
} mle_layout_node;

typedef struct mle_layouts {
  mle_layout_node **roots; /* of the distinct layouts */
  size_t count;
  size_t *of_file; /* which of them each file has */
} mle_layouts;

/* One footer is read per file, on all threads. Paths are local, not globs. */
mle_status mle_layouts_read(mle_session *session, const char *const *paths, size_t count,
                            mle_arena *arena, mle_layouts *out, mle_error *err);

/* A node and all below it, in `arena`. */
mle_status mle_layout_copy(const mle_layout_node *from, mle_arena *arena, mle_layout_node *out,
                           mle_error *err);

#endif
