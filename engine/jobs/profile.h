/*
 * profile.h -- what a job gets of the machine: processors, GPUs, memory.
 *
 *     mle_grant grant = MLE_GRANT_NONE;
 *     MLE_TRY(mle_profile_grant(&profile, &grant, err));
 *     ... in the job's process: sched_setaffinity(0, sizeof grant.cpus, &grant.cpus) ...
 *     mle_grant_release(&grant);       once the job has ended
 */
#ifndef MLE_JOBS_PROFILE_H
#define MLE_JOBS_PROFILE_H

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>

#include "engine/base/error.h"
#include "engine/jobs/cgroup.h"
#include "engine/jobs/claim.h"

#define MLE_GPUS_TEXT 512
#define MLE_GPUS_NONE (-1)

typedef struct mle_profile {
  int cpus;           /* 0: all that this process may use */
  int gpus;           /* 0: whatever is there; MLE_GPUS_NONE: none can be seen */
  int64_t memory_max; /* bytes, 0: no limit */
  bool no_groups;     /* hold it to its memory by adding up, also where a control group could be made */
} mle_profile;

typedef struct mle_grant {
  cpu_set_t cpus;
  char gpus[MLE_GPUS_TEXT]; /* "CUDA_VISIBLE_DEVICES=0,1"; "": not said */
  mle_cgroup group;
  mle_claim *claims[2];
} mle_grant;

#define MLE_GRANT_NONE ((mle_grant){.gpus = ""})

/* More CPUs than this process may use are all of them; more GPUs than the machine has is EINVAL. */
mle_status mle_profile_grant(const mle_profile *profile, mle_grant *out, mle_error *err);

void mle_grant_release(mle_grant *grant);

#endif
