/*
 * hash.h -- digests, and numbers nobody can guess.
 */
#ifndef MLE_HASH_H
#define MLE_HASH_H

#include <stddef.h>
#include <stdint.h>

#include "engine/base/error.h"

#define MLE_SHA256_HEX 65
#define MLE_UUID_TEXT 37

/* Writes the SHA-256 of the bytes as 64 lower-case hex digits and a NUL. */
mle_status mle_sha256_hex(const void *bytes, size_t len, char out[MLE_SHA256_HEX], mle_error *err);

#define MLE_SHA256_BYTES 32

/* HMAC-SHA-256 (RFC 2104) of the bytes; `out` may be the key. */
mle_status mle_hmac_sha256(const void *key, size_t key_len, const void *bytes, size_t len,
                           unsigned char out[MLE_SHA256_BYTES], mle_error *err);

/* Lower-case hex digits and a NUL: 2 * len + 1 bytes. */
void mle_hex(const void *bytes, size_t len, char *out);

/* Fills `out` from the kernel's random source; ends the process if there is none. */
void mle_random_bytes(void *out, size_t len);

/* A random UUID (RFC 9562 version 4) as text, with or without the dashes. */
char *mle_uuid(char out[MLE_UUID_TEXT]);
char *mle_uuid_hex(char out[MLE_UUID_TEXT]);

/* A random positive 63-bit number, as Iceberg wants for snapshot ids. */
int64_t mle_random_id(void);

/* A fixed mixing of 64 bits (splitmix64's finalizer): equal input, equal output, forever. */
uint64_t mle_mix64(uint64_t value);

/* FNV-1a over bytes, then mixed; stable across versions and machines. */
uint64_t mle_hash64(const void *bytes, size_t len, uint64_t seed);

#endif
