#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/base/alloc.h"
#include "engine/base/clock.h"
#include "engine/http/server.h"

static mle_http_server *server;
static mle_address address;

/* Says how long the body was; "slow" takes a while first. */
static void echo(void *context, const mle_http_call *call, mle_http_answer *answer) {
  (void)context;
  if (strcmp(call->path, "/slow") == 0) usleep(300000);
  mle_buffer_printf(&answer->body, NULL, "%s %zu", call->method, call->body_len);
  mle_http_answer_header(answer, "X-Bad", "a\r\nX-Injected: b");
}

static int start(void **state) {
  (void)state;
  mle_http_server_options options = MLE_HTTP_SERVER_OPTIONS;
  options.handler = echo;
  options.workers = 2;
  options.body_max = 1000;
  options.head_max = 4096;
  options.request_s = 1;
  address = (mle_address){.host = "127.0.0.1"};
  return mle_http_server_start(&options, &address, &server, NULL) == MLE_OK ? 0 : -1;
}

static int stop(void **state) {
  (void)state;
  mle_http_server_stop(server, 1000);
  server = NULL;
  return 0;
}

static int connect_to_server(void) {
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(address.port),
                           .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  if (connect(fd, (struct sockaddr *)&to, sizeof to) == 0) return fd;
  close(fd);
  return -1;
}

static void send_text(int fd, const char *text) {
  assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

/* Reads until `part` came, the other side closed, or five seconds went by. */
static void expect(int fd, const char *part) {
  char got[16384] = "";
  size_t len = 0;
  while (strstr(got, part) == NULL) {
    struct pollfd item = {fd, POLLIN, 0};
    if (poll(&item, 1, 5000) <= 0) fail_msg("waited for '%s', got '%s'", part, got);
    ssize_t more = recv(fd, got + len, sizeof got - len - 1, 0);
    if (more <= 0) fail_msg("closed before '%s', got '%s'", part, got);
    len += (size_t)more;
    got[len] = '\0';
  }
  assert_null(strstr(got, "X-Injected"));
}

/* The other side ends the connection, and needs no more than `ms` for it. */
static void expect_close(int fd, int ms) {
  char bytes[4096];
  int64_t deadline = mle_monotonic_ns() + (int64_t)ms * 1000000;
  for (;;) {
    struct pollfd item = {fd, POLLIN, 0};
    int left = (int)((deadline - mle_monotonic_ns()) / 1000000);
    if (left <= 0) fail_msg("still open after %d ms", ms);
    if (poll(&item, 1, left < 100 ? left : 100) > 0 && recv(fd, bytes, sizeof bytes, 0) <= 0) return;
    if (server != NULL) mle_http_server_tick(server);
  }
}

static void a_connection_is_kept(void **state) {
  (void)state;
  int fd = connect_to_server();
  for (int i = 0; i < 3; i++) {
    send_text(fd, "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello");
    expect(fd, "POST 5");
  }
  send_text(fd, "POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n3\r\nabc\r\n0\r\n\r\n");
  expect(fd, "POST 8");
  send_text(fd, "GET /x HTTP/1.1\r\nHost: h\r\n\r\nGET /y HTTP/1.1\r\nHost: h\r\n\r\n"); /* pipelined */
  expect(fd, "GET 0");
  close(fd);
}

static void limits_have_statuses(void **state) {
  (void)state;
  char head[8192];
  int fd = connect_to_server();
  send_text(fd, "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 1001\r\nExpect: 100-continue\r\n\r\n");
  expect(fd, " 413 ");
  close(fd);
  fd = connect_to_server();
  send_text(fd, "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 1001\r\n\r\n");
  memset(head, 'a', sizeof head);
  head[1001] = '\0';
  send_text(fd, head);
  expect(fd, " 413 ");
  send_text(fd, "GET /x HTTP/1.1\r\nHost: h\r\n\r\n"); /* and the connection goes on */
  expect(fd, "GET 0");
  close(fd);
  fd = connect_to_server();
  send_text(fd, "POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n7d0\r\n");
  memset(head, 'a', sizeof head);
  head[2000] = '\0';
  send_text(fd, head);
  send_text(fd, "\r\n0\r\n\r\n");
  expect(fd, " 413 ");
  close(fd);
  fd = connect_to_server();
  memset(head, 'a', sizeof head - 1);
  head[sizeof head - 1] = '\0';
  send_text(fd, "GET /x HTTP/1.1\r\nHost: h\r\nX: ");
  send_text(fd, head);
  expect(fd, " 431 ");
  close(fd);
}

/* Where another server in front may have seen the body end elsewhere: 400, and nothing of the rest is a request. */
static void ambiguous_lengths_are_refused(void **state) {
  (void)state;
  static const char *const heads[] = {
      "Content-Length: 4\r\nTransfer-Encoding: chunked", "Content-Length: 4\r\nContent-Length: 4",
      "Content-Length: 4\r\nContent-Length: 30",         "Content-Length: +4",
      "Content-Length: 4, 4",                            "Transfer-Encoding: xchunked",
      "Transfer-Encoding: chunked, identity",            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
      "Host: other", "X: a\rTransfer-Encoding: chunked",
  };
  for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
    char request[512];
    int fd = connect_to_server();
    snprintf(request, sizeof request, "POST /x HTTP/1.1\r\nHost: h\r\n%s\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n", heads[i]);
    send_text(fd, request);
    expect(fd, " 400 ");
    expect_close(fd, 5000);
    close(fd);
  }
}

static void a_trickling_client_is_cut_off(void **state) {
  (void)state;
  int fd = connect_to_server();
  for (int i = 0; i < 12; i++) { /* a byte every 0.2 s: never idle, never done */
    if (send(fd, i == 0 ? "G" : "E", 1, MSG_NOSIGNAL) < 0) break;
    mle_http_server_tick(server);
    usleep(200000);
  }
  expect_close(fd, 3000);
  close(fd);
}

/* RFC 9112, 6.1: HTTP/1.0 knows no chunks, and who forwards it may not have read any. */
static void chunks_of_http_1_0_are_refused(void **state) {
  (void)state;
  int fd = connect_to_server();
  send_text(fd, "POST /x HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n");
  expect(fd, " 400 ");
  expect_close(fd, 5000);
  close(fd);
}

/* Neither one that stops within a request nor one that asks for nothing more stays for as long as a request may take. */
static void a_silent_client_is_cut_off(void **state) {
  (void)state;
  mle_http_server_stop(server, 1000);
  mle_http_server_options options = MLE_HTTP_SERVER_OPTIONS;
  options.handler = echo;
  options.idle_s = 1;
  address = (mle_address){.host = "127.0.0.1"};
  assert_int_equal(mle_http_server_start(&options, &address, &server, NULL), MLE_OK);
  int half = connect_to_server(), kept = connect_to_server(), slow = connect_to_server();
  send_text(half, "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhel");
  send_text(kept, "GET /x HTTP/1.1\r\nHost: h\r\n\r\n");
  expect(kept, "GET 0");
  send_text(slow, "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 6\r\n\r\n");
  for (int i = 0; i < 6; i++) { /* longer than the second, but never silent for it */
    usleep(300000);
    mle_http_server_tick(server);
    send_text(slow, "a");
  }
  expect(slow, "POST 6");
  expect_close(half, 3000);
  expect_close(kept, 3000);
  close(half), close(kept), close(slow);
}

static void a_drain_finishes_what_runs(void **state) {
  (void)state;
  int fd = connect_to_server();
  send_text(fd, "GET /slow HTTP/1.1\r\nHost: h\r\n\r\n");
  while (mle_http_server_in_flight(server) == 0) usleep(1000);
  mle_http_server_drain(server);
  expect(fd, "GET 0");
  int late = connect_to_server();
  if (late >= 0) {
    send(late, "GET / HTTP/1.1\r\nHost: h\r\n\r\n", 26, MSG_NOSIGNAL);
    char byte;
    assert_true(recv(late, &byte, 1, 0) <= 0);
    close(late);
  }
  close(fd);
}

static void a_start_without_memory_is_an_error(void **state) {
  (void)state;
  mle_http_server_options options = MLE_HTTP_SERVER_OPTIONS;
  mle_address at = {.host = "127.0.0.1"};
  mle_http_server *none;
  options.handler = echo;
  mle_alloc_fail_after(0);
  mle_status status = mle_http_server_start(&options, &at, &none, NULL);
  mle_alloc_fail_after(-1);
  assert_int_equal(status, MLE_ENOMEM);
  assert_null(none);
}

/* Whatever allocation fails while answering: 503 or a closed connection, and it serves on. */
static void answers_without_memory_do_no_harm(void **state) {
  (void)state;
  for (long granted = 0; granted < 12; granted++) {
    int fd = connect_to_server();
    usleep(20000); /* accepted before memory runs out */
    mle_alloc_fail_after(granted);
    send_text(fd, "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello");
    char bytes[1024];
    struct pollfd item = {fd, POLLIN, 0};
    assert_true(poll(&item, 1, 5000) > 0);
    ssize_t got = recv(fd, bytes, sizeof bytes, 0);
    (void)got;
    mle_alloc_fail_after(-1);
    close(fd);
  }
  int fd = connect_to_server();
  send_text(fd, "GET /x HTTP/1.1\r\nHost: h\r\n\r\n");
  expect(fd, "GET 0");
  close(fd);
}

/* Each byte at each place of a value. */
static void a_header_has_no_controls(void **state) {
  (void)state;
  mle_http_answer answer;
  char value[24] = "";
  for (size_t len = 1; len < sizeof value; len++)
    for (size_t at = 0; at < len; at++)
      for (int c = 1; c < 256; c++) {
        memset(value, c < 128 ? '~' : ' ', len);
        value[at] = (char)c;
        answer.num_headers = 0;
        mle_http_answer_header(&answer, "X-Text", value);
        assert_int_equal(answer.num_headers, c >= 0x20 && c != 0x7F);
      }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_header_has_no_controls),
      cmocka_unit_test_setup_teardown(a_connection_is_kept, start, stop),
      cmocka_unit_test_setup_teardown(limits_have_statuses, start, stop),
      cmocka_unit_test_setup_teardown(ambiguous_lengths_are_refused, start, stop),
      cmocka_unit_test_setup_teardown(chunks_of_http_1_0_are_refused, start, stop),
      cmocka_unit_test_setup_teardown(a_trickling_client_is_cut_off, start, stop),
      cmocka_unit_test_setup_teardown(a_silent_client_is_cut_off, start, stop),
      cmocka_unit_test_setup_teardown(a_drain_finishes_what_runs, start, stop),
      cmocka_unit_test_setup_teardown(answers_without_memory_do_no_harm, start, stop),
      cmocka_unit_test(a_start_without_memory_is_an_error),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
