#include "engine/http/mail.h"

#include <string.h>

#include "engine/http/curl.h"

#define CONNECT_MS 10000L
#define TOTAL_MS 30000L

/* What of the text is not sent yet. */
typedef struct rest {
  const char *bytes;
  size_t len;
} rest;

static size_t give(char *out, size_t size, size_t count, void *given) {
  rest *left = given;
  size_t len = size * count < left->len ? size * count : left->len;
  memcpy(out, left->bytes, len);
  left->bytes += len;
  left->len -= len;
  return len;
}

/* Text that was sent may be on its way to somebody, whatever became of the answer. */
static mle_status fail_send(const mle_curl *curl, CURL *easy, CURLcode code, const char *detail,
                            const rest *left, mle_error *err) {
  long answer = 0;
  if (code == CURLE_OUT_OF_MEMORY) return mle_nomem(err, "sending mail");
  bool gone = left->len == 0 && (code == CURLE_OPERATION_TIMEDOUT || code == CURLE_RECV_ERROR ||
                                 code == CURLE_GOT_NOTHING);
  mle_status status = gone ? MLE_EUNKNOWN : MLE_EIO;
  const char *why = detail[0] != '\0' ? detail : curl->easy_strerror(code);
  curl->easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &answer);
  if (answer < 400) return mle_fail(err, status, "sending mail: %s", why);
  return mle_fail(err, status, "sending mail: %s (the server answered %ld)", why, answer);
}

static void set_options(const mle_curl *curl, CURL *easy, const mle_mail *mail,
                        struct curl_slist *to, rest *left, char *detail) {
  curl->easy_setopt(easy, CURLOPT_URL, mail->url);
  curl->easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "smtp,smtps");
  curl->easy_setopt(easy, CURLOPT_MAIL_FROM, mail->from);
  curl->easy_setopt(easy, CURLOPT_MAIL_RCPT, to);
  curl->easy_setopt(easy, CURLOPT_USE_SSL,
                    (long)(mail->password != NULL ? CURLUSESSL_ALL : CURLUSESSL_TRY));
  if (mail->ca_file != NULL) curl->easy_setopt(easy, CURLOPT_CAINFO, mail->ca_file);
  curl->easy_setopt(easy, CURLOPT_USERNAME, mail->user);
  curl->easy_setopt(easy, CURLOPT_PASSWORD, mail->password);
  curl->easy_setopt(easy, CURLOPT_UPLOAD, 1L);
  curl->easy_setopt(easy, CURLOPT_READFUNCTION, give);
  curl->easy_setopt(easy, CURLOPT_READDATA, left);
  curl->easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  curl->easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS);
  curl->easy_setopt(easy, CURLOPT_TIMEOUT_MS, TOTAL_MS);
  curl->easy_setopt(easy, CURLOPT_ERRORBUFFER, detail);
}

static mle_status list_all(const mle_curl *curl, const char *const *to, struct curl_slist **out,
                           mle_error *err) {
  for (; *to != NULL; to++) {
    struct curl_slist *longer = curl->slist_append(*out, *to);
    if (longer == NULL) return mle_nomem(err, "sending mail");
    *out = longer;
  }
  return MLE_OK;
}

mle_status mle_mail_send(const mle_mail *mail, mle_error *err) {
  const mle_curl *curl;
  char detail[CURL_ERROR_SIZE] = "";
  rest left = {mail->text, strlen(mail->text)};
  struct curl_slist *to = NULL;
  mle_status status = MLE_OK;
  MLE_TRY(mle_curl_open(&curl, err));
  CURL *easy = curl->easy_init();
  if (easy == NULL) return mle_nomem(err, "sending mail");
  MLE_GO(list_all(curl, mail->to, &to, err));
  set_options(curl, easy, mail, to, &left, detail);
  CURLcode code = curl->easy_perform(easy);
  if (code != CURLE_OK) status = fail_send(curl, easy, code, detail, &left, err);
done:
  curl->slist_free_all(to);
  curl->easy_cleanup(easy);
  return status;
}
