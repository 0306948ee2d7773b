/* Replies that are used again say what they should, whoever still reads the one before. */
#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/http/server.h"

static mle_http_server *server;
static mle_address address;

/* /LEN/NUMBER: a body of so many bytes, all the number's last digit; X-Number; every seventh is text and has one header more. */
static void answer_number(void *context, const mle_http_call *call, mle_http_answer *answer) {
  unsigned len = 0, number = 0;
  char text[16];
  (void)context;
  sscanf(call->path, "/%u/%u", &len, &number);
  snprintf(text, sizeof text, "%u", number);
  mle_http_answer_header(answer, "X-Number", text);
  if (number % 7 == 0) answer->content_type = "text/plain";
  if (number % 7 == 0) mle_http_answer_header(answer, "X-Seventh", "yes");
  answer->status = number % 5 == 0 ? 400 : 200;
  for (unsigned i = 0; i < len; i++) mle_buffer_append(&answer->body, text + strlen(text) - 1, 1, NULL);
}

static int start(void **state) {
  (void)state;
  mle_http_server_options options = MLE_HTTP_SERVER_OPTIONS;
  options.handler = answer_number;
  options.workers = 2;
  address = (mle_address){.host = "127.0.0.1"};
  return mle_http_server_start(&options, &address, &server, NULL) == MLE_OK ? 0 : -1;
}

static int stop(void **state) {
  (void)state;
  mle_http_server_stop(server, 1000);
  return 0;
}

static int connect_to_server(void) {
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(address.port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
  return fd;
}

static int ask(char *out, size_t size, unsigned len, unsigned number) {
  return snprintf(out, size, "GET /%u/%u HTTP/1.1\r\nHost: h\r\n\r\n", len, number);
}

/* A connection and what was read of it beyond the last answer. */
typedef struct reader {
  int fd;
  size_t len;
  char bytes[4096];
} reader;

static bool fill(reader *r) {
  struct pollfd item = {r->fd, POLLIN, 0};
  if (poll(&item, 1, 10000) <= 0) return false;
  ssize_t got = recv(r->fd, r->bytes + r->len, sizeof r->bytes - 1 - r->len, 0);
  if (got <= 0) return false;
  r->len += (size_t)got;
  r->bytes[r->len] = '\0';
  return true;
}

/* False, with a line on what it was, when the next answer is not the one to (len, number). */
static bool is_next(reader *r, unsigned len, unsigned number) {
  char wanted[64], *head;
  r->bytes[r->len] = '\0';
  while ((head = strstr(r->bytes, "\r\n\r\n")) == NULL || r->len < (size_t)(head + 4 - r->bytes) + len)
    if (!fill(r)) return printf("no answer to /%u/%u\n", len, number), false;
  char *body = head + 4;
  snprintf(wanted, sizeof wanted, "\r\nX-Number: %u\r\n", number);
  head[2] = '\0';
  bool good = strstr(r->bytes, wanted) != NULL && strstr(strstr(r->bytes, wanted) + 3, "X-Number") == NULL;
  good = good && strstr(r->bytes, number % 5 == 0 ? " 400 " : " 200 ") != NULL;
  good = good && (strstr(r->bytes, "X-Seventh: yes") != NULL) == (number % 7 == 0);
  good = good && strstr(r->bytes, number % 7 == 0 ? ": text/plain" : ": application/json") != NULL;
  for (unsigned i = 0; i < len; i++) good = good && body[i] == (char)('0' + number % 10);
  if (!good) printf("the answer to /%u/%u is\n%s%.*s\n", len, number, r->bytes, (int)len, body);
  r->len -= (size_t)(body - r->bytes) + len;
  memmove(r->bytes, body + len, r->len);
  return good;
}

static void each_answer_is_its_own(void **state) {
  (void)state;
  reader r[3];
  char request[64];
  for (int i = 0; i < 3; i++) r[i] = (reader){.fd = connect_to_server()};
  for (unsigned n = 1; n < 3000; n++) {
    unsigned len = n * 7919 % 40 + (n % 3 == 0 ? 490 : 0); /* some too long to be kept, some empty */
    int size = ask(request, sizeof request, len, n);
    assert_int_equal(send(r[n % 3].fd, request, (size_t)size, MSG_NOSIGNAL), size);
    assert_true(is_next(&r[n % 3], len, n));
  }
  for (int i = 0; i < 3; i++) close(r[i].fd);
}

#define UNREAD 20000

static void *send_many(void *context) {
  int fd = *(int *)context;
  char request[64];
  for (unsigned n = 1; n <= UNREAD; n++) {
    int size = ask(request, sizeof request, 400, n);
    if (send(fd, request, (size_t)size, MSG_NOSIGNAL) != size) break;
  }
  return NULL;
}

/* Answers that nobody reads yet: those made meanwhile, of the same length, must not change them. */
static void an_answer_under_way_stays_as_it_is(void **state) {
  (void)state;
  pthread_t sender[4];
  reader r[4], other = {.fd = connect_to_server()};
  char request[64];
  for (int i = 0; i < 4; i++) {
    r[i] = (reader){.fd = connect_to_server()};
    assert_int_equal(pthread_create(&sender[i], NULL, send_many, &r[i].fd), 0);
  }
  usleep(300000); /* until the sockets are full */
  for (unsigned n = 1; n < 200; n++) {
    int size = ask(request, sizeof request, 400, n + 3);
    assert_int_equal(send(other.fd, request, (size_t)size, MSG_NOSIGNAL), size);
    assert_true(is_next(&other, 400, n + 3));
  }
  for (int i = 0; i < 4; i++)
    for (unsigned n = 1; n <= UNREAD; n++) assert_true(is_next(&r[i], 400, n));
  for (int i = 0; i < 4; i++) {
    pthread_join(sender[i], NULL);
    close(r[i].fd);
  }
  close(other.fd);
}

/* Connections that end while an answer waits for them. */
static void a_reader_may_go_away(void **state) {
  (void)state;
  char request[64];
  for (int round = 0; round < 20; round++) {
    reader other = {.fd = connect_to_server()};
    int fd = connect_to_server();
    pthread_t sender;
    assert_int_equal(pthread_create(&sender, NULL, send_many, &fd), 0);
    usleep(10000);
    shutdown(fd, SHUT_RDWR);
    pthread_join(sender, NULL);
    for (unsigned n = 1; n < 20; n++) {
      int size = ask(request, sizeof request, 400, n);
      assert_int_equal(send(other.fd, request, (size_t)size, MSG_NOSIGNAL), size);
      assert_true(is_next(&other, 400, n));
    }
    close(fd), close(other.fd);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(each_answer_is_its_own, start, stop),
      cmocka_unit_test_setup_teardown(an_answer_under_way_stays_as_it_is, start, stop),
      cmocka_unit_test_setup_teardown(a_reader_may_go_away, start, stop),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
