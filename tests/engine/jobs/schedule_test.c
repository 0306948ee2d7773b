/* Cron texts and time zones; the slow oracle is tests/integration/up/schedule_test.py. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/jobs/schedule.h"

#define MINUTE 60

static int64_t utc(int64_t year, int month, int day, int hour, int minute) {
  return mle_days_of(year, month, day) * 86400 + hour * 3600 + minute * 60;
}

static int64_t next(const char *text, const char *zone_name, int64_t after) {
  mle_cron cron;
  mle_zone *zone;
  mle_error err;
  int64_t at = -1;
  if (mle_cron_parse(text, &cron, &err) != MLE_OK) fail_msg("%s", err.message);
  if (mle_zone_open(zone_name, &zone, &err) != MLE_OK) fail_msg("%s", err.message);
  if (!mle_cron_next(&cron, zone, after, &at)) at = -1;
  mle_zone_free(zone);
  return at;
}

static void dates_and_days(void **state) {
  (void)state;
  int64_t last_year = mle_days_of(1600, 1, 1) - 1;
  for (int64_t days = last_year + 1; days < mle_days_of(2600, 1, 1); days++) {
    int64_t year;
    int month, day;
    mle_date_of(days, &year, &month, &day);
    assert_int_equal(mle_days_of(year, month, day), days);
  }
  assert_int_equal(mle_days_of(1970, 1, 1), 0);
  assert_int_equal(mle_days_of(2000, 2, 29), 11016);
}

static void fields(void **state) {
  (void)state;
  int64_t monday = utc(2026, 11, 23, 12, 0);
  assert_int_equal(next("* * * * *", "UTC", monday), monday + MINUTE);
  assert_int_equal(next("*/15 * * * *", "UTC", monday), monday + 15 * MINUTE);
  assert_int_equal(next("5-59/10 * * * *", "UTC", monday), monday + 5 * MINUTE);
  assert_int_equal(next("0 13 * * 1", "UTC", monday), monday + 60 * MINUTE);
  assert_int_equal(next("0 12 * * MON", "UTC", monday), utc(2026, 11, 30, 12, 0));
  assert_int_equal(next("0 0 * * 7", "UTC", monday), utc(2026, 11, 29, 0, 0));
  assert_int_equal(next("0 0 * * fri-sun", "UTC", monday), utc(2026, 11, 27, 0, 0));
  assert_int_equal(next("0,30 0-2,22 * jan,Dec *", "UTC", monday), utc(2026, 12, 1, 0, 0));
  assert_int_equal(next("0 0 29 2 *", "UTC", monday), utc(2028, 2, 29, 0, 0));
  assert_int_equal(next("0 0 29 2 *", "UTC", utc(2096, 3, 1, 0, 0)), utc(2104, 2, 29, 0, 0));
  assert_int_equal(next("@hourly", "UTC", monday), monday + 60 * MINUTE);
  assert_int_equal(next("@Weekly", "UTC", monday), utc(2026, 11, 29, 0, 0));
  assert_int_equal(next("@yearly", "UTC", monday), utc(2027, 1, 1, 0, 0));
}

/* Both days named: either; one of them begins with a star: both must hold. */
static void the_two_days(void **state) {
  (void)state;
  int64_t monday = utc(2026, 11, 23, 12, 0);
  assert_int_equal(next("0 0 13 * fri", "UTC", monday), utc(2026, 11, 27, 0, 0));
  assert_int_equal(next("0 0 24 * fri", "UTC", monday), utc(2026, 11, 24, 0, 0));
  assert_int_equal(next("0 0 13 * *", "UTC", monday), utc(2026, 12, 13, 0, 0));
  assert_int_equal(next("0 0 */2 * fri", "UTC", monday), utc(2026, 11, 27, 0, 0));
}

static void clocks_go_forward(void **state) {
  (void)state;
  /* Berlin, 2026-03-29: 02:00 is followed by 03:00, at 01:00 UTC */
  int64_t before = utc(2026, 3, 29, 0, 0), jump = utc(2026, 3, 29, 1, 0);
  assert_int_equal(next("30 2 * * *", "Europe/Berlin", before), jump);
  assert_int_equal(next("30 2 * * *", "Europe/Berlin", jump), utc(2026, 3, 30, 0, 30));
  assert_int_equal(next("0 3 * * *", "Europe/Berlin", before), jump);
  assert_int_equal(next("*/30 2 * * *", "Europe/Berlin", before), utc(2026, 3, 30, 0, 0));
  assert_int_equal(next("59 * * * *", "Europe/Berlin", jump), utc(2026, 3, 29, 1, 59));
}

static void clocks_go_back(void **state) {
  (void)state;
  /* Berlin, 2026-10-25: 02:00 to 03:00 comes twice, from 00:00 and from 01:00 UTC */
  int64_t before = utc(2026, 10, 24, 23, 0), first = utc(2026, 10, 25, 0, 30);
  assert_int_equal(next("30 2 * * *", "Europe/Berlin", before), first);
  assert_int_equal(next("30 2 * * *", "Europe/Berlin", first), utc(2026, 10, 26, 1, 30));
  assert_int_equal(next("30 * * * *", "Europe/Berlin", first), first + 60 * MINUTE);
  assert_int_equal(next("*/30 2 * * *", "Europe/Berlin", first), utc(2026, 10, 25, 1, 0));
}

/* Apia had no 2011-12-30; Lord Howe's clocks move by half an hour; 2100 is beyond every table. */
static void other_zones(void **state) {
  (void)state;
  assert_int_equal(next("0 12 30 12 *", "Pacific/Apia", utc(2011, 12, 29, 0, 0)), utc(2011, 12, 30, 10, 0));
  assert_int_equal(next("15 2 * * *", "Australia/Lord_Howe", utc(2026, 10, 3, 15, 29)), utc(2026, 10, 3, 15, 30));
  assert_int_equal(next("0 12 * * *", "Europe/Berlin", utc(2100, 7, 1, 0, 0)), utc(2100, 7, 1, 10, 0));
  assert_int_equal(next("0 12 * * *", "Europe/Dublin", utc(2100, 1, 1, 0, 0)), utc(2100, 1, 1, 12, 0));
  assert_int_equal(next("0 12 * * *", "Asia/Kathmandu", utc(2026, 1, 1, 0, 0)), utc(2026, 1, 1, 6, 15));
}

static void what_is_refused(void **state) {
  (void)state;
  static const struct {
    const char *text, *says;
  } bad[] = {
      {"", "0 fields"},
      {"* * * *", "4 fields"},
      {"0 * * * * *", "more than five"},
      {"60 * * * *", "out of bounds"},
      {"* * 0 * *", "out of bounds"},
      {"* * * * 8", "out of bounds"},
      {"* * * foo *", "month 'foo' is not understood"},
      {"* * * janu *", "not understood"},
      {"*/0 * * * *", "step"},
      {"5/10 * * * *", "no range"},
      {"1,,2 * * * *", "empty part"},
      {"1, * * * *", "empty part"},
      {"* 22-2 * * *", "backwards"},
      {"-5 * * * *", "not understood"},
      {"1-99999999999999999999 * * * *", "out of bounds"},
      {"0 0 31 2,4 *", "no such date"},
      {"@reboot", "has no '@reboot'"},
  };
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    mle_cron cron;
    mle_error err;
    assert_int_equal(mle_cron_parse(bad[i].text, &cron, &err), MLE_EINVAL);
    if (strstr(err.message, bad[i].says) == NULL) fail_msg("'%s': %s", bad[i].text, err.message);
  }
}

static void zones_that_are_not_there(void **state) {
  (void)state;
  mle_zone *zone;
  mle_error err;
  assert_int_equal(mle_zone_open("Europe/Atlantis", &zone, &err), MLE_ENOTFOUND);
  assert_non_null(strstr(err.message, "Europe/Berlin"));
  assert_int_equal(mle_zone_open("../../etc/passwd", &zone, &err), MLE_EINVAL);
  assert_int_equal(mle_zone_open("", &zone, &err), MLE_EINVAL);
}

/* A zone's file cut short at every third byte, and each of those turned: an error, or an answer. */
static void damaged_zones(void **state) {
  (void)state;
  static unsigned char bytes[1 << 16];
  char path[] = "/tmp/mlengine-zone-XXXXXX", file[64];
  FILE *from = fopen("/usr/share/zoneinfo/Europe/Dublin", "rb");
  assert_non_null(from);
  size_t len = fread(bytes, 1, sizeof bytes, from);
  fclose(from);
  assert_non_null(mkdtemp(path));
  snprintf(file, sizeof file, "%s/Zone", path);
  setenv("TZDIR", path, 1);
  for (size_t i = 0; i < 2 * len; i += 3) {
    mle_zone *zone;
    FILE *to = fopen(file, "wb");
    if (i >= len) bytes[i - len] ^= 0x81;
    fwrite(bytes, 1, i < len ? i : len, to);
    if (i >= len) bytes[i - len] ^= 0x81;
    fclose(to);
    if (mle_zone_open("Zone", &zone, NULL) != MLE_OK) continue;
    for (int64_t t = -INT64_C(4000000000); t < INT64_C(8000000000); t += 400000000) mle_zone_at(zone, t);
    mle_zone_free(zone);
  }
  unsetenv("TZDIR");
  remove(file);
  remove(path);
}

static void what_is_due(void **state) {
  (void)state;
  mle_cron cron;
  mle_zone *zone;
  mle_error err;
  int64_t noon = utc(2026, 11, 23, 12, 0);
  assert_int_equal(mle_cron_parse("*/10 * * * *", &cron, &err), MLE_OK);
  assert_int_equal(mle_zone_open("UTC", &zone, &err), MLE_OK);
  mle_due due = mle_cron_due(&cron, zone, noon, noon + 9 * MINUTE);
  assert_int_equal(due.num, 0);
  assert_int_equal(due.at, noon);
  due = mle_cron_due(&cron, zone, noon, noon + 10 * MINUTE);
  assert_true(due.num == 1 && due.at == noon + 10 * MINUTE && !due.late);
  due = mle_cron_due(&cron, zone, noon, noon + 13 * MINUTE);
  assert_true(due.num == 1 && due.late);
  due = mle_cron_due(&cron, zone, noon, noon + 61 * MINUTE);
  assert_true(due.num == 6 && due.at == noon + 60 * MINUTE && !due.late);
  due = mle_cron_due(&cron, zone, noon, noon + 86400 * INT64_C(3650));
  assert_true(due.num == 1000 && due.at == noon + 86400 * INT64_C(3650));
  mle_zone_free(zone);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(dates_and_days),   cmocka_unit_test(fields),
      cmocka_unit_test(the_two_days),     cmocka_unit_test(clocks_go_forward),
      cmocka_unit_test(clocks_go_back),   cmocka_unit_test(other_zones),
      cmocka_unit_test(what_is_refused),  cmocka_unit_test(zones_that_are_not_there),
      cmocka_unit_test(damaged_zones),    cmocka_unit_test(what_is_due),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
