/*
 * A TZif file (RFC 8536) lists the moments at which the offset changes; for what comes after the
 * last one its footer has a rule in POSIX's form: "CET-1CEST,M3.5.0,M10.5.0/3".
 *
 *     "TZif" version ... six counts        twice: the first block has 32 bits a moment and is
 *     transitions: moments, then types     passed over
 *     types: offset (4), is it summer (1), abbreviation (1)
 *     "\n" RULE "\n"
 */
#include "engine/jobs/zone.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/base/buffer.h"
#include "engine/base/file.h"

#define FILE_MAX ((size_t)1 << 20)
#define HEAD 44
#define DAY 86400
#define RULE_MAX 128
#define NAME_MAX_LEN 64

/* A day of each year: Mmonth.week.weekday, Jn (1 to 365, never February 29), n (0 to 365). */
typedef struct rule_day {
  enum { BY_WEEK, BY_JULIAN, BY_DAY } kind;
  int month, week, weekday, day;
  int32_t second; /* of that day, by the clock until then; may be negative, or over 24 h */
} rule_day;

struct mle_zone {
  size_t count;
  int64_t *moment;   /* ascending */
  int32_t *offset;   /* from moment[i] on */
  int32_t first;     /* before moment[0] */
  bool has_rule, has_summer;
  int32_t winter, summer;
  rule_day begins, ends; /* of summer time */
};

/* ====== The calendar ====== */

/* Howard Hinnant's days_from_civil and civil_from_days: years begin in March, eras have 400. */
int64_t mle_days_of(int64_t year, int month, int day) {
  if (month <= 2) year--;
  int64_t era = (year >= 0 ? year : year - 399) / 400, of_era = year - era * 400;
  int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
  return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

void mle_date_of(int64_t days, int64_t *out_year, int *out_month, int *out_day) {
  days += 719468;
  int64_t era = (days >= 0 ? days : days - 146096) / 146097, of_era = days - era * 146097;
  int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
  int64_t of_year = of_era - (365 * year + year / 4 - year / 100), month = (5 * of_year + 2) / 153;
  *out_day = (int)(of_year - (153 * month + 2) / 5 + 1);
  *out_month = (int)(month < 10 ? month + 3 : month - 9);
  *out_year = year + era * 400 + (*out_month <= 2);
}

static bool is_leap(int64_t year) {
  return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

/* ====== The rule of the footer ====== */

static bool take_number(const char **at, int max, int *out) {
  int value = 0;
  if (!isdigit((unsigned char)**at)) return false;
  while (isdigit((unsigned char)**at) && value <= max) value = value * 10 + *(*at)++ - '0';
  *out = value;
  return value <= max;
}

/* [+-]hh[:mm[:ss]], hours up to a week. */
static bool take_seconds(const char **at, int32_t *out) {
  int sign = **at == '-' ? -1 : 1, hours, minutes = 0, seconds = 0;
  if (**at == '-' || **at == '+') (*at)++;
  if (!take_number(at, 167, &hours)) return false;
  if (**at == ':' && ((*at)++, !take_number(at, 59, &minutes))) return false;
  if (**at == ':' && ((*at)++, !take_number(at, 59, &seconds))) return false;
  *out = sign * (hours * 3600 + minutes * 60 + seconds);
  return true;
}

/* An abbreviation, "CET" or "<+0330>", tells nothing. */
static bool skip_name(const char **at) {
  const char *from = *at;
  if (**at == '<') {
    const char *end = strchr(*at, '>');
    if (end == NULL) return false;
    *at = end + 1;
    return true;
  }
  while (isalpha((unsigned char)**at)) (*at)++;
  return *at - from >= 3;
}

static bool take_week(const char **at, rule_day *out) {
  return take_number(at, 12, &out->month) && *(*at)++ == '.' && take_number(at, 5, &out->week) &&
         *(*at)++ == '.' && take_number(at, 6, &out->weekday) && out->month >= 1 && out->week >= 1;
}

static bool take_day(const char **at, rule_day *out) {
  *out = (rule_day){.kind = BY_DAY, .second = 2 * 3600};
  if (*(*at)++ != ',') return false;
  char first = **at;
  if (first == 'M' || first == 'J') (*at)++;
  out->kind = first == 'M' ? BY_WEEK : first == 'J' ? BY_JULIAN : BY_DAY;
  if (first == 'M' ? !take_week(at, out) : !take_number(at, 365, &out->day)) return false;
  if (**at != '/') return true;
  (*at)++;
  return take_seconds(at, &out->second);
}

/* Offsets in the rule count westwards. */
static bool read_rule(mle_zone *zone, const char *at) {
  int32_t west;
  if (!skip_name(&at) || !take_seconds(&at, &west)) return false;
  zone->winter = -west;
  zone->has_rule = true;
  if (*at == '\0') return true;
  zone->has_summer = true;
  if (!skip_name(&at)) return false;
  zone->summer = zone->winter + 3600;
  if (*at != ',' && *at != '\0') {
    if (!take_seconds(&at, &west)) return false;
    zone->summer = -west;
  }
  if (zone->summer == zone->winter) zone->has_summer = false;
  return take_day(&at, &zone->begins) && take_day(&at, &zone->ends) && *at == '\0';
}

static int64_t day_in_year(const rule_day *rule, int64_t year) {
  int64_t january = mle_days_of(year, 1, 1);
  if (rule->kind == BY_DAY) return january + rule->day;
  if (rule->kind == BY_JULIAN) return january + rule->day - 1 + (is_leap(year) && rule->day >= 60);
  int64_t first = mle_days_of(year, rule->month, 1);
  int64_t next = rule->month == 12 ? mle_days_of(year + 1, 1, 1) : mle_days_of(year, rule->month + 1, 1);
  int64_t weekday = ((first + 4) % 7 + 7) % 7; /* 1970-01-01 was a Thursday */
  int64_t day = first + (rule->weekday - weekday + 7) % 7 + 7 * (rule->week - 1);
  while (day >= next) day -= 7; /* week 5 is the last one */
  return day;
}

/* Narrows `span` to the part without a change that holds `seconds`. */
static void cut(mle_zone_span *span, int64_t seconds, int64_t change, int32_t before, int32_t after) {
  if (change <= seconds && change >= span->start) {
    span->start = change;
    span->before = before;
    span->offset = after;
  }
  if (change > seconds && change < span->end) span->end = change;
}

static mle_zone_span span_by_rule(const mle_zone *zone, int64_t seconds, mle_zone_span span) {
  int64_t year;
  int month, day;
  if (!zone->has_summer) {
    span.offset = zone->winter;
    return span;
  }
  mle_date_of(seconds / DAY - (seconds % DAY < 0), &year, &month, &day);
  for (int64_t y = year - 1; y <= year + 1; y++) {
    int64_t begins = day_in_year(&zone->begins, y) * DAY + zone->begins.second - zone->winter;
    int64_t ends = day_in_year(&zone->ends, y) * DAY + zone->ends.second - zone->summer;
    bool first = begins < ends; /* the later one must be cut last */
    if (!first) cut(&span, seconds, ends, zone->summer, zone->winter);
    cut(&span, seconds, begins, zone->winter, zone->summer);
    if (first) cut(&span, seconds, ends, zone->summer, zone->winter);
  }
  return span;
}

/* ====== The file ====== */

static uint32_t big32(const unsigned char *p) {
  return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static int64_t big64(const unsigned char *p) {
  return (int64_t)((uint64_t)big32(p) << 32 | big32(p + 4));
}

/* The counts of a block, in the order of its head, and the bytes that follow it. */
typedef struct block {
  size_t isut, isstd, leap, times, types, chars, size;
} block;

static bool read_head(const unsigned char *at, size_t left, size_t moment_size, block *out) {
  if (left < HEAD || memcmp(at, "TZif", 4) != 0) return false;
  size_t n[6];
  for (size_t i = 0; i < 6; i++) n[i] = big32(at + 20 + 4 * i);
  *out = (block){n[0], n[1], n[2], n[3], n[4], n[5], 0};
  for (size_t i = 0; i < 6; i++)
    if (n[i] > FILE_MAX) return false;
  out->size = out->times * (moment_size + 1) + out->types * 6 + out->chars +
              out->leap * (moment_size + 4) + out->isstd + out->isut;
  return out->types > 0 && out->size <= left - HEAD;
}

static bool fill(mle_zone *zone, const unsigned char *at, const block *b) {
  const unsigned char *types = at + b->times * 8, *records = types + b->times;
  zone->first = (int32_t)big32(records);
  for (size_t i = 0; i < b->times; i++) {
    if (types[i] >= b->types) return false;
    zone->moment[i] = big64(at + 8 * i);
    zone->offset[i] = (int32_t)big32(records + 6 * (size_t)types[i]);
    if (i > 0 && zone->moment[i] <= zone->moment[i - 1]) return false;
  }
  zone->count = b->times;
  return true;
}

static bool read_footer(mle_zone *zone, const unsigned char *at, size_t left) {
  char rule[RULE_MAX];
  const unsigned char *end = left < 2 || *at != '\n' ? NULL : memchr(at + 1, '\n', left - 1);
  size_t len = end == NULL ? RULE_MAX : (size_t)(end - at - 1);
  if (len >= RULE_MAX) return false;
  memcpy(rule, at + 1, len);
  rule[len] = '\0';
  return len == 0 || read_rule(zone, rule);
}

/* MLE_EFORMAT without a word; the caller names the file. */
static mle_status read_zone(mle_zone *zone, const unsigned char *bytes, size_t len) {
  block b;
  if (!read_head(bytes, len, 4, &b) || bytes[4] < '2') return MLE_EFORMAT;
  size_t at = HEAD + b.size;
  if (!read_head(bytes + at, len - at, 8, &b)) return MLE_EFORMAT;
  zone->moment = mle_calloc(b.times + 1, sizeof *zone->moment);
  zone->offset = mle_calloc(b.times + 1, sizeof *zone->offset);
  if (zone->moment == NULL || zone->offset == NULL) return MLE_ENOMEM;
  if (!fill(zone, bytes + at + HEAD, &b)) return MLE_EFORMAT;
  at += HEAD + b.size;
  return read_footer(zone, bytes + at, len - at) ? MLE_OK : MLE_EFORMAT;
}

/* A name is part of a path: letters, digits and -_+/, and no "..". */
static bool is_name(const char *name) {
  size_t len = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_+/");
  return len > 0 && len < NAME_MAX_LEN && name[len] == '\0' && name[0] != '/' && name[len - 1] != '/';
}

static mle_status read_file(const char *name, mle_buffer *bytes, mle_error *err) {
  const char *folder = getenv("TZDIR");
  if (folder == NULL || *folder == '\0') folder = "/usr/share/zoneinfo";
  char *path = mle_path_join(folder, name);
  if (path == NULL) return mle_nomem(err, "reading a time zone");
  mle_status status = mle_file_read(path, bytes, NULL);
  mle_free(path);
  if (status == MLE_OK) return MLE_OK;
  return mle_fail(err, MLE_ENOTFOUND,
                  "there is no time zone '%s' in %s; names are like Europe/Berlin, and apt-get install "
                  "tzdata brings them", name, folder);
}

mle_status mle_zone_open(const char *name, mle_zone **out, mle_error *err) {
  mle_status status = MLE_OK;
  mle_buffer bytes = MLE_BUFFER(FILE_MAX);
  *out = NULL;
  if (!is_name(name))
    return mle_fail(err, MLE_EINVAL, "'%.64s' is not the name of a time zone; write one like Europe/Berlin",
                    name);
  mle_zone *zone = mle_calloc(1, sizeof *zone);
  if (zone == NULL) return mle_nomem(err, "reading a time zone");
  if (strcmp(name, "UTC") != 0) {
    MLE_GO(read_file(name, &bytes, err));
    status = read_zone(zone, (const unsigned char *)bytes.data, bytes.len);
    if (status == MLE_ENOMEM) mle_nomem(err, "reading a time zone");
    if (status == MLE_EFORMAT) mle_fail(err, status, "the data of time zone '%s' is damaged", name);
    if (status != MLE_OK) goto done;
  }
  *out = zone;
  zone = NULL;
done:
  mle_buffer_release(&bytes);
  mle_zone_free(zone);
  return status;
}

void mle_zone_free(mle_zone *zone) {
  if (zone == NULL) return;
  mle_free(zone->moment);
  mle_free(zone->offset);
  mle_free(zone);
}

/* ====== Asking ====== */

/* How many of the moments are not after `seconds`. */
static size_t passed(const mle_zone *zone, int64_t seconds) {
  size_t low = 0, high = zone->count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (zone->moment[middle] <= seconds)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

static int32_t offset_after(const mle_zone *zone, size_t passed) {
  return passed == 0 ? zone->first : zone->offset[passed - 1];
}

static mle_zone_span span_in_table(const mle_zone *zone, int64_t seconds) {
  size_t n = passed(zone, seconds);
  mle_zone_span span = {.start = n == 0 ? INT64_MIN : zone->moment[n - 1],
                        .end = n < zone->count ? zone->moment[n] : INT64_MAX,
                        .offset = offset_after(zone, n),
                        .before = offset_after(zone, n == 0 ? 0 : n - 1)};
  return n == zone->count && zone->has_rule ? span_by_rule(zone, seconds, span) : span;
}

/* Entries that change a name and not the clock are no change here. */
mle_zone_span mle_zone_at(const mle_zone *zone, int64_t seconds) {
  mle_zone_span span = span_in_table(zone, seconds);
  while (span.start != INT64_MIN && span.before == span.offset) {
    mle_zone_span earlier = span_in_table(zone, span.start - 1);
    if (earlier.offset != span.offset) break;
    span.start = earlier.start;
    span.before = earlier.before;
  }
  while (span.end != INT64_MAX) {
    mle_zone_span later = span_in_table(zone, span.end);
    if (later.offset != span.offset) break;
    span.end = later.end;
  }
  return span;
}
