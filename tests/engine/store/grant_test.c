/* Which credentials reach which object, and where they are from. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/base/alloc.h"
#include "engine/base/clock.h"
#include "engine/base/file.h"
#include "engine/store/aws.h"
#include "engine/store/grant.h"

static char folder[] = "/tmp/mle-grant-XXXXXX";

/* No variable, file or service of this machine decides what the tests see. */
static int clean(void **state) {
  (void)state;
  static const char *const names[] = {
      "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_REGION",
      "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_WEB_IDENTITY_TOKEN_FILE",
      "AWS_ROLE_ARN", "AWS_CA_BUNDLE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) unsetenv(names[i]);
  setenv("AWS_EC2_METADATA_DISABLED", "true", 1);
  setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent", 1);
  setenv("AWS_CONFIG_FILE", "/nonexistent", 1);
  mle_store_forget_grants();
  return 0;
}

static void grant(const char *prefix, const char *id, bool weak) {
  const mle_property properties[] = {{"s3.endpoint", "http://127.0.0.1:1"}, {"s3.access-key-id", id},
                                     {"s3.secret-access-key", "secret"}};
  assert_int_equal(mle_store_grant(&(mle_grant_request){.prefix = prefix, .properties = properties,
                                                        .num_properties = 3, .weak = weak}, NULL), MLE_OK);
}

static void assert_id(const char *uri, const char *id) {
  const mle_access *access;
  mle_error err;
  if (mle_store_access(uri, &access, &err) != MLE_OK) fail_msg("%s", err.message);
  assert_string_equal(access->keys.access_key_id, id);
  mle_access_free(access);
}

static void the_longest_prefix_decides(void **state) {
  (void)state;
  grant("s3://lake/", "BUCKET", false);
  grant("s3a://lake/a/t/", "TABLE", false);
  grant("s3://lake/a/t/", "WEAK", true);
  grant("s3://", "ALL", true);
  assert_id("s3://lake/a/t/data/1.parquet", "TABLE");
  assert_id("s3n://lake/a/t/data/1.parquet", "TABLE");
  assert_id("s3://lake/a/t2/data/1.parquet", "BUCKET");
  assert_id("s3://other/x", "ALL");
  grant("s3://lake/a/t/", "NEXT", false);
  assert_id("s3://lake/a/t/data/1.parquet", "NEXT");
  char *scope = mle_store_scope("s3a://lake/a/t/data/1.parquet");
  assert_string_equal(scope, "s3://lake/a/t/");
  mle_free(scope);
  scope = mle_store_scope("s3://other/x/y");
  assert_string_equal(scope, "s3://other/");
  mle_free(scope);
}

static void one_uri_has_one_endpoint(void **state) {
  (void)state;
  mle_error err;
  const mle_property other[] = {{"s3.endpoint", "http://127.0.0.1:2"}};
  grant("s3://lake/t/", "A", false);
  const mle_grant_request request = {.prefix = "s3://lake/t/", .properties = other, .num_properties = 1,
                                     .owner = "catalog 'b'"};
  assert_int_equal(mle_store_grant(&request, &err), MLE_EREFUSED);
  assert_non_null(strstr(err.message, "catalog 'b' has another s3.endpoint for s3://lake/t/"));
}

static mle_status access_with(const mle_property *properties, size_t count, const mle_access **out, mle_error *err) {
  mle_store_forget_grants();
  const mle_grant_request request = {.prefix = "s3://b/", .properties = properties, .num_properties = count,
                                     .owner = "catalog 'x'"};
  assert_int_equal(mle_store_grant(&request, NULL), MLE_OK);
  return mle_store_access("s3://b/k", out, err);
}

static void settings_have_pyiceberg_s_names(void **state) {
  (void)state;
  const mle_access *a;
  const mle_property properties[] = {
      {"client.region", "eu-west-1"}, {"client.access-key-id", "C"}, {"client.secret-access-key", "S"},
      {"s3.session-token", "T"}, {"s3.endpoint", "host:9000/"}, {"s3.force-virtual-addressing", "True"},
      {"s3.proxy-uri", "http://p:1"}, {"s3.connect-timeout", "2.5"}, {"ssl.cabundle", "/ca.pem"}};
  assert_int_equal(access_with(properties, 9, &a, NULL), MLE_OK);
  assert_string_equal(a->region, "eu-west-1");
  assert_string_equal(a->keys.access_key_id, "C");
  assert_string_equal(a->keys.session_token, "T");
  assert_string_equal(a->endpoint, "https://host:9000");
  assert_true(a->virtual_host);
  assert_false(a->is_aws);
  assert_string_equal(a->proxy, "http://p:1");
  assert_string_equal(a->ca_file, "/ca.pem");
  assert_int_equal(a->connect_ms, 2501);
  char text[] = "the token is T, the secret SECRET";
  mle_access_mask(a, text); /* too short to be looked for */
  assert_string_equal(text, "the token is T, the secret SECRET");
  mle_access_free(a);
}

static void what_it_does_not_do_is_refused(void **state) {
  (void)state;
  static const mle_property bad[] = {
      {"s3.role-arn", "arn:aws:iam::1:role/x"}, {"s3.signer", "S3V4RestSigner"}, {"s3.remote-signing-enabled", "true"},
      {"s3.sse.type", "kms"}, {"s3.endpoint", "ftp://x"}, {"s3.endpoint", "http://user:pw@x"}, {"s3.connect-timeout", "soon"},
      {"s3.access-key-id", "only"}, {"s3.profile-name", "nobody"}};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    const mle_access *a;
    mle_error err;
    if (access_with(&bad[i], 1, &a, &err) == MLE_OK) fail_msg("%s was taken", bad[i].key);
    assert_non_null(strstr(err.message, "catalog 'x': "));
    assert_null(strstr(err.message, "user:pw"));
  }
}

static void secrets_are_masked(void **state) {
  (void)state;
  const mle_access *a;
  const mle_property properties[] = {{"s3.access-key-id", "ID"}, {"s3.secret-access-key", "c4n4ry"},
                                     {"s3.session-token", "t0ken"}};
  assert_int_equal(access_with(properties, 3, &a, NULL), MLE_OK);
  char text[] = "c4n4ry and t0ken and c4n4ry";
  mle_access_mask(a, text);
  assert_string_equal(text, "****** and ***** and ******");
  mle_access_free(a);
}

/* ====== Renewal ====== */

typedef struct vendor {
  int asked, released, life_ms;
  bool fails;
  char id[16], expires[32];
} vendor;

static mle_status vend(void *context, mle_arena *arena, const mle_property **out, size_t *count, mle_error *err) {
  vendor *v = context;
  if (v->fails) return mle_fail(err, MLE_EIO, "no");
  snprintf(v->id, sizeof v->id, "ID%d", ++v->asked);
  snprintf(v->expires, sizeof v->expires, "%lld", (long long)(mle_now_ms() + v->life_ms));
  mle_property *p = mle_arena_array(arena, 3, sizeof *p);
  if (p == NULL) return mle_nomem(err, "vending");
  p[0] = (mle_property){"s3.access-key-id", v->id};
  p[1] = (mle_property){"s3.secret-access-key", "S"};
  p[2] = (mle_property){"s3.session-token-expires-at-ms", v->expires};
  *out = p;
  *count = 3;
  return MLE_OK;
}

static void released(void *context) { ((vendor *)context)->released++; }

static mle_status grant_vended(vendor *v, int life_ms, mle_error *err) {
  char expires[32];
  snprintf(expires, sizeof expires, "%lld", (long long)(mle_now_ms() + life_ms));
  const mle_property properties[] = {{"s3.access-key-id", "ID0"}, {"s3.secret-access-key", "S"},
                                     {"s3.session-token-expires-at-ms", expires}};
  return mle_store_grant(&(mle_grant_request){.prefix = "s3://v/", .properties = properties, .num_properties = 3,
                                              .renew = vend, .context = v, .release = released}, err);
}

static void credentials_are_renewed_before_they_end(void **state) {
  (void)state;
  vendor v = {.life_ms = 3600000};
  assert_int_equal(grant_vended(&v, 400, NULL), MLE_OK);
  assert_id("s3://v/k", "ID0");
  mle_sleep_ms(320); /* three quarters of its life and a little */
  assert_id("s3://v/k", "ID1");
  assert_id("s3://v/k", "ID1");
  assert_int_equal(v.asked, 1);
  mle_store_forget_grants();
  assert_int_equal(v.released, 1);
}

static void what_a_server_calls_expired_is_renewed(void **state) {
  (void)state;
  vendor v = {.life_ms = 3600000};
  const mle_access *old, *newer;
  assert_int_equal(grant_vended(&v, 3600000, NULL), MLE_OK);
  assert_int_equal(mle_store_access("s3://v/k", &old, NULL), MLE_OK);
  assert_int_equal(mle_store_access_anew("s3://v/k", old, &newer, NULL), MLE_OK);
  assert_string_equal(newer->keys.access_key_id, "ID1");
  assert_string_equal(old->keys.access_key_id, "ID0"); /* whoever still uses it may */
  mle_access_free(newer);
  assert_int_equal(mle_store_access_anew("s3://v/k", old, &newer, NULL), MLE_OK); /* another thread did it already */
  assert_string_equal(newer->keys.access_key_id, "ID1");
  mle_access_free(newer);
  v.fails = true;
  assert_id("s3://v/k", "ID1"); /* lasts, so nobody is asked */
  mle_access_free(old);
  mle_store_forget_grants(); /* `v` ends here */
  assert_int_equal(v.released, 1);
}

static void out_of_memory(void **state) {
  (void)state;
  mle_status status = MLE_ENOMEM;
  vendor v = {.life_ms = 3600000};
  int grants = 0;
  for (long count = 0; status != MLE_OK; count++) {
    const mle_access *access = NULL, *newer = NULL;
    mle_store_forget_grants();
    mle_error err;
    mle_alloc_fail_after(count);
    status = grant_vended(&v, 3600000, &err);
    grants++;
    if (status == MLE_OK) status = mle_store_access("s3://v/k", &access, &err);
    if (status == MLE_OK) status = mle_store_access_anew("s3://v/k", access, &newer, &err);
    mle_alloc_fail_after(-1);
    if (status != MLE_OK && status != MLE_ENOMEM) fail_msg("%s", err.message);
    mle_access_free(access);
    mle_access_free(newer);
  }
  mle_store_forget_grants();
  assert_int_equal(v.released, grants); /* once each, whatever failed */
}

/* ====== Where AWS's programs keep them ====== */

static void put_file(const char *name, const char *text, const char *variable) {
  char *path = mle_format("%s/%s", folder, name);
  assert_int_equal(mle_file_replace(path, text, strlen(text), 0600, NULL), MLE_OK);
  if (variable != NULL) setenv(variable, path, 1);
  mle_free(path);
}

static void profiles_are_read(void **state) {
  (void)state;
  put_file("credentials", "[default]\naws_access_key_id = D\naws_secret_access_key=DS\n\n[ other ]\r\n# no\n"
           "AWS_ACCESS_KEY_ID=O\naws_secret_access_key = a=b \naws_session_token = T\n", "AWS_SHARED_CREDENTIALS_FILE");
  put_file("config", "[default]\nregion = eu-north-1\n[profile other]\nregion=ap-south-1\ns3 =\n  addressing_style = path\n"
           "aws_access_key_id = later\n[profile sso]\nsso_session = x\n", "AWS_CONFIG_FILE");
  const mle_access *a;
  assert_int_equal(access_with(NULL, 0, &a, NULL), MLE_OK);
  assert_string_equal(a->keys.access_key_id, "D");
  assert_null(a->keys.session_token);
  assert_string_equal(a->region, "eu-north-1");
  assert_string_equal(a->source, "profile 'default'");
  assert_true(a->is_aws && a->virtual_host);
  mle_access_free(a);
  setenv("AWS_PROFILE", "other", 1);
  assert_int_equal(access_with(NULL, 0, &a, NULL), MLE_OK);
  assert_string_equal(a->keys.access_key_id, "O");
  assert_string_equal(a->keys.secret_access_key, "a=b");
  assert_string_equal(a->region, "ap-south-1");
  mle_access_free(a);
  setenv("AWS_ACCESS_KEY_ID", "ENV", 1);
  setenv("AWS_SECRET_ACCESS_KEY", "ES", 1);
  assert_int_equal(access_with(NULL, 0, &a, NULL), MLE_OK);
  assert_string_equal(a->keys.access_key_id, "ENV");
  mle_access_free(a);
  const mle_property by_name = {"s3.profile-name", "default"};
  assert_int_equal(access_with(&by_name, 1, &a, NULL), MLE_OK);
  assert_string_equal(a->keys.access_key_id, "D");
  mle_access_free(a);
  mle_error err;
  const mle_property sso = {"s3.profile-name", "sso"};
  assert_int_equal(access_with(&sso, 1, &a, &err), MLE_EUNSUPPORTED);
  assert_non_null(strstr(err.message, "sso_session"));
}

static void without_any_it_says_where_it_looked(void **state) {
  (void)state;
  const mle_access *a;
  mle_error err;
  assert_int_equal(access_with(NULL, 0, &a, &err), MLE_ENOTFOUND);
  assert_non_null(strstr(err.message, "AWS_ACCESS_KEY_ID"));
  const mle_property anonymous = {"s3.anonymous", "true"};
  assert_int_equal(access_with(&anonymous, 1, &a, NULL), MLE_OK);
  assert_true(a->anonymous);
  mle_access_free(a);
}

static int make_folder(void **state) {
  (void)state;
  return mkdtemp(folder) == NULL;
}

static int remove_folder(void **state) {
  clean(state);
  return mle_remove_tree(folder, NULL) != MLE_OK;
}

#define TEST(name) cmocka_unit_test_setup(name, clean)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(the_longest_prefix_decides), TEST(one_uri_has_one_endpoint), TEST(settings_have_pyiceberg_s_names),
      TEST(what_it_does_not_do_is_refused), TEST(secrets_are_masked), TEST(credentials_are_renewed_before_they_end),
      TEST(what_a_server_calls_expired_is_renewed), TEST(out_of_memory), TEST(profiles_are_read),
      TEST(without_any_it_says_where_it_looked),
  };
  return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
