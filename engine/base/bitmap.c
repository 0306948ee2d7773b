#include "engine/base/bitmap.h"

#include <roaring/roaring.h>
#include <stdatomic.h>
#include <string.h>

#include "engine/base/alloc.h"

struct mle_bitmap {
  atomic_int holders;
  roaring_bitmap_t *roaring;
};

/* Takes the roaring bitmap, which may be NULL. */
static mle_bitmap *hold(roaring_bitmap_t *roaring) {
  mle_bitmap *bitmap = roaring == NULL ? NULL : mle_alloc(sizeof *bitmap);
  if (bitmap == NULL) {
    if (roaring != NULL) roaring_bitmap_free(roaring);
    return NULL;
  }
  *bitmap = (mle_bitmap){.holders = 1, .roaring = roaring};
  return bitmap;
}

mle_bitmap *mle_bitmap_new(void) { return hold(roaring_bitmap_create()); }

mle_bitmap *mle_bitmap_minus(const mle_bitmap *a, const mle_bitmap *b) {
  return hold(b == NULL ? roaring_bitmap_copy(a->roaring)
                        : roaring_bitmap_andnot(a->roaring, b->roaring));
}

mle_bitmap *mle_bitmap_rest(const mle_bitmap *bitmap, uint32_t end) {
  roaring_bitmap_t *all = roaring_bitmap_from_range(0, end, 1);
  if (all == NULL) return mle_bitmap_new(); /* of nothing there is no range */
  roaring_bitmap_andnot_inplace(all, bitmap->roaring);
  return hold(all);
}

mle_bitmap *mle_bitmap_ref(mle_bitmap *bitmap) {
  if (bitmap != NULL) atomic_fetch_add(&bitmap->holders, 1);
  return bitmap;
}

void mle_bitmap_free(mle_bitmap *bitmap) {
  if (bitmap == NULL || atomic_fetch_sub(&bitmap->holders, 1) > 1) return;
  roaring_bitmap_free(bitmap->roaring);
  mle_free(bitmap);
}

void mle_bitmap_add(mle_bitmap *bitmap, uint32_t value) {
  roaring_bitmap_add(bitmap->roaring, value);
}

bool mle_bitmap_has(const mle_bitmap *bitmap, uint32_t value) {
  return roaring_bitmap_contains(bitmap->roaring, value);
}

int64_t mle_bitmap_count(const mle_bitmap *bitmap) {
  return (int64_t)roaring_bitmap_get_cardinality(bitmap->roaring);
}

int64_t mle_bitmap_below(const mle_bitmap *bitmap, int64_t end) {
  if (end <= 0) return 0;
  if (end > UINT32_MAX) return mle_bitmap_count(bitmap);
  return (int64_t)roaring_bitmap_rank(bitmap->roaring, (uint32_t)(end - 1));
}

void mle_bitmap_missing(const mle_bitmap *bitmap, const int64_t *rows, size_t count, bool *out) {
  roaring_uint32_iterator_t at;
  int64_t last = INT64_MAX;
  for (size_t i = 0; i < count; i++) {
    if (rows[i] < last) roaring_init_iterator(bitmap->roaring, &at);
    last = rows[i];
    if (rows[i] < 0 || rows[i] > UINT32_MAX) {
      out[i] = true;
      last = INT64_MAX;
      continue;
    }
    uint32_t row = (uint32_t)rows[i];
    if (at.has_value && at.current_value < row)
      roaring_move_uint32_iterator_equalorlarger(&at, row);
    out[i] = !at.has_value || at.current_value != row;
  }
}

/* ====== The portable format ====== */

/*
 *     cookie   u32   12346; or 12347 in the low half, containers - 1 in the high one
 *     count    u32   containers (12346 only)
 *     runs     bits  which containers hold runs (12347 only)
 *     heads    u16 key, u16 values - 1, for each container
 *     offsets  u32 each (12346, or from 4 containers on); not needed here
 *     containers: u16 n, n * (u16 first, u16 further) runs
 *               | values * u16, ascending, up to 4096 of them
 *               | 8192 bytes of bits
 * All little-endian.
 */
enum { COOKIE = 12346, COOKIE_RUNS = 12347, ARRAY_MAX = 4096, BITS_BYTES = 8192, NO_OFFSETS = 4 };

typedef struct cursor {
  const uint8_t *at, *end;
  mle_error *err;
} cursor;

static mle_status bad(const cursor *c, const char *what) {
  return mle_fail(c->err, MLE_EFORMAT, "a roaring bitmap %s", what);
}

static mle_status take(cursor *c, size_t len, const uint8_t **out) {
  if (len > (size_t)(c->end - c->at)) return bad(c, "ends too early");
  *out = c->at;
  c->at += len;
  return MLE_OK;
}

static uint32_t read16(const uint8_t *at) { return (uint32_t)at[0] | (uint32_t)at[1] << 8; }
static uint32_t read32(const uint8_t *at) { return read16(at) | read16(at + 2) << 16; }

static mle_status take_runs(cursor *c, uint32_t base, roaring_bitmap_t *to) {
  const uint8_t *runs = NULL;
  MLE_TRY(take(c, 2, &runs));
  uint32_t count = read16(runs), next = 0;
  MLE_TRY(take(c, 4 * (size_t)count, &runs));
  for (; count > 0; count--, runs += 4) {
    uint32_t first = read16(runs), last = first + read16(runs + 2);
    if (first < next || last > UINT16_MAX) return bad(c, "has runs that overlap");
    roaring_bitmap_add_range_closed(to, base | first, base | last);
    next = last + 1;
  }
  return MLE_OK;
}

static mle_status take_array(cursor *c, uint32_t base, uint32_t count, roaring_bitmap_t *to) {
  const uint8_t *values = NULL;
  uint32_t next = 0;
  MLE_TRY(take(c, 2 * (size_t)count, &values));
  for (; count > 0; count--, values += 2) {
    uint32_t value = read16(values);
    if (value < next) return bad(c, "has values out of order");
    roaring_bitmap_add(to, base | value);
    next = value + 1;
  }
  return MLE_OK;
}

static mle_status take_bits(cursor *c, uint32_t base, uint32_t count, roaring_bitmap_t *to) {
  const uint8_t *bytes = NULL;
  uint32_t found = 0;
  MLE_TRY(take(c, BITS_BYTES, &bytes));
  for (uint32_t i = 0; i < BITS_BYTES; i++)
    for (uint32_t byte = bytes[i]; byte != 0; byte &= byte - 1, found++)
      roaring_bitmap_add(to, base | (i * 8 + (uint32_t)__builtin_ctz(byte)));
  return found == count ? MLE_OK : bad(c, "has another number of values than it says");
}

mle_status mle_bitmap_parse(mle_bitmap *into, const char *bytes, size_t len, size_t *out_used,
                            mle_error *err) {
  const uint8_t *begin = (const uint8_t *)bytes, *part = NULL, *heads = NULL, *runs = NULL;
  cursor c = {begin, begin + len, err};
  int64_t last_key = -1;
  MLE_TRY(take(&c, 4, &part));
  uint32_t cookie = read32(part), count;
  bool has_runs = (cookie & 0xffff) == COOKIE_RUNS;
  if (!has_runs && cookie != COOKIE) return bad(&c, "begins with no known cookie");
  count = (cookie >> 16) + 1;
  if (!has_runs) {
    MLE_TRY(take(&c, 4, &part));
    count = read32(part);
  } else {
    MLE_TRY(take(&c, (count + 7) / 8, &runs));
  }
  if (count > 65536) return bad(&c, "claims more than 65,536 containers");
  MLE_TRY(take(&c, 4 * (size_t)count, &heads));
  if (!has_runs || count >= NO_OFFSETS) MLE_TRY(take(&c, 4 * (size_t)count, &part));
  for (uint32_t i = 0; i < count; i++, heads += 4) {
    uint32_t key = read16(heads), values = read16(heads + 2) + 1, base = key << 16;
    if ((int64_t)key <= last_key) return bad(&c, "has containers out of order");
    last_key = key;
    if (runs != NULL && (runs[i / 8] >> (i % 8) & 1))
      MLE_TRY(take_runs(&c, base, into->roaring));
    else if (values <= ARRAY_MAX)
      MLE_TRY(take_array(&c, base, values, into->roaring));
    else
      MLE_TRY(take_bits(&c, base, values, into->roaring));
  }
  *out_used = (size_t)(c.at - begin);
  return MLE_OK;
}
