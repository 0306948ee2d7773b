/*
 * implied.h -- what a condition says of each column by itself, as SQL.
 *
 *     id IN (5, 6) OR id BETWEEN 90 AND 99 AND state = 'NY'
 *     "id" >= 5 AND "id" <= 99 AND ("id" <= 6 OR "id" >= 90)
 *
 * DuckDB leaves out row groups by comparisons and lists of one column, not by every OR of them. A filter
 * with this beside it gives the same rows, and the other row groups are not read.
 */
#ifndef MLE_ICEBERG_IMPLIED_H
#define MLE_ICEBERG_IMPLIED_H

#include "engine/iceberg/condition.h"

/* Appends nothing where DuckDB needs no help: without an OR; `condition` may be NULL. */
mle_status mle_condition_implied(const mle_condition *condition, const mle_schema *schema,
                                 mle_buffer *out, mle_error *err);

/* The same of the bounds of a row group, as engine/frame/row_groups.h wants it; nothing where it leaves all. */
mle_status mle_condition_left(const mle_condition *condition, const mle_schema *schema,
                              mle_buffer *out, mle_error *err);

#endif
