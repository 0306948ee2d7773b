/*
 * line.h -- what others say, as part of a line of ours.
 */
#ifndef MLE_LINE_H
#define MLE_LINE_H

#include <stddef.h>

/* Copies `text` up to `size` - 1 bytes: one line, nothing in it that a terminal could obey. */
char *mle_line_copy(const char *text, char *out, size_t size);

/* Writes `*` over each `secret` in `text`; NULL and "" are nothing to hide. */
void mle_line_hide(char *text, const char *secret);

#endif
