#include "engine/base/line.h"

#include <stdbool.h>
#include <string.h>

char *mle_line_copy(const char *text, char *out, size_t size) {
  size_t len = 0;
  for (; *text != '\0' && len + 1 < size; text++) {
    bool plain = (unsigned char)*text >= ' ' && *text != 127;
    if (plain || (len > 0 && out[len - 1] != ' ')) out[len++] = plain ? *text : ' ';
  }
  out[len] = '\0';
  return out;
}

void mle_line_hide(char *text, const char *secret) {
  size_t len = secret == NULL ? 0 : strlen(secret);
  for (char *at = text; len > 0 && (at = strstr(at, secret)) != NULL; at += len)
    memset(at, '*', len);
}
