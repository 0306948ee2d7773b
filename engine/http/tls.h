/*
 * tls.h -- a server's certificate and key, looked at before they are used.
 *
 *     MLE_TRY(mle_tls_read("server.crt", "server.key", &options.tls, err));
 *     ... mle_http_server_start(&options, ...) ...
 *     mle_tls_release(&options.tls);
 *
 * PEM files: the certificate, followed by those between it and the authority; a key without a pass phrase. What
 * OpenSSL does not read, a key of another certificate and one that expired are refused by name.
 */
#ifndef MLE_HTTP_TLS_H
#define MLE_HTTP_TLS_H

#include "engine/base/buffer.h"

#define MLE_TLS_FILE_MAX ((size_t)1 << 20)

typedef struct mle_tls {
  mle_buffer cert, key; /* PEM; data is NULL: no TLS */
} mle_tls;

/* `out` must be released, also after a failure. */
mle_status mle_tls_read(const char *cert_file, const char *key_file, mle_tls *out, mle_error *err);

/* The key's bytes are overwritten first. */
void mle_tls_release(mle_tls *tls);

#endif
