#include "engine/frame/words.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

/* To the end of a quoted piece; two marks in a row stand for one. */
static const char *skip_quoted(const char *at, char mark, bool backslashes) {
  for (at++; *at != '\0'; at++) {
    if (backslashes && *at == '\\' && at[1] != '\0') {
      at++;
    } else if (*at == mark) {
      if (at[1] != mark) return at + 1;
      at++;
    }
  }
  return at;
}

/* Comments nest. */
static const char *skip_comment(const char *at) {
  int depth = 0;
  do {
    if (at[0] == '/' && at[1] == '*') {
      depth++;
      at += 2;
    } else if (at[0] == '*' && at[1] == '/') {
      depth--;
      at += 2;
    } else {
      at++;
    }
  } while (depth > 0 && *at != '\0');
  return at;
}

static bool is_name(char c) { return isalnum((unsigned char)c) || c == '_' || (c & 0x80) != 0; }

static const char *skip_name(const char *at) {
  while (is_name(*at)) at++;
  return at;
}

/* $tag$ ... $tag$; NULL when this $ begins no such string. */
static const char *skip_dollar_quoted(const char *at) {
  const char *tag_end = isdigit((unsigned char)at[1]) ? at + 1 : skip_name(at + 1);
  if (*tag_end != '$') return NULL;
  size_t len = (size_t)(tag_end + 1 - at);
  for (const char *end = tag_end + 1; (end = strchr(end, '$')) != NULL; end++)
    if (strncmp(end, at, len) == 0) return end + len;
  return at + strlen(at);
}

static mle_word piece(const char *at, const char **end) {
  bool escape = (at[0] == 'e' || at[0] == 'E') && at[1] == '\'';
  if (escape || *at == '\'' || *at == '"') {
    *end = skip_quoted(at + escape, at[escape], escape);
  } else if (at[0] == '-' && at[1] == '-') {
    *end = at + strcspn(at, "\n");
  } else if (at[0] == '/' && at[1] == '*') {
    *end = skip_comment(at);
  } else if (*at == '$') {
    *end = skip_dollar_quoted(at);
    if (*end == NULL) {
      *end = skip_name(at + 1);
      return MLE_WORD_DOLLAR;
    }
  } else if (*at == '?') {
    *end = skip_name(at + 1);
    return *end == at + 1 ? MLE_WORD_PARAMETER : MLE_WORD_DOLLAR;
  } else if (is_name(*at)) {
    *end = skip_name(at);
    return isdigit((unsigned char)*at) ? MLE_WORD_OTHER : MLE_WORD_NAME;
  } else {
    *end = at + 1;
  }
  return MLE_WORD_OTHER;
}

mle_word mle_words_next(mle_words *words) {
  while (isspace((unsigned char)*words->at)) words->at++;
  words->start = words->at;
  words->len = 0;
  if (*words->at == '\0') return MLE_WORD_END;
  mle_word word = piece(words->start, &words->at);
  words->len = (size_t)(words->at - words->start);
  return word;
}

/* DuckDB's functions that are not CONSISTENT, its keywords for the time, and samples. */
const char *const mle_volatile_names[] = {
    "current_connection_id", "current_database", "current_date", "current_localtime",
    "current_localtimestamp", "current_query", "current_query_id", "current_schema",
    "current_schemas", "current_time", "current_timestamp", "current_transaction_id", "currval",
    "error", "gen_random_uuid", "get_current_time", "get_current_timestamp", "in_search_path",
    "localtime", "localtimestamp", "nextval", "now", "random", "sample", "setseed", "sleep_ms",
    "stats", "tablesample", "today", "transaction_timestamp", "txid_current", "uuid", "uuidv4",
    "uuidv7", "write_log", NULL,
};

static bool is_volatile(const char *word, size_t len) {
  for (const char *const *name = mle_volatile_names; *name != NULL; name++)
    if (strlen(*name) == len && strncasecmp(*name, word, len) == 0) return true;
  return false;
}

bool mle_words_volatile(const char *text) {
  mle_words words = {text, NULL, 0};
  for (mle_word word; (word = mle_words_next(&words)) != MLE_WORD_END;)
    if (word == MLE_WORD_NAME && is_volatile(words.start, words.len)) return true;
  return false;
}

bool mle_words_closed(const char *text) {
  mle_words words = {text, NULL, 0};
  long depth = 0;
  for (mle_word word; (word = mle_words_next(&words)) != MLE_WORD_END;) {
    bool star = *words.start == '*' || (words.len == 7 && strncasecmp(words.start, "columns", 7) == 0);
    if (star || *words.start == ';') return false;
    if (*words.start == '(') depth++;
    if (*words.start == ')' && --depth < 0) return false;
  }
  return depth == 0;
}
