#include "engine/store/xml.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/buffer.h"

#define PATH_MAX_BYTES 512
#define TEXT_MAX ((size_t)64 << 10)
#define DEPTH_MAX 32

typedef struct reader {
  const char *at, *end;
  mle_xml_visit visit;
  void *context;
  mle_buffer path, text; /* text: of the innermost element */
  size_t depth;
  size_t starts[DEPTH_MAX]; /* where in `path` each level's name begins */
} reader;

static mle_status bad(const char *what, mle_error *err) {
  return mle_fail(err, MLE_EFORMAT, "the answer is not XML as S3 writes it: %s", what);
}

static bool starts_with(const reader *r, const char *prefix) {
  size_t len = strlen(prefix);
  return (size_t)(r->end - r->at) >= len && memcmp(r->at, prefix, len) == 0;
}

/* Goes behind the next `mark`. */
static mle_status skip_past(reader *r, const char *mark, mle_error *err) {
  const char *found = memmem(r->at, (size_t)(r->end - r->at), mark, strlen(mark));
  if (found == NULL) return bad("it ends too early", err);
  r->at = found + strlen(mark);
  return MLE_OK;
}

/* ====== Text ====== */

static mle_status put_code_point(mle_buffer *out, unsigned long c, mle_error *err) {
  char bytes[4];
  size_t len = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
  if (c == 0 || c > 0x10FFFF) return bad("a character that is none", err);
  for (size_t i = len - 1; i > 0; i--, c >>= 6) bytes[i] = (char)(0x80 | (c & 0x3F));
  static const unsigned char lead[] = {0, 0, 0xC0, 0xE0, 0xF0};
  bytes[0] = (char)(lead[len] | c);
  return mle_buffer_append(out, bytes, len, err);
}

static mle_status put_entity(reader *r, const char *name, size_t len, mle_error *err) {
  static const struct {
    const char *name, *text;
  } known[] = {{"lt", "<"}, {"gt", ">"}, {"amp", "&"}, {"quot", "\""}, {"apos", "'"}};
  for (size_t i = 0; i < sizeof known / sizeof *known; i++)
    if (strlen(known[i].name) == len && memcmp(known[i].name, name, len) == 0)
      return mle_buffer_puts(&r->text, known[i].text, err);
  if (len < 2 || name[0] != '#') return bad("an entity that it does not define", err);
  bool hex = name[1] == 'x';
  const char *digits = name + (hex ? 2 : 1);
  char *after;
  if (!isxdigit((unsigned char)*digits)) return bad("a character that is none", err);
  unsigned long c = strtoul(digits, &after, hex ? 16 : 10);
  return after == name + len ? put_code_point(&r->text, c, err)
                             : bad("a character that is none", err);
}

static mle_status take_text(reader *r, mle_error *err) {
  while (r->at < r->end && *r->at != '<') {
    if (*r->at != '&') {
      const char *from = r->at;
      while (r->at < r->end && *r->at != '<' && *r->at != '&') r->at++;
      MLE_TRY(mle_buffer_append(&r->text, from, (size_t)(r->at - from), err));
      continue;
    }
    size_t room = (size_t)(r->end - r->at);
    const char *semicolon = memchr(r->at, ';', room < 12 ? room : 12);
    if (semicolon == NULL) return bad("an entity without an end", err);
    MLE_TRY(put_entity(r, r->at + 1, (size_t)(semicolon - r->at - 1), err));
    r->at = semicolon + 1;
  }
  return MLE_OK;
}

static mle_status take_cdata(reader *r, mle_error *err) {
  const char *from = r->at + 9;
  r->at = from;
  MLE_TRY(skip_past(r, "]]>", err));
  return mle_buffer_append(&r->text, from, (size_t)(r->at - 3 - from), err);
}

/* ====== Elements ====== */

/* The local name at `r->at`, which ends at white space, '/' or '>'. */
static mle_status take_name(reader *r, const char **out, size_t *out_len, mle_error *err) {
  const char *from = r->at;
  while (r->at < r->end && strchr(" \t\r\n/>", *r->at) == NULL) {
    if (*r->at == ':') from = r->at + 1;
    r->at++;
  }
  *out = from;
  *out_len = (size_t)(r->at - from);
  if (*out_len == 0 || r->at == r->end) return bad("an element without a name", err);
  return MLE_OK;
}

static mle_status open_element(reader *r, const char *name, size_t len, mle_error *err) {
  if (r->depth == DEPTH_MAX) return bad("it is nested too deep", err);
  r->starts[r->depth++] = r->path.len;
  if (r->path.len > 0) MLE_TRY(mle_buffer_append(&r->path, "/", 1, err));
  mle_buffer_clear(&r->text);
  return mle_buffer_append(&r->path, name, len, err);
}

static mle_status close_element(reader *r, mle_error *err) {
  mle_status status = r->visit(r->context, r->path.data, r->text.data == NULL ? "" : r->text.data, err);
  r->path.len = r->starts[--r->depth];
  r->path.data[r->path.len] = '\0';
  mle_buffer_clear(&r->text);
  return status;
}

/* Attributes are passed over; a '>' in one of their values does not end the tag. */
static mle_status skip_attributes(reader *r, bool *out_empty, mle_error *err) {
  char quote = '\0', before = '\0';
  for (; r->at < r->end; before = *r->at++) {
    if (quote != '\0') {
      if (*r->at == quote) quote = '\0';
    } else if (*r->at == '"' || *r->at == '\'') {
      quote = *r->at;
    } else if (*r->at == '>') {
      *out_empty = before == '/';
      r->at++;
      return MLE_OK;
    }
  }
  return bad("it ends too early", err);
}

static mle_status take_open(reader *r, mle_error *err) {
  const char *name;
  size_t len;
  bool empty = false;
  r->at++;
  MLE_TRY(take_name(r, &name, &len, err));
  MLE_TRY(open_element(r, name, len, err));
  MLE_TRY(skip_attributes(r, &empty, err));
  return empty ? close_element(r, err) : MLE_OK;
}

static mle_status take_close(reader *r, mle_error *err) {
  const char *name;
  size_t len;
  r->at += 2;
  MLE_TRY(take_name(r, &name, &len, err));
  if (r->depth == 0) return bad("an end without a beginning", err);
  const char *own = r->path.data + r->starts[r->depth - 1] + (r->depth > 1);
  if (strlen(own) != len || memcmp(own, name, len) != 0) return bad("elements overlap", err);
  MLE_TRY(skip_past(r, ">", err));
  return close_element(r, err);
}

static mle_status take_markup(reader *r, mle_error *err) {
  if (starts_with(r, "<?")) return skip_past(r, "?>", err);
  if (starts_with(r, "<!--")) return skip_past(r, "-->", err);
  if (starts_with(r, "<![CDATA[")) return take_cdata(r, err);
  if (starts_with(r, "<!")) return bad("it has a document type", err);
  if (starts_with(r, "</")) return take_close(r, err);
  return take_open(r, err);
}

mle_status mle_xml_read(const char *text, size_t len, mle_xml_visit visit, void *context,
                        mle_error *err) {
  reader r = {.at = text, .end = text + len, .visit = visit, .context = context,
              .path = MLE_BUFFER(PATH_MAX_BYTES), .text = MLE_BUFFER(TEXT_MAX)};
  mle_status status = MLE_OK;
  bool any = false;
  while (status == MLE_OK && r.at < r.end) {
    if (*r.at == '<') status = take_markup(&r, err);
    else status = take_text(&r, err);
    any |= r.depth > 0;
  }
  if (status == MLE_OK && (r.depth > 0 || !any)) status = bad("it ends too early", err);
  mle_buffer_release(&r.path);
  mle_buffer_release(&r.text);
  return status;
}
