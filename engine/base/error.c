#include "engine/base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *const names[] = {
    [MLE_OK] = "ok",
    [MLE_ENOMEM] = "memory",
    [MLE_EINVAL] = "invalid",
    [MLE_EIO] = "io",
    [MLE_EFORMAT] = "format",
    [MLE_ENOTFOUND] = "not found",
    [MLE_EEXISTS] = "exists",
    [MLE_ECONFLICT] = "conflict",
    [MLE_EBUSY] = "busy",
    [MLE_ETIMEOUT] = "timeout",
    [MLE_ECANCELLED] = "cancelled",
    [MLE_EREFUSED] = "refused",
    [MLE_EUNSUPPORTED] = "unsupported",
    [MLE_EUNKNOWN] = "unknown outcome",
};

const char *mle_status_name(mle_status status) {
  if ((size_t)status >= sizeof names / sizeof *names) return "error";
  return names[status];
}

/* A message that was cut still ends on a whole UTF-8 character. */
static void end_on_character(char *text, size_t len) {
  size_t i = len;
  while (i > 0 && ((unsigned char)text[i - 1] & 0xC0) == 0x80) i--;
  if (i > 0 && (unsigned char)text[i - 1] >= 0xC0) text[i - 1] = '\0';
}

/* Bytes of the character that `text` begins with; 0: it is none, or one that moves the cursor. */
static size_t character_length(const unsigned char *text) {
  size_t len = *text < 0x80 ? 1 : *text >= 0xF0 ? 4 : *text >= 0xE0 ? 3 : 2;
  if (*text < 0x80) return (*text >= ' ' && *text != 0x7F) || *text == '\n' || *text == '\t';
  if (*text < 0xC2 || *text > 0xF4) return 0;
  for (size_t i = 1; i < len; i++)
    if ((text[i] & 0xC0) != 0x80) return 0;
  return len;
}

/* What is quoted may be bytes of a damaged file: a message is text for a terminal and for JSON. */
static void make_text(char *message) {
  for (size_t at = 0; message[at] != '\0';) {
    size_t len = character_length((const unsigned char *)message + at);
    if (len == 0) message[at] = '?';
    at += len == 0 ? 1 : len;
  }
}

static void set_message(mle_error *err, const char *fmt, va_list args) {
  int len = vsnprintf(err->message, sizeof err->message, fmt, args);
  if (len >= (int)sizeof err->message)
    end_on_character(err->message, sizeof err->message - 1);
  make_text(err->message);
}

mle_status mle_fail(mle_error *err, mle_status status, const char *fmt, ...) {
  if (err == NULL) return status;
  va_list args;
  va_start(args, fmt);
  set_message(err, fmt, args);
  va_end(args);
  err->status = status;
  err->retryable = status == MLE_ECONFLICT || status == MLE_EBUSY || status == MLE_ETIMEOUT;
  return status;
}

mle_status mle_nomem(mle_error *err, const char *doing) {
  return mle_fail(err, MLE_ENOMEM, "out of memory: %s", doing);
}

mle_status mle_context(mle_error *err, const char *fmt, ...) {
  if (err == NULL) return MLE_EIO;
  mle_error inner = *err;
  va_list args;
  va_start(args, fmt);
  set_message(err, fmt, args);
  va_end(args);
  size_t len = strlen(err->message);
  int more = snprintf(err->message + len, sizeof err->message - len, ": %s", inner.message);
  if (more >= (int)(sizeof err->message - len))
    end_on_character(err->message, sizeof err->message - 1);
  return err->status;
}
