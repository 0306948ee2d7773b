/*
 * A reader counts itself in, reads the pointer, takes a reference, counts itself out.
 * The writer swaps the pointer, then waits until it has seen the count at zero. With all
 * of these in one order (seq_cst), a reader that read the old pointer counted itself in
 * before the swap, so the writer waited for it, and its reference is there before the
 * writer drops the cell's. The window is two instructions; the wait is over at once.
 */
#include "engine/serve/slots.h"

#include <ctype.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

mle_served *mle_cell_acquire(mle_cell *cell) {
  atomic_fetch_add(&cell->entering, 1);
  mle_served *served = atomic_load(&cell->served);
  if (served != NULL) mle_served_retain(served);
  atomic_fetch_sub(&cell->entering, 1);
  return served;
}

void mle_cell_exchange(mle_cell *cell, mle_served *next) {
  mle_served *old = atomic_exchange(&cell->served, next);
  while (atomic_load(&cell->entering) != 0) sched_yield();
  mle_served_release(old);
}

void mle_slots_init(mle_slots *slots) {
  memset(slots, 0, sizeof *slots);
  pthread_mutex_init(&slots->naming, NULL);
  for (int i = 0; i < MLE_SLOTS_MAX; i++) mle_trial_init(&slots->slot[i].trial);
}

void mle_label_text(const char *text, char *out, size_t size) {
  size_t len = 0;
  for (; *text != '\0' && len + 1 < size; text++)
    out[len++] = (unsigned char)*text < 0x20 || *text == '"' || *text == '\\' ? '_' : *text;
  out[len] = '\0';
}

static bool counts_in(mle_served *served, const mle_meter *meter) { return served != NULL && served->meter == meter; }

/* By a model that may answer; the control thread's own references and those of the cells keep them alive meanwhile. */
static bool is_in_use(mle_slot *slot, const mle_meter *meter) {
  bool used = counts_in(atomic_load(&slot->current.served), meter) || counts_in(atomic_load(&slot->staged.served), meter);
  for (int i = 0; i < MLE_SLOT_WARM; i++) used |= counts_in(slot->warm[i], meter);
  return used;
}

void mle_slot_meter(mle_slots *slots, mle_slot *slot, mle_served *served) {
  char version[sizeof slot->meter->version];
  mle_label_text(served->facts.version == NULL ? "none" : served->facts.version, version,
             sizeof version);
  pthread_mutex_lock(&slots->naming);
  mle_meter *found = NULL;
  for (int i = 0; i < MLE_SLOT_METERS; i++)
    if (strcmp(slot->meter[i].version, version) == 0) found = &slot->meter[i];
  if (found == NULL) {
    do found = &slot->meter[slot->next_meter++ % MLE_SLOT_METERS];
    while (is_in_use(slot, found)); /* by fewer than there are */
    for (int p = 0; p < MLE_PROTOCOLS; p++) {
      for (int i = 0; i < MLE_METER_CODES; i++) atomic_store(&found->by[p].code[i], 0);
      for (int i = 0; i < MLE_METER_BUCKETS; i++) atomic_store(&found->by[p].bucket[i], 0);
      atomic_store(&found->by[p].total_ns, 0);
      atomic_store(&found->by[p].rows, 0);
    }
    strcpy(found->version, version);
  }
  served->meter = found;
  pthread_mutex_unlock(&slots->naming);
}

void mle_slot_swap(mle_slot *slot, mle_served *next) {
  mle_served *old = mle_cell_acquire(&slot->current);
  if (old != NULL) {
    mle_served_release(slot->warm[MLE_SLOT_WARM - 1]);
    memmove(slot->warm + 1, slot->warm, (MLE_SLOT_WARM - 1) * sizeof *slot->warm);
    slot->warm[0] = old;
  }
  mle_cell_exchange(&slot->current, next);
  atomic_fetch_add(&slot->swaps, 1);
}

mle_served *mle_slot_find_warm(const mle_slot *slot, const char *sha256) {
  for (int i = 0; i < MLE_SLOT_WARM; i++)
    if (slot->warm[i] != NULL && strcmp(slot->warm[i]->copy_sha256, sha256) == 0)
      return slot->warm[i];
  return NULL;
}

mle_status mle_endpoint_check(const char *endpoint, mle_error *err) {
  size_t len = strlen(endpoint);
  bool good = len > 0 && len < MLE_ENDPOINT_MAX && endpoint[0] != '.';
  for (size_t i = 0; good && i < len; i++)
    good = isalnum((unsigned char)endpoint[i]) || strchr("-_.", endpoint[i]) != NULL;
  if (good) return MLE_OK;
  return mle_fail(err, MLE_EINVAL,
                  "'%.140s' is no name for an endpoint: 1 to %d letters, digits, '-', '_' and '.'",
                  endpoint, MLE_ENDPOINT_MAX - 1);
}

mle_slot *mle_slots_find(mle_slots *slots, const char *endpoint) {
  int count = atomic_load_explicit(&slots->count, memory_order_acquire);
  for (int i = 0; i < count; i++)
    if (strcmp(slots->slot[i].endpoint, endpoint) == 0) return &slots->slot[i];
  return NULL;
}

mle_status mle_slots_add(mle_slots *slots, const char *endpoint, mle_slot **out, mle_error *err) {
  *out = mle_slots_find(slots, endpoint);
  if (*out != NULL) return MLE_OK;
  MLE_TRY(mle_endpoint_check(endpoint, err));
  int count = atomic_load(&slots->count);
  if (count == MLE_SLOTS_MAX)
    return mle_fail(err, MLE_EREFUSED, "a server has at most %d endpoints", MLE_SLOTS_MAX);
  strcpy(slots->slot[count].endpoint, endpoint);
  *out = &slots->slot[count];
  atomic_store_explicit(&slots->count, count + 1, memory_order_release);
  return MLE_OK;
}

int mle_slots_ready(mle_slots *slots, mle_slot **out_only) {
  int count = atomic_load_explicit(&slots->count, memory_order_acquire), ready = 0;
  *out_only = NULL;
  for (int i = 0; i < count; i++) {
    if (atomic_load(&slots->slot[i].current.served) == NULL) continue;
    if (ready++ == 0) *out_only = &slots->slot[i];
  }
  return ready;
}

void mle_slots_release(mle_slots *slots) {
  int count = atomic_load(&slots->count);
  for (int i = 0; i < count; i++) {
    mle_cell_exchange(&slots->slot[i].current, NULL);
    mle_cell_exchange(&slots->slot[i].staged, NULL);
    for (int w = 0; w < MLE_SLOT_WARM; w++) mle_served_release(slots->slot[i].warm[w]);
    memset(slots->slot[i].warm, 0, sizeof slots->slot[i].warm);
  }
  atomic_store(&slots->count, 0);
}
