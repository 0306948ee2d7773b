/* Any bytes as a manifest list, and as a manifest whose bounds are printed as each type. */

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

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len) {
  const mle_bytes input = {(const char *)bytes, len};
  mle_arena arena = MLE_ARENA;
  mle_manifest_list list;
  mle_manifest_list_parse(input, &arena, &list, NULL);
  mle_arena_release(&arena);

  mle_manifest_file manifest = mle_manifest_file_none;
  mle_manifest_reader *reader;
  mle_manifest_entry entry;
  bool found = true;
  manifest.path = "m.avro";
  if (mle_manifest_open_bytes(input, &manifest, MLE_MANIFEST_ALL, &reader, NULL) != MLE_OK) return 0;
  while (mle_manifest_next(reader, &entry, &found, NULL) == MLE_OK && found) {
    print_bounds(&entry.file.lower_bounds);
    print_bounds(&entry.file.upper_bounds);
  }
  mle_manifest_close(reader);
  return 0;
}
