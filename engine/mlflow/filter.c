#include "engine/mlflow/filter.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define TEXT_MAX 10000
#define CONDITIONS_MAX 100

/* ====== What can be searched ====== */

static const mle_filter_attribute run_attributes[] = {
    {"run_id", "run_uuid", MLE_FILTER_LISTED},       {"run_name", "name", MLE_FILTER_TEXT},
    {"status", "status", MLE_FILTER_TEXT},           {"user_id", "user_id", MLE_FILTER_TEXT},
    {"artifact_uri", "artifact_uri", MLE_FILTER_TEXT}, {"start_time", "start_time", MLE_FILTER_NUMBER},
    {"end_time", "end_time", MLE_FILTER_NUMBER},     {"created", "start_time", MLE_FILTER_NUMBER},
    {"Created", "start_time", MLE_FILTER_NUMBER},    {"run name", "name", MLE_FILTER_TEXT},
    {"Run name", "name", MLE_FILTER_TEXT},           {"Run Name", "name", MLE_FILTER_TEXT},
    {NULL, NULL, MLE_FILTER_TEXT},
};
static const mle_filter_attribute experiment_attributes[] = {
    {"name", "name", MLE_FILTER_TEXT},
    {"creation_time", "creation_time", MLE_FILTER_NUMBER},
    {"last_update_time", "last_update_time", MLE_FILTER_NUMBER},
    {"experiment_id", "experiment_id", MLE_FILTER_LISTED},
    {NULL, NULL, MLE_FILTER_TEXT},
};
static const mle_filter_attribute model_attributes[] = {
    {"name", "name", MLE_FILTER_LISTED},
    {"timestamp", "last_updated_time", MLE_FILTER_ORDER_ONLY},
    {"creation_timestamp", "creation_time", MLE_FILTER_ORDER_ONLY},
    {"last_updated_timestamp", "last_updated_time", MLE_FILTER_ORDER_ONLY},
    {NULL, NULL, MLE_FILTER_TEXT},
};
static const mle_filter_attribute version_attributes[] = {
    {"name", "name", MLE_FILTER_LISTED},
    {"version_number", "version", MLE_FILTER_NUMBER},
    {"run_id", "run_id", MLE_FILTER_LISTED},
    {"source_path", "source", MLE_FILTER_TEXT},
    {"creation_timestamp", "creation_time", MLE_FILTER_ORDER_ONLY},
    {"last_updated_timestamp", "last_updated_time", MLE_FILTER_ORDER_ONLY},
    {NULL, NULL, MLE_FILTER_TEXT},
};

static const mle_filter_attribute logged_attributes[] = {
    {"name", "name", MLE_FILTER_LISTED},
    {"model_id", "model_id", MLE_FILTER_LISTED},
    {"model_type", "model_type", MLE_FILTER_LISTED},
    {"source_run_id", "source_run_id", MLE_FILTER_LISTED},
    {"experiment_id", "experiment_id", MLE_FILTER_LISTED},
    {"artifact_location", "artifact_location", MLE_FILTER_LISTED},
    {"status", "status", MLE_FILTER_LISTED}, /* a number there: '2' is READY */
    {"status_message", "status_message", MLE_FILTER_LISTED},
    {"lifecycle_stage", "lifecycle_stage", MLE_FILTER_LISTED},
    {"creation_timestamp", "creation_timestamp_ms", MLE_FILTER_NUMBER},
    {"creation_time", "creation_timestamp_ms", MLE_FILTER_NUMBER},
    {"last_updated_timestamp", "last_updated_timestamp_ms", MLE_FILTER_NUMBER},
    {NULL, NULL, MLE_FILTER_TEXT},
};

#define BIT(entity) (1U << (entity))
#define ATTRIBUTES BIT(MLE_FILTER_ATTRIBUTE)
#define TAGS BIT(MLE_FILTER_TAG)
#define METRICS BIT(MLE_FILTER_METRIC)
#define PARAMS BIT(MLE_FILTER_PARAM)

const mle_filter_subject mle_filter_runs = {
    run_attributes, "run_id, run_name, status, user_id, artifact_uri, start_time or end_time",
    ATTRIBUTES | METRICS | PARAMS | TAGS | BIT(MLE_FILTER_DATASET), ATTRIBUTES | METRICS | PARAMS | TAGS};
const mle_filter_subject mle_filter_experiments = {
    experiment_attributes, "name, experiment_id, creation_time or last_update_time", ATTRIBUTES | TAGS, ATTRIBUTES};
const mle_filter_subject mle_filter_models = {model_attributes, "name", ATTRIBUTES | TAGS, ATTRIBUTES};
const mle_filter_subject mle_filter_versions = {
    version_attributes, "name, version_number, run_id or source_path", ATTRIBUTES | TAGS, ATTRIBUTES};
const mle_filter_subject mle_filter_logged_models = {
    logged_attributes,
    "name, model_id, model_type, source_run_id, creation_timestamp or last_updated_timestamp",
    ATTRIBUTES | METRICS | PARAMS | TAGS, ATTRIBUTES | METRICS};

/* The text, and how far it was read. */
typedef struct reader {
  const mle_filter_subject *subject;
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

/* A text between two `quote`s. One that is doubled ends nothing, and stays doubled, as in MLflow. */
static mle_status read_quoted(reader *r, char quote, const char **out) {
  const char *start = r->at + 1, *end = strchr(start, quote);
  while (end != NULL && end[1] == quote) end = strchr(end + 2, quote);
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

/* NULL when there is none of that name. */
static const mle_filter_attribute *find_attribute(const mle_filter_subject *subject,
                                                  const char *name) {
  const mle_filter_attribute *a = subject->attribute;
  while (a->name != NULL && strcmp(a->name, name) != 0) a++;
  return a->name != NULL ? a : NULL;
}

static bool is_dataset_key(const char *key) {
  return strcmp(key, "name") == 0 || strcmp(key, "digest") == 0 || strcmp(key, "context") == 0;
}

static mle_status fail_attribute(reader *r) {
  return mle_fail(r->err, MLE_EINVAL,
                  "search '%.200s': an attribute is %s (or write %stags.x) at '%.40s'", r->text,
                  r->subject->attributes, r->subject->conditions & METRICS ? "metrics.x, params.x, " : "",
                  r->at);
}

static mle_status read_name(reader *r, mle_filter_entity *entity, const char **key,
                            const mle_filter_attribute **attribute) {
  skip_spaces(r);
  const char *start = r->at;
  *entity = MLE_FILTER_ATTRIBUTE;
  *attribute = NULL;
  take_entity(r, entity);
  MLE_TRY(read_key(r, key));
  if (*entity == MLE_FILTER_ATTRIBUTE) *attribute = find_attribute(r->subject, *key);
  bool misplaced = (r->subject->conditions & BIT(*entity)) == 0;
  bool unknown = *entity == MLE_FILTER_ATTRIBUTE && *attribute == NULL;
  bool no_dataset = *entity == MLE_FILTER_DATASET && !is_dataset_key(*key);
  if (misplaced || unknown || no_dataset) r->at = start;
  if (misplaced || unknown) return fail_attribute(r);
  return no_dataset ? fail_at(r, "a dataset has name, digest and context, not this") : MLE_OK;
}

static bool compares_numbers(const mle_filter_condition *c) {
  return c->entity == MLE_FILTER_METRIC ||
         (c->attribute != NULL && c->attribute->kind == MLE_FILTER_NUMBER);
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
  if (take_word(r, "NOT")) {
    c->operator = "NOT IN";
    return take_word(r, "IN") ? MLE_OK : fail_at(r, "NOT is followed by IN");
  }
  if (take_word(r, "IS")) {
    c->operator = take_word(r, "NOT") ? "IS NOT NULL" : "IS NULL";
    return take_word(r, "NULL") ? MLE_OK : fail_at(r, "IS is followed by NULL or NOT NULL");
  }
  return fail_at(r, "a comparison is missing (= != > >= < <= LIKE ILIKE IN NOT IN IS)");
}

static mle_status read_number(reader *r, mle_filter_condition *c) {
  char *end;
  skip_spaces(r);
  c->is_number = true;
  c->number = strtod(r->at, &end);
  if (end == r->at || is_word_character(*end)) return fail_at(r, "a number is missing");
  if (!isfinite(c->number)) return fail_at(r, "a number must be finite"); /* "inf", "nan", 1e999 */
  if (strpbrk(c->operator, "=<>") == NULL) return fail_at(r, "a number has no such comparison");
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
    skip_spaces(r);
    if (*r->at == ')' && c->num_texts > 0) break; /* a comma behind the last: Python's tuple of one */
    MLE_TRY(read_text(r, c));
    skip_spaces(r);
  } while (*r->at == ',');
  if (*r->at != ')') return fail_at(r, "the list is not closed");
  r->at++;
  return MLE_OK;
}

/* Of logged models params and tags do, too. */
static bool takes_list(const reader *r, const mle_filter_condition *c) {
  if (c->attribute != NULL) return c->attribute->kind == MLE_FILTER_LISTED;
  return c->entity == MLE_FILTER_DATASET || r->subject == &mle_filter_logged_models;
}

static mle_status read_value(reader *r, mle_filter_condition *c) {
  bool is_keyed = c->entity == MLE_FILTER_PARAM || c->entity == MLE_FILTER_TAG;
  if (strncmp(c->operator, "IS", 2) == 0)
    return is_keyed ? MLE_OK : fail_at(r, "only params and tags are compared with NULL");
  if (compares_numbers(c)) return read_number(r, c);
  if (strpbrk(c->operator, "<>") != NULL) return fail_at(r, "texts have no order here");
  if (strstr(c->operator, "IN") == NULL) return read_text(r, c);
  return takes_list(r, c) ? read_texts(r, c) : fail_at(r, "this takes no IN");
}

static mle_status read_condition(reader *r, mle_filter_condition *c) {
  skip_spaces(r);
  const char *start = r->at;
  MLE_TRY(read_name(r, &c->entity, &c->key, &c->attribute));
  if (c->attribute != NULL && c->attribute->kind == MLE_FILTER_ORDER_ONLY) {
    r->at = start;
    return fail_attribute(r);
  }
  MLE_TRY(read_operator(r, c));
  return read_value(r, c);
}

mle_status mle_filter_parse(const mle_filter_subject *subject, const char *text, mle_arena *memory,
                            mle_filter *out, mle_error *err) {
  reader r = {subject, text, text, memory, err};
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

mle_status mle_filter_parse_order(const mle_filter_subject *subject, const char *text,
                                  mle_arena *memory, mle_filter_order *out, mle_error *err) {
  reader r = {subject, text, text, memory, err};
  *out = (mle_filter_order){0};
  MLE_TRY(read_name(&r, &out->entity, &out->key, &out->attribute));
  if ((subject->orders & BIT(out->entity)) == 0) return fail_at(&r, "this gives no order here");
  out->descending = take_word(&r, "DESC");
  if (!out->descending) take_word(&r, "ASC");
  skip_spaces(&r);
  return *r.at == '\0' ? MLE_OK : fail_at(&r, "ASC or DESC ends an order");
}
