/* Signatures against the examples that AWS publishes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "engine/base/alloc.h"
#include "engine/http/aws_sign.h"

static const mle_aws_keys example = {"AKIAIOSFODNN7EXAMPLE",
                                     "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", NULL};

static const char *find(const char *const *headers, const char *start) {
  for (; *headers != NULL; headers++)
    if (strncmp(*headers, start, strlen(start)) == 0) return *headers;
  return "";
}

/* "Example: GET Object" of the S3 guide: 2013-05-24T00:00:00Z. */
static void s3_get_object(void **state) {
  (void)state;
  mle_arena arena = MLE_ARENA;
  mle_error err;
  const char *const range[] = {"Range: bytes=0-9", NULL}, *const *headers;
  const mle_aws_request request = {"GET", "https://examplebucket.s3.amazonaws.com/test.txt",
                                   "us-east-1", "s3", range, NULL, INT64_C(1369353600000)};
  assert_int_equal(mle_aws_sign(&request, &example, &arena, &headers, &err), MLE_OK);
  assert_string_equal(
      find(headers, "Authorization"),
      "Authorization: AWS4-HMAC-SHA256 "
      "Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, "
      "SignedHeaders=host;range;x-amz-content-sha256;x-amz-date, "
      "Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
  mle_arena_release(&arena);
}

/* "Example: GET Bucket Lifecycle" and "List Objects": parameters with and without a value, sorted. */
static void s3_parameters(void **state) {
  (void)state;
  mle_arena arena = MLE_ARENA;
  mle_error err;
  const char *const *headers;
  mle_aws_request request = {"GET", "https://examplebucket.s3.amazonaws.com/?lifecycle",
                             "us-east-1", "s3", NULL, NULL, INT64_C(1369353600000)};
  assert_int_equal(mle_aws_sign(&request, &example, &arena, &headers, &err), MLE_OK);
  assert_non_null(strstr(find(headers, "Authorization"),
                         "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"));
  request.url = "https://examplebucket.s3.amazonaws.com:443/?prefix=J&max-keys=2";
  assert_int_equal(mle_aws_sign(&request, &example, &arena, &headers, &err), MLE_OK);
  assert_non_null(strstr(find(headers, "Authorization"),
                         "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"));
  mle_arena_release(&arena);
}

/* "Example: PUT Object": a key with a '$', further headers, a body. */
static void s3_put_object(void **state) {
  (void)state;
  mle_arena arena = MLE_ARENA;
  mle_error err;
  const char *const more[] = {"Date: Fri, 24 May 2013 00:00:00 GMT",
                              "x-amz-storage-class:   REDUCED_REDUNDANCY ", NULL}, *const *headers;
  const mle_aws_request request = {
      "PUT", "https://examplebucket.s3.amazonaws.com/test%24file.text", "us-east-1", "s3", more,
      "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072", INT64_C(1369353600000)};
  assert_int_equal(mle_aws_sign(&request, &example, &arena, &headers, &err), MLE_OK);
  assert_non_null(strstr(find(headers, "Authorization"),
                         "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"));
  mle_arena_release(&arena);
}

/* get-vanilla of the test suite of Signature Version 4: no header for the body's digest. */
static void other_services(void **state) {
  (void)state;
  const mle_aws_keys keys = {"AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", NULL};
  mle_arena arena = MLE_ARENA;
  mle_error err;
  const char *const *headers;
  const mle_aws_request request = {"GET", "https://example.amazonaws.com/", "us-east-1", "service",
                                   NULL, NULL, INT64_C(1440938160000)};
  assert_int_equal(mle_aws_sign(&request, &keys, &arena, &headers, &err), MLE_OK);
  assert_string_equal(find(headers, "x-amz-date"), "x-amz-date: 20150830T123600Z");
  assert_string_equal(find(headers, "x-amz-content-sha256"), "");
  assert_non_null(strstr(find(headers, "Authorization"),
                         "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"));
  mle_arena_release(&arena);
}

static void session_token(void **state) {
  (void)state;
  mle_arena arena = MLE_ARENA;
  mle_error err;
  const mle_aws_keys keys = {"A", "S", "tok/en=="};
  const char *const *headers;
  const mle_aws_request request = {"GET", "http://127.0.0.1:9000/b/k", "us-east-1", "s3",
                                   NULL, NULL, 0};
  assert_int_equal(mle_aws_sign(&request, &keys, &arena, &headers, &err), MLE_OK);
  assert_string_equal(find(headers, "x-amz-security-token"), "x-amz-security-token: tok/en==");
  assert_non_null(strstr(find(headers, "Authorization"),
                         "SignedHeaders=host;x-amz-content-sha256;x-amz-date;x-amz-security-token,"));
  mle_arena_release(&arena);
}

static void out_of_memory(void **state) {
  (void)state;
  const mle_aws_keys keys = {"A", "S", "T"};
  const mle_aws_request request = {"GET", "http://127.0.0.1:9000/b/k?a=1&b", "eu-west-1", "s3",
                                   NULL, NULL, 0};
  mle_status status = MLE_ENOMEM;
  long count = 0;
  for (; status != MLE_OK; count++) {
    mle_arena arena = MLE_ARENA;
    mle_error err;
    const char *const *headers;
    mle_alloc_fail_after(count);
    status = mle_aws_sign(&request, &keys, &arena, &headers, &err);
    mle_alloc_fail_after(-1);
    if (status != MLE_OK) assert_int_equal(status, MLE_ENOMEM);
    mle_arena_release(&arena);
  }
  assert_true(count > 1);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(s3_get_object),  cmocka_unit_test(s3_parameters),
      cmocka_unit_test(s3_put_object),  cmocka_unit_test(other_services),
      cmocka_unit_test(session_token),  cmocka_unit_test(out_of_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
