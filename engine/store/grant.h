/*
 * grant.h -- how objects below a prefix are reached: an endpoint and credentials.
 *
 *     const mle_grant_request request = {.prefix = "s3://lake/bank/trx/", .properties = properties,
 *                                        .num_properties = count};
 *     MLE_TRY(mle_store_grant(&request, err));
 *     MLE_TRY(mle_store_read("s3://lake/bank/trx/metadata/v1.metadata.json", &text, err));
 *
 * The longest prefix decides. Properties have PyIceberg's names; what they leave open is
 * taken from AWS's own variables, files and services. Where no prefix fits, those alone
 * decide. Any thread may call.
 *
 *     s3.endpoint, s3.region, s3.access-key-id, s3.secret-access-key, s3.session-token,
 *     s3.session-token-expires-at-ms, s3.force-virtual-addressing, s3.path-style-access,
 *     s3.anonymous, s3.profile-name, s3.proxy-uri, s3.connect-timeout, s3.request-timeout,
 *     ssl.cabundle, and client.* where s3.* says nothing
 */
#ifndef MLE_STORE_GRANT_H
#define MLE_STORE_GRANT_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/base/arena.h"
#include "engine/base/property.h"
#include "engine/http/aws_sign.h"

/*
 * Asks for properties that hold longer, e.g. a catalog that vends credentials. What it
 * gives lives in `arena` and takes the place of all earlier ones. It may be called from
 * any thread, by one at a time, and while it runs no object of the grant is reached.
 */
typedef mle_status (*mle_grant_renew)(void *context, mle_arena *arena,
                                      const mle_property **properties, size_t *count,
                                      mle_error *err);

typedef struct mle_grant_request {
  const char *prefix; /* "s3://bucket/", "s3://bucket/a/table/"; s3a and s3n are s3 */
  const mle_property *properties;
  size_t num_properties;
  const char *owner;     /* who grants, for messages: "catalog 'default'"; NULL: nobody */
  bool weak;             /* leaves a prefix that is granted already as it is */
  mle_grant_renew renew; /* called within five minutes of s3.session-token-expires-at-ms; NULL: none */
  void *context;
  void (*release)(void *context); /* called once, also after a failure; NULL: nothing to do */
} mle_grant_request;

/*
 * Grants a prefix, in place of an earlier grant of it; copies what it is given. EREFUSED
 * when the earlier one is for another endpoint: one URI cannot name two objects.
 */
mle_status mle_store_grant(const mle_grant_request *request, mle_error *err);

/* Whether a grant could be for this URI: it is of a kind that needs one. */
bool mle_store_needs_grant(const char *uri);

/* Forgets all grants; for tests. */
void mle_store_forget_grants(void);

/* ====== What a grant comes to; for engine/store and engine/frame ====== */

/* Never changed; held by everyone who uses it. */
typedef struct mle_access {
  int64_t number;       /* another one for each */
  const char *endpoint; /* "https://s3.eu-west-1.amazonaws.com", without a final slash */
  const char *region;
  bool is_aws;          /* the endpoint follows from the region */
  bool virtual_host;    /* bucket.host/key, not host/bucket/key */
  bool anonymous;
  mle_aws_keys keys;
  const char *source;   /* of the keys, for messages: "AWS_ACCESS_KEY_ID" */
  int64_t expires_ms;   /* 0: never */
  const char *proxy, *ca_file; /* NULL: the environment's, the system's */
  int64_t connect_ms, request_ms;
} mle_access;

/* The access to `uri` now; renewed before it expires. Give it back with mle_access_free. */
mle_status mle_store_access(const char *uri, const mle_access **out, mle_error *err);

/* The same, but not `stale`, which a server called expired, if anything newer can be had. */
mle_status mle_store_access_anew(const char *uri, const mle_access *stale, const mle_access **out,
                                 mle_error *err);

void mle_access_free(const mle_access *access); /* gives back a hold; NULL is ignored */

/* What `uri` shares its access with: a prefix with a final slash; owned by the caller. NULL: no memory. */
char *mle_store_scope(const char *uri);

/* The region of a URI's bucket: what a server told of it, else the access's. */
void mle_store_region(const char *uri, const mle_access *access, char *out, size_t size);

/* Takes the access's secrets out of a text that somebody else wrote. */
void mle_access_mask(const mle_access *access, char *text);

#endif
