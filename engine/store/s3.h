/*
 * s3.h -- S3 and what speaks like it, by our own client; internal to this folder.
 *
 * Requests are signed here (http/aws_sign.h), repeated on a failure that passes by itself,
 * sent to the bucket's own region when the answer names it, and once more with renewed
 * credentials when the old ones have expired. `uri` is s3://bucket/key; the key is taken
 * as it is, nothing in it is decoded. The functions are those of store.h.
 */
#ifndef MLE_STORE_S3_H
#define MLE_STORE_S3_H

#include "engine/http/client.h"
#include "engine/store/store.h"

mle_status mle_s3_read(const char *uri, mle_buffer *out, mle_error *err);
mle_status mle_s3_read_range(const char *uri, int64_t offset, size_t len, mle_buffer *out,
                             mle_error *err);
mle_status mle_s3_create(const char *uri, const void *bytes, size_t len, mle_error *err);
mle_status mle_s3_replace(const char *uri, const void *bytes, size_t len, mle_error *err);
mle_status mle_s3_upload(const char *uri, const char *path, mle_error *err);
mle_status mle_s3_remove(const char *uri, mle_error *err);
mle_status mle_s3_stat(const char *uri, bool *exists, int64_t *size, mle_error *err);
mle_status mle_s3_list(const char *folder, mle_store_visit visit, void *context, mle_error *err);
mle_status mle_s3_list_names(const char *folder, mle_store_visit_name visit, void *context,
                             mle_error *err);

/* ====== One request (s3_send.c) ====== */

typedef struct mle_s3_call {
  const char *doing;  /* "reading", for messages */
  const char *method, *uri;
  const char *query;  /* encoded; NULL: none */
  bool of_bucket;     /* the key is no part of the url */
  const char *const *headers;
  const void *body;
  size_t body_len;
  size_t response_max;
  bool idempotent;    /* may be repeated though its method does not say so */
  long fine;          /* a status of 400 or more that is an answer too; 0: none */
} mle_s3_call;

/* What has a body says of which kind: libcurl would call it a form. */
#define MLE_S3_CONTENT "Content-Type: application/octet-stream"
extern const char *const mle_s3_content[];

/* An answer of 2xx, or of status `fine`; else a failure. `out` must be released in any case. */
mle_status mle_s3_send(const mle_s3_call *call, mle_http_response *out, mle_error *err);

/* An element's text in a small answer; empty where there is none, or it is longer. */
void mle_s3_element(const mle_http_response *response, const char *path, char *out, size_t size);

/* What follows "s3://bucket/" in a URI. */
const char *mle_s3_key(const char *uri);

#endif
