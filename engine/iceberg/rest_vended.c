#include "engine/iceberg/rest_vended.h"

#include <string.h>

#include "engine/base/alloc.h"
#include "engine/store/grant.h"

/* What a grant holds on to, to ask again. */
typedef struct vended {
  mle_arena arena;
  const mle_property *properties; /* that the catalog was opened with */
  size_t num_properties;
  mle_table_name name;
  const char *prefix;
} vended;

/* ====== What an answer has ====== */

typedef struct list {
  mle_arena *arena;
  mle_property *items; /* the first of a key counts */
  size_t count;
} list;

static mle_status put(list *to, const char *key, const char *value, mle_error *err) {
  mle_property *longer = mle_arena_grow(to->arena, to->items, to->count, sizeof *longer);
  if (longer == NULL) return mle_nomem(err, "taking credentials");
  to->items = longer;
  MLE_TRY(mle_arena_copy(to->arena, key, &longer[to->count].key, err));
  MLE_TRY(mle_arena_copy(to->arena, value, &longer[to->count].value, err));
  to->count++;
  return MLE_OK;
}

static mle_status put_config(list *to, const mle_json_at *at, mle_error *err) {
  mle_json_at config, item;
  const char *value;
  if (!mle_json_find(at, "config", &config)) return MLE_OK;
  for (bool more = mle_json_first(&config, &item); more; more = mle_json_next(&item)) {
    MLE_TRY(mle_json_text(&item, &value, err));
    MLE_TRY(put(to, item.key, value, err));
  }
  return MLE_OK;
}

/* The credential whose prefix is the longest that begins `uri`; false when none does. */
static mle_status find_credential(const mle_json_at *root, const char *uri, mle_json_at *all,
                                  mle_json_at *out, bool *found, mle_error *err) {
  mle_json_at item;
  const char *prefix;
  size_t longest = 0;
  *found = false;
  if (!mle_json_find(root, "storage-credentials", all)) return MLE_OK;
  for (bool more = mle_json_first(all, &item); more; more = mle_json_next(&item)) {
    MLE_TRY(mle_json_get_text(&item, "prefix", &prefix, err));
    size_t len = strlen(prefix);
    if (strncmp(prefix, uri, len) != 0 || (*found && len <= longest)) continue;
    *out = item;
    *found = true;
    longest = len;
  }
  return MLE_OK;
}

/* Strongest first: the credential, the table's configuration, the catalog's properties. */
static mle_status collect(const mle_irc *server, const mle_json *answer, const char *uri,
                          mle_arena *arena, const mle_property **out, size_t *count,
                          mle_error *err) {
  mle_json_at root = mle_json_root(answer), all, credential;
  list found = {.arena = arena};
  bool has_one;
  size_t num_merged;
  const mle_property *merged = mle_irc_properties(server, &num_merged);
  MLE_TRY(find_credential(&root, uri, &all, &credential, &has_one, err));
  if (has_one) MLE_TRY(put_config(&found, &credential, err));
  MLE_TRY(put_config(&found, &root, err));
  for (size_t i = 0; i < num_merged; i++)
    MLE_TRY(put(&found, merged[i].key, merged[i].value, err));
  *out = found.items;
  *count = found.count;
  return MLE_OK;
}

/* ====== Asking again ====== */

static void release(void *context) {
  vended *v = context;
  mle_arena_release(&v->arena);
  mle_free(v);
}

static mle_status renew(void *context, mle_arena *arena, const mle_property **properties,
                        size_t *count, mle_error *err) {
  const vended *v = context;
  mle_irc *server;
  mle_json *answer = NULL;
  bool short_way;
  mle_status status;
  MLE_TRY(mle_irc_open(v->properties, v->num_properties, &server, err));
  MLE_GO(mle_irc_has(server, MLE_IRC_LOAD_CREDENTIALS, &short_way, err));
  mle_irc_request request = {.endpoint = short_way ? MLE_IRC_LOAD_CREDENTIALS : MLE_IRC_LOAD_TABLE,
                             .name = v->name};
  MLE_GO(mle_irc_call(server, &request, &answer, err));
  status = collect(server, answer, v->prefix, arena, properties, count, err);
done:
  mle_json_free(answer);
  mle_irc_close(server);
  return status == MLE_OK ? MLE_OK : mle_context(err, "renewing the credentials of %s", v->prefix);
}

static mle_status remember(const mle_rest_catalog *c, const mle_table_name *name,
                           const char *prefix, vended **out, mle_error *err) {
  const mle_catalog *base = &c->base;
  mle_status status;
  vended *v = mle_calloc(1, sizeof *v);
  *out = NULL;
  if (v == NULL) return mle_nomem(err, "taking credentials");
  list kept = {.arena = &v->arena};
  for (size_t i = 0; i < base->num_properties; i++)
    MLE_GO(put(&kept, base->properties[i].key, base->properties[i].value, err));
  v->properties = kept.items;
  v->num_properties = kept.count;
  MLE_GO(mle_arena_copy(&v->arena, name->space, &v->name.space, err));
  MLE_GO(mle_arena_copy(&v->arena, name->name, &v->name.name, err));
  MLE_GO(mle_arena_copy(&v->arena, prefix, &v->prefix, err));
  *out = v;
  v = NULL;
done:
  if (v != NULL) release(v);
  return status;
}

/* ====== Granting ====== */

static mle_status grant(const mle_rest_catalog *c, const mle_table_name *name,
                        const mle_json *answer, const char *uri, mle_error *err) {
  mle_arena arena = MLE_ARENA;
  mle_grant_request request = {.renew = renew, .release = release};
  vended *context;
  mle_status status;
  size_t len = strlen(uri);
  if (!mle_store_needs_grant(uri)) return MLE_OK;
  request.prefix = mle_arena_format(&arena, "%s%s", uri, len > 0 && uri[len - 1] == '/' ? "" : "/");
  request.owner = mle_arena_format(&arena, "catalog '%s'", c->base.name);
  if (request.prefix == NULL || request.owner == NULL) MLE_GO(mle_nomem(err, "taking credentials"));
  MLE_GO(collect(c->server, answer, request.prefix, &arena, &request.properties,
                 &request.num_properties, err));
  MLE_GO(remember(c, name, request.prefix, &context, err));
  request.context = context;
  status = mle_store_grant(&request, err); /* also gives the context back when it fails */
done:
  mle_arena_release(&arena);
  return status;
}

mle_status mle_rest_vended_grant(const mle_rest_catalog *catalog, const mle_table_name *name,
                                 const mle_json *answer, mle_error *err) {
  static const char *const elsewhere[] = {"write.data.path", "write.metadata.path"};
  mle_json_at root = mle_json_root(answer), metadata, properties, all, item;
  const char *uri;
  MLE_TRY(mle_json_get_object(&root, "metadata", &metadata, err));
  MLE_TRY(mle_json_get_text(&metadata, "location", &uri, err));
  MLE_TRY(grant(catalog, name, answer, uri, err));
  if (mle_json_find(&root, "storage-credentials", &all))
    for (bool more = mle_json_first(&all, &item); more; more = mle_json_next(&item)) {
      MLE_TRY(mle_json_get_text(&item, "prefix", &uri, err));
      MLE_TRY(grant(catalog, name, answer, uri, err));
    }
  if (!mle_json_find(&metadata, "properties", &properties)) return MLE_OK;
  for (size_t i = 0; i < sizeof elsewhere / sizeof *elsewhere; i++) {
    MLE_TRY(mle_json_opt_text(&properties, elsewhere[i], NULL, &uri, err));
    if (uri != NULL) MLE_TRY(grant(catalog, name, answer, uri, err));
  }
  return MLE_OK;
}
