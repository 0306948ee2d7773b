/*
 * layout.h -- lists of columns that requests named, remembered: the next client's is most often the same bytes.
 *
 *     const mle_layout *layout = mle_layouts_find(layouts, at, end);     NULL: read it
 *     ...
 *     mle_layouts_keep(layouts, at, len, order, count);                  it was read, and was in order
 *
 * The first few texts of a model are kept as long as it is: nothing is replaced, so any thread reads without a lock.
 */
#ifndef MLE_LAYOUT_H
#define MLE_LAYOUT_H

#include <stddef.h>

typedef struct mle_layouts mle_layouts;

/* A list's text, from '[' to ']', and which feature each of its columns is; -1: none. */
typedef struct mle_layout {
  size_t len, count;
  const char *text;
  int order[];
} mle_layout;

/* NULL, when out of memory, remembers nothing. */
mle_layouts *mle_layouts_new(void);
void mle_layouts_free(mle_layouts *layouts);

/* The one that the text at `at` begins with, or NULL. */
const mle_layout *mle_layouts_find(const mle_layouts *layouts, const char *at, const char *end);

/* Where there is room; copies both. */
void mle_layouts_keep(mle_layouts *layouts, const char *text, size_t len, const int *order, size_t count);

#endif
