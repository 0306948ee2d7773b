/*
 * The library pulls batches by callback, pass after pass: reset, next until 0, four
 * times. Its rules, learnt by breaking them: next returns 1 for a batch and 0 at
 * the end, nothing else; labels belong to each batch of each pass; after a
 * failure only 0 may follow, and the flag is looked at even if the call succeeds;
 * each pass must give the same rows in the same order; a group of rows that two
 * batches share would become two groups.
 */
#include "engine/xgboost/feed.h"

#include <stdio.h>
#include <string.h>
#include <xgboost/c_api.h>

#include "engine/base/alloc.h"
#include "engine/base/cancel.h"
#include "engine/xgboost/library.h"
#include "engine/xgboost/narrow.h"

#define JSON_MAX ((size_t)64 << 20)

/* ====== Groups ====== */

static const mle_matrix_field *find_field(const mle_feed *f, const char *name, size_t *out_column) {
  const mle_matrix_options *o = f->options;
  *out_column = o->num_features;
  for (size_t i = 0; i < o->num_fields; i++) {
    if (strcmp(o->fields[i].field, name) == 0) return &o->fields[i];
    *out_column += o->fields[i].width;
  }
  return NULL;
}

/* Rows of a group are numbered alike; its weight, of which there is one, is that of its rows. */
static mle_status number_groups(mle_feed *f, const mle_batch *batch, mle_error *err) {
  size_t begins, weights;
  find_field(f, "group", &begins);
  const mle_matrix_field *weight = find_field(f, "weight", &weights);
  f->qid = mle_realloc_array(NULL, batch->rows, sizeof *f->qid);
  if (weight != NULL) f->group_weight = mle_realloc_array(NULL, batch->rows, sizeof(float));
  if (f->qid == NULL || (weight != NULL && f->group_weight == NULL))
    return mle_nomem(err, "numbering groups");
  for (size_t r = 0; r < batch->rows; r++) {
    float value = weight == NULL ? 0 : mle_narrow_value(&batch->column[weights], r);
    if (r == 0 || mle_narrow_value(&batch->column[begins], r) > 0) {
      if (weight != NULL) f->group_weight[f->groups] = value;
      f->groups++;
    } else if (weight != NULL && f->group_weight[f->groups - 1] != value) {
      return mle_fail(err, MLE_EINVAL,
                      "weight '%s': row %zu differs from the others of its qid; ranking weighs groups",
                      weight->name, r + 1);
    }
    f->qid[r] = (uint32_t)(f->groups - 1);
  }
  return MLE_OK;
}

static mle_status gather(mle_feed *f, mle_batch *out, mle_error *err) {
  const mle_matrix_options *o = f->options;
  return mle_spool_gather(f->spool, o->memory_max > 0 ? o->memory_max / 2 : SIZE_MAX, out, err);
}

mle_status mle_feed_begin(mle_feed *feed, mle_spool *spool, const mle_matrix_options *options,
                          mle_error *err) {
  size_t column;
  mle_batch all;
  *feed = (mle_feed){.spool = spool, .options = options, .json = MLE_BUFFER(JSON_MAX)};
  bool groups = find_field(feed, "group", &column) != NULL;
  feed->gathered = groups || options->kind == MLE_MATRIX_PLAIN;
  if (groups) {
    MLE_TRY(gather(feed, &all, err));
    MLE_TRY(number_groups(feed, &all, err));
  }
  return mle_library_check(XGProxyDMatrixCreate(&feed->proxy), "building the matrix", err);
}

void mle_feed_end(mle_feed *feed) {
  if (feed->proxy != NULL) XGDMatrixFree(feed->proxy);
  mle_buffer_release(&feed->json);
  mle_free(feed->wide);
  mle_free(feed->qid);
  mle_free(feed->group_weight);
}

/* ====== Describing ====== */

static mle_status describe_features(mle_feed *f, const mle_batch *batch, mle_error *err) {
  const mle_dictionary *d = f->options->dictionaries;
  mle_buffer_clear(&f->json);
  for (size_t c = 0; c < f->options->num_features; c++) {
    MLE_TRY(mle_buffer_puts(&f->json, c == 0 ? "[" : ",", err));
    if (d != NULL && d[c].count > 0)
      MLE_TRY(mle_interface_categories(&f->json, &batch->column[c], batch->rows, &d[c], err));
    else
      MLE_TRY(mle_interface_column(&f->json, &batch->column[c], batch->rows, err));
  }
  return mle_buffer_puts(&f->json, "]", err);
}

static mle_status describe_wide(mle_feed *f, const mle_column *columns, size_t width, size_t rows,
                                mle_error *err) {
  if (rows * width > f->wide_size) {
    float *grown = mle_realloc_array(f->wide, rows, width * sizeof *grown);
    if (grown == NULL) return mle_nomem(err, "building the matrix");
    f->wide = grown;
    f->wide_size = rows * width;
  }
  for (size_t w = 0; w < width; w++)
    for (size_t r = 0; r < rows; r++) f->wide[r * width + w] = mle_narrow_value(&columns[w], r);
  return mle_interface_floats(&f->json, f->wide, rows, width, err);
}

static mle_status set_described(mle_feed *f, DMatrixHandle matrix, const char *field,
                                mle_error *err) {
  return mle_library_check(XGDMatrixSetInfoFromInterface(matrix, field, f->json.data), field, err);
}

static mle_status set_values(mle_feed *f, DMatrixHandle matrix, const char *field,
                             const mle_column *columns, size_t width, size_t rows, mle_error *err) {
  mle_column plain = {columns->kind, columns->data, NULL}; /* checked: it has no nulls */
  mle_buffer_clear(&f->json);
  if (width > 1)
    MLE_TRY(describe_wide(f, columns, width, rows, err));
  else
    MLE_TRY(mle_interface_column(&f->json, &plain, rows, err));
  return set_described(f, matrix, field, err);
}

/* Groups and their weights lie in arrays of our own. */
static mle_status set_field(mle_feed *f, DMatrixHandle matrix, const mle_matrix_field *field,
                            const mle_batch *batch, size_t column, mle_error *err) {
  const mle_column qid = {MLE_UINT32, f->qid, NULL}, weight = {MLE_FLOAT, f->group_weight, NULL};
  if (strcmp(field->field, "group") == 0)
    return set_values(f, matrix, "qid", &qid, 1, batch->rows, err);
  if (strcmp(field->field, "weight") == 0 && f->group_weight != NULL)
    return set_values(f, matrix, "weight", &weight, 1, f->groups, err);
  return set_values(f, matrix, field->field, &batch->column[column], field->width, batch->rows, err);
}

static mle_status set_fields(mle_feed *f, DMatrixHandle matrix, const mle_batch *batch,
                             mle_error *err) {
  size_t column = f->options->num_features;
  for (size_t i = 0; i < f->options->num_fields; i++) {
    const mle_matrix_field *field = &f->options->fields[i];
    MLE_TRY(set_field(f, matrix, field, batch, column, err));
    column += field->width;
  }
  return MLE_OK;
}

/* ====== The iterator ====== */

/* Categories without their type would be sketched as numbers. */
static mle_status set_types(mle_feed *f, DMatrixHandle matrix, mle_error *err) {
  const mle_matrix_options *o = f->options;
  return mle_library_check(
      XGDMatrixSetStrFeatureInfo(matrix, "feature_type", o->types, o->num_features),
      "naming features", err);
}

static mle_status feed_batch(mle_feed *f, mle_error *err) {
  mle_batch batch;
  if (mle_cancelled()) return mle_cancel_fail(err, "building the matrix");
  if (f->gathered)
    MLE_TRY(gather(f, &batch, err));
  else
    MLE_TRY(mle_spool_batch(f->spool, f->next, &batch, err));
  f->next++;
  MLE_TRY(describe_features(f, &batch, err));
  MLE_TRY(mle_library_check(XGProxyDMatrixSetDataColumnar(f->proxy, f->json.data), "features", err));
  MLE_TRY(set_types(f, f->proxy, err));
  return set_fields(f, f->proxy, &batch, err);
}

int mle_feed_next(void *feed) {
  mle_feed *f = feed;
  size_t batches = f->gathered ? 1 : mle_spool_num_batches(f->spool);
  if (f->failed || f->next == batches) return 0;
  if (feed_batch(f, &f->err) == MLE_OK) return 1;
  f->failed = true;
  return 0;
}

void mle_feed_rewind(void *feed) { ((mle_feed *)feed)->next = 0; }

mle_status mle_feed_result(const mle_feed *feed, int rc, mle_error *err) {
  if (!feed->failed) return mle_library_check(rc, "building the matrix", err);
  if (err != NULL) *err = feed->err;
  return feed->err.status;
}

/* ====== All at once ====== */

mle_status mle_feed_plain(mle_feed *feed, void **out_matrix, mle_error *err) {
  mle_batch all;
  char config[64];
  DMatrixHandle matrix;
  *out_matrix = NULL;
  MLE_TRY(gather(feed, &all, err));
  MLE_TRY(describe_features(feed, &all, err));
  snprintf(config, sizeof config, "{\"missing\":NaN,\"nthread\":%d}", feed->options->num_threads);
  MLE_TRY(mle_library_check(XGDMatrixCreateFromColumnar(feed->json.data, config, &matrix),
                            "building the matrix", err));
  *out_matrix = matrix;
  return set_fields(feed, matrix, &all, err);
}
