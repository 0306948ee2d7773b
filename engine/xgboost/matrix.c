/*
 * The library pulls batches by callback, pass after pass: reset, next until 0, four
 * times. Its rules, learnt by breaking them: next returns 1 for a batch and 0 at
 * the end, nothing else; labels belong to each batch of each pass; after a
 * failure only 0 may follow, and the flag is looked at even if the call succeeds;
 * each pass must give the same rows in the same order.
 */
#include "engine/xgboost/matrix.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <xgboost/c_api.h>

#include "engine/base/alloc.h"
#include "engine/base/buffer.h"
#include "engine/base/cancel.h"
#include "engine/base/log.h"
#include "engine/xgboost/library.h"

#define JSON_MAX ((size_t)64 << 20)
#define DEFAULT_BINS 256

struct mle_matrix {
  int holders;
  DMatrixHandle handle;
  size_t rows, num_features;
  size_t *missing; /* of each feature */
};

/* The iterator that the library holds while it builds. */
typedef struct source {
  mle_spool *spool;
  const mle_matrix_options *options;
  DMatrixHandle proxy;
  mle_buffer json;
  size_t next;
  bool failed;
  mle_error err;
} source;

/* ====== Describing columns ====== */

static const char *type_text(mle_kind kind) {
  static const char *const texts[] = {
      [MLE_INT8] = "<i1",  [MLE_INT16] = "<i2",  [MLE_INT32] = "<i4",  [MLE_INT64] = "<i8",
      [MLE_UINT8] = "<u1", [MLE_UINT16] = "<u2", [MLE_UINT32] = "<u4", [MLE_UINT64] = "<u8",
      [MLE_FLOAT] = "<f4", [MLE_DOUBLE] = "<f8",
  };
  return texts[kind];
}

/* Validity words are read as bits, first row lowest, whatever the rows' number. */
mle_status mle_matrix_describe(mle_buffer *json, const mle_column *column, size_t rows,
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

static mle_status describe_features(source *s, const mle_batch *batch, mle_error *err) {
  mle_buffer_clear(&s->json);
  for (size_t c = 0; c < s->options->num_features; c++) {
    MLE_TRY(mle_buffer_puts(&s->json, c == 0 ? "[" : ",", err));
    MLE_TRY(mle_matrix_describe(&s->json, &batch->column[c], batch->rows, err));
  }
  return mle_buffer_puts(&s->json, "]", err);
}

/* ====== The iterator ====== */

static mle_status set_info(source *s, const char *field, const mle_column *column, size_t rows,
                           mle_error *err) {
  mle_column plain = {column->kind, column->data, NULL}; /* checked: it has no nulls */
  mle_buffer_clear(&s->json);
  MLE_TRY(mle_matrix_describe(&s->json, &plain, rows, err));
  return mle_library_check(XGDMatrixSetInfoFromInterface(s->proxy, field, s->json.data), field, err);
}

static mle_status feed(source *s, mle_error *err) {
  mle_batch batch;
  size_t at = s->options->num_features;
  if (mle_cancelled()) return mle_cancel_fail(err, "building the matrix");
  MLE_TRY(mle_spool_batch(s->spool, s->next++, &batch, err));
  MLE_TRY(describe_features(s, &batch, err));
  MLE_TRY(mle_library_check(XGProxyDMatrixSetDataColumnar(s->proxy, s->json.data), "features", err));
  MLE_TRY(set_info(s, "label", &batch.column[at++], batch.rows, err));
  if (s->options->weight != NULL)
    MLE_TRY(set_info(s, "weight", &batch.column[at++], batch.rows, err));
  if (s->options->base_margin == NULL) return MLE_OK;
  return set_info(s, "base_margin", &batch.column[at], batch.rows, err);
}

static int next_batch(DataIterHandle handle) {
  source *s = handle;
  if (s->failed || s->next == mle_spool_num_batches(s->spool)) return 0;
  if (feed(s, &s->err) == MLE_OK) return 1;
  s->failed = true;
  return 0;
}

static void rewind_batches(DataIterHandle handle) { ((source *)handle)->next = 0; }

/* ====== Checking ====== */

static size_t num_columns(const mle_matrix_options *o) {
  return o->num_features + 1 + (o->weight != NULL) + (o->base_margin != NULL);
}

static mle_status check_features(const mle_spool *spool, const mle_matrix_options *o,
                                 mle_error *err) {
  for (size_t c = 0; c < o->num_features; c++) {
    const mle_spool_facts *f = mle_spool_column_facts(spool, c);
    if (f->infinite > 0)
      return mle_fail(err, MLE_EINVAL,
                      "column '%s': %zu of %zu rows are infinite or beyond float32, which XGBoost "
                      "refuses; make them null, or leave the column out",
                      o->names[c], f->infinite, mle_spool_rows(spool));
    if (f->inexact > 0)
      mle_log(MLE_WARN,
              "%s: column '%s': %zu of %zu rows are whole numbers that float32 rounds", o->what,
              o->names[c], f->inexact, mle_spool_rows(spool));
  }
  return MLE_OK;
}

static mle_status check_margin(const mle_spool *spool, size_t column, const char *name,
                               mle_error *err) {
  const mle_spool_facts *f = mle_spool_column_facts(spool, column);
  size_t bad = f->nulls + f->nans + f->infinite;
  if (bad == 0) return MLE_OK;
  return mle_fail(err, MLE_EINVAL, "base_margin '%s': %zu of %zu rows have none, or an infinite one",
                  name, bad, mle_spool_rows(spool));
}

static mle_status check_rows(mle_spool *spool, const mle_matrix_options *o, mle_error *err) {
  size_t label = o->num_features;
  if (mle_spool_rows(spool) == 0)
    return mle_fail(err, MLE_EINVAL, "it has no rows");
  if (mle_spool_num_columns(spool) != num_columns(o))
    return mle_fail(err, MLE_EINVAL, "%zu columns came, %zu were announced",
                    mle_spool_num_columns(spool), num_columns(o));
  MLE_TRY(mle_label_check(spool, label, &o->label, err));
  if (o->weight != NULL) MLE_TRY(mle_weight_check(spool, label + 1, o->weight, err));
  if (o->base_margin != NULL)
    MLE_TRY(check_margin(spool, num_columns(o) - 1, o->base_margin, err));
  return check_features(spool, o, err);
}

/* ====== Building ====== */

static mle_status build(source *s, mle_matrix *matrix, mle_error *err) {
  const mle_matrix_options *o = s->options;
  char config[128];
  snprintf(config, sizeof config, "{\"missing\":NaN,\"nthread\":%d,\"max_bin\":%d}",
           o->num_threads, o->max_bin > 0 ? o->max_bin : DEFAULT_BINS);
  MLE_TRY(mle_library_check(XGProxyDMatrixCreate(&s->proxy), "building the matrix", err));
  int rc = XGQuantileDMatrixCreateFromCallback(
      s, s->proxy, o->ref == NULL ? NULL : o->ref->handle, rewind_batches, next_batch, config,
      &matrix->handle);
  if (rc != 0) matrix->handle = NULL;
  if (s->failed) {
    if (err != NULL) *err = s->err;
    return s->err.status;
  }
  return mle_library_check(rc, "building the matrix", err);
}

static mle_status name_features(mle_matrix *matrix, const mle_matrix_options *o, mle_error *err) {
  bst_ulong count = o->num_features;
  MLE_TRY(mle_library_check(
      XGDMatrixSetStrFeatureInfo(matrix->handle, "feature_name", o->names, count),
      "naming features", err));
  return mle_library_check(
      XGDMatrixSetStrFeatureInfo(matrix->handle, "feature_type", o->types, count),
      "naming features", err);
}

static mle_status note_facts(mle_matrix *matrix, const mle_spool *spool,
                             const mle_matrix_options *o, mle_error *err) {
  matrix->rows = mle_spool_rows(spool);
  matrix->num_features = o->num_features;
  matrix->missing = mle_calloc(o->num_features, sizeof *matrix->missing);
  if (matrix->missing == NULL) return mle_nomem(err, "building the matrix");
  for (size_t c = 0; c < o->num_features; c++) {
    const mle_spool_facts *f = mle_spool_column_facts(spool, c);
    matrix->missing[c] = f->nulls + f->nans;
  }
  return MLE_OK;
}

static mle_status build_from(mle_spool *spool, const mle_matrix_options *options,
                             mle_matrix **out, mle_error *err) {
  source s = {.spool = spool, .options = options, .json = MLE_BUFFER(JSON_MAX)};
  mle_status status;
  mle_matrix *matrix = mle_calloc(1, sizeof *matrix);
  if (matrix == NULL) return mle_nomem(err, "building the matrix");
  matrix->holders = 1;
  MLE_GO(note_facts(matrix, spool, options, err));
  MLE_GO(build(&s, matrix, err));
  MLE_GO(name_features(matrix, options, err));
  *out = matrix;
  matrix = NULL;
done:
  if (s.proxy != NULL) XGDMatrixFree(s.proxy);
  mle_buffer_release(&s.json);
  mle_matrix_free(matrix);
  return status;
}

mle_status mle_matrix_read(mle_stream *stream, const mle_matrix_options *options, mle_matrix **out,
                           mle_error *err) {
  mle_spool *spool = NULL;
  mle_status status;
  *out = NULL;
  mle_library_enter();
  MLE_GO(mle_spool_new(&options->spool, &spool, err));
  MLE_GO(mle_spool_fill(spool, stream, err));
  MLE_GO(check_rows(spool, options, err));
  MLE_GO(build_from(spool, options, out, err));
done:
  mle_spool_free(spool);
  if (status != MLE_OK && status != MLE_ECANCELLED) mle_context(err, "%s", options->what);
  return status;
}

mle_matrix *mle_matrix_ref(mle_matrix *matrix) {
  matrix->holders++;
  return matrix;
}

void mle_matrix_free(mle_matrix *matrix) {
  if (matrix == NULL || --matrix->holders > 0) return;
  if (matrix->handle != NULL) XGDMatrixFree(matrix->handle);
  mle_free(matrix->missing);
  mle_free(matrix);
}

size_t mle_matrix_rows(const mle_matrix *matrix) { return matrix->rows; }

size_t mle_matrix_missing(const mle_matrix *matrix, size_t feature) {
  return feature < matrix->num_features ? matrix->missing[feature] : 0;
}

void *mle_matrix_handle(const mle_matrix *matrix) { return matrix->handle; }
