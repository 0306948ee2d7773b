/*
 * zone.h -- an IANA time zone, as this machine's tzdata has it: how far its clocks are ahead of UTC, and when.
 *
 *     mle_zone *zone;
 *     MLE_TRY(mle_zone_open("Europe/Berlin", &zone, err));
 *     mle_zone_span span = mle_zone_at(zone, seconds);
 *     local = seconds + span.offset;
 *     mle_zone_free(zone);
 *
 * "UTC" needs no file. A zone is read-only once open: any thread may ask.
 */
#ifndef MLE_JOBS_ZONE_H
#define MLE_JOBS_ZONE_H

#include <stdint.h>

#include "engine/base/error.h"

typedef struct mle_zone mle_zone;

/* ENOTFOUND when this machine has no such zone. */
mle_status mle_zone_open(const char *name, mle_zone **out, mle_error *err);
void mle_zone_free(mle_zone *zone); /* NULL is ignored */

/* The time around a moment in which the offset does not change, in seconds since 1970: [start, end). */
typedef struct mle_zone_span {
  int64_t start, end;     /* INT64_MIN, INT64_MAX: it never was, will be, different */
  int32_t offset, before; /* seconds ahead of UTC; what it was until `start` */
} mle_zone_span;

mle_zone_span mle_zone_at(const mle_zone *zone, int64_t seconds);

/* Days since 1970-01-01 of a date of the Gregorian calendar, and back; month and day from 1. */
int64_t mle_days_of(int64_t year, int month, int day);
void mle_date_of(int64_t days, int64_t *out_year, int *out_month, int *out_day);

#endif
