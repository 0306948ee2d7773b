#include "engine/deploy/yaml.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "engine/base/buffer.h"

#define DEPTH_MAX 16
#define SCALAR_MAX ((size_t)4 << 20)
#define ENTRIES_MAX 10000

typedef struct entry {
  const char *path, *value;
} entry;

struct mle_yaml {
  entry *entries;
  size_t count;
};

typedef struct level {
  int indent;
  const char *path; /* of the mapping whose keys stand at this indent */
} level;

typedef struct parser {
  const char *at, *end;
  size_t line;
  mle_arena *memory;
  mle_yaml *doc;
  level stack[DEPTH_MAX];
  int depth; /* levels in use; stack[0] is the document */
} parser;

static mle_status fail_line(const parser *p, mle_error *err, const char *what) {
  return mle_fail(err, MLE_EFORMAT, "line %zu: %s", p->line, what);
}

/* ====== Characters ====== */

static bool at_line_end(const parser *p) { return p->at == p->end || *p->at == '\n'; }

static void next_line(parser *p) {
  while (!at_line_end(p)) p->at++;
  if (p->at < p->end) p->at++;
  p->line++;
}

static int take_indent(parser *p) {
  int indent = 0;
  for (; p->at < p->end && *p->at == ' '; p->at++) indent++;
  return indent;
}

static bool is_blank_or_comment(const parser *p) {
  return at_line_end(p) || *p->at == '#' || *p->at == '\r';
}

/* ====== Scalars ====== */

/* At a line end inside quotes: one break folds to a space, each further one stays. */
static mle_status fold(parser *p, mle_buffer *out, mle_error *err) {
  while (out->len > 0 && (out->data[out->len - 1] == ' ' || out->data[out->len - 1] == '\t'))
    out->data[--out->len] = '\0';
  int breaks = 0;
  while (p->at < p->end && (*p->at == '\n' || *p->at == ' ' || *p->at == '\r' || *p->at == '\t')) {
    if (*p->at == '\n') breaks++, p->line++;
    p->at++;
  }
  if (breaks <= 1) return mle_buffer_append(out, " ", 1, err);
  for (; breaks > 1; breaks--) MLE_TRY(mle_buffer_append(out, "\n", 1, err));
  return MLE_OK;
}

static mle_status read_single(parser *p, mle_buffer *out, mle_error *err) {
  for (p->at++; p->at < p->end;) {
    if (*p->at == '\n') {
      MLE_TRY(fold(p, out, err));
      continue;
    }
    if (*p->at == '\'' && (p->at + 1 == p->end || p->at[1] != '\'')) {
      p->at++;
      return MLE_OK;
    }
    if (*p->at == '\'') p->at++; /* doubled: one of them */
    MLE_TRY(mle_buffer_append(out, p->at++, 1, err));
  }
  return fail_line(p, err, "a quoted text does not end");
}

static int hex_value(const char *at, const char *end, int digits) {
  static const char hex[] = "0123456789abcdef";
  int value = 0;
  for (int i = 0; i < digits; i++) {
    const char *found = at + i < end && at[i] > ' ' ? strchr(hex, at[i] | 0x20) : NULL;
    if (found == NULL) return -1;
    value = value * 16 + (int)(found - hex);
  }
  return value;
}

static mle_status put_point(mle_buffer *out, int c, mle_error *err) {
  char bytes[4];
  size_t extra = c < 0x80 ? 0 : c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
  static const int lead[] = {0, 0xC0, 0xE0, 0xF0};
  bytes[0] = (char)(lead[extra] | (c >> (6 * extra)));
  for (size_t i = 1; i <= extra; i++) bytes[i] = (char)(0x80 | ((c >> (6 * (extra - i))) & 0x3F));
  return mle_buffer_append(out, bytes, extra + 1, err);
}

/* After a backslash in double quotes. */
static mle_status read_escape(parser *p, mle_buffer *out, mle_error *err) {
  static const char from[] = "abtnvfre0\"\\/ ", to[] = "\a\b\t\n\v\f\r\x1b\0\"\\/ ";
  if (p->at == p->end) return fail_line(p, err, "a quoted text does not end");
  char c = *p->at++;
  if (c == '\n') { /* the line goes on without a space */
    p->line++;
    take_indent(p);
    return MLE_OK;
  }
  int digits = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
  if (digits > 0) {
    int point = hex_value(p->at, p->end, digits > 6 ? 6 : digits);
    if (digits == 8) point = hex_value(p->at + 2, p->end, 6);
    if (point <= 0 || point > 0x10FFFF) return fail_line(p, err, "a bad escape in a text");
    p->at += digits;
    return put_point(out, point, err);
  }
  const char *found = c == '\0' ? NULL : strchr(from, c);
  if (found == NULL || c == '0') return fail_line(p, err, "a bad escape in a text");
  return mle_buffer_append(out, &to[found - from], 1, err);
}

static mle_status read_double(parser *p, mle_buffer *out, mle_error *err) {
  for (p->at++; p->at < p->end;) {
    if (*p->at == '"') {
      p->at++;
      return MLE_OK;
    }
    if (*p->at == '\n') {
      MLE_TRY(fold(p, out, err));
    } else if (*p->at == '\\') {
      p->at++;
      MLE_TRY(read_escape(p, out, err));
    } else {
      MLE_TRY(mle_buffer_append(out, p->at++, 1, err));
    }
  }
  return fail_line(p, err, "a quoted text does not end");
}

/* One line of a plain scalar, without its comment and trailing space. */
static mle_status read_plain_line(parser *p, mle_buffer *out, mle_error *err) {
  const char *begin = p->at;
  while (!at_line_end(p) && !(*p->at == '#' && p->at > begin && p->at[-1] == ' ')) p->at++;
  const char *last = p->at;
  while (last > begin && (last[-1] == ' ' || last[-1] == '\r' || last[-1] == '\t')) last--;
  mle_status status = mle_buffer_append(out, begin, (size_t)(last - begin), err);
  next_line(p);
  return status;
}

/* A plain scalar goes on in lines indented deeper than its key. */
static mle_status read_plain(parser *p, int indent, mle_buffer *out, mle_error *err) {
  MLE_TRY(read_plain_line(p, out, err));
  while (p->at < p->end) {
    const char *line = p->at;
    int deeper = take_indent(p);
    if (deeper <= indent || is_blank_or_comment(p)) {
      p->at = line;
      return MLE_OK;
    }
    MLE_TRY(mle_buffer_append(out, " ", 1, err));
    MLE_TRY(read_plain_line(p, out, err));
  }
  return MLE_OK;
}

static bool is_null(const char *text) {
  return strcmp(text, "null") == 0 || strcmp(text, "~") == 0 || *text == '\0';
}

static mle_status add_entry(parser *p, const char *path, const char *value, mle_error *err) {
  mle_yaml *doc = p->doc;
  if (doc->count == ENTRIES_MAX) return fail_line(p, err, "too many entries");
  entry *entries = mle_arena_grow(p->memory, doc->entries, doc->count, sizeof *entries);
  if (entries == NULL) return mle_nomem(err, "reading YAML");
  doc->entries = entries;
  entries[doc->count].path = path;
  MLE_TRY(mle_arena_copy(p->memory, value, &entries[doc->count].value, err));
  doc->count++;
  return MLE_OK;
}

static mle_status read_scalar(parser *p, int indent, const char *path, mle_error *err) {
  mle_buffer text = MLE_BUFFER(SCALAR_MAX);
  bool quoted = *p->at == '\'' || *p->at == '"';
  mle_status status;
  MLE_GO(mle_buffer_puts(&text, "", err));
  MLE_GO(*p->at == '\''  ? read_single(p, &text, err)
         : *p->at == '"' ? read_double(p, &text, err)
                         : read_plain(p, indent, &text, err));
  if (quoted) next_line(p);
  if (quoted || !is_null(text.data)) MLE_GO(add_entry(p, path, text.data, err));
done:
  mle_buffer_release(&text);
  return status;
}

/* ====== Mappings ====== */

/* Passes over lines indented deeper than `indent`: a list, a block text. */
static void skip_deeper(parser *p, int indent) {
  next_line(p);
  while (p->at < p->end) {
    const char *line = p->at;
    int found = take_indent(p);
    if (found <= indent && !is_blank_or_comment(p)) {
      p->at = line;
      return;
    }
    next_line(p);
  }
}

/* The colon that ends a plain key has white space, or nothing, behind it. */
static bool at_key_end(const parser *p) {
  if (at_line_end(p)) return true;
  return *p->at == ':' && (p->at + 1 == p->end || strchr(" \r\n", p->at[1]) != NULL);
}

static mle_status read_plain_key(parser *p, mle_buffer *key, mle_error *err) {
  const char *begin = p->at;
  while (!at_key_end(p)) p->at++;
  return mle_buffer_append(key, begin, (size_t)(p->at - begin), err);
}

static mle_status read_key(parser *p, mle_buffer *key, mle_error *err) {
  MLE_TRY(*p->at == '\''  ? read_single(p, key, err)
          : *p->at == '"' ? read_double(p, key, err)
                          : read_plain_key(p, key, err));
  if (at_line_end(p) || *p->at != ':') return fail_line(p, err, "expected a key and ':'");
  p->at++;
  while (!at_line_end(p) && *p->at == ' ') p->at++;
  return MLE_OK;
}

static mle_status push(parser *p, int indent, const char *path, mle_error *err) {
  if (p->depth == DEPTH_MAX) return fail_line(p, err, "nested too deeply");
  p->stack[p->depth++] = (level){indent, path};
  return MLE_OK;
}

static mle_status read_value(parser *p, int indent, const char *path, mle_error *err) {
  if (!is_blank_or_comment(p)) {
    if (strchr("|>", *p->at) != NULL) {
      skip_deeper(p, indent);
      return MLE_OK;
    }
    return read_scalar(p, indent, path, err);
  }
  next_line(p);
  return push(p, indent + 1, path, err); /* its keys, if any, stand deeper */
}

/* `key: value` at `indent`; levels that ended before are left first. */
static mle_status read_entry(parser *p, int indent, mle_error *err) {
  while (p->depth > 1 && indent < p->stack[p->depth - 1].indent) p->depth--;
  const char *parent = p->stack[p->depth - 1].path;
  mle_buffer key = MLE_BUFFER(4096);
  mle_status status = read_key(p, &key, err);
  const char *name = key.data == NULL ? "" : key.data;
  char *path = status != MLE_OK   ? NULL
               : *parent == '\0' ? mle_arena_format(p->memory, "%s", name)
                                  : mle_arena_format(p->memory, "%s.%s", parent, name);
  mle_buffer_release(&key);
  if (status != MLE_OK) return status;
  return path == NULL ? mle_nomem(err, "reading YAML") : read_value(p, indent, path, err);
}

mle_status mle_yaml_parse(const char *text, size_t len, mle_arena *memory, mle_yaml **out,
                          mle_error *err) {
  *out = NULL;
  parser p = {.at = text, .end = text + len, .line = 1, .memory = memory};
  p.doc = mle_arena_alloc(memory, sizeof *p.doc);
  if (p.doc == NULL) return mle_nomem(err, "reading YAML");
  MLE_TRY(push(&p, 0, "", err));
  while (p.at < p.end) {
    int indent = take_indent(&p);
    bool list = p.at < p.end && *p.at == '-';
    if (list)
      skip_deeper(&p, indent);
    else if (is_blank_or_comment(&p))
      next_line(&p);
    else
      MLE_TRY(read_entry(&p, indent, err));
  }
  *out = p.doc;
  return MLE_OK;
}

const char *mle_yaml_find(const mle_yaml *doc, const char *path) {
  for (size_t i = 0; i < doc->count; i++)
    if (strcmp(doc->entries[i].path, path) == 0) return doc->entries[i].value;
  return NULL;
}
