/*
 * aws_sign.h -- AWS Signature Version 4, of a request as it goes out.
 *
 *     const mle_aws_request what = {.method = "GET", .url = url, .region = "us-east-1",
 *                                   .service = "s3", .now_ms = mle_now_ms()};
 *     MLE_GO(mle_aws_sign(&what, &keys, &arena, &request.headers, err));
 *
 * The url is signed as it is given: percent-encoded once, its query too. libcurl's own
 * signer encodes some keys otherwise than it sends them ("a=b", "a//b").
 */
#ifndef MLE_HTTP_AWS_SIGN_H
#define MLE_HTTP_AWS_SIGN_H

#include <stdint.h>

#include "engine/base/arena.h"

typedef struct mle_aws_keys {
  const char *access_key_id, *secret_access_key;
  const char *session_token; /* NULL: none */
} mle_aws_keys;

typedef struct mle_aws_request {
  const char *method, *url;
  const char *region, *service;   /* "us-east-1"; "s3", "glue", "s3tables", ... */
  const char *const *headers;     /* "Name: value" lines that are sent and signed too; NULL: none */
  const char *payload_sha256;     /* of the body, in hex; NULL: there is none */
  int64_t now_ms;
} mle_aws_request;

/* The request's headers and those that sign it, NULL-terminated; they live in `arena`. */
mle_status mle_aws_sign(const mle_aws_request *request, const mle_aws_keys *keys, mle_arena *arena,
                        const char *const **out, mle_error *err);

#endif
