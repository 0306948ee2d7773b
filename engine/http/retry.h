/*
 * retry.h -- when and after how long a request is sent again.
 *
 * Waits grow as base * 2^n up to a maximum, each shortened at random by up to a
 * half, so that clients that failed together do not come back together.
 */
#ifndef MLE_RETRY_H
#define MLE_RETRY_H

#include <stdbool.h>
#include <stdint.h>

#define MLE_RETRY_WAIT_MAX_MS 60000

/* Statuses that pass by themselves: 408, 429, 500, 502, 503, 504. */
bool mle_retry_status(long http_status);

/* Milliseconds before attempt `attempt` (1 is the first repetition); a server's
 * Retry-After of 0 or more is kept to, up to the maximum; negative: it sent none. */
int64_t mle_retry_wait_ms(int attempt, int64_t base_ms, int64_t retry_after_s);

/* Reads "120" or an HTTP date; -1 when it is neither. */
int64_t mle_retry_after_s(const char *value, int64_t now_s);

#endif
