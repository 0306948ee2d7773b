/*
 * command.h -- another program, run to its end by a job's process.
 *
 *     const char *const argv[] = {"python3", "features.py", NULL};
 *     MLE_TRY(mle_command_run(argv, "/project", &code, &signal, err));
 *
 * It has this process's outputs, environment and process group: asked to stop,
 * both are.
 */
#ifndef MLE_JOBS_COMMAND_H
#define MLE_JOBS_COMMAND_H

#include "engine/base/error.h"

/*
 * The program is looked for in PATH, from `folder` where its name has a slash. `out_signal`
 * is 0 unless one ended it. MLE_ENOTFOUND when it cannot be started; MLE_ECANCELLED when
 * this process was asked to stop meanwhile.
 */
mle_status mle_command_run(const char *const *argv, const char *folder, int *out_code,
                           int *out_signal, mle_error *err);

#endif
