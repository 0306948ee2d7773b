#include "engine/serve/remote.h"

#include <stdio.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/base/file.h"
#include "engine/base/log.h"
#include "engine/deploy/keep.h"
#include "engine/deploy/records.h"
#include "engine/serve/slots.h"

#define LIST_MAX 100

typedef struct call {
  mle_db *db;
  const char *state;
  const mle_json_at *request;
  mle_json *reply;
  mle_arena memory;
} call;

static void describe(mle_json *to, const mle_deployment *d) {
  const struct {
    const char *name, *text;
  } texts[] = {{"endpoint", d->endpoint}, {"uri", d->uri},       {"name", d->name},
               {"version", d->version},   {"run_id", d->run_id}, {"snapshot_id", d->snapshot_id},
               {"folder", d->folder},     {"sha256", d->sha256}, {"scores", d->scores},
               {"alias", d->alias},       {"state", d->state},   {"outcome", d->outcome}};
  mle_json_add_int(to, "id", d->id);
  if (d->previous != 0) mle_json_add_int(to, "previous", d->previous);
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
    if (texts[i].text != NULL) mle_json_add_text(to, texts[i].name, texts[i].text);
  mle_json_add_int(to, "created_ms", d->created_ms);
  mle_json_add_int(to, "updated_ms", d->updated_ms);
}

/* ====== Intent ====== */

/* Moves an uploaded copy to where a copy of its digest belongs; one that is there will do. */
static mle_status take_copy(const call *c, const char *sha256, mle_kept *kept, mle_error *err) {
  char *models = mle_format("%s/models", c->state);
  char *upload = mle_format("%s/models/%.64s.part", c->state, sha256);
  mle_status status = models == NULL || upload == NULL ? mle_nomem(err, "taking a model") : MLE_OK;
  if (status != MLE_OK) goto done;
  MLE_GO(mle_keep_plan(upload, models, kept, err));
  if (strcmp(kept->sha256, sha256) != 0) {
    status = mle_fail(err, MLE_EFORMAT, "the model arrived damaged; release it again");
    goto done;
  }
  MLE_GO(mle_keep_copy(upload, kept, err));
done:
  if (upload != NULL) mle_remove_tree(upload, NULL);
  mle_free(models);
  mle_free(upload);
  return status;
}

static bool is_hex(const char *text) {
  return strlen(text) == MLE_SHA256_HEX - 1 &&
         strspn(text, "0123456789abcdef") == MLE_SHA256_HEX - 1;
}

static mle_status read_wanted(const call *c, mle_deployment *d, mle_error *err) {
  const struct {
    const char *name, **text;
  } optional[] = {{"name", &d->name},
                  {"version", &d->version},
                  {"run_id", &d->run_id},
                  {"snapshot_id", &d->snapshot_id},
                  {"alias", &d->alias},
                  {"folder", &d->folder}};
  MLE_TRY(mle_json_get_text(c->request, "endpoint", &d->endpoint, err));
  MLE_TRY(mle_json_get_text(c->request, "uri", &d->uri, err));
  MLE_TRY(mle_json_get_text(c->request, "sha256", &d->sha256, err));
  for (size_t i = 0; i < sizeof optional / sizeof *optional; i++)
    MLE_TRY(mle_json_opt_text(c->request, optional[i].name, NULL, optional[i].text, err));
  MLE_TRY(mle_endpoint_check(d->endpoint, err));
  return is_hex(d->sha256) ? MLE_OK : mle_fail(err, MLE_EINVAL, "`sha256` must be a digest");
}

/* A rollback names an earlier deployment, whose copy it has again. */
static mle_status reuse_copy(const call *c, mle_kept *kept, mle_error *err) {
  int64_t earlier;
  mle_deployment d;
  MLE_TRY(mle_json_get_int(c->request, "copy_of", &earlier, err));
  mle_arena memory = MLE_ARENA;
  mle_status status = mle_records_get(c->db, earlier, &memory, &d, err);
  if (status == MLE_OK) {
    snprintf(kept->path, sizeof kept->path, "%s", d.folder);
    snprintf(kept->sha256, sizeof kept->sha256, "%s", d.sha256);
  }
  mle_arena_release(&memory);
  return status;
}

static mle_status do_begin(call *c, mle_error *err) {
  mle_deployment wanted = {0};
  mle_kept kept;
  int64_t id;
  mle_json_at copy_of;
  MLE_TRY(read_wanted(c, &wanted, err));
  MLE_TRY(mle_json_find(c->request, "copy_of", &copy_of) ? reuse_copy(c, &kept, err)
                                                         : take_copy(c, wanted.sha256, &kept, err));
  wanted.folder = kept.path;
  MLE_TRY(mle_records_begin(c->db, &wanted, &id, err));
  mle_json_add_int(c->reply, "id", id);
  return MLE_OK;
}

/* ====== The other calls ====== */

static mle_status get_id(const call *c, int64_t *out, mle_error *err) {
  return mle_json_get_int(c->request, "id", out, err);
}

static mle_status do_advance(call *c, mle_error *err) {
  int64_t id;
  const char *state, *text;
  MLE_TRY(get_id(c, &id, err));
  MLE_TRY(mle_json_get_text(c->request, "state", &state, err));
  MLE_TRY(mle_json_opt_text(c->request, "text", NULL, &text, err));
  return mle_records_advance(c->db, id, state, text, err);
}

static mle_status do_point(call *c, mle_error *err) {
  int64_t id;
  MLE_TRY(get_id(c, &id, err));
  return mle_records_point(c->db, id, err);
}

static mle_status do_point_back(call *c, mle_error *err) {
  int64_t id, earlier;
  MLE_TRY(get_id(c, &id, err));
  MLE_TRY(mle_json_get_int(c->request, "earlier", &earlier, err));
  return mle_records_point_back(c->db, id, earlier, err);
}

/* It is live whether or not old copies could be removed. */
static void prune(const call *c) {
  mle_error problem = {.message = "out of memory"};
  char *models = mle_format("%s/models", c->state);
  if (models == NULL || mle_keep_prune(c->db, models, &problem) != MLE_OK)
    mle_log(MLE_WARN, "old models stay: %s", problem.message);
  mle_free(models);
}

static mle_status do_finish(call *c, mle_error *err) {
  int64_t id;
  MLE_TRY(get_id(c, &id, err));
  MLE_TRY(mle_records_finish(c->db, id, err));
  prune(c);
  return MLE_OK;
}

static mle_status do_retire(call *c, mle_error *err) {
  const char *endpoint;
  MLE_TRY(mle_json_get_text(c->request, "endpoint", &endpoint, err));
  return mle_records_retire(c->db, endpoint, err);
}

static mle_status do_get(call *c, mle_error *err) {
  int64_t id;
  mle_deployment d;
  MLE_TRY(get_id(c, &id, err));
  MLE_TRY(mle_records_get(c->db, id, &c->memory, &d, err));
  describe(mle_json_add_object(c->reply, "deployment"), &d);
  return MLE_OK;
}

static mle_status do_slot(call *c, mle_error *err) {
  const char *endpoint;
  mle_deployment d;
  MLE_TRY(mle_json_get_text(c->request, "endpoint", &endpoint, err));
  MLE_TRY(mle_records_slot(c->db, endpoint, &c->memory, &d, err));
  if (d.id != 0) describe(mle_json_add_object(c->reply, "deployment"), &d);
  return MLE_OK;
}

static mle_status do_list(call *c, mle_error *err) {
  const char *endpoint;
  mle_deployments found;
  MLE_TRY(mle_json_opt_text(c->request, "endpoint", NULL, &endpoint, err));
  MLE_TRY(mle_records_list(c->db, endpoint, LIST_MAX, &c->memory, &found, err));
  mle_json *list = mle_json_add_array(c->reply, "deployments");
  for (size_t i = 0; i < found.count; i++)
    describe(mle_json_add_object(list, NULL), &found.item[i]);
  return MLE_OK;
}

mle_status mle_remote_record(mle_db *db, const char *state, const mle_json_at *request,
                             mle_json *reply, mle_error *err) {
  static const struct {
    const char *name;
    mle_status (*run)(call *c, mle_error *err);
  } calls[] = {{"begin", do_begin},           {"advance", do_advance}, {"point", do_point},
               {"point_back", do_point_back}, {"finish", do_finish},   {"get", do_get},
               {"retire", do_retire},
               {"slot", do_slot},             {"list", do_list}};
  const char *name;
  MLE_TRY(mle_json_get_text(request, "call", &name, err));
  for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
    if (strcmp(calls[i].name, name) != 0) continue;
    call c = {.db = db, .state = state, .request = request, .reply = reply, .memory = MLE_ARENA};
    mle_status status = calls[i].run(&c, err);
    mle_arena_release(&c.memory);
    return status;
  }
  return mle_fail(err, MLE_EINVAL, "there is no call '%.40s' of the records", name);
}
