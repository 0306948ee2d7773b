/* Any text as DuckDB's tree of a filter: read, printed, and asked about a file. */

#include <stddef.h>
#include <stdint.h>

#include "engine/base/alloc.h"
#include "engine/iceberg/prune.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static const mle_type types[] = {
    {.kind = MLE_TYPE_INT},       {.kind = MLE_TYPE_DOUBLE},      {.kind = MLE_TYPE_FLOAT}, {.kind = MLE_TYPE_STRING},
    {.kind = MLE_TYPE_DATE},      {.kind = MLE_TYPE_TIMESTAMPTZ}, {.kind = MLE_TYPE_UUID},  {.kind = MLE_TYPE_BOOLEAN},
    {.kind = MLE_TYPE_DECIMAL, .precision = 38, .scale = 10}};
static const mle_field fields[] = {
    {.id = 1, .name = "a", .type = &types[0]}, {.id = 2, .name = "b", .type = &types[1]}, {.id = 3, .name = "c", .type = &types[2]},
    {.id = 4, .name = "d", .type = &types[3]}, {.id = 5, .name = "e", .type = &types[4]}, {.id = 6, .name = "f", .type = &types[5]},
    {.id = 7, .name = "g", .type = &types[6]}, {.id = 8, .name = "h", .type = &types[7]}, {.id = 9, .name = "i", .type = &types[8]}};
static const mle_schema schema = {.num_fields = 9, .fields = fields};

static void ask(const mle_condition *condition) {
  static const mle_key_bytes bounds[] = {{1, {"\1\0\0\0", 4}}, {4, {"ab", 2}}, {9, {"\1", 1}}};
  static const mle_partition_field parts[] = {{1, 1000, "p", "bucket[7]"}, {4, 1001, "q", "truncate[2]"}, {5, 1002, "r", "month"}};
  static const mle_partition_spec spec = {0, 3, parts};
  static const mle_datum values[] = {{1000, MLE_DATUM_INT, {.integer = 3}}, {1001, MLE_DATUM_TEXT, {.bytes = {"ab", 2}}},
                                     {1002, MLE_DATUM_NULL, {.integer = 0}}};
  const mle_data_file file = {.lower_bounds = {bounds, 3}, .upper_bounds = {bounds, 3}};
  const mle_list tuple = {values, 3};
  mle_prune_file(condition, &file);
  mle_prune_partition(condition, &spec, &tuple);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len) {
  mle_arena arena = MLE_ARENA;
  const mle_condition *condition;
  mle_buffer text = MLE_BUFFER((size_t)1 << 20);
  char *tree = mle_strndup((const char *)bytes, len);
  if (tree != NULL && mle_condition_parse(tree, &schema, &arena, &condition, NULL) == MLE_OK &&
      condition != NULL) {
    mle_condition_print(condition, &text, NULL);
    ask(condition);
  }
  mle_buffer_release(&text);
  mle_free(tree);
  mle_arena_release(&arena);
  return 0;
}
