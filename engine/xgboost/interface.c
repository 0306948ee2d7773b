#include "engine/xgboost/interface.h"

#include <inttypes.h>

static const char *type_text(mle_kind kind) {
  static const char *const texts[] = {
      [MLE_INT8] = "<i1",  [MLE_INT16] = "<i2",  [MLE_INT32] = "<i4",  [MLE_INT64] = "<i8",
      [MLE_UINT8] = "<u1", [MLE_UINT16] = "<u2", [MLE_UINT32] = "<u4", [MLE_UINT64] = "<u8",
      [MLE_FLOAT] = "<f4", [MLE_DOUBLE] = "<f8",
  };
  return texts[kind];
}

/* Validity words are read as bits, first row lowest, whatever the rows' number. */
mle_status mle_interface_column(mle_buffer *json, const mle_column *column, size_t rows,
                                mle_error *err) {
  MLE_TRY(mle_buffer_printf(json, err,
                            "{\"data\":[%" PRIuPTR ",true],\"shape\":[%zu],\"typestr\":\"%s\","
                            "\"version\":3",
                            (uintptr_t)column->data, rows, type_text(column->kind)));
  if (column->valid != NULL)
    MLE_TRY(mle_buffer_printf(json, err,
                              ",\"mask\":{\"data\":[%" PRIuPTR ",true],\"shape\":[%zu],"
                              "\"typestr\":\"<t1\",\"version\":3}",
                              (uintptr_t)column->valid, rows));
  return mle_buffer_puts(json, "}", err);
}

mle_status mle_interface_categories(mle_buffer *json, const mle_column *codes, size_t rows,
                                    const mle_dictionary *dictionary, mle_error *err) {
  const mle_column offsets = {MLE_INT32, dictionary->offset, NULL};
  const mle_column bytes = {MLE_INT8, dictionary->bytes, NULL};
  MLE_TRY(mle_buffer_puts(json, "[{\"offsets\":", err));
  MLE_TRY(mle_interface_column(json, &offsets, dictionary->count + 1, err));
  MLE_TRY(mle_buffer_puts(json, ",\"values\":", err));
  MLE_TRY(mle_interface_column(json, &bytes, (size_t)dictionary->offset[dictionary->count], err));
  MLE_TRY(mle_buffer_puts(json, "},", err));
  MLE_TRY(mle_interface_column(json, codes, rows, err));
  return mle_buffer_puts(json, "]", err);
}

mle_status mle_interface_floats(mle_buffer *json, const float *values, size_t rows, size_t width,
                                mle_error *err) {
  return mle_buffer_printf(json, err,
                           "{\"data\":[%" PRIuPTR ",true],\"shape\":[%zu,%zu],"
                           "\"typestr\":\"<f4\",\"version\":3}",
                           (uintptr_t)values, rows, width);
}
