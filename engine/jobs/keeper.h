/*
 * keeper.h -- the process between the engine and a job, which leaves nothing behind.
 *
 *     engine --- keeper --- job --- whatever the job starts
 *
 * All that the job starts stays below the keeper, also what forks twice, or
 * makes a session of its own (PR_SET_CHILD_SUBREAPER). When the job ends, when the engine
 * says so or dies, the keeper ends all of it, and only then itself. Meanwhile
 * it holds the job to its memory, and measures. It is a fork of the engine that
 * never runs anything else, so it allocates nothing and takes no lock.
 */
#ifndef MLE_JOBS_KEEPER_H
#define MLE_JOBS_KEEPER_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "engine/jobs/cgroup.h"

#define MLE_KEEPER_KEPT_MAX 16

/* What the engine sends: SIGTERM goes on to the job's process group; this ends everything. */
#define MLE_KEEPER_END SIGUSR2

/* In memory that engine and keeper share; the engine reads it once the keeper has ended. */
typedef struct mle_keeper_report {
  bool in_group;   /* its control group holds the job to its memory; else it is sampled */
  bool ended;      /* else the keeper itself was killed */
  int wait_status; /* the job's */
  bool out_of_memory;
  int left;            /* processes that could not be ended */
  int64_t peak_memory; /* bytes */
  int64_t cpu_us, bytes_read;
} mle_keeper_report;

typedef struct mle_keeper_plan {
  void (*become_job)(void *job); /* in the job's process; does not return */
  void *job;
  pid_t engine;
  int started_fd; /* where the job's process id is written to */
  const int *kept; /* descriptors that stay open as long as anything of the job's lives */
  size_t num_kept;
  mle_cgroup group;
  int64_t memory_max; /* 0: none */
  mle_keeper_report *report;
} mle_keeper_plan;

/* To be called in a fork of the engine that has all signals blocked; never returns. */
_Noreturn void mle_keep(mle_keeper_plan *plan);

#endif
