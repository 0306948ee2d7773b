#include "engine/http/encoding.h"

#include <string.h>
#include <strings.h>
#include <zlib.h>

#include "engine/base/alloc.h"

#define CHUNK ((size_t)64 << 10)
#define GZIP_OR_ZLIB (15 + 32) /* the head says which */
#define GZIP (15 + 16)

static mle_status inflate_all(z_stream *z, mle_buffer *out, mle_error *err) {
  for (int code = Z_OK; code != Z_STREAM_END;) {
    unsigned char bytes[8192];
    z->next_out = bytes;
    z->avail_out = sizeof bytes;
    code = inflate(z, Z_NO_FLUSH);
    size_t got = sizeof bytes - z->avail_out;
    if (code != Z_OK && code != Z_STREAM_END)
      return mle_fail(err, MLE_EFORMAT, "the compressed body is damaged or cut off");
    if (got > 0) MLE_TRY(mle_buffer_append(out, bytes, got, err));
  }
  if (z->avail_in == 0) return MLE_OK;
  return mle_fail(err, MLE_EFORMAT, "there are bytes behind the end of the compressed body");
}

static mle_status inflate_body(mle_buffer *body, mle_error *err) {
  z_stream z = {0};
  mle_buffer plain = MLE_BUFFER(body->max);
  if (inflateInit2(&z, GZIP_OR_ZLIB) != Z_OK) return mle_nomem(err, "reading a compressed body");
  z.next_in = (unsigned char *)body->data;
  z.avail_in = (uInt)body->len;
  mle_status status = inflate_all(&z, &plain, err);
  inflateEnd(&z);
  if (status != MLE_OK) {
    mle_buffer_release(&plain);
    return status;
  }
  mle_buffer_release(body);
  *body = plain;
  return MLE_OK;
}

mle_status mle_http_decode(const char *encoding, mle_buffer *body, mle_error *err) {
  if (*encoding == '\0' || strcasecmp(encoding, "identity") == 0) return MLE_OK;
  bool known = strcasecmp(encoding, "gzip") == 0 || strcasecmp(encoding, "x-gzip") == 0 ||
               strcasecmp(encoding, "deflate") == 0;
  if (!known)
    return mle_fail(err, MLE_EUNSUPPORTED, "Content-Encoding must be gzip, deflate or identity");
  return inflate_body(body, err);
}

mle_status mle_http_gzip(mle_buffer *body, mle_error *err) {
  z_stream z = {0};
  mle_buffer small = MLE_BUFFER(body->max + CHUNK);
  if (deflateInit2(&z, Z_BEST_SPEED, Z_DEFLATED, GZIP, 8, Z_DEFAULT_STRATEGY) != Z_OK)
    return mle_nomem(err, "compressing an answer");
  mle_status status = mle_buffer_reserve(&small, deflateBound(&z, body->len), err);
  if (status == MLE_OK) {
    z.next_in = (unsigned char *)body->data;
    z.avail_in = (uInt)body->len;
    z.next_out = (unsigned char *)small.data;
    z.avail_out = (uInt)(small.capacity - 1);
    if (deflate(&z, Z_FINISH) != Z_STREAM_END)
      status = mle_fail(err, MLE_EIO, "cannot compress an answer");
    small.len = z.total_out;
  }
  deflateEnd(&z);
  if (status != MLE_OK) {
    mle_buffer_release(&small);
    return status;
  }
  small.data[small.len] = '\0';
  mle_buffer_release(body);
  *body = small;
  return MLE_OK;
}

/* "br;q=1.0, gzip;q=0.5": a q of 0 refuses. */
bool mle_http_accepts_gzip(const char *accept) {
  const char *at = strcasestr(accept, "gzip");
  if (at == NULL) return false;
  const char *rest = at + strlen("gzip") + strspn(at + strlen("gzip"), " ");
  if (*rest != ';') return true;
  const char *q = strstr(rest, "q=");
  const char *comma = strchr(rest, ',');
  if (q == NULL || (comma != NULL && q > comma)) return true;
  return strspn(q + 2, "0.") < strcspn(q + 2, ", ");
}
