/*
 * support.h -- what the tests of this folder share.
 */
#ifndef TEST_ICEBERG_SUPPORT_H
#define TEST_ICEBERG_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/base/alloc.h"
#include "engine/base/file.h"

/* must() has an err of its own, beside a test's */
#pragma GCC diagnostic ignored "-Wshadow"

#define must(expr)                                                 \
  do {                                                             \
    mle_error must_err_ = {0};                                     \
    mle_error *err = &must_err_;                                   \
    if ((expr) != MLE_OK) fail_msg("%s: %s", #expr, err->message); \
  } while (0)

#define assert_message(err, text)                                                                 \
  do {                                                                                            \
    if (strstr((err).message, text) == NULL) fail_msg("'%s' is not in: %s", text, (err).message); \
  } while (0)

/* Runs `body` with 0, 1, 2, ... allocations granted until it succeeds. */
static inline long exhaust_memory(mle_status (*body)(mle_error *err)) {
  for (long granted = 0;; granted++) {
    mle_error err = {0};
    mle_alloc_fail_after(granted);
    mle_status status = body(&err);
    mle_alloc_fail_after(-1);
    if (status == MLE_OK) return granted;
    /* cJSON tells a text that it had no memory for from a bad one by nothing */
    if (status != MLE_ENOMEM && strstr(err.message, "not JSON") == NULL)
      fail_msg("after %ld allocations: %s", granted, err.message);
  }
}

#endif
