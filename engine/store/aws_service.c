#include <string.h>
#include <strings.h>
#include <time.h>

#include "engine/base/alloc.h"
#include "engine/base/file.h"
#include "engine/base/percent.h"
#include "engine/http/client.h"
#include "engine/json/json.h"
#include "engine/store/aws.h"
#include "engine/store/xml.h"

#define ANSWER_MAX ((size_t)256 << 10)
#define TOKEN_MAX ((size_t)64 << 10)
#define MACHINE_MS 1000 /* a machine that is none in a cloud answers never */

static mle_status no_memory(mle_error *err) { return mle_nomem(err, "looking for AWS credentials"); }

/* ====== Small parts ====== */

/* "2026-11-24T03:30:00Z", with a fraction or not; 0: it says nothing. */
static int64_t time_of(const char *text) {
  struct tm utc = {0};
  if (text == NULL || strptime(text, "%Y-%m-%dT%H:%M:%S", &utc) == NULL) return 0;
  return (int64_t)timegm(&utc) * 1000;
}

/* One request; its answer's body, which must be of status 200. */
static mle_status ask(const mle_http_request *request, const char *what, mle_buffer *out,
                      mle_error *err) {
  mle_http_client *client;
  mle_http_response response;
  MLE_TRY(mle_http_client_new(&client, err));
  mle_status status = mle_http_send(client, request, &response, err);
  if (status == MLE_OK && response.status != 200)
    status = mle_fail(err, MLE_EIO, "%s answered with status %ld", what, response.status);
  if (status == MLE_OK && response.body.len > 0)
    status = mle_buffer_append(out, response.body.data, response.body.len, err);
  mle_http_response_release(&response);
  mle_http_client_free(client);
  return status;
}

static mle_status read_token(const char *path, mle_arena *arena, const char **out, mle_error *err) {
  mle_buffer bytes = MLE_BUFFER(TOKEN_MAX);
  mle_status status = mle_file_read(path, &bytes, err);
  if (status == MLE_OK) {
    while (bytes.len > 0 && strchr(" \r\n\t", bytes.data[bytes.len - 1]) != NULL) bytes.len--;
    *out = mle_arena_text(arena, bytes.data == NULL ? "" : bytes.data, bytes.len);
    if (*out == NULL) status = no_memory(err);
  }
  mle_buffer_release(&bytes);
  return status;
}

/* {"AccessKeyId", "SecretAccessKey", "Token", "Expiration"}, as containers and machines say it. */
static mle_status take_json(const mle_buffer *body, const char *source, mle_arena *arena,
                            mle_aws_found *out, mle_error *err) {
  const char *id, *secret, *token, *expires;
  mle_json *doc = NULL;
  mle_json_at root;
  mle_status status;
  MLE_GO(mle_json_parse(body->data == NULL ? "" : body->data, body->len, &doc, err));
  root = mle_json_root(doc);
  MLE_GO(mle_json_get_text(&root, "AccessKeyId", &id, err));
  MLE_GO(mle_json_get_text(&root, "SecretAccessKey", &secret, err));
  MLE_GO(mle_json_opt_text(&root, "Token", NULL, &token, err));
  MLE_GO(mle_json_opt_text(&root, "Expiration", NULL, &expires, err));
  MLE_GO(mle_arena_copy(arena, id, &out->keys.access_key_id, err));
  MLE_GO(mle_arena_copy(arena, secret, &out->keys.secret_access_key, err));
  MLE_GO(mle_arena_copy(arena, token, &out->keys.session_token, err));
  out->source = source;
  out->expires_ms = time_of(expires);
done:
  mle_json_free(doc);
  if (status != MLE_OK && status != MLE_ENOMEM) /* what it could not read may hold a secret */
    return mle_fail(err, status, "what %s says has no AccessKeyId and SecretAccessKey", source);
  return status;
}

/* ====== STS: a role for an identity from elsewhere ====== */

typedef struct assumed {
  mle_arena *arena;
  const char *id, *secret, *token, *expires, *code, *message;
} assumed;

static mle_status see(void *context, const char *path, const char *text, mle_error *err) {
  assumed *a = context;
  const struct {
    const char *end;
    const char **to;
  } wanted[] = {{"/Credentials/AccessKeyId", &a->id},      {"/Credentials/SecretAccessKey", &a->secret},
                {"/Credentials/SessionToken", &a->token},  {"/Credentials/Expiration", &a->expires},
                {"/Error/Code", &a->code},                 {"/Error/Message", &a->message}};
  size_t len = strlen(path);
  for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
    size_t end = strlen(wanted[i].end);
    if (len > end && strcmp(path + len - end, wanted[i].end) == 0)
      return mle_arena_copy(a->arena, text, wanted[i].to, err);
  }
  return MLE_OK;
}

static char *sts_url(const mle_aws_settings *settings, mle_arena *arena) {
  const char *url = mle_aws_variable("AWS_ENDPOINT_URL_STS");
  if (url == NULL) url = mle_aws_variable("AWS_ENDPOINT_URL");
  if (url != NULL) return mle_arena_format(arena, "%s", url);
  if (settings->region == NULL) return mle_arena_format(arena, "https://sts.amazonaws.com");
  return mle_arena_format(arena, "https://sts.%s.amazonaws.com", settings->region);
}

/* Not signed: the token says who asks. */
static mle_status assume(const mle_aws_settings *settings, const char *role, const char *session,
                         const char *token, mle_arena *arena, mle_http_response *response,
                         mle_error *err) {
  static const char *const headers[] = {"Content-Type: application/x-www-form-urlencoded", NULL};
  const char *url = sts_url(settings, arena);
  const char *role_text = mle_percent_encode(arena, role, false);
  const char *session_text = mle_percent_encode(arena, session, false);
  const char *token_text = mle_percent_encode(arena, token, false);
  if (url == NULL || role_text == NULL || session_text == NULL || token_text == NULL)
    return no_memory(err);
  const char *body = mle_arena_format(
      arena, "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=%s&RoleSessionName=%s&"
             "WebIdentityToken=%s", role_text, session_text, token_text);
  if (body == NULL) return no_memory(err);
  mle_http_request request = MLE_HTTP_REQUEST("POST", url);
  request.headers = headers;
  request.body = body;
  request.body_len = strlen(body);
  request.response_max = ANSWER_MAX;
  request.idempotent = true;
  request.ca_file = settings->ca_file;
  request.total_ms = 30000;
  mle_http_client *client;
  MLE_TRY(mle_http_client_new(&client, err));
  mle_status status = mle_http_send(client, &request, response, err);
  mle_http_client_free(client);
  return status;
}

static mle_status take_role(const mle_http_response *response, const char *role, mle_arena *arena,
                            mle_aws_found *out, mle_error *err) {
  assumed a = {.arena = arena};
  const char *body = response->body.data == NULL ? "" : response->body.data;
  mle_status status = mle_xml_read(body, response->body.len, see, &a, err);
  if (status == MLE_ENOMEM) return status;
  if (response->status != 200 || status != MLE_OK || a.id == NULL || a.secret == NULL || a.token == NULL)
    return mle_fail(err, MLE_EREFUSED, "STS does not give the role %s: status %ld%s%s", role,
                    response->status, a.code == NULL ? "" : ", ", a.code == NULL ? "" : a.code);
  out->keys = (mle_aws_keys){a.id, a.secret, a.token};
  out->source = "a web identity";
  out->expires_ms = time_of(a.expires);
  return MLE_OK;
}

mle_status mle_aws_web_identity(const mle_aws_settings *settings, const mle_aws_profile *profile,
                                mle_arena *arena, mle_aws_found *out, mle_error *err) {
  const char *file = mle_aws_variable("AWS_WEB_IDENTITY_TOKEN_FILE"), *token;
  const char *role = mle_aws_variable("AWS_ROLE_ARN");
  const char *session = mle_aws_variable("AWS_ROLE_SESSION_NAME");
  if (file == NULL) {
    file = mle_property_find(profile->items, profile->count, "web_identity_token_file");
    role = mle_property_find(profile->items, profile->count, "role_arn");
    session = mle_property_find(profile->items, profile->count, "role_session_name");
  }
  if (file == NULL) return MLE_OK;
  if (role == NULL)
    return mle_fail(err, MLE_EINVAL, "AWS_WEB_IDENTITY_TOKEN_FILE is set, AWS_ROLE_ARN is not");
  MLE_TRY(read_token(file, arena, &token, err));
  mle_http_response response = {0};
  mle_status status = assume(settings, role, session == NULL ? "mlengine" : session, token, arena,
                             &response, err);
  if (status == MLE_OK) status = take_role(&response, role, arena, out, err);
  mle_http_response_release(&response);
  return status == MLE_OK ? MLE_OK : mle_context(err, "AWS credentials by web identity");
}

/* ====== Containers ====== */

/* As AWS's own programs: a key is sent over plain http only to the machine itself and to what
 * its cloud put there. */
static bool is_safe(const char *url) {
  static const char *const hosts[] = {"localhost", "127.0.0.1", "[::1]", "169.254.170.2",
                                      "169.254.170.23", "[fd00:ec2::23]"};
  if (strncmp(url, "https://", 8) == 0) return true;
  if (strncmp(url, "http://", 7) != 0) return false;
  const char *host = url + 7;
  size_t len = host[0] == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":/");
  for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++)
    if (strlen(hosts[i]) == len && strncmp(hosts[i], host, len) == 0) return true;
  return false;
}

static mle_status container_token(mle_arena *arena, const char **out, mle_error *err) {
  const char *file = mle_aws_variable("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
  *out = mle_aws_variable("AWS_CONTAINER_AUTHORIZATION_TOKEN");
  return file == NULL ? MLE_OK : read_token(file, arena, out, err);
}

mle_status mle_aws_container(mle_arena *arena, mle_aws_found *out, mle_error *err) {
  const char *relative = mle_aws_variable("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"), *token;
  const char *url = mle_aws_variable("AWS_CONTAINER_CREDENTIALS_FULL_URI");
  if (relative != NULL) url = mle_arena_format(arena, "http://169.254.170.2%s", relative);
  if (url == NULL) return relative == NULL ? MLE_OK : no_memory(err);
  if (!is_safe(url))
    return mle_fail(err, MLE_EREFUSED,
                    "AWS_CONTAINER_CREDENTIALS_FULL_URI is neither https nor on this machine");
  MLE_TRY(container_token(arena, &token, err));
  const char *headers[] = {NULL, NULL};
  if (token != NULL && (headers[0] = mle_arena_format(arena, "Authorization: %s", token)) == NULL)
    return no_memory(err);
  mle_http_request request = MLE_HTTP_REQUEST("GET", url);
  request.headers = headers;
  request.response_max = ANSWER_MAX;
  request.connect_ms = 2000;
  request.total_ms = 10000;
  request.retries = 2;
  request.proxy = "";
  mle_buffer body = MLE_BUFFER(ANSWER_MAX);
  mle_status status = ask(&request, "the container's credential service", &body, err);
  if (status == MLE_OK) status = take_json(&body, "the container's credential service", arena, out, err);
  mle_buffer_release(&body);
  return status == MLE_OK ? MLE_OK : mle_context(err, "AWS credentials of the container");
}

/* ====== The machine: IMDSv2 ====== */

static mle_status ask_machine(const char *method, const char *path, const char *header,
                              mle_arena *arena, const char **out, mle_error *err) {
  const char *base = mle_aws_variable("AWS_EC2_METADATA_SERVICE_ENDPOINT");
  if (base == NULL) base = "http://169.254.169.254";
  size_t len = strlen(base);
  while (len > 0 && base[len - 1] == '/') len--;
  const char *url = mle_arena_format(arena, "%.*s%s", (int)len, base, path);
  const char *const headers[] = {header, NULL};
  if (url == NULL || header == NULL) return no_memory(err);
  mle_http_request request = MLE_HTTP_REQUEST(method, url);
  request.headers = headers;
  request.response_max = ANSWER_MAX;
  request.connect_ms = request.total_ms = MACHINE_MS;
  request.retries = 0;
  request.proxy = "";
  if (strcmp(method, "PUT") == 0) request.body = "";
  mle_buffer body = MLE_BUFFER(ANSWER_MAX);
  mle_status status = ask(&request, "the machine's metadata service", &body, err);
  if (status == MLE_OK && (*out = mle_arena_text(arena, body.data == NULL ? "" : body.data, body.len)) == NULL)
    status = no_memory(err);
  mle_buffer_release(&body);
  return status;
}

static bool is_off(void) {
  const char *off = mle_aws_variable("AWS_EC2_METADATA_DISABLED");
  return off != NULL && strcasecmp(off, "true") == 0;
}

/* A machine without the service, or without a role, is one without credentials. */
mle_status mle_aws_machine(mle_arena *arena, mle_aws_found *out, mle_error *err) {
  const char *token, *role, *text;
  if (is_off()) return MLE_OK;
  mle_status status = ask_machine("PUT", "/latest/api/token", "X-aws-ec2-metadata-token-ttl-seconds: 21600",
                                  arena, &token, err);
  if (status != MLE_OK) return status == MLE_ENOMEM || status == MLE_ECANCELLED ? status : MLE_OK;
  const char *header = mle_arena_format(arena, "X-aws-ec2-metadata-token: %s", token);
  static const char folder[] = "/latest/meta-data/iam/security-credentials/";
  status = ask_machine("GET", folder, header, arena, &role, err);
  if (status != MLE_OK) return status == MLE_ENOMEM || status == MLE_ECANCELLED ? status : MLE_OK;
  const char *path = mle_arena_format(arena, "%s%.*s", folder, (int)strcspn(role, "\r\n"), role);
  if (path == NULL) return no_memory(err);
  MLE_TRY(ask_machine("GET", path, header, arena, &text, err));
  const mle_buffer body = {mle_arena_text(arena, text, strlen(text)), strlen(text), 0, 0};
  if (body.data == NULL) return no_memory(err);
  return take_json(&body, "the machine's metadata service", arena, out, err);
}
