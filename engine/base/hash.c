#include "engine/base/hash.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#include "engine/base/crypto.h"

void mle_hex(const void *from, size_t len, char *out) {
  static const char digits[] = "0123456789abcdef";
  const unsigned char *bytes = from;
  for (size_t i = 0; i < len; i++) {
    out[2 * i] = digits[bytes[i] >> 4];
    out[2 * i + 1] = digits[bytes[i] & 15];
  }
  out[2 * len] = '\0';
}

mle_status mle_sha256_hex(const void *bytes, size_t len, char out[MLE_SHA256_HEX], mle_error *err) {
  unsigned char digest[32];
  const mle_crypto *crypto;
  out[0] = '\0';
  MLE_TRY(mle_crypto_open(&crypto, err));
  if (crypto->EVP_Digest(bytes, len, digest, NULL, crypto->EVP_sha256(), NULL) != 1)
    return mle_nomem(err, "computing a SHA-256");
  mle_hex(digest, sizeof digest, out);
  return MLE_OK;
}

mle_status mle_hmac_sha256(const void *key, size_t key_len, const void *bytes, size_t len,
                           unsigned char out[MLE_SHA256_BYTES], mle_error *err) {
  unsigned int size;
  const mle_crypto *crypto;
  MLE_TRY(mle_crypto_open(&crypto, err));
  if (crypto->HMAC(crypto->EVP_sha256(), key, (int)key_len, bytes, len, out, &size) == NULL)
    return mle_nomem(err, "computing an HMAC");
  return MLE_OK;
}

void mle_random_bytes(void *out, size_t len) {
  unsigned char *at = out;
  while (len > 0) {
    ssize_t got = getrandom(at, len, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) {
      perror("mlengine: no random numbers from the kernel");
      abort();
    }
    at += got;
    len -= (size_t)got;
  }
}

static void random_uuid(unsigned char bytes[16]) {
  mle_random_bytes(bytes, 16);
  bytes[6] = (unsigned char)((bytes[6] & 0x0F) | 0x40); /* version 4 */
  bytes[8] = (unsigned char)((bytes[8] & 0x3F) | 0x80); /* variant 10 */
}

char *mle_uuid_hex(char out[MLE_UUID_TEXT]) {
  unsigned char bytes[16];
  random_uuid(bytes);
  mle_hex(bytes, sizeof bytes, out);
  return out;
}

char *mle_uuid(char out[MLE_UUID_TEXT]) {
  char hex[MLE_UUID_TEXT];
  mle_uuid_hex(hex);
  snprintf(out, MLE_UUID_TEXT, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16,
           hex + 20);
  return out;
}

int64_t mle_random_id(void) {
  uint64_t id = 0;
  while (id == 0) {
    mle_random_bytes(&id, sizeof id);
    id &= INT64_MAX;
  }
  return (int64_t)id;
}

uint64_t mle_mix64(uint64_t value) {
  value += UINT64_C(0x9E3779B97F4A7C15);
  value = (value ^ (value >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
  value = (value ^ (value >> 27)) * UINT64_C(0x94D049BB133111EB);
  return value ^ (value >> 31);
}

uint64_t mle_hash64(const void *bytes, size_t len, uint64_t seed) {
  const unsigned char *at = bytes;
  uint64_t hash = UINT64_C(0xCBF29CE484222325) ^ mle_mix64(seed);
  for (size_t i = 0; i < len; i++) hash = (hash ^ at[i]) * UINT64_C(0x100000001B3);
  return mle_mix64(hash);
}
