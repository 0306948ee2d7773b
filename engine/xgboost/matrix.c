#include "engine/xgboost/matrix.h"

#include <stdio.h>
#include <string.h>
#include <xgboost/c_api.h>

#include "engine/base/alloc.h"
#include "engine/base/log.h"
#include "engine/xgboost/cache.h"
#include "engine/xgboost/feed.h"
#include "engine/xgboost/library.h"

#define DEFAULT_BINS 256

/* What the library takes, measured: an index of a byte a value, or of 4 with a
 * column copy once any is missing; and the booster's own numbers of each row. */
#define INDEX_BYTES 1
#define SPARSE_INDEX_BYTES 5
#define PLAIN_BYTES 8
#define ROW_BYTES 40

struct mle_matrix {
  int holders;
  DMatrixHandle handle;
  char *cache; /* folder of an external matrix, else NULL */
  size_t rows, groups, num_features;
  size_t bins; /* bytes */
  size_t *missing; /* of each feature */
};

/* ====== Checking ====== */

static size_t num_columns(const mle_matrix_options *o) {
  size_t count = o->num_features;
  for (size_t i = 0; i < o->num_fields; i++) count += o->fields[i].width;
  return count;
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
    if (f->nulls + f->nans == mle_spool_rows(spool) && o->ref == NULL)
      mle_log(MLE_WARN, "%s: column '%s' has no value in any row", o->what, o->names[c]);
    if (f->inexact > 0)
      mle_log(MLE_WARN,
              "%s: column '%s': %zu of %zu rows are whole numbers that float32 rounds", o->what,
              o->names[c], f->inexact, mle_spool_rows(spool));
  }
  return MLE_OK;
}

static mle_status check_field(mle_spool *spool, size_t column, const mle_matrix_field *field,
                              const mle_matrix_options *o, mle_error *err) {
  if (strcmp(field->field, "label") == 0) {
    mle_label label = o->label;
    label.name = field->name;
    return mle_label_check(spool, column, &label, err);
  }
  if (strcmp(field->field, "weight") == 0) return mle_weight_check(spool, column, field->name, err);
  if (strcmp(field->field, "base_margin") == 0)
    return mle_margin_check(spool, column, field->name, err);
  if (strncmp(field->field, "label_", 6) == 0)
    return mle_bound_check(spool, column, field->name, err);
  return MLE_OK;
}

static mle_status check_rows(mle_spool *spool, const mle_matrix_options *o, mle_error *err) {
  size_t column = o->num_features;
  if (mle_spool_rows(spool) == 0) return mle_fail(err, MLE_EINVAL, "it has no rows");
  if (mle_spool_num_columns(spool) != num_columns(o))
    return mle_fail(err, MLE_EINVAL, "%zu columns came, %zu were announced",
                    mle_spool_num_columns(spool), num_columns(o));
  for (size_t i = 0; i < o->num_fields; i++)
    for (size_t w = 0; w < o->fields[i].width; w++)
      MLE_TRY(check_field(spool, column++, &o->fields[i], o, err));
  return check_features(spool, o, err);
}

static size_t index_size(const mle_spool *spool, const mle_matrix_options *o) {
  size_t rows = mle_spool_rows(spool), missing = 0;
  for (size_t c = 0; c < o->num_features; c++) {
    const mle_spool_facts *f = mle_spool_column_facts(spool, c);
    missing += f->nulls + f->nans;
  }
  size_t bytes = o->kind == MLE_MATRIX_PLAIN ? PLAIN_BYTES
                 : missing > 0               ? SPARSE_INDEX_BYTES
                                             : INDEX_BYTES;
  return (rows * o->num_features - missing) * bytes;
}

/* Better than the job being ended in its tenth round for the memory it takes. */
static mle_status check_memory(const mle_spool *spool, const mle_matrix_options *o,
                               mle_error *err) {
  size_t need = mle_spool_rows(spool) * ROW_BYTES;
  if (o->kind != MLE_MATRIX_EXTERNAL) need += index_size(spool, o);
  if (o->memory_max == 0 || need <= o->memory_max) return MLE_OK;
  return mle_fail(err, MLE_EREFUSED,
                  "training on %zu rows takes about %zu MiB, this job has %zu; %s",
                  mle_spool_rows(spool), need >> 20, o->memory_max >> 20,
                  o->kind == MLE_MATRIX_QUANTILE
                      ? "give it more, or train with external_memory = true"
                      : "give it more, or fewer rows");
}

/* ====== Building ====== */

static int bins_of(const mle_matrix_options *o) { return o->max_bin > 0 ? o->max_bin : DEFAULT_BINS; }

static mle_status build_quantile(mle_feed *feed, mle_matrix *m, mle_error *err) {
  const mle_matrix_options *o = feed->options;
  DMatrixHandle ref = o->ref == NULL ? NULL : o->ref->handle;
  mle_buffer config = MLE_BUFFER(8192);
  mle_status status;
  int rc;
  MLE_GO(mle_buffer_printf(&config, err, "{\"missing\":NaN,\"nthread\":%d,\"max_bin\":%d",
                           o->num_threads, bins_of(o)));
  if (o->kind == MLE_MATRIX_EXTERNAL)
    MLE_GO(mle_buffer_printf(&config, err, ",\"cache_prefix\":\"%s/rows\"", m->cache));
  MLE_GO(mle_buffer_puts(&config, "}", err));
  if (o->kind == MLE_MATRIX_EXTERNAL)
    rc = XGExtMemQuantileDMatrixCreateFromCallback(feed, feed->proxy, ref, mle_feed_rewind,
                                                   mle_feed_next, config.data, &m->handle);
  else
    rc = XGQuantileDMatrixCreateFromCallback(feed, feed->proxy, ref, mle_feed_rewind, mle_feed_next,
                                             config.data, &m->handle);
  if (rc != 0) m->handle = NULL;
  status = mle_feed_result(feed, rc, err);
done:
  mle_buffer_release(&config);
  return status;
}

static mle_status build(mle_feed *feed, mle_matrix *m, mle_error *err) {
  const mle_matrix_options *o = feed->options;
  if (o->kind == MLE_MATRIX_PLAIN) return mle_feed_plain(feed, &m->handle, err);
  if (o->kind == MLE_MATRIX_EXTERNAL)
    MLE_TRY(mle_cache_make(o->spool.folder, index_size(feed->spool, o), &m->cache, err));
  return build_quantile(feed, m, err);
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

static mle_status weigh_features(mle_matrix *matrix, const mle_matrix_options *o, mle_error *err) {
  if (o->feature_weights == NULL) return MLE_OK;
  const mle_column weights = {MLE_FLOAT, o->feature_weights, NULL};
  mle_buffer json = MLE_BUFFER(1024);
  mle_status status = mle_interface_column(&json, &weights, o->num_features, err);
  if (status == MLE_OK)
    status = mle_library_check(
        XGDMatrixSetInfoFromInterface(matrix->handle, "feature_weights", json.data),
        "feature_weights", err);
  mle_buffer_release(&json);
  return status;
}

static mle_status note_facts(mle_matrix *matrix, const mle_spool *spool,
                             const mle_matrix_options *o, mle_error *err) {
  matrix->rows = mle_spool_rows(spool);
  matrix->num_features = o->num_features;
  matrix->bins = o->kind == MLE_MATRIX_EXTERNAL ? 0 : index_size(spool, o);
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
  mle_feed feed = {0};
  mle_status status;
  mle_matrix *matrix = mle_calloc(1, sizeof *matrix);
  if (matrix == NULL) return mle_nomem(err, "building the matrix");
  matrix->holders = 1;
  MLE_GO(note_facts(matrix, spool, options, err));
  MLE_GO(mle_feed_begin(&feed, spool, options, err));
  MLE_GO(build(&feed, matrix, err));
  MLE_GO(name_features(matrix, options, err));
  MLE_GO(weigh_features(matrix, options, err));
  matrix->groups = feed.groups;
  *out = matrix;
  matrix = NULL;
done:
  mle_feed_end(&feed);
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
  MLE_GO(check_memory(spool, options, err));
  MLE_GO(build_from(spool, options, out, err));
done:
  mle_spool_free(spool);
  if (options->kind == MLE_MATRIX_EXTERNAL) mle_alloc_trim(); /* the rounds want all there is */
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
  mle_cache_remove(matrix->cache);
  mle_free(matrix->missing);
  mle_free(matrix);
}

size_t mle_matrix_rows(const mle_matrix *matrix) { return matrix->rows; }
void mle_matrix_memory(const mle_matrix *matrix, size_t *out_bins, size_t *out_booster) {
  *out_bins = matrix->bins;
  *out_booster = matrix->rows * ROW_BYTES;
}

size_t mle_matrix_groups(const mle_matrix *matrix) { return matrix->groups; }

size_t mle_matrix_missing(const mle_matrix *matrix, size_t feature) {
  return feature < matrix->num_features ? matrix->missing[feature] : 0;
}

void *mle_matrix_handle(const mle_matrix *matrix) { return matrix->handle; }
