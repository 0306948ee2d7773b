/*
 * property.h -- texts by name, as catalogs, tables and stores take them.
 *
 *     const char *uri = mle_property_find(properties, count, "uri");
 */
#ifndef MLE_PROPERTY_H
#define MLE_PROPERTY_H

#include <stddef.h>

typedef struct mle_property {
  const char *key, *value;
} mle_property;

/* A property's value; NULL when absent or empty. */
const char *mle_property_find(const mle_property *properties, size_t count, const char *key);

#endif
