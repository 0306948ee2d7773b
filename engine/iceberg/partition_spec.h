/*
 * partition_spec.h -- partition specs: made from terms as people write them, and their JSON.
 *
 *     "state", "day(ts)", "bucket(16, id)", "truncate(4, zip)"
 *
 * Spec, "Partitioning", "Partition Transforms" and Appendix C "Partition Specs".
 */
#ifndef MLE_ICEBERG_PARTITION_SPEC_H
#define MLE_ICEBERG_PARTITION_SPEC_H

#include "engine/iceberg/metadata.h"

#define MLE_FIRST_PARTITION_ID 1000 /* spec: field ids of a new table's partitions begin here */

/*
 * Spec 0 of a new table, in `arena`; fields are named as Spark names them: state, ts_day,
 * id_bucket, zip_trunc. EINVAL names the term: one that cannot be read, a column that there is
 * none of at the top, a transform that its type has not, one thing twice. No terms: no fields.
 */
mle_status mle_partition_spec_make(const char *const *terms, size_t count, const mle_schema *schema,
                                   mle_arena *arena, const mle_partition_spec **out,
                                   mle_error *err);

/* Adds {"spec-id": 0, "fields": [...]}; see mle_json_add_object for failures. */
void mle_partition_spec_add_json(mle_json *to, const char *key, const mle_partition_spec *spec);

/* Appends the fields alone, as a manifest's "partition-spec" has them. */
mle_status mle_partition_spec_print(const mle_partition_spec *spec, mle_buffer *out,
                                    mle_error *err);

#endif
