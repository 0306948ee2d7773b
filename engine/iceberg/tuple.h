/*
 * tuple.h -- partition tuples: compared, hashed, one value printed.
 *
 * Spec, "Partition Data". A tuple belongs to a partition spec; equal values of
 * different specs are different partitions.
 */
#ifndef MLE_ICEBERG_TUPLE_H
#define MLE_ICEBERG_TUPLE_H

#include "engine/iceberg/metadata.h"
#include "engine/iceberg/types.h"

/* Null equals null, NaN equals NaN; fields are found by id, whatever their order. */
bool mle_tuple_equal(const mle_list *a, const mle_list *b);
uint64_t mle_tuple_hash(int spec_id, const mle_list *tuple);

/* A copy in `arena`. */
mle_status mle_tuple_copy(const mle_list *tuple, mle_arena *arena, mle_list *out, mle_error *err);

/* Writers that give no ids to a tuple's fields have them in the order of their spec (NULL: unknown). The values stay
 * where they are. */
mle_status mle_tuple_identify(mle_list *tuple, const mle_partition_spec *spec, mle_arena *arena,
                              mle_error *err);

/* The field's value; NULL when the tuple has none. */
const mle_datum *mle_tuple_find(const mle_list *tuple, int field_id);

/* A value in the binary form of bounds; `out->data` NULL for null. EFORMAT when it is none of `type`. */
mle_status mle_datum_bytes(const mle_datum *datum, const mle_type *type, mle_arena *arena,
                           mle_bytes *out, mle_error *err);

#endif
