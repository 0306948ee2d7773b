/* embedded.h -- the Lua standard library and its guides, linked into the program as bytes. */
#ifndef MLE_EMBEDDED_H
#define MLE_EMBEDDED_H

#include <stddef.h>

typedef struct mle_embedded {
  const char *module; /* the name given to require(), or "docs/x.md" of a guide */
  const char *chunk;  /* "@stdlib/<file>": the chunk name, for tracebacks */
  const unsigned char *bytes;
  size_t size;
} mle_embedded;

extern const mle_embedded mle_stdlib[]; /* ends with a NULL module */

#endif
