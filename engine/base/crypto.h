/*
 * crypto.h -- libcrypto, opened on first use (library.h): most processes of a pipeline never hash anything, and its
 * 4,000 symbols took a fifth of the time in which each of them started.
 *
 *     const mle_crypto *crypto;
 *     MLE_TRY(mle_crypto_open(&crypto, err));
 *     crypto->EVP_Digest(bytes, len, digest, NULL, crypto->EVP_sha256(), NULL);
 */
#ifndef MLE_CRYPTO_H
#define MLE_CRYPTO_H

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "engine/base/error.h"

#define MLE_CRYPTO_FUNCTIONS(X)                                                                        \
  X(EVP_Digest) X(EVP_sha256) X(EVP_EncodeBlock) X(EVP_DecodeBlock) X(EVP_PKEY_free) X(HMAC)           \
  X(BIO_new_mem_buf) X(BIO_free) X(PEM_read_bio_X509) X(PEM_read_bio_PrivateKey) X(ERR_clear_error)    \
  X(X509_check_private_key) X(X509_cmp_time) X(X509_get0_notAfter) X(X509_free) X(OPENSSL_cleanse)

typedef struct mle_crypto {
#define MLE_CRYPTO_FIELD(name) __typeof__(name) *name;
  MLE_CRYPTO_FUNCTIONS(MLE_CRYPTO_FIELD)
#undef MLE_CRYPTO_FIELD
} mle_crypto;

/* The same for the whole process; any thread may ask. */
mle_status mle_crypto_open(const mle_crypto **out, mle_error *err);

#endif
