/*
 * rest.h -- a REST catalog's server: what it is asked, and what it meant; internal to catalog_rest*.c.
 *
 *     mle_irc_request request = {.endpoint = MLE_IRC_LOAD_TABLE, .name = {"bank", "trx"}};
 *     MLE_GO(mle_irc_call(server, &request, &answer, err));
 *   done:
 *     mle_json_free(answer);
 *
 * Spec: open-api/rest-catalog-open-api.yaml. The first call asks the server for its
 * configuration: defaults below, overrides above the properties that were given, a
 * prefix for paths, and the endpoints it has. Reads are repeated while the server is
 * not well; what changes something is sent once, and a change of unknown outcome
 * fails with EUNKNOWN, or is looked up (`is_done`) and asked for again. No message holds a secret, though the server may repeat one.
 */
#ifndef MLE_ICEBERG_REST_H
#define MLE_ICEBERG_REST_H

#include "engine/iceberg/catalog_class.h"
#include "engine/iceberg/rest_auth.h"

typedef enum mle_irc_endpoint {
  MLE_IRC_CONFIG,
  MLE_IRC_LIST_NAMESPACES,
  MLE_IRC_CREATE_NAMESPACE,
  MLE_IRC_LOAD_NAMESPACE,
  MLE_IRC_NAMESPACE_EXISTS,
  MLE_IRC_UPDATE_NAMESPACE,
  MLE_IRC_DROP_NAMESPACE,
  MLE_IRC_LIST_TABLES,
  MLE_IRC_CREATE_TABLE,
  MLE_IRC_LOAD_TABLE,
  MLE_IRC_TABLE_EXISTS,
  MLE_IRC_COMMIT_TABLE,
  MLE_IRC_DROP_TABLE,
  MLE_IRC_REGISTER_TABLE,
  MLE_IRC_RENAME_TABLE,
  MLE_IRC_LOAD_CREDENTIALS,
} mle_irc_endpoint;

typedef struct mle_irc mle_irc;

/* Touches nothing yet. */
mle_status mle_irc_open(const mle_property *properties, size_t count, mle_irc **out,
                        mle_error *err);
void mle_irc_close(mle_irc *server); /* NULL is ignored */

typedef struct mle_irc_request {
  mle_irc_endpoint endpoint;
  mle_table_name name;       /* what the endpoint's path names; NULL: it does not */
  const char *const *query;  /* keys and values in turn, NULL at the end; NULL: none */
  mle_json *body;            /* freed by the call, which fails when it is incomplete; NULL: none */
  /* Of a change that may be asked for twice: whether it took place. NULL: it fails where that is not known. */
  mle_status (*is_done)(void *context, bool *out, mle_error *err);
  void *context;
} mle_irc_request;

/*
 * `*out` is the answer, freed by the caller; `out` may be NULL. ENOTFOUND, EEXISTS,
 * ECONFLICT, EINVAL, EREFUSED (who asks may not) and EUNSUPPORTED are the server's
 * word, and nothing changed; EIO: it could not be reached, or it is not well.
 */
mle_status mle_irc_call(mle_irc *server, const mle_irc_request *request, mle_json **out,
                        mle_error *err);

/* Whether the server has the endpoint. */
mle_status mle_irc_has(mle_irc *server, mle_irc_endpoint endpoint, bool *out, mle_error *err);

/* A property as it holds now, the server's included; NULL when absent. Asks nothing. */
const char *mle_irc_property(const mle_irc *server, const char *key);

/* All of them, as they hold now. */
const mle_property *mle_irc_properties(const mle_irc *server, size_t *count);

/* "a.b" as the array ["a", "b"]. */
void mle_irc_add_namespace(mle_json *to, const char *key, const char *space);

#endif
