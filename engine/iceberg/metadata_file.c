#include "engine/iceberg/metadata_file.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/base/file.h"
#include "engine/store/store.h"

#define HINT "version-hint.text"
#define HINT_MAX 1024
#define DIGITS_MAX 15 /* of a version: no arithmetic on it overflows */

/* ====== Names ====== */

static bool ends_with(const char *text, const char *end) {
  size_t len = strlen(text), end_len = strlen(end);
  return len > end_len && strcmp(text + len - end_len, end) == 0;
}

/* After "v<N>." or "<N>-<uuid>.": the first is the most common. */
static const char *const endings[] = {"metadata.json",      "gz.metadata.json", "metadata.json.gz",
                                      "zstd.metadata.json", "zst.metadata.json",
                                      "metadata.json.zst",  "metadata.json.zstd"};
#define NUM_ENDINGS (sizeof endings / sizeof *endings)

bool mle_metadata_file_named(const char *name) {
  return ends_with(name, ".metadata.json") || ends_with(name, ".metadata.json.gz") ||
         ends_with(name, ".metadata.json.zst") || ends_with(name, ".metadata.json.zstd");
}

/* The number that `text` begins with, and what follows it; false when there is none. */
static bool read_number(const char *text, int64_t *out, const char **rest) {
  size_t digits = strspn(text, "0123456789");
  *rest = text + digits;
  *out = digits == 0 || digits > DIGITS_MAX ? -1 : strtoll(text, NULL, 10);
  return *out >= 0;
}

int64_t mle_metadata_file_version(const char *location) {
  const char *name = mle_path_name(location), *rest;
  int64_t version;
  if (*name != 'v' || !read_number(name + 1, &version, &rest)) return 0;
  for (size_t i = 0; i < NUM_ENDINGS; i++)
    if (*rest == '.' && strcmp(rest + 1, endings[i]) == 0) return version;
  return 0;
}

static mle_status no_memory(mle_error *err) {
  return mle_nomem(err, "looking for a table's metadata");
}

/* Sets `out` to the file of that name when it is there, else to NULL. */
static mle_status find_name(const char *table, const char *name, char **out, mle_error *err) {
  bool exists;
  *out = mle_format("%s/metadata/%s", table, name);
  if (*out == NULL) return no_memory(err);
  mle_status status = mle_store_exists(*out, &exists, err);
  if (status == MLE_OK && exists) return MLE_OK;
  mle_free(*out);
  *out = NULL;
  return status;
}

mle_status mle_metadata_file_at(const char *table, int64_t version, char **out, mle_error *err) {
  char name[64];
  *out = NULL;
  for (size_t i = 0; i < NUM_ENDINGS && *out == NULL; i++) {
    snprintf(name, sizeof name, "v%" PRId64 ".%s", version, endings[i]);
    MLE_TRY(find_name(table, name, out, err));
  }
  return MLE_OK;
}

/* ====== The hint ====== */

/* The text of the hint without white space around it; empty when there is none to be had. */
static mle_status read_hint(const char *table, char text[HINT_MAX], mle_error *err) {
  mle_buffer bytes = MLE_BUFFER(HINT_MAX - 1);
  char *uri = mle_format("%s/metadata/" HINT, table);
  if (uri == NULL) return no_memory(err);
  mle_status status = mle_store_read(uri, &bytes, err);
  const char *from = status == MLE_OK && bytes.data != NULL ? bytes.data : "";
  while (isspace((unsigned char)*from)) from++;
  size_t len = strlen(from);
  while (len > 0 && isspace((unsigned char)from[len - 1])) len--;
  memcpy(text, from, len);
  text[len] = '\0';
  mle_buffer_release(&bytes);
  mle_free(uri);
  return status == MLE_ENOMEM ? status : MLE_OK;
}

/* A number, or as PyIceberg has it too, the name of the file with or without its ending. */
static mle_status follow_hint(const char *table, mle_metadata_file *out, mle_error *err) {
  char hint[HINT_MAX], name[HINT_MAX + 16];
  const char *rest;
  MLE_TRY(read_hint(table, hint, err));
  if (*hint == '\0' || strchr(hint, '/') != NULL) return MLE_OK;
  if (read_number(hint, &out->version, &rest) && *rest == '\0')
    return mle_metadata_file_at(table, out->version, &out->location, err);
  snprintf(name, sizeof name, "%s%s", hint, mle_metadata_file_named(hint) ? "" : ".metadata.json");
  out->version = mle_metadata_file_version(name);
  return find_name(table, name, &out->location, err);
}

/* Java on a local disk keeps a checksum beside the hint, which is not that of ours. */
void mle_metadata_file_hint(const char *table, int64_t version) {
  char text[32];
  char *uri = mle_format("%s/metadata/" HINT, table);
  char *checksum = mle_format("%s/metadata/." HINT ".crc", table);
  int len = snprintf(text, sizeof text, "%" PRId64, version);
  if (uri != NULL && checksum != NULL && mle_store_remove(checksum, NULL) == MLE_OK)
    mle_store_replace(uri, text, (size_t)len, NULL);
  mle_free(checksum);
  mle_free(uri);
}

/* ====== The listing ====== */

typedef struct listing {
  int64_t numbered;   /* the highest N of v<N>, 0: none */
  int64_t other;      /* the highest number of "00003-<uuid>", -1: none */
  char *other_name;   /* its file */
  bool tied;          /* another file has that number */
} listing;

static mle_status see_other(listing *l, const char *name, int64_t number, mle_error *err) {
  if (number < l->other) return MLE_OK;
  l->tied = number == l->other;
  if (l->tied) return MLE_OK;
  char *copy = mle_strdup(name);
  if (copy == NULL) return no_memory(err);
  mle_free(l->other_name);
  l->other_name = copy;
  l->other = number;
  return MLE_OK;
}

static mle_status see_name(void *context, const char *name, int64_t size, mle_error *err) {
  listing *l = context;
  const char *rest;
  int64_t number = mle_metadata_file_version(name);
  if (size < 0 || !mle_metadata_file_named(name)) return MLE_OK;
  if (number > l->numbered) l->numbered = number;
  if (number > 0 || !read_number(name, &number, &rest) || *rest != '-') return MLE_OK;
  return see_other(l, name, number, err);
}

static mle_status choose(const char *table, const listing *l, mle_metadata_file *out,
                         mle_error *err) {
  out->version = l->numbered;
  if (l->numbered > 0) return mle_metadata_file_at(table, l->numbered, &out->location, err);
  if (l->other < 0) return MLE_OK;
  if (l->tied)
    return mle_fail(err, MLE_EFORMAT,
                    "'%s/metadata' has several files of version %" PRId64
                    ", one of them '%s', and no " HINT " says which is the table's; name the file",
                    table, l->other, l->other_name);
  return find_name(table, l->other_name, &out->location, err);
}

static mle_status list_names(const char *table, mle_store_visit_name visit, void *context,
                             mle_error *err) {
  char *folder = mle_format("%s/metadata", table);
  if (folder == NULL) return no_memory(err);
  mle_status status = mle_store_list_names(folder, visit, context, err);
  mle_free(folder);
  return status;
}

static mle_status search(const char *table, mle_metadata_file *out, mle_error *err) {
  listing l = {.other = -1};
  mle_status status = list_names(table, see_name, &l, err);
  if (status == MLE_OK) status = choose(table, &l, out, err);
  mle_free(l.other_name);
  return status;
}

/* ====== The newest ====== */

static mle_status go_on(const char *table, mle_metadata_file *file, mle_error *err) {
  for (;;) {
    char *next;
    MLE_TRY(mle_metadata_file_at(table, file->version + 1, &next, err));
    if (next == NULL) return MLE_OK;
    mle_free(file->location);
    file->location = next;
    file->version++;
  }
}

mle_status mle_metadata_file_find(const char *table, mle_metadata_file *out, mle_error *err) {
  *out = (mle_metadata_file){NULL, 0};
  mle_status status = follow_hint(table, out, err);
  if (status == MLE_OK && out->location == NULL) status = search(table, out, err);
  if (status == MLE_OK && out->location == NULL)
    status = mle_fail(err, MLE_ENOTFOUND, "'%s/metadata' has no metadata file", table);
  if (status == MLE_OK && out->version > 0) status = go_on(table, out, err);
  if (status == MLE_OK) return MLE_OK;
  mle_free(out->location);
  out->location = NULL;
  return status;
}

static mle_status see_any(void *context, const char *name, int64_t size, mle_error *err) {
  (void)err;
  *(bool *)context |= size >= 0 && mle_metadata_file_named(name);
  return MLE_OK;
}

mle_status mle_metadata_file_any(const char *table, bool *out, mle_error *err) {
  char *hint;
  MLE_TRY(find_name(table, HINT, &hint, err));
  *out = hint != NULL;
  mle_free(hint);
  return *out ? MLE_OK : list_names(table, see_any, out, err);
}
