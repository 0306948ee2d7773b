/*
 * sender.c -- two batches under one lock: one is filled by the run, the other is being
 * sent. The thread swaps them when the second is empty, and works without the lock.
 */
#include "engine/mlflow/sender.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "engine/base/alloc.h"
#include "engine/base/file.h"
#include "engine/base/hash.h"
#include "engine/base/log.h"
#include "engine/base/thread.h"
#include "engine/mlflow/backend.h"
#include "engine/mlflow/metric_json.h"

#define AGAIN_S 2 /* between attempts while the server is away */
#define SPOOL_MAX ((size_t)256 << 20)

typedef struct batch {
  mle_arena keys;
  mle_mlflow_metric *item;
  size_t count, capacity;
} batch;

struct mle_sender {
  mle_mlflow *store; /* a twin: the thread's own */
  char *run_id, *spool;
  pthread_t thread;
  pthread_mutex_t lock;
  pthread_cond_t work, done;
  batch filling, sending;
  bool started, stop, busy;
  long asked, answered; /* drains begun, and the last one whose attempt is over */
  mle_error problem;    /* of the last attempt; status MLE_OK: none */
  mle_error refused;    /* points the server will never take */
};

/* ====== Batches ====== */

static void clear(batch *b) {
  b->count = 0;
  mle_arena_release(&b->keys);
}

static mle_status add(batch *b, const mle_mlflow_metric *metric, mle_error *err) {
  if (b->count == b->capacity) {
    size_t capacity = b->capacity == 0 ? 256 : b->capacity * 2;
    mle_mlflow_metric *longer = mle_realloc_array(b->item, capacity, sizeof *longer);
    if (longer == NULL) return mle_nomem(err, "keeping metrics");
    b->item = longer;
    b->capacity = capacity;
  }
  bool same = b->count > 0 && strcmp(b->item[b->count - 1].key, metric->key) == 0;
  b->item[b->count] = *metric;
  if (same) b->item[b->count].key = b->item[b->count - 1].key;
  else MLE_TRY(mle_arena_copy(&b->keys, metric->key, &b->item[b->count].key, err));
  b->count++;
  return MLE_OK;
}

static bool is_left(const mle_sender *s) { return s->sending.count + s->filling.count > 0; }

/* ====== The thread ====== */

/* With the lock held, which is given up while the server is asked. */
static void attempt(mle_sender *s) {
  mle_error err = {.status = MLE_OK};
  long asked = s->asked;
  mle_mlflow_batch part = {.metrics = {s->sending.count, s->sending.item}};
  s->busy = true; /* `sending` is the thread's alone */
  pthread_mutex_unlock(&s->lock);
  mle_status status = mle_mlflow_log_batch(s->store, s->run_id, &part, &err);
  pthread_mutex_lock(&s->lock);
  s->busy = false;
  bool later = status == MLE_EIO || status == MLE_ETIMEOUT || status == MLE_EUNKNOWN ||
               status == MLE_ECANCELLED || status == MLE_EBUSY || status == MLE_ENOMEM;
  if (status != MLE_OK && !later) s->refused = err;
  if (!later) clear(&s->sending);
  s->problem = later ? err : (mle_error){.status = MLE_OK};
  if (s->problem.status != MLE_OK) s->answered = asked;
  pthread_cond_broadcast(&s->done);
}

static void wait_a_little(mle_sender *s) {
  struct timespec until;
  clock_gettime(CLOCK_REALTIME, &until);
  until.tv_sec += AGAIN_S;
  pthread_cond_timedwait(&s->work, &s->lock, &until);
}

static void *run(void *sender) {
  mle_sender *s = sender;
  pthread_mutex_lock(&s->lock);
  while (true) {
    if (s->sending.count == 0) {
      batch swap = s->sending;
      s->sending = s->filling;
      s->filling = swap;
    }
    if (s->stop) break;
    if (s->sending.count == 0) pthread_cond_wait(&s->work, &s->lock);
    else attempt(s);
    if (s->problem.status != MLE_OK && !s->stop && s->answered == s->asked) wait_a_little(s);
  }
  pthread_mutex_unlock(&s->lock);
  return NULL;
}

static mle_status start(mle_sender *s, mle_error *err) {
  MLE_TRY(mle_thread_start(&s->thread, run, s, err));
  s->started = true;
  return MLE_OK;
}

/* ====== The spool ====== */

static mle_status write_spool(const mle_sender *s, char **out_path, mle_error *err) {
  char id[MLE_UUID_TEXT]; /* a run may have to leave points behind more than once */
  mle_json *doc = mle_json_new_object();
  char *text = NULL;
  mle_status status;
  mle_json_add_text(doc, "run_id", s->run_id);
  mle_json *list = mle_json_add_array(doc, "metrics");
  for (size_t i = 0; i < s->sending.count; i++) mle_metric_add(list, &s->sending.item[i]);
  for (size_t i = 0; i < s->filling.count; i++) mle_metric_add(list, &s->filling.item[i]);
  text = mle_json_print(doc, false);
  *out_path = mle_format("%s/%s-%.12s.json", s->spool, s->run_id, mle_uuid_hex(id));
  if (text == NULL || *out_path == NULL) {
    status = mle_nomem(err, "keeping metrics");
    goto done;
  }
  MLE_GO(mle_make_folders(s->spool, 0700, err));
  status = mle_file_create(*out_path, text, strlen(text), 0600, err);
done:
  mle_free(text);
  mle_json_free(doc);
  return status;
}

/* Puts into the message where the points are that could not be sent. The lock is held. */
static void spool(const mle_sender *s, mle_error *err) {
  char *path = NULL;
  mle_error own;
  size_t left = s->sending.count + s->filling.count;
  if (s->spool == NULL) {
    mle_context(err, "%zu points of metrics of run '%s' are not sent", left, s->run_id);
  } else if (write_spool(s, &path, &own) != MLE_OK) {
    mle_context(err, "%zu points of metrics of run '%s' are not sent, nor kept (%.200s)", left,
                s->run_id, own.message);
  } else {
    mle_context(err, "%zu points of metrics wait in '%s'; 'mlengine mlflow flush' sends them", left,
                path);
  }
  mle_free(path);
}

static mle_status send_document(mle_mlflow *store, const mle_json *doc, mle_arena *memory,
                                int64_t *points, mle_error *err) {
  mle_json_at root = mle_json_root(doc), list, item;
  const char *run_id;
  size_t count = 0;
  MLE_TRY(mle_json_get_text(&root, "run_id", &run_id, err));
  MLE_TRY(mle_json_get_array(&root, "metrics", &list, err));
  mle_mlflow_metric *all = mle_arena_array(memory, (size_t)mle_json_count(&list) + 1, sizeof *all);
  if (all == NULL) return mle_nomem(err, "reading kept metrics");
  for (bool more = mle_json_first(&list, &item); more; more = mle_json_next(&item))
    MLE_TRY(mle_metric_read(&item, &all[count++], err));
  *points = (int64_t)count;
  return mle_mlflow_log_batch(store, run_id, &(mle_mlflow_batch){.metrics = {count, all}}, err);
}

mle_status mle_sender_flush(mle_mlflow *store, const char *file, int64_t *points, mle_error *err) {
  mle_buffer text = MLE_BUFFER(SPOOL_MAX);
  mle_arena memory = MLE_ARENA;
  mle_json *doc = NULL;
  mle_status status;
  *points = 0;
  MLE_GO(mle_file_read(file, &text, err));
  MLE_GO(mle_json_parse(text.data, text.len, &doc, err));
  MLE_GO(send_document(store, doc, &memory, points, err));
  status = mle_file_remove(file, err);
done:
  if (status != MLE_OK) mle_context(err, "sending '%s'", file);
  mle_json_free(doc);
  mle_arena_release(&memory);
  mle_buffer_release(&text);
  return status;
}

/* ====== The run's side ====== */

mle_status mle_sender_open(mle_mlflow *store, const char *run_id, const char *spool_folder,
                           mle_sender **out, mle_error *err) {
  mle_status status = MLE_ENOMEM;
  *out = NULL;
  if (store->call->twin == NULL) return MLE_OK;
  mle_sender *s = mle_calloc(1, sizeof *s);
  if (s == NULL) return mle_nomem(err, "starting a run");
  pthread_mutex_init(&s->lock, NULL);
  pthread_cond_init(&s->work, NULL);
  pthread_cond_init(&s->done, NULL);
  s->run_id = mle_strdup(run_id);
  s->spool = mle_strdup(spool_folder);
  if (s->run_id == NULL || (spool_folder != NULL && s->spool == NULL)) {
    status = mle_nomem(err, "starting a run");
    goto done;
  }
  MLE_GO(store->call->twin(store, &s->store, err));
  MLE_GO(start(s, err));
  *out = s;
  s = NULL;
done:
  mle_sender_close(s);
  return status;
}

mle_status mle_sender_give(mle_sender *s, const mle_mlflow_metrics *metrics, mle_error *err) {
  mle_status status = MLE_OK;
  pthread_mutex_lock(&s->lock);
  if (s->refused.status != MLE_OK) {
    status = s->refused.status;
    if (err != NULL) *err = s->refused;
    s->refused.status = MLE_OK;
  } else if (s->filling.count + s->sending.count + metrics->count > MLE_SENDER_KEPT_MAX) {
    status = mle_fail(err, MLE_EREFUSED, "over %d points of metrics wait for their server",
                      MLE_SENDER_KEPT_MAX);
  }
  for (size_t i = 0; status == MLE_OK && i < metrics->count; i++)
    status = add(&s->filling, &metrics->item[i], err);
  pthread_cond_signal(&s->work);
  pthread_mutex_unlock(&s->lock);
  return status;
}

mle_status mle_sender_drain(mle_sender *s, mle_error *err) {
  mle_error own;
  mle_error *told = err != NULL ? err : &own;
  pthread_mutex_lock(&s->lock);
  long mine = ++s->asked;
  pthread_cond_signal(&s->work);
  while (s->busy || (is_left(s) && s->answered < mine)) pthread_cond_wait(&s->done, &s->lock);
  *told = is_left(s) ? s->problem : s->refused;
  mle_status status = told->status;
  s->refused.status = MLE_OK;
  if (is_left(s)) {
    spool(s, told);
    clear(&s->sending);
    clear(&s->filling);
  }
  pthread_mutex_unlock(&s->lock);
  return status;
}

void mle_sender_close(mle_sender *s) {
  mle_error err;
  if (s == NULL) return;
  if (s->started) {
    pthread_mutex_lock(&s->lock);
    s->stop = true;
    pthread_cond_signal(&s->work);
    pthread_mutex_unlock(&s->lock);
    pthread_join(s->thread, NULL);
  }
  if (is_left(s)) {
    mle_fail(&err, MLE_EIO, "the run was closed");
    spool(s, &err);
    mle_log(MLE_WARN, "%s", err.message);
  }
  clear(&s->sending);
  clear(&s->filling);
  mle_free(s->sending.item);
  mle_free(s->filling.item);
  mle_mlflow_close(s->store);
  mle_free(s->run_id);
  mle_free(s->spool);
  pthread_cond_destroy(&s->done);
  pthread_cond_destroy(&s->work);
  pthread_mutex_destroy(&s->lock);
  mle_free(s);
}
