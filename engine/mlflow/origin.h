/*
 * origin.h -- who started a run, from what, and what it is called.
 */
#ifndef MLE_MLFLOW_ORIGIN_H
#define MLE_MLFLOW_ORIGIN_H

#include "engine/base/arena.h"
#include "engine/base/error.h"

#define MLE_RUN_NAME_TEXT 64

/* Invents a name in MLflow's manner, "quiet-heron-417"; returns `out`. */
char *mle_mlflow_run_name(char out[MLE_RUN_NAME_TEXT]);

/* The user of this process, "unknown" when the system has no name for it. */
const char *mle_mlflow_user(void);

/* What a git work tree has checked out. */
typedef struct mle_git_head {
  const char *commit; /* 40 or 64 hex digits; NULL: no work tree, or nothing committed */
  const char *branch; /* NULL: detached */
} mle_git_head;

/*
 * Looks for the work tree that holds `path` and reads its .git files, without
 * starting git. A tree it cannot read is no error: the texts stay NULL.
 */
mle_status mle_git_find_head(const char *path, mle_arena *memory, mle_git_head *out,
                             mle_error *err);

#endif
