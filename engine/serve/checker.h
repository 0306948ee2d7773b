/*
 * checker.h -- looks at a model in a process of its own, before the server does.
 *
 *     MLE_TRY(mle_check_in_child("/proc/self/exe", folder, 60000, &report, err));
 *
 * The child is `mlengine serve --check FOLDER`. It reads the model strictly, scores
 * the logged example, compares with the XGBoost library, and prints what mle_check
 * found as one line of JSON. Whatever a model does to it, it does to the child.
 */
#ifndef MLE_CHECKER_H
#define MLE_CHECKER_H

#include "engine/base/buffer.h"
#include "engine/serve/served.h"

/*
 * In this process: {"sha256":...,"classifier":false,"columns":[...],"example":[[...]],
 * "scores":[...]}. `example` and `scores` are null when none was logged. The text is the caller's.
 */
mle_status mle_check(const char *folder, char **out_report, mle_error *err);

/* In a child; fails with the child's own line. */
mle_status mle_check_in_child(const char *program, const char *folder, int timeout_ms,
                              char **out_report, mle_error *err);

/* The example's scores of a loaded model, as JSON; "null" when none was logged. */
mle_status mle_check_scores(const mle_served *served, const char *folder, mle_buffer *out,
                            mle_error *err);

#endif
