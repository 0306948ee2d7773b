#include "engine/serve/admin.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/alloc.h"
#include "engine/base/file.h"
#include "engine/json/json.h"
#include "engine/serve/child.h"

#define COPY_MAX ((long long)1 << 30)
#define ROLLBACK_MS 60000

static bool may_administer(mle_exchange *x) {
  const char *key = mle_keyring_bearer(x->call->authorization);
  if (!mle_exchange_may(x, "", key)) return false;
  if (x->api->mailbox != NULL) return true;
  mle_exchange_fail(x, 404, "this server takes no commands over the network");
  return false;
}

/* ====== Commands ====== */

static int status_of_kind(const char *kind) {
  if (strcmp(kind, "not found") == 0) return 404;
  if (strcmp(kind, "conflict") == 0 || strcmp(kind, "busy") == 0) return 409;
  if (strcmp(kind, "invalid") == 0 || strcmp(kind, "format") == 0) return 400;
  return 500;
}

/* The control thread's reply as it is; its `ok` and `kind` as a status. */
static void put_reply(mle_exchange *x, const char *reply) {
  mle_json *doc;
  const char *kind = "";
  x->answer->status = 503; /* unless it can be read: out of memory */
  if (mle_json_parse(reply, strlen(reply), &doc, NULL) == MLE_OK) {
    mle_json_at root = mle_json_root(doc);
    bool ok = false;
    mle_json_opt_bool(&root, "ok", false, &ok, NULL);
    if (!ok) mle_json_opt_text(&root, "kind", "unknown", &kind, NULL);
    x->answer->status = *kind == '\0' ? 200 : status_of_kind(kind);
    mle_json_free(doc);
  }
  mle_exchange_text(x, "application/json", reply);
}

static void command(mle_exchange *x, const char *line) {
  char *reply = NULL;
  if (!mle_mailbox_ask(x->api->mailbox, line, &reply))
    mle_exchange_fail(x, 503, "the server is stopping");
  else if (reply == NULL)
    mle_exchange_fail(x, 503, "out of memory");
  else
    put_reply(x, reply);
  mle_free(reply);
}

static void post_command(mle_exchange *x) {
  if (mle_exchange_is_method(x, "POST")) command(x, x->call->body);
}

static void command_endpoint(mle_exchange *x, const char *verb, const char *endpoint) {
  char line[MLE_ENDPOINT_MAX + 64];
  mle_error err;
  if (mle_endpoint_check(endpoint, &err) != MLE_OK) {
    mle_exchange_fail_error(x, &err);
    return;
  }
  snprintf(line, sizeof line, "{\"command\":\"%s\",\"endpoint\":\"%s\"}", verb, endpoint);
  command(x, line);
}

void mle_admin_repository(mle_exchange *x, char *rest) {
  const char *name = mle_path_part(&rest), *verb = mle_path_part(&rest);
  bool load = verb != NULL && strcmp(verb, "load") == 0;
  bool unload = verb != NULL && strcmp(verb, "unload") == 0;
  if ((!load && !unload) || mle_path_part(&rest) != NULL) {
    mle_exchange_fail(x, 404, "use /v2/repository/models/NAME/load or .../unload");
    return;
  }
  if (!mle_exchange_is_method(x, "POST") || !may_administer(x)) return;
  if (mle_exchange_slot(x, name) == NULL) return;
  command_endpoint(x, load ? "swap" : "retire", name);
}

/* ====== Models ====== */

static bool is_digest(const char *text) {
  return strlen(text) == MLE_SHA256_HEX - 1 &&
         strspn(text, "0123456789abcdef") == MLE_SHA256_HEX - 1;
}

static bool is_file_name(const char *name) {
  if (*name == '.' || *name == '\0' || strlen(name) > 200) return false;
  for (; *name != '\0'; name++)
    if (!isalnum((unsigned char)*name) && strchr("._-", *name) == NULL) return false;
  return true;
}

static mle_status write_part(const char *path, long long offset, const char *bytes, size_t len,
                             mle_error *err) {
  int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | (offset == 0 ? O_TRUNC : 0),
                0600);
  if (fd < 0) return mle_fail(err, MLE_EIO, "cannot write '%s': %s", path, strerror(errno));
  mle_status status = MLE_OK;
  while (len > 0 && status == MLE_OK) {
    ssize_t put = pwrite(fd, bytes, len, (off_t)offset);
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) {
      status = mle_fail(err, MLE_EIO, "cannot write '%s': %s", path, strerror(errno));
      break;
    }
    bytes += put;
    len -= (size_t)put;
    offset += put;
  }
  if (status == MLE_OK && fsync(fd) != 0)
    status = mle_fail(err, MLE_EIO, "cannot write '%s': %s", path, strerror(errno));
  close(fd);
  return status;
}

/* Into models/SHA256.part; the release's `begin` gives it its name. */
static void put_part(mle_exchange *x, const char *digest, const char *file) {
  const char *text = mle_exchange_query(x, "offset");
  long long offset = strtoll(text, NULL, 10);
  if (offset < 0 || offset > COPY_MAX - (long long)x->call->body_len) {
    mle_exchange_fail(x, 413, "a model's copy has at most 1 GiB");
    return;
  }
  mle_error err;
  char *folder = mle_format("%s/models/%s.part", x->api->state, digest);
  char *path = folder == NULL ? NULL : mle_path_join(folder, file);
  mle_status status = path == NULL ? mle_nomem(&err, "taking a model")
                                   : mle_make_folders(folder, 0700, &err);
  if (status == MLE_OK) status = write_part(path, offset, x->call->body, x->call->body_len, &err);
  if (status == MLE_OK)
    mle_exchange_text(x, "application/json", "{\"ok\":true}");
  else
    mle_exchange_fail_error(x, &err);
  mle_free(path);
  mle_free(folder);
}

static void put_model(mle_exchange *x, char *rest) {
  const char *digest = mle_path_part(&rest), *file = mle_path_part(&rest);
  if (digest == NULL || file == NULL || mle_path_part(&rest) != NULL || !is_digest(digest) ||
      !is_file_name(file))
    mle_exchange_fail(x, 404, "use /admin/models/SHA256/FILE");
  else if (mle_exchange_is_method(x, "PUT"))
    put_part(x, digest, file);
}

/* ====== Going back ====== */

static void roll_back(mle_exchange *x, char *endpoint) {
  char name[] = "mlengine", verb[] = "rollback";
  char *argv[] = {name, verb, endpoint, NULL};
  mle_error err;
  mle_buffer output = MLE_BUFFER(65536), errors = MLE_BUFFER(65536);
  int code = 0;
  mle_status status = mle_child_run(x->api->program, argv, ROLLBACK_MS, &output, &errors, &code,
                                    &err);
  if (status == MLE_OK && code == 0) {
    mle_exchange_text(x, "application/json", "{\"ok\":true}");
  } else if (status != MLE_OK) {
    mle_exchange_fail_error(x, &err);
  } else {
    mle_exchange_fail(x, 409, mle_child_last_line(&errors, "the rollback failed"));
  }
  mle_buffer_release(&output);
  mle_buffer_release(&errors);
}

static void change_endpoint(mle_exchange *x, char *rest) {
  char *name = mle_path_part(&rest);
  const char *verb = mle_path_part(&rest);
  if (name == NULL || verb == NULL || strcmp(verb, "rollback") != 0 ||
      mle_path_part(&rest) != NULL) {
    mle_exchange_fail(x, 404, "use /admin/endpoints/NAME/rollback");
    return;
  }
  if (mle_exchange_is_method(x, "POST") && mle_exchange_slot(x, name) != NULL) roll_back(x, name);
}

void mle_admin_answer(mle_exchange *x, char *rest) {
  if (!may_administer(x)) return;
  const char *what = mle_path_part(&rest);
  if (what != NULL && strcmp(what, "command") == 0 && *rest == '\0')
    post_command(x);
  else if (what != NULL && strcmp(what, "models") == 0)
    put_model(x, rest);
  else if (what != NULL && strcmp(what, "endpoints") == 0)
    change_endpoint(x, rest);
  else
    mle_exchange_fail(x, 404, "there is nothing at this path; mlengine help serving lists them");
}
