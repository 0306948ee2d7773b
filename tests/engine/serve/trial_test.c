/* A canary's share, and when a trial ends by itself. */

#include "rig.h"

#include <math.h>

#include "engine/base/clock.h"
#include "engine/base/hash.h"
#include "engine/serve/trial.h"

static mle_trial trial;

static const mle_trial_bounds strict = {
    .errors = 0.01, .drift = 0.1, .disagreement = 0.05, .tolerance = 0.001, .minimum = 100};

static int set_up(void **state) {
  (void)state;
  mle_trial_init(&trial);
  mle_trial_begin(&trial, &strict);
  return 0;
}

static float draw(unsigned i, float shift) {
  return (float)(mle_mix64(i + 1) >> 40) / (float)(1 << 24) + shift;
}

static void note_one(mle_side side, int i, int failures, float shift) {
  float score = draw((unsigned)i * 2 + (side == MLE_SIDE_TRIED), shift);
  mle_trial_note(&trial, mle_trial_number(&trial), side, i < failures ? "column 'x' is missing" : NULL, &score, i < failures ? 0 : 1);
}

static void note(mle_side side, int count, int failures, float shift) {
  for (int i = 0; i < count; i++) note_one(side, i, failures, shift);
}

/* Of both at the same time, as requests come. */
static void note_both(int live, int live_failures, int tried, int tried_failures, float shift) {
  for (int i = 0; i < live || i < tried; i++) {
    if (i < live) note_one(MLE_SIDE_LIVE, i, live_failures, 0);
    if (i < tried) note_one(MLE_SIDE_TRIED, i, tried_failures, shift);
  }
}

static mle_trial_report ask(void) {
  mle_trial_report report;
  mle_trial_judge(&trial);
  mle_trial_ask(&trial, &report);
  return report;
}

static void the_share_is_kept(void **state) {
  (void)state;
  assert_true(mle_trial_set(&trial, 500, false));
  int taken = 0;
  for (int i = 0; i < 100000; i++) taken += mle_trial_takes(&trial);
  assert_in_range(taken, 4500, 5500);
  mle_trial_set(&trial, MLE_TRIAL_WHOLE, false);
  for (int i = 0; i < 100; i++) assert_true(mle_trial_takes(&trial));
  mle_trial_set(&trial, 0, false);
  assert_false(mle_trial_watches(&trial));
  for (int i = 0; i < 100; i++) assert_false(mle_trial_takes(&trial));
}

static void a_good_one_goes_on(void **state) {
  (void)state;
  mle_trial_set(&trial, 5000, false);
  note_both(5000, 0, 5000, 40, 0);
  mle_trial_report report = ask();
  assert_string_equal(report.ended, "");
  assert_true(report.drift < 0.01);
  assert_int_equal(report.requests[MLE_SIDE_TRIED], 5000);
  assert_int_equal(report.share, 5000);
}

static void too_many_errors_end_it(void **state) {
  (void)state;
  mle_trial_set(&trial, 5000, false);
  note_both(1000, 0, 99, 99, 0);
  assert_string_equal(ask().ended, ""); /* fewer than it takes to judge */
  note(MLE_SIDE_TRIED, 900, 0, 0);
  assert_non_null(strstr(ask().ended, "9.91 % of its answers failed, more than 1 %; the last: column 'x' is missing"));
  assert_false(mle_trial_takes(&trial));
  assert_false(mle_trial_set(&trial, 5000, false)); /* for good */
  assert_false(mle_trial_takes(&trial));
}

static void failures_of_both_are_the_callers(void **state) {
  (void)state;
  mle_trial_set(&trial, 5000, false);
  note_both(1000, 300, 1000, 300, 0);
  assert_string_equal(ask().ended, "");
}

static void drift_ends_it(void **state) {
  (void)state;
  mle_trial_set(&trial, 5000, false);
  note_both(3000, 0, 3000, 0, 0.4F);
  mle_trial_report report = ask();
  assert_non_null(strstr(report.ended, "its scores drift by 0.3"));
  assert_true(report.drift > 0.3 && report.drift < 0.4); /* the distance is 0.4 */
}

/* What clients ask for changes over the day: both models see that, and neither drifts from the other. */
static void traffic_that_changes_is_no_drift(void **state) {
  (void)state;
  mle_trial_set(&trial, 500, false);
  for (unsigned i = 0; i < 40000; i++) {
    float score = draw(i, 0) * 0.1F + (i < 20000 ? 0.2F : 0.8F);
    mle_trial_note(&trial, mle_trial_number(&trial), mle_trial_takes(&trial) ? MLE_SIDE_TRIED : MLE_SIDE_LIVE, NULL, &score, 1);
    if (i % 500 == 0) assert_string_equal(ask().ended, "");
  }
  assert_true(ask().drift < 0.05);
}

static void a_few_scores_are_no_drift(void **state) {
  (void)state;
  mle_trial_bounds bounds = strict;
  bounds.minimum = 5;
  mle_trial_begin(&trial, &bounds);
  note_both(10, 0, 10, 0, 0.3F);
  assert_string_equal(ask().ended, "");
}

static void disagreement_ends_a_shadow(void **state) {
  (void)state;
  float a[200], b[200];
  mle_trial_set(&trial, 0, true);
  assert_true(mle_trial_watches(&trial));
  for (int i = 0; i < 200; i++) a[i] = b[i] = 0.5F;
  for (int i = 0; i < 8; i++) b[i] = 0.75F;
  note(MLE_SIDE_TRIED, 200, 0, 0);
  mle_trial_compare(&trial, mle_trial_number(&trial), a, b, 200);
  mle_trial_report report = ask();
  assert_string_equal(report.ended, "");
  assert_int_equal(report.differed, 8);
  assert_true(fabs(report.mean_apart - 0.01) < 1e-9 && report.max_apart == 0.25);
  b[8] = b[9] = b[10] = NAN; /* as far apart as can be */
  for (int i = 0; i < 3; i++) mle_trial_compare(&trial, mle_trial_number(&trial), a, b, 200);
  assert_non_null(strstr(ask().ended, " % of its answers differ by more than 0.001, more than 5 %"));
}

static void a_trial_nobody_asks_after_ends(void **state) {
  (void)state;
  mle_trial_bounds bounds = strict;
  bounds.lease_ns = 1000000;
  mle_trial_begin(&trial, &bounds);
  mle_trial_set(&trial, 5000, false);
  usleep(5000);
  mle_trial_report report;
  mle_trial_look(&trial, &report); /* who watches does not keep it alive */
  assert_int_equal(report.share, 5000);
  mle_trial_judge(&trial); /* nor is it ended before all who ask were heard */
  mle_trial_look(&trial, &report);
  assert_int_equal(report.share, 5000);
  mle_trial_expire(&trial);
  assert_false(mle_trial_takes(&trial));
  assert_non_null(strstr(ask().ended, "went away"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup(the_share_is_kept, set_up),
      cmocka_unit_test_setup(a_good_one_goes_on, set_up),
      cmocka_unit_test_setup(too_many_errors_end_it, set_up),
      cmocka_unit_test_setup(failures_of_both_are_the_callers, set_up),
      cmocka_unit_test_setup(drift_ends_it, set_up),
      cmocka_unit_test_setup(traffic_that_changes_is_no_drift, set_up),
      cmocka_unit_test_setup(a_few_scores_are_no_drift, set_up),
      cmocka_unit_test_setup(disagreement_ends_a_shadow, set_up),
      cmocka_unit_test_setup(a_trial_nobody_asks_after_ends, set_up),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
