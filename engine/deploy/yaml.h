/*
 * yaml.h -- the part of YAML that PyYAML writes for an MLmodel file.
 *
 *     mle_yaml *doc;
 *     MLE_TRY(mle_yaml_parse(text, len, &memory, &doc, err));
 *     const char *data = mle_yaml_find(doc, "flavors.xgboost.data");
 *
 * Nested mappings by indentation; scalars plain, in single quotes or in double
 * quotes, over several lines. Lists and block texts (| and >) are passed over: nothing
 * that is needed is in one. Anchors, tags and flow mappings give no values.
 */
#ifndef MLE_YAML_H
#define MLE_YAML_H

#include "engine/base/arena.h"

typedef struct mle_yaml mle_yaml;

/* The document lives in `memory`, and needs `text` no more. */
mle_status mle_yaml_parse(const char *text, size_t len, mle_arena *memory, mle_yaml **out,
                          mle_error *err);

/* The scalar at a path of keys; NULL when there is none or it is null. */
const char *mle_yaml_find(const mle_yaml *doc, const char *path);

#endif
