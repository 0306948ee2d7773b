/*
 * head.h -- what the head of a request says that the server itself needs, read in one pass.
 *
 *     mle_head head;
 *     mle_head_read(mhd, connection, version, &head);
 *     if (mle_head_ambiguity(&head) != NULL) ...    400
 */
#ifndef MLE_HTTP_HEAD_H
#define MLE_HTTP_HEAD_H

#include <stdbool.h>

#include "engine/http/microhttpd.h"

/* Values are "" when absent; of a header that is there twice, the first. They live as long as the request. */
typedef struct mle_head {
  const char *content_type, *content_length, *content_encoding, *request_id, *authorization, *expect;
  int lengths, codings, hosts;
  bool bad_value;
  bool bad_text; /* a CR or a NUL within a value, where others see a line's end */
  bool is_old;   /* HTTP/1.0, which has no codings */
} mle_head;

/* `version` as the request line has it. */
void mle_head_read(const mle_microhttpd *mhd, struct MHD_Connection *connection, const char *version, mle_head *out);

/* RFC 9112, 6.3: where a body's length can be read in two ways, another server in front of this one may have read it in
 * the other; such a request is refused and its connection closed. NULL: it cannot. */
const char *mle_head_ambiguity(const mle_head *head);

#define MLE_HEAD_PARAMETERS 32

/* Cuts off the query of a request line's target, of libmicrohttpd's own text, when it has more parameters or is longer than
 * a request may be; true when it was. Before libmicrohttpd takes it apart. */
bool mle_head_cut_query(const char *uri);

#endif
