/*
 * prune.h -- whether some row of a manifest, partition or file may meet a condition.
 *
 *     if (mle_prune_file(condition, &file) != NULL) continue;      what it returns is why not
 *
 * Spec, "Scan Planning". Where metadata says nothing, or nothing that can be believed
 * (NaN bounds, a lower bound above the upper one), the answer is that it may.
 */
#ifndef MLE_ICEBERG_PRUNE_H
#define MLE_ICEBERG_PRUNE_H

#include "engine/iceberg/condition.h"
#include "engine/iceberg/metadata.h"

/* The part of the condition that no row meets; NULL: some may. */
const mle_condition *mle_prune_manifest(const mle_condition *condition,
                                        const mle_partition_spec *spec,
                                        const mle_manifest_file *manifest);
const mle_condition *mle_prune_partition(const mle_condition *condition,
                                         const mle_partition_spec *spec, const mle_list *tuple);
const mle_condition *mle_prune_file(const mle_condition *condition, const mle_data_file *file);

#endif
