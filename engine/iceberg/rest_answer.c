#include "engine/iceberg/rest_answer.h"

#include <string.h>

#include "engine/base/line.h"
#include "engine/json/json.h"

#define SAID_MAX 400

static mle_status status_of(const char *type, long http, bool changes) {
  static const struct {
    const char *type;
    mle_status status;
  } known[] = {
      {"AlreadyExistsException", MLE_EEXISTS},     {"NamespaceNotEmptyException", MLE_EREFUSED},
      {"CommitFailedException", MLE_ECONFLICT},    {"NoSuchTableException", MLE_ENOTFOUND},
      {"NoSuchNamespaceException", MLE_ENOTFOUND}, {"UnsupportedOperationException", MLE_EUNSUPPORTED},
  };
  if (http >= 500) return changes && http != 501 ? MLE_EUNKNOWN : http == 501 ? MLE_EUNSUPPORTED : MLE_EIO;
  for (size_t i = 0; type != NULL && i < sizeof known / sizeof *known; i++)
    if (strcmp(type, known[i].type) == 0) return known[i].status;
  switch (http) {
    case 401: case 403: case 419: return MLE_EREFUSED;
    case 404: return MLE_ENOTFOUND;
    case 405: case 406: return MLE_EUNSUPPORTED;
    case 409: return MLE_ECONFLICT;
    case 408: case 429: return MLE_EBUSY;
    default: return MLE_EINVAL;
  }
}

static bool is_read(const char *method) {
  return strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
}

mle_status mle_irc_answer_fail(const mle_irc_asked *asked, const mle_http_response *response,
                               mle_error *err) {
  char said[SAID_MAX] = "";
  const char *type = NULL, *message = NULL, *advice = "";
  mle_json *doc = NULL;
  const char *text = response->body.data == NULL ? "" : response->body.data;
  bool json = mle_json_parse(text, response->body.len, &doc, NULL) == MLE_OK;
  mle_json_at root = mle_json_root(doc), error;
  if (json && mle_json_find(&root, "error", &error)) {
    mle_json_opt_text(&error, "type", NULL, &type, NULL);
    mle_json_opt_text(&error, "message", NULL, &message, NULL);
  }
  if (message != NULL) mle_line_copy(message, said, sizeof said);
  mle_irc_auth_hide(asked->auth, said);
  mle_irc_signer_hide(asked->signer, said);
  mle_status status = status_of(type, response->status, !is_read(asked->method));
  if (response->status == 401) advice = "; set token, or credential";
  if (response->status == 404 && type == NULL && strcmp(asked->method, "HEAD") != 0)
    advice = "; is an Iceberg REST catalog at that uri?";
  mle_fail(err, status, "%s, %s %s: %ld%s%s%s", asked->uri, asked->method, asked->path, response->status,
           *said == '\0' ? "" : ": ", said, advice);
  if (err != NULL) err->retryable |= status == MLE_EIO;
  mle_json_free(doc);
  return status;
}
