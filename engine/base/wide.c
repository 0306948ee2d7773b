#include "engine/base/wide.h"

size_t mle_wide_bytes(mle_wide value, char out[MLE_WIDE_BYTES]) {
  size_t len = 1;
  while (len < MLE_WIDE_BYTES && (value >> (8 * len - 1)) != 0 && (value >> (8 * len - 1)) != -1)
    len++;
  for (size_t i = 0; i < len; i++) out[i] = (char)(value >> (8 * (len - 1 - i)));
  return len;
}
