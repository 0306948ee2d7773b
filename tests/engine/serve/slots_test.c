/* Also run under ThreadSanitizer: readers and the one writer of a cell. */

#include "rig.h"

#include <pthread.h>
#include <stdatomic.h>

#include "engine/serve/slots.h"

#define READERS 6
#define SWAPS 2000

typedef struct traffic {
  mle_cell *cell;
  atomic_bool stop;
  atomic_long scored;
} traffic;

static mle_served *load(const char *folder, int64_t deployment) {
  mle_served *served;
  mle_served_facts facts = {.deployment = deployment, .uri = "m"};
  assert_int_equal(mle_served_load(folder, &facts, &served, NULL), MLE_OK);
  return served;
}

/* Scores with whatever is there, until told to stop; not NULL: a deployment went back. */
static void *read_on(void *context) {
  traffic *t = context;
  int64_t last = 0;
  while (!atomic_load(&t->stop)) {
    float row[3] = {1, 2, 3}, score;
    mle_served *served = mle_cell_acquire(t->cell);
    if (served->facts.deployment < last) return t;
    last = served->facts.deployment;
    if (mle_served_score(served, row, 1, &score, NULL) != MLE_OK) return t;
    mle_served_release(served);
    atomic_fetch_add(&t->scored, 1);
  }
  return NULL;
}

static void swaps_are_seen_once_and_free_the_old(void **state) {
  (void)state;
  char *folder = make_folder("binary.ubj", MLMODEL_OF("xgboost.core.Booster"));
  mle_cell cell = {0};
  mle_cell_exchange(&cell, load(folder, 1));
  traffic t = {.cell = &cell};
  pthread_t readers[READERS];
  for (int i = 0; i < READERS; i++) assert_int_equal(pthread_create(&readers[i], NULL, read_on, &t), 0);
  while (atomic_load(&t.scored) == 0) usleep(100);
  for (int64_t id = 2; id < SWAPS; id++) mle_cell_exchange(&cell, load(folder, id));
  atomic_store(&t.stop, true);
  for (int i = 0; i < READERS; i++) {
    void *problem;
    pthread_join(readers[i], &problem);
    assert_null(problem);
  }
  assert_int_equal(mle_served_live(), 1);
  mle_cell_exchange(&cell, NULL);
  assert_null(mle_cell_acquire(&cell));
  assert_int_equal(mle_served_live(), 0);
  drop_folder(folder);
}

static void endpoints_have_names_and_a_maximum(void **state) {
  (void)state;
  mle_slots *slots = mle_calloc(1, sizeof *slots);
  mle_slot *slot, *again;
  assert_int_equal(mle_slots_add(slots, "fraud", &slot, NULL), MLE_OK);
  assert_int_equal(mle_slots_add(slots, "fraud", &again, NULL), MLE_OK);
  assert_ptr_equal(slot, again);
  static const char *const bad[] = {"", ".x", "a/b", "a b", "a\"b", "\xC3\xA9"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    assert_int_equal(mle_slots_add(slots, bad[i], &again, NULL), MLE_EINVAL);
  char name[16];
  for (int i = 1; i < MLE_SLOTS_MAX; i++) {
    snprintf(name, sizeof name, "e%d", i);
    assert_int_equal(mle_slots_add(slots, name, &again, NULL), MLE_OK);
  }
  assert_int_equal(mle_slots_add(slots, "one-more", &again, NULL), MLE_EREFUSED);
  mle_slots_release(slots);
  mle_free(slots);
}

/* However many candidates were refused meanwhile: what answers is counted under its own version, from its first request on. */
static void a_model_keeps_its_meter(void **state) {
  (void)state;
  char *folder = make_folder("binary.ubj", MLMODEL_OF("xgboost.core.Booster"));
  mle_slots *slots = mle_calloc(1, sizeof *slots);
  mle_slot *slot;
  mle_slots_init(slots);
  assert_int_equal(mle_slots_add(slots, "fraud", &slot, NULL), MLE_OK);
  for (int version = 1; version <= 3; version++) mle_slot_swap(slot, load_version(folder, slots, slot, version));
  mle_served *live = mle_cell_acquire(&slot->current);
  mle_meter_count(live->meter, MLE_PROTOCOL_V2, 200, 1, 1);
  for (int version = 4; version < 40; version++) {
    mle_cell_exchange(&slot->staged, load_version(folder, slots, slot, version));
    assert_string_equal(live->meter->version, "3");
    assert_int_equal(atomic_load(&live->meter->by[MLE_PROTOCOL_V2].code[0]), 1);
    assert_string_equal(slot->warm[0]->meter->version, "2");
    assert_string_equal(slot->warm[1]->meter->version, "1");
  }
  mle_served_release(live);
  mle_slots_release(slots);
  mle_free(slots);
  drop_folder(folder);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(swaps_are_seen_once_and_free_the_old),
      cmocka_unit_test(endpoints_have_names_and_a_maximum),
      cmocka_unit_test(a_model_keeps_its_meter),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
