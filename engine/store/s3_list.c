/* s3_list.c -- ListObjectsV2, page by page */

#include <stdlib.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/base/arena.h"
#include "engine/base/cancel.h"
#include "engine/base/percent.h"
#include "engine/store/s3.h"
#include "engine/store/xml.h"

#define PAGE_MAX ((size_t)16 << 20) /* of 1,000 keys of 1,024 bytes, each of them encoded */

typedef struct listing {
  const char *folder;      /* the URI up to the prefix, with a final slash */
  bool names;              /* what lies directly in it, as names; else all objects as URIs */
  mle_store_visit visit;
  mle_store_visit_name visit_name;
  void *context;
  mle_arena *page;         /* of this page's texts */
  const char *key, *next;  /* of the entry that is being read; of the page after this one */
  int64_t size;
  bool encoded, truncated; /* keys are percent-encoded; more pages follow */
} listing;

/* As in a form: '+' is a space. Some servers encode so, others write %20; no key comes with a bare '+'. */
static void decode(char *text) {
  for (char *at = text; *at != '\0'; at++)
    if (*at == '+') *at = ' ';
  mle_percent_decode(text);
}

/* The key's text, decoded where the answer says so. */
static mle_status take_key(listing *l, const char *text, const char **out, mle_error *err) {
  char *key = mle_arena_text(l->page, text, strlen(text));
  *out = key;
  if (key == NULL) return mle_nomem(err, "listing a folder");
  if (l->encoded) decode(key);
  return MLE_OK;
}

static mle_status visit_object(listing *l, mle_error *err) {
  const char *prefix = mle_s3_key(l->folder);
  size_t bucket = (size_t)(prefix - l->folder), len = strlen(prefix);
  if (l->key == NULL || strncmp(l->key, prefix, len) != 0 || l->key[len] == '\0') return MLE_OK;
  if (l->names) return l->visit_name(l->context, l->key + len, l->size, err);
  char *uri = mle_arena_format(l->page, "%.*s%s", (int)bucket, l->folder, l->key);
  return uri == NULL ? mle_nomem(err, "listing a folder") : l->visit(l->context, uri, l->size, err);
}

static mle_status visit_folder(listing *l, const char *text, mle_error *err) {
  const char *key, *prefix = mle_s3_key(l->folder);
  size_t len = strlen(prefix);
  MLE_TRY(take_key(l, text, &key, err));
  if (strncmp(key, prefix, len) != 0) return MLE_OK;
  char *name = mle_arena_text(l->page, key + len, strcspn(key + len, "/"));
  if (name == NULL) return mle_nomem(err, "listing a folder");
  return *name == '\0' ? MLE_OK : l->visit_name(l->context, name, -1, err);
}

static mle_status see(void *context, const char *path, const char *text, mle_error *err) {
  listing *l = context;
  static const char root[] = "ListBucketResult/";
  if (strncmp(path, root, sizeof root - 1) != 0) return MLE_OK;
  path += sizeof root - 1;
  if (strcmp(path, "IsTruncated") == 0) l->truncated = strcmp(text, "true") == 0;
  if (strcmp(path, "NextContinuationToken") == 0) return mle_arena_copy(l->page, text, &l->next, err);
  if (strcmp(path, "Contents/Key") == 0) return take_key(l, text, &l->key, err);
  if (strcmp(path, "Contents/Size") == 0) l->size = strtoll(text, NULL, 10);
  if (strcmp(path, "CommonPrefixes/Prefix") == 0) return visit_folder(l, text, err);
  if (strcmp(path, "Contents") != 0) return MLE_OK;
  mle_status status = visit_object(l, err);
  l->key = NULL;
  return status;
}

/* Whether keys are encoded is said before or after them: so it is looked for first. */
static mle_status read_page(listing *l, const mle_http_response *response, mle_error *err) {
  char encoding[16];
  mle_s3_element(response, "ListBucketResult/EncodingType", encoding, sizeof encoding);
  l->encoded = strcmp(encoding, "url") == 0;
  l->truncated = false;
  l->next = NULL;
  return mle_xml_read(response->body.data == NULL ? "" : response->body.data, response->body.len, see,
                      l, err);
}

static mle_status get_page(const listing *l, const char *token, mle_arena *arena,
                           mle_http_response *out, mle_error *err) {
  const char *prefix = mle_percent_encode(arena, mle_s3_key(l->folder), false);
  const char *encoded = token == NULL ? "" : mle_percent_encode(arena, token, false);
  if (prefix == NULL || encoded == NULL) return mle_nomem(err, "listing a folder");
  const char *query = mle_arena_format(
      arena, "%s%s%s%sencoding-type=url&list-type=2&prefix=%s", token == NULL ? "" : "continuation-token=",
      encoded, token == NULL ? "" : "&", l->names ? "delimiter=%2F&" : "", prefix);
  if (query == NULL) return mle_nomem(err, "listing a folder");
  const mle_s3_call call = {.doing = "listing", .method = "GET", .uri = l->folder, .of_bucket = true,
                            .query = query, .response_max = PAGE_MAX};
  return mle_s3_send(&call, out, err);
}

/* A token that comes twice would go round in circles. */
static mle_status list_pages(listing *l, mle_error *err) {
  mle_arena before = MLE_ARENA, now = MLE_ARENA;
  const char *token = NULL;
  mle_status status;
  do {
    mle_http_response response = {0};
    l->page = &now;
    status = mle_cancelled() ? mle_cancel_fail(err, "listing a folder")
                             : get_page(l, token, &now, &response, err);
    if (status == MLE_OK) status = read_page(l, &response, err);
    mle_http_response_release(&response);
    if (status == MLE_OK && l->truncated &&
        (l->next == NULL || (token != NULL && strcmp(l->next, token) == 0)))
      status = mle_fail(err, MLE_EFORMAT, "listing %s: the server does not say where it goes on", l->folder);
    mle_arena_release(&before);
    before = now; /* the next page's token is in it */
    now = MLE_ARENA;
    token = l->next;
  } while (status == MLE_OK && l->truncated);
  mle_arena_release(&before);
  return status;
}

static mle_status list(listing *l, const char *folder, mle_error *err) {
  size_t len = strlen(folder);
  const char *key = mle_s3_key(folder);
  bool slash = *key != '\0' && folder[len - 1] != '/';
  char *whole = mle_format("%s%s", folder, slash ? "/" : "");
  if (whole == NULL) return mle_nomem(err, "listing a folder");
  l->folder = whole;
  mle_status status = list_pages(l, err);
  mle_free(whole);
  return status;
}

mle_status mle_s3_list(const char *folder, mle_store_visit visit, void *context, mle_error *err) {
  listing l = {.visit = visit, .context = context};
  return list(&l, folder, err);
}

mle_status mle_s3_list_names(const char *folder, mle_store_visit_name visit, void *context,
                             mle_error *err) {
  listing l = {.names = true, .visit_name = visit, .context = context};
  return list(&l, folder, err);
}
