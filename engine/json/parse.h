/*
 * parse.h -- JSON text to nodes; internal to json.c.
 *
 * The nodes are cJSON's, so that what was parsed and what was built print alike, but those of a document
 * lie together, and so do the texts they point to: made and freed as one.
 */
#ifndef MLE_JSON_PARSE_H
#define MLE_JSON_PARSE_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <string.h>

#include "engine/base/error.h"

#define MLE_JSON_PARSED (1 << 16) /* in the type of a document's root: it and all below lie together */

/* RFC 8259, no key twice in an object. Of integers longer than 15 digits `valuestring` is the text; of arrays
 * and objects `valueint` is the count. */
mle_status mle_json_parse_text(const char *text, size_t len, cJSON **out, mle_error *err);

/* Frees a root that has MLE_JSON_PARSED. */
void mle_json_parsed_free(cJSON *root);

/* Most keys differ in their first two bytes. */
static inline bool mle_json_same_key(const char *a, const char *b) {
  return a[0] == b[0] && (a[0] == '\0' || (a[1] == b[1] && strcmp(a, b) == 0));
}

#endif
