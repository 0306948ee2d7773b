/* Certificates and keys made here: what is read, what is refused and with which words. */

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
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
#include "engine/base/file.h"
#include "engine/http/tls.h"

static char folder[] = "/tmp/mlengine-tls-XXXXXX";

static FILE *create(const char *name) {
  char *path = mle_path_join(folder, name);
  FILE *file = fopen(path, "w");
  assert_non_null(file);
  mle_free(path);
  return file;
}

/* NAME.pem and NAME.key; it ends `seconds` from now. */
static void make(const char *name, long seconds, const char *pass_phrase) {
  char file_name[64];
  EVP_PKEY *key = EVP_EC_gen("P-256");
  X509 *cert = X509_new();
  ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
  X509_gmtime_adj(X509_getm_notBefore(cert), -7200);
  X509_gmtime_adj(X509_getm_notAfter(cert), seconds);
  X509_set_pubkey(cert, key);
  assert_true(X509_sign(cert, key, EVP_sha256()) > 0);
  snprintf(file_name, sizeof file_name, "%s.pem", name);
  FILE *file = create(file_name);
  assert_int_equal(PEM_write_X509(file, cert), 1);
  fclose(file);
  snprintf(file_name, sizeof file_name, "%s.key", name);
  file = create(file_name);
  assert_int_equal(PEM_write_PrivateKey(file, key, pass_phrase == NULL ? NULL : EVP_aes_128_cbc(), NULL, 0, NULL,
                                        (void *)(uintptr_t)pass_phrase), 1);
  fclose(file);
  X509_free(cert);
  EVP_PKEY_free(key);
}

static mle_status read_pair(const char *cert, const char *key, mle_tls *out, mle_error *err) {
  char cert_path[256], key_path[256];
  snprintf(cert_path, sizeof cert_path, "%s/%s", folder, cert);
  snprintf(key_path, sizeof key_path, "%s/%s", folder, key);
  return mle_tls_read(cert_path, key_path, out, err);
}

static int set_up(void **state) {
  (void)state;
  assert_non_null(mkdtemp(folder));
  make("good", 3600, NULL);
  make("other", 3600, NULL);
  make("old", -3600, NULL);
  make("locked", 3600, "secret");
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  mle_remove_tree(folder, NULL);
  return 0;
}

static void a_pair_is_read(void **state) {
  (void)state;
  mle_tls tls;
  assert_int_equal(read_pair("good.pem", "good.key", &tls, NULL), MLE_OK);
  assert_non_null(strstr(tls.cert.data, "BEGIN CERTIFICATE"));
  assert_non_null(strstr(tls.key.data, "PRIVATE KEY"));
  mle_tls_release(&tls);
}

static void what_does_not_fit_is_named(void **state) {
  (void)state;
  static const struct {
    const char *cert, *key, *part;
    mle_status status;
  } cases[] = {
      {"good.pem", "other.key", "is not that of the certificate", MLE_EINVAL},
      {"old.pem", "old.key", "has expired", MLE_EINVAL},
      {"good.key", "good.key", "good.key' has no certificate", MLE_EFORMAT},
      {"good.pem", "good.pem", "good.pem' has no private key", MLE_EFORMAT},
      {"locked.pem", "locked.key", "pass phrase", MLE_EFORMAT},
      {"none.pem", "good.key", "none.pem", MLE_ENOTFOUND},
      {"good.pem", "none.key", "none.key", MLE_ENOTFOUND},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    mle_tls tls;
    mle_error err;
    assert_int_equal(read_pair(cases[i].cert, cases[i].key, &tls, &err), cases[i].status);
    if (strstr(err.message, cases[i].part) == NULL) fail_msg("'%s' is not in '%s'", cases[i].part, err.message);
    mle_tls_release(&tls);
  }
}

static void memory_may_end_anywhere(void **state) {
  (void)state;
  mle_status status = MLE_ENOMEM;
  for (long granted = 0; status != MLE_OK && granted < 100; granted++) {
    mle_tls tls;
    mle_error err;
    mle_alloc_fail_after(granted);
    status = read_pair("good.pem", "good.key", &tls, &err);
    mle_alloc_fail_after(-1);
    if (status != MLE_OK) assert_int_equal(status, MLE_ENOMEM);
    mle_tls_release(&tls);
  }
  assert_int_equal(status, MLE_OK);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_pair_is_read),
      cmocka_unit_test(what_does_not_fit_is_named),
      cmocka_unit_test(memory_may_end_anywhere),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
