/*
 * condition.h -- the part of a filter that can tell which files to leave out.
 *
 *     MLE_GO(mle_condition_parse(tree, schema, &arena, &condition, err));
 *     MLE_GO(mle_condition_print(condition, &text, err));       amount > 100 AND state IN ('NJ', 'NY')
 *
 * `tree` is DuckDB's own reading of the filter (json_serialize_sql), so nothing here
 * guesses at SQL. A condition is true for each row for which the filter is: what is
 * not understood becomes MLE_CONDITION_ANY, true for every row. Nulls, and NaN above
 * all numbers, are as DuckDB has them.
 */
#ifndef MLE_ICEBERG_CONDITION_H
#define MLE_ICEBERG_CONDITION_H

#include "engine/iceberg/literal.h"
#include "engine/iceberg/schema.h"

typedef enum mle_condition_kind {
  MLE_CONDITION_ANY, MLE_CONDITION_AND, MLE_CONDITION_OR, MLE_CONDITION_LESS,
  MLE_CONDITION_LESS_EQUAL, MLE_CONDITION_GREATER, MLE_CONDITION_GREATER_EQUAL, MLE_CONDITION_IN,
  MLE_CONDITION_STARTS_WITH, MLE_CONDITION_IS_NULL, MLE_CONDITION_NOT_NULL
} mle_condition_kind;

typedef struct mle_condition {
  mle_condition_kind kind;
  const struct mle_condition *left, *right; /* AND, OR */
  const mle_field *field;                   /* a column, or a field within structs: then named "st.x" */
  bool nested;                              /* the latter */
  const mle_literal *values;                /* one, or any number for IN */
  size_t num_values;
} mle_condition;

/* `out` NULL: nothing in it can leave out a file. */
mle_status mle_condition_parse(const char *tree, const mle_schema *schema, mle_arena *arena,
                               const mle_condition **out, mle_error *err);

/* A value of a column as text. */
mle_status mle_literal_print(const mle_type *type, const mle_literal *value, mle_buffer *out,
                             mle_error *err);

mle_status mle_condition_print(const mle_condition *condition, mle_buffer *out, mle_error *err);

#endif
