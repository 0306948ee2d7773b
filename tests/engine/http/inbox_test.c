#include <arpa/inet.h>
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
#include "engine/http/inbox.h"

#define MAX 3

static mle_http_server *server;
static mle_http_inbox *inbox;
static mle_address address;

static int start(void **state) {
  (void)state;
  mle_http_server_options options = MLE_HTTP_SERVER_OPTIONS;
  if (mle_http_inbox_new(MAX, &inbox, NULL) != MLE_OK) return -1;
  options.handler = mle_http_inbox_receive;
  options.context = inbox;
  options.keeps = true;
  options.workers = 1;
  address = (mle_address){.host = "127.0.0.1"};
  return mle_http_server_start(&options, &address, &server, NULL) == MLE_OK ? 0 : -1;
}

static int stop(void **state) {
  (void)state;
  mle_http_inbox_close(inbox);
  mle_http_server_stop(server, 2000);
  mle_http_inbox_free(inbox);
  return 0;
}

static int call(const char *request) {
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(address.port),
                           .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
  assert_int_equal(send(fd, request, strlen(request), MSG_NOSIGNAL), (ssize_t)strlen(request));
  return fd;
}

static void expect(int fd, const char *part) {
  char got[4096] = "";
  size_t len = 0;
  while (strstr(got, part) == NULL) {
    struct pollfd item = {fd, POLLIN, 0};
    if (poll(&item, 1, 5000) <= 0) fail_msg("waited for '%s', got '%s'", part, got);
    ssize_t more = recv(fd, got + len, sizeof got - len - 1, 0);
    if (more <= 0) fail_msg("closed before '%s', got '%s'", part, got);
    got[len += (size_t)more] = '\0';
  }
}

static mle_http_kept *take(void) {
  for (int i = 0; i < 500; i++) {
    struct pollfd item = {mle_http_inbox_fd(inbox), POLLIN, 0};
    poll(&item, 1, 10);
    mle_http_kept *kept = mle_http_inbox_take(inbox);
    if (kept != NULL) return kept;
  }
  fail_msg("no request came");
  return NULL;
}

static void answer(mle_http_kept *kept, const char *text) {
  mle_buffer_puts(&kept->answer.body, text, NULL);
  mle_http_kept_send(kept);
}

/* What a request says is there until it is answered, in whatever order that is. */
static void requests_wait_for_their_answers(void **state) {
  (void)state;
  int one = call("POST /a%20b?x=1&y= HTTP/1.1\r\nHost: h\r\nOrigin: o\r\nContent-Length: 5\r\n\r\nhello");
  mle_http_kept *first = take();
  int two = call("GET /second HTTP/1.1\r\nHost: h\r\n\r\n");
  mle_http_kept *second = take();
  answer(second, "the second");
  expect(two, "the second");
  assert_string_equal(first->call.method, "POST");
  assert_string_equal(first->call.path, "/a b");
  assert_string_equal(first->call.body, "hello");
  assert_string_equal(mle_http_call_query(&first->call, "x"), "1");
  assert_string_equal(mle_http_call_query(&first->call, "y"), "");
  assert_null(mle_http_call_query(&first->call, "z"));
  assert_string_equal(mle_http_call_header(&first->call, "origin"), "o");
  assert_null(mle_http_call_header(&first->call, "Authorization"));
  answer(first, "the first");
  expect(one, "the first");
  const char *again = "GET /again HTTP/1.1\r\nHost: h\r\n\r\n"; /* and the connection goes on */
  assert_int_equal(send(one, again, strlen(again), MSG_NOSIGNAL), (ssize_t)strlen(again));
  answer(take(), "again");
  expect(one, "again");
  close(one);
  close(two);
}

static void a_client_that_left_does_no_harm(void **state) {
  (void)state;
  close(call("GET /x HTTP/1.1\r\nHost: h\r\n\r\n"));
  mle_http_kept *kept = take();
  usleep(20000);
  answer(kept, "nobody reads this");
  int fd = call("GET /x HTTP/1.1\r\nHost: h\r\n\r\n");
  answer(take(), "somebody this");
  expect(fd, "somebody this");
  close(fd);
}

static void too_many_are_refused(void **state) {
  (void)state;
  int fd[MAX + 1];
  for (int i = 0; i <= MAX; i++) {
    fd[i] = call("GET /x HTTP/1.1\r\nHost: h\r\n\r\n");
    if (i < MAX) usleep(30000); /* one after the other */
  }
  expect(fd[MAX], " 503 ");
  for (int i = 0; i < MAX; i++) answer(take(), "fine");
  for (int i = 0; i < MAX; i++) expect(fd[i], "fine");
  for (int i = 0; i <= MAX; i++) close(fd[i]);
}

static void those_that_wait_at_the_end_are_told(void **state) {
  (void)state;
  int fd = call("GET /x HTTP/1.1\r\nHost: h\r\n\r\n");
  while (mle_http_server_in_flight(server) == 0) usleep(1000);
  usleep(20000);
  mle_http_inbox_close(inbox);
  expect(fd, " 503 ");
  close(fd);
}

static void without_memory_it_refuses(void **state) {
  (void)state;
  for (long granted = 0; granted < 8; granted++) {
    int fd = call("");
    usleep(20000);
    mle_alloc_fail_after(granted);
    const char *text = "GET /x HTTP/1.1\r\nHost: h\r\n\r\n";
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
    struct pollfd items[] = {{fd, POLLIN, 0}, {mle_http_inbox_fd(inbox), POLLIN, 0}};
    assert_true(poll(items, 2, 5000) > 0);
    mle_alloc_fail_after(-1);
    mle_http_kept *kept = mle_http_inbox_take(inbox);
    if (kept != NULL) answer(kept, "fine");
    close(fd);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(requests_wait_for_their_answers, start, stop),
      cmocka_unit_test_setup_teardown(a_client_that_left_does_no_harm, start, stop),
      cmocka_unit_test_setup_teardown(too_many_are_refused, start, stop),
      cmocka_unit_test_setup_teardown(those_that_wait_at_the_end_are_told, start, stop),
      cmocka_unit_test_setup_teardown(without_memory_it_refuses, start, stop),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
