#include <string.h>

#include "engine/frame/frame.h"

static mle_status quote(mle_buffer *sql, const char *text, size_t len, char mark, mle_error *err) {
  MLE_TRY(mle_buffer_append(sql, &mark, 1, err));
  for (const char *end = text + len; text < end;) {
    const char *stop = memchr(text, mark, (size_t)(end - text));
    if (stop == NULL) stop = end - 1;
    MLE_TRY(mle_buffer_append(sql, text, (size_t)(stop + 1 - text), err));
    if (*stop == mark) MLE_TRY(mle_buffer_append(sql, &mark, 1, err));
    text = stop + 1;
  }
  return mle_buffer_append(sql, &mark, 1, err);
}

mle_status mle_sql_name(mle_buffer *sql, const char *name, mle_error *err) {
  if (name[0] == '\0') return mle_fail(err, MLE_EINVAL, "a column needs a name");
  return quote(sql, name, strlen(name), '"', err);
}

mle_status mle_sql_text(mle_buffer *sql, const char *text, size_t len, mle_error *err) {
  if (memchr(text, '\0', len) != NULL)
    return mle_fail(err, MLE_EINVAL, "a text for SQL must not hold a zero byte");
  return quote(sql, text, len, '\'', err);
}
