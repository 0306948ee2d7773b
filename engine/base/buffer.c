#include "engine/base/buffer.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "engine/base/alloc.h"

mle_status mle_buffer_reserve(mle_buffer *buffer, size_t more, mle_error *err) {
  if (more > buffer->max || buffer->len > buffer->max - more)
    return mle_fail(err, MLE_EREFUSED, "more than the %zu bytes allowed here", buffer->max);
  size_t need = buffer->len + more + 1;
  if (need <= buffer->capacity) return MLE_OK;
  size_t capacity = buffer->capacity < 64 ? 64 : buffer->capacity;
  while (capacity < need) capacity += capacity / 2;
  char *data = mle_realloc(buffer->data, capacity);
  if (data == NULL) return mle_nomem(err, "growing a buffer");
  buffer->data = data;
  buffer->capacity = capacity;
  buffer->data[buffer->len] = '\0';
  return MLE_OK;
}

mle_status mle_buffer_append(mle_buffer *buffer, const void *bytes, size_t len, mle_error *err) {
  MLE_TRY(mle_buffer_reserve(buffer, len, err));
  if (len > 0) memcpy(buffer->data + buffer->len, bytes, len);
  buffer->len += len;
  buffer->data[buffer->len] = '\0';
  return MLE_OK;
}

mle_status mle_buffer_puts(mle_buffer *buffer, const char *text, mle_error *err) {
  return mle_buffer_append(buffer, text, strlen(text), err);
}

mle_status mle_buffer_printf(mle_buffer *buffer, mle_error *err, const char *fmt, ...) {
  va_list args;
  va_start(args, fmt);
  int len = vsnprintf(NULL, 0, fmt, args);
  va_end(args);
  if (len < 0) return mle_fail(err, MLE_EINVAL, "cannot format '%s'", fmt);
  MLE_TRY(mle_buffer_reserve(buffer, (size_t)len, err));
  va_start(args, fmt);
  vsnprintf(buffer->data + buffer->len, (size_t)len + 1, fmt, args);
  va_end(args);
  buffer->len += (size_t)len;
  return MLE_OK;
}

void mle_buffer_clear(mle_buffer *buffer) {
  buffer->len = 0;
  if (buffer->data != NULL) buffer->data[0] = '\0';
}

char *mle_buffer_take(mle_buffer *buffer) {
  if (buffer->data == NULL) return mle_strdup("");
  char *data = buffer->data;
  *buffer = MLE_BUFFER(buffer->max);
  return data;
}

void mle_buffer_release(mle_buffer *buffer) {
  mle_free(buffer->data);
  *buffer = MLE_BUFFER(buffer->max);
}
