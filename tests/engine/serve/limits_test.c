/* At each limit of a server: the status that the guide gives, with Retry-After where it is worth trying again; and below
 * the limit again, an answer. */

#include "rig.h"

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <sys/socket.h>

#include "engine/base/clock.h"
#include "engine/http/encoding.h"
#include "engine/serve/api.h"
#include "engine/serve/metrics.h"

#define MIB ((size_t)1 << 20)
#define ROW "{\"inputs\":[[1.5,3,40]]}"

static mle_slots *slots;
static mle_api api;
static mle_http_server *server;
static mle_address address;
static char *folder;

static int start(void **state) {
  (void)state;
  folder = make_folder("binary.ubj", MLMODEL_OF("xgboost.core.Booster"));
  slots = mle_calloc(1, sizeof *slots);
  mle_api_init(&api, slots, "9.9.9");
  assert_int_equal(mle_pool_start(1, 2, &api.slow, NULL), MLE_OK);
  mle_slot *slot;
  mle_served *served;
  mle_served_facts facts = {.deployment = 1, .uri = "m"};
  assert_int_equal(mle_slots_add(slots, "fraud", &slot, NULL), MLE_OK);
  assert_int_equal(mle_served_load(folder, &facts, &served, NULL), MLE_OK);
  mle_cell_exchange(&slot->current, served);
  mle_http_server_options options = MLE_HTTP_SERVER_OPTIONS;
  options.handler = mle_api_answer;
  options.refuser = mle_api_refuse;
  options.context = &api;
  options.workers = 2;
  options.keeps = true;
  options.body_max = 2 * MIB;
  options.answer_max = MIB / 16;
  options.bodies_max = 3 * MIB;
  options.connections_max = 16;
  address = (mle_address){.host = "127.0.0.1", .port = 0};
  assert_int_equal(mle_http_server_start(&options, &address, &server, NULL), MLE_OK);
  return 0;
}

static int stop(void **state) {
  (void)state;
  mle_pool_stop(api.slow);
  mle_http_server_stop(server, 10000);
  mle_pool_free(api.slow);
  mle_slots_release(slots);
  mle_api_release(&api);
  mle_free(slots);
  drop_folder(folder);
  return 0;
}

/* ====== A client ====== */

static int connect_to_server(void) {
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(address.port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof at), 0);
  return fd;
}

/* Spaces in front of `rest` make a body as long as wanted; `len` of it are sent. */
static void send_body(int fd, const char *rest, size_t total, size_t len) {
  char *text = mle_format("POST /invocations HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n", total);
  char *body = mle_alloc(total);
  memset(body, ' ', total);
  memcpy(body + total - strlen(rest), rest, strlen(rest));
  assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
  for (size_t sent = 0; sent < len;) {
    ssize_t some = send(fd, body + sent, len - sent, MSG_NOSIGNAL);
    assert_true(some > 0);
    sent += (size_t)some;
  }
  mle_free(text);
  mle_free(body);
}

/* The answer as it stands, up to the end of its body; "" when the connection was closed first. */
static const char *answer_of(int fd) {
  static char got[8192];
  size_t len = 0;
  got[0] = '\0';
  for (;;) {
    struct pollfd item = {fd, POLLIN, 0};
    if (poll(&item, 1, 60000) < 1) fail_msg("no answer: %s", got);
    ssize_t some = recv(fd, got + len, sizeof got - 1 - len, 0);
    if (some <= 0) return got;
    got[len += (size_t)some] = '\0';
    const char *end = strstr(got, "\r\n\r\n");
    if (end != NULL && strchr(end, '}') != NULL) return got;
  }
}

static void expect(int fd, const char *status, bool again) {
  const char *got = answer_of(fd);
  if (strstr(got, status) == NULL || (strstr(got, "Retry-After: 1\r\n") != NULL) != again) fail_msg("%s, wanted %s", got, status);
  close(fd);
}

static void ask(const char *status) {
  int fd = connect_to_server();
  send_body(fd, ROW, strlen(ROW), strlen(ROW));
  expect(fd, status, false);
}

/* ====== Large requests under way ====== */

/* Whether /metrics tells of it. */
static bool is_counted(const char *part) {
  mle_buffer text = MLE_BUFFER(MIB);
  assert_int_equal(mle_metrics_write(&api, &text, NULL), MLE_OK);
  bool found = strstr(text.data, part) != NULL;
  mle_buffer_release(&text);
  return found;
}

typedef struct gate {
  sem_t open;
} gate;

/* Holds the only thread for large requests until the gate is opened. */
static void hold(void *context, bool dropped) {
  gate *g = context;
  if (dropped) return;
  while (sem_wait(&g->open) != 0) continue;
}

static void *open_gate(void *context) {
  gate *g = context;
  sem_post(&g->open);
  return NULL;
}

static void more_large_requests_than_may_wait_are_told_429(void **state) {
  (void)state;
  gate g;
  assert_int_equal(sem_init(&g.open, 0, 0), 0);
  assert_true(mle_pool_reserve(api.slow));
  mle_pool_submit(api.slow, hold, &g);
  int waits = connect_to_server(), late = connect_to_server();
  send_body(waits, ROW, MIB, MIB);
  while (mle_pool_load(api.slow) < 2) usleep(1000);
  send_body(late, ROW, MIB, MIB);
  expect(late, " 429 ", true);
  assert_true(is_counted("code=\"429\"} 1\n"));
  ask(" 200 "); /* small ones are answered beside them */
  open_gate(&g);
  expect(waits, " 200 ", false);
  late = connect_to_server();
  while (mle_pool_load(api.slow) > 0) usleep(1000);
  send_body(late, ROW, MIB, MIB);
  expect(late, " 200 ", false);
}

static void bodies_over_what_all_may_hold_are_told_503(void **state) {
  (void)state;
  int first = connect_to_server(), second = connect_to_server(), third;
  send_body(first, ROW, 2 * MIB, 2 * MIB - 1); /* its last byte is to come */
  usleep(200000);
  send_body(second, ROW, 2 * MIB, 2 * MIB);
  expect(second, " 503 ", true);
  ask(" 200 ");
  assert_int_equal(send(first, "}", 1, MSG_NOSIGNAL), 1);
  expect(first, " 200 ", false);
  while (mle_http_server_in_flight(server) > 0) usleep(1000);
  third = connect_to_server();
  send_body(third, ROW, 2 * MIB, 2 * MIB);
  expect(third, " 200 ", false);
}

/* What a compressed body stands for counts, not what it came as. */
static void unpacked_bodies_count_towards_what_all_may_hold(void **state) {
  (void)state;
  gate g;
  mle_buffer body = MLE_BUFFER(2 * MIB);
  assert_int_equal(mle_buffer_reserve(&body, 2 * MIB - 1, NULL), MLE_OK);
  memset(body.data, ' ', 2 * MIB - 1);
  memcpy(body.data + 2 * MIB - 1 - strlen(ROW), ROW, strlen(ROW));
  body.len = 2 * MIB - 1;
  assert_int_equal(mle_http_gzip(&body, NULL), MLE_OK);
  assert_true(body.len < MIB / 8);
  char *head = mle_format("POST /invocations HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\nContent-Length: %zu\r\n\r\n", body.len);
  assert_int_equal(sem_init(&g.open, 0, 0), 0);
  assert_true(mle_pool_reserve(api.slow));
  mle_pool_submit(api.slow, hold, &g);
  int fd[2];
  for (int i = 0; i < 2; i++) {
    fd[i] = connect_to_server();
    assert_int_equal(send(fd[i], head, strlen(head), MSG_NOSIGNAL), (ssize_t)strlen(head));
    assert_int_equal(send(fd[i], body.data, body.len, MSG_NOSIGNAL), (ssize_t)body.len);
    while (i == 0 && mle_pool_load(api.slow) < 2) usleep(1000);
  }
  expect(fd[1], " 503 ", true);
  open_gate(&g);
  expect(fd[0], " 200 ", false);
  mle_buffer_release(&body);
  mle_free(head);
}

static void a_body_or_a_head_too_large_is_not_worth_another_try(void **state) {
  (void)state;
  int fd = connect_to_server();
  send_body(fd, ROW, 2 * MIB + 1, 2 * MIB + 1);
  expect(fd, " 413 ", false);
  fd = connect_to_server();
  char head[32 << 10];
  memset(head, 'a', sizeof head);
  memcpy(head, "GET /ping HTTP/1.1\r\nHost: h\r\nX: ", 32);
  assert_true(send(fd, head, sizeof head, MSG_NOSIGNAL) > 0);
  const char *got = answer_of(fd);
  assert_non_null(strstr(got, " 431 "));
  close(fd);
}

static void an_answer_too_large_asks_for_fewer_rows(void **state) {
  (void)state;
  enum { ROWS = 5000 };
  mle_buffer body = MLE_BUFFER(MIB);
  assert_int_equal(mle_buffer_puts(&body, "{\"inputs\":[[1,2,3]", NULL), MLE_OK);
  for (int i = 1; i < ROWS; i++) assert_int_equal(mle_buffer_puts(&body, ",[1,2,3]", NULL), MLE_OK);
  assert_int_equal(mle_buffer_puts(&body, "]}", NULL), MLE_OK);
  int fd = connect_to_server();
  send_body(fd, body.data, body.len, body.len);
  const char *got = answer_of(fd);
  if (strstr(got, " 413 ") == NULL || strstr(got, "the answer is larger than the 65536 bytes allowed; send the rows in parts") == NULL)
    fail_msg("%s", got);
  close(fd);
  mle_buffer_release(&body);
}

/* One request of each protocol, with its allocations failing from the n-th on: an answer, 503 or the end of the connection. */
static void without_memory_a_request_is_told_503(void **state) {
  (void)state;
  static const char *const requests[] = {
      "POST /invocations HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: 23\r\n\r\n" ROW,
      "POST /v2/models/fraud/infer HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: 72\r\n\r\n"
      "{\"inputs\":[{\"name\":\"x\",\"shape\":[1,3],\"datatype\":\"FP32\",\"data\":[1,2,3]}]}",
      "POST /model?accessKey=mle_x HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: 24\r\n\r\n{\"request\":{\"amount\":1}}",
      "GET / HTTP/1.1\r\nHost: h\r\n\r\n",
      "GET /metrics HTTP/1.1\r\nHost: h\r\n\r\n",
  };
  for (size_t r = 0; r < sizeof requests / sizeof *requests; r++) {
    int told = 0;
    for (long granted = 0; granted < 12; granted++) {
      char got[8192];
      int fd = connect_to_server();
      while (mle_http_server_connections(server) < 1) usleep(1000); /* it has what a connection needs */
      mle_alloc_fail_after(granted);
      assert_true(send(fd, requests[r], strlen(requests[r]), MSG_NOSIGNAL) > 0);
      struct pollfd item = {fd, POLLIN, 0};
      if (poll(&item, 1, 60000) < 1) fail_msg("no answer after %ld allocations: %s", granted, requests[r]);
      ssize_t len = recv(fd, got, sizeof got - 1, 0);
      mle_alloc_fail_after(-1);
      got[len > 0 ? len : 0] = '\0';
      told += strstr(got, " 503 ") != NULL;
      if (strstr(got, " 500 ") != NULL) fail_msg("after %ld allocations: %s", granted, got);
      close(fd);
      while (mle_http_server_connections(server) > 0) usleep(1000);
    }
    if (r < 2) assert_true(told > 0);
  }
  ask(" 200 ");
  assert_int_equal(mle_served_live(), 1);
}

/* When few more connections fit, those that wait for a request make room. */
static void idle_connections_make_room(void **state) {
  (void)state;
  int idle[16];
  for (int i = 0; i < 16; i++) idle[i] = connect_to_server();
  int64_t end = mle_monotonic_ns() + INT64_C(60000000000);
  while (mle_http_server_connections(server) < 16 && mle_monotonic_ns() < end) usleep(1000);
  while (mle_http_server_connections(server) > 14 && mle_monotonic_ns() < end) {
    mle_http_server_tick(server);
    usleep(20000);
  }
  assert_in_range(mle_http_server_connections(server), 0, 14);
  ask(" 200 ");
  for (int i = 0; i < 16; i++) close(idle[i]);
}

/* What waits when the server ends is told so, and what it holds is freed. */
static void a_server_that_stops_tells_who_waits(void **state) {
  (void)state;
  gate g;
  assert_int_equal(sem_init(&g.open, 0, 0), 0);
  assert_true(mle_pool_reserve(api.slow));
  mle_pool_submit(api.slow, hold, &g);
  int waits = connect_to_server();
  send_body(waits, ROW, MIB, MIB);
  while (mle_pool_load(api.slow) < 2) usleep(1000);
  mle_http_server_drain(server);
  pthread_t opener;
  assert_int_equal(pthread_create(&opener, NULL, open_gate, &g), 0);
  mle_pool_stop(api.slow);
  pthread_join(opener, NULL);
  const char *got = answer_of(waits); /* it may have been next */
  assert_true((strstr(got, " 503 ") != NULL && strstr(got, "Retry-After: 1\r\n") != NULL && strstr(got, "the server is stopping") != NULL) ||
              strstr(got, " 200 ") != NULL);
  assert_non_null(strstr(got, "Connection: close"));
  close(waits);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(more_large_requests_than_may_wait_are_told_429, start, stop),
      cmocka_unit_test_setup_teardown(bodies_over_what_all_may_hold_are_told_503, start, stop),
      cmocka_unit_test_setup_teardown(unpacked_bodies_count_towards_what_all_may_hold, start, stop),
      cmocka_unit_test_setup_teardown(a_body_or_a_head_too_large_is_not_worth_another_try, start, stop),
      cmocka_unit_test_setup_teardown(an_answer_too_large_asks_for_fewer_rows, start, stop),
      cmocka_unit_test_setup_teardown(without_memory_a_request_is_told_503, start, stop),
      cmocka_unit_test_setup_teardown(idle_connections_make_room, start, stop),
      cmocka_unit_test_setup_teardown(a_server_that_stops_tells_who_waits, start, stop),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
