/* Any text as a name mapping: it gives the columns of a file without ids theirs. */

#include <stddef.h>
#include <stdint.h>

#include "engine/iceberg/projection.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static const mle_type whole = {.kind = MLE_TYPE_LONG}, text = {.kind = MLE_TYPE_STRING};
static const mle_field inside[] = {{.id = 4, .name = "x", .type = &whole}, {.id = 5, .name = "y", .type = &text}};
static const mle_type pair = {.kind = MLE_TYPE_STRUCT, .num_fields = 2, .fields = inside};
static const mle_field element[] = {{.id = 7, .name = "element", .type = &pair}};
static const mle_type list = {.kind = MLE_TYPE_LIST, .num_fields = 1, .fields = element};
static const mle_field entry[] = {{.id = 9, .name = "key", .type = &text}, {.id = 10, .name = "value", .type = &whole}};
static const mle_type map = {.kind = MLE_TYPE_MAP, .num_fields = 2, .fields = entry};
static const mle_field columns[] = {{.id = 1, .name = "id", .type = &whole}, {.id = 2, .name = "pair", .type = &pair},
                                    {.id = 6, .name = "list", .type = &list}, {.id = 8, .name = "map", .type = &map}};

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len) {
  mle_layout_node in_pair[] = {{"x", -1, false, 0, NULL}, {"y", -1, false, 0, NULL}};
  mle_layout_node in_list[] = {{"element", -1, false, 2, in_pair}}, middle[] = {{"list", -1, true, 1, in_list}};
  mle_layout_node in_map[] = {{"key", -1, false, 0, NULL}, {"value", -1, false, 0, NULL}}, entries[] = {{"key_value", -1, true, 2, in_map}};
  mle_layout_node top[] = {{"id", -1, false, 0, NULL}, {"pair", -1, false, 2, in_pair}, {"list", -1, false, 1, middle}, {"map", -1, false, 1, entries}};
  const mle_layout_node root = {"schema", -1, false, 4, top};
  const mle_field *const fields[] = {&columns[0], &columns[1], &columns[2], &columns[3]};
  mle_arena arena = MLE_ARENA;
  mle_scan_group group;
  bool absent[4] = {false};
  mle_json *mapping;
  if (mle_json_parse((const char *)bytes, len, &mapping, NULL) != MLE_OK) return 0;
  const mle_wanted wanted = {fields, 4, mapping};
  if (mle_projection_make(&wanted, &root, "file.parquet", &arena, &group, absent, NULL) == MLE_OK)
    mle_projection_is_plain(&group, 4);
  mle_arena_release(&arena);
  mle_json_free(mapping);
  return 0;
}
