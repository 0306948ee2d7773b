/*
 * cgroup.h -- a control group of one job's own, where this process may make one.
 *
 *     mle_cgroup_make(memory_max, &group);     the engine; group.path is "" where it may not
 *     mle_cgroup_join(&group);                 the job's process, before it becomes the job
 *     mle_cgroup_exceeded(&group, &peak);      whoever minds it, now and then
 *     mle_cgroup_kill(&group);
 *     mle_cgroup_remove(&group);               once it is empty
 *
 * Version 2 where the memory controller is there, else version 1's memory
 * hierarchy; found by trying, in the process's own group and the one above it.
 * All but `make` allocate nothing: a process made by fork may call them.
 */
#ifndef MLE_JOBS_CGROUP_H
#define MLE_JOBS_CGROUP_H

#include <stdbool.h>
#include <stdint.h>

#define MLE_CGROUP_PATH_MAX 512

/* Plain memory; nothing needs to be freed. */
typedef struct mle_cgroup {
  int version;                    /* 1 or 2 */
  char path[MLE_CGROUP_PATH_MAX]; /* "": none */
} mle_cgroup;

/* A group that holds its members to `memory_max` bytes, swap included. */
void mle_cgroup_make(int64_t memory_max, mle_cgroup *out);

/* Moves the calling process into it; false when that is refused. */
bool mle_cgroup_join(const mle_cgroup *group);

/* Whether its members wanted more than they may have. Then `peak` is the most they had. */
bool mle_cgroup_exceeded(const mle_cgroup *group, int64_t *out_peak);

/* SIGKILL to all in it, once; what they start meanwhile needs another call. */
void mle_cgroup_kill(const mle_cgroup *group);

/* False while something is in it. */
bool mle_cgroup_remove(const mle_cgroup *group);

#endif
