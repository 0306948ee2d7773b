/*
 * client.h -- an HTTP client that keeps its connections and its temper.
 *
 *     mle_http_request request = MLE_HTTP_REQUEST("GET", "http://127.0.0.1:8700/ping");
 *     mle_http_response response;
 *     MLE_GO(mle_http_send(client, &request, &response, err));
 *     if (response.status != 200) ...
 *   done:
 *     mle_http_response_release(&response);
 *
 * A status of 400 or more is an answer, not a failure. GET, HEAD, PUT and DELETE are
 * sent again on a network failure or a passing status; other methods only when
 * `idempotent` says so, or when the connection was never made. A request that went
 * out and got no answer fails with EUNKNOWN, unless it could be repeated. Redirects
 * are not followed. One client belongs to one thread at a time.
 */
#ifndef MLE_HTTP_CLIENT_H
#define MLE_HTTP_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/buffer.h"

typedef struct mle_http_client mle_http_client;

typedef struct mle_http_request {
  const char *method, *url;
  const char *const *headers; /* "Name: value" lines, NULL-terminated; NULL: none */
  const void *body;           /* NULL: none */
  size_t body_len;
  int body_fd;                /* a file whose bytes are the body, from its start; 0: none */
  int answer_fd;              /* a file that takes the body of a 2xx answer; 0: none */
  const char *ca_file;        /* PEM of the authorities to trust; NULL: the system's */
  const char *client_cert;    /* PEM of a certificate and its key; NULL: none */
  bool insecure;              /* take any certificate */
  const char *proxy;          /* a URL; "": none; NULL: what the environment says */
  bool path_as_is;            /* "a//b" and "a/../b" are names, not ways */
  const char *unix_socket;    /* connect there instead of to the url's host; NULL: no */
  int64_t connect_ms, total_ms; /* of one attempt */
  size_t response_max;
  int retries;                /* repetitions after the first attempt */
  int64_t retry_base_ms;
  bool idempotent;            /* may be repeated though its method does not say so */
  bool last_words;            /* goes out though the process was asked to stop; once, within 5 s */
} mle_http_request;

#define MLE_HTTP_REQUEST(method_, url_)                                         \
  ((mle_http_request){.method = (method_), .url = (url_), .connect_ms = 10000,  \
                      .total_ms = 120000, .response_max = (size_t)64 << 20,     \
                      .retries = 4, .retry_base_ms = 500})

typedef struct mle_http_response {
  long status;
  bool sent;          /* the server may have seen the request, also where it failed */
  mle_buffer body;
  mle_buffer headers; /* "name: value\n" lines, names in lower case, of the last answer */
} mle_http_response;

mle_status mle_http_client_new(mle_http_client **out, mle_error *err);
void mle_http_client_free(mle_http_client *client); /* NULL is ignored */

/* `out` must be released, also after a failure. */
mle_status mle_http_send(mle_http_client *client, const mle_http_request *request,
                         mle_http_response *out, mle_error *err);

/* Writes a header's value; false when the answer has none, or it is longer than `size`. */
bool mle_http_response_header(const mle_http_response *response, const char *name, char *value,
                              size_t size);

void mle_http_response_release(mle_http_response *response);

#endif
