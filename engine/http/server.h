/*
 * server.h -- an HTTP/1.1 server: worker threads, limits on everything, a drain.
 *
 *     mle_http_server_options options = MLE_HTTP_SERVER_OPTIONS;
 *     options.handler = answer_ping;
 *     MLE_TRY(mle_http_server_start(&options, &address, &server, err));
 *     ...
 *     mle_http_server_stop(server, 10000);
 *
 * The handler runs on worker threads, one request at a time on each, and fills in
 * the answer. A request that breaks a limit never reaches it: 400, 413, 415, 431, 503 or a closed
 * connection. A compressed body reaches it as what it stands for. `tick` below must be called
 * about once a second.
 */
#ifndef MLE_HTTP_SERVER_H
#define MLE_HTTP_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/buffer.h"
#include "engine/http/address.h"
#include "engine/http/tls.h"

typedef struct mle_http_server mle_http_server;

/* A request, valid while the handler runs. */
typedef struct mle_http_call {
  const char *method;
  const char *path;         /* decoded, without the query */
  const char *content_type; /* "" when absent */
  const char *request_id;   /* X-Request-Id, "" when absent */
  const char *authorization; /* "" when absent */
  const char *body;         /* never NULL */
  size_t body_len;
  int64_t received_ns;      /* when its last byte was there, of mle_monotonic_ns */
  void *exchange; /* the server's own */
} mle_http_call;

/* Another header, a parameter of the query; NULL when absent. As long-lived as the call. */
const char *mle_http_call_header(const mle_http_call *call, const char *name);
const char *mle_http_call_query(const mle_http_call *call, const char *name);

#define MLE_HTTP_HEADERS_MAX 10 /* of a handler, and two of the server's */
#define MLE_HTTP_HEADER_TEXT 256

typedef struct mle_http_header {
  const char *name; /* a literal */
  char value[MLE_HTTP_HEADER_TEXT];
} mle_http_header;

/*
 * A body that has no end yet, written as it comes about. `read` fills in at most `max` bytes, on a worker thread, and
 * gives their number, or MLE_HTTP_STREAM_END. When there is nothing now it calls `sleep` and gives 0; `wake`, from any
 * thread, has it asked again. What decides between the two must hold one lock over both (feed.h). `release` comes last.
 */
typedef struct mle_http_stream mle_http_stream;
struct mle_http_stream {
  ptrdiff_t (*read)(mle_http_stream *stream, char *out, size_t max);
  void (*release)(mle_http_stream *stream);
  void *handle, *connection; /* the server's own */
};

#define MLE_HTTP_STREAM_END ((ptrdiff_t)-1)

void mle_http_stream_sleep(mle_http_stream *stream);
void mle_http_stream_wake(mle_http_stream *stream);

typedef struct mle_http_answer {
  int status;               /* 200 until set */
  const char *content_type; /* a literal; "application/json" until set */
  mle_buffer body;
  mle_http_stream *stream; /* instead of `body`, for a call that was kept; the server's from then on */
  int num_headers;
  mle_http_header header[MLE_HTTP_HEADERS_MAX];
} mle_http_answer;

/* Adds a header; a value that is too long or has control characters is left out. */
void mle_http_answer_header(mle_http_answer *answer, const char *name, const char *value);

typedef void (*mle_http_handler)(void *context, const mle_http_call *call,
                                 mle_http_answer *answer);

/* Gives a refusal its body, and headers if it likes: the call has no body, and `answer` has its status. */
typedef void (*mle_http_refuser)(void *context, const mle_http_call *call, const char *why,
                                 mle_http_answer *answer);

/*
 * A handler may keep a call and return at once: then its answer is left alone, the worker goes on, and any thread
 * sends the answer later. What was kept must be sent, before the server is stopped too. See inbox.h.
 */
typedef struct mle_http_kept {
  mle_http_call call;
  mle_http_answer answer; /* to be filled in */
} mle_http_kept;

/* NULL: out of memory, or a server that was not started with `keeps`. */
mle_http_kept *mle_http_keep(const mle_http_call *call);
void mle_http_kept_send(mle_http_kept *kept); /* it is the server's again */

typedef struct mle_http_server_options {
  mle_http_handler handler;
  mle_http_refuser refuser; /* of what a limit keeps from the handler; NULL: {"error": ...} */
  void *context;
  bool keeps;       /* the handler may call mle_http_keep */
  unsigned workers; /* 0: one per processor */
  mle_tls tls;      /* of 1.2 and later; without a certificate: plain HTTP. Not kept */
  unsigned connections_max; /* fewer where the process may not have as many descriptors */
  size_t body_max, answer_max, head_max;
  size_t bodies_max;  /* of all requests under way together, but those of 4 KiB and less: beyond, 503 */
  unsigned idle_s;    /* between two bytes, and between two requests */
  unsigned request_s; /* from a request's first byte to its answer's last */
} mle_http_server_options;

#define MLE_HTTP_SERVER_OPTIONS                                             \
  ((mle_http_server_options){.connections_max = 16384,                      \
                             .body_max = (size_t)16 << 20,                  \
                             .answer_max = (size_t)64 << 20,                \
                             .bodies_max = (size_t)1 << 30,                 \
                             .head_max = (size_t)16 << 10,                  \
                             .idle_s = 75,                                  \
                             .request_s = 120})

/* Listens on `inout` and serves; a port of 0 is replaced by the one that was given, and `tls` is set. */
mle_status mle_http_server_start(const mle_http_server_options *options, mle_address *inout,
                                 mle_http_server **out, mle_error *err);

/* Shuts connections that are over their time; where few more fit, those that wait for a request. */
void mle_http_server_tick(mle_http_server *server);

/* Takes no new connections, and asks those there to close after their answer. */
void mle_http_server_drain(mle_http_server *server);

/* Requests being answered now, and open connections. */
long mle_http_server_in_flight(mle_http_server *server);
long mle_http_server_connections(const mle_http_server *server);

/* Requests that a limit refused so far. */
unsigned long long mle_http_server_refused(const mle_http_server *server);

/* Drains, waits up to `grace_ms` for the answers under way, then closes all. NULL is ignored. */
void mle_http_server_stop(mle_http_server *server, int64_t grace_ms);

#endif
