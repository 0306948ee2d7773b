/*
 * A reply on a shelf belongs to the shelf and, while it is sent, to an exchange. Only the shelf's own thread hands it
 * out again, and only while nobody else has it: then libmicrohttpd reads neither its headers nor its body, which are
 * changed in place.
 */
#include "engine/http/reply.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <strings.h>

#include "engine/base/alloc.h"

#define SHORT_BODY 512 /* bytes; answers with longer ones are not kept */
#define SHELF 16       /* so many lengths of bodies, or answers under way, of a thread */

struct mle_reply {
  const mle_microhttpd *mhd;
  struct MHD_Response *response;
  atomic_int owners;
  /* What the response says: */
  const char *content_type;
  int num_headers;
  mle_http_header header[MLE_HTTP_HEADERS_MAX];
  size_t len;
  char body[SHORT_BODY];
};

typedef struct shelf {
  mle_reply *reply[SHELF];
  unsigned next; /* is replaced */
} shelf;

struct MHD_Response *mle_reply_response(const mle_reply *reply) { return reply->response; }

void mle_reply_release(mle_reply *reply) {
  if (reply == NULL || atomic_fetch_sub_explicit(&reply->owners, 1, memory_order_acq_rel) > 1) return;
  if (reply->response != NULL) reply->mhd->destroy_response(reply->response);
  mle_free(reply);
}

/* ====== A thread's shelf ====== */

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t key;
static bool has_key;

static void free_shelf(void *context) {
  shelf *s = context;
  for (int i = 0; i < SHELF; i++) mle_reply_release(s->reply[i]);
  mle_free(s);
}

static void make_key(void) { has_key = pthread_key_create(&key, free_shelf) == 0; }

/* NULL when there is no memory for one: then nothing is kept. */
static shelf *own_shelf(void) {
  pthread_once(&once, make_key);
  if (!has_key) return NULL;
  shelf *s = pthread_getspecific(key);
  if (s != NULL) return s;
  s = mle_calloc(1, sizeof *s);
  if (s == NULL || pthread_setspecific(key, s) == 0) return s;
  mle_free(s);
  return NULL;
}

static void put_on_shelf(shelf *s, mle_reply *reply) {
  mle_reply **place = &s->reply[s->next++ % SHELF];
  mle_reply_release(*place);
  atomic_fetch_add_explicit(&reply->owners, 1, memory_order_relaxed);
  *place = reply;
}

static void take_off_shelf(shelf *s, int at) {
  mle_reply_release(s->reply[at]);
  s->reply[at] = NULL;
}

/* ====== Using one again ====== */

/* The library acts on Connection when it is added, so a response that has it is not changed. */
static bool may_be_kept(const mle_http_answer *answer) {
  if (answer->body.len == 0 || answer->body.len > SHORT_BODY) return false;
  for (int i = 0; i < answer->num_headers; i++)
    if (strcasecmp(answer->header[i].name, "Connection") == 0) return false;
  return true;
}

/* Mostly the same literal. */
static bool same(const char *a, const char *b) { return a == b || strcmp(a, b) == 0; }

/* The same headers, whatever they say, and a body as long: a response cannot change its length. */
static bool is_alike(const mle_reply *reply, const mle_http_answer *answer) {
  if (reply->len != answer->body.len || reply->num_headers != answer->num_headers) return false;
  if (!same(reply->content_type, answer->content_type)) return false;
  for (int i = 0; i < answer->num_headers; i++)
    if (!same(reply->header[i].name, answer->header[i].name)) return false;
  return true;
}

/* False when out of memory: a header is missing now. */
static bool adapt(mle_reply *reply, const mle_http_answer *answer) {
  const mle_microhttpd *mhd = reply->mhd;
  for (int i = 0; i < answer->num_headers; i++) {
    mle_http_header *has = &reply->header[i];
    const char *value = answer->header[i].value;
    if (strcmp(has->value, value) == 0) continue;
    mhd->del_response_header(reply->response, has->name, has->value);
    if (mhd->add_response_header(reply->response, has->name, value) != MHD_YES) return false;
    strcpy(has->value, value);
  }
  memcpy(reply->body, answer->body.data, answer->body.len);
  return true;
}

static mle_reply *find_on_shelf(shelf *s, const mle_http_answer *answer) {
  for (int i = 0; i < SHELF; i++) {
    mle_reply *reply = s->reply[i];
    if (reply == NULL || atomic_load_explicit(&reply->owners, memory_order_acquire) > 1) continue;
    if (!is_alike(reply, answer)) continue;
    if (!adapt(reply, answer)) {
      take_off_shelf(s, i);
      return NULL;
    }
    atomic_fetch_add_explicit(&reply->owners, 1, memory_order_relaxed);
    return reply;
  }
  return NULL;
}

/* ====== Making one ====== */

bool mle_reply_add_headers(const mle_microhttpd *mhd, struct MHD_Response *response, const mle_http_answer *answer) {
  if (mhd->add_response_header(response, "Content-Type", answer->content_type) != MHD_YES) return false;
  for (int i = 0; i < answer->num_headers; i++)
    if (mhd->add_response_header(response, answer->header[i].name, answer->header[i].value) != MHD_YES) return false;
  return true;
}

static void note_contents(mle_reply *reply, const mle_http_answer *answer) {
  reply->content_type = answer->content_type;
  reply->num_headers = answer->num_headers;
  memcpy(reply->header, answer->header, (size_t)answer->num_headers * sizeof *answer->header);
  reply->len = answer->body.len;
  memcpy(reply->body, answer->body.data, answer->body.len);
}

/* The caller's alone. */
static mle_reply *new_reply(const mle_microhttpd *mhd, const mle_http_answer *answer) {
  mle_reply *reply = mle_alloc(sizeof *reply);
  if (reply == NULL) return NULL;
  reply->mhd = mhd;
  atomic_init(&reply->owners, 1);
  note_contents(reply, answer);
  reply->response = mhd->create_response_from_buffer(reply->len, reply->body, MHD_RESPMEM_PERSISTENT);
  if (reply->response != NULL && mle_reply_add_headers(mhd, reply->response, answer)) return reply;
  mle_reply_release(reply);
  return NULL;
}

mle_reply *mle_reply_find(const mle_microhttpd *mhd, const mle_http_answer *answer) {
  shelf *s = may_be_kept(answer) ? own_shelf() : NULL;
  if (s == NULL) return NULL;
  mle_reply *reply = find_on_shelf(s, answer);
  if (reply != NULL) return reply;
  reply = new_reply(mhd, answer);
  if (reply != NULL) put_on_shelf(s, reply);
  return reply;
}
