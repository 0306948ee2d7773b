/*
 * buffer.h -- growing bytes that know their maximum.
 *
 *     mle_buffer text = MLE_BUFFER(64 * 1024);
 *     MLE_GO(mle_buffer_printf(&text, err, "%s = %d", name, n));
 *   done:
 *     mle_buffer_release(&text);
 *
 * `data` always ends in a NUL that `len` does not count, once anything was
 * appended; before, it is NULL. A failed append leaves the buffer as it was.
 */
#ifndef MLE_BUFFER_H
#define MLE_BUFFER_H

#include <stddef.h>

#include "engine/base/error.h"

typedef struct mle_buffer {
  char *data;
  size_t len;
  size_t capacity;
  size_t max; /* an append beyond this fails with MLE_EREFUSED */
} mle_buffer;

#define MLE_BUFFER(max_) ((mle_buffer){NULL, 0, 0, (max_)})

/* Makes room for `more` further bytes, so that appending them cannot fail. */
mle_status mle_buffer_reserve(mle_buffer *buffer, size_t more, mle_error *err);

mle_status mle_buffer_append(mle_buffer *buffer, const void *bytes, size_t len, mle_error *err);
mle_status mle_buffer_puts(mle_buffer *buffer, const char *text, mle_error *err);
__attribute__((format(printf, 3, 4)))
mle_status mle_buffer_printf(mle_buffer *buffer, mle_error *err, const char *fmt, ...);

/* Forgets the contents, keeps the memory. */
void mle_buffer_clear(mle_buffer *buffer);

/* Hands the bytes over (never NULL unless out of memory); the buffer is empty afterwards. */
char *mle_buffer_take(mle_buffer *buffer);

/* Frees the memory; the buffer is empty and usable again. */
void mle_buffer_release(mle_buffer *buffer);

#endif
