/*
 * artifacts.h -- files of runs and models, in a local artifact folder.
 *
 *     MLE_TRY(mle_artifacts_folder(run.artifact_uri, &memory, &root, err));
 *     MLE_TRY(mle_artifacts_add(root, "plots", "roc.png", err));     ROOT/plots/roc.png
 *
 * A file or folder appears whole or not at all: it is written under a name with
 * ".tmp-" in it, synced, and renamed. What was there before is replaced.
 */
#ifndef MLE_MLFLOW_ARTIFACTS_H
#define MLE_MLFLOW_ARTIFACTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/arena.h"
#include "engine/base/error.h"

/* The local folder of an artifact URI: a plain path or file:. Others are EUNSUPPORTED, by name. */
mle_status mle_artifacts_folder(const char *uri, mle_arena *memory, const char **out,
                                mle_error *err);

/* ROOT/PATH, checked to stay inside; PATH NULL or "" is ROOT itself. */
mle_status mle_artifacts_path(const char *root, const char *path, mle_arena *memory,
                              const char **out, mle_error *err);

/* Writes bytes as ROOT/PATH. */
mle_status mle_artifacts_write(const char *root, const char *path, const void *bytes, size_t len,
                               mle_error *err);

/* Copies a local file or folder into ROOT/FOLDER, under its own name; FOLDER may be NULL. */
mle_status mle_artifacts_add(const char *root, const char *folder, const char *local,
                             mle_error *err);

/*
 * A folder that is built aside: `aside` is empty and private until it is
 * published as ROOT/PATH, or discarded.
 */
mle_status mle_artifacts_begin(const char *target, mle_arena *memory, const char **aside,
                               mle_error *err);
mle_status mle_artifacts_publish(const char *aside, const char *target, mle_error *err);

typedef struct mle_artifact {
  const char *path; /* below the root */
  bool is_folder;
  int64_t size;
} mle_artifact;

typedef struct mle_artifact_list {
  size_t count;
  const mle_artifact *item;
} mle_artifact_list;

/* What is directly in ROOT/PATH, by name; an absent folder lists as empty. */
mle_status mle_artifacts_list(const char *root, const char *path, mle_arena *memory,
                              mle_artifact_list *out, mle_error *err);

#endif
