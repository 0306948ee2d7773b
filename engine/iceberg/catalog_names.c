/* catalog_names.c -- names of catalogs: which are good, lists of them, namespaces and their properties */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/iceberg/catalog_class.h"

#define NAME_MAX_BYTES 255 /* the columns of the SQL catalog */

/* ====== Lists ====== */

mle_status mle_names_add(mle_names *names, const char *name, mle_error *err) {
  const char **longer = mle_arena_grow(&names->arena, names->items, names->count, sizeof *longer);
  if (longer == NULL) return mle_nomem(err, "listing names");
  names->items = longer;
  MLE_TRY(mle_arena_copy(&names->arena, name, &names->items[names->count], err));
  names->count++;
  return MLE_OK;
}

void mle_names_release(mle_names *names) {
  mle_arena_release(&names->arena);
  *names = (mle_names){.arena = MLE_ARENA};
}

static int by_text(const void *a, const void *b) {
  return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Lists what `status` says was found: sorted, or nothing after a failure. */
static mle_status finish_names(mle_names *names, mle_status status) {
  if (status != MLE_OK)
    mle_names_release(names);
  else if (names->count > 1)
    qsort(names->items, names->count, sizeof *names->items, by_text);
  return status;
}

mle_status mle_properties_add(mle_properties *properties, const char *key, const char *value,
                              mle_error *err) {
  mle_property *longer = mle_arena_grow(&properties->arena, properties->items, properties->count,
                                        sizeof *longer);
  if (longer == NULL) return mle_nomem(err, "listing properties");
  properties->items = longer;
  longer += properties->count;
  MLE_TRY(mle_arena_copy(&properties->arena, key, &longer->key, err));
  MLE_TRY(mle_arena_copy(&properties->arena, value, &longer->value, err));
  properties->count++;
  return MLE_OK;
}

void mle_properties_release(mle_properties *properties) {
  mle_arena_release(&properties->arena);
  *properties = (mle_properties){.arena = MLE_ARENA};
}

static int by_key(const void *a, const void *b) {
  return strcmp(((const mle_property *)a)->key, ((const mle_property *)b)->key);
}
/* ====== Names ====== */

static mle_status check_name(const char *what, const char *name, bool dots, mle_error *err) {
  size_t len = strlen(name);
  bool bad = len == 0 || len > NAME_MAX_BYTES || name[0] == '.' || name[len - 1] == '.' ||
             strstr(name, "..") != NULL || (!dots && strchr(name, '.') != NULL);
  for (const char *at = name; *at != '\0'; at++) bad |= *at == '/' || iscntrl((unsigned char)*at);
  if (!bad) return MLE_OK;
  return mle_fail(err, MLE_EINVAL, "'%.80s' is not a %s name; write it as in bank.cc_trx", name,
                  what);
}

mle_status mle_catalog_check_namespace(const char *space, mle_error *err) {
  return check_name("namespace", space, true, err);
}

mle_status mle_catalog_check_table(const mle_table_name *name, mle_error *err) {
  MLE_TRY(mle_catalog_check_namespace(name->space, err));
  return check_name("table", name->name, false, err);
}

/* ====== Namespaces ====== */

mle_status mle_catalog_create_namespace(mle_catalog *catalog, const char *space, mle_error *err) {
  bool exists;
  MLE_TRY(mle_catalog_check_namespace(space, err));
  MLE_TRY(catalog->class->has_namespace(catalog, space, &exists, err));
  if (exists) return mle_fail(err, MLE_EEXISTS, "namespace '%s' exists already", space);
  return catalog->class->create_namespace(catalog, space, err);
}

mle_status mle_catalog_has_namespace(mle_catalog *catalog, const char *space, bool *out,
                                     mle_error *err) {
  *out = false;
  MLE_TRY(mle_catalog_check_namespace(space, err));
  return catalog->class->has_namespace(catalog, space, out, err);
}

mle_status mle_catalog_list_namespaces(mle_catalog *catalog, mle_names *out, mle_error *err) {
  *out = (mle_names){.arena = MLE_ARENA};
  return finish_names(out, catalog->class->list_namespaces(catalog, out, err));
}

static mle_status need_namespace(mle_catalog *catalog, const char *space, mle_error *err) {
  bool exists;
  MLE_TRY(mle_catalog_has_namespace(catalog, space, &exists, err));
  if (exists) return MLE_OK;
  return mle_fail(err, MLE_ENOTFOUND, "catalog '%s' has no namespace '%s'", catalog->name, space);
}

mle_status mle_catalog_list_tables(mle_catalog *catalog, const char *space, mle_names *out,
                                   mle_error *err) {
  *out = (mle_names){.arena = MLE_ARENA};
  MLE_TRY(need_namespace(catalog, space, err));
  return finish_names(out, catalog->class->list_tables(catalog, space, out, err));
}

mle_status mle_catalog_refuse(const mle_catalog *catalog, const char *what, mle_error *err) {
  return mle_fail(err, MLE_EUNSUPPORTED, "catalog '%s', of type '%s', cannot %s", catalog->name,
                  catalog->class->type, what);
}

mle_status mle_catalog_drop_namespace(mle_catalog *catalog, const char *space, mle_error *err) {
  if (catalog->class->drop_namespace == NULL) return mle_catalog_refuse(catalog, "drop namespaces", err);
  MLE_TRY(need_namespace(catalog, space, err));
  return catalog->class->drop_namespace(catalog, space, err);
}

mle_status mle_catalog_namespace_properties(mle_catalog *catalog, const char *space,
                                            mle_properties *out, mle_error *err) {
  *out = (mle_properties){.arena = MLE_ARENA};
  if (catalog->class->namespace_properties == NULL)
    return mle_catalog_refuse(catalog, "keep properties of namespaces", err);
  MLE_TRY(need_namespace(catalog, space, err));
  mle_status status = catalog->class->namespace_properties(catalog, space, out, err);
  if (status != MLE_OK)
    mle_properties_release(out);
  else if (out->count > 1)
    qsort(out->items, out->count, sizeof *out->items, by_key);
  return status;
}

mle_status mle_catalog_update_namespace(mle_catalog *catalog, const char *space,
                                        const mle_namespace_change *change, mle_error *err) {
  if (catalog->class->update_namespace == NULL)
    return mle_catalog_refuse(catalog, "keep properties of namespaces", err);
  MLE_TRY(need_namespace(catalog, space, err));
  for (size_t i = 0; i < change->num_updates; i++)
    for (size_t j = 0; j < change->num_removals; j++)
      if (strcmp(change->updates[i].key, change->removals[j]) == 0)
        return mle_fail(err, MLE_EINVAL, "property '%.80s' is both set and removed",
                        change->removals[j]);
  return catalog->class->update_namespace(catalog, space, change, err);
}
