#include "engine/jobs/schedule.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define DAY 86400
#define YEARS_MAX 9 /* February 29 may be eight years away */
#define TEXT_MAX 256
#define COUNT_MAX 1000

/* ====== Reading ====== */

typedef struct field {
  const char *what;
  int min, max;
  const char *names; /* three letters each, from `min` on */
} field;

static const field fields[] = {
    {"minute", 0, 59, ""},
    {"hour", 0, 23, ""},
    {"day of the month", 1, 31, ""},
    {"month", 1, 12, "janfebmaraprmayjunjulaugsepoctnovdec"},
    {"day of the week", 0, 7, "sunmontuewedthufrisat"},
};
#define NUM_FIELDS 5

static const struct macro {
  const char *name, *text;
} macros[] = {
    {"@hourly", "0 * * * *"},  {"@daily", "0 0 * * *"},  {"@midnight", "0 0 * * *"},
    {"@weekly", "0 0 * * 0"},  {"@monthly", "0 0 1 * *"}, {"@yearly", "0 0 1 1 *"},
    {"@annually", "0 0 1 1 *"},
};

static mle_status fail_field(const field *f, const char *text, int len, const char *why, mle_error *err) {
  return mle_fail(err, MLE_EINVAL, "cron: %s '%.*s' %s; it takes %d to %d%s", f->what, len, text, why,
                  f->min, f->max, *f->names != '\0' ? " or names" : "");
}

/* A number or a name at *at; -1 when it is neither. */
static int take_value(const field *f, const char **at) {
  for (int i = 0; f->names[i] != '\0'; i += 3) {
    if (strncasecmp(*at, f->names + i, 3) != 0 || isalnum((unsigned char)(*at)[3])) continue;
    *at += 3;
    return f->min + i / 3;
  }
  int value = -1;
  for (; isdigit((unsigned char)**at); (*at)++) {
    value = (value < 0 ? 0 : value * 10) + (**at - '0');
    if (value > 1000) value = 1000;
  }
  return value;
}

/* One part of a list: star, N, N-M, star/S, N-M/S. */
static mle_status read_part(const field *f, const char *text, int len, uint64_t *bits, mle_error *err) {
  const char *at = text, *end = text + len;
  int low = f->min, high = f->max, step = 1;
  bool range = *at == '*';
  if (range) {
    at++;
    if (f->max == 7) high = 6;
  } else {
    low = high = take_value(f, &at);
    if (*at == '-') {
      range = true;
      at++;
      high = take_value(f, &at);
      if (f->max == 7 && high == 0 && low > 0) high = 7; /* fri-sun */
    }
  }
  if (at < end && *at == '/') {
    at++;
    if (!range) return fail_field(f, text, len, "has a step but no range (as 5-59/10 has)", err);
    step = take_value(&(field){"", 0, 1000, ""}, &at);
    if (step < 1) return fail_field(f, text, len, "has a step that is no number above 0", err);
  }
  if (at != end || low < 0 || high < 0) return fail_field(f, text, len, "is not understood", err);
  if (low < f->min || high > f->max) return fail_field(f, text, len, "is out of bounds", err);
  if (low > high) return fail_field(f, text, len, "runs backwards (write two ranges, 22-23,0-2)", err);
  for (int i = low; i <= high; i += step) *bits |= UINT64_C(1) << i;
  return MLE_OK;
}

static mle_status read_field(const field *f, const char *text, int len, uint64_t *bits, mle_error *err) {
  *bits = 0;
  for (const char *end = text + len, *at = text; at <= end;) {
    const char *comma = memchr(at, ',', (size_t)(end - at));
    int part = (int)((comma == NULL ? end : comma) - at);
    if (part == 0) return fail_field(f, text, len, "has an empty part", err);
    MLE_TRY(read_part(f, at, part, bits, err));
    at += part + 1;
  }
  return MLE_OK;
}

/* A date that no year has. */
static mle_status check_dates(const mle_cron *cron, const char *text, mle_error *err) {
  static const int longest[] = {0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  if (!cron->any_day) return MLE_OK; /* then the weekday is enough */
  for (int month = 1; month <= 12; month++)
    for (int day = 1; day <= longest[month]; day++)
      if ((cron->months >> month & 1) != 0 && (cron->days >> day & 1) != 0) return MLE_OK;
  return mle_fail(err, MLE_EINVAL, "cron '%s': there is no such date in any year", text);
}

static mle_status expand(const char *text, const char **out, mle_error *err) {
  *out = text;
  if (*text != '@') return MLE_OK;
  for (size_t i = 0; i < sizeof macros / sizeof *macros; i++)
    if (strcasecmp(text, macros[i].name) == 0) *out = macros[i].text;
  if (*out != text) return MLE_OK;
  return mle_fail(err, MLE_EINVAL,
                  "cron has no '%.32s'; there are @hourly, @daily, @weekly, @monthly and @yearly", text);
}

mle_status mle_cron_parse(const char *text, mle_cron *out, mle_error *err) {
  const char *at;
  uint64_t bits[NUM_FIELDS];
  bool star[NUM_FIELDS];
  memset(out, 0, sizeof *out);
  if (strlen(text) > TEXT_MAX) return mle_fail(err, MLE_EINVAL, "a cron text has at most %d bytes", TEXT_MAX);
  MLE_TRY(expand(text, &at, err));
  for (int i = 0; i < NUM_FIELDS; i++) {
    at += strspn(at, " \t");
    int len = (int)strcspn(at, " \t");
    if (len == 0)
      return mle_fail(err, MLE_EINVAL, "cron '%s' has %d fields, not five: minute hour day month weekday", text, i);
    star[i] = *at == '*';
    MLE_TRY(read_field(&fields[i], at, len, &bits[i], err));
    at += len;
  }
  if (at[strspn(at, " \t")] != '\0')
    return mle_fail(err, MLE_EINVAL, "cron '%s' has more than five fields: minute hour day month weekday", text);
  out->minutes = bits[0];
  out->hours = (uint32_t)bits[1];
  out->days = (uint32_t)bits[2];
  out->months = (uint32_t)bits[3];
  out->weekdays = (uint32_t)(bits[4] | bits[4] >> 7) & 0x7F; /* 7 is Sunday too */
  out->follows = star[0] || star[1];
  out->any_day = star[2] || star[4];
  return check_dates(out, text, err);
}

/* ====== Asking ====== */

static bool is_day(const mle_cron *cron, int64_t days) {
  int64_t year;
  int month, day;
  mle_date_of(days, &year, &month, &day);
  if ((cron->months >> month & 1) == 0) return false;
  bool date = (cron->days >> day & 1) != 0;
  bool weekday = (cron->weekdays >> (((days + 4) % 7 + 7) % 7) & 1) != 0;
  return cron->any_day ? date && weekday : date || weekday;
}

/* The first matching minute of a day from second `from` on; -1: none. */
static int64_t in_day(const mle_cron *cron, int64_t from) {
  for (int64_t minute = (from + 59) / 60; minute < 24 * 60; minute++) {
    if ((cron->hours >> (minute / 60) & 1) == 0)
      minute += 59 - minute % 60; /* and so to the next hour */
    else if ((cron->minutes >> (minute % 60) & 1) != 0)
      return minute * 60;
  }
  return -1;
}

/* The first matching local time from `from` on and before `end`. */
static bool first_local(const mle_cron *cron, int64_t from, int64_t end, int64_t *out) {
  int64_t day = from / DAY - (from % DAY < 0);
  for (; day * DAY < end; day++, from = day * DAY) {
    if (!is_day(cron, day)) continue;
    int64_t second = in_day(cron, from - day * DAY);
    if (second < 0) continue;
    *out = day * DAY + second;
    return *out < end;
  }
  return false;
}

/* What is due at the moment a span begins: times its jump left out. */
static bool left_out(const mle_cron *cron, const mle_zone_span *span) {
  int64_t ignored;
  return !cron->follows && span->start != INT64_MIN && span->offset > span->before &&
         first_local(cron, span->start + span->before, span->start + span->offset, &ignored);
}

/* From where on the times of a span are new: after those that the span before had already. */
static int64_t new_from(const mle_cron *cron, const mle_zone_span *span) {
  if (cron->follows || span->start == INT64_MIN || span->before <= span->offset) return INT64_MIN;
  return span->start + span->before;
}

bool mle_cron_next(const mle_cron *cron, const mle_zone *zone, int64_t after, int64_t *out) {
  int64_t from = after + 1, horizon = from + (int64_t)YEARS_MAX * 366 * DAY;
  while (from < horizon) {
    mle_zone_span span = mle_zone_at(zone, from);
    if (from == span.start && left_out(cron, &span)) {
      *out = from;
      return true;
    }
    int64_t end = span.end < horizon ? span.end : horizon, local = from + span.offset,
            fresh = new_from(cron, &span);
    if (first_local(cron, local < fresh ? fresh : local, end + span.offset, out)) {
      *out -= span.offset;
      return true;
    }
    from = end;
  }
  return false;
}

mle_due mle_cron_due(const mle_cron *cron, const mle_zone *zone, int64_t cursor, int64_t now) {
  mle_due due = {.at = cursor};
  int64_t next;
  while (due.num < COUNT_MAX && mle_cron_next(cron, zone, due.at, &next) && next <= now) {
    due.at = next;
    due.num++;
  }
  /* of very many the last one is looked for from close by */
  if (due.num == COUNT_MAX)
    for (int64_t t = now - 2 * DAY; mle_cron_next(cron, zone, t > due.at ? t : due.at, &next) && next <= now;) t = due.at = next;
  due.late = due.num > 0 && now - due.at > MLE_SCHEDULE_LATE_S;
  return due;
}
