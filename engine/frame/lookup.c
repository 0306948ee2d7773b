#include "engine/frame/lookup.h"

#include <pthread.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/base/hash.h"
#include "engine/frame/functions.h"

struct mle_lookup {
  int64_t number;
  const char *const *texts;
  size_t *slots; /* 1 + which text; 0: free. At most half full */
  size_t capacity;
  struct mle_lookup *next;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards the list */
static mle_lookup *lookups;

static size_t find_slot(const mle_lookup *lookup, const char *text, size_t len) {
  size_t at = (size_t)mle_hash64(text, len, 0) & (lookup->capacity - 1);
  for (; lookup->slots[at] != 0; at = (at + 1) & (lookup->capacity - 1)) {
    const char *other = lookup->texts[lookup->slots[at] - 1];
    if (strlen(other) == len && memcmp(other, text, len) == 0) break;
  }
  return at;
}

mle_status mle_lookup_new(const char *const *texts, size_t count, mle_lookup **out,
                          mle_error *err) {
  static int64_t numbers;
  *out = NULL;
  mle_lookup *lookup = mle_calloc(1, sizeof *lookup);
  if (lookup == NULL) return mle_nomem(err, "planning a scan");
  lookup->texts = texts;
  for (lookup->capacity = 16; lookup->capacity < 2 * count;) lookup->capacity *= 2;
  lookup->slots = mle_calloc(lookup->capacity, sizeof *lookup->slots);
  if (lookup->slots == NULL) {
    mle_free(lookup);
    return mle_nomem(err, "planning a scan");
  }
  for (size_t i = 0; i < count; i++) {
    size_t at = find_slot(lookup, texts[i], strlen(texts[i]));
    if (lookup->slots[at] == 0) lookup->slots[at] = i + 1;
  }
  pthread_mutex_lock(&lock);
  lookup->number = ++numbers;
  lookup->next = lookups;
  lookups = lookup;
  pthread_mutex_unlock(&lock);
  *out = lookup;
  return MLE_OK;
}

int64_t mle_lookup_number(const mle_lookup *lookup) { return lookup->number; }

void mle_lookup_free(mle_lookup *lookup) {
  if (lookup == NULL) return;
  pthread_mutex_lock(&lock);
  mle_lookup **at = &lookups;
  while (*at != lookup) at = &(*at)->next;
  *at = lookup->next;
  pthread_mutex_unlock(&lock);
  mle_free(lookup->slots);
  mle_free(lookup);
}

/* ====== In SQL ====== */

/* The query that asks ends before its lookup is freed. */
static const mle_lookup *find(int64_t number) {
  pthread_mutex_lock(&lock);
  const mle_lookup *lookup = lookups;
  while (lookup != NULL && lookup->number != number) lookup = lookup->next;
  pthread_mutex_unlock(&lock);
  return lookup;
}

/* mle_lookup(number, text) -> BIGINT */
static void look_up(duckdb_function_info info, duckdb_data_chunk input, duckdb_vector output) {
  idx_t rows = duckdb_data_chunk_get_size(input);
  const int64_t *numbers = duckdb_vector_get_data(duckdb_data_chunk_get_vector(input, 0));
  duckdb_vector vector = duckdb_data_chunk_get_vector(input, 1);
  duckdb_string_t *texts = duckdb_vector_get_data(vector);
  uint64_t *valid = duckdb_vector_get_validity(vector);
  int64_t *found = duckdb_vector_get_data(output);
  const mle_lookup *lookup = rows > 0 ? find(numbers[0]) : NULL;
  if (lookup == NULL) {
    duckdb_scalar_function_set_error(info, "this lookup is gone");
    return;
  }
  for (idx_t row = 0; row < rows; row++) {
    found[row] = -1;
    if (valid != NULL && !duckdb_validity_row_is_valid(valid, row)) continue;
    size_t at = find_slot(lookup, duckdb_string_t_data(&texts[row]),
                          duckdb_string_t_length(texts[row]));
    found[row] = (int64_t)lookup->slots[at] - 1;
  }
}

mle_status mle_lookup_functions(duckdb_connection c, mle_error *err) {
  static const duckdb_type arguments[] = {DUCKDB_TYPE_BIGINT, DUCKDB_TYPE_VARCHAR,
                                          DUCKDB_TYPE_INVALID};
  duckdb_logical_type whole = duckdb_create_logical_type(DUCKDB_TYPE_BIGINT);
  mle_status status = mle_function_add(c, "mle_lookup", arguments, whole, look_up, err);
  duckdb_destroy_logical_type(&whole);
  return status;
}
