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
#include "engine/http/server.h"
#include "engine/json/json.h"
#include "engine/serve/api.h"
#include "engine/serve/control.h"
#include "engine/serve/loader.h"

#define GRACE_MS 30000
#define TICK_MS 500

typedef struct service {
  const mle_service_options *options;
  mle_address address;
  mle_slots slots;
  mle_api api;
  mle_db *db;
  mle_http_server *http;
  int lock_fd, control_fd;
  bool stopping;
} service;

/* ====== Bringing slots in line with their records ====== */

static void say_serving(const char *endpoint, const mle_served *served) {
  const char *version = served->facts.version;
  mle_log(MLE_INFO, "endpoint %s answers with %s%s%s (deployment %lld)", endpoint,
          served->facts.uri, version == NULL ? "" : ", version ", version == NULL ? "" : version,
          (long long)served->facts.deployment);
}

/* Takes the reference. */
static void put_current(mle_slot *slot, mle_served *served) {
  say_serving(slot->endpoint, served);
  mle_cell_exchange(&slot->current, served);
}

static int64_t deployment_in(mle_cell *cell) {
  mle_served *served = mle_cell_acquire(cell);
  int64_t id = served == NULL ? 0 : served->facts.deployment;
  mle_served_release(served);
  return id;
}

static mle_status follow_record(mle_slot *slot, const mle_deployment *wanted, mle_error *err) {
  if (deployment_in(&slot->current) == wanted->id) return MLE_OK;
  mle_served *served = mle_cell_acquire(&slot->staged);
  if (served != NULL && served->facts.deployment == wanted->id) {
    put_current(slot, served);
    mle_cell_exchange(&slot->staged, NULL);
    return MLE_OK;
  }
  mle_served_release(served);
  MLE_TRY(mle_load_deployment(wanted, &served, err));
  put_current(slot, served);
  return MLE_OK;
}

/* One endpoint that cannot be served keeps none of the others from it. */
static mle_status follow_all_records(service *s, mle_error *err) {
  mle_arena memory = MLE_ARENA;
  mle_deployments all;
  mle_status status;
  MLE_GO(mle_records_slots(s->db, &memory, &all, err));
  for (size_t i = 0; i < all.count; i++) {
    mle_slot *slot;
    mle_error problem;
    MLE_GO(mle_slots_add(&s->slots, all.item[i].endpoint, &slot, err));
    if (follow_record(slot, &all.item[i], &problem) != MLE_OK)
      mle_log(MLE_ERROR, "endpoint %s has no model: %s", slot->endpoint, problem.message);
  }
done:
  mle_arena_release(&memory);
  return status;
}

/* ====== Commands ====== */

static void describe_served(mle_json *to, const mle_served *served) {
  mle_json_add_int(to, "deployment", served->facts.deployment);
  mle_json_add_text(to, "uri", served->facts.uri);
  if (served->facts.name != NULL) mle_json_add_text(to, "name", served->facts.name);
  if (served->facts.version != NULL) mle_json_add_text(to, "version", served->facts.version);
  if (served->facts.run_id != NULL) mle_json_add_text(to, "run_id", served->facts.run_id);
  if (served->facts.snapshot_id != NULL)
    mle_json_add_text(to, "snapshot_id", served->facts.snapshot_id);
  mle_json_add_int(to, "features", (int64_t)served->features.count);
}

static void describe_slot(mle_json *list, mle_slot *slot) {
  mle_json *item = mle_json_add_object(list, NULL);
  mle_json_add_text(item, "endpoint", slot->endpoint);
  mle_served *served = mle_cell_acquire(&slot->current);
  if (served != NULL) describe_served(item, served);
  mle_served_release(served);
  int64_t staged = deployment_in(&slot->staged);
  if (staged != 0) mle_json_add_int(item, "staged", staged);
}

static mle_status do_status(service *s, const mle_json_at *request, mle_json *reply,
                            mle_error *err) {
  char url[MLE_URL_MAX];
  (void)request, (void)err;
  mle_json_add_int(reply, "pid", (int64_t)getpid());
  mle_json_add_text(reply, "url", mle_address_url(&s->address, url));
  mle_json_add_text(reply, "version", s->options->version);
  mle_json_add_int(reply, "in_flight", (int64_t)mle_http_server_in_flight(s->http));
  mle_json *list = mle_json_add_array(reply, "endpoints");
  int count = atomic_load(&s->slots.count);
  for (int i = 0; i < count; i++) describe_slot(list, &s->slots.slot[i]);
  return MLE_OK;
}

static mle_status stage(service *s, const char *endpoint, const mle_deployment *d, mle_json *reply,
                        mle_error *err) {
  mle_slot *slot;
  mle_served *served;
  char *report;
  if (strcmp(d->endpoint, endpoint) != 0)
    return mle_fail(err, MLE_EINVAL, "deployment %lld is not for endpoint '%s'", (long long)d->id,
                    endpoint);
  MLE_TRY(mle_slots_add(&s->slots, endpoint, &slot, err));
  MLE_TRY(mle_load_checked(d, s->options->program, &served, &report, err));
  mle_cell_exchange(&slot->staged, served);
  mle_json_add_raw(reply, "report", report);
  mle_free(report);
  return MLE_OK;
}

static mle_status do_load(service *s, const mle_json_at *request, mle_json *reply,
                          mle_error *err) {
  const char *endpoint;
  int64_t id;
  mle_arena memory = MLE_ARENA;
  mle_deployment wanted;
  MLE_TRY(mle_json_get_text(request, "endpoint", &endpoint, err));
  MLE_TRY(mle_json_get_int(request, "deployment", &id, err));
  mle_status status = mle_records_get(s->db, id, &memory, &wanted, err);
  if (status == MLE_OK) status = stage(s, endpoint, &wanted, reply, err);
  mle_arena_release(&memory);
  return status;
}

static mle_status do_swap(service *s, const mle_json_at *request, mle_json *reply,
                          mle_error *err) {
  const char *endpoint;
  mle_slot *slot;
  mle_arena memory = MLE_ARENA;
  mle_deployment wanted;
  mle_status status;
  MLE_TRY(mle_json_get_text(request, "endpoint", &endpoint, err));
  MLE_TRY(mle_slots_add(&s->slots, endpoint, &slot, err));
  MLE_GO(mle_records_slot(s->db, endpoint, &memory, &wanted, err));
  if (wanted.id == 0)
    status = mle_fail(err, MLE_ENOTFOUND, "endpoint '%s' has no slot record", endpoint);
  else
    status = follow_record(slot, &wanted, err);
  mle_json_add_int(reply, "deployment", wanted.id);
done:
  mle_arena_release(&memory);
  return status;
}

static mle_status do_unload(service *s, const mle_json_at *request, mle_json *reply,
                            mle_error *err) {
  const char *endpoint;
  (void)reply;
  MLE_TRY(mle_json_get_text(request, "endpoint", &endpoint, err));
  mle_slot *slot = mle_slots_find(&s->slots, endpoint);
  if (slot != NULL) mle_cell_exchange(&slot->staged, NULL);
  return MLE_OK;
}

static mle_status do_stop(service *s, const mle_json_at *request, mle_json *reply,
                          mle_error *err) {
  (void)request, (void)err;
  s->stopping = true;
  mle_json_add_int(reply, "pid", (int64_t)getpid());
  return MLE_OK;
}

static const struct command {
  const char *name;
  mle_status (*run)(service *s, const mle_json_at *request, mle_json *reply, mle_error *err);
} commands[] = {
    {"status", do_status}, {"load", do_load}, {"swap", do_swap},
    {"unload", do_unload}, {"stop", do_stop},
};

static mle_status run_command(service *s, const mle_json_at *request, mle_json *reply,
                              mle_error *err) {
  const char *name;
  MLE_TRY(mle_json_get_text(request, "command", &name, err));
  for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
    if (strcmp(commands[i].name, name) == 0) return commands[i].run(s, request, reply, err);
  return mle_fail(err, MLE_EINVAL, "the server has no command '%.40s'", name);
}

/* The text of an answer, NULL when out of memory. */
static char *answer_line(service *s, const mle_buffer *line) {
  mle_error err;
  mle_json *request = NULL, *reply = mle_json_new_object();
  mle_json_add_bool(reply, "ok", true);
  const char *given = line->data == NULL ? "" : line->data;
  mle_status status = mle_json_parse(given, line->len, &request, &err);
  if (status == MLE_OK) {
    mle_json_at root = mle_json_root(request);
    status = run_command(s, &root, reply, &err);
  }
  if (status != MLE_OK) {
    mle_json_free(reply);
    reply = mle_json_new_object();
    mle_json_add_bool(reply, "ok", false);
    mle_json_add_text(reply, "kind", mle_status_name(status));
    mle_json_add_text(reply, "message", err.message);
  }
  char *text = mle_json_print(reply, false);
  mle_json_free(request);
  mle_json_free(reply);
  return text;
}

static void take_command(service *s) {
  mle_buffer line = MLE_BUFFER(MLE_CONTROL_LINE_MAX);
  mle_error err;
  int fd;
  if (mle_control_accept(s->control_fd, &fd, &line, &err) != MLE_OK) {
    mle_log(MLE_WARN, "control: %s", err.message);
  } else {
    char *text = answer_line(s, &line);
    const char *nomem = "{\"ok\":false,\"kind\":\"memory\",\"message\":\"out of memory\"}";
    if (mle_control_reply(fd, text == NULL ? nomem : text, &err) != MLE_OK)
      mle_log(MLE_WARN, "control: %s", err.message);
    mle_free(text);
    close(fd);
  }
  mle_buffer_release(&line);
}

/* ====== A service's life ====== */

static mle_status take_lock(service *s, mle_error *err) {
  char *path = mle_path_join(s->options->state, "serve.lock");
  if (path == NULL) return mle_nomem(err, "starting a server");
  mle_status status = mle_file_lock(path, &s->lock_fd, err);
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

/* Models first, then the port: whoever connects is answered by what was deployed. */
static mle_status start(service *s, mle_error *err) {
  mle_http_server_options http = MLE_HTTP_SERVER_OPTIONS;
  mle_address address = s->options->address;
  MLE_TRY(take_lock(s, err));
  MLE_TRY(mle_records_open(s->options->state, &s->db, err));
  MLE_TRY(follow_all_records(s, err));
  mle_api_init(&s->api, &s->slots, s->options->version);
  http.handler = mle_api_answer;
  http.context = &s->api;
  http.workers = s->options->workers;
  MLE_TRY(mle_http_server_start(&http, &address, &s->http, err));
  s->address = address;
  return mle_control_listen(s->options->state, &s->control_fd, err);
}

static void say_ready(const service *s) {
  char url[MLE_URL_MAX], line[MLE_URL_MAX + 16];
  mle_address_url(&s->address, url);
  mle_log(MLE_INFO, "serving on %s (pid %ld)", url, (long)getpid());
  if (s->options->ready_fd < 0) return;
  int len = snprintf(line, sizeof line, "ready %s\n", url);
  if (write(s->options->ready_fd, line, (size_t)len) != len)
    mle_log(MLE_WARN, "nobody waits to hear that the server is ready");
  close(s->options->ready_fd);
}

static void loop(service *s) {
  int64_t ticked = 0;
  while (!s->stopping && !mle_cancelled()) {
    struct pollfd item = {s->control_fd, POLLIN, 0};
    if (poll(&item, 1, TICK_MS) > 0) take_command(s);
    if (mle_monotonic_ns() - ticked < (int64_t)TICK_MS * 1000000) continue;
    ticked = mle_monotonic_ns();
    mle_http_server_tick(s->http);
  }
}

/* The socket goes last but for the lock: who finds neither may start the next server. */
static void stop(service *s) {
  mle_http_server_stop(s->http, GRACE_MS);
  mle_slots_release(&s->slots);
  mle_db_close(s->db);
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
  mle_status status = start(s, err);
  if (status == MLE_OK) {
    say_ready(s);
    loop(s);
    mle_log(MLE_INFO, "stopping: no new connections, %ld requests under way",
            mle_http_server_in_flight(s->http));
  }
  stop(s);
  mle_free(s);
  return status;
}
