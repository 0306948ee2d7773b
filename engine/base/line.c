#include "engine/base/line.h"

#include <stdbool.h>

char *mle_line_copy(const char *text, char *out, size_t size) {
  size_t len = 0;
  for (; *text != '\0' && len + 1 < size; text++) {
    bool plain = (unsigned char)*text >= ' ' && *text != 127;
    if (plain || (len > 0 && out[len - 1] != ' ')) out[len++] = plain ? *text : ' ';
  }
  out[len] = '\0';
  return out;
}
