#include "engine/iceberg/rest_auth.h"

#include <string.h>
#include <strings.h>

#include "engine/base/alloc.h"
#include "engine/base/clock.h"
#include "engine/base/crypto.h"
#include "engine/base/line.h"
#include "engine/base/percent.h"
#include "engine/iceberg/catalog_class.h"

#define ANSWER_MAX ((size_t)1 << 20)
#define SECRET_MAX ((size_t)64 << 10) /* of a token, a password */
#define SAID_MAX 300
#define EARLY_MS 300000 /* before a token expires, or a tenth of its life */

#define TYPES "urn:ietf:params:oauth:token-type:"

struct mle_irc_auth {
  mle_arena memory; /* of the settings */
  const char *url;  /* of the token endpoint */
  const char *id, *secret, *scope, *audience, *resource;
  const char *basic;                /* the whole header; NULL: not that way */
  const char *password;             /* inside it */
  const char *subject, *subject_type; /* a token to be exchanged first; NULL: none */
  bool exchange, refresh;
  char *line;           /* "Authorization: Bearer <token>", NULL: no token yet */
  int64_t expires_ms, renew_ms; /* 0: not known */
};

#define BEARER "Authorization: Bearer "

static const char *token_of(const mle_irc_auth *auth) {
  return auth->line == NULL ? NULL : auth->line + strlen(BEARER);
}

/* ====== Settings ====== */

typedef struct given {
  const mle_property *properties;
  size_t count;
} given;

static const char *find(const given *g, const char *key) {
  return mle_property_find(g->properties, g->count, key);
}

static bool is_on(const given *g, const char *key, bool fallback) {
  const char *value = find(g, key);
  return value == NULL ? fallback : strcasecmp(value, "true") == 0;
}

static mle_status keep(mle_irc_auth *auth, const char *text, const char **out, mle_error *err) {
  if (text != NULL && strlen(text) > SECRET_MAX)
    return mle_fail(err, MLE_EINVAL, "a token or credential is longer than %zu bytes", SECRET_MAX);
  return mle_arena_copy(&auth->memory, text, out, err);
}

static mle_status basic_line(mle_arena *memory, const char *user, const char *password,
                             const char **out, mle_error *err) {
  char *plain = mle_arena_format(memory, "%s:%s", user, password);
  size_t len = plain == NULL ? 0 : strlen(plain);
  char *coded = plain == NULL ? NULL : mle_arena_alloc(memory, len / 3 * 4 + 8);
  if (coded == NULL) return mle_nomem(err, "reading credentials");
  const mle_crypto *crypto;
  MLE_TRY(mle_crypto_open(&crypto, err));
  crypto->EVP_EncodeBlock((unsigned char *)coded, (const unsigned char *)plain, (int)len);
  *out = mle_arena_format(memory, "Authorization: Basic %s", coded);
  return *out == NULL ? mle_nomem(err, "reading credentials") : MLE_OK;
}

static mle_status read_basic(mle_irc_auth *auth, const given *g, mle_error *err) {
  const char *user = find(g, "auth.basic.username"), *password = find(g, "auth.basic.password");
  if (user == NULL) user = find(g, "rest.auth.basic.username");
  if (password == NULL) password = find(g, "rest.auth.basic.password");
  if (user == NULL || password == NULL)
    return mle_fail(err, MLE_EINVAL,
                    "auth.type basic needs auth.basic.username and auth.basic.password");
  MLE_TRY(keep(auth, password, &auth->password, err));
  return basic_line(&auth->memory, user, auth->password, &auth->basic, err);
}

/* "id:secret", or a secret alone. */
static mle_status read_credential(mle_irc_auth *auth, const given *g, mle_error *err) {
  const char *credential = find(g, "credential"), *id = find(g, "auth.oauth2.client-id");
  const char *secret = find(g, "auth.oauth2.client-secret");
  if (credential != NULL) {
    const char *colon = strchr(credential, ':');
    secret = colon == NULL ? credential : colon + 1;
    if (colon != NULL) {
      auth->id = mle_arena_text(&auth->memory, credential, (size_t)(colon - credential));
      if (auth->id == NULL) return mle_nomem(err, "reading credentials");
    }
  } else if (id != NULL) {
    MLE_TRY(keep(auth, id, &auth->id, err));
  }
  return keep(auth, secret, &auth->secret, err);
}

/* A token of another kind, given under its type's name, is exchanged for one of the catalog's. */
static mle_status read_subject(mle_irc_auth *auth, const given *g, mle_error *err) {
  static const char *const types[] = {TYPES "id_token", TYPES "access_token", TYPES "jwt",
                                      TYPES "saml2", TYPES "saml1"};
  for (size_t i = 0; i < sizeof types / sizeof *types && auth->subject == NULL; i++) {
    MLE_TRY(keep(auth, find(g, types[i]), &auth->subject, err));
    auth->subject_type = types[i];
  }
  return MLE_OK;
}

static mle_status read_url(mle_irc_auth *auth, const char *uri, const given *g, mle_error *err) {
  const char *url = find(g, "oauth2-server-uri");
  if (url == NULL) url = find(g, "auth.oauth2.token-url");
  if (url == NULL)
    auth->url = mle_arena_format(&auth->memory, "%s/v1/oauth/tokens", uri);
  else if (strstr(url, "://") != NULL)
    auth->url = mle_arena_format(&auth->memory, "%s", url);
  else
    auth->url = mle_arena_format(&auth->memory, "%s/%s", uri, url + (*url == '/'));
  return auth->url == NULL ? mle_nomem(err, "reading credentials") : MLE_OK;
}

static mle_status check_type(const given *g, bool *out_basic, mle_error *err) {
  const char *type = find(g, "auth.type");
  if (type == NULL) type = find(g, "rest.auth.type");
  *out_basic = type != NULL && strcasecmp(type, "basic") == 0;
  if (type == NULL || *out_basic) return MLE_OK;
  static const char *const known[] = {"none", "noop", "oauth2", "legacyoauth2", "sigv4"};
  for (size_t i = 0; i < sizeof known / sizeof *known; i++)
    if (strcasecmp(type, known[i]) == 0) return MLE_OK;
  return mle_fail(err, MLE_EUNSUPPORTED,
                  "auth.type is '%.60s'; this version has none, basic, oauth2 and sigv4, or give a "
                  "token",
                  type);
}

static mle_status set_token(mle_irc_auth *auth, const char *token, int64_t life_ms,
                            mle_error *err);

static mle_status read_all(mle_irc_auth *auth, const char *uri, const given *g, mle_error *err) {
  bool basic;
  MLE_TRY(check_type(g, &basic, err));
  if (basic) return read_basic(auth, g, err);
  MLE_TRY(read_url(auth, uri, g, err));
  MLE_TRY(read_credential(auth, g, err));
  MLE_TRY(read_subject(auth, g, err));
  const char *scope = find(g, "scope");
  MLE_TRY(keep(auth, scope == NULL ? "catalog" : scope, &auth->scope, err));
  MLE_TRY(keep(auth, find(g, "audience"), &auth->audience, err));
  MLE_TRY(keep(auth, find(g, "resource"), &auth->resource, err));
  auth->exchange = is_on(g, "token-exchange-enabled", true);
  auth->refresh = is_on(g, "token-refresh-enabled", true);
  const char *token = find(g, "token");
  if (token == NULL) return MLE_OK;
  if (strlen(token) > SECRET_MAX) return mle_fail(err, MLE_EINVAL, "token is too long");
  return set_token(auth, token, 0, err);
}

mle_status mle_irc_auth_new(const char *uri, const mle_property *properties, size_t count,
                            mle_irc_auth **out, mle_error *err) {
  const given g = {properties, count};
  *out = NULL;
  mle_irc_auth *auth = mle_calloc(1, sizeof *auth);
  if (auth == NULL) return mle_nomem(err, "opening a catalog");
  mle_status status = read_all(auth, uri, &g, err);
  if (status == MLE_OK)
    *out = auth;
  else
    mle_irc_auth_free(auth);
  return status;
}

void mle_irc_auth_free(mle_irc_auth *auth) {
  if (auth == NULL) return;
  mle_free(auth->line);
  mle_arena_release(&auth->memory);
  mle_free(auth);
}

void mle_irc_auth_hide(const mle_irc_auth *auth, char *text) {
  mle_line_hide(text, token_of(auth));
  mle_line_hide(text, auth->secret);
  mle_line_hide(text, auth->password);
  mle_line_hide(text, auth->subject);
  if (auth->basic != NULL) mle_line_hide(text, auth->basic + strlen("Authorization: Basic "));
}

/* ====== Tokens ====== */

/* When a JSON Web Token says that it expires, in milliseconds; 0: it does not say, or is none. */
static int64_t expiry_of(const char *token) {
  const char *start = strchr(token, '.'), *end = start == NULL ? NULL : strchr(start + 1, '.');
  size_t len = end == NULL ? 0 : (size_t)(end - start - 1);
  char text[4096 + 4];
  unsigned char plain[3 * (sizeof text / 4) + 1];
  int64_t seconds = 0;
  mle_json *doc = NULL;
  const mle_crypto *crypto;
  if (len == 0 || len > 4096 || mle_crypto_open(&crypto, NULL) != MLE_OK) return 0;
  for (size_t i = 0; i < len; i++)
    text[i] = start[i + 1] == '-' ? '+' : start[i + 1] == '_' ? '/' : start[i + 1];
  size_t padded = (len + 3) / 4 * 4;
  memset(text + len, 'A', padded - len); /* what these add is cut off again */
  int got = crypto->EVP_DecodeBlock(plain, (const unsigned char *)text, (int)padded);
  if (got < 0) return 0;
  if (mle_json_parse((const char *)plain, (size_t)got - (padded - len), &doc, NULL) != MLE_OK)
    return 0;
  mle_json_at root = mle_json_root(doc);
  if (mle_json_opt_int(&root, "exp", 0, &seconds, NULL) != MLE_OK) seconds = 0;
  mle_json_free(doc);
  return seconds > 0 && seconds < INT64_MAX / 1000 ? seconds * 1000 : 0;
}

/* `life_ms` 0: not told; then the token itself may tell. */
static mle_status set_token(mle_irc_auth *auth, const char *token, int64_t life_ms,
                            mle_error *err) {
  char *line = mle_format(BEARER "%s", token);
  if (line == NULL) return mle_nomem(err, "keeping a token");
  mle_free(auth->line);
  auth->line = line;
  int64_t now = mle_now_ms();
  auth->expires_ms = life_ms > 0 ? now + life_ms : expiry_of(token);
  int64_t left = auth->expires_ms - now, early = left / 10 < EARLY_MS ? left / 10 : EARLY_MS;
  auth->renew_ms = auth->expires_ms == 0 ? 0 : auth->expires_ms - (early < 0 ? 0 : early);
  return MLE_OK;
}

static mle_status add_field(mle_arena *memory, mle_buffer *form, const char *key,
                            const char *value, mle_error *err) {
  if (value == NULL) return MLE_OK;
  char *coded = mle_percent_encode(memory, value, false);
  if (coded == NULL) return mle_nomem(err, "asking for a token");
  return mle_buffer_printf(form, err, "%s%s=%s", form->len == 0 ? "" : "&", key, coded);
}

/* RFC 6749, 4.4. */
static mle_status credentials_form(const mle_irc_auth *auth, mle_arena *memory, mle_buffer *form,
                                   mle_error *err) {
  MLE_TRY(add_field(memory, form, "grant_type", "client_credentials", err));
  MLE_TRY(add_field(memory, form, "client_id", auth->id, err));
  MLE_TRY(add_field(memory, form, "client_secret", auth->secret, err));
  MLE_TRY(add_field(memory, form, "scope", auth->scope, err));
  MLE_TRY(add_field(memory, form, "audience", auth->audience, err));
  return add_field(memory, form, "resource", auth->resource, err);
}

/* RFC 8693, 2.1. */
static mle_status exchange_form(const mle_irc_auth *auth, const char *subject, const char *type,
                                mle_arena *memory, mle_buffer *form, mle_error *err) {
  MLE_TRY(add_field(memory, form, "grant_type", "urn:ietf:params:oauth:grant-type:token-exchange",
                    err));
  MLE_TRY(add_field(memory, form, "subject_token", subject, err));
  MLE_TRY(add_field(memory, form, "subject_token_type", type, err));
  MLE_TRY(add_field(memory, form, "scope", auth->scope, err));
  MLE_TRY(add_field(memory, form, "audience", auth->audience, err));
  return add_field(memory, form, "resource", auth->resource, err);
}

/* RFC 6749, 5.2, or Iceberg's own shape of an error. */
static mle_status fail_answer(const mle_irc_auth *auth, const mle_http_response *response,
                              mle_error *err) {
  char said[SAID_MAX] = "";
  const char *message = NULL;
  mle_json *doc = NULL;
  if (mle_json_parse(response->body.data == NULL ? "" : response->body.data, response->body.len,
                     &doc, NULL) == MLE_OK) {
    mle_json_at root = mle_json_root(doc), error;
    mle_json_opt_text(&root, "error_description", NULL, &message, NULL);
    if (message == NULL && mle_json_find(&root, "error", &error) && mle_json_is_object(&error))
      mle_json_opt_text(&error, "message", NULL, &message, NULL);
    else if (message == NULL)
      mle_json_opt_text(&root, "error", NULL, &message, NULL);
  }
  if (message != NULL) mle_line_copy(message, said, sizeof said);
  mle_irc_auth_hide(auth, said);
  mle_status status = response->status >= 500 || response->status == 429 ? MLE_EIO : MLE_EREFUSED;
  mle_fail(err, status, "asking %s for a token: %ld%s%s%s", auth->url, response->status,
           *said == '\0' ? "" : ": ", said,
           status == MLE_EREFUSED ? "; see credential, scope and oauth2-server-uri" : "");
  if (err != NULL) err->retryable = status == MLE_EIO;
  mle_json_free(doc);
  return status;
}

mle_status mle_irc_auth_take(mle_irc_auth *auth, const mle_http_response *response,
                             mle_error *err) {
  mle_json *doc = NULL;
  const char *token, *type;
  int64_t seconds;
  mle_status status;
  MLE_GO(mle_json_parse(response->body.data == NULL ? "" : response->body.data,
                        response->body.len, &doc, err));
  mle_json_at root = mle_json_root(doc);
  MLE_GO(mle_json_get_text(&root, "access_token", &token, err));
  MLE_GO(mle_json_opt_text(&root, "token_type", "bearer", &type, err));
  MLE_GO(mle_json_opt_int(&root, "expires_in", 0, &seconds, err));
  bool usable = strcasecmp(type, "bearer") == 0 || strcasecmp(type, "N_A") == 0;
  if (!usable || strlen(token) > SECRET_MAX || seconds < 0 || seconds > INT32_MAX)
    MLE_GO(mle_fail(err, MLE_EFORMAT, "not a bearer token"));
  status = set_token(auth, token, seconds * 1000, err);
done:
  mle_json_free(doc);
  return status == MLE_OK ? MLE_OK : mle_context(err, "what %s answers", auth->url);
}

static mle_status ask(mle_irc_auth *auth, mle_http_client *client, const char *form,
                      const char *authorization, mle_error *err) {
  const char *headers[] = {"Content-Type: application/x-www-form-urlencoded",
                           "Accept: application/json", authorization, NULL};
  mle_http_request request = MLE_HTTP_REQUEST("POST", auth->url);
  mle_http_response response;
  request.headers = headers;
  request.body = form;
  request.body_len = strlen(form);
  request.response_max = ANSWER_MAX;
  request.idempotent = true; /* a token that nobody got is no harm */
  mle_status status = mle_http_send(client, &request, &response, err);
  if (status == MLE_OK && response.status / 100 != 2) status = fail_answer(auth, &response, err);
  else if (status == MLE_OK) status = mle_irc_auth_take(auth, &response, err);
  mle_http_response_release(&response);
  return status;
}

static mle_status ask_with_credential(mle_irc_auth *auth, mle_http_client *client,
                                      mle_error *err) {
  mle_arena memory = MLE_ARENA;
  mle_buffer form = MLE_BUFFER(4 * SECRET_MAX);
  mle_status status = credentials_form(auth, &memory, &form, err);
  if (status == MLE_OK) status = ask(auth, client, form.data, NULL, err);
  mle_buffer_release(&form);
  mle_arena_release(&memory);
  return status;
}

/* Who exchanges shows the token itself, or the credential. */
static mle_status ask_with_token(mle_irc_auth *auth, mle_http_client *client, const char *subject,
                                 const char *type, mle_error *err) {
  mle_arena memory = MLE_ARENA;
  mle_buffer form = MLE_BUFFER(4 * SECRET_MAX);
  const char *line = auth->line;
  mle_status status = exchange_form(auth, subject, type, &memory, &form, err);
  if (status == MLE_OK && auth->secret != NULL)
    status = basic_line(&memory, auth->id == NULL ? "" : auth->id, auth->secret, &line, err);
  if (status == MLE_OK) status = ask(auth, client, form.data, line, err);
  mle_buffer_release(&form);
  mle_arena_release(&memory);
  return status;
}

/* Another token than the one at hand, which may still be good for a while. */
static mle_status replace(mle_irc_auth *auth, mle_http_client *client, bool expired,
                          mle_error *err) {
  mle_status status = MLE_EREFUSED;
  if (auth->exchange && !expired)
    status = ask_with_token(auth, client, token_of(auth), TYPES "access_token", err);
  if (status != MLE_OK && auth->subject != NULL)
    status = ask_with_token(auth, client, auth->subject, auth->subject_type, err);
  if (status != MLE_OK && auth->secret != NULL) status = ask_with_credential(auth, client, err);
  return status;
}

static mle_status first(mle_irc_auth *auth, mle_http_client *client, mle_error *err) {
  if (auth->subject != NULL)
    return ask_with_token(auth, client, auth->subject, auth->subject_type, err);
  return auth->secret == NULL ? MLE_OK : ask_with_credential(auth, client, err);
}

mle_status mle_irc_auth_line(mle_irc_auth *auth, mle_http_client *client, const char **out,
                             mle_error *err) {
  *out = auth->basic;
  if (auth->basic != NULL) return MLE_OK;
  int64_t now = mle_now_ms();
  if (auth->line == NULL) {
    MLE_TRY(first(auth, client, err));
  } else if (auth->refresh && auth->renew_ms != 0 && now >= auth->renew_ms) {
    bool expired = now >= auth->expires_ms;
    mle_status status = replace(auth, client, expired, err);
    if (status != MLE_OK && (expired || status == MLE_ENOMEM || status == MLE_ECANCELLED)) {
      /* a token that cannot be had again is sent as it is: the server has the last word */
      bool hopeless = auth->secret == NULL && auth->subject == NULL && status == MLE_EREFUSED;
      if (!hopeless) return status;
    }
    if (status != MLE_OK) auth->renew_ms = now + 1000;
  }
  *out = auth->line;
  return MLE_OK;
}

mle_status mle_irc_auth_renew(mle_irc_auth *auth, mle_http_client *client, bool *out,
                              mle_error *err) {
  *out = auth->basic == NULL && auth->line != NULL && auth->refresh &&
         (auth->secret != NULL || auth->subject != NULL);
  return *out ? replace(auth, client, true, err) : MLE_OK;
}
