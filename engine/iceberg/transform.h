/*
 * transform.h -- partition transforms: bucket[16], truncate[4], year, ...
 *
 *     mle_transform transform = mle_transform_parse("bucket[16]");
 *     mle_literal part = mle_transform_apply(&transform, type, &value);
 *
 * Spec, "Partition Transforms" and Appendix B.
 */
#ifndef MLE_ICEBERG_TRANSFORM_H
#define MLE_ICEBERG_TRANSFORM_H

#include "engine/iceberg/literal.h"

typedef enum mle_transform_kind {
  MLE_TRANSFORM_UNKNOWN, MLE_TRANSFORM_IDENTITY, MLE_TRANSFORM_BUCKET, MLE_TRANSFORM_TRUNCATE,
  MLE_TRANSFORM_YEAR, MLE_TRANSFORM_MONTH, MLE_TRANSFORM_DAY, MLE_TRANSFORM_HOUR, MLE_TRANSFORM_VOID
} mle_transform_kind;

typedef struct mle_transform {
  mle_transform_kind kind;
  int32_t width; /* bucket's number, truncate's width */
} mle_transform;

/* UNKNOWN for what this program does not know: such partitions are read, never pruned. */
mle_transform mle_transform_parse(const char *text);

/* The type of its values; `source` for UNKNOWN. */
const mle_type *mle_transform_result(const mle_transform *transform, const mle_type *source);

/* NONE where there is no such value. Texts are views of `value`. */
mle_literal mle_transform_apply(const mle_transform *transform, const mle_type *source,
                                const mle_literal *value);

/* Murmur3, 32 bits, x86 variant, seed 0, of a value as Appendix B hashes it. */
int32_t mle_bucket_hash(const mle_type *type, const mle_literal *value);

#endif
