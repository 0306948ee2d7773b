/* A type as JSON, then behind a zero byte a value: as a bound, as a text of DuckDB's, as a default. */

#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "engine/iceberg/literal.h"
#include "engine/iceberg/value.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static void use(const mle_type *type, mle_bytes value, mle_arena *arena) {
  mle_buffer text = MLE_BUFFER((size_t)1 << 20);
  mle_bytes bound;
  mle_json *json;
  const mle_literal literal = mle_literal_from_bytes(type, value);
  if (literal.kind != MLE_LITERAL_NONE) assert(mle_literal_compare(&literal, &literal) == 0);
  mle_value_print(type, value, &text, NULL);
  mle_value_sql_text(type, value, &text, NULL);
  mle_value_bound(type, MLE_BOUND_LOWER, value.data, value.len, arena, &bound, NULL);
  mle_value_bound(type, MLE_BOUND_UPPER, value.data, value.len, arena, &bound, NULL);
  if (mle_json_parse(value.data, value.len, &json, NULL) == MLE_OK) {
    mle_value_sql_default(type, json, &text, NULL);
    mle_json_free(json);
  }
  mle_buffer_release(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len) {
  const char *text = (const char *)bytes, *end = len == 0 ? NULL : memchr(text, '\0', len);
  mle_arena arena = MLE_ARENA;
  const mle_type *type;
  mle_json *json;
  if (end == NULL || mle_json_parse(text, (size_t)(end - text), &json, NULL) != MLE_OK) return 0;
  const mle_json_at root = mle_json_root(json);
  if (mle_type_parse(&root, &arena, &type, NULL) == MLE_OK) {
    mle_buffer printed = MLE_BUFFER((size_t)1 << 20);
    mle_type_print(type, &printed, NULL);
    mle_buffer_release(&printed);
    use(type, (mle_bytes){end + 1, len - (size_t)(end + 1 - text)}, &arena);
  }
  mle_arena_release(&arena);
  mle_json_free(json);
  return 0;
}
