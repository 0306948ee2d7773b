#include "engine/jobs/profile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define GPUS_MAX 64
#define GPU_NAME 64 /* a number, or "GPU-<uuid>" */
#define VARIABLE "CUDA_VISIBLE_DEVICES"

/* ====== Processors ====== */

static mle_status grant_cpus(int wanted, mle_grant *out, mle_error *err) {
  int usable[CPU_SETSIZE], chosen[CPU_SETSIZE];
  size_t count = 0;
  if (sched_getaffinity(0, sizeof out->cpus, &out->cpus) != 0)
    memset(&out->cpus, 0xFF, sizeof out->cpus);
  for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++)
    if (CPU_ISSET(cpu, &out->cpus)) usable[count++] = (int)cpu;
  if (wanted <= 0) return MLE_OK;
  size_t take = (size_t)wanted > count ? count : (size_t)wanted;
  MLE_TRY(mle_claim_take("cpu", usable, count, take, chosen, &out->claims[0], err));
  CPU_ZERO(&out->cpus);
  for (size_t i = 0; i < take; i++) CPU_SET((size_t)chosen[i], &out->cpus);
  return MLE_OK;
}

/* ====== GPUs ====== */

/* What this process itself was given, as by Slurm; else what the machine has. */
static size_t list_gpus(char names[GPUS_MAX][GPU_NAME]) {
  size_t count = 0;
  const char *given = getenv(VARIABLE);
  for (const char *at = given; at != NULL && *at != '\0' && count < GPUS_MAX;) {
    size_t len = strcspn(at, ",");
    if (len > 0) snprintf(names[count++], GPU_NAME, "%.*s", (int)len, at);
    at += len + (at[len] == ',');
  }
  if (given != NULL) return count;
  for (int i = 0; i < GPUS_MAX; i++) {
    char path[32];
    struct stat info;
    snprintf(path, sizeof path, "/dev/nvidia%d", i);
    if (stat(path, &info) == 0) snprintf(names[count++], GPU_NAME, "%d", i);
  }
  return count;
}

static mle_status grant_gpus(int wanted, mle_grant *out, mle_error *err) {
  char names[GPUS_MAX][GPU_NAME];
  int numbers[GPUS_MAX], chosen[GPUS_MAX] = {0};
  if (wanted == 0) return MLE_OK;
  size_t take = wanted == MLE_GPUS_NONE ? 0 : (size_t)wanted, count = list_gpus(names);
  for (size_t i = 0; i < count; i++) numbers[i] = (int)i;
  MLE_TRY(mle_claim_take("GPU", numbers, count, take, chosen, &out->claims[1], err));
  size_t len = (size_t)snprintf(out->gpus, sizeof out->gpus, VARIABLE "=");
  for (size_t i = 0; i < take && len < sizeof out->gpus; i++)
    len += (size_t)snprintf(out->gpus + len, sizeof out->gpus - len, "%s%s", i == 0 ? "" : ",",
                            names[chosen[i]]);
  if (len < sizeof out->gpus) return MLE_OK;
  return mle_fail(err, MLE_EINVAL, "the names of a job's GPUs take more than %d bytes",
                  MLE_GPUS_TEXT);
}

/* ====== All of it ====== */

mle_status mle_profile_grant(const mle_profile *profile, mle_grant *out, mle_error *err) {
  *out = MLE_GRANT_NONE;
  mle_status status = grant_cpus(profile->cpus, out, err);
  if (status == MLE_OK) status = grant_gpus(profile->gpus, out, err);
  if (status == MLE_OK && profile->memory_max > 0 && !profile->no_groups)
    mle_cgroup_make(profile->memory_max, &out->group);
  if (status != MLE_OK) mle_grant_release(out);
  return status;
}

void mle_grant_release(mle_grant *grant) {
  for (int i = 0; i < 2; i++) mle_claim_free(grant->claims[i]);
  mle_cgroup_remove(&grant->group);
  *grant = MLE_GRANT_NONE;
}
