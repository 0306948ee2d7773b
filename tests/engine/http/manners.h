/* manners.h -- a server with bad manners: answers each connection with the next of some bytes. */
#ifndef MANNERS_H
#define MANNERS_H

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/http/address.h"

#define STALL "" /* reads the request, then says nothing */

typedef struct manners {
  const char *const *answers; /* NULL-terminated; the last one is given again and again */
  int fd, count;
  char url[MLE_URL_MAX], last[4096];
  pthread_t thread;
} manners;

static inline void answer_one(manners *m, int client) {
  ssize_t got = recv(client, m->last, sizeof m->last - 1, 0);
  m->last[got > 0 ? got : 0] = '\0';
  const char *answer = m->answers[0];
  for (int i = 0; i <= m->count && m->answers[i] != NULL; i++) answer = m->answers[i];
  m->count++;
  if (*answer == '\0') recv(client, m->last, 1, 0); /* until the other side gives up */
  else if (send(client, answer, strlen(answer), MSG_NOSIGNAL) < 0) return;
}

static inline void *misbehave(void *context) {
  manners *m = context;
  for (;;) {
    struct pollfd item = {m->fd, POLLIN, 0};
    poll(&item, 1, -1);
    int client = accept(m->fd, NULL, NULL);
    if (client < 0) return NULL;
    answer_one(m, client);
    close(client);
  }
}

static inline void manners_start(manners *m, const char *const *answers) {
  mle_address address = {.host = "127.0.0.1", .port = 0};
  memset(m, 0, sizeof *m);
  m->answers = answers;
  assert_int_equal(mle_address_listen(&address, &m->fd, NULL), MLE_OK);
  mle_address_url(&address, m->url);
  assert_int_equal(pthread_create(&m->thread, NULL, misbehave, m), 0);
}

/* The same behind a Unix socket, whose path is put into `path`. */
static inline void manners_start_unix(manners *m, const char *const *answers, char path[108]) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  memset(m, 0, sizeof *m);
  m->answers = answers;
  snprintf(path, 108, "/tmp/mlengine-manners-%ld.sock", (long)getpid());
  strcpy(address.sun_path, path);
  m->fd = socket(AF_UNIX, SOCK_STREAM, 0);
  assert_int_equal(bind(m->fd, (struct sockaddr *)&address, sizeof address), 0);
  assert_int_equal(listen(m->fd, 4), 0);
  assert_int_equal(pthread_create(&m->thread, NULL, misbehave, m), 0);
}

static inline void manners_stop(manners *m) {
  shutdown(m->fd, SHUT_RDWR);
  pthread_join(m->thread, NULL);
  close(m->fd);
}

#endif
