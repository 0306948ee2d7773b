/*
 * catalog_rest.c -- a catalog behind a REST server, which places tables and writes their metadata.
 *
 * Tables whose files could be read only by remote signing, or planned only by the
 * server, are refused by name.
 */
#include "engine/iceberg/catalog_rest.h"

#include <string.h>
#include <strings.h>

#include "engine/base/alloc.h"
#include "engine/iceberg/partition_spec.h"
#include "engine/iceberg/rest_vended.h"

#define DEPTH_MAX 8       /* levels of namespaces that are listed */
#define NAMES_MAX 100000  /* names of one list */

static mle_irc *server_of(mle_catalog *catalog) { return ((mle_rest_catalog *)catalog)->server; }

static mle_status open_rest(const mle_property *properties, size_t count, mle_catalog **out,
                            mle_error *err) {
  mle_rest_catalog *c = mle_calloc(1, sizeof *c);
  *out = NULL;
  if (c == NULL) return mle_nomem(err, "opening a catalog");
  mle_status status = mle_irc_open(properties, count, &c->server, err);
  if (status == MLE_OK)
    *out = &c->base;
  else
    mle_free(c);
  return status;
}

static void close_rest(mle_catalog *catalog) {
  mle_irc_close(server_of(catalog));
  mle_free(catalog);
}

/* ====== Lists ====== */

typedef mle_status (*take_item)(const mle_json_at *item, mle_names *out, mle_error *err);

/* ["a", "b"] as "a.b". */
static mle_status add_namespace(const mle_json_at *levels, mle_names *out, mle_error *err) {
  mle_buffer text = MLE_BUFFER(4096);
  mle_json_at level;
  const char *name;
  mle_status status = MLE_OK;
  for (bool more = mle_json_first(levels, &level); more && status == MLE_OK;
       more = mle_json_next(&level)) {
    status = mle_json_text(&level, &name, err);
    if (status == MLE_OK) status = mle_buffer_printf(&text, err, "%s%s", text.len == 0 ? "" : ".", name);
  }
  if (status == MLE_OK && text.len > 0) status = mle_names_add(out, text.data, err);
  mle_buffer_release(&text);
  return status;
}

static mle_status add_table(const mle_json_at *identifier, mle_names *out, mle_error *err) {
  const char *name;
  MLE_TRY(mle_json_get_text(identifier, "name", &name, err));
  return mle_names_add(out, name, err);
}

/* One page; `next` is the token of the one after it, NULL at the end. */
static mle_status take_page(const mle_json *answer, const char *key, take_item take,
                            mle_names *out, mle_arena *memory, const char **next, mle_error *err) {
  mle_json_at root = mle_json_root(answer), list, item;
  const char *token;
  MLE_TRY(mle_json_get_array(&root, key, &list, err));
  for (bool more = mle_json_first(&list, &item); more; more = mle_json_next(&item))
    MLE_TRY(take(&item, out, err));
  MLE_TRY(mle_json_opt_text(&root, "next-page-token", NULL, &token, err));
  if (out->count > NAMES_MAX)
    return mle_fail(err, MLE_EREFUSED, "the list has more than %d names", NAMES_MAX);
  if (token != NULL && *next != NULL && strcmp(token, *next) == 0)
    return mle_fail(err, MLE_EFORMAT, "a page is followed by itself");
  return mle_arena_copy(memory, token == NULL || *token == '\0' ? NULL : token, next, err);
}

/* All pages of a list. `space` NULL: of the catalog. */
static mle_status list(mle_irc *server, mle_irc_endpoint endpoint, const char *space,
                       const char *key, take_item take, mle_names *out, mle_error *err) {
  mle_arena memory = MLE_ARENA;
  const char *token = "", *size = mle_irc_property(server, "rest-page-size");
  mle_status status;
  do {
    const char *query[7] = {"pageToken", token};
    size_t count = 2;
    mle_json *answer = NULL;
    if (size != NULL) query[count++] = "pageSize", query[count++] = size;
    if (endpoint == MLE_IRC_LIST_NAMESPACES && space != NULL)
      query[count++] = "parent", query[count++] = space;
    mle_irc_request request = {.endpoint = endpoint, .name = {space, NULL}, .query = query};
    status = mle_irc_call(server, &request, &answer, err);
    if (status == MLE_OK) status = take_page(answer, key, take, out, &memory, &token, err);
    mle_json_free(answer);
  } while (status == MLE_OK && token != NULL);
  mle_arena_release(&memory);
  return status;
}

/* Whether `name` is `space` and one level more; not every server keeps to `parent`. */
static bool is_below(const char *name, const char *space) {
  size_t len = strlen(space);
  return strncmp(name, space, len) == 0 && name[len] == '.';
}

static mle_status list_below(mle_irc *server, const char *space, int depth, mle_names *out,
                             mle_error *err) {
  mle_names found = {.arena = MLE_ARENA};
  mle_status status = list(server, MLE_IRC_LIST_NAMESPACES, space, "namespaces", add_namespace,
                           &found, err);
  for (size_t i = 0; i < found.count && status == MLE_OK; i++) {
    if (space != NULL && !is_below(found.items[i], space)) continue;
    status = mle_names_add(out, found.items[i], err);
    if (status == MLE_OK && depth < DEPTH_MAX)
      status = list_below(server, found.items[i], depth + 1, out, err);
  }
  mle_names_release(&found);
  return status;
}

static mle_status list_namespaces(mle_catalog *catalog, mle_names *out, mle_error *err) {
  return list_below(server_of(catalog), NULL, 1, out, err);
}

static mle_status list_tables(mle_catalog *catalog, const char *space, mle_names *out,
                              mle_error *err) {
  return list(server_of(catalog), MLE_IRC_LIST_TABLES, space, "identifiers", add_table, out, err);
}

/* ====== What became of a change ====== */

/* What was asked for, while its outcome is looked up. */
typedef struct wish {
  mle_catalog *catalog;
  mle_table_name name, from; /* the table that is to be there; that is not to be there. NULL: none */
  const char *location;      /* of its metadata; NULL: any */
} wish;

static mle_status has_table(mle_catalog *catalog, const mle_table_name *name, bool *out, mle_error *err);
static mle_status has_namespace(mle_catalog *catalog, const char *space, bool *out, mle_error *err);
static mle_status load(mle_catalog *catalog, const mle_table_name *name, mle_table **out, mle_error *err);

static mle_status is_at(const wish *w, bool *out, mle_error *err) {
  mle_table *table;
  mle_status status = load(w->catalog, &w->name, &table, err);
  *out = status == MLE_OK && strcmp(table->metadata_location, w->location) == 0;
  mle_table_free(table);
  return status == MLE_ENOTFOUND ? MLE_OK : status;
}

static mle_status is_table_there(void *context, bool *out, mle_error *err) {
  const wish *w = context;
  bool from = false, to = true;
  if (w->from.name != NULL) MLE_TRY(has_table(w->catalog, &w->from, &from, err));
  if (w->location != NULL) MLE_TRY(is_at(w, &to, err));
  else if (w->name.name != NULL) MLE_TRY(has_table(w->catalog, &w->name, &to, err));
  *out = to && !from;
  return MLE_OK;
}

static mle_status is_namespace_there(void *context, bool *out, mle_error *err) {
  const wish *w = context;
  return has_namespace(w->catalog, w->name.space, out, err);
}

static mle_status is_namespace_gone(void *context, bool *out, mle_error *err) {
  MLE_TRY(is_namespace_there(context, out, err));
  *out = !*out;
  return MLE_OK;
}

/* Setting the same again is no harm. */
static mle_status is_never_known(void *context, bool *out, mle_error *err) {
  (void)context, (void)err;
  *out = false;
  return MLE_OK;
}

/* ====== Namespaces ====== */

/* Asks by HEAD where the server has it; by reading the thing itself where not. */
static mle_status exists(mle_irc *server, mle_irc_endpoint head, mle_irc_endpoint get,
                         const mle_table_name *name, bool *out, mle_error *err) {
  bool has_head;
  mle_json *answer = NULL;
  *out = false;
  MLE_TRY(mle_irc_has(server, head, &has_head, err));
  mle_irc_request request = {.endpoint = has_head ? head : get, .name = *name};
  mle_status status = mle_irc_call(server, &request, &answer, err);
  mle_json_free(answer);
  *out = status == MLE_OK;
  return status == MLE_ENOTFOUND ? MLE_OK : status;
}

static mle_status has_namespace(mle_catalog *catalog, const char *space, bool *out,
                                mle_error *err) {
  const mle_table_name name = {space, NULL};
  return exists(server_of(catalog), MLE_IRC_NAMESPACE_EXISTS, MLE_IRC_LOAD_NAMESPACE, &name, out,
                err);
}

static void add_pairs(mle_json *to, const char *key, const mle_property *pairs, size_t count) {
  mle_json *object = mle_json_add_object(to, key);
  for (size_t i = 0; i < count; i++) mle_json_add_text(object, pairs[i].key, pairs[i].value);
}

/* One that another made in between is there, which is what was asked for. */
static mle_status create_namespace(mle_catalog *catalog, const char *space, mle_error *err) {
  mle_json *body = mle_json_new_object();
  mle_irc_add_namespace(body, "namespace", space);
  add_pairs(body, "properties", NULL, 0);
  wish w = {.catalog = catalog, .name = {space, NULL}};
  mle_irc_request request = {.endpoint = MLE_IRC_CREATE_NAMESPACE, .body = body,
                             .is_done = is_namespace_there, .context = &w};
  mle_status status = mle_irc_call(server_of(catalog), &request, NULL, err);
  return status == MLE_EEXISTS || status == MLE_ECONFLICT ? MLE_OK : status;
}

static mle_status drop_namespace(mle_catalog *catalog, const char *space, mle_error *err) {
  wish w = {.catalog = catalog, .name = {space, NULL}};
  mle_irc_request request = {.endpoint = MLE_IRC_DROP_NAMESPACE, .name = {space, NULL},
                             .is_done = is_namespace_gone, .context = &w};
  return mle_irc_call(server_of(catalog), &request, NULL, err);
}

static mle_status take_properties(const mle_json *answer, mle_properties *out, mle_error *err) {
  mle_json_at root = mle_json_root(answer), all, item;
  const char *value;
  if (!mle_json_find(&root, "properties", &all)) return MLE_OK;
  for (bool more = mle_json_first(&all, &item); more; more = mle_json_next(&item)) {
    MLE_TRY(mle_json_text(&item, &value, err));
    MLE_TRY(mle_properties_add(out, item.key, value, err));
  }
  return MLE_OK;
}

static mle_status namespace_properties(mle_catalog *catalog, const char *space,
                                       mle_properties *out, mle_error *err) {
  mle_irc_request request = {.endpoint = MLE_IRC_LOAD_NAMESPACE, .name = {space, NULL}};
  mle_json *answer;
  MLE_TRY(mle_irc_call(server_of(catalog), &request, &answer, err));
  mle_status status = take_properties(answer, out, err);
  mle_json_free(answer);
  return status;
}

static mle_status update_namespace(mle_catalog *catalog, const char *space,
                                   const mle_namespace_change *change, mle_error *err) {
  mle_json *body = mle_json_new_object(), *removals = mle_json_add_array(body, "removals");
  for (size_t i = 0; i < change->num_removals; i++)
    mle_json_add_text(removals, NULL, change->removals[i]);
  add_pairs(body, "updates", change->updates, change->num_updates);
  mle_irc_request request = {
      .endpoint = MLE_IRC_UPDATE_NAMESPACE, .name = {space, NULL}, .body = body,
      .is_done = is_never_known};
  return mle_irc_call(server_of(catalog), &request, NULL, err);
}

/* ====== Tables ====== */

static mle_status has_table(mle_catalog *catalog, const mle_table_name *name, bool *out,
                            mle_error *err) {
  return exists(server_of(catalog), MLE_IRC_TABLE_EXISTS, MLE_IRC_LOAD_TABLE, name, out, err);
}

/* What the answer's `config` asks of us that this version has not. */
static mle_status check_config(const mle_json_at *root, const char *location, mle_error *err) {
  mle_json_at config;
  const char *planning, *signing;
  if (!mle_json_find(root, "config", &config)) return MLE_OK;
  MLE_TRY(mle_json_opt_text(&config, "scan-planning-mode", "", &planning, err));
  MLE_TRY(mle_json_opt_text(&config, "s3.remote-signing-enabled", "", &signing, err));
  if (strcasecmp(planning, "server") == 0 || strcasecmp(planning, "catalog") == 0)
    return mle_fail(err, MLE_EUNSUPPORTED,
                    "its scans are planned by the server (scan-planning-mode), which this version "
                    "does not do");
  if (strcasecmp(signing, "true") == 0 && strncmp(location, "s3", 2) == 0)
    return mle_fail(err, MLE_EUNSUPPORTED,
                    "its files are to be read by remote signing (s3.remote-signing-enabled), which "
                    "this version does not do; let the catalog vend credentials");
  return MLE_OK;
}

mle_status mle_rest_catalog_take(const mle_table_name *name, const mle_json *answer,
                                 mle_table **out, mle_error *err) {
  mle_json_at root = mle_json_root(answer), metadata;
  const char *location, *where;
  *out = NULL;
  MLE_TRY(mle_json_get_object(&root, "metadata", &metadata, err));
  MLE_TRY(mle_json_opt_text(&root, "metadata-location", "", &location, err));
  MLE_TRY(mle_json_opt_text(&metadata, "location", "", &where, err));
  MLE_TRY(check_config(&root, where, err));
  mle_json *doc = mle_json_new_object(), *copy = mle_json_add_copy(doc, "m", metadata.node);
  char *text = copy == NULL ? NULL : mle_json_print(copy, false);
  mle_json_free(doc);
  if (text == NULL) return mle_nomem(err, "loading a table");
  const mle_buffer view = {.data = text, .len = strlen(text)};
  mle_status status = mle_table_parse(name, location, &view, out, err);
  mle_free(text);
  return status;
}

static mle_status load(mle_catalog *catalog, const mle_table_name *name, mle_table **out,
                       mle_error *err) {
  char label[MLE_TABLE_LABEL];
  mle_irc_request request = {.endpoint = MLE_IRC_LOAD_TABLE, .name = *name};
  mle_json *answer;
  *out = NULL;
  mle_status status = mle_irc_call(server_of(catalog), &request, &answer, err);
  if (status == MLE_ENOTFOUND) return mle_catalog_not_found(catalog, name, err);
  if (status != MLE_OK) return mle_context(err, "table %s", mle_table_label(name, label));
  status = mle_rest_catalog_take(name, answer, out, err);
  if (status == MLE_OK) {
    status = mle_rest_vended_grant((mle_rest_catalog *)catalog, name, answer, err);
    if (status != MLE_OK) mle_table_free(*out);
    if (status != MLE_OK) *out = NULL;
  }
  mle_json_free(answer);
  return status == MLE_OK ? MLE_OK : mle_context(err, "table %s", mle_table_label(name, label));
}

static mle_status create_table(mle_catalog *catalog, const mle_table_name *name,
                               const mle_new_table *table, mle_error *err) {
  mle_json *body = mle_json_new_object();
  mle_json_add_text(body, "name", name->name);
  if (table->location != NULL) mle_json_add_text(body, "location", table->location);
  mle_schema_add_json(body, "schema", table->schema);
  mle_partition_spec_add_json(body, "partition-spec", table->spec);
  mle_json *order = mle_json_add_object(body, "write-order");
  mle_json_add_int(order, "order-id", 0);
  mle_json_add_array(order, "fields");
  mle_json_add_bool(body, "stage-create", false);
  mle_json *properties = mle_json_add_object(body, "properties");
  for (size_t i = 0; i < table->num_properties; i++)
    mle_json_add_text(properties, table->properties[i].key, table->properties[i].value);
  if (mle_property_find(table->properties, table->num_properties, "format-version") == NULL)
    mle_json_add_text(properties, "format-version", "2");
  wish w = {.catalog = catalog, .name = *name};
  mle_irc_request request = {.endpoint = MLE_IRC_CREATE_TABLE, .name = {name->space, NULL}, .body = body,
                             .is_done = is_table_there, .context = &w};
  mle_status status = mle_irc_call(server_of(catalog), &request, NULL, err);
  if (status != MLE_ECONFLICT) return status;
  if (err != NULL) err->status = MLE_EEXISTS, err->retryable = false;
  return MLE_EEXISTS;
}

static mle_status drop_table(mle_catalog *catalog, const mle_table_name *name, mle_error *err) {
  static const char *const query[] = {"purgeRequested", "false", NULL};
  wish w = {.catalog = catalog, .from = *name};
  mle_irc_request request = {.endpoint = MLE_IRC_DROP_TABLE, .name = *name, .query = query,
                             .is_done = is_table_there, .context = &w};
  mle_status status = mle_irc_call(server_of(catalog), &request, NULL, err);
  return status == MLE_ENOTFOUND ? mle_catalog_not_found(catalog, name, err) : status;
}

static void add_identifier(mle_json *to, const char *key, const mle_table_name *name) {
  mle_json *object = mle_json_add_object(to, key);
  mle_irc_add_namespace(object, "namespace", name->space);
  mle_json_add_text(object, "name", name->name);
}

static mle_status rename_table(mle_catalog *catalog, const mle_table_name *from,
                               const mle_table_name *to, mle_error *err) {
  mle_json *body = mle_json_new_object();
  add_identifier(body, "source", from);
  add_identifier(body, "destination", to);
  wish w = {.catalog = catalog, .name = *to, .from = *from};
  mle_irc_request request = {.endpoint = MLE_IRC_RENAME_TABLE, .body = body,
                             .is_done = is_table_there, .context = &w};
  mle_status status = mle_irc_call(server_of(catalog), &request, NULL, err);
  return status == MLE_ENOTFOUND ? mle_catalog_not_found(catalog, from, err) : status;
}

static mle_status register_table(mle_catalog *catalog, const mle_table_name *name,
                                 const char *location, mle_error *err) {
  mle_json *body = mle_json_new_object();
  mle_json_add_text(body, "name", name->name);
  mle_json_add_text(body, "metadata-location", location);
  wish w = {.catalog = catalog, .name = *name, .location = location};
  mle_irc_request request = {.endpoint = MLE_IRC_REGISTER_TABLE, .name = {name->space, NULL}, .body = body,
                             .is_done = is_table_there, .context = &w};
  return mle_irc_call(server_of(catalog), &request, NULL, err);
}

const mle_catalog_class mle_catalog_rest = {
    .type = "rest",
    .places_tables = true,
    .grants = true,
    .open = open_rest,
    .close = close_rest,
    .create_namespace = create_namespace,
    .has_namespace = has_namespace,
    .drop_namespace = drop_namespace,
    .namespace_properties = namespace_properties,
    .update_namespace = update_namespace,
    .list_namespaces = list_namespaces,
    .list_tables = list_tables,
    .create_table = create_table,
    .load = load,
    .has_table = has_table,
    .drop_table = drop_table,
    .rename_table = rename_table,
    .register_table = register_table,
    .commit = mle_rest_catalog_commit,
};
