/*
 * schedule.h -- cron's five fields, in a time zone: when a job is due.
 *
 *     mle_cron cron;
 *     MLE_TRY(mle_cron_parse("30 2 * * mon-fri", &cron, err));
 *     if (mle_cron_next(&cron, zone, now, &next)) ...
 *
 * Fields are minute, hour, day of the month, month, day of the week: numbers, names (jan, mon), ranges, lists,
 * steps; or @hourly, @daily, @weekly, @monthly, @yearly. When neither day field begins with '*', either of them
 * makes the day (as in cron(8)).
 *
 * On the days on which clocks change, also as in cron(8): a job at set hours and minutes runs once for each time
 * it names: at the moment of the jump when that time is left out, and the first time when it comes twice. One whose
 * hour or minute field begins with '*' follows the clock as it shows.
 */
#ifndef MLE_JOBS_SCHEDULE_H
#define MLE_JOBS_SCHEDULE_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/jobs/zone.h"

typedef struct mle_cron {
  uint64_t minutes; /* bit N: minute N */
  uint32_t hours, days, months, weekdays;
  bool any_day;     /* the day of the month, or of the week, begins with '*': both must hold */
  bool follows;     /* the hour or the minute begins with '*' */
} mle_cron;

/* EINVAL names the field and what it may be; also for a date that never is, as "0 0 30 2 *". */
mle_status mle_cron_parse(const char *text, mle_cron *out, mle_error *err);

/* The first time after `after`, in seconds since 1970; false when there is none in nine years. */
bool mle_cron_next(const mle_cron *cron, const mle_zone *zone, int64_t after, int64_t *out);

/*
 * What is due at `now` when everything up to `cursor` was seen to. `at` is the last time that has come, `num` how
 * many have (counted up to 1000). A time is `late` when nobody was there for it: more than two minutes ago.
 */
typedef struct mle_due {
  int64_t at, num;
  bool late;
} mle_due;

#define MLE_SCHEDULE_LATE_S 120
mle_due mle_cron_due(const mle_cron *cron, const mle_zone *zone, int64_t cursor, int64_t now);

#endif
