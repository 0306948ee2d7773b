/*
 * xml.h -- the little XML that S3 and STS answer with, read within bounds.
 *
 *     static mle_status see(void *context, const char *path, const char *text, mle_error *err);
 *     MLE_TRY(mle_xml_read(body.data, body.len, see, &listing, err));
 *
 * Elements, text, CDATA and the five named entities; attributes, comments and processing
 * instructions are passed over, a document type is refused.
 */
#ifndef MLE_STORE_XML_H
#define MLE_STORE_XML_H

#include <stddef.h>

#include "engine/base/error.h"

/* Is called at the end of each element: its names from the root, joined by '/', without
 * prefixes, and its own text. A failure ends the reading and is what it returns. */
typedef mle_status (*mle_xml_visit)(void *context, const char *path, const char *text,
                                    mle_error *err);

mle_status mle_xml_read(const char *text, size_t len, mle_xml_visit visit, void *context,
                        mle_error *err);

#endif
