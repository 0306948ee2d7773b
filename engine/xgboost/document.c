/*
 * UBJSON as XGBoost writes it (ubjson.org, draft 12): a value is a type letter and
 * its payload, big-endian.
 *
 *     {  members  }           a member: a name (a length and bytes), then a value
 *     [  values  ]            [#<count> values: no closing mark
 *     [$<type>#<count>        packed: the payloads of one type, without letters
 *     S <length> bytes        C one byte; Z null; T, F bool; N nothing
 *     i U I l L d D           int8 uint8 int16 int32 int64 float double
 *
 * A count or a length is an integer value with its letter. Invariant: `at <= end`,
 * and nothing is read before need() has said that the bytes are there.
 */
#include "engine/xgboost/document.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/json/json.h"

#define UBJSON_MAX ((size_t)1 << 30)
#define JSON_MAX ((size_t)256 << 20)
#define DEPTH_MAX 32
#define MEMBERS_MAX 1024
#define NODES_MAX ((size_t)32 << 20)
#define NODES_PER_CHUNK 1024

typedef struct chunk {
  struct chunk *next;
  size_t used;
  mle_node node[NODES_PER_CHUNK];
} chunk;

struct mle_document {
  chunk *chunks; /* the newest first */
  size_t num_nodes;
  mle_json *json; /* owns the texts when the bytes were JSON */
  mle_node root;
};

static mle_status new_node(mle_document *doc, mle_node **out, mle_error *err) {
  if (doc->num_nodes >= NODES_MAX)
    return mle_fail(err, MLE_EREFUSED, "more than %zu values", NODES_MAX);
  if (doc->chunks == NULL || doc->chunks->used == NODES_PER_CHUNK) {
    chunk *fresh = mle_alloc(sizeof *fresh);
    if (fresh == NULL) return mle_nomem(err, "reading a model");
    fresh->next = doc->chunks;
    fresh->used = 0;
    doc->chunks = fresh;
  }
  *out = &doc->chunks->node[doc->chunks->used++];
  **out = (mle_node){.kind = MLE_NODE_NULL};
  doc->num_nodes++;
  return MLE_OK;
}

/* ====== UBJSON ====== */

typedef struct reader {
  mle_document *doc;
  const char *start, *at, *end;
  int depth;
} reader;

static mle_status bad(const reader *r, mle_error *err, const char *what) {
  return mle_fail(err, MLE_EFORMAT, "not UBJSON: byte %zu: %s", (size_t)(r->at - r->start), what);
}

static bool need(const reader *r, size_t len) { return (size_t)(r->end - r->at) >= len; }

static bool next_is(const reader *r, char c) { return need(r, 1) && *r->at == c; }

static size_t number_size(char type) {
  switch (type) {
    case 'i': case 'U': return 1;
    case 'I': return 2;
    case 'l': case 'd': return 4;
    case 'L': case 'D': return 8;
    default: return 0;
  }
}

static uint64_t big_endian(const char *bytes, size_t size) {
  uint64_t value = 0;
  for (size_t i = 0; i < size; i++) value = value << 8 | (unsigned char)bytes[i];
  return value;
}

static bool is_real_type(char type) { return type == 'd' || type == 'D'; }

static int64_t int_at(const char *bytes, char type) {
  uint64_t value = big_endian(bytes, number_size(type));
  switch (type) {
    case 'i': return (int8_t)value;
    case 'I': return (int16_t)value;
    case 'l': return (int32_t)value;
    default: return (int64_t)value;
  }
}

static double real_at(const char *bytes, char type) {
  uint64_t bits = big_endian(bytes, number_size(type));
  if (type == 'D') {
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
  }
  uint32_t low = (uint32_t)bits;
  float value;
  memcpy(&value, &low, sizeof value);
  return (double)value;
}

/* A length or a count: an integer with its letter, from 0. */
static mle_status read_count(reader *r, size_t *out, mle_error *err) {
  size_t size = need(r, 1) ? number_size(*r->at) : 0;
  if (size == 0 || is_real_type(*r->at)) return bad(r, err, "a length must be an integer");
  if (!need(r, 1 + size)) return bad(r, err, "the bytes end inside a length");
  int64_t value = int_at(r->at + 1, *r->at);
  if (value < 0) return bad(r, err, "a length is negative");
  r->at += 1 + size;
  *out = (size_t)value;
  return MLE_OK;
}

static mle_status read_bytes(reader *r, const char **out, size_t *out_len, mle_error *err) {
  MLE_TRY(read_count(r, out_len, err));
  if (!need(r, *out_len)) return bad(r, err, "a text is longer than the bytes that are left");
  *out = r->at;
  r->at += *out_len;
  return MLE_OK;
}

static mle_status read_value(reader *r, mle_node *out, mle_error *err);

static mle_status read_packed(reader *r, mle_node *out, mle_error *err) {
  out->kind = MLE_NODE_PACKED;
  r->at++; /* '$' */
  size_t size = need(r, 1) ? number_size(*r->at) : 0;
  if (size == 0) return bad(r, err, "a packed array must hold numbers");
  out->type = *r->at++;
  if (!next_is(r, '#')) return bad(r, err, "a packed array must have a count");
  r->at++;
  MLE_TRY(read_count(r, &out->count, err));
  if (out->count > (size_t)(r->end - r->at) / size)
    return bad(r, err, "an array is longer than the bytes that are left");
  out->as.bytes = r->at;
  r->at += out->count * size;
  return MLE_OK;
}

static mle_status read_list(reader *r, mle_node *out, mle_error *err) {
  if (next_is(r, '$')) return read_packed(r, out, err);
  bool counted = next_is(r, '#');
  size_t count = SIZE_MAX;
  if (counted) {
    r->at++;
    MLE_TRY(read_count(r, &count, err));
  }
  out->kind = MLE_NODE_LIST;
  const mle_node **link = &out->as.first;
  while (out->count < count && !(!counted && next_is(r, ']'))) {
    mle_node *element;
    MLE_TRY(new_node(r->doc, &element, err));
    MLE_TRY(read_value(r, element, err));
    *link = element;
    link = &element->next;
    out->count++;
  }
  if (!counted) r->at++;
  return MLE_OK;
}

static bool has_member(const mle_node *object, const char *name, size_t len) {
  for (const mle_node *m = object->as.first; m != NULL; m = m->next)
    if (m->name_len == len && memcmp(m->name, name, len) == 0) return true;
  return false;
}

static mle_status read_object(reader *r, mle_node *out, mle_error *err) {
  out->kind = MLE_NODE_OBJECT;
  const mle_node **link = &out->as.first;
  while (!next_is(r, '}')) {
    mle_node *member;
    const char *name = NULL;
    size_t name_len = 0;
    if (out->count == MEMBERS_MAX) return bad(r, err, "an object has more than 1024 members");
    MLE_TRY(read_bytes(r, &name, &name_len, err));
    if (has_member(out, name, name_len)) return bad(r, err, "a name stands twice in one object");
    MLE_TRY(new_node(r->doc, &member, err));
    member->name = name;
    member->name_len = name_len;
    MLE_TRY(read_value(r, member, err));
    *link = member;
    link = &member->next;
    out->count++;
  }
  r->at++;
  return MLE_OK;
}

static mle_status read_nested(reader *r, char type, mle_node *out, mle_error *err) {
  if (++r->depth > DEPTH_MAX) return bad(r, err, "nested more than 32 levels");
  MLE_TRY(type == '{' ? read_object(r, out, err) : read_list(r, out, err));
  r->depth--;
  return MLE_OK;
}

static mle_status read_text(reader *r, mle_node *out, mle_error *err) {
  out->kind = MLE_NODE_TEXT;
  return read_bytes(r, &out->as.bytes, &out->count, err);
}

static mle_status read_number(reader *r, char type, mle_node *out, mle_error *err) {
  size_t size = number_size(type);
  if (!need(r, size)) return bad(r, err, "the bytes end inside a number");
  out->kind = is_real_type(type) ? MLE_NODE_REAL : MLE_NODE_INT;
  if (is_real_type(type))
    out->as.real = real_at(r->at, type);
  else
    out->as.whole = int_at(r->at, type);
  r->at += size;
  return MLE_OK;
}

static mle_status read_value(reader *r, mle_node *out, mle_error *err) {
  if (!need(r, 1)) return bad(r, err, "the bytes end where a value should be");
  char type = *r->at++;
  switch (type) {
    case '{': case '[': return read_nested(r, type, out, err);
    case 'S': return read_text(r, out, err);
    case 'Z': return MLE_OK;
    case 'T': case 'F':
      out->kind = MLE_NODE_BOOL;
      out->as.whole = type == 'T';
      return MLE_OK;
    default: break;
  }
  if (number_size(type) > 0) return read_number(r, type, out, err);
  r->at--;
  return bad(r, err, "unknown type of value");
}

static mle_status parse_ubjson(mle_document *doc, const char *bytes, size_t len, mle_error *err) {
  if (len > UBJSON_MAX) return mle_fail(err, MLE_EREFUSED, "larger than 1 GiB");
  reader r = {.doc = doc, .start = bytes, .at = bytes, .end = bytes + len};
  MLE_TRY(read_value(&r, &doc->root, err));
  return r.at == r.end ? MLE_OK : bad(&r, err, "bytes after the end");
}

/* ====== JSON ====== */

static mle_status convert(mle_document *doc, const mle_json_at *at, mle_node *out, int depth,
                          mle_error *err);

static mle_status convert_items(mle_document *doc, const mle_json_at *at, mle_node *out,
                                int depth, mle_error *err) {
  mle_json_at item;
  const mle_node **link = &out->as.first;
  out->kind = mle_json_is_object(at) ? MLE_NODE_OBJECT : MLE_NODE_LIST;
  if (depth > DEPTH_MAX) return mle_json_fail(at, err, "nested more than 32 levels");
  for (bool more = mle_json_first(at, &item); more; more = mle_json_next(&item)) {
    mle_node *node;
    MLE_TRY(new_node(doc, &node, err));
    node->name = item.key;
    node->name_len = item.key == NULL ? 0 : strlen(item.key);
    MLE_TRY(convert(doc, &item, node, depth, err));
    *link = node;
    link = &node->next;
    out->count++;
  }
  return MLE_OK;
}

/* A negative zero stays one: as an integer it would lose its sign. */
static mle_status convert_number(const mle_json_at *at, mle_node *out, mle_error *err) {
  double real;
  MLE_TRY(mle_json_double(at, &real, err));
  if (mle_json_is_int(at) && !(real == 0 && signbit(real))) {
    out->kind = MLE_NODE_INT;
    return mle_json_int(at, &out->as.whole, err);
  }
  out->kind = MLE_NODE_REAL;
  out->as.real = real;
  return MLE_OK;
}

static mle_status convert(mle_document *doc, const mle_json_at *at, mle_node *out, int depth,
                          mle_error *err) {
  if (mle_json_is_object(at) || mle_json_is_array(at))
    return convert_items(doc, at, out, depth + 1, err);
  if (mle_json_is_bool(at)) {
    out->kind = MLE_NODE_BOOL;
    out->as.whole = mle_json_true(at);
  } else if (mle_json_is_number(at)) {
    return convert_number(at, out, err);
  } else if (mle_json_is_text(at)) {
    out->kind = MLE_NODE_TEXT;
    MLE_TRY(mle_json_text(at, &out->as.bytes, err));
    out->count = strlen(out->as.bytes);
  }
  return MLE_OK;
}

static mle_status parse_json(mle_document *doc, const char *bytes, size_t len, mle_error *err) {
  if (len > JSON_MAX)
    return mle_fail(err, MLE_EREFUSED, "JSON larger than 256 MiB; save the model as UBJSON");
  MLE_TRY(mle_json_parse(bytes, len, &doc->json, err));
  mle_json_at root = mle_json_root(doc->json);
  return convert(doc, &root, &doc->root, 0, err);
}

/* ====== Documents ====== */

/* Both begin with '{'. UBJSON goes on with a length, JSON with a quote or white space. */
static bool looks_like_json(const char *bytes, size_t len) {
  size_t i = 0;
  while (i < len && memchr(" \t\r\n", bytes[i], 4) != NULL) i++;
  if (i == len || bytes[i] != '{') return false;
  return i > 0 || (len > 1 && memchr("\" \t\r\n}", bytes[1], 6) != NULL);
}

mle_status mle_document_parse(const void *bytes, size_t len, mle_document **out, mle_error *err) {
  *out = NULL;
  mle_document *doc = mle_calloc(1, sizeof *doc);
  if (doc == NULL) return mle_nomem(err, "reading a model");
  mle_status status = looks_like_json(bytes, len) ? parse_json(doc, bytes, len, err)
                                                  : parse_ubjson(doc, bytes, len, err);
  if (status != MLE_OK) {
    mle_document_free(doc);
    return status;
  }
  *out = doc;
  return MLE_OK;
}

void mle_document_free(mle_document *doc) {
  if (doc == NULL) return;
  for (chunk *c = doc->chunks; c != NULL;) {
    chunk *next = c->next;
    mle_free(c);
    c = next;
  }
  mle_json_free(doc->json);
  mle_free(doc);
}

const mle_node *mle_document_root(const mle_document *doc) { return &doc->root; }

/* ====== Values ====== */

const mle_node *mle_node_member(const mle_node *object, const char *name) {
  if (object == NULL || object->kind != MLE_NODE_OBJECT) return NULL;
  size_t len = strlen(name);
  for (const mle_node *m = object->as.first; m != NULL; m = m->next)
    if (m->name_len == len && memcmp(m->name, name, len) == 0) return m;
  return NULL;
}

bool mle_node_is_text(const mle_node *node, const char *text) {
  return node != NULL && node->kind == MLE_NODE_TEXT && node->count == strlen(text) &&
         memcmp(node->as.bytes, text, node->count) == 0;
}

bool mle_node_is_array(const mle_node *node) {
  return node != NULL && (node->kind == MLE_NODE_LIST || node->kind == MLE_NODE_PACKED);
}

bool mle_node_ints(const mle_node *node, size_t count, int64_t *out) {
  if (!mle_node_is_array(node) || node->count != count) return false;
  if (node->kind == MLE_NODE_PACKED) {
    size_t size = number_size(node->type);
    for (size_t i = 0; i < count; i++) out[i] = int_at(node->as.bytes + i * size, node->type);
    return !is_real_type(node->type) || count == 0;
  }
  for (const mle_node *n = node->as.first; n != NULL; n = n->next) {
    if (n->kind != MLE_NODE_INT && n->kind != MLE_NODE_BOOL) return false;
    *out++ = n->as.whole;
  }
  return true;
}

/*
 * XGBoost's JSON holds the shortest text of each float, which was read as a double.
 * Rounding twice goes wrong only for a double midway between two floats: then
 * the right one is that whose own shortest text reads as this double.
 */
static float float_of(double value) {
  float nearest = (float)value;
  float other = nextafterf(nearest, (double)nearest < value ? INFINITY : -INFINITY);
  if (fabs((double)nearest - value) != fabs((double)other - value)) return nearest;
  char text[MLE_NUMBER_TEXT];
  return isfinite(other) && strtod(mle_float_text(other, text), NULL) == value ? other : nearest;
}

bool mle_node_floats(const mle_node *node, size_t count, float *out) {
  if (!mle_node_is_array(node) || node->count != count) return false;
  if (node->kind == MLE_NODE_PACKED) {
    size_t size = number_size(node->type);
    for (size_t i = 0; i < count; i++) {
      const char *at = node->as.bytes + i * size;
      out[i] = is_real_type(node->type) ? (float)real_at(at, node->type)
                                        : (float)int_at(at, node->type);
    }
    return true;
  }
  for (const mle_node *n = node->as.first; n != NULL; n = n->next) {
    if (n->kind != MLE_NODE_INT && n->kind != MLE_NODE_REAL) return false;
    *out++ = n->kind == MLE_NODE_INT ? (float)n->as.whole : float_of(n->as.real);
  }
  return true;
}

bool mle_node_text_int(const mle_node *node, int64_t *out) {
  char text[24], *end;
  if (node == NULL || node->kind != MLE_NODE_TEXT) return false;
  if (node->count == 0 || node->count >= sizeof text) return false;
  memcpy(text, node->as.bytes, node->count);
  text[node->count] = '\0';
  *out = strtoll(text, &end, 10);
  return *end == '\0' && end == text + node->count && text[0] != ' ';
}
