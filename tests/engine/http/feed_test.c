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
#include "engine/http/feed.h"
#include "engine/http/inbox.h"

#define RING ((size_t)4096)
#define READERS 3

static mle_http_server *server;
static mle_http_inbox *inbox;
static mle_http_feed *feed;
static mle_address address;

static int start(void **state) {
  (void)state;
  mle_http_server_options options = MLE_HTTP_SERVER_OPTIONS;
  if (mle_http_inbox_new(8, &inbox, NULL) != MLE_OK) return -1;
  if (mle_http_feed_new(RING, READERS, &feed, NULL) != MLE_OK) return -1;
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
  mle_http_feed_close(feed);
  mle_http_server_stop(server, 5000);
  assert_int_equal(mle_http_feed_readers(feed), 0);
  mle_http_inbox_free(inbox);
  mle_http_feed_free(feed);
  return 0;
}

static int call(void) {
  static const char text[] = "GET /events HTTP/1.1\r\nHost: h\r\n\r\n";
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(address.port),
                           .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
  assert_int_equal(send(fd, text, sizeof text - 1, MSG_NOSIGNAL), (ssize_t)sizeof text - 1);
  return fd;
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

static int follow(const char *first) {
  int fd = call();
  mle_http_kept *kept = take();
  kept->answer.content_type = "text/event-stream";
  assert_int_equal(mle_http_feed_attach(feed, kept, first, strlen(first), NULL), MLE_OK);
  return fd;
}

static void publish(const char *text) { assert_int_equal(mle_http_feed_publish(feed, text, strlen(text), NULL), MLE_OK); }

/* Takes out what is between two chunks of a body: CRLF, the next one's length, CRLF. */
static void join_chunks(char *text) {
  for (char *at = text; (at = strstr(at, "\r\n")) != NULL;) {
    size_t digits = strspn(at + 2, "0123456789abcdefABCDEF");
    if (digits > 0 && strncmp(at + 2 + digits, "\r\n", 2) == 0)
      memmove(at, at + 4 + digits, strlen(at + 4 + digits) + 1);
    else
      at += 2;
  }
}

/* Reads until `part` was seen. */
static void expect(int fd, const char *part) {
  char got[16384] = "";
  size_t len = 0;
  while (strstr(got, part) == NULL) {
    struct pollfd item = {fd, POLLIN, 0};
    if (poll(&item, 1, 5000) <= 0) fail_msg("waited for '%s', got '%s'", part, got);
    ssize_t more = recv(fd, got + len, sizeof got - len - 1, 0);
    if (more <= 0) fail_msg("closed before '%s', got '%s'", part, got);
    got[len + (size_t)more] = '\0';
    join_chunks(got);
    len = strlen(got);
  }
}

/* Reads to the end; how many bytes that were. */
static size_t drain(int fd) {
  char got[4096];
  size_t len = 0;
  for (;;) {
    struct pollfd item = {fd, POLLIN, 0};
    if (poll(&item, 1, 5000) <= 0) fail_msg("the end did not come");
    ssize_t more = recv(fd, got, sizeof got, 0);
    if (more <= 0) return len;
    len += (size_t)more;
    if (len >= 5 && more >= 5 && memcmp(got + more - 5, "0\r\n\r\n", 5) == 0) return len; /* the last chunk */
  }
}

static void all_who_follow_get_what_is_published(void **state) {
  (void)state;
  int one = follow("hello one;"), two = follow("");
  expect(one, "hello one;");
  for (int i = 0; i < 300; i++) { /* around the ring more than once */
    char text[64];
    snprintf(text, sizeof text, "event number %d of all;", i);
    publish(text);
    expect(one, text);
    expect(two, text);
  }
  int late = follow("late;");
  publish("for three;");
  expect(late, "for three;");
  expect(one, "for three;");
  assert_int_equal(mle_http_feed_readers(feed), 3);
  close(one);
  close(two);
  close(late);
}

static void who_left_is_noticed(void **state) {
  (void)state;
  int one = follow("hello;");
  expect(one, "hello;");
  close(one);
  for (int i = 0; i < 500 && mle_http_feed_readers(feed) > 0; i++) {
    publish(":\n\n");
    usleep(10000);
  }
  assert_int_equal(mle_http_feed_readers(feed), 0);
}

static void too_many_and_too_much_are_refused(void **state) {
  (void)state;
  mle_error err;
  int fd[READERS + 1];
  for (int i = 0; i < READERS; i++) fd[i] = follow("hello;");
  fd[READERS] = call();
  mle_http_kept *kept = take();
  assert_int_equal(mle_http_feed_attach(feed, kept, "", 0, &err), MLE_EREFUSED);
  assert_string_equal(err.message, "3 clients follow already, and no more may");
  mle_http_inbox_refuse(kept, 503, "no");
  expect(fd[READERS], " 503 ");
  static const char large[RING + 1];
  assert_int_equal(mle_http_feed_publish(feed, large, sizeof large, &err), MLE_EREFUSED);
  for (int i = 0; i <= READERS; i++) close(fd[i]);
}

/* A reader that does not read must neither hold the others up nor get a part of an event. */
static void who_falls_behind_is_cut_off(void **state) {
  (void)state;
  static char block[RING / 2 + 1];
  memset(block, 'x', RING / 2);
  int slow = follow("hello;"), fast = follow("hello;");
  expect(fast, "hello;");
  int small = 4096;
  setsockopt(slow, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
  for (int i = 0; i < 20000 && mle_http_feed_readers(feed) == 2; i++) {
    publish(block);
    char got[8192];
    while (recv(fast, got, sizeof got, MSG_DONTWAIT) > 0) continue;
    if (i % 64 == 0) usleep(1000);
  }
  publish("still here;");
  (void)drain(slow);
  close(slow);
  close(fast);
}

static void closing_tells_them(void **state) {
  (void)state;
  int one = follow("hello;");
  expect(one, "hello;");
  publish("the last;");
  mle_http_feed_close(feed);
  assert_true(drain(one) > 0);
  int two = call();
  mle_http_kept *kept = take();
  mle_error err;
  assert_int_equal(mle_http_feed_attach(feed, kept, "", 0, &err), MLE_EREFUSED);
  assert_string_equal(err.message, "this process is stopping");
  mle_http_inbox_refuse(kept, 503, "no");
  expect(two, " 503 ");
  close(one);
  close(two);
}

static void without_memory_it_refuses(void **state) {
  (void)state;
  int fd = call();
  mle_http_kept *kept = take();
  mle_http_feed *none;
  mle_alloc_fail_after(0);
  mle_status made = mle_http_feed_new(RING, READERS, &none, NULL);
  mle_status attached = mle_http_feed_attach(feed, kept, "", 0, NULL);
  mle_alloc_fail_after(-1);
  assert_int_equal(made, MLE_ENOMEM);
  assert_null(none);
  assert_int_equal(attached, MLE_ENOMEM);
  assert_int_equal(mle_http_feed_attach(feed, kept, "hello;", 6, NULL), MLE_OK);
  expect(fd, "hello;");
  close(fd);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(all_who_follow_get_what_is_published, start, stop),
      cmocka_unit_test_setup_teardown(who_left_is_noticed, start, stop),
      cmocka_unit_test_setup_teardown(too_many_and_too_much_are_refused, start, stop),
      cmocka_unit_test_setup_teardown(who_falls_behind_is_cut_off, start, stop),
      cmocka_unit_test_setup_teardown(closing_tells_them, start, stop),
      cmocka_unit_test_setup_teardown(without_memory_it_refuses, start, stop),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
