/*
 * value.h -- single values in Iceberg's binary form, as bounds and defaults use it.
 *
 * Spec, Appendix D "Binary single-value serialization" and Appendix C "JSON
 * single-value serialization"; bounds: "Manifests", lower_bounds and upper_bounds.
 */
#ifndef MLE_ICEBERG_VALUE_H
#define MLE_ICEBERG_VALUE_H

#include "engine/iceberg/avro.h"
#include "engine/iceberg/types.h"

/* What truncate(16), the default metrics mode, keeps of texts and binaries. */
#define MLE_BOUND_LENGTH 16

typedef enum mle_bound { MLE_BOUND_LOWER, MLE_BOUND_UPPER } mle_bound;

/*
 * Turns DuckDB's text of a smallest or largest value into a bound, in `arena`.
 * `out->data` is NULL when there is no such bound: NaN, infinity, dates BC, an
 * upper text that cannot be incremented, nested types. EFORMAT when the text is
 * not a value of the type.
 */
mle_status mle_value_bound(const mle_type *type, mle_bound which, const char *text, size_t len,
                           mle_arena *arena, mle_bytes *out, mle_error *err);

/* Appends a value for people: 42, 1.25, 2020-02-29, 'text'. Bytes of a wrong length show as hex. */
mle_status mle_value_print(const mle_type *type, mle_bytes value, mle_buffer *out, mle_error *err);

/* Appends DuckDB's text of a value, which CAST reads back: no quotes, bytes as \xAB. */
mle_status mle_value_sql_text(const mle_type *type, mle_bytes value, mle_buffer *out,
                              mle_error *err);

/* DuckDB's text of a JSON single value, appended to `out`; EUNSUPPORTED for nested types. */
mle_status mle_value_sql_default(const mle_type *type, const mle_json *value, mle_buffer *out,
                                 mle_error *err);

#endif
