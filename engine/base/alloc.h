/*
 * alloc.h -- the one door to the heap, which tests can make fail.
 *
 * All engine code allocates here; so do cJSON and Lua. Any thread may call.
 */
#ifndef MLE_ALLOC_H
#define MLE_ALLOC_H

#include <stddef.h>

/* As malloc, calloc, realloc, free; NULL when out of memory, and for 0 bytes never. */
__attribute__((malloc)) void *mle_alloc(size_t size);
__attribute__((malloc)) void *mle_calloc(size_t count, size_t size);
void *mle_realloc(void *block, size_t size);
void mle_free(void *block);

/* realloc for arrays: count * size, NULL when that overflows. The old block stays. */
void *mle_realloc_array(void *block, size_t count, size_t size);

char *mle_strdup(const char *text); /* NULL gives NULL */
char *mle_strndup(const char *text, size_t len);
__attribute__((format(printf, 1, 2))) char *mle_format(const char *fmt, ...);

/* Gives what was freed back to the system, once something large was; libraries' blocks too. */
void mle_alloc_trim(void);

/* Test door: the next `count` allocations succeed, all later ones fail; -1 ends it. */
void mle_alloc_fail_after(long count);

#endif
