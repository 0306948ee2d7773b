/*
 * rules.h -- MLflow's rules for keys, values and names.
 *
 * Each check returns MLE_EINVAL with a line that names the rule. Lengths count
 * characters, as MLflow does; texts that are not UTF-8 would make MLflow's own
 * reads of the store fail, and are refused everywhere.
 */
#ifndef MLE_MLFLOW_RULES_H
#define MLE_MLFLOW_RULES_H

#include <stdbool.h>
#include <stddef.h>

#include "engine/base/arena.h"
#include "engine/base/error.h"
#include "engine/mlflow/store.h"

#define MLE_MLFLOW_PARAM_MAX 6000 /* characters of a value; longer ones are cut */
#define MLE_MLFLOW_TAG_MAX 8000
#define MLE_MLFLOW_VERSION_TAG_MAX 5000 /* also of experiments and registered models */

/* Number of characters, -1 when the bytes are not UTF-8. */
long mle_mlflow_characters(const char *text);

/* A key of a metric, parameter or tag; `what` is "metric", "param", "tag". */
mle_status mle_mlflow_check_key(const char *what, const char *key, mle_error *err);

/* A text of at most `max` characters; `what` names it in the message. */
mle_status mle_mlflow_check_text(const char *what, const char *text, long max, mle_error *err);

/* Copies a value into `memory`, cut at `max` characters. NULL counts as "". */
mle_status mle_mlflow_cut_value(const char *what, const char *value, long max, mle_arena *memory,
                                const char **out, mle_error *err);

/* Checks each key, and replaces the pairs by copies in `memory` with their values cut at `max`;
 * `what` is "param" or "tag". */
mle_status mle_mlflow_cut_pairs(const char *what, long max, mle_mlflow_pairs *pairs,
                                mle_arena *memory, mle_error *err);

/* A name of an experiment: not empty, at most 256 characters. */
mle_status mle_mlflow_check_experiment_name(const char *name, mle_error *err);

/* A name of a registered model: not empty, no "/" and no ":". */
mle_status mle_mlflow_check_model_name(const char *name, mle_error *err);

/* A name of a logged model: also without . % " ' */
mle_status mle_mlflow_check_logged_name(const char *name, mle_error *err);

/* An alias: letters, digits, _ and -; neither "latest" nor "v" and a number. */
mle_status mle_mlflow_check_alias(const char *alias, mle_error *err);

/* RUNNING, SCHEDULED, FINISHED, FAILED or KILLED. */
mle_status mle_mlflow_check_status(const char *status, mle_error *err);

/* A path inside an artifact folder: relative, without "", "." and ".." parts. */
mle_status mle_mlflow_check_artifact_path(const char *path, mle_error *err);

#endif
