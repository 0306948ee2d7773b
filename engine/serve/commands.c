#include "engine/serve/commands.h"

#include <string.h>
#include <unistd.h>

#include "engine/base/alloc.h"
#include "engine/base/log.h"
#include "engine/json/json.h"
#include "engine/serve/loader.h"
#include "engine/serve/remote.h"

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
  mle_slot_swap(slot, served);
}

static int64_t deployment_in(mle_cell *cell) {
  mle_served *served = mle_cell_acquire(cell);
  int64_t id = served == NULL ? 0 : served->facts.deployment;
  mle_served_release(served);
  return id;
}

static mle_status load(mle_slots *slots, mle_slot *slot, const mle_deployment *wanted,
                       mle_served **out, mle_error *err) {
  mle_served *warm = mle_slot_find_warm(slot, wanted->sha256);
  MLE_TRY(warm != NULL ? mle_load_warm(wanted, warm, out, err)
                       : mle_load_deployment(wanted, out, err));
  mle_slot_meter(slots, slot, *out);
  return MLE_OK;
}

static mle_status follow_record(mle_slots *slots, mle_slot *slot, const mle_deployment *wanted,
                                mle_error *err) {
  mle_trial_end(&slot->trial, "the endpoint changed");
  if (deployment_in(&slot->current) == wanted->id) return MLE_OK;
  mle_served *served = mle_cell_acquire(&slot->staged);
  if (served != NULL && served->facts.deployment == wanted->id) {
    put_current(slot, served);
    mle_cell_exchange(&slot->staged, NULL);
    return MLE_OK;
  }
  mle_served_release(served);
  MLE_TRY(load(slots, slot, wanted, &served, err));
  put_current(slot, served);
  return MLE_OK;
}

/* One endpoint that cannot be served keeps none of the others from it. */
mle_status mle_commands_follow(mle_commands *s, mle_error *err) {
  mle_arena memory = MLE_ARENA;
  mle_deployments all;
  mle_status status;
  MLE_GO(mle_records_slots(s->db, &memory, &all, err));
  for (size_t i = 0; i < all.count; i++) {
    mle_slot *slot;
    mle_error problem;
    MLE_GO(mle_slots_add(s->slots, all.item[i].endpoint, &slot, err));
    if (follow_record(s->slots, slot, &all.item[i], &problem) != MLE_OK)
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

static mle_status do_status(mle_commands *s, const mle_json_at *request, mle_json *reply,
                            mle_error *err) {
  char url[MLE_URL_MAX];
  (void)request, (void)err;
  mle_json_add_int(reply, "pid", (int64_t)getpid());
  mle_json_add_text(reply, "url", mle_address_url(&s->address, url));
  mle_json_add_text(reply, "version", s->version);
  mle_json_add_int(reply, "in_flight", (int64_t)mle_http_server_in_flight(s->http));
  mle_json *list = mle_json_add_array(reply, "endpoints");
  int count = atomic_load(&s->slots->count);
  for (int i = 0; i < count; i++) describe_slot(list, &s->slots->slot[i]);
  return MLE_OK;
}

/* A model that was checked before, from memory, or one that passes its check now: then the reply has the report. */
static mle_status load_to_stage(mle_commands *s, mle_slot *slot, const mle_deployment *d, mle_json *reply,
                                mle_served **out, mle_error *err) {
  mle_served *warm = slot == NULL || d->scores == NULL ? NULL : mle_slot_find_warm(slot, d->sha256);
  char *report;
  if (warm != NULL) {
    mle_json_add_bool(reply, "warm", true);
    return mle_load_warm(d, warm, out, err);
  }
  MLE_TRY(mle_load_checked(d, s->program, out, &report, err));
  mle_json_add_raw(reply, "report", report);
  mle_free(report);
  return MLE_OK;
}

/* What cannot be loaded leaves all as it is: a trial under way, and the place of an endpoint that never was. */
static mle_status stage(mle_commands *s, const char *endpoint, const mle_deployment *d, mle_json *reply,
                        mle_error *err) {
  mle_slot *slot = mle_slots_find(s->slots, endpoint);
  mle_served *served;
  if (strcmp(d->endpoint, endpoint) != 0)
    return mle_fail(err, MLE_EINVAL, "deployment %lld is not for endpoint '%s'", (long long)d->id,
                    endpoint);
  MLE_TRY(load_to_stage(s, slot, d, reply, &served, err));
  mle_status status = mle_slots_add(s->slots, endpoint, &slot, err);
  if (status != MLE_OK) {
    mle_served_release(served);
    return status;
  }
  mle_json_add_text(reply, "smoke_key", s->smoke_key);
  mle_slot_meter(s->slots, slot, served);
  mle_trial_end(&slot->trial, "another model was staged");
  mle_cell_exchange(&slot->staged, served);
  return MLE_OK;
}

static mle_status do_load(mle_commands *s, const mle_json_at *request, mle_json *reply,
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

static mle_status do_swap(mle_commands *s, const mle_json_at *request, mle_json *reply,
                          mle_error *err) {
  const char *endpoint;
  mle_slot *slot;
  mle_arena memory = MLE_ARENA;
  mle_deployment wanted;
  mle_status status;
  MLE_TRY(mle_json_get_text(request, "endpoint", &endpoint, err));
  MLE_GO(mle_records_slot(s->db, endpoint, &memory, &wanted, err));
  if (wanted.id == 0) {
    status = mle_fail(err, MLE_ENOTFOUND, "endpoint '%s' has no slot record", endpoint);
    goto done;
  }
  MLE_GO(mle_slots_add(s->slots, endpoint, &slot, err));
  MLE_GO(follow_record(s->slots, slot, &wanted, err));
  mle_json_add_int(reply, "deployment", wanted.id);
done:
  mle_arena_release(&memory);
  return status;
}

static mle_status do_unload(mle_commands *s, const mle_json_at *request, mle_json *reply,
                            mle_error *err) {
  const char *endpoint;
  int64_t id;
  (void)reply;
  MLE_TRY(mle_json_get_text(request, "endpoint", &endpoint, err));
  MLE_TRY(mle_json_opt_int(request, "deployment", 0, &id, err));
  mle_slot *slot = mle_slots_find(s->slots, endpoint);
  if (slot == NULL || (id != 0 && deployment_in(&slot->staged) != id)) return MLE_OK; /* another release's */
  mle_trial_end(&slot->trial, "the model was unloaded");
  mle_cell_exchange(&slot->staged, NULL);
  return MLE_OK;
}

static mle_status do_retire(mle_commands *s, const mle_json_at *request, mle_json *reply,
                            mle_error *err) {
  const char *endpoint;
  (void)reply;
  MLE_TRY(mle_json_get_text(request, "endpoint", &endpoint, err));
  mle_slot *slot = mle_slots_find(s->slots, endpoint);
  if (slot == NULL)
    return mle_fail(err, MLE_ENOTFOUND, "there is no endpoint '%.128s'", endpoint);
  mle_log(MLE_INFO, "endpoint %s has no model: it was unloaded", endpoint);
  mle_trial_end(&slot->trial, "the model it was compared with was unloaded");
  mle_slot_swap(slot, NULL);
  return MLE_OK;
}

static mle_status do_keys(mle_commands *s, const mle_json_at *request, mle_json *reply,
                          mle_error *err) {
  (void)request, (void)reply;
  return mle_keyring_load(s->keyring, s->db, err);
}

/* ====== Trials ====== */

#define LEASE_MAX 86400.0

static mle_status opt_double(const mle_json_at *at, const char *key, double *inout,
                             mle_error *err) {
  mle_json_at member;
  return mle_json_find(at, key, &member) ? mle_json_double(&member, inout, err) : MLE_OK;
}

static mle_status find_tried(mle_commands *s, const mle_json_at *request, mle_slot **out,
                             mle_error *err) {
  const char *endpoint;
  int64_t id;
  MLE_TRY(mle_json_get_text(request, "endpoint", &endpoint, err));
  MLE_TRY(mle_json_get_int(request, "deployment", &id, err));
  *out = mle_slots_find(s->slots, endpoint);
  if (*out != NULL && deployment_in(&(*out)->staged) == id) return MLE_OK;
  return mle_fail(err, MLE_ECONFLICT,
                  "deployment %lld is not staged at endpoint '%.128s'; another release was there",
                  (long long)id, endpoint);
}

static mle_status do_try(mle_commands *s, const mle_json_at *request, mle_json *reply,
                         mle_error *err) {
  mle_slot *slot;
  int64_t minimum;
  double lease = 30;
  mle_trial_bounds bounds = {.errors = 0.01, .drift = 0.1, .disagreement = 1, .tolerance = 1e-6};
  (void)reply;
  MLE_TRY(find_tried(s, request, &slot, err));
  MLE_TRY(opt_double(request, "errors", &bounds.errors, err));
  MLE_TRY(opt_double(request, "drift", &bounds.drift, err));
  MLE_TRY(opt_double(request, "disagreement", &bounds.disagreement, err));
  MLE_TRY(opt_double(request, "tolerance", &bounds.tolerance, err));
  MLE_TRY(opt_double(request, "lease", &lease, err));
  MLE_TRY(mle_json_opt_int(request, "minimum", 100, &minimum, err));
  if (minimum < 0) return mle_fail(err, MLE_EINVAL, "minimum must not be below 0");
  if (!(lease >= 0 && lease <= LEASE_MAX)) return mle_fail(err, MLE_EINVAL, "lease must be from 0 to %g seconds", LEASE_MAX);
  bounds.minimum = (uint64_t)minimum;
  bounds.lease_ns = (int64_t)(lease * 1e9);
  mle_trial_begin(&slot->trial, &bounds);
  return MLE_OK;
}

static void describe_trial(const mle_trial_report *r, mle_json *reply) {
  mle_json_add_double(reply, "share", (double)r->share / MLE_TRIAL_WHOLE);
  mle_json_add_bool(reply, "shadow", r->shadow);
  mle_json_add_int(reply, "live_requests", (int64_t)r->requests[MLE_SIDE_LIVE]);
  mle_json_add_int(reply, "live_failed", (int64_t)r->failed[MLE_SIDE_LIVE]);
  mle_json_add_int(reply, "requests", (int64_t)r->requests[MLE_SIDE_TRIED]);
  mle_json_add_int(reply, "failed", (int64_t)r->failed[MLE_SIDE_TRIED]);
  mle_json_add_int(reply, "compared", (int64_t)r->compared);
  mle_json_add_int(reply, "differed", (int64_t)r->differed);
  mle_json_add_int(reply, "dropped", (int64_t)r->dropped);
  mle_json_add_double(reply, "drift", r->drift);
  mle_json_add_double(reply, "mean_apart", r->mean_apart);
  mle_json_add_double(reply, "max_apart", r->max_apart);
  if (r->ended[0] != '\0') mle_json_add_text(reply, "ended", r->ended);
}

/* Sets what is given, and tells how the trial goes. */
static mle_status do_trial(mle_commands *s, const mle_json_at *request, mle_json *reply,
                           mle_error *err) {
  mle_slot *slot;
  mle_trial_report report;
  double share = -1;
  bool shadow, look;
  MLE_TRY(find_tried(s, request, &slot, err));
  MLE_TRY(opt_double(request, "share", &share, err));
  MLE_TRY(mle_json_opt_bool(request, "shadow", false, &shadow, err));
  MLE_TRY(mle_json_opt_bool(request, "look", false, &look, err));
  if (share > 1) return mle_fail(err, MLE_EINVAL, "a share is from 0 to 1");
  if (share >= 0) mle_trial_set(&slot->trial, (unsigned)(share * MLE_TRIAL_WHOLE + 0.5), shadow);
  if (look)
    mle_trial_look(&slot->trial, &report);
  else
    mle_trial_ask(&slot->trial, &report);
  describe_trial(&report, reply);
  return MLE_OK;
}

void mle_commands_expire(mle_commands *s) {
  int count = atomic_load(&s->slots->count);
  for (int i = 0; i < count; i++) mle_trial_expire(&s->slots->slot[i].trial);
}

/* ====== The rest ====== */

static mle_status do_record(mle_commands *s, const mle_json_at *request, mle_json *reply,
                            mle_error *err) {
  return mle_remote_record(s->db, s->state, request, reply, err);
}

static mle_status do_stop(mle_commands *s, const mle_json_at *request, mle_json *reply,
                          mle_error *err) {
  (void)request, (void)err;
  s->stopping = true;
  mle_json_add_int(reply, "pid", (int64_t)getpid());
  return MLE_OK;
}

static const struct command {
  const char *name;
  mle_status (*run)(mle_commands *s, const mle_json_at *request, mle_json *reply, mle_error *err);
} commands[] = {
    {"status", do_status}, {"load", do_load},     {"swap", do_swap}, {"unload", do_unload},
    {"retire", do_retire}, {"keys", do_keys},     {"try", do_try},   {"trial", do_trial},
    {"record", do_record}, {"stop", do_stop},
};

static mle_status run_command(mle_commands *s, const mle_json_at *request, mle_json *reply,
                              mle_error *err) {
  const char *name;
  MLE_TRY(mle_json_get_text(request, "command", &name, err));
  for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
    if (strcmp(commands[i].name, name) == 0) return commands[i].run(s, request, reply, err);
  return mle_fail(err, MLE_EINVAL, "the server has no command '%.40s'", name);
}

char *mle_commands_answer(mle_commands *s, const char *line, size_t len) {
  mle_error err;
  mle_json *request = NULL, *reply = mle_json_new_object();
  mle_json_add_bool(reply, "ok", true);
  mle_status status = mle_json_parse(line, len, &request, &err);
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
