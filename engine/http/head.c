#include "engine/http/head.h"

#include <stdint.h>
#include <string.h>
#include <strings.h>

#define URI_MAX ((size_t)6 << 10) /* with a query */

static void note(const char **value, const char *text) {
  if (**value == '\0') *value = text;
}

static void note_length(mle_head *head, const char *value) {
  head->lengths++;
  head->bad_value |= *value == '\0' || strspn(value, "0123456789") != strlen(value);
  note(&head->content_length, value);
}

static void note_coding(mle_head *head, const char *value) {
  head->codings++;
  head->bad_value |= strcasecmp(value, "chunked") != 0;
}

static bool is(const char *name, const char *wanted) { return strcasecmp(name, wanted) == 0; }

/* By its length first: few names are as long as one of these. */
static enum MHD_Result read_header(void *cls, enum MHD_ValueKind kind, const char *name, size_t name_len,
                                   const char *value, size_t value_len) {
  mle_head *head = cls;
  (void)kind;
  if (value == NULL) value = "", value_len = 0;
  head->bad_text |= memchr(value, '\r', value_len) != NULL || memchr(value, '\0', value_len) != NULL;
  switch (name_len) {
    case 4: head->hosts += is(name, "Host"); break;
    case 6:
      if (is(name, "Expect")) note(&head->expect, value);
      break;
    case 12:
      if (is(name, "Content-Type")) note(&head->content_type, value);
      if (is(name, "X-Request-Id")) note(&head->request_id, value);
      break;
    case 13:
      if (is(name, "Authorization")) note(&head->authorization, value);
      break;
    case 14:
      if (is(name, "Content-Length")) note_length(head, value);
      break;
    case 16:
      if (is(name, "Content-Encoding")) note(&head->content_encoding, value);
      break;
    case 17:
      if (is(name, "Transfer-Encoding")) note_coding(head, value);
      break;
    default: break;
  }
  return MHD_YES;
}

void mle_head_read(const mle_microhttpd *mhd, struct MHD_Connection *connection, const char *version, mle_head *out) {
  *out = (mle_head){"", "", "", "", "", "", .is_old = strcmp(version, "HTTP/1.0") == 0};
  mhd->get_connection_values_n(connection, MHD_HEADER_KIND, read_header, out);
}

const char *mle_head_ambiguity(const mle_head *head) {
  if (head->lengths + head->codings > 1) return "the request says the length of its body more than once";
  if (head->codings > 0 && head->is_old) return "HTTP/1.0 has no Transfer-Encoding";
  if (head->bad_text) return "a header has a CR or a NUL within its value";
  if (head->bad_value) return "the request does not say the length of its body as HTTP/1.1 does";
  if (head->hosts > 1) return "the request has more than one Host";
  return NULL;
}

/*
 * libmicrohttpd never answers a request whose parameters do not fit in its memory of the connection (0.9.75 passes over
 * the failure): more than anybody has use for are cut off before it reads them, and the request is refused.
 */
bool mle_head_cut_query(const char *uri) {
  const char *query = strchr(uri, '?');
  int count = 1;
  if (query == NULL) return false;
  for (const char *at = query; (at = strchr(at + 1, '&')) != NULL;) count++;
  if (count <= MLE_HEAD_PARAMETERS && strlen(uri) <= URI_MAX) return false;
  ((char *)(uintptr_t)query)[1] = '\0'; /* its own text, which it takes apart next */
  return true;
}
