/* A mail, as an SMTP server gets it; servers that refuse, and those that go away. jobs/mail_test.py tries encryption. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants these first */
#include <cmocka.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "engine/base/alloc.h"
#include "engine/http/address.h"
#include "engine/http/mail.h"

#define GO "" /* closes the connection instead of an answer */

/* What it answers; NULL is what a server that takes the mail says. */
typedef struct smtp {
  const char *greeting, *recipient, *data, *end;
  int fd, idle_ms; /* 0: waits for the next line however long */
  char url[MLE_URL_MAX], got[8192]; /* commands and text of the last connection */
  size_t len;
  pthread_t thread;
  int visits; /* connections that are open */
} smtp;

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t left = PTHREAD_COND_INITIALIZER;

static void count(smtp *s, int more) {
  pthread_mutex_lock(&mutex);
  s->visits += more;
  pthread_cond_signal(&left);
  pthread_mutex_unlock(&mutex);
}

/* A line of the last connection; NULL begins one. */
static void keep(smtp *s, const char *line, size_t len) {
  pthread_mutex_lock(&mutex);
  if (line == NULL) {
    s->len = 0;
    s->got[0] = '\0';
  } else if (s->len + len < sizeof s->got) {
    memcpy(s->got + s->len, line, len + 1);
    s->len += len;
  }
  pthread_mutex_unlock(&mutex);
}

static const char *answer_to(const smtp *s, const char *line, bool *in_text) {
  if (*in_text) {
    if (strcmp(line, ".\r\n") != 0) return NULL;
    *in_text = false;
    return s->end != NULL ? s->end : "250 taken\r\n";
  }
  if (strncasecmp(line, "EHLO", 4) == 0) return "250-test\r\n250 8BITMIME\r\n";
  if (strncasecmp(line, "RCPT", 4) == 0 && s->recipient != NULL) return s->recipient;
  if (strncasecmp(line, "QUIT", 4) == 0) return "221 bye\r\n";
  if (strncasecmp(line, "DATA", 4) != 0) return "250 fine\r\n";
  *in_text = s->data == NULL;
  return s->data != NULL ? s->data : "354 go on\r\n";
}

static bool say(int client, const char *text) {
  return *text != '\0' && send(client, text, strlen(text), MSG_NOSIGNAL) == (ssize_t)strlen(text);
}

typedef struct visit {
  smtp *s;
  int client;
} visit;

/* A thread for each: libcurl may leave a connection open when it runs out of memory, and make another. */
static void *serve_one(void *context) {
  visit v = *(visit *)context;
  smtp *s = v.s;
  char line[2048];
  size_t len = 0;
  bool in_text = false;
  const struct timeval idle = {0, s->idle_ms * 1000};
  setsockopt(v.client, SOL_SOCKET, SO_RCVTIMEO, &idle, sizeof idle);
  free(context);
  keep(s, NULL, 0);
  if (!say(v.client, s->greeting != NULL ? s->greeting : "220 test\r\n")) goto done;
  while (len < sizeof line - 1 && recv(v.client, line + len, 1, 0) == 1) {
    if (line[len++] != '\n') continue;
    line[len] = '\0';
    keep(s, line, len);
    const char *answer = answer_to(s, line, &in_text);
    if (answer != NULL && !say(v.client, answer)) goto done;
    len = 0;
  }
done:
  close(v.client);
  count(s, -1);
  return NULL;
}

static void *serve(void *context) {
  smtp *s = context;
  for (;;) {
    struct pollfd item = {s->fd, POLLIN, 0};
    poll(&item, 1, -1);
    visit *v = malloc(sizeof *v);
    pthread_t thread;
    *v = (visit){s, accept(s->fd, NULL, NULL)};
    if (v->client < 0) {
      free(v);
      return NULL;
    }
    count(s, 1);
    assert_int_equal(pthread_create(&thread, NULL, serve_one, v), 0);
    pthread_detach(thread);
  }
}

static void start(smtp *s) {
  mle_address address = {.host = "127.0.0.1", .port = 0};
  char url[MLE_URL_MAX];
  assert_int_equal(mle_address_listen(&address, &s->fd, NULL), MLE_OK);
  mle_address_url(&address, url);
  snprintf(s->url, sizeof s->url, "smtp%s", strchr(url, ':'));
  assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
}

static void stop(smtp *s) {
  shutdown(s->fd, SHUT_RDWR);
  pthread_join(s->thread, NULL);
  pthread_mutex_lock(&mutex);
  while (s->visits > 0) pthread_cond_wait(&left, &mutex);
  pthread_mutex_unlock(&mutex);
  close(s->fd);
}

static mle_status post(const smtp *s, const char *password, mle_error *err) {
  static const char *const to[] = {"a@example.org", "b@example.org", NULL};
  const mle_mail mail = {.url = s->url, .user = password == NULL ? NULL : "ml", .password = password, .from = "ml@example.org",
                         .to = to, .text = "Subject: hello\r\n\r\nfirst\r\n.hidden\r\n..\r\n.\r\nlast\r\n"};
  return mle_mail_send(&mail, err);
}

static void it_arrives_as_it_is(void **unused) {
  (void)unused;
  smtp s = {0};
  mle_error err;
  start(&s);
  assert_int_equal(post(&s, NULL, &err), MLE_OK);
  stop(&s); /* its threads have ended: what it got can be read */
  assert_non_null(strstr(s.got, "MAIL FROM:<ml@example.org>"));
  assert_non_null(strstr(s.got, "RCPT TO:<a@example.org>\r\nRCPT TO:<b@example.org>\r\nDATA\r\n"));
  assert_non_null(strstr(s.got, "\r\n\r\nfirst\r\n..hidden\r\n...\r\n..\r\nlast\r\n.\r\n")); /* RFC 5321, 4.5.2 */
}

static void what_the_server_says_is_told(void **unused) {
  (void)unused;
  static const struct {
    smtp server;
    mle_status status;
    const char *told;
  } cases[] = {
      {{.greeting = "554 not here\r\n"}, MLE_EIO, "554"},
      {{.greeting = GO}, MLE_EIO, "sending mail: "},
      {{.greeting = "HTTP/1.1 400 Bad Request\r\n\r\n", .idle_ms = 50}, MLE_EIO, "sending mail: "},
      {{.recipient = "550 nobody of that name\r\n"}, MLE_EIO, "550"},
      {{.data = "451 the disk is full\r\n"}, MLE_EIO, "451"},
      {{.end = "552 too much\r\n"}, MLE_EIO, "552"},
      {{.end = GO}, MLE_EUNKNOWN, "sending mail: "}, /* it may have been taken */
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    smtp s = cases[i].server;
    mle_error err;
    start(&s);
    mle_status status = post(&s, NULL, &err);
    stop(&s);
    if (status != cases[i].status || strstr(err.message, cases[i].told) == NULL)
      fail_msg("case %zu: %s: %s", i, mle_status_name(status), status == MLE_OK ? "" : err.message);
  }
}

static void a_password_is_not_sent_in_the_clear(void **unused) {
  (void)unused;
  smtp s = {0};
  mle_error err;
  start(&s);
  assert_int_equal(post(&s, "S3CR3T", &err), MLE_EIO);
  stop(&s);
  assert_null(strstr(s.got, "AUTH"));
  assert_null(strstr(s.got, "MAIL"));
  assert_null(strstr(err.message, "S3CR3T"));
}

static void only_mail_servers_are_asked(void **unused) {
  (void)unused;
  static const char *const urls[] = {"http://127.0.0.1:1/", "file:///etc/passwd", "smtp://", "", "smtp://127.0.0.1:1"};
  for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
    smtp s = {0};
    mle_error err;
    snprintf(s.url, sizeof s.url, "%s", urls[i]);
    assert_int_equal(post(&s, NULL, &err), MLE_EIO);
  }
}

static void each_allocation_may_fail(void **unused) {
  (void)unused;
  smtp s = {.idle_ms = 10}; /* libcurl may lose an answer for want of memory, and wait for it */
  mle_error err;
  start(&s);
  for (long n = 0;; n++) {
    mle_alloc_fail_after(n);
    mle_status status = post(&s, NULL, &err);
    mle_alloc_fail_after(-1);
    if (status == MLE_OK) {
      assert_true(n > 20);
      break;
    }
    if (status != MLE_ENOMEM && status != MLE_EIO) /* libcurl says of some what it could not do */
      fail_msg("after %ld allocations: %s: %s", n, mle_status_name(status), err.message);
  }
  stop(&s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(it_arrives_as_it_is),
      cmocka_unit_test(what_the_server_says_is_told),
      cmocka_unit_test(a_password_is_not_sent_in_the_clear),
      cmocka_unit_test(only_mail_servers_are_asked),
      cmocka_unit_test(each_allocation_may_fail),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
