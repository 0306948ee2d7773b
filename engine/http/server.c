#include "engine/http/server.h"

#include <ctype.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/resource.h>
#include <unistd.h>

#include "engine/base/alloc.h"
#include "engine/base/clock.h"
#include "engine/base/eight.h"
#include "engine/base/log.h"
#include "engine/http/connections.h"
#include "engine/http/encoding.h"
#include "engine/http/head.h"
#include "engine/http/microhttpd.h"
#include "engine/http/reply.h"

#define NS_PER_S INT64_C(1000000000)
#define TRUSTED_LENGTH ((size_t)256 << 10) /* room made for a body before it arrived */
#define SMALL_BODY ((size_t)4 << 10)       /* not counted: with all connections, 64 MiB */
#define OTHER_FILES 256                    /* descriptors that are no connections */
#define CROWDED_IDLE_NS NS_PER_S           /* how long one may wait for a request when few more fit */
#define STREAM_BLOCK ((size_t)8 << 10)
#define GZIP_MIN ((size_t)64 << 10)        /* smaller answers are not worth the time */

static const mle_microhttpd *mhd; /* set by the first server */

#define CACHE_LINE 64

struct mle_http_server {
  mle_http_server_options options;
  struct MHD_Daemon *daemon;
  mle_connections connections;
  int listen_fd;
  atomic_bool draining;
  char apart[CACHE_LINE]; /* what workers write, away from what they read */
  atomic_long num_connections;
  atomic_size_t bodies; /* bytes of all bodies under way but the small ones */
  atomic_ullong refused;
};

/* One request: made at its first line, freed when it is over. */
typedef struct exchange {
  mle_connection *connection;
  mle_http_server *server;
  struct MHD_Connection *handle;
  mle_reply *reply;    /* was queued */
  mle_http_kept *kept; /* the handler took the call with it; the answer is in here once it was sent */
  mle_buffer body;
  size_t counted; /* bytes of it in server->bodies */
  mle_head head;
  bool headers_seen;
  bool has_nul; /* in its path or query, where the handler would see its end */
  int refused; /* a status decided while the body still arrives; 0: none */
} exchange;

typedef struct request_line {
  const char *method, *path, *version;
} request_line;

/* ====== Answers ====== */

static bool is_header_text(const char *value, size_t len) {
  for (; len >= 8; value += 8, len -= 8) {
    uint64_t eight;
    memcpy(&eight, value, sizeof eight);
    if ((mle_eight_below(eight, 0x20) | mle_eight_zero(eight ^ MLE_EACH_BYTE(0x7F))) != 0) return false;
  }
  for (; len > 0; value++, len--)
    if ((unsigned char)*value < 0x20 || *value == 0x7F) return false;
  return true;
}

void mle_http_answer_header(mle_http_answer *answer, const char *name, const char *value) {
  size_t len = value == NULL ? 0 : strlen(value);
  if (len == 0 || len >= MLE_HTTP_HEADER_TEXT || answer->num_headers == MLE_HTTP_HEADERS_MAX) return;
  if (!is_header_text(value, len)) return;
  mle_http_header *header = &answer->header[answer->num_headers++];
  header->name = name;
  memcpy(header->value, value, len + 1);
}

static const char *header_of(struct MHD_Connection *connection, const char *name) {
  const char *value = mhd->lookup_connection_value(connection, MHD_HEADER_KIND, name);
  return value == NULL ? "" : value;
}

/* ====== Bodies that have no end yet ====== */

static ssize_t read_stream(void *cls, uint64_t at, char *out, size_t max) {
  mle_http_stream *stream = cls;
  (void)at;
  mle_connection_touch(stream->connection);
  ptrdiff_t got = stream->read(stream, out, max);
  return got == MLE_HTTP_STREAM_END ? MHD_CONTENT_READER_END_OF_STREAM : got;
}

static void release_stream(void *cls) {
  mle_http_stream *stream = cls;
  stream->release(stream);
}

void mle_http_stream_sleep(mle_http_stream *stream) { mhd->suspend_connection(stream->handle); }
void mle_http_stream_wake(mle_http_stream *stream) { mhd->resume_connection(stream->handle); }

/* Takes the answer's stream. */
static struct MHD_Response *respond_with_stream(struct MHD_Connection *connection, mle_http_answer *answer) {
  mle_http_stream *stream = answer->stream;
  answer->stream = NULL;
  const union MHD_ConnectionInfo *info =
      mhd->get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
  stream->handle = connection;
  stream->connection = info == NULL ? NULL : info->socket_context;
  struct MHD_Response *response =
      mhd->create_response_from_callback(MHD_SIZE_UNKNOWN, STREAM_BLOCK, read_stream, stream, release_stream);
  if (response == NULL) stream->release(stream);
  return response;
}

/* Takes the answer's body. */
static struct MHD_Response *respond_with_body(mle_http_answer *answer) {
  size_t len = answer->body.len;
  char *bytes = answer->body.data;
  answer->body = MLE_BUFFER(0);
  struct MHD_Response *response =
      bytes == NULL ? mhd->create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT)
                    : mhd->create_response_from_buffer_with_free_callback(len, bytes, mle_free);
  if (response == NULL) mle_free(bytes);
  return response;
}

/* Takes what the answer holds. */
static enum MHD_Result send_once(exchange *e, mle_http_answer *answer) {
  struct MHD_Response *response =
      answer->stream != NULL ? respond_with_stream(e->handle, answer) : respond_with_body(answer);
  if (response == NULL) return MHD_NO;
  enum MHD_Result result = MHD_NO;
  if (mle_reply_add_headers(mhd, response, answer))
    result = mhd->queue_response(e->handle, (unsigned)answer->status, response);
  mhd->destroy_response(response);
  return result;
}

/* Takes what the answer holds. */
static enum MHD_Result send_answer(exchange *e, mle_http_answer *answer) {
  if (answer->body.len >= GZIP_MIN && mle_http_accepts_gzip(header_of(e->handle, "Accept-Encoding")) &&
      mle_http_gzip(&answer->body, NULL) == MLE_OK)
    mle_http_answer_header(answer, "Content-Encoding", "gzip");
  if (atomic_load_explicit(&e->server->draining, memory_order_relaxed))
    mle_http_answer_header(answer, "Connection", "close");
  mle_reply *reply = answer->stream == NULL && e->reply == NULL ? mle_reply_find(mhd, answer) : NULL;
  if (reply == NULL) return send_once(e, answer);
  mle_buffer_release(&answer->body);
  e->reply = reply; /* until it was sent */
  return mhd->queue_response(e->handle, (unsigned)answer->status, mle_reply_response(reply));
}

static void init_answer(const mle_http_server *server, mle_http_answer *answer) {
  answer->status = MHD_HTTP_OK;
  answer->content_type = "application/json";
  answer->body = MLE_BUFFER(server->options.answer_max);
  answer->stream = NULL;
  answer->num_headers = 0;
}

/* RFC 9112, 3.2.2: a request line may name scheme and host too. */
static const char *path_of(const char *target) {
  if (*target == '/') return target;
  size_t scheme = strncasecmp(target, "http://", 7) == 0 ? 7 : strncasecmp(target, "https://", 8) == 0 ? 8 : 0;
  if (scheme == 0) return target;
  const char *path = strchr(target + scheme, '/');
  return path == NULL ? "/" : path;
}

/* The request as its head tells it; its body is not looked at. */
static mle_http_call call_of(exchange *e, const request_line *line) {
  return (mle_http_call){
      .method = line->method,
      .path = path_of(line->path),
      .content_type = e->head.content_type,
      .request_id = e->head.request_id,
      .authorization = e->head.authorization,
      .body = "",
      .received_ns = mle_monotonic_ns(),
      .exchange = e,
  };
}

/* For a server that says nothing else. */
static void refuse_plainly(const char *why, mle_http_answer *answer) {
  if (mle_buffer_printf(&answer->body, NULL, "{\"error\":\"%s\"}", why) != MLE_OK)
    mle_buffer_release(&answer->body);
  if (answer->status == MHD_HTTP_SERVICE_UNAVAILABLE || answer->status == MHD_HTTP_TOO_MANY_REQUESTS)
    mle_http_answer_header(answer, "Retry-After", "1");
}

static enum MHD_Result send_refusal(exchange *e, const request_line *line, int status,
                                    const char *why) {
  const mle_http_server_options *options = &e->server->options;
  mle_http_answer answer;
  mle_http_call call = call_of(e, line);
  init_answer(e->server, &answer);
  answer.status = status;
  atomic_fetch_add_explicit(&e->server->refused, 1, memory_order_relaxed);
  if (options->refuser != NULL)
    options->refuser(options->context, &call, why, &answer);
  else
    refuse_plainly(why, &answer);
  if (status == MHD_HTTP_BAD_REQUEST) mle_http_answer_header(&answer, "Connection", "close");
  return send_answer(e, &answer);
}

static enum MHD_Result send_refused(exchange *e, const request_line *line, int status) {
  char why[96] = "the server holds as much of other requests as it may; try again later";
  if (status == MHD_HTTP_REQUEST_HEADER_FIELDS_TOO_LARGE)
    snprintf(why, sizeof why, "the query has more than %d parameters, or the path with it is too long", MLE_HEAD_PARAMETERS);
  if (status == MHD_HTTP_CONTENT_TOO_LARGE)
    snprintf(why, sizeof why, "the body is larger than the %zu bytes allowed",
             e->server->options.body_max);
  return send_refusal(e, line, status, why);
}

static enum MHD_Result send_bad_encoding(exchange *e, const request_line *line,
                                         const mle_error *err) {
  int status = err->status == MLE_EUNSUPPORTED ? MHD_HTTP_UNSUPPORTED_MEDIA_TYPE
               : err->status == MLE_EREFUSED   ? MHD_HTTP_CONTENT_TOO_LARGE
               : err->status == MLE_ENOMEM     ? MHD_HTTP_SERVICE_UNAVAILABLE
                                               : MHD_HTTP_BAD_REQUEST;
  if (status == MHD_HTTP_CONTENT_TOO_LARGE) return send_refused(e, line, status);
  return send_refusal(e, line, status, err->message);
}

static void forget_body(exchange *e) {
  mle_buffer_release(&e->body);
  if (e->counted > 0) atomic_fetch_sub_explicit(&e->server->bodies, e->counted, memory_order_relaxed);
  e->counted = 0;
}

/* Counts what a body has (unpacked, it is another) and what comes; false when all of them would hold more than they may. */
static bool count_body(exchange *e, size_t more) {
  size_t len = e->body.len + more, uncounted = len - e->counted;
  if (len <= SMALL_BODY) return true;
  e->counted = len;
  size_t others = atomic_fetch_add_explicit(&e->server->bodies, uncounted, memory_order_relaxed);
  return others + uncounted <= e->server->options.bodies_max;
}

/* All of the request is there. */
static enum MHD_Result run_handler(exchange *e, const request_line *line) {
  mle_http_server *server = e->server;
  mle_error err;
  if (mle_http_decode(e->head.content_encoding, &e->body, &err) != MLE_OK)
    return send_bad_encoding(e, line, &err);
  if (e->body.len > e->counted && !count_body(e, 0)) {
    forget_body(e);
    return send_refused(e, line, MHD_HTTP_SERVICE_UNAVAILABLE);
  }
  mle_http_call call = call_of(e, line);
  if (e->body.data != NULL) call.body = e->body.data;
  call.body_len = e->body.len;
  mle_http_answer answer;
  init_answer(server, &answer);
  mle_connection_enter(e->connection, MLE_CONNECTION_ANSWERS);
  server->options.handler(server->options.context, &call, &answer);
  return e->kept != NULL ? MHD_YES : send_answer(e, &answer);
}

/* ====== Calls that are kept ====== */

const char *mle_http_call_header(const mle_http_call *call, const char *name) {
  const exchange *e = call->exchange;
  return mhd->lookup_connection_value(e->handle, MHD_HEADER_KIND, name);
}

const char *mle_http_call_query(const mle_http_call *call, const char *name) {
  const exchange *e = call->exchange;
  return mhd->lookup_connection_value(e->handle, MHD_GET_ARGUMENT_KIND, name);
}

/* Suspended before anybody else can see it: a resume that came first would be lost. */
mle_http_kept *mle_http_keep(const mle_http_call *call) {
  exchange *e = call->exchange;
  if (!e->server->options.keeps) return NULL;
  mle_http_kept *kept = mle_alloc(sizeof *kept);
  if (kept == NULL) return NULL;
  kept->call = *call;
  init_answer(e->server, &kept->answer);
  e->kept = kept;
  mhd->suspend_connection(e->handle);
  return kept;
}

void mle_http_kept_send(mle_http_kept *kept) {
  const exchange *e = kept->call.exchange;
  mhd->resume_connection(e->handle); /* which calls on_request again */
}

/* ====== libmicrohttpd's callbacks, all on worker threads ====== */

static void on_connection(void *cls, struct MHD_Connection *connection, void **context,
                          enum MHD_ConnectionNotificationCode code) {
  mle_http_server *server = cls;
  if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
    atomic_fetch_sub_explicit(&server->num_connections, 1, memory_order_relaxed);
    mle_connections_remove(&server->connections, *context);
    *context = NULL;
    return;
  }
  atomic_fetch_add_explicit(&server->num_connections, 1, memory_order_relaxed);
  const union MHD_ConnectionInfo *info =
      mhd->get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
  *context = info == NULL ? NULL : mle_connections_add(&server->connections, info->connect_fd);
}

/* The request line is there. NULL, when out of memory, makes on_request give up. */
static void *on_request_line(void *cls, const char *uri, struct MHD_Connection *connection) {
  mle_http_server *server = cls;
  exchange *e = mle_alloc(sizeof *e);
  if (e == NULL) return NULL;
  const union MHD_ConnectionInfo *info =
      mhd->get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
  *e = (exchange){.connection = info == NULL ? NULL : info->socket_context,
                  .server = server,
                  .handle = connection,
                  .body = MLE_BUFFER(server->options.body_max),
                  .has_nul = strstr(uri, "%00") != NULL};
  if (mle_head_cut_query(uri)) e->refused = MHD_HTTP_REQUEST_HEADER_FIELDS_TOO_LARGE;
  mle_connection_enter(e->connection, MLE_CONNECTION_RECEIVES);
  return e;
}

/* A client that did not ask first sends its body whatever we answer, and would find the
 * connection broken instead of reading why: its body is read and dropped. */
static enum MHD_Result refuse_length(exchange *e, const request_line *line) {
  e->refused = MHD_HTTP_CONTENT_TOO_LARGE;
  bool asks = *e->head.expect != '\0';
  return asks ? send_refused(e, line, e->refused) : MHD_YES;
}

static enum MHD_Result on_headers(exchange *e, const request_line *line) {
  mle_http_server *server = e->server;
  e->headers_seen = true;
  mle_head_read(mhd, e->handle, line->version, &e->head);
  const char *ambiguity = mle_head_ambiguity(&e->head);
  if (ambiguity == NULL && e->has_nul) ambiguity = "the path or the query has a NUL";
  if (ambiguity != NULL)
    return send_refusal(e, line, MHD_HTTP_BAD_REQUEST, ambiguity);
  if (e->refused != 0) return send_refused(e, line, e->refused);
  unsigned long long declared = strtoull(e->head.content_length, NULL, 10);
  if (declared > server->options.body_max) return refuse_length(e, line);
  size_t first = declared < TRUSTED_LENGTH ? (size_t)declared : TRUSTED_LENGTH;
  if (mle_buffer_reserve(&e->body, first, NULL) != MLE_OK)
    return send_refusal(e, line, MHD_HTTP_SERVICE_UNAVAILABLE, "out of memory");
  return MHD_YES;
}

/* What is over the limit (a chunked body: no length was declared) is read and dropped. */
static void take_upload(exchange *e, const char *bytes, size_t len) {
  if (e->refused != 0) return;
  bool fits = count_body(e, len);
  mle_status status = mle_buffer_append(&e->body, bytes, len, NULL);
  if (status == MLE_EREFUSED) e->refused = MHD_HTTP_CONTENT_TOO_LARGE;
  if (status == MLE_ENOMEM || !fits) e->refused = MHD_HTTP_SERVICE_UNAVAILABLE;
  if (e->refused != 0) forget_body(e);
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *connection, const char *path,
                                  const char *method, const char *version, const char *upload,
                                  size_t *upload_len, void **state) {
  exchange *e = *state;
  (void)cls, (void)connection;
  if (e == NULL) return MHD_NO;
  request_line line = {method, path, version};
  if (!e->headers_seen) return on_headers(e, &line);
  if (*upload_len > 0) {
    take_upload(e, upload, *upload_len);
    *upload_len = 0;
    return MHD_YES;
  }
  if (e->refused != 0) return send_refused(e, &line, e->refused);
  if (e->kept != NULL) return send_answer(e, &e->kept->answer);
  return run_handler(e, &line);
}

static void on_completed(void *cls, struct MHD_Connection *connection, void **state,
                         enum MHD_RequestTerminationCode why) {
  exchange *e = *state;
  (void)cls, (void)connection, (void)why;
  if (e == NULL) return;
  mle_connection_enter(e->connection, MLE_CONNECTION_WAITS);
  forget_body(e);
  if (e->kept != NULL) mle_buffer_release(&e->kept->answer.body);
  if (e->kept != NULL && e->kept->answer.stream != NULL) release_stream(e->kept->answer.stream);
  mle_reply_release(e->reply);
  mle_free(e->kept);
  mle_free(e);
  *state = NULL;
}

static void on_log(void *cls, const char *fmt, va_list args) {
  (void)cls;
  char line[512];
  vsnprintf(line, sizeof line, fmt, args);
  line[strcspn(line, "\n")] = '\0';
  mle_log(MLE_DEBUG, "http: %s", line);
}

/* ====== A server's life ====== */

static unsigned num_workers(unsigned wanted) {
  long online = sysconf(_SC_NPROCESSORS_ONLN);
  unsigned workers = wanted > 0 ? wanted : online > 1 ? (unsigned)online : 1;
  return workers > 256 ? 256 : workers;
}

/* Lets the process have a descriptor for each connection, or takes fewer connections. */
static void fit_descriptors(mle_http_server_options *o) {
  struct rlimit limit;
  rlim_t wanted = (rlim_t)o->connections_max + OTHER_FILES;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted) return;
  limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
  if (setrlimit(RLIMIT_NOFILE, &limit) != 0) getrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_cur >= wanted) return;
  o->connections_max = limit.rlim_cur > 2 * OTHER_FILES ? (unsigned)limit.rlim_cur - OTHER_FILES : OTHER_FILES;
  mle_log(MLE_INFO, "http: %u connections at most, for the process may open %llu files",
          o->connections_max, (unsigned long long)limit.rlim_cur);
}

/* libmicrohttpd reads the texts once, when it starts. */
static void fill_tls(const mle_tls *tls, struct MHD_OptionItem out[4]) {
  static char versions[] = "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2";
  int count = 0;
  if (tls->cert.data != NULL) {
    out[count++] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_CERT, 0, tls->cert.data};
    out[count++] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_KEY, 0, tls->key.data};
    out[count++] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_PRIORITIES, 0, versions};
  }
  out[count] = (struct MHD_OptionItem){MHD_OPTION_END, 0, NULL};
}

static struct MHD_Daemon *start_daemon(mle_http_server *server) {
  const mle_http_server_options *o = &server->options;
  struct MHD_OptionItem tls[4];
  fill_tls(&o->tls, tls);
  unsigned workers = num_workers(o->workers);
  unsigned connections = o->connections_max < workers ? workers : o->connections_max;
  return mhd->start_daemon(
      MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_ITC | MHD_USE_ERROR_LOG |
          (o->keeps ? MHD_ALLOW_SUSPEND_RESUME : 0) | (o->tls.cert.data == NULL ? 0 : MHD_USE_TLS),
      0, NULL, NULL, on_request,
      server,
      MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL,
      MHD_OPTION_LISTEN_SOCKET, server->listen_fd,
      MHD_OPTION_THREAD_POOL_SIZE, workers > 1 ? workers : 0,
      MHD_OPTION_CONNECTION_LIMIT, connections,
      MHD_OPTION_CONNECTION_MEMORY_LIMIT, o->head_max,
      MHD_OPTION_URI_LOG_CALLBACK, on_request_line, server,
      MHD_OPTION_NOTIFY_COMPLETED, on_completed, server,
      MHD_OPTION_NOTIFY_CONNECTION, on_connection, server,
      MHD_OPTION_STRICT_FOR_CLIENT, 1,
      MHD_OPTION_ARRAY, tls,
      MHD_OPTION_END);
}

mle_status mle_http_server_start(const mle_http_server_options *options, mle_address *inout,
                                 mle_http_server **out, mle_error *err) {
  *out = NULL;
  const mle_microhttpd *opened;
  MLE_TRY(mle_microhttpd_open(&opened, err));
  mhd = opened;
  mle_http_server *server = mle_calloc(1, sizeof *server);
  if (server == NULL) return mle_nomem(err, "starting a server");
  server->options = *options;
  fit_descriptors(&server->options);
  inout->tls = options->tls.cert.data != NULL;
  mle_connections_init(&server->connections);
  mle_status status;
  MLE_GO(mle_address_listen(inout, &server->listen_fd, err));
  server->daemon = start_daemon(server);
  server->options.tls = (mle_tls){.cert = {.data = NULL}};
  if (server->daemon == NULL) {
    close(server->listen_fd);
    status = mle_fail(err, MLE_EIO, "cannot start serving on %s:%u%s", inout->host, inout->port,
                      inout->tls ? " with TLS" : "");
    goto done;
  }
  *out = server;
  server = NULL;
done:
  if (server != NULL) mle_connections_release(&server->connections);
  mle_free(server);
  return status;
}

void mle_http_server_tick(mle_http_server *server) {
  long most = (long)server->options.connections_max;
  bool crowded = mle_http_server_connections(server) > most - most / 8;
  mle_connection_limits limits = {.whole_ns = (int64_t)server->options.request_s * NS_PER_S,
                                  .silent_ns = (int64_t)server->options.idle_s * NS_PER_S};
  limits.idle_ns = crowded ? CROWDED_IDLE_NS : limits.whole_ns;
  mle_connections_sweep(&server->connections, &limits);
}

void mle_http_server_drain(mle_http_server *server) {
  if (atomic_exchange(&server->draining, true)) return;
  mhd->quiesce_daemon(server->daemon);
  shutdown(server->listen_fd, SHUT_RD); /* who connects now is refused, not left waiting */
}

long mle_http_server_in_flight(mle_http_server *server) { return mle_connections_busy(&server->connections); }

long mle_http_server_connections(const mle_http_server *server) {
  return atomic_load(&server->num_connections);
}

unsigned long long mle_http_server_refused(const mle_http_server *server) {
  return atomic_load(&server->refused);
}

void mle_http_server_stop(mle_http_server *server, int64_t grace_ms) {
  if (server == NULL) return;
  mle_http_server_drain(server);
  int64_t deadline = mle_monotonic_ns() + grace_ms * 1000000;
  while (mle_http_server_in_flight(server) > 0 && mle_monotonic_ns() < deadline) usleep(2000);
  mhd->stop_daemon(server->daemon);
  close(server->listen_fd);
  mle_connections_release(&server->connections);
  mle_free(server);
}
