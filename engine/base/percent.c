#include "engine/base/percent.h"

#include <string.h>

static int hex_value(char c) {
  const char *all = "0123456789abcdef0123456789ABCDEF";
  const char *found = c == '\0' ? NULL : strchr(all, c);
  return found == NULL ? -1 : (int)((found - all) & 15);
}

void mle_percent_decode(char *text) {
  char *out = text;
  for (const char *at = text; *at != '\0'; at++) {
    int high = *at == '%' ? hex_value(at[1]) : -1, low = high >= 0 ? hex_value(at[2]) : -1;
    *out++ = (char)(low >= 0 ? high << 4 | low : *at);
    if (low >= 0) at += 2;
  }
  *out = '\0';
}

char *mle_percent_encode(mle_arena *memory, const char *text, bool slashes) {
  static const char hex[] = "0123456789ABCDEF";
  static const char plain[] =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
  char *out = mle_arena_alloc(memory, strlen(text) * 3 + 1), *to = out;
  if (out == NULL) return NULL;
  for (; *text != '\0'; text++) {
    unsigned char c = (unsigned char)*text;
    bool as_it_is = strchr(plain, c) != NULL || (slashes && c == '/');
    if (as_it_is) *to++ = (char)c;
    if (as_it_is) continue;
    *to++ = '%';
    *to++ = hex[c >> 4];
    *to++ = hex[c & 15];
  }
  *to = '\0';
  return out;
}
