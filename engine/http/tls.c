#include "engine/http/tls.h"

#include <time.h>

#include "engine/base/crypto.h"
#include "engine/base/file.h"

static BIO *open_pem(const mle_crypto *crypto, const mle_buffer *text) {
  return crypto->BIO_new_mem_buf(text->data == NULL ? "" : text->data, (int)text->len);
}

static X509 *parse_cert(const mle_crypto *crypto, const mle_buffer *text) {
  BIO *bio = open_pem(crypto, text);
  X509 *cert = bio == NULL ? NULL : crypto->PEM_read_bio_X509(bio, NULL, NULL, NULL);
  crypto->BIO_free(bio);
  return cert;
}

/* Instead of asking for a pass phrase on the terminal. */
static int no_pass_phrase(char *out, int size, int writing, void *context) {
  (void)out, (void)size, (void)writing, (void)context;
  return -1;
}

static EVP_PKEY *parse_key(const mle_crypto *crypto, const mle_buffer *text) {
  BIO *bio = open_pem(crypto, text);
  EVP_PKEY *key = bio == NULL ? NULL : crypto->PEM_read_bio_PrivateKey(bio, NULL, no_pass_phrase, NULL);
  crypto->BIO_free(bio);
  return key;
}

static mle_status check(const mle_crypto *crypto, const X509 *cert, const char *cert_file, const EVP_PKEY *key,
                        const char *key_file, mle_error *err) {
  if (cert == NULL) return mle_fail(err, MLE_EFORMAT, "'%s' has no certificate in PEM", cert_file);
  if (key == NULL)
    return mle_fail(err, MLE_EFORMAT, "'%s' has no private key in PEM, or one with a pass phrase: openssl pkey "
                                      "takes it off", key_file);
  if (crypto->X509_check_private_key(cert, key) != 1)
    return mle_fail(err, MLE_EINVAL, "the key in '%s' is not that of the certificate in '%s'", key_file, cert_file);
  if (crypto->X509_cmp_time(crypto->X509_get0_notAfter(cert), NULL) <= 0)
    return mle_fail(err, MLE_EINVAL, "the certificate in '%s' has expired", cert_file);
  return MLE_OK;
}

mle_status mle_tls_read(const char *cert_file, const char *key_file, mle_tls *out, mle_error *err) {
  *out = (mle_tls){MLE_BUFFER(MLE_TLS_FILE_MAX), MLE_BUFFER(MLE_TLS_FILE_MAX)};
  const mle_crypto *crypto;
  MLE_TRY(mle_crypto_open(&crypto, err));
  MLE_TRY(mle_file_read(cert_file, &out->cert, err));
  MLE_TRY(mle_file_read(key_file, &out->key, err));
  X509 *cert = parse_cert(crypto, &out->cert);
  EVP_PKEY *key = parse_key(crypto, &out->key);
  mle_status status = check(crypto, cert, cert_file, key, key_file, err);
  crypto->EVP_PKEY_free(key);
  crypto->X509_free(cert);
  crypto->ERR_clear_error();
  return status;
}

void mle_tls_release(mle_tls *tls) {
  const mle_crypto *crypto;
  if (tls->key.data != NULL && mle_crypto_open(&crypto, NULL) == MLE_OK)
    crypto->OPENSSL_cleanse(tls->key.data, tls->key.len);
  mle_buffer_release(&tls->key);
  mle_buffer_release(&tls->cert);
}
