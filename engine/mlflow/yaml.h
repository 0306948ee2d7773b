/*
 * yaml.h -- as much YAML as an MLmodel file needs.
 *
 * Read is what MLflow's own writer (PyYAML's block style) puts out: block
 * mappings and lists, plain, quoted and folded scalars, literal blocks, {} and
 * []. Anchors, tags, complex keys, flow collections and several documents are
 * refused by name and line. Plain null, true, false and numbers become those of
 * JSON; all else is text.
 */
#ifndef MLE_MLFLOW_YAML_H
#define MLE_MLFLOW_YAML_H

#include <stddef.h>

#include "engine/base/buffer.h"
#include "engine/base/error.h"
#include "engine/json/json.h"

#define MLE_YAML_MAX ((size_t)8 << 20) /* bytes of a text */
#define MLE_YAML_DEPTH 32

/* Reads a document; its members are read by json.h's getters. */
mle_status mle_yaml_read(const char *text, size_t len, mle_json **out, mle_error *err);

/* Appends a value as block-style YAML, in a form that every YAML 1.1 reader takes for the same. */
mle_status mle_yaml_print(const mle_json_at *value, mle_buffer *out, mle_error *err);

#endif
