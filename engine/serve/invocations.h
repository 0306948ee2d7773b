/*
 * invocations.h -- the bodies MLflow's scoring server takes, read into rows.
 *
 *     {"dataframe_split": {"columns": ["a", "b"], "data": [[1, null], [2, 0.5]]}}
 *     {"dataframe_records": [{"a": 1, "b": null}, {"a": 2, "b": 0.5}]}
 *     {"instances": [[1, null], [2, 0.5]]}   or records
 *     {"inputs": {"a": [1, 2], "b": [null, 0.5]}}   or rows, or records
 *     a,b\n1,\n2,0.5\n   as text/csv
 *
 * Columns are matched by name, in any order, those the model does not know are
 * dropped; rows without names go by position and must have every column. null (or
 * NaN, or an empty CSV field) is a missing value. Other members are passed over;
 * `params` must be an object.
 */
#ifndef MLE_INVOCATIONS_H
#define MLE_INVOCATIONS_H

#include "engine/serve/rows.h"

/*
 * Reads a body into `rows`, which is empty and has the model's columns. `body` ends
 * in a NUL. EUNSUPPORTED: the content type; EFORMAT, EINVAL: the body; EREFUSED: too
 * many rows.
 */
mle_status mle_invocations_parse(const mle_features *features, const char *content_type,
                                 const char *body, size_t len, mle_rows *rows, mle_error *err);

mle_status mle_invocations_json(const mle_features *features, const char *body, size_t len,
                                mle_rows *rows, mle_error *err);
mle_status mle_invocations_csv(const mle_features *features, const char *body, size_t len,
                               mle_rows *rows, mle_error *err);

#endif
