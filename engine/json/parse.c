/*
 * parse.c -- one pass over a copy of the text, in which strings are unescaped and ended where they stand.
 *
 * Invariant: behind the copy's last byte stand PADDING zero bytes. So any byte may be looked at without a
 * comparison with the end, and a zero byte, which no JSON text has, is the end.
 */
#include "engine/json/parse.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/base/eight.h"

#define TEXT_MAX ((size_t)1 << 30)
#define DEPTH_MAX 200
#define FEW_KEYS 20
#define SAFE_DIGITS 15 /* every integer of so many digits is exact in a double */
#define LONG_DIGITS 19 /* of 64 bits */
#define PADDING 8

/* Not an arena of base/: a node is written once, not zeroed a block at a time before. */
typedef struct slab {
  struct slab *older;
  cJSON nodes[];
} slab;

#define SLAB_NODES 16 /* of the first; later ones double */
#define SLAB_NODES_MAX 1024

typedef struct document {
  cJSON root;
  slab *slabs;       /* of all other nodes, and the texts of long integers */
  size_t used, room; /* of the newest */
  char *copy;
} document;

typedef struct parser {
  const char *text; /* the original, for messages */
  char *copy, *at;
  document *doc;
  mle_error *err;
  int depth;
} parser;

static mle_status no_memory(const parser *p) { return mle_nomem(p->err, "parsing JSON"); }

static mle_status bad(const parser *p) {
  int line = 1;
  for (const char *at = p->text; at < p->text + (p->at - p->copy); at++) line += *at == '\n';
  return mle_fail(p->err, MLE_EFORMAT, "not JSON: line %d, near '%.20s'", line, p->at);
}

static cJSON *new_node(document *doc) {
  if (doc->used == doc->room) {
    size_t room = doc->room == 0 ? SLAB_NODES : doc->room < SLAB_NODES_MAX ? 2 * doc->room : doc->room;
    slab *newest = mle_alloc(sizeof *newest + room * sizeof(cJSON));
    if (newest == NULL) return NULL;
    newest->older = doc->slabs;
    doc->slabs = newest;
    doc->room = room;
    doc->used = 0;
  }
  cJSON *node = &doc->slabs->nodes[doc->used++];
  *node = (cJSON){0};
  return node;
}

static void skip_space(parser *p) {
  while (*p->at == ' ' || *p->at == '\n' || *p->at == '\r' || *p->at == '\t') p->at++;
}

/* ====== Keys ====== */

static int by_key(const void *a, const void *b) {
  return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static mle_status duplicate(const char *key, mle_error *err) {
  return mle_fail(err, MLE_EFORMAT, "the key \"%s\" stands twice in one object", key);
}

static mle_status check_many_keys(const cJSON *object, mle_error *err) {
  size_t count = (size_t)object->valueint, i = 0;
  const char **keys = mle_alloc(count * sizeof *keys);
  if (keys == NULL) return mle_nomem(err, "parsing JSON");
  for (const cJSON *item = object->child; item != NULL; item = item->next) keys[i++] = item->string;
  qsort(keys, count, sizeof *keys, by_key);
  mle_status status = MLE_OK;
  for (i = 1; i < count && status == MLE_OK; i++)
    if (strcmp(keys[i - 1], keys[i]) == 0) status = duplicate(keys[i], err);
  mle_free(keys);
  return status;
}

/* Equal keys have equal bits, others rarely. */
static uint64_t key_bit(const char *key, size_t len) {
  unsigned first = (unsigned char)key[0], last = len == 0 ? 0 : (unsigned char)key[len - 1];
  return UINT64_C(1) << ((13 * len + 7 * first + 3 * last) & 63);
}

static bool has_key(const cJSON *object, const char *key) {
  for (const cJSON *item = object->child; item != NULL; item = item->next)
    if (mle_json_same_key(item->string, key)) return true;
  return false;
}

/* ====== Strings ====== */

/* The first quote, backslash or zero byte; eight bytes are looked at together, the first one lowest. */
static char *plain_end(char *at) {
  for (;; at += 8) {
    uint64_t word;
    memcpy(&word, at, sizeof word);
    uint64_t found = mle_eight_zero(word ^ MLE_EACH_BYTE('"')) | mle_eight_zero(word ^ MLE_EACH_BYTE('\\')) | mle_eight_zero(word);
    if (found != 0) return at + (size_t)__builtin_ctzll(found) / 8;
  }
}

/* Four hexadecimal digits; -1 for others. */
static int hex4(const char *at) {
  int value = 0;
  for (int i = 0; i < 4; i++) {
    char c = at[i];
    int digit = c >= '0' && c <= '9'   ? c - '0'
                : c >= 'a' && c <= 'f' ? c - 'a' + 10
                : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                       : -1;
    if (digit < 0) return -1;
    value = value * 16 + digit;
  }
  return value;
}

static char *put_utf8(char *to, unsigned code) {
  if (code < 0x80) {
    *to++ = (char)code;
    return to;
  }
  int more = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
  static const unsigned char leads[] = {0, 0xC0, 0xE0, 0xF0};
  *to++ = (char)(leads[more] | code >> (6 * more));
  while (more-- > 0) *to++ = (char)(0x80 | (code >> (6 * more) & 0x3F));
  return to;
}

/* Behind "\u": one code unit or a pair of them; half a pair and zero, which would end the text, are refused. */
static mle_status unescape_code(parser *p, char **to) {
  int code = hex4(p->at);
  if (code <= 0 || (code >= 0xDC00 && code <= 0xDFFF)) return bad(p);
  p->at += 4;
  if (code >= 0xD800 && code <= 0xDBFF) {
    int low = p->at[0] == '\\' && p->at[1] == 'u' ? hex4(p->at + 2) : -1;
    if (low < 0xDC00 || low > 0xDFFF) return bad(p);
    p->at += 6;
    code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
  }
  *to = put_utf8(*to, (unsigned)code);
  return MLE_OK;
}

/* Behind a backslash. */
static mle_status unescape(parser *p, char **to) {
  static const char from[] = "\"\\/bfnrt", into[] = "\"\\/\b\f\n\r\t";
  char c = *p->at;
  const char *found = c == '\0' ? NULL : strchr(from, c);
  if (found == NULL && c != 'u') return bad(p);
  p->at++;
  if (c == 'u') return unescape_code(p, to);
  *(*to)++ = into[found - from];
  return MLE_OK;
}

/* What an escape becomes is shorter than it: it fits before what is still to be read. */
static mle_status parse_string(parser *p, char **out, size_t *out_len) {
  if (*p->at != '"') return bad(p);
  char *to = *out = ++p->at;
  for (;;) {
    char *end = plain_end(p->at);
    size_t len = (size_t)(end - p->at);
    if (to != p->at) memmove(to, p->at, len);
    to += len;
    p->at = end;
    if (*end == '\0') return bad(p);
    p->at++;
    if (*end == '"') break;
    MLE_TRY(unescape(p, &to));
  }
  *to = '\0';
  *out_len = (size_t)(to - *out);
  return MLE_OK;
}

/* ====== Numbers and words ====== */

static size_t count_digits(const char *at) {
  size_t count = 0;
  while (at[count] >= '0' && at[count] <= '9') count++;
  return count;
}

/* Skips a fraction and an exponent; false when there is neither. */
static bool skip_parts(const char **at, bool *valid) {
  const char *from = *at;
  if (**at == '.') {
    size_t digits = count_digits(++*at);
    *valid &= digits > 0;
    *at += digits;
  }
  if (**at == 'e' || **at == 'E') {
    ++*at;
    if (**at == '+' || **at == '-') ++*at;
    size_t digits = count_digits(*at);
    *valid &= digits > 0;
    *at += digits;
  }
  return *at != from;
}

static mle_status parse_number(parser *p, cJSON *node) {
  const char *digits = p->at + (*p->at == '-');
  size_t count = count_digits(digits);
  const char *end = digits + count;
  bool valid = count > 0 && (*digits != '0' || count == 1);
  bool whole = !skip_parts(&end, &valid);
  if (!valid) return bad(p);
  node->type = cJSON_Number;
  if (whole && count <= LONG_DIGITS) {
    uint64_t value = 0;
    for (const char *at = digits; at < end; at++) value = 10 * value + (uint64_t)(*at - '0');
    node->valuedouble = digits > p->at ? -(double)value : (double)value;
  } else {
    node->valuedouble = strtod(p->at, NULL);
  }
  if (whole && count > SAFE_DIGITS && count <= LONG_DIGITS) {
    cJSON *room = new_node(p->doc); /* larger than any such text */
    if (room == NULL) return no_memory(p);
    node->valuestring = memcpy(room, p->at, (size_t)(end - p->at)); /* its zeros end it */
  }
  p->at += end - p->at;
  return MLE_OK;
}

static mle_status parse_word(parser *p, cJSON *node) {
  static const struct {
    const char *text;
    int type;
  } words[] = {{"true", cJSON_True}, {"false", cJSON_False}, {"null", cJSON_NULL}};
  for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
    size_t len = strlen(words[i].text);
    if (strncmp(p->at, words[i].text, len) != 0) continue;
    node->type = words[i].type;
    node->valueint = node->type == cJSON_True;
    p->at += len;
    return MLE_OK;
  }
  return bad(p);
}

/* ====== Values ====== */

static mle_status parse_value(parser *p, cJSON *node);

/* Duplicate keys make two readers of one text disagree; metadata may not have them. */
static mle_status parse_key(parser *p, const cJSON *object, cJSON *item, uint64_t *seen) {
  size_t len;
  MLE_TRY(parse_string(p, &item->string, &len));
  uint64_t bit = key_bit(item->string, len);
  if (object->valueint <= FEW_KEYS && (*seen & bit) != 0 && has_key(object, item->string))
    return duplicate(item->string, p->err);
  *seen |= bit;
  skip_space(p);
  if (*p->at != ':') return bad(p);
  p->at++;
  skip_space(p);
  return MLE_OK;
}

/* cJSON's lists: the first one's `prev` is the last. */
static void append(cJSON *to, cJSON *item) {
  if (to->child == NULL) {
    to->child = item;
  } else {
    item->prev = to->child->prev;
    item->prev->next = item;
  }
  to->child->prev = item;
  to->valueint++;
}

static mle_status parse_items(parser *p, cJSON *node, char close) {
  uint64_t seen = 0;
  p->at++;
  skip_space(p);
  for (bool first = true; *p->at != close || !first; first = false) {
    cJSON *item = new_node(p->doc);
    if (item == NULL) return no_memory(p);
    if (close == '}') MLE_TRY(parse_key(p, node, item, &seen));
    MLE_TRY(parse_value(p, item));
    append(node, item);
    skip_space(p);
    if (*p->at == close) break;
    if (*p->at != ',') return bad(p);
    p->at++;
    skip_space(p);
  }
  p->at++;
  return close == '}' && node->valueint > FEW_KEYS ? check_many_keys(node, p->err) : MLE_OK;
}

static mle_status parse_value(parser *p, cJSON *node) {
  mle_status status;
  size_t len;
  switch (*p->at) {
    case '"': node->type = cJSON_String; return parse_string(p, &node->valuestring, &len);
    case '{':
    case '[':
      if (p->depth == DEPTH_MAX)
        return mle_fail(p->err, MLE_EFORMAT, "nested more than %d levels", DEPTH_MAX);
      p->depth++;
      node->type = *p->at == '{' ? cJSON_Object : cJSON_Array;
      status = parse_items(p, node, *p->at == '{' ? '}' : ']');
      p->depth--;
      return status;
    case 't':
    case 'f':
    case 'n': return parse_word(p, node);
    default: return parse_number(p, node);
  }
}

/* ====== The whole ====== */

/* Some editors begin a text with a byte order mark. */
static size_t mark_length(const char *text) { return strncmp(text, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0; }

static mle_status parse_root(document *doc, const char *text, size_t len, mle_error *err) {
  if (len > TEXT_MAX) return mle_fail(err, MLE_EREFUSED, "JSON of more than %zu bytes", TEXT_MAX);
  parser p = {.text = text, .doc = doc, .err = err};
  p.copy = doc->copy = mle_alloc(len + PADDING);
  if (p.copy == NULL) return no_memory(&p);
  if (len > 0) memcpy(p.copy, text, len);
  memset(p.copy + len, 0, PADDING);
  p.at = p.copy + mark_length(p.copy);
  skip_space(&p);
  MLE_TRY(parse_value(&p, &doc->root));
  skip_space(&p);
  return p.at == p.copy + len ? MLE_OK : bad(&p);
}

mle_status mle_json_parse_text(const char *text, size_t len, cJSON **out, mle_error *err) {
  *out = NULL;
  document *doc = mle_calloc(1, sizeof *doc);
  if (doc == NULL) return mle_nomem(err, "parsing JSON");
  mle_status status = parse_root(doc, text, len, err);
  doc->root.type |= MLE_JSON_PARSED;
  if (status == MLE_OK)
    *out = &doc->root;
  else
    mle_json_parsed_free(&doc->root);
  return status;
}

void mle_json_parsed_free(cJSON *root) {
  document *doc = (document *)(void *)root; /* its first member */
  for (slab *at = doc->slabs, *older; at != NULL; at = older) {
    older = at->older;
    mle_free(at);
  }
  mle_free(doc->copy);
  mle_free(doc);
}
