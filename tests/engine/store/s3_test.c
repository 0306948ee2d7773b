/* S3 by our own client against a server in a process of its own: objects, pages of a list, a file in parts, and who gives out credentials. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/base/alloc.h"
#include "engine/base/file.h"
#include "engine/http/server.h"
#include "engine/store/aws.h"
#include "engine/store/cache.h"
#include "engine/store/grant.h"
#include "engine/store/store.h"

#define KEYS "\"AccessKeyId\":\"AK\",\"SecretAccessKey\":\"a secret key\",\"Token\":\"a session token\",\"Expiration\":\"2099-01-01T00:00:00Z\""
#define ROLE                                                                                                       \
  "<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>AK</AccessKeyId>" \
  "<SecretAccessKey>a secret key</SecretAccessKey><SessionToken>a session token</SessionToken>"                    \
  "<Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"
#define PAGE(more, key)                                                                                            \
  "<ListBucketResult><IsTruncated>" more "</IsTruncated><NextContinuationToken>next</NextContinuationToken>"       \
  "<Contents><Key>" key "</Key><Size>4</Size></Contents></ListBucketResult>"

static void say(mle_http_answer *out, const char *text) { mle_buffer_puts(&out->body, text, NULL); }

static void answer_service(const mle_http_call *call, mle_http_answer *out) {
  if (strcmp(call->path, "/sts") == 0) say(out, ROLE);
  else if (strcmp(call->path, "/latest/api/token") == 0) say(out, "machine-token");
  else if (strcmp(call->path, "/latest/meta-data/iam/security-credentials/") == 0) say(out, "role");
  else say(out, "{\"Code\":\"Success\"," KEYS "}");
}

static void answer(void *context, const mle_http_call *call, mle_http_answer *out) {
  bool get = strcmp(call->method, "GET") == 0;
  (void)context;
  if (strncmp(call->path, "/lake", 5) != 0)
    answer_service(call, out);
  else if (get && mle_http_call_query(call, "list-type") != NULL)
    say(out, mle_http_call_query(call, "continuation-token") == NULL ? PAGE("true", "t/a") : PAGE("false", "t/b"));
  else if (mle_http_call_query(call, "uploads") != NULL)
    say(out, "<InitiateMultipartUploadResult><UploadId>the/id</UploadId></InitiateMultipartUploadResult>");
  else if (strcmp(call->path, "/lake/t/none") == 0)
    out->status = 404;
  else
    say(out, get ? "body" : "");
}

static pid_t server;
static char url[MLE_URL_MAX], folder[] = "/tmp/mle-s3-XXXXXX", file[80];

static void serve(int to) {
  mle_http_server_options options = MLE_HTTP_SERVER_OPTIONS;
  mle_http_server *started;
  mle_address at;
  options.handler = answer;
  options.workers = 1;
  if (mle_address_parse("127.0.0.1:0", &at, NULL) != MLE_OK ||
      mle_http_server_start(&options, &at, &started, NULL) != MLE_OK ||
      write(to, &at.port, sizeof at.port) != sizeof at.port)
    _exit(1);
  alarm(300); /* whatever becomes of the test */
  while (true) pause();
}

static int start(void **state) {
  int ends[2];
  uint16_t port = 0;
  (void)state;
  if (mkdtemp(folder) == NULL || pipe(ends) != 0) return -1;
  snprintf(file, sizeof file, "%s/file", folder);
  if (mle_file_replace(file, "some bytes", 10, 0600, NULL) != MLE_OK) return -1;
  server = fork();
  if (server == 0) serve(ends[1]);
  close(ends[1]);
  bool begun = read(ends[0], &port, sizeof port) == sizeof port;
  close(ends[0]);
  snprintf(url, sizeof url, "http://127.0.0.1:%u", port);
  static const char *const names[] = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_REGION",
                                      "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_CA_BUNDLE"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) unsetenv(names[i]);
  setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent", 1);
  setenv("AWS_CONFIG_FILE", "/nonexistent", 1);
  return begun ? 0 : -1;
}

static int end(void **state) {
  (void)state;
  kill(server, SIGKILL);
  waitpid(server, NULL, 0);
  mle_store_forget_grants();
  mle_cache_clear();
  return mle_remove_tree(folder, NULL) != MLE_OK;
}

/* ====== What is walked ====== */

static mle_status give(mle_error *err) {
  const mle_property properties[] = {{"s3.endpoint", url}, {"s3.access-key-id", "AK"}, {"s3.secret-access-key", "a secret key"},
                                     {"s3.region", "us-east-1"}};
  return mle_store_grant(&(mle_grant_request){.prefix = "s3://lake/t/", .properties = properties, .num_properties = 4}, err);
}

static mle_status read_it(mle_error *err) {
  mle_buffer text = MLE_BUFFER(100);
  bool there = true;
  int64_t size;
  mle_status status;
  MLE_GO(give(err));
  MLE_GO(mle_store_read("s3://lake/t/metadata/1.metadata.json", &text, err));
  MLE_GO(mle_store_read("s3://lake/t/metadata/1.metadata.json", &text, err)); /* from memory */
  MLE_GO(mle_store_exists("s3://lake/t/none", &there, err));
  MLE_GO(mle_store_size("s3://lake/t/a", &size, err));
  assert_string_equal(text.data, "bodybody");
  assert_false(there);
done:
  mle_buffer_release(&text);
  mle_cache_clear();
  return status;
}

static mle_status count(void *context, const char *uri, int64_t size, mle_error *err) {
  (void)err;
  assert_int_equal(strncmp(uri, "s3://lake/t/", 12), 0);
  *(int64_t *)context += size;
  return MLE_OK;
}

static mle_status list_it(mle_error *err) {
  int64_t bytes = 0;
  MLE_TRY(give(err));
  MLE_TRY(mle_store_list("s3://lake/t", count, &bytes, err));
  assert_int_equal(bytes, 8);
  return MLE_OK;
}

static mle_status write_it(mle_error *err) {
  MLE_TRY(give(err));
  MLE_TRY(mle_store_create("s3://lake/t/new", "body", 4, err));
  MLE_TRY(mle_store_replace("s3://lake/t/new", "body", 4, err));
  MLE_TRY(mle_store_upload("s3://lake/t/file", file, err));
  return mle_store_remove("s3://lake/t/new", err);
}

static mle_status find_keys(mle_error *err) {
  mle_arena arena = MLE_ARENA;
  mle_aws_settings settings;
  mle_aws_found found = {0};
  mle_status status = mle_aws_settle(NULL, 0, &arena, &settings, err);
  if (status == MLE_OK) status = mle_aws_find(&settings, &arena, &found, err);
  if (status == MLE_OK) assert_string_equal(found.keys.session_token, "a session token");
  mle_arena_release(&arena);
  return status;
}

/* libcurl has words of its own for it; a service that cannot be asked is one that is not there. */
static void walk(mle_status (*body)(mle_error *)) {
  mle_error err = {0};
  long granted = 0;
  if (body(&err) != MLE_OK) fail_msg("%s", err.message);
  for (mle_status status = MLE_ENOMEM; status != MLE_OK; granted++) {
    mle_store_forget_grants();
    mle_alloc_fail_after(granted);
    status = body(&err);
    mle_alloc_fail_after(-1);
    if (status != MLE_OK && status != MLE_ENOMEM && status != MLE_EIO && status != MLE_EFORMAT && status != MLE_ENOTFOUND)
      fail_msg("after %ld allocations: %s", granted, err.message);
  }
  assert_true(granted > 10);
}

static void objects_out_of_memory(void **state) {
  (void)state;
  walk(read_it);
  walk(list_it);
  walk(write_it);
}

static void credentials_out_of_memory(void **state) {
  static char sts[MLE_URL_MAX + 8], container[MLE_URL_MAX + 16];
  (void)state;
  snprintf(sts, sizeof sts, "%s/sts", url);
  snprintf(container, sizeof container, "%s/container", url);
  setenv("AWS_EC2_METADATA_DISABLED", "true", 1);
  setenv("AWS_WEB_IDENTITY_TOKEN_FILE", file, 1);
  setenv("AWS_ROLE_ARN", "arn:aws:iam::1:role/r", 1);
  setenv("AWS_ENDPOINT_URL_STS", sts, 1);
  walk(find_keys);
  unsetenv("AWS_WEB_IDENTITY_TOKEN_FILE");
  setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", container, 1);
  walk(find_keys);
  unsetenv("AWS_CONTAINER_CREDENTIALS_FULL_URI");
  unsetenv("AWS_EC2_METADATA_DISABLED");
  setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", url, 1);
  walk(find_keys);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(objects_out_of_memory),
      cmocka_unit_test(credentials_out_of_memory),
  };
  return cmocka_run_group_tests(tests, start, end);
}
