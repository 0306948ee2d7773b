/* A canary and a shadow as requests meet them, while models are staged, tried and swapped. Runs under TSan too. */

#include "rig.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

#include "engine/base/clock.h"
#include "engine/serve/api.h"

#define ROW "{\"inputs\":[[1.5,3,40]]}"
#define VISITORS 4
#define ROUNDS 60

static mle_slots *slots;
static mle_slot *slot;
static mle_api api;
static char *folder;

static const mle_trial_bounds easy = {.errors = 1, .drift = 1, .disagreement = 1, .tolerance = 0.001, .minimum = 1};

static mle_served *load(int version) { return load_version(folder, slots, slot, version); }

static int start(void **state) {
  (void)state;
  folder = make_folder("binary.ubj", MLMODEL_OF("xgboost.core.Booster"));
  slots = mle_calloc(1, sizeof *slots);
  mle_slots_init(slots);
  mle_api_init(&api, slots, "9.9.9");
  assert_int_equal(mle_slots_add(slots, "fraud", &slot, NULL), MLE_OK);
  assert_int_equal(mle_pool_start(1, 64, &api.mirror, NULL), MLE_OK);
  mle_slot_swap(slot, load(1));
  return 0;
}

static int stop(void **state) {
  (void)state;
  mle_pool_free(api.mirror);
  mle_slots_release(slots);
  mle_api_release(&api);
  mle_free(slots);
  drop_folder(folder);
  assert_int_equal(mle_served_live(), 0);
  return 0;
}

/* The deployment that answered, 0 when the answer was no 200. */
static int ask_for(const char *method, const char *path, const char *body) {
  mle_http_call call = {.method = method, .path = path, .content_type = "application/json", .request_id = "r", .authorization = "",
                        .body = body, .body_len = strlen(body), .received_ns = mle_monotonic_ns()};
  mle_http_answer answer = {.status = 200, .content_type = "application/json", .body = MLE_BUFFER((size_t)1 << 20)};
  int deployment = 0;
  mle_api_answer(&api, &call, &answer);
  for (int i = 0; i < answer.num_headers && answer.status == 200; i++)
    if (strcmp(answer.header[i].name, "X-Model-Deployment") == 0) deployment = atoi(answer.header[i].value);
  mle_buffer_release(&answer.body);
  return deployment;
}

static int ask(const char *method, const char *path) { return ask_for(method, path, ROW); }
static int ask_with(const char *body) { return ask_for("POST", "/invocations", body); }

/* ====== A shadow that is behind ====== */

static void hold(void *context, bool dropped) {
  sem_t *open = context;
  while (!dropped && sem_wait(open) != 0) continue;
}

static mle_trial_report look(void) {
  mle_trial_report report;
  mle_trial_look(&slot->trial, &report);
  return report;
}

/* What still waits for the shadow of one trial says nothing of the next one's. */
static void a_trial_is_not_judged_by_the_one_before(void **state) {
  (void)state;
  sem_t open;
  assert_int_equal(sem_init(&open, 0, 0), 0);
  assert_true(mle_pool_reserve(api.mirror));
  mle_pool_submit(api.mirror, hold, &open);
  mle_cell_exchange(&slot->staged, load(2));
  mle_trial_begin(&slot->trial, &easy);
  assert_true(mle_trial_set(&slot->trial, 0, true));
  for (int i = 0; i < 5; i++) assert_int_equal(ask("POST", "/invocations"), 1);
  assert_int_equal(mle_pool_load(api.mirror), 6);
  mle_trial_end(&slot->trial, "another model was staged");
  mle_cell_exchange(&slot->staged, load(3));
  mle_trial_begin(&slot->trial, &easy);
  assert_true(mle_trial_set(&slot->trial, 0, true));
  assert_int_equal(ask("POST", "/invocations"), 1);
  sem_post(&open);
  while (mle_pool_load(api.mirror) > 0) usleep(1000);
  mle_trial_report report = look();
  assert_int_equal(report.requests[MLE_SIDE_LIVE], 1);
  assert_int_equal(report.requests[MLE_SIDE_TRIED], 1);
  assert_int_equal(report.compared, 1);
  assert_int_equal(report.differed, 0);
}

/* Who asks for the staged model by its path is no part of the trial: neither side's scores or failures are from there. */
static void what_is_asked_of_the_staged_model_is_no_traffic(void **state) {
  (void)state;
  mle_cell_exchange(&slot->staged, load(2));
  mle_trial_begin(&slot->trial, &easy);
  assert_true(mle_trial_set(&slot->trial, 5000, false));
  for (int i = 0; i < 20; i++) assert_int_equal(ask("POST", "/endpoints/fraud/staged/invocations"), 2);
  mle_trial_report report = look();
  assert_int_equal(report.requests[MLE_SIDE_LIVE], 0);
  assert_int_equal(report.requests[MLE_SIDE_TRIED], 0);
}

static const mle_trial_bounds usual = {.errors = 0.01, .drift = 0.1, .disagreement = 1, .tolerance = 1e-6, .minimum = 100};

/* One request in ten is none that any model could answer: that is no fault of the one which is tried. */
static void callers_faults_are_not_the_canarys(void **state) {
  (void)state;
  for (int round = 0; round < 20; round++) {
    mle_cell_exchange(&slot->staged, load(2));
    mle_trial_begin(&slot->trial, &usual);
    assert_true(mle_trial_set(&slot->trial, 500, false));
    for (int i = 0; i < 4000; i++) {
      int deployment = ask_with(i % 10 == 0 ? "{\"inputs\":[[1]]}" : ROW);
      assert_true(i % 10 == 0 ? deployment == 0 : deployment > 0);
      mle_trial_judge(&slot->trial);
    }
    mle_trial_report report = look();
    assert_string_equal(report.ended, "");
    assert_int_equal(report.failed[MLE_SIDE_TRIED], 0);
    assert_int_equal(report.failed[MLE_SIDE_LIVE], 0);
    assert_in_range(report.requests[MLE_SIDE_TRIED], 120, 240);
    assert_int_equal(report.requests[MLE_SIDE_TRIED] + report.requests[MLE_SIDE_LIVE], 3600);
  }
}

/* ====== All at once ====== */

typedef struct visitor {
  atomic_bool *stop;
  atomic_int *live; /* what answers everybody, at least: it only grows */
  atomic_long asked;
  int failed;
} visitor;

static void *visit(void *context) {
  visitor *v = context;
  for (unsigned i = 0; !atomic_load(v->stop); i++) {
    int least = atomic_load(v->live), deployment = ask("POST", i % 2 == 0 ? "/invocations" : "/endpoints/fraud/invocations");
    v->failed += deployment < least || deployment > atomic_load(v->live) + 1; /* the live one, or the one that is tried */
    if (i % 64 == 0) ask("GET", "/metrics");
    if (i % 64 == 1) ask("GET", "/");
    atomic_fetch_add(&v->asked, 1);
  }
  return NULL;
}

static long asked(const visitor *visitors) {
  long sum = 0;
  for (int i = 0; i < VISITORS; i++) sum += atomic_load(&visitors[i].asked);
  return sum;
}

static void wait_for_requests(const visitor *visitors, long more) {
  for (long before = asked(visitors); asked(visitors) < before + more;) {
    mle_trial_judge(&slot->trial);
    usleep(200);
  }
}

/* Stage, shadow, canary, then refused or live: as the control thread does it. */
static void try_one(const visitor *visitors, atomic_int *live, int version, bool good) {
  mle_cell_exchange(&slot->staged, load(version));
  mle_trial_begin(&slot->trial, &easy);
  assert_true(mle_trial_set(&slot->trial, 0, true));
  wait_for_requests(visitors, 30);
  mle_trial_begin(&slot->trial, &easy);
  assert_true(mle_trial_set(&slot->trial, 5000, false));
  wait_for_requests(visitors, 30);
  assert_true(look().requests[MLE_SIDE_TRIED] > 0);
  mle_trial_end(&slot->trial, "the endpoint changed");
  if (good) {
    mle_served *staged = mle_cell_acquire(&slot->staged);
    mle_slot_swap(slot, staged);
    atomic_store(live, version);
  }
  mle_cell_exchange(&slot->staged, NULL);
}

static void trials_under_traffic(void **state) {
  (void)state;
  atomic_bool done = false;
  atomic_int live = 1;
  visitor visitors[VISITORS] = {0};
  pthread_t threads[VISITORS];
  for (int i = 0; i < VISITORS; i++) {
    visitors[i].stop = &done;
    visitors[i].live = &live;
    assert_int_equal(pthread_create(&threads[i], NULL, visit, &visitors[i]), 0);
  }
  for (int round = 0; round < ROUNDS; round++) try_one(visitors, &live, atomic_load(&live) + 1, round % 2 == 0);
  atomic_store(&done, true);
  for (int i = 0; i < VISITORS; i++) {
    pthread_join(threads[i], NULL);
    assert_int_equal(visitors[i].failed, 0);
  }
  assert_int_equal(ask("POST", "/invocations"), 1 + ROUNDS / 2);
  while (mle_pool_load(api.mirror) > 0) usleep(1000);
  assert_int_equal(mle_served_live(), 1 + MLE_SLOT_WARM);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(a_trial_is_not_judged_by_the_one_before, start, stop),
      cmocka_unit_test_setup_teardown(what_is_asked_of_the_staged_model_is_no_traffic, start, stop),
      cmocka_unit_test_setup_teardown(callers_faults_are_not_the_canarys, start, stop),
      cmocka_unit_test_setup_teardown(trials_under_traffic, start, stop),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
