/*
 * yaml.c -- reads block-style YAML by turning it into JSON text, line by line.
 *
 * The reader stands either at the first character of a line's content, whose
 * column is the line's indent, or inside a line. A mapping or list owns the
 * lines at its column; deeper ones belong to its values. YAML 1.1, chapters 7
 * to 9, is the reference for folding and escapes.
 */
#include "engine/mlflow/yaml.h"

#include <stdint.h>
#include <string.h>
#include <strings.h>

typedef struct reader {
  const char *at, *end;
  const char *line_start;
  int line;   /* from 1 */
  int column; /* of the content at hand; -1 at the end of the text */
  mle_buffer *out;
  mle_error *err;
} reader;

static mle_status fail_at(const reader *r, const char *what) {
  return mle_fail(r->err, MLE_EFORMAT, "line %d: %s", r->line, what);
}

/* ====== Lines ====== */

static bool at_line_end(const reader *r) {
  return r->at == r->end || *r->at == '\n' || (*r->at == '\r' && r->at + 1 < r->end && r->at[1] == '\n');
}

static bool at_comment(const reader *r) {
  return r->at < r->end && *r->at == '#' && (r->at == r->line_start || r->at[-1] == ' ');
}

static void skip_spaces(reader *r) {
  while (r->at < r->end && *r->at == ' ') r->at++;
}

static void next_line(reader *r) {
  while (r->at < r->end && *r->at != '\n') r->at++;
  if (r->at < r->end) {
    r->at++;
    r->line++;
  }
  r->line_start = r->at;
}

/* Goes to the next content, from the start of a line. */
static mle_status find_content(reader *r) {
  while (true) {
    skip_spaces(r);
    if (r->at == r->end) {
      r->column = -1;
      return MLE_OK;
    }
    if (*r->at == '\t') return fail_at(r, "a tab indents; YAML indents by spaces");
    if (!at_line_end(r) && !at_comment(r)) break;
    next_line(r);
  }
  r->column = (int)(r->at - r->line_start);
  if (r->column == 0 && r->end - r->at >= 3 && memcmp(r->at, "...", 3) == 0) {
    r->at = r->end;
    r->column = -1;
  }
  return MLE_OK;
}

/* After a value: nothing but a comment may follow on its line. */
static mle_status end_line(reader *r) {
  skip_spaces(r);
  if (!at_line_end(r) && !at_comment(r)) return fail_at(r, "unexpected text after a value");
  next_line(r);
  return find_content(r);
}

static bool at_dash(const reader *r) {
  return *r->at == '-' && (r->at + 1 == r->end || strchr(" \n\r", r->at[1]) != NULL);
}

/* A colon that ends a key: a space or the line's end comes after it. */
static bool at_colon(const reader *r, const char *at) {
  return *at == ':' && (at + 1 == r->end || strchr(" \n\r", at[1]) != NULL);
}

/* ====== Text as JSON ====== */

static mle_status put_byte(reader *r, unsigned char byte) {
  if (byte == 0x7f || byte == 0) return fail_at(r, "a control character in a text");
  if (byte == '"' || byte == '\\') return mle_buffer_printf(r->out, r->err, "\\%c", byte);
  if (byte < 0x20) return mle_buffer_printf(r->out, r->err, "\\u%04x", (unsigned)byte);
  return mle_buffer_append(r->out, &byte, 1, r->err);
}

static mle_status put_bytes(reader *r, const char *bytes, size_t len) {
  for (size_t i = 0; i < len; i++) MLE_TRY(put_byte(r, (unsigned char)bytes[i]));
  return MLE_OK;
}

static mle_status put_code_point(reader *r, uint32_t code) {
  unsigned char utf8[4];
  size_t len = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
  if (code > 0x10FFFF || (code >= 0xD800 && code < 0xE000)) return fail_at(r, "no such character");
  if (len == 1) return put_byte(r, (unsigned char)code);
  for (size_t i = len - 1; i > 0; i--, code >>= 6) utf8[i] = (unsigned char)(0x80 | (code & 0x3F));
  utf8[0] = (unsigned char)((0xF00 >> len & 0xF0) | code);
  return mle_buffer_append(r->out, utf8, len, r->err);
}

/* ====== Quoted scalars ====== */

/*
 * At a line break inside a scalar: one becomes a space, each further one a line
 * feed; the next line's indent is dropped. With `join` the first becomes nothing.
 */
static mle_status fold_lines(reader *r, bool join) {
  int breaks = 0;
  while (r->at < r->end && at_line_end(r)) {
    next_line(r);
    skip_spaces(r);
    breaks++;
  }
  if (r->at == r->end) return fail_at(r, "a quoted text is not closed");
  if (breaks == 1) return join ? MLE_OK : put_byte(r, ' ');
  for (int i = 1; i < breaks; i++) MLE_TRY(put_byte(r, '\n'));
  return MLE_OK;
}

/* Spaces before a line break do not count, so they are put only with what follows. */
static mle_status put_spaces_or_fold(reader *r) {
  const char *start = r->at;
  skip_spaces(r);
  if (at_line_end(r)) return r->at == r->end ? fail_at(r, "a quoted text is not closed") : fold_lines(r, false);
  return put_bytes(r, start, (size_t)(r->at - start));
}

static mle_status read_single_quoted(reader *r) {
  r->at++;
  while (r->at < r->end) {
    if (*r->at == ' ' || at_line_end(r)) {
      MLE_TRY(put_spaces_or_fold(r));
      continue;
    }
    if (*r->at == '\'' && (r->at + 1 == r->end || r->at[1] != '\'')) {
      r->at++;
      return MLE_OK;
    }
    if (*r->at == '\'') r->at++;
    MLE_TRY(put_byte(r, (unsigned char)*r->at++));
  }
  return fail_at(r, "a quoted text is not closed");
}

static mle_status read_hex(reader *r, int digits) {
  uint32_t code = 0;
  for (int i = 0; i < digits; i++, r->at++) {
    const char *all = "0123456789abcdef0123456789ABCDEF";
    const char *digit = r->at < r->end && *r->at != '\0' ? strchr(all, *r->at) : NULL;
    if (digit == NULL) return fail_at(r, "a bad escape in a quoted text");
    code = code << 4 | (uint32_t)((digit - all) & 15);
  }
  return put_code_point(r, code);
}

static mle_status read_escape(reader *r) {
  static const char names[] = "0abtnvfre \"/\\N_LP";
  static const uint32_t codes[] = {0,    7,   8,   9,    10,   11,   12,   13,    27,
                                   ' ',  '"', '/', '\\', 0x85, 0xA0, 0x2028, 0x2029};
  r->at++;
  if (r->at == r->end) return fail_at(r, "a quoted text is not closed");
  if (at_line_end(r)) return fold_lines(r, true);
  char name = *r->at++;
  if (name == 'x') return read_hex(r, 2);
  if (name == 'u') return read_hex(r, 4);
  if (name == 'U') return read_hex(r, 8);
  if (name == '\t') return put_byte(r, '\t');
  const char *found = name != '\0' ? strchr(names, name) : NULL;
  if (found == NULL) return fail_at(r, "an unknown escape in a quoted text");
  return put_code_point(r, codes[found - names]);
}

static mle_status read_double_quoted(reader *r) {
  r->at++;
  while (r->at < r->end) {
    if (*r->at == ' ' || at_line_end(r)) {
      MLE_TRY(put_spaces_or_fold(r));
    } else if (*r->at == '"') {
      r->at++;
      return MLE_OK;
    } else if (*r->at == '\\') {
      MLE_TRY(read_escape(r));
    } else {
      MLE_TRY(put_byte(r, (unsigned char)*r->at++));
    }
  }
  return fail_at(r, "a quoted text is not closed");
}

static mle_status read_quoted(reader *r) {
  MLE_TRY(mle_buffer_puts(r->out, "\"", r->err));
  MLE_TRY(*r->at == '"' ? read_double_quoted(r) : read_single_quoted(r));
  return mle_buffer_puts(r->out, "\"", r->err);
}

/* ====== Plain scalars ====== */

/* The end of a plain scalar's piece on this line, without spaces behind it. */
static const char *plain_end(const reader *r) {
  const char *end = r->at, *c = r->at;
  for (; c < r->end && *c != '\n' && *c != '\r'; c++) {
    if (*c == '#' && c > r->at && c[-1] == ' ') break;
    if (at_colon(r, c)) break;
    if (*c != ' ') end = c + 1;
  }
  return end;
}

static bool is_digits(const char *text, size_t len) {
  for (size_t i = 0; i < len; i++)
    if (text[i] < '0' || text[i] > '9') return false;
  return len > 0;
}

/* Numbers that YAML 1.1 and JSON write alike: -12, 0.5, 1.5e-07 (YAML wants the dot). */
static bool is_number(const char *text, size_t len) {
  if (len > 0 && *text == '-') text++, len--;
  const char *dot = memchr(text, '.', len);
  size_t whole = dot == NULL ? len : (size_t)(dot - text);
  if (whole > 18 || !is_digits(text, whole) || (whole > 1 && *text == '0')) return false;
  if (dot == NULL) return true;
  const char *fraction = dot + 1, *end = text + len;
  const char *e = memchr(fraction, 'e', (size_t)(end - fraction));
  if (e == NULL) return is_digits(fraction, (size_t)(end - fraction));
  bool is_signed = e + 1 < end && (e[1] == '+' || e[1] == '-');
  return is_digits(fraction, (size_t)(e - fraction)) && is_signed &&
         is_digits(e + 2, (size_t)(end - e - 2));
}

static const char *as_word(const char *text, size_t len) {
  static const char *const words[][2] = {{"null", "null"}, {"~", "null"},       {"true", "true"},
                                         {"false", "false"}, {"yes", "true"}, {"no", "false"},
                                         {"on", "true"},     {"off", "false"}};
  for (size_t i = 0; i < sizeof words / sizeof *words; i++)
    if (strlen(words[i][0]) == len && strncasecmp(words[i][0], text, len) == 0) return words[i][1];
  return NULL;
}

/* A plain scalar goes on over deeper lines; each break folds to one space. */
static mle_status read_plain(reader *r, int parent) {
  const char *start = r->at, *end = plain_end(r);
  size_t len = (size_t)(end - start);
  r->at = end;
  skip_spaces(r);
  if (r->at < r->end && at_colon(r, r->at)) return fail_at(r, "a second ':' in a value; quote it");
  MLE_TRY(end_line(r));
  bool goes_on = r->column > parent && r->column >= 0;
  if (!goes_on && as_word(start, len) != NULL)
    return mle_buffer_puts(r->out, as_word(start, len), r->err);
  if (!goes_on && is_number(start, len)) return mle_buffer_append(r->out, start, len, r->err);
  MLE_TRY(mle_buffer_puts(r->out, "\"", r->err));
  MLE_TRY(put_bytes(r, start, len));
  while (r->column > parent && r->column >= 0) {
    start = r->at;
    r->at = plain_end(r);
    MLE_TRY(put_byte(r, ' '));
    MLE_TRY(put_bytes(r, start, (size_t)(r->at - start)));
    if (r->at < r->end && at_colon(r, r->at)) return fail_at(r, "a ':' in a folded text; quote it");
    MLE_TRY(end_line(r));
  }
  return mle_buffer_puts(r->out, "\"", r->err);
}

/* ====== Literal and folded blocks ====== */

static int indent_here(const reader *r) {
  const char *c = r->at;
  while (c < r->end && *c == ' ') c++;
  return (int)(c - r->at);
}

static bool is_blank_line(const reader *r) {
  const char *c = r->at;
  while (c < r->end && *c == ' ') c++;
  return c == r->end || *c == '\n' || *c == '\r';
}

/* One line of a block, and the breaks before it: `breaks` line feeds, or folded. */
static mle_status put_block_line(reader *r, int indent, int breaks, bool folded) {
  if (folded && breaks == 1) MLE_TRY(put_byte(r, ' '));
  for (int i = folded ? 1 : 0; i < breaks; i++) MLE_TRY(put_byte(r, '\n'));
  r->at += indent;
  const char *start = r->at;
  while (r->at < r->end && !at_line_end(r)) r->at++;
  MLE_TRY(put_bytes(r, start, (size_t)(r->at - start)));
  next_line(r);
  return MLE_OK;
}

/* "|" or ">", then "-" (no break at the end) or "+" (all of them) or neither (one). */
static mle_status read_block_scalar(reader *r, int parent) {
  bool folded = *r->at++ == '>';
  char chomp = r->at < r->end && (*r->at == '-' || *r->at == '+') ? *r->at++ : '1';
  skip_spaces(r);
  if (!at_line_end(r)) return fail_at(r, "a block's own indent is not understood");
  next_line(r);
  int indent = 0, breaks = 0;
  bool any = false;
  MLE_TRY(mle_buffer_puts(r->out, "\"", r->err));
  while (r->at < r->end) {
    if (is_blank_line(r)) {
      breaks++;
      next_line(r);
      continue;
    }
    if (indent == 0) indent = indent_here(r);
    if (indent_here(r) < indent || indent <= parent) break;
    MLE_TRY(put_block_line(r, indent, breaks, folded && any));
    any = true;
    breaks = 1;
  }
  if (chomp == '1' && any) MLE_TRY(put_byte(r, '\n'));
  for (int i = 0; chomp == '+' && i < breaks; i++) MLE_TRY(put_byte(r, '\n'));
  MLE_TRY(mle_buffer_puts(r->out, "\"", r->err));
  return find_content(r);
}

/* ====== Values ====== */

static mle_status read_block(reader *r, int depth);

static mle_status read_empty_flow(reader *r) {
  char close = *r->at == '{' ? '}' : ']', open = *r->at++;
  skip_spaces(r);
  if (r->at == r->end || *r->at != close)
    return fail_at(r, "{...} and [...] with contents are not understood; one value per line is");
  r->at++;
  MLE_TRY(mle_buffer_printf(r->out, r->err, "%c%c", open, close));
  return end_line(r);
}

/* A value that begins inside a line; lines deeper than `parent` may carry it on. */
static mle_status read_value(reader *r, int parent) {
  if (at_dash(r)) return fail_at(r, "a list must begin on a line of its own");
  switch (*r->at) {
    case '\'':
    case '"': MLE_TRY(read_quoted(r)); return end_line(r);
    case '{':
    case '[': return read_empty_flow(r);
    case '|':
    case '>': return read_block_scalar(r, parent);
    case '&':
    case '*': return fail_at(r, "anchors and aliases (& and *) are not understood");
    case '!': return fail_at(r, "tags (!) are not understood");
    case '%':
    case '@':
    case '`':
    case ',':
    case ']':
    case '}': return fail_at(r, "a value cannot begin with this character; quote it");
    default: return read_plain(r, parent);
  }
}

/* What follows "key:" or "-": a value on the line, a block below, or null. */
static mle_status read_after(reader *r, int parent, bool list_at_parent, int depth) {
  skip_spaces(r);
  if (!at_line_end(r) && !at_comment(r)) return read_value(r, parent);
  MLE_TRY(end_line(r));
  bool deeper = r->column > parent;
  bool list = list_at_parent && r->column == parent && r->column >= 0 && at_dash(r);
  if (deeper || list) return read_block(r, depth + 1);
  return mle_buffer_puts(r->out, "null", r->err);
}

/* ====== Collections ====== */

static mle_status read_key(reader *r) {
  if (*r->at == '?' && r->at + 1 < r->end && r->at[1] == ' ')
    return fail_at(r, "complex keys (?) are not understood");
  if (*r->at == '\'' || *r->at == '"') {
    MLE_TRY(read_quoted(r));
    skip_spaces(r);
  } else {
    if (strchr("&*!{[|>%@`", *r->at) != NULL) return fail_at(r, "a key cannot begin with this character");
    const char *start = r->at;
    r->at = plain_end(r);
    MLE_TRY(mle_buffer_puts(r->out, "\"", r->err));
    MLE_TRY(put_bytes(r, start, (size_t)(r->at - start)));
    MLE_TRY(mle_buffer_puts(r->out, "\"", r->err));
    skip_spaces(r);
  }
  if (r->at == r->end || !at_colon(r, r->at)) return fail_at(r, "a key without ':'");
  r->at++;
  return mle_buffer_puts(r->out, ":", r->err);
}

static mle_status read_mapping(reader *r, int column, int depth) {
  MLE_TRY(mle_buffer_puts(r->out, "{", r->err));
  for (bool first = true; r->column == column; first = false) {
    if (at_dash(r)) return fail_at(r, "a list element among keys");
    if (!first) MLE_TRY(mle_buffer_puts(r->out, ",", r->err));
    MLE_TRY(read_key(r));
    MLE_TRY(read_after(r, column, true, depth));
  }
  if (r->column > column) return fail_at(r, "deeper than the lines before it");
  return mle_buffer_puts(r->out, "}", r->err);
}

/* After "- " an element may begin on the same line, also a mapping at its own column. */
static mle_status read_element(reader *r, int column, int depth) {
  r->at++;
  skip_spaces(r);
  if (at_line_end(r) || at_comment(r)) return read_after(r, column, false, depth);
  r->column = (int)(r->at - r->line_start);
  return read_block(r, depth + 1);
}

static mle_status read_list(reader *r, int column, int depth) {
  MLE_TRY(mle_buffer_puts(r->out, "[", r->err));
  for (bool first = true; r->column == column && at_dash(r); first = false) {
    if (!first) MLE_TRY(mle_buffer_puts(r->out, ",", r->err));
    MLE_TRY(read_element(r, column, depth));
  }
  if (r->column > column) return fail_at(r, "deeper than the lines before it");
  return mle_buffer_puts(r->out, "]", r->err);
}

/* Whether this line begins with a key; a quoted one may hold colons. */
static bool at_key(const reader *r) {
  const char *c = r->at;
  if (*c == '\'' || *c == '"') {
    char quote = *c++;
    for (; c < r->end && *c != '\n'; c++) {
      if (quote == '"' && *c == '\\' && c + 1 < r->end) c++;
      else if (*c == quote && quote == '\'' && c + 1 < r->end && c[1] == quote) c++;
      else if (*c == quote) break;
    }
    if (c == r->end || *c != quote) return false;
    for (c++; c < r->end && *c == ' ';) c++;
    return c < r->end && at_colon(r, c);
  }
  c = plain_end(r);
  while (c < r->end && *c == ' ') c++;
  return c < r->end && at_colon(r, c);
}

static mle_status read_block(reader *r, int depth) {
  if (depth > MLE_YAML_DEPTH) return fail_at(r, "nested too deep");
  int column = r->column;
  if (at_dash(r)) return read_list(r, column, depth);
  if (at_key(r) || (*r->at == '?' && r->at + 1 < r->end && r->at[1] == ' '))
    return read_mapping(r, column, depth);
  return read_value(r, column - 1);
}

static mle_status read_document(reader *r) {
  MLE_TRY(find_content(r));
  if (r->column == 0 && r->end - r->at >= 3 && memcmp(r->at, "---", 3) == 0) {
    r->at += 3;
    MLE_TRY(end_line(r));
  }
  if (r->column < 0) return mle_buffer_puts(r->out, "null", r->err);
  MLE_TRY(read_block(r, 0));
  return r->column < 0 ? MLE_OK : fail_at(r, "unexpected text at this indent");
}

mle_status mle_yaml_read(const char *text, size_t len, mle_json **out, mle_error *err) {
  *out = NULL;
  if (len > MLE_YAML_MAX || memchr(text, '\0', len) != NULL)
    return mle_fail(err, MLE_EFORMAT, "not a YAML text of at most %zu bytes", MLE_YAML_MAX);
  mle_buffer json = MLE_BUFFER(8 * MLE_YAML_MAX);
  reader r = {text, text + len, text, 1, 0, &json, err};
  mle_status status = read_document(&r);
  if (status == MLE_OK) status = mle_json_parse(json.data, json.len, out, err);
  mle_buffer_release(&json);
  return status;
}
