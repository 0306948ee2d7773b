/* catalog_open.c -- which kind of catalog properties mean, and what every kind keeps */
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/iceberg/catalog_class.h"

static const mle_catalog_class *const classes[] = {&mle_catalog_sql, &mle_catalog_rest,
                                                 &mle_catalog_hadoop, &mle_catalog_static};
static const char *guess_type(const mle_property *properties, size_t count) {
  const char *uri = mle_property_find(properties, count, "uri");
  if (uri == NULL) return NULL;
  if (strncmp(uri, "sqlite", 6) == 0 || strncmp(uri, "jdbc:sqlite", 11) == 0) return "sql";
  if (strncmp(uri, "http", 4) == 0) return "rest";
  if (strncmp(uri, "thrift", 6) == 0) return "hive";
  return "sql";
}

/* Kinds that PyIceberg has and we have not, and how else their tables may be reached. */
static const struct {
  const char *type, *instead;
} absent[] = {
    {"hive", "; a Hive Metastore's tables can be read as 'static', by their metadata file"},
    {"glue", "; Glue has a REST endpoint: type 'rest' with rest.sigv4-enabled"},
    {"dynamodb", ""},
    {"bigquery", ""},
    {"in-memory", ""},
};

static mle_status find_class(const char *name, const char *type, const mle_catalog_class **out,
                             mle_error *err) {
  if (type == NULL)
    return mle_fail(err, MLE_EINVAL,
                    "catalog '%s' has neither a type nor a uri; set catalogs.%s.uri", name, name);
  for (size_t i = 0; i < sizeof classes / sizeof *classes; i++) {
    *out = classes[i];
    if (strcmp(classes[i]->type, type) == 0) return MLE_OK;
  }
  const char *instead = "";
  for (size_t i = 0; i < sizeof absent / sizeof *absent; i++)
    if (strcmp(absent[i].type, type) == 0) instead = absent[i].instead;
  return mle_fail(err, MLE_EUNSUPPORTED,
                  "catalog '%s' has type '%.60s', which this version does not open; it opens 'sql' "
                  "(SQLite, PostgreSQL), 'rest', 'hadoop' and 'static'%s",
                  name, type, instead);
}

char *mle_catalog_without_slash(const char *uri) {
  size_t len = strlen(uri);
  while (len > 1 && uri[len - 1] == '/') len--;
  return mle_strndup(uri, len);
}

static mle_status parse_rewrites(const mle_property *properties, size_t count, mle_json **out,
                                 mle_error *err) {
  const char *text = mle_property_find(properties, count, "location-rewrite");
  *out = NULL;
  if (text == NULL) return MLE_OK;
  mle_status status = mle_json_parse(text, strlen(text), out, err);
  mle_json_at root = mle_json_root(*out);
  if (status == MLE_OK && !mle_json_is_object(&root))
    status = mle_fail(err, MLE_EINVAL, "write it as { [\"s3://old/\"] = \"/new/\" }");
  return status == MLE_OK ? MLE_OK : mle_context(err, "location-rewrite");
}

static mle_status copy_properties(mle_catalog *catalog, const mle_property *properties,
                                  size_t count, mle_error *err) {
  catalog->memory = MLE_ARENA;
  catalog->properties = mle_arena_array(&catalog->memory, count, sizeof *catalog->properties);
  if (catalog->properties == NULL) return mle_nomem(err, "opening a catalog");
  for (size_t i = 0; i < count; i++) {
    mle_property *to = &catalog->properties[i];
    MLE_TRY(mle_arena_copy(&catalog->memory, properties[i].key, &to->key, err));
    MLE_TRY(mle_arena_copy(&catalog->memory, properties[i].value, &to->value, err));
  }
  catalog->num_properties = count;
  return MLE_OK;
}

mle_status mle_catalog_open(const char *name, const mle_property *properties, size_t count,
                            mle_catalog **out, mle_error *err) {
  const mle_catalog_class *class;
  const char *type = mle_property_find(properties, count, "type");
  const char *warehouse = mle_property_find(properties, count, "warehouse");
  *out = NULL;
  if (type == NULL) type = guess_type(properties, count);
  MLE_TRY(find_class(name, type, &class, err));
  mle_catalog *catalog;
  mle_status status = class->open(properties, count, &catalog, err);
  if (status != MLE_OK) return mle_context(err, "catalog '%s'", name);
  catalog->class = class;
  catalog->name = mle_strdup(name);
  catalog->warehouse = warehouse == NULL ? NULL : mle_catalog_without_slash(warehouse);
  status = copy_properties(catalog, properties, count, err);
  if (status == MLE_OK) status = parse_rewrites(properties, count, &catalog->rewrites, err);
  if (status != MLE_OK) {
    mle_catalog_close(catalog);
    return mle_context(err, "catalog '%s'", name);
  }
  if (catalog->name != NULL && (warehouse == NULL || catalog->warehouse != NULL)) {
    *out = catalog;
    return MLE_OK;
  }
  mle_catalog_close(catalog);
  return mle_nomem(err, "opening a catalog");
}

void mle_catalog_close(mle_catalog *catalog) {
  if (catalog == NULL) return;
  mle_free(catalog->name);
  mle_free(catalog->warehouse);
  mle_json_free(catalog->rewrites);
  mle_arena_release(&catalog->memory);
  catalog->class->close(catalog);
}

const char *mle_catalog_name(const mle_catalog *catalog) { return catalog->name; }
