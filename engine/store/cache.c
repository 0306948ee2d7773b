#include "engine/store/cache.h"

#include <ctype.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>

#include "engine/base/alloc.h"

#define ENTRIES_MAX 4096
#define UUID_LEN 36

typedef struct entry {
  char *uri, *bytes;
  size_t len;
  uint64_t used;
} entry;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards all below */
static entry entries[ENTRIES_MAX];
static size_t num_entries, num_bytes;
static uint64_t uses;

static bool ends_with(const char *text, size_t len, const char *end) {
  size_t end_len = strlen(end);
  return len >= end_len && memcmp(text + len - end_len, end, end_len) == 0;
}

/* Avro files, and 00003-<uuid>.metadata.json; a v3.metadata.json may be made anew. */
bool mle_cache_takes(const char *uri) {
  size_t len = strlen(uri);
  if (ends_with(uri, len, ".avro")) return true;
  if (ends_with(uri, len, ".gz")) len -= 3;
  if (!ends_with(uri, len, ".metadata.json")) return false;
  len -= strlen(".metadata.json");
  if (len <= UUID_LEN || uri[len - UUID_LEN - 1] != '-') return false;
  const char *uuid = uri + len - UUID_LEN;
  for (size_t i = 0; i < UUID_LEN; i++)
    if (!isxdigit((unsigned char)uuid[i]) && uuid[i] != '-') return false;
  return true;
}

static void remove_at(size_t i) {
  num_bytes -= entries[i].len;
  mle_free(entries[i].uri);
  mle_free(entries[i].bytes);
  entries[i] = entries[--num_entries];
}

static entry *find(const char *uri) {
  for (size_t i = 0; i < num_entries; i++)
    if (strcmp(entries[i].uri, uri) == 0) return &entries[i];
  return NULL;
}

mle_status mle_cache_get(const char *uri, mle_buffer *out, bool *found, mle_error *err) {
  mle_status status = MLE_OK;
  pthread_mutex_lock(&lock);
  entry *e = find(uri);
  *found = e != NULL;
  if (e != NULL) {
    e->used = ++uses;
    status = mle_buffer_append(out, e->bytes, e->len, err);
  }
  pthread_mutex_unlock(&lock);
  return status;
}

static void make_room(size_t len) {
  while (num_entries > 0 && (num_entries == ENTRIES_MAX || num_bytes + len > MLE_CACHE_BYTES)) {
    size_t oldest = 0;
    for (size_t i = 1; i < num_entries; i++)
      if (entries[i].used < entries[oldest].used) oldest = i;
    remove_at(oldest);
  }
}

void mle_cache_put(const char *uri, const char *bytes, size_t len) {
  if (len > MLE_CACHE_BYTES / 2) return;
  entry e = {mle_strdup(uri), mle_alloc(len + 1), len, 0};
  if (e.uri == NULL || e.bytes == NULL) {
    mle_free(e.uri);
    mle_free(e.bytes);
    return;
  }
  if (len > 0) memcpy(e.bytes, bytes, len);
  pthread_mutex_lock(&lock);
  entry *old = find(uri);
  if (old != NULL) remove_at((size_t)(old - entries));
  make_room(len);
  e.used = ++uses;
  entries[num_entries++] = e;
  num_bytes += len;
  pthread_mutex_unlock(&lock);
}

void mle_cache_drop(const char *uri) {
  pthread_mutex_lock(&lock);
  entry *e = find(uri);
  if (e != NULL) remove_at((size_t)(e - entries));
  pthread_mutex_unlock(&lock);
}

void mle_cache_clear(void) {
  pthread_mutex_lock(&lock);
  while (num_entries > 0) remove_at(num_entries - 1);
  pthread_mutex_unlock(&lock);
}
