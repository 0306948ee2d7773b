#include "engine/mlflow/rest_settings.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "engine/base/buffer.h"
#include "engine/base/crypto.h"
#include "engine/base/file.h"
#include "engine/base/percent.h"

#define CREDENTIALS_MAX ((size_t)64 << 10)
#define SECRET_MAX 4096
#define TIMEOUT_S 120
#define RETRIES 7

typedef struct credentials {
  const char *user, *password;
} credentials;

/* ====== Variables ====== */

static const char *variable(const char *name) {
  const char *value = getenv(name);
  return value == NULL || *value == '\0' ? NULL : value;
}

static mle_status whole_number(const char *name, int64_t least, int64_t fallback, int64_t *out,
                               mle_error *err) {
  const char *text = variable(name);
  char *end;
  *out = fallback;
  if (text == NULL) return MLE_OK;
  *out = strtoll(text, &end, 10);
  if (*end == '\0' && *out >= least && *out <= 86400) return MLE_OK;
  return mle_fail(err, MLE_EINVAL, "%s must be a whole number from %lld to 86400, not '%.60s'", name,
                  (long long)least, text);
}

static bool is_true(const char *text) {
  return text != NULL && (strcasecmp(text, "true") == 0 || strcmp(text, "1") == 0);
}

/* ====== Who asks ====== */

/* A part of a URI. */
static char *decode(mle_arena *memory, const char *text, size_t len) {
  char *out = mle_arena_text(memory, text, len);
  if (out != NULL) mle_percent_decode(out);
  return out;
}

/* Cuts "user:password@" out of the URI. */
static mle_status split_uri(const char *uri, mle_arena *memory, const char **out_url,
                            credentials *who, mle_error *err) {
  const char *host = strstr(uri, "://") + 3;
  size_t authority = strcspn(host, "/?#");
  const char *at = memrchr(host, '@', authority);
  const char *rest = at == NULL ? host : at + 1;
  size_t len = strcspn(rest, "?#");
  while (len > 0 && rest[len - 1] == '/') len--;
  if (len == 0) return mle_fail(err, MLE_EINVAL, "the tracking URI names no server");
  *out_url = mle_arena_format(memory, "%.*s%.*s", (int)(host - uri), uri, (int)len, rest);
  if (at != NULL) {
    const char *colon = memchr(host, ':', (size_t)(at - host));
    const char *user_end = colon == NULL ? at : colon;
    who->user = decode(memory, host, (size_t)(user_end - host));
    who->password = colon == NULL ? "" : decode(memory, colon + 1, (size_t)(at - colon - 1));
  }
  bool whole = *out_url != NULL && (at == NULL || (who->user != NULL && who->password != NULL));
  return whole ? MLE_OK : mle_nomem(err, "reading a tracking URI");
}

/* The value of a line "key = value" when it has that key. */
static const char *value_of(char *line, const char *key) {
  size_t len = strlen(key);
  while (*line == ' ' || *line == '\t') line++;
  if (strncmp(line, key, len) != 0) return NULL;
  line += len;
  while (*line == ' ' || *line == '\t') line++;
  if (*line != '=' && *line != ':') return NULL;
  do line++;
  while (*line == ' ' || *line == '\t');
  char *end = line + strlen(line);
  while (end > line && strchr(" \t\r", end[-1]) != NULL) *--end = '\0';
  return line;
}

/* The section [mlflow] of ~/.mlflow/credentials, as MLflow's clients read it. */
static mle_status read_file(mle_arena *memory, credentials *who, mle_error *err) {
  const char *home = variable("HOME");
  mle_buffer text = MLE_BUFFER(CREDENTIALS_MAX);
  mle_status status;
  if (home == NULL) return MLE_OK;
  char *path = mle_arena_format(memory, "%s/.mlflow/credentials", home);
  if (path == NULL) return mle_nomem(err, "looking for credentials");
  if (!mle_file_exists(path)) return MLE_OK;
  MLE_GO(mle_file_read(path, &text, err));
  bool inside = false;
  char *rest = NULL;
  for (char *line = text.data == NULL ? NULL : strtok_r(text.data, "\n", &rest); line != NULL;
       line = strtok_r(NULL, "\n", &rest)) {
    if (*line == '[') inside = strncmp(line, "[mlflow]", 8) == 0;
    if (!inside) continue;
    const char *user = value_of(line, "mlflow_tracking_username");
    const char *password = user != NULL ? NULL : value_of(line, "mlflow_tracking_password");
    if (user != NULL) MLE_GO(mle_arena_copy(memory, user, &who->user, err));
    if (password != NULL) MLE_GO(mle_arena_copy(memory, password, &who->password, err));
  }
done:
  mle_buffer_release(&text);
  return status;
}

static mle_status basic(const credentials *who, mle_arena *memory, const char **out,
                        mle_error *err) {
  char *plain = mle_arena_format(memory, "%s:%s", who->user, who->password);
  size_t len = plain == NULL ? 0 : strlen(plain);
  if (len > SECRET_MAX) return mle_fail(err, MLE_EINVAL, "the tracking user or password is too long");
  char *coded = plain == NULL ? NULL : mle_arena_alloc(memory, len / 3 * 4 + 8);
  if (coded == NULL) return mle_nomem(err, "reading credentials");
  const mle_crypto *crypto;
  MLE_TRY(mle_crypto_open(&crypto, err));
  crypto->EVP_EncodeBlock((unsigned char *)coded, (const unsigned char *)plain, (int)len);
  *out = mle_arena_format(memory, "Authorization: Basic %s", coded);
  return *out != NULL ? MLE_OK : mle_nomem(err, "reading credentials");
}

static mle_status authorize(credentials *who, mle_arena *memory, const char **out,
                            mle_error *err) {
  *out = NULL;
  if (who->user == NULL) {
    who->user = variable("MLFLOW_TRACKING_USERNAME");
    who->password = variable("MLFLOW_TRACKING_PASSWORD");
  }
  if (who->user == NULL || who->password == NULL) {
    *who = (credentials){0};
    MLE_TRY(read_file(memory, who, err));
  }
  if (who->user != NULL && who->password != NULL) return basic(who, memory, out, err);
  const char *token = variable("MLFLOW_TRACKING_TOKEN");
  if (token == NULL) return MLE_OK;
  *out = mle_arena_format(memory, "Authorization: Bearer %s", token);
  return *out != NULL ? MLE_OK : mle_nomem(err, "reading credentials");
}

/* ====== All of it ====== */

static mle_status read_trust(mle_arena *memory, mle_rest_settings *out, mle_error *err) {
  MLE_TRY(mle_arena_copy(memory, variable("MLFLOW_TRACKING_SERVER_CERT_PATH"), &out->ca_file, err));
  MLE_TRY(mle_arena_copy(memory, variable("MLFLOW_TRACKING_CLIENT_CERT_PATH"), &out->client_cert,
                         err));
  out->insecure = is_true(variable("MLFLOW_TRACKING_INSECURE_TLS"));
  if (out->insecure && out->ca_file != NULL)
    return mle_fail(err, MLE_EINVAL,
                    "MLFLOW_TRACKING_INSECURE_TLS and MLFLOW_TRACKING_SERVER_CERT_PATH contradict "
                    "each other; unset one of them");
  return MLE_OK;
}

mle_status mle_rest_settings_read(const char *uri, mle_arena *memory, mle_rest_settings *out,
                                  mle_error *err) {
  credentials who = {0};
  const char *authorization;
  int64_t number;
  size_t count = 0;
  *out = (mle_rest_settings){0};
  MLE_TRY(split_uri(uri, memory, &out->url, &who, err));
  MLE_TRY(authorize(&who, memory, &authorization, err));
  MLE_TRY(read_trust(memory, out, err));
  out->headers[count++] = "Content-Type: application/json";
  if (authorization != NULL) out->headers[count++] = authorization;
  if (variable("MLFLOW_WORKSPACE") != NULL) {
    char *line = mle_arena_format(memory, "X-MLFLOW-WORKSPACE: %s", variable("MLFLOW_WORKSPACE"));
    if (line == NULL) return mle_nomem(err, "reading settings");
    out->headers[count++] = line;
  }
  MLE_TRY(whole_number("MLFLOW_HTTP_REQUEST_TIMEOUT", 1, TIMEOUT_S, &number, err));
  out->timeout_ms = number * 1000;
  MLE_TRY(whole_number("MLFLOW_HTTP_REQUEST_MAX_RETRIES", 0, RETRIES, &number, err));
  out->retries = (int)number;
  return MLE_OK;
}
