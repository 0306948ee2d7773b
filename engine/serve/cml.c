#include "engine/serve/cml.h"

#include <string.h>

#include "engine/base/alloc.h"
#include "engine/serve/pull.h"

typedef struct reader {
  mle_pull p;
  const char *request, *request_end;
  bool is_record; /* the request is a row itself, not one of MLflow's forms */
} reader;

static mle_status read_key(reader *r, mle_cml *out, mle_error *err) {
  mle_pull_slice key;
  if (out->key[0] != '\0') return mle_fail(err, MLE_EINVAL, "`accessKey` is there twice");
  MLE_TRY(mle_pull_string(&r->p, &key, err));
  if (key.len >= sizeof out->key) return mle_fail(err, MLE_EINVAL, "`accessKey` is too long");
  memcpy(out->key, key.data, key.len);
  out->key[key.len] = '\0';
  return MLE_OK;
}

static bool is_form(mle_pull_slice name) {
  static const char *const names[] = {"dataframe_split", "dataframe_records", "instances",
                                      "inputs"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (mle_pull_is(name, names[i])) return true;
  return false;
}

static mle_status read_request(reader *r, mle_error *err) {
  if (r->request != NULL) return mle_fail(err, MLE_EINVAL, "`request` is there twice");
  if (mle_pull_peek(&r->p) != '{') return mle_fail(err, MLE_EINVAL, "`request` must be an object");
  r->request = r->p.at++;
  r->is_record = true;
  for (bool more = mle_pull_first(&r->p, '}'); more;) {
    mle_pull_slice name;
    MLE_TRY(mle_pull_key(&r->p, &name, err));
    if (is_form(name)) r->is_record = false;
    MLE_TRY(mle_pull_skip(&r->p, err));
    MLE_TRY(mle_pull_next(&r->p, '}', &more, err));
  }
  r->request_end = r->p.at;
  return MLE_OK;
}

static mle_status read_body(reader *r, mle_cml *out, mle_error *err) {
  mle_pull_slice name;
  MLE_TRY(mle_pull_open(&r->p, '{', err));
  for (bool more = mle_pull_first(&r->p, '}'); more;) {
    MLE_TRY(mle_pull_key(&r->p, &name, err));
    if (mle_pull_is(name, "accessKey"))
      MLE_TRY(read_key(r, out, err));
    else
      MLE_TRY(mle_pull_is(name, "request") ? read_request(r, err) : mle_pull_skip(&r->p, err));
    MLE_TRY(mle_pull_next(&r->p, '}', &more, err));
  }
  return mle_pull_end(&r->p, err);
}

mle_status mle_cml_parse(const char *body, size_t len, mle_cml *out, mle_error *err) {
  *out = (mle_cml){.key = ""};
  if (!mle_utf8_valid(body, len)) return mle_fail(err, MLE_EFORMAT, "the body is not UTF-8");
  reader r;
  r.request = r.request_end = NULL;
  r.is_record = false;
  mle_pull_init(&r.p, body, len);
  MLE_TRY(read_body(&r, out, err));
  if (r.request == NULL) return mle_fail(err, MLE_EINVAL, "the body needs `request`");
  const char *format = r.is_record ? "{\"dataframe_records\":[%.*s]}" : "%.*s";
  out->request = mle_format(format, (int)(r.request_end - r.request), r.request);
  return out->request == NULL ? mle_nomem(err, "reading a request") : MLE_OK;
}
