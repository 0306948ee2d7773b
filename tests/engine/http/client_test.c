#include "manners.h"

#include "engine/base/alloc.h"
#include "engine/base/clock.h"
#include "engine/http/client.h"

#define OK "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Thing:  some value \r\n\r\nhi"
#define BUSY "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nRetry-After: 0\r\n\r\n"
#define TRUNCATED "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhi"
#define NO_HTTP "220 mail ready\r\n"

static mle_status ask(const manners *m, const char *method, const mle_http_request *change,
                      mle_http_response *out, mle_error *err) {
  mle_http_client *client;
  mle_http_request request = MLE_HTTP_REQUEST(method, m->url);
  request.total_ms = 300;
  request.retry_base_ms = 1;
  request.retries = change->retries;
  request.idempotent = change->idempotent;
  request.body = change->body;
  request.body_len = change->body_len;
  if (change->response_max > 0) request.response_max = change->response_max;
  mle_status status = mle_http_client_new(&client, err);
  if (status == MLE_OK) status = mle_http_send(client, &request, out, err);
  mle_http_client_free(client);
  return status;
}

static void an_answer_has_status_body_and_headers(void **state) {
  (void)state;
  static const char *const answers[] = {OK, NULL};
  manners m;
  manners_start(&m, answers);
  mle_http_response response;
  char value[32], small[4];
  assert_int_equal(ask(&m, "GET", &(mle_http_request){0}, &response, NULL), MLE_OK);
  assert_int_equal(response.status, 200);
  assert_string_equal(response.body.data, "hi");
  assert_true(mle_http_response_header(&response, "X-Thing", value, sizeof value));
  assert_string_equal(value, "some value");
  assert_false(mle_http_response_header(&response, "X-Thing", small, sizeof small));
  assert_false(mle_http_response_header(&response, "X-Other", value, sizeof value));
  assert_non_null(strstr(m.last, "User-Agent: mlengine"));
  assert_null(strstr(m.last, "Expect:"));
  mle_http_response_release(&response);
  manners_stop(&m);
}

static void what_passes_is_repeated(void **state) {
  (void)state;
  static const char *const rows[][4] = {
      {BUSY, BUSY, OK, NULL}, {TRUNCATED, OK, NULL}, {NO_HTTP, OK, NULL}, {STALL, OK, NULL}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    manners m;
    manners_start(&m, rows[i]);
    mle_http_response response;
    mle_error err = {.message = ""};
    mle_status status = ask(&m, "GET", &(mle_http_request){.retries = 3}, &response, &err);
    bool repeats = strcmp(rows[i][0], NO_HTTP) != 0;
    if (repeats && (status != MLE_OK || response.status != 200)) fail_msg("%zu: %s", i, err.message);
    mle_http_response_release(&response);
    manners_stop(&m);
  }
}

static void repetitions_end(void **state) {
  (void)state;
  static const char *const answers[] = {BUSY, NULL};
  manners m;
  manners_start(&m, answers);
  mle_http_response response;
  assert_int_equal(ask(&m, "GET", &(mle_http_request){.retries = 2}, &response, NULL), MLE_OK);
  assert_int_equal(response.status, 503);
  assert_int_equal(m.count, 3);
  mle_http_response_release(&response);
  manners_stop(&m);
}

static void a_post_is_sent_once(void **state) {
  (void)state;
  static const char *const answers[] = {TRUNCATED, OK, NULL};
  manners m;
  mle_http_response response;
  mle_error err;
  mle_http_request change = {.retries = 3, .body = "{}", .body_len = 2};
  manners_start(&m, answers);
  assert_int_equal(ask(&m, "POST", &change, &response, &err), MLE_EUNKNOWN);
  assert_int_equal(m.count, 1);
  mle_http_response_release(&response);
  manners_stop(&m);
  manners_start(&m, answers);
  change.idempotent = true;
  assert_int_equal(ask(&m, "POST", &change, &response, &err), MLE_OK);
  assert_int_equal(m.count, 2);
  mle_http_response_release(&response);
  manners_stop(&m);
}

static void a_stall_ends_in_time(void **state) {
  (void)state;
  static const char *const answers[] = {STALL, NULL};
  manners m;
  mle_http_response response;
  mle_error err;
  manners_start(&m, answers);
  int64_t begun = mle_monotonic_ns();
  assert_int_equal(ask(&m, "GET", &(mle_http_request){0}, &response, &err), MLE_ETIMEOUT);
  assert_true(mle_monotonic_ns() - begun < INT64_C(5000000000));
  assert_true(err.retryable);
  assert_non_null(strstr(err.message, "GET http://127.0.0.1:"));
  mle_http_response_release(&response);
  manners_stop(&m);
}

static void a_large_answer_is_refused(void **state) {
  (void)state;
  static const char *const answers[] = {OK, NULL};
  manners m;
  mle_http_response response;
  mle_error err;
  manners_start(&m, answers);
  assert_int_equal(ask(&m, "GET", &(mle_http_request){.response_max = 1}, &response, &err), MLE_EREFUSED);
  assert_non_null(strstr(err.message, "larger than the 1 bytes allowed"));
  mle_http_response_release(&response);
  manners_stop(&m);
}

static void a_unix_socket_takes_the_hosts_place(void **state) {
  (void)state;
  static const char *const answers[] = {OK, NULL};
  manners m;
  char path[108];
  manners_start_unix(&m, answers, path);
  mle_http_client *client;
  mle_http_response response;
  mle_error err;
  mle_http_request request = MLE_HTTP_REQUEST("GET", "http://nowhere/path");
  request.unix_socket = path;
  assert_int_equal(mle_http_client_new(&client, NULL), MLE_OK);
  if (mle_http_send(client, &request, &response, &err) != MLE_OK) fail_msg("%s", err.message);
  assert_string_equal(response.body.data, "hi");
  assert_non_null(strstr(m.last, "GET /path HTTP/1.1"));
  mle_http_response_release(&response);
  mle_http_client_free(client);
  manners_stop(&m);
  unlink(path);
}

static void failures_hide_secrets_of_the_url(void **state) {
  (void)state;
  mle_http_client *client;
  mle_http_response response;
  mle_error err;
  mle_http_request request = MLE_HTTP_REQUEST("GET", "http://user:pass%40word@127.0.0.1:1/path?token=secret");
  request.retries = 0;
  assert_int_equal(mle_http_client_new(&client, NULL), MLE_OK);
  assert_int_equal(mle_http_send(client, &request, &response, &err), MLE_EIO);
  assert_non_null(strstr(err.message, "GET http://127.0.0.1:1/path"));
  assert_null(strstr(err.message, "pass"));
  assert_null(strstr(err.message, "secret"));
  mle_http_response_release(&response);
  const char *headers[] = {"X: a\r\nY: b", NULL};
  request.headers = headers;
  assert_int_equal(mle_http_send(client, &request, &response, &err), MLE_EINVAL);
  mle_http_response_release(&response);
  request.headers = NULL;
  request.url = "file:///etc/passwd";
  assert_int_equal(mle_http_send(client, &request, &response, &err), MLE_EINVAL);
  mle_http_response_release(&response);
  mle_http_client_free(client);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(an_answer_has_status_body_and_headers), cmocka_unit_test(what_passes_is_repeated),
      cmocka_unit_test(repetitions_end),           cmocka_unit_test(a_post_is_sent_once),
      cmocka_unit_test(a_stall_ends_in_time),      cmocka_unit_test(a_large_answer_is_refused),
      cmocka_unit_test(failures_hide_secrets_of_the_url),
      cmocka_unit_test(a_unix_socket_takes_the_hosts_place),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
