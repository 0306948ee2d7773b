/*
 * clock.h -- what time it is, and how long something took.
 */
#ifndef MLE_CLOCK_H
#define MLE_CLOCK_H

#include <stdint.h>

#define MLE_TIME_TEXT 32

/* Milliseconds, microseconds since 1970-01-01 UTC. */
int64_t mle_now_ms(void);
int64_t mle_now_us(void);

/* Nanoseconds of a clock that never goes back; for durations. */
int64_t mle_monotonic_ns(void);

/* The same clock as it stood some milliseconds ago, for who asks often and waits for seconds: no counter is read. */
int64_t mle_monotonic_coarse_ns(void);

/* Writes ISO 8601 in UTC with milliseconds, "2026-11-24T03:30:00.123Z"; returns `text`. */
char *mle_time_text(int64_t ms, char text[MLE_TIME_TEXT]);

/* Sleeps, but wakes early when the process was asked to stop (cancel.h). */
void mle_sleep_ms(int64_t ms);

#endif
