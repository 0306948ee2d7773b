/*
 * number.h -- what json.c does to long integers before cJSON sees them.
 */
#ifndef MLE_JSON_NUMBER_H
#define MLE_JSON_NUMBER_H

#include "engine/base/buffer.h"

/* Begins a string that stands for an integer; no JSON text can hold this byte raw. */
#define MLE_JSON_INTEGER_MARK '\x7f'

/*
 * Copies JSON text, putting each integer of more than 15 digits into quotes
 * behind the mark. Text that is not JSON passes through for the parser to refuse.
 * Refuses a string that begins with the mark itself, and nesting over 200.
 */
mle_status mle_json_quote_integers(const char *text, size_t len, mle_buffer *out, mle_error *err);

#endif
