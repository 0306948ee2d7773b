/*
 * tree.h -- the processes below one, whatever groups and sessions they made.
 *
 * Read from /proc, without allocating: a process made by fork may call all of
 * this. What starts or ends meanwhile may be missed; ask again until nothing is left.
 */
#ifndef MLE_JOBS_TREE_H
#define MLE_JOBS_TREE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define MLE_TREE_MAX ((size_t)4096) /* processes below one that are found at a time */

/* The processes below `root`, children's children included, into `out`; how many. One thread at a time. */
size_t mle_tree_find(pid_t root, pid_t out[MLE_TREE_MAX]);

/* What they hold in memory, in bytes; pages that several share count once for each. */
int64_t mle_tree_resident(const pid_t *pids, size_t count);

/* The same with shared pages divided among those that share them; slower. */
int64_t mle_tree_proportional(const pid_t *pids, size_t count);

/* Bytes that the calling process and all children it waited for have read from files and pipes. */
int64_t mle_tree_bytes_read(void);

#endif
