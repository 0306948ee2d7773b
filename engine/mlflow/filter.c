#include "engine/mlflow/filter.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define TEXT_MAX 10000
#define CONDITIONS_MAX 100

/* The text, and how far it was read. */
typedef struct reader {
  const char *text, *at;
  mle_arena *memory;
  mle_error *err;
} reader;

static mle_status fail_at(const reader *r, const char *wanted) {
  return mle_fail(r->err, MLE_EINVAL, "search '%.200s': %s at '%.40s'", r->text, wanted,
                  *r->at == '\0' ? "the end" : r->at);
}

static void skip_spaces(reader *r) {
  while (isspace((unsigned char)*r->at)) r->at++;
}

/* ====== Words ====== */

static bool is_word_character(char c) {
  return isalnum((unsigned char)c) || c == '_' || (unsigned char)c >= 0x80;
}

/* Takes `word`, in any case, when it stands here. */
static bool take_word(reader *r, const char *word) {
  size_t len = strlen(word);
  skip_spaces(r);
  if (strncasecmp(r->at, word, len) != 0 || is_word_character(r->at[len])) return false;
  r->at += len;
  return true;
}

static mle_status copy_piece(reader *r, const char *start, const char **out) {
  char *copy = mle_arena_format(r->memory, "%.*s", (int)(r->at - start), start);
  *out = copy;
  return copy != NULL ? MLE_OK : mle_nomem(r->err, "reading a search");
}

/* A text between two `quote`s; there is no escape. */
static mle_status read_quoted(reader *r, char quote, const char **out) {
  const char *start = r->at + 1, *end = strchr(start, quote);
  if (end == NULL) return fail_at(r, "a quote is not closed");
  r->at = end;
  MLE_TRY(copy_piece(r, start, out));
  r->at++;
  return MLE_OK;
}

/* A key: quoted, or letters, digits and _ - . / */
static mle_status read_key(reader *r, const char **out) {
  if (*r->at == '`' || *r->at == '"') return read_quoted(r, *r->at, out);
  const char *start = r->at;
  while (is_word_character(*r->at) || (*r->at != '\0' && strchr("-./", *r->at) != NULL)) r->at++;
  if (r->at == start) return fail_at(r, "a name is missing");
  return copy_piece(r, start, out);
}

/* ====== Names ====== */

static const struct {
  const char *name;
  mle_filter_entity entity;
} entities[] = {
    {"attributes", MLE_FILTER_ATTRIBUTE}, {"attribute", MLE_FILTER_ATTRIBUTE},
    {"attr", MLE_FILTER_ATTRIBUTE},       {"run", MLE_FILTER_ATTRIBUTE},
    {"metrics", MLE_FILTER_METRIC},       {"metric", MLE_FILTER_METRIC},
    {"params", MLE_FILTER_PARAM},         {"param", MLE_FILTER_PARAM},
    {"parameters", MLE_FILTER_PARAM},     {"parameter", MLE_FILTER_PARAM},
    {"tags", MLE_FILTER_TAG},             {"tag", MLE_FILTER_TAG},
    {"datasets", MLE_FILTER_DATASET},     {"dataset", MLE_FILTER_DATASET},
};

static bool take_entity(reader *r, mle_filter_entity *out) {
  for (size_t i = 0; i < sizeof entities / sizeof *entities; i++) {
    size_t len = strlen(entities[i].name);
    if (strncasecmp(r->at, entities[i].name, len) != 0 || r->at[len] != '.') continue;
    r->at += len + 1;
    *out = entities[i].entity;
    return true;
  }
  return false;
}

static bool is_one_of(const char *key, const char *const *known) {
  for (; *known != NULL; known++)
    if (strcmp(key, *known) == 0) return true;
  return false;
}

static bool is_known_key(mle_filter_entity entity, const char *key) {
  static const char *const attributes[] = {"run_id",     "run_name", "status", "user_id", "artifact_uri",
                                           "start_time", "end_time", NULL};
  static const char *const dataset[] = {"name", "digest", "context", NULL};
  if (entity == MLE_FILTER_ATTRIBUTE) return is_one_of(key, attributes);
  return entity != MLE_FILTER_DATASET || is_one_of(key, dataset);
}

static mle_status read_name(reader *r, mle_filter_entity *entity, const char **key) {
  skip_spaces(r);
  const char *start = r->at;
  *entity = MLE_FILTER_ATTRIBUTE;
  take_entity(r, entity);
  MLE_TRY(read_key(r, key));
  if (is_known_key(*entity, *key)) return MLE_OK;
  r->at = start;
  return fail_at(r, *entity == MLE_FILTER_DATASET
                        ? "a dataset has name, digest and context, not this"
                        : "an attribute is run_id, run_name, status, user_id, artifact_uri, "
                          "start_time or end_time (or write metrics.x, params.x, tags.x)");
}

static bool compares_numbers(const mle_filter_condition *c) {
  return c->entity == MLE_FILTER_METRIC ||
         (c->entity == MLE_FILTER_ATTRIBUTE && strstr(c->key, "_time") != NULL);
}

/* ====== Conditions ====== */

static mle_status read_operator(reader *r, mle_filter_condition *c) {
  static const char *const symbols[] = {"!=", ">=", "<=", "=", ">", "<"};
  static const char *const words[] = {"LIKE", "ILIKE", "IN"};
  skip_spaces(r);
  for (size_t i = 0; i < sizeof symbols / sizeof *symbols; i++) {
    size_t len = strlen(symbols[i]);
    if (strncmp(r->at, symbols[i], len) != 0) continue;
    r->at += len;
    c->operator = symbols[i];
    return MLE_OK;
  }
  for (size_t i = 0; i < sizeof words / sizeof *words; i++)
    if (take_word(r, words[i])) {
      c->operator = words[i];
      return MLE_OK;
    }
  return fail_at(r, "a comparison is missing (= != > >= < <= LIKE ILIKE IN)");
}

static mle_status read_number(reader *r, mle_filter_condition *c) {
  char *end;
  skip_spaces(r);
  c->is_number = true;
  c->number = strtod(r->at, &end);
  if (end == r->at || is_word_character(*end)) return fail_at(r, "a number is missing");
  if (!isfinite(c->number)) return fail_at(r, "a number must be finite"); /* "inf", "nan", 1e999 */
  if (strstr("LIKE ILIKE IN", c->operator) != NULL) return fail_at(r, "a number has no such comparison");
  r->at = end;
  return MLE_OK;
}

static mle_status read_text(reader *r, mle_filter_condition *c) {
  const char **list = c->text;
  skip_spaces(r);
  if (*r->at != '\'' && *r->at != '"') return fail_at(r, "a text in quotes is missing");
  list = mle_arena_grow(r->memory, list, c->num_texts, sizeof *list);
  if (list == NULL) return mle_nomem(r->err, "reading a search");
  c->text = list;
  return read_quoted(r, *r->at, &list[c->num_texts++]);
}

static mle_status read_texts(reader *r, mle_filter_condition *c) {
  skip_spaces(r);
  if (*r->at != '(') return fail_at(r, "IN needs a list in parentheses");
  do {
    r->at++;
    MLE_TRY(read_text(r, c));
    skip_spaces(r);
  } while (*r->at == ',');
  if (*r->at != ')') return fail_at(r, "the list is not closed");
  r->at++;
  return MLE_OK;
}

static mle_status read_condition(reader *r, mle_filter_condition *c) {
  MLE_TRY(read_name(r, &c->entity, &c->key));
  MLE_TRY(read_operator(r, c));
  if (compares_numbers(c)) return read_number(r, c);
  if (strpbrk(c->operator, "<>") != NULL) return fail_at(r, "texts have no order here");
  if (strcmp(c->operator, "IN") != 0) return read_text(r, c);
  if (c->entity != MLE_FILTER_ATTRIBUTE || strcmp(c->key, "run_id") != 0)
    return fail_at(r, "only run_id takes IN");
  return read_texts(r, c);
}

mle_status mle_filter_parse(const char *text, mle_arena *memory, mle_filter *out, mle_error *err) {
  reader r = {text, text, memory, err};
  mle_filter_condition *list = NULL;
  *out = (mle_filter){0};
  if (strlen(text) > TEXT_MAX) return mle_fail(err, MLE_EINVAL, "a search of over %d bytes", TEXT_MAX);
  skip_spaces(&r);
  if (*r.at == '\0') return MLE_OK;
  do {
    if (out->count == CONDITIONS_MAX)
      return mle_fail(err, MLE_EINVAL, "a search of over %d conditions", CONDITIONS_MAX);
    list = mle_arena_grow(memory, list, out->count, sizeof *list);
    if (list == NULL) return mle_nomem(err, "reading a search");
    out->condition = list;
    list[out->count] = (mle_filter_condition){0};
    MLE_TRY(read_condition(&r, &list[out->count++]));
  } while (take_word(&r, "and"));
  skip_spaces(&r);
  return *r.at == '\0' ? MLE_OK : fail_at(&r, "only 'and' joins conditions, not this");
}

mle_status mle_filter_parse_order(const char *text, mle_arena *memory, mle_filter_order *out,
                                  mle_error *err) {
  reader r = {text, text, memory, err};
  *out = (mle_filter_order){0};
  MLE_TRY(read_name(&r, &out->entity, &out->key));
  if (out->entity == MLE_FILTER_DATASET) return fail_at(&r, "runs are not ordered by a dataset");
  out->descending = take_word(&r, "DESC");
  if (!out->descending) take_word(&r, "ASC");
  skip_spaces(&r);
  return *r.at == '\0' ? MLE_OK : fail_at(&r, "ASC or DESC ends an order");
}
