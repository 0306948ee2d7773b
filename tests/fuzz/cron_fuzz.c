/* Any text as cron's five fields: what is taken has times that come one after the other, whole minutes, in every zone. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "engine/base/alloc.h"
#include "engine/jobs/schedule.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

#define TIMES 4
#define LATE_S 120

/* Not assert: that is empty in a release build. */
static void check(bool holds) {
  if (!holds) abort();
}

static const mle_zone *zone_of(size_t n) {
  static const char *const names[] = {"UTC", "Europe/Berlin", "Australia/Lord_Howe", "America/New_York"};
  static mle_zone *zones[sizeof names / sizeof *names];
  n %= sizeof names / sizeof *names;
  if (zones[n] == NULL && mle_zone_open(names[n], &zones[n], NULL) != MLE_OK) abort();
  return zones[n];
}

static void walk(const mle_cron *cron, const mle_zone *zone, int64_t at) {
  int64_t next, again;
  for (int i = 0; i < TIMES && mle_cron_next(cron, zone, at, &next); i++) {
    check(next > at && next % 60 == 0);
    check(mle_cron_next(cron, zone, next - 1, &again) && again == next);
    mle_due due = mle_cron_due(cron, zone, at, next);
    check(due.num == 1 && due.at == next && !due.late);
    due = mle_cron_due(cron, zone, next, next + LATE_S);
    check(due.num >= 0 && (due.num == 0 || due.at > next));
    at = next;
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len) {
  mle_cron cron;
  mle_error err;
  char *text = mle_strndup((const char *)bytes, len);
  if (text == NULL) return 0;
  mle_status status = mle_cron_parse(text, &cron, &err);
  check(status == MLE_OK || (status == MLE_EINVAL && err.message[0] != '\0'));
  if (status == MLE_OK) /* from the day before the clocks change, in spring and in autumn */
    for (size_t i = 0; i < 4; i++) walk(&cron, zone_of(i), i % 2 == 0 ? 1774742400 : 1792800000);
  mle_free(text);
  return 0;
}
