#include "engine/iceberg/orphans.h"

#include <stdlib.h>
#include <string.h>

#include "engine/base/cancel.h"
#include "engine/base/file.h"
#include "engine/store/store.h"

/* ====== What is known ====== */

typedef struct search {
  const mle_metadata *metadata;
  mle_arena arena; /* of the names that are known */
  const char **known;
  size_t num_known;
  mle_orphans *out;
} search;

/* One place has one name: writers differ in how many slashes follow file: */
static const char *plain(const char *uri) {
  if (strncmp(uri, "file:", 5) != 0) return uri;
  uri += 5;
  return strncmp(uri, "//", 2) == 0 ? uri + 2 : uri;
}

static mle_status know(search *s, const char *uri, mle_error *err) {
  const char **longer = mle_arena_grow(&s->arena, s->known, s->num_known, sizeof *longer);
  if (longer == NULL) return mle_nomem(err, "looking for orphans");
  s->known = longer;
  MLE_TRY(mle_metadata_uri(s->metadata, uri, &s->arena, &uri, err));
  MLE_TRY(mle_arena_copy(&s->arena, plain(uri), &s->known[s->num_known], err));
  s->num_known++;
  return MLE_OK;
}

/* The member `key` of each object in the list `list`. */
static mle_status know_list(search *s, const char *list, const char *key, mle_error *err) {
  mle_json_at root = mle_json_root(s->metadata->document), all, item;
  const char *path;
  if (!mle_json_find(&root, list, &all)) return MLE_OK;
  for (bool more = mle_json_first(&all, &item); more; more = mle_json_next(&item)) {
    MLE_TRY(mle_json_opt_text(&item, key, NULL, &path, err));
    if (path != NULL) MLE_TRY(know(s, path, err));
  }
  return MLE_OK;
}

static mle_status know_entries(search *s, const mle_manifest_file *manifest, mle_error *err) {
  mle_manifest_reader *reader;
  mle_manifest_entry entry;
  bool found = true;
  mle_status status;
  MLE_TRY(mle_manifest_open(manifest, MLE_MANIFEST_PLAN, &reader, err));
  while ((status = mle_manifest_next(reader, &entry, &found, err)) == MLE_OK && found)
    MLE_GO(know(s, entry.file.path, err));
done:
  mle_manifest_close(reader);
  return status;
}

static int by_path(const void *a, const void *b) {
  return strcmp(((const mle_manifest_file *)a)->path, ((const mle_manifest_file *)b)->path);
}

/* Snapshots share manifests: each is read once. */
static mle_status know_manifests(search *s, mle_error *err) {
  const mle_metadata *m = s->metadata;
  mle_arena memory = MLE_ARENA;
  mle_manifest_file *all = NULL;
  size_t count = 0;
  mle_status status = MLE_OK;
  for (size_t i = 0; i < m->num_snapshots; i++) {
    mle_manifest_list list = {NULL, 0};
    if (m->snapshots[i].manifest_list != NULL) MLE_GO(know(s, m->snapshots[i].manifest_list, err));
    MLE_GO(mle_snapshot_manifests(m, &m->snapshots[i], &memory, &list, err));
    for (size_t k = 0; k < list.count; k++, count++) {
      all = mle_arena_grow(&memory, all, count, sizeof *all);
      if (all == NULL) MLE_GO(mle_nomem(err, "looking for orphans"));
      all[count] = list.files[k];
    }
  }
  if (count > 1) qsort(all, count, sizeof *all, by_path);
  for (size_t i = 0; i < count; i++) {
    if (i > 0 && strcmp(all[i].path, all[i - 1].path) == 0) continue;
    if (mle_cancelled()) MLE_GO(mle_cancel_fail(err, "looking for orphans"));
    MLE_GO(know(s, all[i].path, err));
    MLE_GO(know_entries(s, &all[i], err));
  }
done:
  mle_arena_release(&memory);
  return status;
}

static int by_text(const void *a, const void *b) {
  return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool is_known(const search *s, const char *path) {
  return bsearch(&path, s->known, s->num_known, sizeof *s->known, by_text) != NULL;
}

/* ====== What is there ====== */

/* Hadoop's checksum of "x" is ".x.crc" beside it; its hint belongs to the table, not to a version. */
static mle_status belongs(search *s, const char *path, bool *out, mle_error *err) {
  const char *name = mle_path_name(path);
  size_t len = strlen(name);
  *out = is_known(s, path) || strcmp(name, "version-hint.text") == 0;
  if (*out || len < 6 || name[0] != '.' || strcmp(name + len - 4, ".crc") != 0) return MLE_OK;
  char *other = mle_arena_format(&s->arena, "%.*s%.*s", (int)(name - path), path, (int)len - 5, name + 1);
  if (other == NULL) return mle_nomem(err, "looking for orphans");
  *out = is_known(s, other) || strcmp(mle_path_name(other), "version-hint.text") == 0;
  return MLE_OK;
}

static mle_status see(void *context, const char *uri, int64_t size, mle_error *err) {
  search *s = context;
  bool ours;
  MLE_TRY(belongs(s, plain(uri), &ours, err));
  if (ours) return MLE_OK;
  mle_orphan *longer = mle_arena_grow(&s->out->arena, s->out->items, s->out->count, sizeof *longer);
  if (longer == NULL) return mle_nomem(err, "looking for orphans");
  s->out->items = longer;
  MLE_TRY(mle_arena_copy(&s->out->arena, uri, &longer[s->out->count].uri, err));
  longer[s->out->count++].size = size;
  s->out->bytes += size;
  return MLE_OK;
}

static int by_uri(const void *a, const void *b) {
  return strcmp(((const mle_orphan *)a)->uri, ((const mle_orphan *)b)->uri);
}

static mle_status find(search *s, const char *location, mle_error *err) {
  const char *folder;
  MLE_TRY(know(s, location, err));
  MLE_TRY(know_list(s, "metadata-log", "metadata-file", err));
  MLE_TRY(know_list(s, "statistics", "statistics-path", err));
  MLE_TRY(know_list(s, "partition-statistics", "statistics-path", err));
  MLE_TRY(know_manifests(s, err));
  qsort(s->known, s->num_known, sizeof *s->known, by_text);
  MLE_TRY(mle_metadata_uri(s->metadata, s->metadata->location, &s->arena, &folder, err));
  MLE_TRY(mle_store_list(folder, see, s, err));
  if (s->out->count > 1) qsort(s->out->items, s->out->count, sizeof *s->out->items, by_uri);
  return MLE_OK;
}

mle_status mle_orphans_find(const mle_metadata *metadata, const char *location, mle_orphans *out,
                            mle_error *err) {
  *out = (mle_orphans){.arena = MLE_ARENA};
  search s = {.metadata = metadata, .arena = MLE_ARENA, .out = out};
  mle_status status = find(&s, location, err);
  mle_arena_release(&s.arena);
  if (status != MLE_OK) mle_orphans_release(out);
  return status;
}

void mle_orphans_release(mle_orphans *orphans) {
  mle_arena_release(&orphans->arena);
  *orphans = (mle_orphans){.arena = MLE_ARENA};
}
