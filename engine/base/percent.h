/*
 * percent.h -- %20 and the like in URIs (RFC 3986, 2.1).
 */
#ifndef MLE_PERCENT_H
#define MLE_PERCENT_H

#include <stdbool.h>

#include "engine/base/arena.h"

/* In place; a '%' without two hex digits stays as it is. */
void mle_percent_decode(char *text);

/* All but letters, digits, "-._~" and, when `slashes`, "/" as %XX; NULL: out of memory. */
char *mle_percent_encode(mle_arena *memory, const char *text, bool slashes);

#endif
