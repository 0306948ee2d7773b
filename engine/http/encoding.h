/*
 * encoding.h -- bodies that travel compressed: gzip and deflate (RFC 9110, 8.4.1).
 */
#ifndef MLE_HTTP_ENCODING_H
#define MLE_HTTP_ENCODING_H

#include "engine/base/buffer.h"

/*
 * Replaces a body by what it stands for; "" and "identity" leave it. EUNSUPPORTED: another
 * encoding; EFORMAT: damaged; EREFUSED: more than body->max bytes come out.
 */
mle_status mle_http_decode(const char *encoding, mle_buffer *body, mle_error *err);

/* Replaces a body by its gzip form, quickly rather than small. */
mle_status mle_http_gzip(mle_buffer *body, mle_error *err);

/* Whether an Accept-Encoding header takes gzip. */
bool mle_http_accepts_gzip(const char *accept_encoding);

#endif
