#include "engine/serve/invocations.h"

#include <string.h>
#include <strings.h>

#include "engine/serve/columns.h"

/* What the functions below share while one body is read. */
typedef struct reader {
  const mle_features *features;
  mle_rows *rows;
  mle_columns columns;
  mle_pull p;
} reader;

/* ====== Rows by position: [1, null, 0.5] ====== */

static mle_status fail_width(const reader *r, mle_error *err) {
  size_t row = r->rows->count - 1;
  if (r->columns.named)
    return mle_fail(err, MLE_EINVAL, "row %zu does not have %zu values, one for each of `columns`",
                    row, r->columns.num_order);
  return mle_fail(err, MLE_EINVAL,
                  "row %zu does not have %zu values, one for each column of the model", row,
                  r->features->count);
}

/* One value of a row: into its feature, or nowhere. */
static mle_status read_cell(reader *r, size_t position, float *row, mle_error *err) {
  int feature = r->columns.named ? r->columns.order[position] : (int)position;
  if (feature < 0) return mle_pull_skip(&r->p, err);
  return mle_feature_pull(&r->features->list[feature], &r->p, r->rows->count - 1, &row[feature],
                          err);
}

static mle_status read_row(reader *r, mle_error *err) {
  size_t width = r->columns.named ? r->columns.num_order : r->features->count, position = 0;
  float *row;
  MLE_TRY(mle_rows_add(r->rows, &row, err));
  MLE_TRY(mle_pull_open(&r->p, '[', err));
  for (bool more = mle_pull_first(&r->p, ']'); more; position++) {
    if (position == width) return fail_width(r, err);
    MLE_TRY(read_cell(r, position, row, err));
    MLE_TRY(mle_pull_next(&r->p, ']', &more, err));
  }
  return position == width ? MLE_OK : fail_width(r, err);
}

/* ====== Records: {"a": 1, "b": null} ====== */

static mle_status read_member(reader *r, size_t position, float *row, mle_error *err) {
  mle_pull_slice key;
  MLE_TRY(mle_pull_key(&r->p, &key, err));
  int feature = mle_features_find(r->features, key, position);
  if (feature < 0) return mle_pull_skip(&r->p, err);
  MLE_TRY(mle_columns_mark(&r->columns, (size_t)feature, err));
  return mle_feature_pull(&r->features->list[feature], &r->p, r->rows->count - 1, &row[feature],
                          err);
}

static mle_status read_record(reader *r, mle_error *err) {
  float *row;
  size_t position = 0;
  MLE_TRY(mle_rows_add(r->rows, &row, err));
  mle_columns_begin(&r->columns);
  MLE_TRY(mle_pull_open(&r->p, '{', err));
  for (bool more = mle_pull_first(&r->p, '}'); more; position++) {
    MLE_TRY(read_member(r, position, row, err));
    MLE_TRY(mle_pull_next(&r->p, '}', &more, err));
  }
  if (mle_columns_check(&r->columns, err) == MLE_OK) return MLE_OK;
  return mle_context(err, "row %zu", r->rows->count - 1);
}

/* A list of rows, each by position or by name. */
static mle_status read_list(reader *r, bool records_only, mle_error *err) {
  MLE_TRY(mle_pull_open(&r->p, '[', err));
  for (bool more = mle_pull_first(&r->p, ']'); more;) {
    bool record = mle_pull_peek(&r->p) == '{';
    if (records_only && !record)
      return mle_fail(err, MLE_EINVAL, "`dataframe_records` must be a list of objects");
    if (!record && mle_pull_peek(&r->p) != '[')
      return mle_fail(err, MLE_EINVAL, "each row must be a list of values or an object");
    MLE_TRY(record ? read_record(r, err) : read_row(r, err));
    MLE_TRY(mle_pull_next(&r->p, ']', &more, err));
  }
  return MLE_OK;
}

/* ====== dataframe_split ====== */

static mle_status read_list_of_names(reader *r, mle_error *err) {
  MLE_TRY(mle_pull_open(&r->p, '[', err));
  for (bool more = mle_pull_first(&r->p, ']'); more;) {
    mle_pull_slice name;
    if (mle_pull_peek(&r->p) != '"')
      return mle_fail(err, MLE_EINVAL, "`columns` must be a list of texts");
    MLE_TRY(mle_pull_string(&r->p, &name, err));
    MLE_TRY(mle_columns_add(&r->columns, name, err));
    MLE_TRY(mle_pull_next(&r->p, ']', &more, err));
  }
  return r->features->named ? mle_columns_check(&r->columns, err) : MLE_OK;
}

static mle_status read_names(reader *r, mle_error *err) {
  mle_pull_peek(&r->p);
  const char *begin = r->p.at;
  size_t known = mle_columns_recall(&r->columns, begin, r->p.end);
  r->p.at += known;
  if (known > 0) return MLE_OK;
  MLE_TRY(read_list_of_names(r, err));
  mle_columns_keep(&r->columns, begin, (size_t)(r->p.at - begin));
  return MLE_OK;
}

/* A model without names takes what comes by position, whatever it is called. */
static void forget_names(reader *r) {
  if (!r->features->named) r->columns.named = false;
}

typedef struct split {
  bool has_columns, has_data;
  const char *early; /* `data` that stands before `columns`: it is passed over, and read at the end */
} split;

static mle_status read_split_member(reader *r, split *s, mle_error *err) {
  mle_pull_slice key;
  MLE_TRY(mle_pull_key(&r->p, &key, err));
  bool is_columns = mle_pull_is(key, "columns"), is_data = mle_pull_is(key, "data");
  if (is_columns && s->has_columns) return mle_fail(err, MLE_EINVAL, "`columns` is there twice");
  if (is_data && s->has_data) return mle_fail(err, MLE_EINVAL, "`data` is there twice");
  s->has_columns |= is_columns;
  s->has_data |= is_data;
  if (is_columns) return read_names(r, err);
  if (is_data && s->has_columns) {
    forget_names(r);
    return read_list(r, false, err);
  }
  mle_pull_peek(&r->p);
  if (is_data) s->early = r->p.at;
  return mle_pull_skip(&r->p, err);
}

static mle_status read_split(reader *r, mle_error *err) {
  split s = {0};
  MLE_TRY(mle_pull_open(&r->p, '{', err));
  for (bool more = mle_pull_first(&r->p, '}'); more;) {
    MLE_TRY(read_split_member(r, &s, err));
    MLE_TRY(mle_pull_next(&r->p, '}', &more, err));
  }
  if (!s.has_data) return mle_fail(err, MLE_EINVAL, "`dataframe_split` needs `data`");
  if (s.early == NULL) return MLE_OK;
  forget_names(r);
  const char *after = r->p.at;
  r->p.at = s.early;
  MLE_TRY(read_list(r, false, err));
  r->p.at = after;
  return MLE_OK;
}

/* ====== inputs: {"a": [1, 2], "b": [null, 0.5]} ====== */

static mle_status fail_length(const reader *r, int feature, mle_error *err) {
  return mle_fail(err, MLE_EINVAL, "column '%s' has another number of values than the first",
                  r->features->list[feature].name);
}

static mle_status read_column(reader *r, int feature, mle_error *err) {
  size_t row = 0, width = r->rows->columns;
  bool first = r->rows->count == 0;
  if (mle_pull_open(&r->p, '[', err) != MLE_OK)
    return mle_context(err, "column '%s'", r->features->list[feature].name);
  for (bool more = mle_pull_first(&r->p, ']'); more; row++) {
    float *unused;
    if (first) MLE_TRY(mle_rows_add(r->rows, &unused, err));
    if (row == r->rows->count) return fail_length(r, feature, err);
    MLE_TRY(mle_feature_pull(&r->features->list[feature], &r->p, row,
                             &r->rows->values[row * width + (size_t)feature], err));
    MLE_TRY(mle_pull_next(&r->p, ']', &more, err));
  }
  return row == r->rows->count ? MLE_OK : fail_length(r, feature, err);
}

static mle_status read_columns(reader *r, mle_error *err) {
  size_t position = 0;
  mle_pull_slice key;
  MLE_TRY(mle_pull_open(&r->p, '{', err));
  for (bool more = mle_pull_first(&r->p, '}'); more; position++) {
    MLE_TRY(mle_pull_key(&r->p, &key, err));
    int feature = mle_features_find(r->features, key, position);
    if (feature >= 0) MLE_TRY(mle_columns_mark(&r->columns, (size_t)feature, err));
    MLE_TRY(feature >= 0 ? read_column(r, feature, err) : mle_pull_skip(&r->p, err));
    MLE_TRY(mle_pull_next(&r->p, '}', &more, err));
  }
  return mle_columns_check(&r->columns, err);
}

/* ====== The body ====== */

typedef enum form { FORM_SPLIT, FORM_RECORDS, FORM_INSTANCES, FORM_INPUTS, FORM_NONE } form;

static form form_of(mle_pull_slice key) {
  static const char *const names[] = {"dataframe_split", "dataframe_records", "instances",
                                      "inputs"};
  for (int i = 0; i < FORM_NONE; i++)
    if (mle_pull_is(key, names[i])) return (form)i;
  return FORM_NONE;
}

static mle_status read_form(reader *r, form which, mle_error *err) {
  if (which == FORM_SPLIT) return read_split(r, err);
  if (which == FORM_INPUTS && mle_pull_peek(&r->p) == '{') return read_columns(r, err);
  return read_list(r, which == FORM_RECORDS, err);
}

/* Options of a prediction: models of this flavour take none, and mlflow.pyfunc ignores them. */
static mle_status skip_params(reader *r, mle_error *err) {
  char c = mle_pull_peek(&r->p);
  if (c != '{' && c != 'n') return mle_fail(err, MLE_EINVAL, "`params` must be an object");
  return mle_pull_skip(&r->p, err);
}

static mle_status read_body(reader *r, mle_error *err) {
  bool found = false;
  mle_pull_slice key;
  MLE_TRY(mle_pull_open(&r->p, '{', err));
  for (bool more = mle_pull_first(&r->p, '}'); more;) {
    MLE_TRY(mle_pull_key(&r->p, &key, err));
    form which = form_of(key);
    if (which != FORM_NONE && found)
      return mle_fail(err, MLE_EINVAL, "the body may have only one of dataframe_split, "
                                       "dataframe_records, instances, inputs");
    found = found || which != FORM_NONE;
    if (mle_pull_is(key, "params"))
      MLE_TRY(skip_params(r, err));
    else
      MLE_TRY(which == FORM_NONE ? mle_pull_skip(&r->p, err) : read_form(r, which, err));
    MLE_TRY(mle_pull_next(&r->p, '}', &more, err));
  }
  MLE_TRY(mle_pull_end(&r->p, err));
  if (found) return MLE_OK;
  return mle_fail(err, MLE_EINVAL, "the body needs one of dataframe_split, dataframe_records, "
                                   "instances, inputs");
}

mle_status mle_invocations_json(const mle_features *features, const char *body, size_t len,
                                mle_rows *rows, mle_error *err) {
  if (!mle_utf8_valid(body, len)) return mle_fail(err, MLE_EFORMAT, "the body is not UTF-8");
  reader r;
  r.features = features;
  r.rows = rows;
  mle_pull_init(&r.p, body, len);
  mle_status status;
  MLE_GO(mle_columns_init(&r.columns, features, err));
  MLE_GO(read_body(&r, err));
done:
  mle_columns_release(&r.columns);
  return status;
}

/* "text/csv; charset=utf-8": the type, and that the rest asks for nothing but UTF-8. */
static bool is_type(const char *content_type, const char *wanted) {
  size_t len = strlen(wanted);
  if (strncasecmp(content_type, wanted, len) != 0) return false;
  const char *rest = content_type + len + strspn(content_type + len, " \t");
  if (*rest == '\0') return true;
  if (*rest++ != ';') return false;
  rest += strspn(rest, " \t");
  return strcasecmp(rest, "charset=utf-8") == 0 || strcasecmp(rest, "charset=\"utf-8\"") == 0;
}

mle_status mle_invocations_parse(const mle_features *features, const char *content_type,
                                 const char *body, size_t len, mle_rows *rows, mle_error *err) {
  if (is_type(content_type, "application/json"))
    return mle_invocations_json(features, body, len, rows, err);
  if (is_type(content_type, "text/csv"))
    return mle_invocations_csv(features, body, len, rows, err);
  return mle_fail(err, MLE_EUNSUPPORTED,
                  "the content type '%.100s' is neither application/json nor text/csv in UTF-8",
                  content_type);
}
