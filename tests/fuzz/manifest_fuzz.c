/* Any bytes as a manifest list, and as a manifest: whole, with few metrics, and in pieces that must add up. */

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/iceberg/manifest.h"
#include "engine/iceberg/value.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static void print_bounds(const mle_list *bounds) {
  const mle_key_bytes *items = bounds->items;
  for (size_t i = 0; i < bounds->count; i++) {
    mle_buffer text = MLE_BUFFER(1 << 20);
    const mle_type type = {.kind = (mle_type_kind)((uint32_t)items[i].key % MLE_TYPE_STRUCT),
                           .precision = 38, .scale = items[i].key & 31};
    mle_value_print(&type, items[i].value, &text, NULL);
    mle_buffer_release(&text);
  }
}

/* How many entries there are; false where one of them is bad. */
static bool count_entries(mle_manifest_reader *reader, size_t *out) {
  mle_manifest_entry entry;
  bool found = true;
  for (*out = 0;; ++*out) {
    if (mle_manifest_next(reader, &entry, &found, NULL) != MLE_OK) return false;
    if (!found) return true;
    print_bounds(&entry.file.lower_bounds);
    print_bounds(&entry.file.upper_bounds);
  }
}

/* One reader goes over all pieces, as a thread of the planner does. */
static void read_pieces(mle_bytes input, const mle_manifest_file *manifest, size_t whole) {
  static const int32_t ids[] = {1, 2147483546};
  mle_manifest_reader *reader;
  size_t total = 0, count, step = input.len / 3 + 1;
  if (mle_manifest_new(MLE_MANIFEST_PRUNE, &reader, NULL) != MLE_OK) return;
  mle_manifest_only(reader, ids, 2);
  for (size_t i = 0; i < 3; i++) {
    size_t to = i == 2 ? SIZE_MAX : (i + 1) * step;
    mle_status status = mle_manifest_reopen_bytes(reader, input, manifest, i * step, to, NULL);
    assert(status == MLE_OK);
    if (!count_entries(reader, &count)) break;
    total += count;
    if (i == 2) assert(total == whole);
  }
  mle_manifest_close(reader);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len) {
  const mle_bytes input = {(const char *)bytes, len};
  mle_arena arena = MLE_ARENA;
  mle_manifest_list list;
  mle_manifest_list_parse(input, &arena, &list, NULL);
  mle_arena_release(&arena);

  mle_manifest_file manifest = mle_manifest_file_none;
  mle_manifest_reader *reader;
  size_t count;
  manifest.path = "m.avro";
  if (mle_manifest_open_bytes(input, &manifest, MLE_MANIFEST_ALL, &reader, NULL) != MLE_OK) return 0;
  if (count_entries(reader, &count)) read_pieces(input, &manifest, count);
  mle_manifest_close(reader);
  return 0;
}
