/* csv.c -- text/csv bodies (RFC 4180): a header line of names, then numbers. */

#include <string.h>

#include "engine/serve/columns.h"
#include "engine/serve/invocations.h"

typedef struct csv {
  const char *at, *end;
  char text[MLE_PULL_TEXT]; /* a quoted field, without its quotes */
} csv;

/* One field; `out_last` when the line ends behind it. */
static mle_status read_quoted(csv *c, mle_pull_slice *out, mle_error *err) {
  size_t len = 0;
  for (c->at++; c->at < c->end; c->at++) {
    if (*c->at == '"' && c->at[1] != '"') {
      c->at++;
      *out = (mle_pull_slice){c->text, len};
      return MLE_OK;
    }
    if (*c->at == '"') c->at++; /* doubled: one of them stands for itself */
    if (len == sizeof c->text) return mle_fail(err, MLE_EFORMAT, "a CSV field is too long");
    c->text[len++] = *c->at;
  }
  return mle_fail(err, MLE_EFORMAT, "a quoted CSV field does not end");
}

static mle_status read_field(csv *c, mle_pull_slice *out, bool *out_last, mle_error *err) {
  if (c->at < c->end && *c->at == '"') {
    MLE_TRY(read_quoted(c, out, err));
  } else {
    const char *begin = c->at;
    while (c->at < c->end && *c->at != ',' && *c->at != '\n' && *c->at != '\r') c->at++;
    *out = (mle_pull_slice){begin, (size_t)(c->at - begin)};
  }
  *out_last = c->at == c->end || *c->at != ',';
  if (!*out_last) {
    c->at++;
    return MLE_OK;
  }
  if (c->at < c->end && *c->at == '\r') c->at++;
  if (c->at < c->end && *c->at != '\n')
    return mle_fail(err, MLE_EFORMAT, "a CSV field has text behind its closing quote");
  if (c->at < c->end) c->at++;
  return MLE_OK;
}

/* What pandas.read_csv takes for a missing value. */
static bool is_missing(mle_pull_slice field) {
  static const char *const words[] = {"",    "NA",   "N/A",  "NaN",  "nan", "null", "NULL",
                                      "None", "n/a", "<NA>", "#N/A", "-nan", "-NaN"};
  for (size_t i = 0; i < sizeof words / sizeof *words; i++)
    if (mle_pull_is(field, words[i])) return true;
  return false;
}

static mle_pull_slice trim(mle_pull_slice field) {
  while (field.len > 0 && (*field.data == ' ' || *field.data == '\t')) field.data++, field.len--;
  while (field.len > 0 && (field.data[field.len - 1] == ' ' || field.data[field.len - 1] == '\t'))
    field.len--;
  return field;
}

/* Numbers need a NUL or another stop behind them: a copy gives it. */
static mle_status set_field(const mle_feature *feature, mle_pull_slice field, size_t row,
                            float *out, mle_error *err) {
  char text[64];
  mle_pull_value value;
  field = trim(field);
  if (is_missing(field)) return mle_feature_set_null(feature, row, out, err);
  if (feature->type == MLE_FEATURE_STRING)
    return mle_feature_set_text(feature, field, row, out, err);
  if (mle_pull_is(field, "true") || mle_pull_is(field, "True"))
    return mle_feature_set_bool(feature, true, row, out, err);
  if (mle_pull_is(field, "false") || mle_pull_is(field, "False"))
    return mle_feature_set_bool(feature, false, row, out, err);
  if (field.len < sizeof text) {
    memcpy(text, field.data, field.len);
    text[field.len] = '\0';
    if (mle_number_scan(text, text + field.len, &value) == text + field.len)
      return mle_feature_set_number(feature, &value, row, out, err);
  }
  return mle_fail(err, MLE_EINVAL, "column '%s', row %zu: '%.*s' is no number", feature->name, row,
                  field.len > 40 ? 40 : (int)field.len, field.data);
}

static mle_status read_header(csv *c, mle_columns *columns, mle_error *err) {
  for (bool last = false; !last;) {
    mle_pull_slice name;
    MLE_TRY(read_field(c, &name, &last, err));
    MLE_TRY(mle_columns_add(columns, name, err));
  }
  if (columns->features->named) return mle_columns_check(columns, err);
  if (columns->num_order == columns->features->count) return MLE_OK;
  return mle_fail(err, MLE_EINVAL, "the CSV has %zu columns, the model takes %zu",
                  columns->num_order, columns->features->count);
}

static mle_status fail_width(const mle_columns *columns, const mle_rows *rows, mle_error *err) {
  return mle_fail(err, MLE_EINVAL, "row %zu does not have %zu fields, as the header has",
                  rows->count - 1, columns->num_order);
}

static mle_status read_line(csv *c, const mle_columns *columns, mle_rows *rows, mle_error *err) {
  float *row;
  size_t position = 0;
  MLE_TRY(mle_rows_add(rows, &row, err));
  for (bool last = false; !last; position++) {
    mle_pull_slice field;
    MLE_TRY(read_field(c, &field, &last, err));
    if (position == columns->num_order) return fail_width(columns, rows, err);
    int feature = columns->features->named ? columns->order[position] : (int)position;
    if (feature < 0) continue;
    MLE_TRY(set_field(&columns->features->list[feature], field, rows->count - 1, &row[feature],
                      err));
  }
  return position == columns->num_order ? MLE_OK : fail_width(columns, rows, err);
}

mle_status mle_invocations_csv(const mle_features *features, const char *body, size_t len,
                               mle_rows *rows, mle_error *err) {
  if (!mle_utf8_valid(body, len)) return mle_fail(err, MLE_EFORMAT, "the body is not UTF-8");
  static const char mark[] = "\xEF\xBB\xBF";
  size_t skip = len >= 3 && memcmp(body, mark, 3) == 0 ? 3 : 0;
  csv c;
  c.at = body + skip;
  c.end = body + len;
  mle_columns columns;
  mle_status status;
  MLE_GO(mle_columns_init(&columns, features, err));
  MLE_GO(read_header(&c, &columns, err));
  while (c.at < c.end) {
    bool blank = *c.at == '\n' || (*c.at == '\r' && c.at[1] == '\n');
    if (blank && columns.num_order > 1)
      c.at += *c.at == '\r' ? 2 : 1; /* pandas passes over blank lines */
    else
      MLE_GO(read_line(&c, &columns, rows, err));
  }
done:
  mle_columns_release(&columns);
  return status;
}
