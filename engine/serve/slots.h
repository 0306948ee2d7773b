/*
 * slots.h -- endpoints, each with the model that answers now and one to come.
 *
 *     mle_served *served = mle_cell_acquire(&slot->current);    a request, once
 *     ...
 *     mle_served_release(served);
 *
 *     mle_cell_exchange(&slot->current, next);                  the switch
 *
 * A cell is one atomic pointer. Any thread acquires, without a lock and without
 * waiting; one thread, the control thread, exchanges. The old model is freed by the last
 * request that holds it. See slots.c for why that is safe.
 */
#ifndef MLE_SLOTS_H
#define MLE_SLOTS_H

#include <stdatomic.h>

#include "engine/serve/meter.h"
#include "engine/serve/served.h"
#include "engine/serve/trial.h"

#define MLE_SLOTS_MAX 64
#define MLE_ENDPOINT_MAX 128
#define MLE_SLOT_METERS 8 /* versions that /metrics tells of; the oldest that cannot answer makes room */
#define MLE_SLOT_WARM 2   /* versions before the current one that stay in memory */

typedef struct mle_cell {
  _Atomic(mle_served *) served;
  atomic_long entering; /* threads between reading the pointer and holding a reference */
} mle_cell;

typedef struct mle_slot {
  char endpoint[MLE_ENDPOINT_MAX];
  mle_cell current, staged;
  mle_trial trial;                  /* of the staged model */
  mle_served *warm[MLE_SLOT_WARM];  /* the control thread's own references, the last first */
  mle_meter meter[MLE_SLOT_METERS];
  unsigned next_meter;
  atomic_ullong swaps;
} mle_slot;

typedef struct mle_slots {
  mle_slot slot[MLE_SLOTS_MAX];
  atomic_int count;       /* slots are added, never taken away */
  pthread_mutex_t naming; /* of meters: their versions are read while others are named */
} mle_slots;

void mle_slots_init(mle_slots *slots);

/* Empty cells give NULL. */
mle_served *mle_cell_acquire(mle_cell *cell);

/* Puts `next` (NULL: nothing) in, with the caller's reference, and drops the old one's. */
void mle_cell_exchange(mle_cell *cell, mle_served *next);

/* What of a text stands between the quotes of a label of /metrics. */
void mle_label_text(const char *text, char *out, size_t size);

/* Gives a model the meter of its version, before others see it. */
void mle_slot_meter(mle_slots *slots, mle_slot *slot, mle_served *served);

/* Makes `next` current, with the caller's reference; what was current stays warm. */
void mle_slot_swap(mle_slot *slot, mle_served *next);

/* A warm model with these bytes, or NULL; not retained. */
mle_served *mle_slot_find_warm(const mle_slot *slot, const char *sha256);

/* 1 to 127 letters, digits, '-', '_' and '.', and not beginning with '.'. */
mle_status mle_endpoint_check(const char *endpoint, mle_error *err);

mle_slot *mle_slots_find(mle_slots *slots, const char *endpoint); /* NULL: none */
mle_status mle_slots_add(mle_slots *slots, const char *endpoint, mle_slot **out, mle_error *err);

/* Slots that have a current model; the first of them in `out_only`. */
int mle_slots_ready(mle_slots *slots, mle_slot **out_only);

void mle_slots_release(mle_slots *slots);

#endif
