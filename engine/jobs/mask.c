#include "engine/jobs/mask.h"

#include <string.h>

#include "engine/base/alloc.h"

#define SECRETS_MAX 4096 /* lines of all secrets */

struct mle_mask {
  char **secrets; /* the longest first: one may be part of another */
  size_t count;
};

static size_t line_len(const char *text) { return strcspn(text, "\r\n"); }

static mle_status add(mle_mask *mask, const char *text, size_t len, mle_error *err) {
  if (len < MLE_MASK_LEAST) return MLE_OK;
  if (mask->count == SECRETS_MAX)
    return mle_fail(err, MLE_EREFUSED, "the secrets of a job have at most %d lines", SECRETS_MAX);
  char **grown = mle_realloc_array(mask->secrets, mask->count + 1, sizeof *grown);
  if (grown == NULL) return mle_nomem(err, "masking secrets");
  mask->secrets = grown;
  char *copy = mle_strndup(text, len);
  if (copy == NULL) return mle_nomem(err, "masking secrets");
  size_t at = mask->count++;
  for (; at > 0 && strlen(grown[at - 1]) < len; at--) grown[at] = grown[at - 1];
  grown[at] = copy;
  return MLE_OK;
}

static mle_status add_lines(mle_mask *mask, const char *text, mle_error *err) {
  while (*text != '\0') {
    size_t len = line_len(text);
    MLE_TRY(add(mask, text, len, err));
    text += len;
    text += strspn(text, "\r\n");
  }
  return MLE_OK;
}

mle_status mle_mask_new(const char *const *secrets, size_t count, mle_mask **out, mle_error *err) {
  mle_status status = MLE_OK;
  *out = NULL;
  mle_mask *mask = mle_calloc(1, sizeof *mask);
  if (mask == NULL) return mle_nomem(err, "masking secrets");
  for (size_t i = 0; i < count; i++) MLE_GO(add_lines(mask, secrets[i], err));
  *out = mask;
  mask = NULL;
done:
  mle_mask_free(mask);
  return status;
}

void mle_mask_free(mle_mask *mask) {
  if (mask == NULL) return;
  for (size_t i = 0; i < mask->count; i++) mle_free(mask->secrets[i]);
  mle_free(mask->secrets);
  mle_free(mask);
}

static size_t matching(const mle_mask *mask, const char *text, size_t len) {
  for (size_t i = 0; i < mask->count; i++) {
    size_t size = strlen(mask->secrets[i]);
    if (size <= len && memcmp(text, mask->secrets[i], size) == 0) return size;
  }
  return 0;
}

size_t mle_mask_apply(const mle_mask *mask, char *text, size_t len) {
  size_t to = 0;
  if (mask == NULL || mask->count == 0) return len;
  for (size_t from = 0; from < len;) {
    size_t size = matching(mask, text + from, len - from);
    if (size == 0) {
      text[to++] = text[from++];
      continue;
    }
    memcpy(text + to, MLE_MASK_TEXT, strlen(MLE_MASK_TEXT));
    to += strlen(MLE_MASK_TEXT);
    from += size;
  }
  return to;
}

size_t mle_mask_open_end(const mle_mask *mask, const char *text, size_t len) {
  size_t longest = mask == NULL || mask->count == 0 ? 0 : strlen(mask->secrets[0]);
  for (size_t open = longest < len ? longest : len; open > 0; open--)
    for (size_t i = 0; i < mask->count; i++)
      if (strlen(mask->secrets[i]) > open && memcmp(text + len - open, mask->secrets[i], open) == 0)
        return open;
  return 0;
}
