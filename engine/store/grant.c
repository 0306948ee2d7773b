#include "engine/store/grant.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "engine/base/alloc.h"
#include "engine/base/clock.h"
#include "engine/store/aws.h"

#define GRANTS_MAX 20000
#define RENEW_BEFORE_MS 300000
#define RENEW_AGAIN_MS 10000 /* after one that failed */
#define MASKED_MIN 4         /* shorter secrets are not looked for in texts */

typedef struct held_access {
  mle_access access; /* first: one is found from the other */
  atomic_int holders;
  mle_arena arena;
} held_access;

typedef struct grant {
  struct grant *next;
  atomic_int holders;
  mle_arena arena; /* of the request's copy */
  const char *prefix, *owner;
  mle_property *properties;
  size_t num_properties;
  mle_grant_renew renew;
  void *context;
  void (*release)(void *context);
  pthread_mutex_t lock; /* guards all below */
  mle_arena renewed_arena;
  const mle_property *renewed; /* in place of `properties`, once renewed */
  size_t num_renewed;
  held_access *access; /* NULL until it is asked for */
  int64_t renew_ms;    /* when to renew it; 0: never */
} grant;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards the list */
static grant *grants;
static size_t num_grants;

static mle_status no_memory(mle_error *err) { return mle_nomem(err, "granting access to a store"); }

/* ====== Accesses ====== */

static held_access *held(const mle_access *access) {
  union {
    const mle_access *from;
    held_access *to;
  } cast = {access};
  return cast.to;
}

void mle_access_free(const mle_access *access) {
  if (access == NULL || atomic_fetch_sub(&held(access)->holders, 1) > 1) return;
  mle_arena arena = held(access)->arena; /* which it lives in itself */
  mle_arena_release(&arena);
}

static void mask_one(char *text, const char *secret) {
  size_t len = secret == NULL ? 0 : strlen(secret);
  if (len < MASKED_MIN) return;
  for (char *at = text; (at = strstr(at, secret)) != NULL; at += len) memset(at, '*', len);
}

void mle_access_mask(const mle_access *access, char *text) {
  mask_one(text, access->keys.secret_access_key);
  mask_one(text, access->keys.session_token);
}

/* ====== From settings to an access ====== */

static bool is_true(const char *value) { return value != NULL && strcasecmp(value, "true") == 0; }

/* What would be done otherwise than it asks for is refused. */
static mle_status refuse(const mle_aws_settings *settings, mle_error *err) {
  const char *sse = mle_aws_property(settings, "sse.type");
  if (mle_aws_property(settings, "role-arn") != NULL)
    return mle_fail(err, MLE_EUNSUPPORTED,
                    "s3.role-arn: this version assumes no roles; give it the role's credentials");
  if (mle_aws_property(settings, "signer") != NULL ||
      is_true(mle_aws_property(settings, "remote-signing-enabled")))
    return mle_fail(err, MLE_EUNSUPPORTED,
                    "s3.signer: this version signs by itself, and asks no catalog to sign");
  if (sse != NULL && strcasecmp(sse, "none") != 0)
    return mle_fail(err, MLE_EUNSUPPORTED, "s3.sse.type = %s: this version does not ask for "
                    "encryption; set it as the bucket's default", sse);
  return MLE_OK;
}

static mle_status read_ms(const mle_aws_settings *settings, const char *name, int64_t fallback,
                          int64_t *out, mle_error *err) {
  const char *text = mle_aws_property(settings, name);
  char *end;
  *out = fallback;
  if (text == NULL) return MLE_OK;
  double seconds = strtod(text, &end);
  if (*end != '\0' || !(seconds > 0 && seconds < 86400))
    return mle_fail(err, MLE_EINVAL, "s3.%s: '%s' is not a number of seconds", name, text);
  *out = (int64_t)(seconds * 1000) + 1;
  return MLE_OK;
}

static mle_status set_endpoint(const mle_aws_settings *settings, mle_arena *arena, mle_access *out,
                               mle_error *err) {
  const char *url = mle_aws_property(settings, "endpoint");
  if (url == NULL) url = mle_aws_variable("AWS_ENDPOINT_URL_S3");
  if (url == NULL) url = mle_aws_variable("AWS_ENDPOINT_URL");
  out->is_aws = url == NULL;
  if (url == NULL) {
    out->endpoint = "";
    return MLE_OK;
  }
  bool plain = strncmp(url, "http://", 7) == 0;
  if (!plain && strncmp(url, "https://", 8) != 0) {
    if (strstr(url, "://") != NULL)
      return mle_fail(err, MLE_EINVAL, "s3.endpoint: '%.60s' is neither http:// nor https://", url);
    url = mle_arena_format(arena, "https://%s", url);
    if (url == NULL) return no_memory(err);
  }
  const char *host = strstr(url, "://") + 3;
  if (strpbrk(host, "@?# ") != NULL || *host == '\0')
    return mle_fail(err, MLE_EINVAL, "s3.endpoint is not a URL of a server, as in https://host:port");
  size_t len = strlen(url);
  while (url[len - 1] == '/') len--;
  out->endpoint = mle_arena_text(arena, url, len);
  return out->endpoint == NULL ? no_memory(err) : MLE_OK;
}

static mle_status set_style(const mle_aws_settings *settings, mle_access *out) {
  const char *virtual_host = mle_aws_property(settings, "force-virtual-addressing");
  const char *path = mle_aws_property(settings, "path-style-access");
  out->virtual_host = out->is_aws;
  if (path != NULL) out->virtual_host = !is_true(path);
  if (is_true(virtual_host)) out->virtual_host = true;
  return MLE_OK;
}

static mle_status set_keys(const mle_aws_settings *settings, mle_arena *arena, mle_access *out,
                           mle_error *err) {
  mle_aws_found found;
  out->anonymous = is_true(mle_aws_property(settings, "anonymous"));
  out->source = "none";
  if (out->anonymous) return MLE_OK;
  MLE_TRY(mle_aws_find(settings, arena, &found, err));
  MLE_TRY(mle_arena_copy(arena, found.keys.access_key_id, &out->keys.access_key_id, err));
  MLE_TRY(mle_arena_copy(arena, found.keys.secret_access_key, &out->keys.secret_access_key, err));
  MLE_TRY(mle_arena_copy(arena, found.keys.session_token, &out->keys.session_token, err));
  const char *const parts[] = {out->keys.access_key_id, out->keys.secret_access_key,
                               out->keys.session_token};
  for (size_t i = 0; i < 3; i++)
    if (parts[i] != NULL && strpbrk(parts[i], "\r\n") != NULL)
      return mle_fail(err, MLE_EINVAL, "the credentials of %s have a line break", found.source);
  out->expires_ms = found.expires_ms;
  return mle_arena_copy(arena, found.source, &out->source, err);
}

static mle_status settle(const mle_property *properties, size_t count, mle_arena *arena,
                         mle_access *out, mle_error *err) {
  mle_aws_settings settings;
  MLE_TRY(mle_aws_settle(properties, count, arena, &settings, err));
  MLE_TRY(refuse(&settings, err));
  MLE_TRY(set_endpoint(&settings, arena, out, err));
  MLE_TRY(set_style(&settings, out));
  MLE_TRY(mle_arena_copy(arena, settings.region == NULL ? "us-east-1" : settings.region, &out->region,
                         err));
  MLE_TRY(mle_arena_copy(arena, settings.ca_file, &out->ca_file, err));
  MLE_TRY(mle_arena_copy(arena, mle_aws_property(&settings, "proxy-uri"), &out->proxy, err));
  MLE_TRY(read_ms(&settings, "connect-timeout", 10000, &out->connect_ms, err));
  MLE_TRY(read_ms(&settings, "request-timeout", 120000, &out->request_ms, err));
  return set_keys(&settings, arena, out, err);
}

static mle_status new_access(const mle_property *properties, size_t count, held_access **out,
                             mle_error *err) {
  static atomic_llong numbers;
  mle_arena arena = MLE_ARENA;
  *out = NULL;
  held_access *made = mle_arena_alloc(&arena, sizeof *made);
  mle_status status = made == NULL ? no_memory(err)
                                   : settle(properties, count, &arena, &made->access, err);
  if (status != MLE_OK) {
    mle_arena_release(&arena);
    return status;
  }
  made->access.number = atomic_fetch_add(&numbers, 1) + 1;
  made->arena = arena;
  made->holders = 1;
  *out = made;
  return MLE_OK;
}

/* ====== Grants ====== */

static void release_context(void (*release)(void *), void *context) {
  if (release != NULL) release(context);
}

static void free_grant(grant *g) {
  if (g == NULL || atomic_fetch_sub(&g->holders, 1) > 1) return;
  release_context(g->release, g->context);
  if (g->access != NULL) mle_access_free(&g->access->access);
  pthread_mutex_destroy(&g->lock);
  mle_arena_release(&g->renewed_arena);
  mle_arena arena = g->arena;
  mle_arena_release(&arena);
}

/* "s3a://b/k" and "s3n://b/k" name what "s3://b/k" does; NULL: it is not of S3. */
static const char *after_scheme(const char *uri) {
  static const char *const schemes[] = {"s3://", "s3a://", "s3n://"};
  for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++)
    if (strncmp(uri, schemes[i], strlen(schemes[i])) == 0) return uri + strlen(schemes[i]);
  return NULL;
}

bool mle_store_needs_grant(const char *uri) { return after_scheme(uri) != NULL; }

static mle_status fill(grant *g, const mle_grant_request *request, mle_error *err) {
  g->prefix = mle_arena_format(&g->arena, "s3://%s", after_scheme(request->prefix));
  g->properties = mle_arena_array(&g->arena, request->num_properties, sizeof *g->properties);
  if (g->prefix == NULL || g->properties == NULL) return no_memory(err);
  MLE_TRY(mle_arena_copy(&g->arena, request->owner, &g->owner, err));
  for (size_t i = 0; i < request->num_properties; i++) {
    MLE_TRY(mle_arena_copy(&g->arena, request->properties[i].key, &g->properties[i].key, err));
    MLE_TRY(mle_arena_copy(&g->arena, request->properties[i].value, &g->properties[i].value, err));
  }
  g->num_properties = request->num_properties;
  return MLE_OK;
}

static mle_status new_grant(const mle_grant_request *request, grant **out, mle_error *err) {
  mle_arena arena = MLE_ARENA;
  *out = NULL;
  grant *g = mle_arena_alloc(&arena, sizeof *g);
  if (g == NULL) return no_memory(err);
  g->arena = arena;
  mle_status status = fill(g, request, err);
  if (status != MLE_OK) {
    arena = g->arena;
    mle_arena_release(&arena);
    return status;
  }
  pthread_mutex_init(&g->lock, NULL);
  g->renewed_arena = MLE_ARENA;
  g->holders = 1;
  g->renew = request->renew;
  g->context = request->context;
  g->release = request->release;
  *out = g;
  return MLE_OK;
}

static bool same_properties(const grant *a, const grant *b) {
  if (a->renew != NULL || b->renew != NULL || a->num_properties != b->num_properties) return false;
  for (size_t i = 0; i < a->num_properties; i++) {
    const char *value = mle_property_find(b->properties, b->num_properties, a->properties[i].key);
    if (strcmp(value == NULL ? "" : value, a->properties[i].value) != 0) return false;
  }
  return true;
}

static const char *endpoint_of(const grant *g) {
  const char *endpoint = mle_property_find(g->properties, g->num_properties, "s3.endpoint");
  return endpoint == NULL ? "" : endpoint;
}

static mle_status check_endpoints(const grant *old, const grant *g, mle_error *err) {
  if (strcmp(endpoint_of(old), endpoint_of(g)) == 0) return MLE_OK;
  return mle_fail(err, MLE_EREFUSED,
                  "%s has another s3.endpoint for %s than %s: one process reads one of them",
                  g->owner == NULL ? "this" : g->owner, g->prefix,
                  old->owner == NULL ? "an earlier one" : old->owner);
}

/* Puts `g` into the list, or leaves it out where what is there will do; `out_old` is to be freed. */
static mle_status enlist(grant *g, bool weak, grant **out_old, mle_error *err) {
  grant **at = &grants;
  while (*at != NULL && strcmp((*at)->prefix, g->prefix) != 0) at = &(*at)->next;
  grant *old = *at;
  *out_old = g;
  if (old != NULL && (weak || same_properties(old, g))) return MLE_OK;
  if (old != NULL) MLE_TRY(check_endpoints(old, g, err));
  if (old == NULL && num_grants == GRANTS_MAX)
    return mle_fail(err, MLE_EREFUSED, "more than %d tables on S3 in one process", GRANTS_MAX);
  g->next = old == NULL ? NULL : old->next;
  num_grants += old == NULL;
  *at = g;
  *out_old = old;
  return MLE_OK;
}

mle_status mle_store_grant(const mle_grant_request *request, mle_error *err) {
  grant *g, *old;
  mle_status status = after_scheme(request->prefix) != NULL
                          ? new_grant(request, &g, err)
                          : mle_fail(err, MLE_EINVAL, "'%s' is no prefix on S3", request->prefix);
  if (status != MLE_OK) {
    release_context(request->release, request->context);
    return status;
  }
  pthread_mutex_lock(&lock);
  status = enlist(g, request->weak, &old, err);
  pthread_mutex_unlock(&lock);
  free_grant(old);
  return status;
}

void mle_store_forget_grants(void) {
  pthread_mutex_lock(&lock);
  grant *all = grants;
  grants = NULL;
  num_grants = 0;
  pthread_mutex_unlock(&lock);
  while (all != NULL) {
    grant *next = all->next;
    free_grant(all);
    all = next;
  }
}

/* ====== Finding ====== */

/* The longest prefix, held for the caller; NULL when none fits. */
static grant *find_locked(const char *rest) {
  grant *best = NULL;
  size_t best_len = 0;
  for (grant *g = grants; g != NULL; g = g->next) {
    const char *prefix = g->prefix + 5; /* after s3:// */
    size_t len = strlen(prefix);
    if (strncmp(rest, prefix, len) != 0 || (best != NULL && len < best_len)) continue;
    best = g;
    best_len = len;
  }
  if (best != NULL) atomic_fetch_add(&best->holders, 1);
  return best;
}

static grant *find(const char *rest) {
  pthread_mutex_lock(&lock);
  grant *found = find_locked(rest);
  pthread_mutex_unlock(&lock);
  return found;
}

/* Where nothing was granted, AWS's own settings decide. */
static mle_status find_or_make(const char *uri, grant **out, mle_error *err) {
  const char *rest = after_scheme(uri);
  if (rest == NULL) return mle_fail(err, MLE_EINVAL, "'%s' is not on S3", uri);
  *out = find(rest);
  if (*out != NULL) return MLE_OK;
  MLE_TRY(mle_store_grant(&(mle_grant_request){.prefix = "s3://", .weak = true}, err));
  *out = find(rest);
  return MLE_OK;
}

char *mle_store_scope(const char *uri) {
  const char *rest = after_scheme(uri);
  size_t bucket = strcspn(rest, "/");
  grant *g = find(rest);
  char *scope = g != NULL && strlen(g->prefix + 5) > bucket
                    ? mle_strdup(g->prefix)
                    : mle_format("s3://%.*s/", (int)bucket, rest);
  free_grant(g);
  return scope;
}

/* ====== Keeping an access fresh ====== */

/* A quarter of its life, but no more than five minutes, before it ends. */
static int64_t renew_time(const mle_access *access, int64_t now) {
  if (access->expires_ms == 0) return 0;
  int64_t left = (access->expires_ms - now) / 4;
  if (left < 0) return 0; /* it is over already: the server shall say so */
  return access->expires_ms - (left > RENEW_BEFORE_MS ? RENEW_BEFORE_MS : left);
}

static mle_status ask_anew(grant *g, mle_error *err) {
  mle_arena arena = MLE_ARENA;
  const mle_property *properties;
  size_t count;
  mle_status status = g->renew(g->context, &arena, &properties, &count, err);
  if (status != MLE_OK) {
    mle_arena_release(&arena);
    return mle_context(err, "renewing the credentials for %s", g->prefix);
  }
  mle_arena_release(&g->renewed_arena);
  g->renewed_arena = arena;
  g->renewed = properties;
  g->num_renewed = count;
  return MLE_OK;
}

static bool same_keys(const mle_aws_keys *a, const mle_aws_keys *b) {
  const char *left = a->session_token, *right = b->session_token;
  if (a->access_key_id == NULL || b->access_key_id == NULL)
    return a->access_key_id == b->access_key_id;
  return strcmp(a->access_key_id, b->access_key_id) == 0 &&
         strcmp(a->secret_access_key, b->secret_access_key) == 0 &&
         strcmp(left == NULL ? "" : left, right == NULL ? "" : right) == 0;
}

/* Makes the access, or another one; one with the same keys leaves the old as it is. */
static mle_status refresh_locked(grant *g, mle_error *err) {
  held_access *made;
  if (g->access != NULL && g->renew != NULL) MLE_TRY(ask_anew(g, err));
  bool renewed = g->renewed != NULL;
  mle_status status = new_access(renewed ? g->renewed : g->properties,
                                 renewed ? g->num_renewed : g->num_properties, &made, err);
  if (status != MLE_OK)
    return g->owner == NULL ? status : mle_context(err, "%s", g->owner);
  g->renew_ms = renew_time(&made->access, mle_now_ms());
  if (g->access != NULL && same_keys(&g->access->access.keys, &made->access.keys)) {
    mle_access_free(&made->access);
    return MLE_OK;
  }
  if (g->access != NULL) mle_access_free(&g->access->access);
  g->access = made;
  return MLE_OK;
}

/* One that is to end soon will do as long as it lasts, should renewing fail. */
static mle_status renew_locked(grant *g, mle_error *err) {
  int64_t now = mle_now_ms();
  if (g->access == NULL) return refresh_locked(g, err);
  if (g->renew_ms == 0 || now < g->renew_ms) return MLE_OK;
  mle_status status = refresh_locked(g, err);
  if (status == MLE_OK || now >= g->access->access.expires_ms) return status;
  g->renew_ms = now + RENEW_AGAIN_MS;
  return MLE_OK;
}

static mle_status get(const char *uri, const mle_access *stale, const mle_access **out,
                      mle_error *err) {
  grant *g = NULL;
  *out = NULL;
  MLE_TRY(find_or_make(uri, &g, err));
  if (g == NULL) return no_memory(err);
  pthread_mutex_lock(&g->lock);
  bool is_stale = stale != NULL && g->access != NULL && g->access->access.number == stale->number;
  mle_status status = is_stale ? refresh_locked(g, err) : renew_locked(g, err);
  if (status == MLE_OK) {
    *out = &g->access->access;
    atomic_fetch_add(&g->access->holders, 1);
  }
  pthread_mutex_unlock(&g->lock);
  free_grant(g);
  return status;
}

mle_status mle_store_access(const char *uri, const mle_access **out, mle_error *err) {
  return get(uri, NULL, out, err);
}

mle_status mle_store_access_anew(const char *uri, const mle_access *stale, const mle_access **out,
                                 mle_error *err) {
  return get(uri, stale, out, err);
}
