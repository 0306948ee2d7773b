/*
 * bare_xgboost.c -- the least that scores rows over HTTP: libmicrohttpd, cJSON and XGBoost, nothing of ours.
 *
 *     bare_xgboost PORT WORKERS MODEL.ubj [NAME VALUE]...    answers have these headers; ends with its standard input
 *
 * It takes MLflow's dataframe_split, columns by their position, and a model that gives one score a row. What makes it
 * faster in a simple way is done: buffers stay for the next request, cJSON's nodes lie in one block that is never freed
 * node by node, prediction is in place, each worker has a booster and a proxy of its own.
 */
#include <cjson/cJSON.h>
#include <math.h>
#include <microhttpd.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xgboost/c_api.h>

#define WORKERS_MAX 256
#define BODY_MAX ((size_t)16 << 20)
#define NUMBER_MAX 26 /* of %.17g, and a comma */

typedef struct buffer {
  void *data;
  size_t size;
} buffer;

typedef struct worker worker;

/* A request under way: its body, then its answer. */
typedef struct request {
  buffer body, answer;
  size_t len; /* of the body */
  unsigned status; /* MHD_HTTP_OK until something is wrong */
  worker *owner;
  struct request *next;
} request;

/* What a thread of the server has for itself. */
struct worker {
  BoosterHandle booster;
  DMatrixHandle proxy; /* which XGBoost else makes anew for each call */
  buffer rows;         /* float32 */
  buffer nodes;        /* cJSON's, one after the other, of one document */
  size_t nodes_used;
  request *spare;      /* to be used again */
};

static worker workers[WORKERS_MAX];
static atomic_uint workers_used;
static bst_ulong num_features;
static char **headers; /* names and values in turns, NULL at the end */

static const char config[] =
    "{\"type\":0,\"training\":false,\"iteration_begin\":0,\"iteration_end\":0,\"strict_shape\":false,\"missing\":NaN}";

/* Room for `size` bytes, what is in it kept; doubled, so that many small steps cost little. */
static bool reserve(buffer *b, size_t size) {
  if (size <= b->size) return true;
  if (size < b->size * 2) size = b->size * 2;
  void *data = realloc(b->data, size);
  if (data == NULL) return false;
  *b = (buffer){data, size};
  return true;
}

/* ====== Requests ====== */

static worker *own_worker(void) {
  static _Thread_local worker *own;
  if (own == NULL) own = &workers[atomic_fetch_add(&workers_used, 1)];
  return own;
}

static request *take_request(void) {
  worker *w = own_worker();
  request *r = w->spare;
  if (r == NULL) r = calloc(1, sizeof *r);
  else w->spare = r->next;
  if (r == NULL) return NULL;
  r->len = 0;
  r->status = MHD_HTTP_OK;
  r->owner = w;
  return r;
}

static void give_back(void *cls, struct MHD_Connection *connection, void **state, enum MHD_RequestTerminationCode why) {
  (void)cls, (void)connection, (void)why;
  request *r = *state;
  if (r == NULL) return;
  r->next = r->owner->spare;
  r->owner->spare = r;
  *state = NULL;
}

static void gather(request *r, const char *upload, size_t len) {
  if (r->status != MHD_HTTP_OK) return;
  if (len > BODY_MAX - r->len)
    r->status = MHD_HTTP_CONTENT_TOO_LARGE;
  else if (!reserve(&r->body, r->len + len))
    r->status = MHD_HTTP_SERVICE_UNAVAILABLE;
  else
    memcpy((char *)r->body.data + r->len, upload, len), r->len += len;
}

/* ====== Nodes ====== */

static void *take_node(size_t size) {
  worker *w = own_worker();
  size = (size + 15) & ~(size_t)15;
  if (size > w->nodes.size - w->nodes_used) return NULL;
  void *node = (char *)w->nodes.data + w->nodes_used;
  w->nodes_used += size;
  return node;
}

/* They go all at once, with the next document. */
static void keep_node(void *node) { (void)node; }

/* Room for what so many bytes of text can be: a value takes two or more of them, and one node. */
static bool clear_nodes(worker *w, size_t len) {
  w->nodes_used = 0;
  return reserve(&w->nodes, (len / 2 + 16) * sizeof(cJSON));
}

/* ====== Rows ====== */

static bool put_row(const cJSON *row, float *out) {
  bst_ulong count = 0;
  const cJSON *cell;
  if (!cJSON_IsArray(row)) return false;
  cJSON_ArrayForEach(cell, row) {
    if (count == num_features || !(cJSON_IsNumber(cell) || cJSON_IsNull(cell))) return false;
    out[count++] = cJSON_IsNull(cell) ? NAN : (float)cell->valuedouble;
  }
  return count == num_features;
}

/* The rows of a document of `len` bytes, as float32 in `out`. */
static unsigned take_rows(const cJSON *document, size_t len, buffer *out, size_t *out_count) {
  const cJSON *split = cJSON_GetObjectItemCaseSensitive(document, "dataframe_split"), *row;
  const cJSON *data = cJSON_GetObjectItemCaseSensitive(split, "data");
  size_t count = (size_t)cJSON_GetArraySize(data);
  if (!cJSON_IsArray(data) || count > len / num_features) return MHD_HTTP_BAD_REQUEST; /* a cell is a byte or more */
  if (!reserve(out, count * num_features * sizeof(float))) return MHD_HTTP_SERVICE_UNAVAILABLE;
  float *to = out->data;
  cJSON_ArrayForEach(row, data) {
    if (!put_row(row, to)) return MHD_HTTP_BAD_REQUEST;
    to += num_features;
  }
  *out_count = count;
  return MHD_HTTP_OK;
}

static unsigned read_rows(const request *r, size_t *out_count) {
  if (!clear_nodes(r->owner, r->len)) return MHD_HTTP_SERVICE_UNAVAILABLE;
  return take_rows(cJSON_ParseWithLength(r->body.data, r->len), r->len, &r->owner->rows, out_count);
}

/* ====== Scores ====== */

static bool predict(const worker *w, size_t count, const float **out) {
  char rows[160];
  const bst_ulong *shape;
  bst_ulong dim, scores = 1;
  snprintf(rows, sizeof rows, "{\"data\":[%zu,true],\"shape\":[%zu,%zu],\"typestr\":\"<f4\",\"version\":3}",
           (size_t)w->rows.data, count, (size_t)num_features);
  if (XGBoosterPredictFromDense(w->booster, rows, config, w->proxy, &shape, &dim, out) != 0) return false;
  for (bst_ulong i = 0; i < dim; i++) scores *= shape[i];
  return scores == count;
}

/* Room must be there. */
static size_t put_scores(const float *scores, size_t count, char *out) {
  char *to = out + sprintf(out, "{\"predictions\":[");
  for (size_t i = 0; i < count; i++) to += sprintf(to, "%.17g,", (double)scores[i]);
  if (count > 0) to--; /* the last comma */
  return (size_t)(to - out) + (size_t)sprintf(to, "]}");
}

static unsigned score(request *r, size_t *out_len) {
  size_t count;
  const float *scores;
  worker *w = r->owner;
  unsigned status = read_rows(r, &count);
  if (status != MHD_HTTP_OK) return status;
  if (!reserve(&r->answer, count * NUMBER_MAX + 32)) return MHD_HTTP_SERVICE_UNAVAILABLE;
  if (!predict(w, count, &scores)) return MHD_HTTP_INTERNAL_SERVER_ERROR;
  *out_len = put_scores(scores, count, r->answer.data);
  return MHD_HTTP_OK;
}

/* The text stays where it is until the request has ended. */
static enum MHD_Result send_text(struct MHD_Connection *connection, unsigned status, char *text, size_t len) {
  struct MHD_Response *response = MHD_create_response_from_buffer(len, text, MHD_RESPMEM_PERSISTENT);
  if (response == NULL) return MHD_NO;
  enum MHD_Result result = MHD_YES;
  for (char **at = headers; result == MHD_YES && at[0] != NULL && at[1] != NULL; at += 2)
    result = MHD_add_response_header(response, at[0], at[1]);
  if (result == MHD_YES) result = MHD_queue_response(connection, status, response);
  MHD_destroy_response(response);
  return result;
}

static enum MHD_Result answer(void *cls, struct MHD_Connection *connection, const char *url, const char *method,
                              const char *version, const char *upload, size_t *upload_len, void **state) {
  static char failed[] = "{\"message\":\"no dataframe_split of numbers and nulls, or it could not be scored\"}";
  request *r = *state;
  size_t len = 0;
  (void)cls, (void)url, (void)method, (void)version;
  if (r == NULL) return (*state = take_request()) == NULL ? MHD_NO : MHD_YES;
  if (*upload_len > 0) {
    gather(r, upload, *upload_len);
    *upload_len = 0;
    return MHD_YES;
  }
  if (r->status == MHD_HTTP_OK) r->status = score(r, &len);
  if (r->status != MHD_HTTP_OK) return send_text(connection, r->status, failed, sizeof failed - 1);
  return send_text(connection, r->status, r->answer.data, len);
}

/* ====== Workers ====== */

static bool open_worker(worker *w, const char *model) {
  return XGBoosterCreate(NULL, 0, &w->booster) == 0 && XGBoosterLoadModel(w->booster, model) == 0 &&
         XGBoosterSetParam(w->booster, "nthread", "1") == 0 && XGProxyDMatrixCreate(&w->proxy) == 0 &&
         XGBoosterGetNumFeature(w->booster, &num_features) == 0 && num_features > 0;
}

static void close_worker(worker *w) {
  while (w->spare != NULL) {
    request *r = w->spare;
    w->spare = r->next;
    free(r->body.data);
    free(r->answer.data);
    free(r);
  }
  free(w->rows.data);
  free(w->nodes.data);
  if (w->proxy != NULL) XGDMatrixFree(w->proxy);
  if (w->booster != NULL) XGBoosterFree(w->booster);
}

static int serve(unsigned short port, unsigned count, const char *model) {
  char byte;
  for (unsigned i = 0; i < count; i++) {
    if (open_worker(&workers[i], model)) continue;
    fprintf(stderr, "bare_xgboost: %s: %s\n", model, XGBGetLastError());
    return 1;
  }
  struct MHD_Daemon *daemon = MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD, port, NULL, NULL, answer, NULL,
                                               MHD_OPTION_THREAD_POOL_SIZE, count,
                                               MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)64 << 10,
                                               MHD_OPTION_NOTIFY_COMPLETED, give_back, NULL, MHD_OPTION_END);
  if (daemon == NULL) return 1;
  while (read(0, &byte, 1) > 0) continue;
  MHD_stop_daemon(daemon);
  return 0;
}

int main(int argc, char **argv) {
  unsigned count = argc < 4 ? 0 : (unsigned)atoi(argv[2]);
  if (count == 0 || count > WORKERS_MAX) {
    fprintf(stderr, "usage: bare_xgboost PORT WORKERS MODEL.ubj [NAME VALUE]...\n");
    return 2;
  }
  headers = argv + 4;
  cJSON_InitHooks(&(cJSON_Hooks){take_node, keep_node});
  int failed = serve((unsigned short)atoi(argv[1]), count, argv[3]);
  for (unsigned i = 0; i < count; i++) close_worker(&workers[i]);
  return failed;
}
