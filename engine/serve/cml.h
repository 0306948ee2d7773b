/*
 * cml.h -- the body of CML's POST /model.
 *
 *     {"accessKey": "mle_...", "request": {"dataframe_split": {...}}}
 *     {"accessKey": "mle_...", "request": {"amount": 1.5, "hour": 3}}
 *
 * A request is one of MLflow's forms, or one record.
 */
#ifndef MLE_CML_H
#define MLE_CML_H

#include <stddef.h>

#include "engine/base/error.h"

#define MLE_CML_KEY_MAX 512

typedef struct mle_cml {
  char key[MLE_CML_KEY_MAX]; /* "" when the body has none */
  char *request;             /* a body of /invocations; the caller's to free */
} mle_cml;

mle_status mle_cml_parse(const char *body, size_t len, mle_cml *out, mle_error *err);

#endif
