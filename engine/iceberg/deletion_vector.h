/*
 * deletion_vector.h -- which rows of a data file a Puffin blob says are gone.
 *
 *     MLE_GO(mle_deletion_vector_read(path, offset, size, dead, err));
 *
 * Puffin spec, "deletion-vector-v1"; Iceberg spec, "Deletion Vectors". The blob is
 * found by the offset and size that its manifest entry gives, so a file without
 * Puffin's envelope, as some writers made it, reads too.
 */
#ifndef MLE_ICEBERG_DELETION_VECTOR_H
#define MLE_ICEBERG_DELETION_VECTOR_H

#include "engine/base/bitmap.h"

#define MLE_DELETION_VECTOR_MAX ((size_t)1 << 30)

/* Adds its positions to `into`; EFORMAT where the checksum or anything else is wrong. */
mle_status mle_deletion_vector_read(const char *path, int64_t offset, int64_t size,
                                    mle_bitmap *into, mle_error *err);
mle_status mle_deletion_vector_parse(const char *bytes, size_t len, mle_bitmap *into,
                                     mle_error *err);

#endif
