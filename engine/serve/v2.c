#include "engine/serve/v2.h"

#include <stdio.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/serve/columns.h"

#define DIMENSIONS_MAX 2

typedef enum form { FLOAT, WHOLE, UNSIGNED, TRUTH, TEXT } form;

typedef struct datatype {
  const char *name;
  form form;
  size_t size;     /* bytes of one value in binary data; of a text 0, for each says its own */
  double min, max; /* of a whole number; both 0 for the others */
} datatype;

static const datatype datatypes[] = {
    {"FP32", FLOAT, 4, 0, 0},
    {"FP64", FLOAT, 8, 0, 0},
    {"BOOL", TRUTH, 1, 0, 0},
    {"INT64", WHOLE, 8, -0x1p63, 0x1p63},
    {"INT32", WHOLE, 4, -0x1p31, 0x1p31 - 1},
    {"INT16", WHOLE, 2, -0x1p15, 0x1p15 - 1},
    {"INT8", WHOLE, 1, -0x1p7, 0x1p7 - 1},
    {"UINT64", UNSIGNED, 8, 0, 0x1p63},
    {"UINT32", UNSIGNED, 4, 0, 0x1p32 - 1},
    {"UINT16", UNSIGNED, 2, 0, 0x1p16 - 1},
    {"UINT8", UNSIGNED, 1, 0, 0x1p8 - 1},
    {"BYTES", TEXT, 0, 0, 0},
};

/* One element of `inputs`; its data is read once name, shape and type are known. */
typedef struct tensor {
  unsigned seen; /* members, a bit each */
  char name[MLE_PULL_TEXT];
  const datatype *type;
  int64_t shape[DIMENSIONS_MAX];
  size_t dimensions;
  const char *data;
  int64_t binary_size; /* -1: the data is JSON */
} tensor;

typedef struct reader {
  const mle_features *features;
  mle_rows *rows;
  mle_columns columns;
  mle_pull p;
  const char *binary, *binary_end; /* what of the binary data no tensor took yet */
  size_t num_inputs, num_tensors; /* tensors: that were columns of the model, or all of them */
} reader;

/* ====== A tensor's head ====== */

static const datatype *find_datatype(mle_pull_slice name) {
  for (size_t i = 0; i < sizeof datatypes / sizeof *datatypes; i++)
    if (mle_pull_is(name, datatypes[i].name)) return &datatypes[i];
  return NULL;
}

static mle_status read_datatype(reader *r, tensor *t, mle_error *err) {
  mle_pull_slice name;
  MLE_TRY(mle_pull_string(&r->p, &name, err));
  t->type = find_datatype(name);
  if (t->type != NULL) return MLE_OK;
  return mle_fail(err, MLE_EINVAL,
                  "the datatype must be BOOL, BYTES, FP32, FP64, INT8 to INT64 or UINT8 to UINT64");
}

static mle_status read_shape(reader *r, tensor *t, mle_error *err) {
  t->dimensions = 0;
  MLE_TRY(mle_pull_open(&r->p, '[', err));
  for (bool more = mle_pull_first(&r->p, ']'); more;) {
    mle_pull_value size;
    MLE_TRY(mle_pull_number(&r->p, &size, err));
    if (!size.is_whole || size.whole < 0)
      return mle_fail(err, MLE_EINVAL, "a shape has whole numbers from 0 on");
    if (size.whole > MLE_ROWS_MAX)
      return mle_fail(err, MLE_EREFUSED, "a shape of more than %d; send the rows in parts", MLE_ROWS_MAX);
    if (t->dimensions == DIMENSIONS_MAX)
      return mle_fail(err, MLE_EINVAL, "a shape has one or two dimensions here");
    t->shape[t->dimensions++] = size.whole;
    MLE_TRY(mle_pull_next(&r->p, ']', &more, err));
  }
  return MLE_OK;
}

static mle_status read_name(reader *r, tensor *t, mle_error *err) {
  mle_pull_slice name;
  MLE_TRY(mle_pull_string(&r->p, &name, err));
  if (name.len >= sizeof t->name) return mle_fail(err, MLE_EINVAL, "its name is too long");
  if (memchr(name.data, '\0', name.len) != NULL)
    return mle_fail(err, MLE_EINVAL, "its name has a NUL");
  memcpy(t->name, name.data, name.len);
  t->name[name.len] = '\0';
  return MLE_OK;
}

static mle_status read_binary_size(reader *r, tensor *t, mle_error *err) {
  mle_pull_value size;
  MLE_TRY(mle_pull_number(&r->p, &size, err));
  if (!size.is_whole || size.whole < 0)
    return mle_fail(err, MLE_EINVAL, "`binary_data_size` must be a number of bytes");
  t->binary_size = size.whole;
  return MLE_OK;
}

static mle_status read_parameters(reader *r, tensor *t, mle_error *err) {
  mle_pull_slice key;
  MLE_TRY(mle_pull_open(&r->p, '{', err));
  for (bool more = mle_pull_first(&r->p, '}'); more;) {
    MLE_TRY(mle_pull_key(&r->p, &key, err));
    bool is_size = mle_pull_is(key, "binary_data_size");
    MLE_TRY(is_size ? read_binary_size(r, t, err) : mle_pull_skip(&r->p, err));
    MLE_TRY(mle_pull_next(&r->p, '}', &more, err));
  }
  return MLE_OK;
}

static mle_status note_data(reader *r, tensor *t, mle_error *err) {
  mle_pull_peek(&r->p);
  t->data = r->p.at;
  return mle_pull_skip(&r->p, err);
}

/* Of one that is there twice, others may have read the other. */
static mle_status read_member(reader *r, tensor *t, mle_error *err) {
  static const struct {
    const char *name;
    mle_status (*read)(reader *r, tensor *t, mle_error *err);
  } members[] = {{"name", read_name},
                 {"shape", read_shape},
                 {"datatype", read_datatype},
                 {"parameters", read_parameters},
                 {"data", note_data}};
  mle_pull_slice key;
  MLE_TRY(mle_pull_key(&r->p, &key, err));
  for (unsigned i = 0; i < sizeof members / sizeof *members; i++) {
    if (!mle_pull_is(key, members[i].name)) continue;
    if ((t->seen & 1U << i) != 0)
      return mle_fail(err, MLE_EINVAL, "`%s` is there twice", members[i].name);
    t->seen |= 1U << i;
    return members[i].read(r, t, err);
  }
  return mle_pull_skip(&r->p, err);
}

/* ====== A tensor's data ====== */

static mle_status fail_tensor(const tensor *t, mle_error *err, const char *what) {
  return mle_fail(err, MLE_EINVAL, "input '%s': %s", t->name, what);
}

static mle_status check_whole(const reader *r, const tensor *t, const char *at, mle_error *err) {
  mle_pull_value value;
  if (mle_number_scan(at, r->p.end, &value) == NULL) return MLE_OK; /* not a number: see below */
  if (value.is_whole && value.real >= t->type->min && value.real <= t->type->max) return MLE_OK;
  char what[64];
  snprintf(what, sizeof what, "%s holds only whole numbers of its size", t->type->name);
  return fail_tensor(t, err, what);
}

/* The scalar at hand, into (row, feature). */
static mle_status read_scalar(reader *r, const tensor *t, size_t row, size_t feature,
                              mle_error *err) {
  char c = mle_pull_peek(&r->p);
  bool is_bool = t->type->form == TRUTH, is_word = c == 't' || c == 'f';
  bool is_bytes = t->type->form == TEXT;
  if (is_bytes && c != '"' && c != 'n' && c != 'N') /* null and NaN are missing */
    return fail_tensor(t, err, "BYTES holds texts");
  if (!is_bytes && c == '"' && r->features->list[feature].type == MLE_FEATURE_STRING)
    return fail_tensor(t, err, "texts belong into a BYTES tensor");
  if (is_word && !is_bool) return fail_tensor(t, err, "true and false belong into a BOOL tensor");
  if (is_bool && !is_word && c != 'n') return fail_tensor(t, err, "BOOL holds true and false");
  if (t->type->max > 0) MLE_TRY(check_whole(r, t, r->p.at, err));
  return mle_feature_pull(&r->features->list[feature], &r->p, row,
                          &r->rows->values[row * r->rows->columns + feature], err);
}

/* A value of binary data: little-endian, as every machine this program runs on. */
static mle_pull_value unpack(const datatype *type, const char *at) {
  mle_pull_value value = {0};
  uint64_t bits = 0;
  float single;
  memcpy(&bits, at, type->size);
  switch (type->form) {
    case FLOAT:
      if (type->size == 8) {
        memcpy(&value.real, at, 8);
      } else {
        memcpy(&single, at, 4);
        value.real = (double)single;
      }
      return value;
    case WHOLE: {
      unsigned unused = 64 - 8 * (unsigned)type->size;
      value.whole = (int64_t)(bits << unused) >> unused;
      break;
    }
    case UNSIGNED:
    case TEXT:
    case TRUTH: value.whole = (int64_t)bits; break;
  }
  value.is_whole = type->form == WHOLE || bits <= INT64_MAX;
  value.real = value.is_whole ? (double)value.whole : (double)bits;
  return value;
}

static mle_status set_packed(reader *r, const tensor *t, const char *at, size_t row, size_t feature,
                             mle_error *err) {
  mle_pull_value value = unpack(t->type, at);
  float *out = &r->rows->values[row * r->rows->columns + feature];
  if (t->type->form != TRUTH)
    return mle_feature_set_number(&r->features->list[feature], &value, row, out, err);
  if (value.whole > 1) return fail_tensor(t, err, "BOOL holds bytes of 0 and 1");
  return mle_feature_set_bool(&r->features->list[feature], value.whole == 1, row, out, err);
}

/* Each text is its length, a little-endian uint32, and its bytes. */
static mle_status read_texts(reader *r, const tensor *t, size_t feature, mle_error *err) {
  size_t width = t->dimensions == 2 ? (size_t)t->shape[1] : 1, total = (size_t)t->shape[0] * width;
  const char *at = t->data, *end = at + t->binary_size;
  for (size_t i = 0; i < total; i++) {
    uint32_t len = 0;
    if (end - at >= 4) memcpy(&len, at, 4);
    if (end - at < 4 || end - at - 4 < (int64_t)len)
      return fail_tensor(t, err, "its binary data has fewer texts than the shape says");
    size_t row = i / width, column = feature == SIZE_MAX ? i % width : feature;
    MLE_TRY(mle_feature_set_text(&r->features->list[column], (mle_pull_slice){at + 4, len}, row,
                                 &r->rows->values[row * r->rows->columns + column], err));
    at += 4 + len;
  }
  if (at == end) return MLE_OK;
  return fail_tensor(t, err, "its binary data has more texts than the shape says");
}

static mle_status read_binary(reader *r, const tensor *t, size_t feature, mle_error *err) {
  size_t width = t->dimensions == 2 ? (size_t)t->shape[1] : 1, total = (size_t)t->shape[0] * width;
  char what[128];
  if (t->type->form == TEXT) return read_texts(r, t, feature, err);
  if ((uint64_t)t->binary_size != total * t->type->size) {
    snprintf(what, sizeof what, "its binary_data_size is %lld, but its shape takes %zu bytes",
             (long long)t->binary_size, total * t->type->size);
    return fail_tensor(t, err, what);
  }
  for (size_t i = 0; i < total; i++)
    MLE_TRY(set_packed(r, t, t->data + i * t->type->size, i / width,
                       feature == SIZE_MAX ? i % width : feature, err));
  return MLE_OK;
}

/* Walks flat or nested data; `feature` is where a column tensor goes, SIZE_MAX: all. */
static mle_status read_data(reader *r, const tensor *t, size_t feature, mle_error *err) {
  if (t->binary_size >= 0) return read_binary(r, t, feature, err);
  size_t width = t->dimensions == 2 ? (size_t)t->shape[1] : 1, position = 0;
  size_t total = (size_t)t->shape[0] * width;
  bool nested = false;
  MLE_TRY(mle_pull_open(&r->p, '[', err));
  for (bool more = mle_pull_first(&r->p, ']'); more;) {
    if (!nested && mle_pull_peek(&r->p) == '[') { /* a row of its own */
      r->p.at++;
      nested = true;
      if (position % width != 0 || !mle_pull_first(&r->p, ']'))
        return fail_tensor(t, err, "a nested row does not fit the shape");
    }
    if (position == total) return fail_tensor(t, err, "there are more values than the shape says");
    size_t column = feature == SIZE_MAX ? position % width : feature;
    MLE_TRY(read_scalar(r, t, position / width, column, err));
    position++;
    MLE_TRY(mle_pull_next(&r->p, ']', &more, err));
    if (more || !nested) continue;
    nested = false; /* that bracket closed the row */
    if (position % width != 0) return fail_tensor(t, err, "a nested row does not fit the shape");
    MLE_TRY(mle_pull_next(&r->p, ']', &more, err));
  }
  if (position == total) return MLE_OK;
  return fail_tensor(t, err, "there are fewer values than the shape says");
}

/* ====== Inputs ====== */

/* Binary data is taken in the order of the inputs, also of one the model does not know. */
static mle_status take_binary(reader *r, tensor *t, mle_error *err) {
  if (t->binary_size < 0) return MLE_OK;
  if (t->data != NULL) return fail_tensor(t, err, "it has both data and binary_data_size");
  if (t->binary_size > r->binary_end - r->binary)
    return fail_tensor(t, err, "the body has less binary data than its binary_data_size says");
  t->data = r->binary;
  r->binary += t->binary_size;
  return MLE_OK;
}

static mle_status check_head(const tensor *t, mle_error *err) {
  if (t->type == NULL) return fail_tensor(t, err, "it has no datatype");
  if (t->dimensions == 0) return fail_tensor(t, err, "it has no shape");
  if (t->data == NULL) return fail_tensor(t, err, "it has no data");
  return MLE_OK;
}

static mle_status set_rows(reader *r, const tensor *t, mle_error *err) {
  if (r->num_tensors++ == 0) return mle_rows_resize(r->rows, (size_t)t->shape[0], err);
  if ((size_t)t->shape[0] == r->rows->count) return MLE_OK;
  return fail_tensor(t, err, "it has another number of rows than the first input");
}

/* A tensor whose name is a feature's, and that is one column wide, is that column. */
static mle_status place_tensor(reader *r, const tensor *t, mle_error *err) {
  mle_pull_slice name = {t->name, strlen(t->name)};
  bool narrow = t->dimensions == 1 || t->shape[1] == 1;
  int feature = narrow ? mle_features_find(r->features, name, r->num_tensors) : -1;
  bool whole = t->dimensions == 2 && (size_t)t->shape[1] == r->features->count;
  if (feature >= 0) {
    MLE_TRY(mle_columns_mark(&r->columns, (size_t)feature, err));
    MLE_TRY(set_rows(r, t, err));
    return read_data(r, t, (size_t)feature, err);
  }
  if (!whole && narrow) return MLE_OK; /* a column the model does not know */
  if (!whole || r->num_tensors > 0)
    return mle_fail(err, MLE_EINVAL,
                    "input '%s': one tensor must have the shape [rows, %zu], or each column "
                    "must be an input [rows] of its own",
                    t->name, r->features->count);
  for (size_t i = 0; i < r->features->count; i++) MLE_TRY(mle_columns_mark(&r->columns, i, err));
  MLE_TRY(set_rows(r, t, err));
  return read_data(r, t, SIZE_MAX, err);
}

static mle_status read_members(reader *r, tensor *t, mle_error *err) {
  t->name[0] = '\0';
  t->seen = 0;
  t->type = NULL;
  t->dimensions = 0;
  t->data = NULL;
  t->binary_size = -1;
  MLE_TRY(mle_pull_open(&r->p, '{', err));
  for (bool more = mle_pull_first(&r->p, '}'); more;) {
    MLE_TRY(read_member(r, t, err));
    MLE_TRY(mle_pull_next(&r->p, '}', &more, err));
  }
  return t->name[0] != '\0' ? MLE_OK : mle_fail(err, MLE_EINVAL, "it has no name");
}

static mle_status read_input(reader *r, mle_error *err) {
  tensor t;
  size_t number = r->num_inputs++;
  mle_status status = read_members(r, &t, err);
  bool of_input = status == MLE_EINVAL || status == MLE_EREFUSED;
  if (of_input && t.name[0] != '\0') return mle_context(err, "input '%s'", t.name);
  if (of_input) return mle_context(err, "inputs[%zu]", number);
  MLE_TRY(status);
  MLE_TRY(take_binary(r, &t, err));
  MLE_TRY(check_head(&t, err));
  const char *after = r->p.at;
  if (t.binary_size < 0) r->p.at = t.data;
  MLE_TRY(place_tensor(r, &t, err));
  r->p.at = after;
  return MLE_OK;
}

static mle_status read_inputs(reader *r, mle_error *err) {
  MLE_TRY(mle_pull_open(&r->p, '[', err));
  for (bool more = mle_pull_first(&r->p, ']'); more;) {
    MLE_TRY(read_input(r, err));
    MLE_TRY(mle_pull_next(&r->p, ']', &more, err));
  }
  return mle_columns_check(&r->columns, err);
}

/* ====== The rest of the body ====== */

static mle_status read_id(reader *r, mle_v2_request *out, mle_error *err) {
  mle_pull_slice decoded;
  mle_pull_peek(&r->p);
  const char *begin = r->p.at + 1;
  MLE_TRY(mle_pull_string(&r->p, &decoded, err));
  size_t len = (size_t)(r->p.at - begin) - 1;
  if (len >= sizeof out->id) return mle_fail(err, MLE_EINVAL, "`id` is too long");
  memcpy(out->id, begin, len);
  out->id[len] = '\0';
  return MLE_OK;
}

/* Reads true or false of the member `name` of an object of parameters; others are passed over. */
static mle_status read_flag(reader *r, const char *name, bool *out, mle_error *err) {
  mle_pull_slice key;
  MLE_TRY(mle_pull_open(&r->p, '{', err));
  for (bool more = mle_pull_first(&r->p, '}'); more;) {
    MLE_TRY(mle_pull_key(&r->p, &key, err));
    char c = mle_pull_peek(&r->p);
    if (mle_pull_is(key, name) && (c == 't' || c == 'f')) *out = c == 't';
    MLE_TRY(mle_pull_skip(&r->p, err));
    MLE_TRY(mle_pull_next(&r->p, '}', &more, err));
  }
  return MLE_OK;
}

static mle_status read_output_name(reader *r, mle_error *err) {
  mle_pull_slice name;
  MLE_TRY(mle_pull_string(&r->p, &name, err));
  if (mle_pull_is(name, MLE_V2_OUTPUT)) return MLE_OK;
  return mle_fail(err, MLE_EINVAL, "there is no output '%.*s'; the model has '%s'",
                  name.len > 100 ? 100 : (int)name.len, name.data, MLE_V2_OUTPUT);
}

/* One element of `outputs`. */
static mle_status read_output(reader *r, mle_v2_request *out, mle_error *err) {
  mle_pull_slice key;
  MLE_TRY(mle_pull_open(&r->p, '{', err));
  for (bool more = mle_pull_first(&r->p, '}'); more;) {
    MLE_TRY(mle_pull_key(&r->p, &key, err));
    if (mle_pull_is(key, "name"))
      MLE_TRY(read_output_name(r, err));
    else if (mle_pull_is(key, "parameters"))
      MLE_TRY(read_flag(r, "binary_data", &out->binary_output, err));
    else
      MLE_TRY(mle_pull_skip(&r->p, err));
    MLE_TRY(mle_pull_next(&r->p, '}', &more, err));
  }
  return MLE_OK;
}

static mle_status read_outputs(reader *r, mle_v2_request *out, mle_error *err) {
  MLE_TRY(mle_pull_open(&r->p, '[', err));
  for (bool more = mle_pull_first(&r->p, ']'); more;) {
    MLE_TRY(read_output(r, out, err));
    MLE_TRY(mle_pull_next(&r->p, ']', &more, err));
  }
  return MLE_OK;
}

static mle_status read_body(reader *r, mle_v2_request *out, mle_error *err) {
  bool found = false;
  mle_pull_slice key;
  MLE_TRY(mle_pull_open(&r->p, '{', err));
  for (bool more = mle_pull_first(&r->p, '}'); more;) {
    MLE_TRY(mle_pull_key(&r->p, &key, err));
    bool is_inputs = mle_pull_is(key, "inputs");
    if (is_inputs && found) return mle_fail(err, MLE_EINVAL, "`inputs` is there twice");
    found = found || is_inputs;
    if (mle_pull_is(key, "id"))
      MLE_TRY(read_id(r, out, err));
    else if (mle_pull_is(key, "outputs"))
      MLE_TRY(read_outputs(r, out, err));
    else if (mle_pull_is(key, "parameters"))
      MLE_TRY(read_flag(r, "binary_data_output", &out->binary_output, err));
    else
      MLE_TRY(is_inputs ? read_inputs(r, err) : mle_pull_skip(&r->p, err));
    MLE_TRY(mle_pull_next(&r->p, '}', &more, err));
  }
  MLE_TRY(mle_pull_end(&r->p, err));
  return found ? MLE_OK : mle_fail(err, MLE_EINVAL, "the body needs `inputs`");
}

static mle_status parse(reader *r, mle_v2_request *out, mle_error *err) {
  mle_status status;
  MLE_GO(mle_columns_init(&r->columns, r->features, err));
  MLE_GO(read_body(r, out, err));
  if (r->binary != r->binary_end)
    status = mle_fail(err, MLE_EINVAL, "the body has %zu bytes of binary data that no input takes",
                      (size_t)(r->binary_end - r->binary));
done:
  mle_columns_release(&r->columns);
  return status;
}

mle_status mle_v2_parse(const mle_features *features, const char *body, size_t len,
                        size_t json_len, mle_v2_request *out, mle_rows *rows, mle_error *err) {
  out->id[0] = '\0';
  out->binary_output = false;
  if (json_len > len)
    return mle_fail(err, MLE_EINVAL, "Inference-Header-Content-Length is %zu, but the body has "
                                     "%zu bytes", json_len, len);
  if (!mle_utf8_valid(body, json_len)) return mle_fail(err, MLE_EFORMAT, "the body is not UTF-8");
  char *copy = NULL; /* of the JSON, which a NUL must end */
  if (json_len < len && (copy = mle_strndup(body, json_len)) == NULL)
    return mle_nomem(err, "reading a request");
  reader r;
  r.features = features;
  r.rows = rows;
  r.num_inputs = r.num_tensors = 0;
  r.binary = body + json_len;
  r.binary_end = body + len;
  mle_pull_init(&r.p, copy == NULL ? body : copy, json_len);
  mle_status status = parse(&r, out, err);
  mle_free(copy);
  return status;
}
