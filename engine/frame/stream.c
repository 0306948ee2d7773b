#include "engine/frame/stream.h"

#include "engine/base/cancel.h"

size_t mle_kind_size(mle_kind kind) {
  static const size_t sizes[] = {
      [MLE_INT8] = 1,  [MLE_INT16] = 2,  [MLE_INT32] = 4,  [MLE_INT64] = 8, [MLE_UINT8] = 1,
      [MLE_UINT16] = 2, [MLE_UINT32] = 4, [MLE_UINT64] = 8, [MLE_FLOAT] = 4, [MLE_DOUBLE] = 8,
  };
  return sizes[kind];
}

mle_status mle_stream_next(mle_stream *stream, mle_batch *out, mle_error *err) {
  *out = (mle_batch){0};
  if (mle_cancelled()) return mle_cancel_fail(err, "reading rows");
  return stream->next(stream, out, err);
}

void mle_stream_close(mle_stream *stream) {
  if (stream != NULL) stream->close(stream);
}
