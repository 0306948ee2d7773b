#include "engine/serve/loader.h"

#include <stdio.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/deploy/keep.h"
#include "engine/serve/checker.h"

#define CHECK_MS 120000
#define SCORES_MAX ((size_t)16 << 20)

static mle_status check_copy(const mle_deployment *d, mle_error *err) {
  mle_kept kept;
  if (strlen(d->folder) >= sizeof kept.path || strlen(d->sha256) >= sizeof kept.sha256)
    return mle_fail(err, MLE_EFORMAT, "deployment %lld: its record is damaged", (long long)d->id);
  strcpy(kept.path, d->folder);
  strcpy(kept.sha256, d->sha256);
  return mle_keep_check(&kept, err);
}

/* Also warms it: every tree that the example reaches was walked. */
static mle_status check_scores(const mle_deployment *d, const mle_served *served, mle_error *err) {
  mle_buffer scores = MLE_BUFFER(SCORES_MAX);
  mle_status status = mle_check_scores(served, d->folder, &scores, err);
  if (status == MLE_OK && d->scores != NULL && strcmp(d->scores, scores.data) != 0)
    status = mle_fail(err, MLE_EFORMAT,
                      "the model in '%s' scores its logged example otherwise than when it was "
                      "deployed", d->folder);
  mle_buffer_release(&scores);
  return status;
}

static mle_served_facts facts_of(const mle_deployment *d) {
  return (mle_served_facts){.deployment = d->id, .uri = d->uri, .name = d->name,
                            .version = d->version, .run_id = d->run_id,
                            .snapshot_id = d->snapshot_id};
}

mle_status mle_load_warm(const mle_deployment *d, mle_served *warm, mle_served **out,
                         mle_error *err) {
  mle_served_facts facts = facts_of(d);
  if (facts.run_id == NULL) facts.run_id = warm->facts.run_id;
  return mle_served_again(warm, &facts, out, err);
}

mle_status mle_load_deployment(const mle_deployment *d, mle_served **out, mle_error *err) {
  mle_served_facts facts = facts_of(d);
  mle_served *served = NULL;
  *out = NULL;
  mle_status status;
  MLE_GO(check_copy(d, err));
  MLE_GO(mle_served_load(d->folder, &facts, &served, err));
  MLE_GO(check_scores(d, served, err));
  strcpy(served->copy_sha256, d->sha256);
  *out = served;
  served = NULL;
done:
  mle_served_release(served);
  return status;
}

mle_status mle_load_checked(const mle_deployment *d, const char *program, mle_served **out,
                            char **out_report, mle_error *err) {
  *out = NULL;
  *out_report = NULL;
  MLE_TRY(check_copy(d, err));
  MLE_TRY(mle_check_in_child(program, d->folder, CHECK_MS, out_report, err));
  mle_status status = mle_load_deployment(d, out, err);
  if (status == MLE_OK) return MLE_OK;
  mle_free(*out_report);
  *out_report = NULL;
  return status;
}
