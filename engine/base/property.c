#include "engine/base/property.h"

#include <string.h>

const char *mle_property_find(const mle_property *properties, size_t count, const char *key) {
  for (size_t i = 0; i < count; i++)
    if (strcmp(properties[i].key, key) == 0)
      return properties[i].value[0] == '\0' ? NULL : properties[i].value;
  return NULL;
}
