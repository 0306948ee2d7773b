#include "engine/base/alloc.h"

#include <malloc.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static atomic_long allowance = -1; /* negative: no limit */

void mle_alloc_fail_after(long count) { atomic_store(&allowance, count); }

static bool allowed(void) {
  long left = atomic_load_explicit(&allowance, memory_order_relaxed);
  while (left > 0)
    if (atomic_compare_exchange_weak(&allowance, &left, left - 1)) return true;
  return left < 0;
}

void *mle_alloc(size_t size) { return allowed() ? malloc(size > 0 ? size : 1) : NULL; }

void *mle_calloc(size_t count, size_t size) {
  if (!allowed()) return NULL;
  return count > 0 && size > 0 ? calloc(count, size) : calloc(1, 1);
}

void *mle_realloc(void *block, size_t size) {
  return allowed() ? realloc(block, size > 0 ? size : 1) : NULL;
}

void *mle_realloc_array(void *block, size_t count, size_t size) {
  if (size != 0 && count > SIZE_MAX / size) return NULL;
  return mle_realloc(block, count * size);
}

void mle_free(void *block) { free(block); }

char *mle_strndup(const char *text, size_t len) {
  char *copy = mle_alloc(len + 1);
  if (copy == NULL) return NULL;
  memcpy(copy, text, len);
  copy[len] = '\0';
  return copy;
}

char *mle_strdup(const char *text) {
  return text == NULL ? NULL : mle_strndup(text, strlen(text));
}

char *mle_format(const char *fmt, ...) {
  va_list args, again;
  va_start(args, fmt);
  va_copy(again, args);
  int len = vsnprintf(NULL, 0, fmt, args);
  va_end(args);
  char *text = len < 0 ? NULL : mle_alloc((size_t)len + 1);
  if (text != NULL) vsnprintf(text, (size_t)len + 1, fmt, again);
  va_end(again);
  return text;
}

void mle_alloc_trim(void) { malloc_trim(0); }
