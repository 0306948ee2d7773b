#include "engine/serve/layout.h"

#include <stdatomic.h>
#include <string.h>

#include "engine/base/alloc.h"

#define KEPT 4
#define TEXT_MAX ((size_t)64 << 10)

struct mle_layouts {
  _Atomic(mle_layout *) kept[KEPT]; /* filled in this order */
};

mle_layouts *mle_layouts_new(void) { return mle_calloc(1, sizeof(mle_layouts)); }

void mle_layouts_free(mle_layouts *layouts) {
  for (int i = 0; layouts != NULL && i < KEPT; i++) mle_free(atomic_load(&layouts->kept[i]));
  mle_free(layouts);
}

const mle_layout *mle_layouts_find(const mle_layouts *layouts, const char *at, const char *end) {
  for (int i = 0; layouts != NULL && i < KEPT; i++) {
    const mle_layout *layout = atomic_load_explicit(&layouts->kept[i], memory_order_acquire);
    if (layout == NULL) return NULL;
    if (layout->len <= (size_t)(end - at) && memcmp(layout->text, at, layout->len) == 0) return layout;
  }
  return NULL;
}

static mle_layout *copy_of(const char *text, size_t len, const int *order, size_t count) {
  mle_layout *copy = mle_alloc(sizeof *copy + count * sizeof *order + len);
  if (copy == NULL) return NULL;
  char *bytes = (char *)(copy->order + count);
  memcpy(copy->order, order, count * sizeof *order);
  memcpy(bytes, text, len);
  copy->len = len;
  copy->count = count;
  copy->text = bytes;
  return copy;
}

void mle_layouts_keep(mle_layouts *layouts, const char *text, size_t len, const int *order, size_t count) {
  if (layouts == NULL || len > TEXT_MAX || count == 0) return;
  if (atomic_load_explicit(&layouts->kept[KEPT - 1], memory_order_relaxed) != NULL) return;
  mle_layout *copy = copy_of(text, len, order, count);
  if (copy == NULL) return;
  for (int i = 0; i < KEPT; i++) {
    mle_layout *none = NULL;
    if (atomic_compare_exchange_strong(&layouts->kept[i], &none, copy)) return;
  }
  mle_free(copy);
}
