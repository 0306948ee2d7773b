/*
 * words.h -- a user's SQL, piece by piece, for this folder only.
 *
 *     mle_words words = {text};
 *     while (mle_words_next(&words) != MLE_WORD_END) look at words.start, words.len;
 *
 * Just enough of SQL's lexis to tell code from strings and comments.
 */
#ifndef MLE_WORDS_H
#define MLE_WORDS_H

#include <stdbool.h>
#include <stddef.h>

typedef enum mle_word {
  MLE_WORD_END,
  MLE_WORD_NAME,      /* a bare name or keyword */
  MLE_WORD_PARAMETER, /* ? */
  MLE_WORD_DOLLAR,    /* $1, $name, ?1: parameters of kinds we do not take */
  MLE_WORD_OTHER      /* strings, quoted names, comments, numbers, signs */
} mle_word;

typedef struct mle_words {
  const char *at; /* what comes next */
  const char *start;
  size_t len;
} mle_words;

mle_word mle_words_next(mle_words *words);

/* Whether the text names a function whose value may differ at the next reading. */
bool mle_words_volatile(const char *text);

/* Whether the text stays within parentheses that are put around it, and names no columns by a star. */
bool mle_words_closed(const char *text);

/* The names mle_words_volatile looks for, sorted, NULL at the end; a test holds them against DuckDB's catalog. */
extern const char *const mle_volatile_names[];

#endif
