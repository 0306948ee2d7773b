/* embedded.h -- the Lua standard library, its guides and the examples, linked in as bytes. */
#ifndef MLE_EMBEDDED_H
#define MLE_EMBEDDED_H

#include <stddef.h>

typedef struct mle_embedded {
  const char *module; /* the name given to require(), "docs/x.md", or "scripts/x/y.lua" */
  const char *chunk;  /* "@stdlib/<file>": the chunk name, for tracebacks */
  const unsigned char *bytes;
  size_t size;
} mle_embedded;

extern const mle_embedded mle_stdlib[]; /* ends with a NULL module */

#endif
