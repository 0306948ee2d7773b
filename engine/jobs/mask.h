/*
 * mask.h -- secrets taken out of what a job says, before anybody sees it.
 *
 * A secret of several lines is several secrets: lines are masked one by one.
 */
#ifndef MLE_JOBS_MASK_H
#define MLE_JOBS_MASK_H

#include <stddef.h>

#include "engine/base/error.h"

#define MLE_MASK_TEXT "***"
#define MLE_MASK_LEAST 4 /* bytes of a secret; what is shorter would mask half of every line */

typedef struct mle_mask mle_mask;

mle_status mle_mask_new(const char *const *secrets, size_t count, mle_mask **out, mle_error *err);
void mle_mask_free(mle_mask *mask); /* NULL is ignored */

/* Replaces each secret in `text`, in place; the new length, which is never more. NULL masks nothing. */
size_t mle_mask_apply(const mle_mask *mask, char *text, size_t len);

/* How many bytes at the end of `text` may be the beginning of a secret whose rest is still to come. */
size_t mle_mask_open_end(const mle_mask *mask, const char *text, size_t len);

#endif
