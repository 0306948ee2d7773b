#include "engine/serve/service.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "engine/base/alloc.h"
#include "engine/base/cancel.h"
#include "engine/base/clock.h"
#include "engine/base/file.h"
#include "engine/base/log.h"
#include "engine/deploy/records.h"
#include "engine/serve/api.h"
#include "engine/serve/commands.h"
#include "engine/serve/control.h"
#include "engine/serve/watch.h"

#define GRACE_MS 30000
#define TICK_MS 500
#define LOCK_WAIT_MS 5000
#define LOCK_STEP_MS 20
#define ANSWER_MS 500   /* of a server that has the lock; a busy one is waited for */
#define SLOW_THREADS 4
#define SLOW_MAX 64     /* large requests that wait or are answered: the next is told 429; so many commands, too */
#define MIRROR_MAX 1024 /* requests that wait for a shadow */

typedef struct service {
  const mle_service_options *options;
  mle_slots slots;
  mle_api api;
  mle_mailbox mailbox;
  mle_commands commands;
  mle_watch *watch;
  int lock_fd, control_fd;
} service;

/* ====== Commands, over the socket and from the network ====== */

static void take_command(service *s) {
  mle_buffer line = MLE_BUFFER(MLE_CONTROL_LINE_MAX);
  mle_error err;
  int fd;
  if (mle_control_accept(s->control_fd, &fd, &line, &err) != MLE_OK) {
    mle_log(MLE_WARN, "control: %s", err.message);
  } else {
    char *text = mle_commands_answer(&s->commands, line.data == NULL ? "" : line.data, line.len);
    const char *nomem = "{\"ok\":false,\"kind\":\"memory\",\"message\":\"out of memory\"}";
    if (mle_control_reply(fd, text == NULL ? nomem : text, &err) != MLE_OK)
      mle_log(MLE_WARN, "control: %s", err.message);
    mle_free(text);
    close(fd);
  }
  mle_buffer_release(&line);
}

static void take_mail(service *s) {
  const char *line = mle_mailbox_take(&s->mailbox);
  if (line != NULL)
    mle_mailbox_reply(&s->mailbox, mle_commands_answer(&s->commands, line, strlen(line)));
}

/* ====== A service's life ====== */

static bool is_answered(const char *state) {
  char *reply;
  mle_error unused;
  if (mle_control_call(state, "{\"command\":\"status\"}", ANSWER_MS, &reply, &unused) != MLE_OK) return false;
  mle_free(reply);
  return true;
}

/* A server that was just ended by force has the lock until the kernel is through with it, and answers nobody. */
static mle_status lock_state(const char *path, const char *state, int *out_fd, mle_error *err) {
  int64_t deadline = mle_monotonic_ns() + LOCK_WAIT_MS * INT64_C(1000000);
  for (;;) {
    mle_status status = mle_file_lock(path, out_fd, err);
    if (status != MLE_EBUSY || mle_cancelled() || mle_monotonic_ns() > deadline || is_answered(state)) return status;
    mle_sleep_ms(LOCK_STEP_MS);
  }
}

static mle_status take_lock(service *s, mle_error *err) {
  char *path = mle_path_join(s->options->state, "serve.lock");
  if (path == NULL) return mle_nomem(err, "starting a server");
  mle_status status = lock_state(path, s->options->state, &s->lock_fd, err);
  mle_free(path);
  if (status != MLE_EBUSY) return status;
  return mle_fail(err, MLE_EBUSY, "this project's server is running already; mlengine serve --stop "
                                  "ends it");
}

mle_status mle_service_is_running(const char *state, bool *out, mle_error *err) {
  *out = false;
  char *path = mle_path_join(state, "serve.lock");
  if (path == NULL) return mle_nomem(err, "looking for the server");
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  mle_free(path);
  if (fd < 0) return MLE_OK; /* there never was one */
  *out = flock(fd, LOCK_SH | LOCK_NB) != 0;
  close(fd);
  return MLE_OK;
}

static void set_up(service *s) {
  const mle_service_options *o = s->options;
  mle_slots_init(&s->slots);
  mle_api_init(&s->api, &s->slots, o->version);
  s->api.openapi = o->openapi;
  s->api.program = o->program;
  s->api.state = o->state;
  s->api.log_share = o->log_share;
  s->commands = (mle_commands){.slots = &s->slots, .keyring = &s->api.keyring,
                               .state = o->state, .program = o->program,
                               .version = o->version, .smoke_key = s->api.smoke_key,
                               .address = o->address};
}

static mle_status start_http(service *s, mle_error *err) {
  mle_http_server_options http = MLE_HTTP_SERVER_OPTIONS;
  http.handler = mle_api_answer;
  http.refuser = mle_api_refuse;
  http.keeps = true;
  http.context = &s->api;
  http.workers = s->options->workers;
  mle_status status = MLE_OK;
  if (s->options->tls_cert != NULL)
    MLE_GO(mle_tls_read(s->options->tls_cert, s->options->tls_key, &http.tls, err));
  MLE_GO(mle_http_server_start(&http, &s->commands.address, &s->commands.http, err));
  atomic_store(&s->api.http, s->commands.http);
done:
  mle_tls_release(&http.tls);
  return status;
}

/* Models first, then the port: whoever connects is answered by what was deployed. */
static mle_status start(service *s, mle_error *err) {
  mle_commands *c = &s->commands;
  MLE_TRY(take_lock(s, err));
  MLE_TRY(mle_records_open(s->options->state, &c->db, err));
  MLE_TRY(mle_commands_follow(c, err));
  MLE_TRY(mle_keyring_load(&s->api.keyring, c->db, err));
  MLE_TRY(mle_mailbox_init(&s->mailbox, err));
  s->api.mailbox = &s->mailbox;
  MLE_TRY(mle_pool_start(SLOW_THREADS, SLOW_MAX, &s->api.slow, err));
  MLE_TRY(mle_pool_start(SLOW_THREADS, SLOW_MAX, &s->api.admin, err));
  MLE_TRY(mle_pool_start(1, MIRROR_MAX, &s->api.mirror, err));
  MLE_TRY(start_http(s, err));
  MLE_TRY(mle_watch_start(&s->slots, c->http, &s->watch, err));
  return mle_control_listen(s->options->state, &s->control_fd, err);
}

static void say_ready(service *s) {
  char url[MLE_URL_MAX], line[MLE_URL_MAX + 16];
  mle_address_url(&s->commands.address, url);
  mle_slot *only;
  mle_log(MLE_INFO, "serving on %s (pid %ld)", url, (long)getpid());
  if (mle_slots_ready(&s->slots, &only) == 0)
    mle_log(MLE_INFO, "no model is deployed here yet: a release brings one, or mlengine serve --model");
  if (s->options->ready_fd < 0) return;
  int len = snprintf(line, sizeof line, "ready %s\n", url);
  if (write(s->options->ready_fd, line, (size_t)len) != len)
    mle_log(MLE_WARN, "nobody waits to hear that the server is ready");
  close(s->options->ready_fd);
}

/* Whether a command came within the time; it was answered then. */
static bool take_next(service *s, int64_t until_ns) {
  int64_t left_ms = (until_ns - mle_monotonic_ns()) / 1000000;
  struct pollfd item[2] = {{s->control_fd, POLLIN, 0}, {s->mailbox.event_fd, POLLIN, 0}};
  poll(item, 2, left_ms > 0 ? (int)left_ms + 1 : 0);
  if (item[0].revents != 0) take_command(s);
  if (item[1].revents != 0) take_mail(s);
  return item[0].revents != 0 || item[1].revents != 0;
}

/* Commands first: who waited to ask after a trial, while another command took long, keeps it alive. */
static void loop(service *s) {
  int64_t next_ns = mle_monotonic_ns();
  while (!s->commands.stopping && !mle_cancelled()) {
    if (take_next(s, next_ns) || mle_monotonic_ns() < next_ns) continue;
    next_ns = mle_monotonic_ns() + (int64_t)TICK_MS * 1000000;
    mle_commands_expire(&s->commands);
    if (s->options->tick != NULL) s->options->tick(s->options->tick_context, &s->commands);
  }
}

/* Waits for large requests too, as long as the server itself would. */
static void drain(service *s) {
  if (s->commands.http == NULL) return;
  int64_t deadline = mle_monotonic_ns() + (int64_t)GRACE_MS * 1000000;
  mle_http_server_drain(s->commands.http);
  while (mle_pool_load(s->api.slow) + mle_pool_load(s->api.admin) > 0 && mle_monotonic_ns() < deadline) usleep(2000);
}

/* The socket goes last but for the lock: who finds neither may start the next server. */
static void stop(service *s) {
  if (s->api.mailbox != NULL) mle_mailbox_close(&s->mailbox);
  drain(s);
  mle_watch_stop(s->watch);
  mle_pool_stop(s->api.admin);
  mle_pool_stop(s->api.slow); /* what it keeps must be sent before the server is stopped */
  mle_http_server_stop(s->commands.http, GRACE_MS);
  mle_pool_free(s->api.slow);
  mle_pool_free(s->api.admin);
  mle_pool_free(s->api.mirror);
  if (s->api.mailbox != NULL) mle_mailbox_release(&s->mailbox);
  mle_slots_release(&s->slots);
  mle_api_release(&s->api);
  mle_db_close(s->commands.db);
  if (s->control_fd >= 0) {
    mle_control_unlink(s->options->state);
    close(s->control_fd);
  }
  if (s->lock_fd >= 0) close(s->lock_fd);
}

mle_status mle_service_run(const mle_service_options *options, mle_error *err) {
  service *s = mle_calloc(1, sizeof *s);
  if (s == NULL) return mle_nomem(err, "starting a server");
  s->options = options;
  s->lock_fd = s->control_fd = -1;
  set_up(s);
  mle_status status = start(s, err);
  if (status == MLE_OK) {
    say_ready(s);
    loop(s);
    mle_log(MLE_INFO, "stopping: no new connections, %ld requests under way",
            mle_http_server_in_flight(s->commands.http));
  }
  stop(s);
  mle_free(s);
  return status;
}
