#include "engine/http/connections.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>

#include "engine/base/alloc.h"
#include "engine/base/clock.h"

#define QUIET_NS INT64_C(500000000) /* younger ones are not looked at */

void mle_connections_init(mle_connections *list) {
  pthread_mutex_init(&list->lock, NULL);
  list->first = NULL;
}

void mle_connections_release(mle_connections *list) { pthread_mutex_destroy(&list->lock); }

mle_connection *mle_connections_add(mle_connections *list, int fd) {
  mle_connection *connection = mle_calloc(1, sizeof *connection);
  if (connection == NULL) return NULL;
  connection->fd = fd;
  mle_connection_enter(connection, MLE_CONNECTION_WAITS);
  pthread_mutex_lock(&list->lock);
  connection->next = list->first;
  if (list->first != NULL) list->first->previous = connection;
  list->first = connection;
  pthread_mutex_unlock(&list->lock);
  return connection;
}

/* Called before the socket is closed, so the sweep never sees a number used again. */
void mle_connections_remove(mle_connections *list, mle_connection *connection) {
  if (connection == NULL) return;
  pthread_mutex_lock(&list->lock);
  if (connection->previous != NULL) connection->previous->next = connection->next;
  if (connection->next != NULL) connection->next->previous = connection->previous;
  if (list->first == connection) list->first = connection->next;
  pthread_mutex_unlock(&list->lock);
  mle_free(connection);
}

void mle_connection_touch(mle_connection *connection) {
  if (connection == NULL) return;
  atomic_store_explicit(&connection->since_ns, mle_monotonic_coarse_ns(), memory_order_relaxed);
}

void mle_connection_enter(mle_connection *connection, mle_connection_phase phase) {
  if (connection == NULL) return;
  atomic_store_explicit(&connection->phase, (int)phase, memory_order_relaxed);
  if (phase == MLE_CONNECTION_ANSWERS) return;
  mle_connection_touch(connection);
}

long mle_connections_busy(mle_connections *list) {
  long busy = 0;
  pthread_mutex_lock(&list->lock);
  for (const mle_connection *c = list->first; c != NULL; c = c->next)
    busy += atomic_load_explicit(&c->phase, memory_order_relaxed) != MLE_CONNECTION_WAITS;
  pthread_mutex_unlock(&list->lock);
  return busy;
}

/* All bytes were read and no more can come. Twice in a row, in the same phase: a request that came with the end may
 * be on its way to its first line. */
static bool has_ended(mle_connection *c, int64_t since_ns) {
  char byte;
  if (recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) != 0) return false;
  if (c->ended_ns == since_ns) return true;
  c->ended_ns = since_ns;
  return false;
}

/* The kernel knows when the last byte came: asking it here, once in a long while, is cheaper than a timer that each wait
 * for a request starts and stops. */
static bool is_silent(const mle_connection *c, int64_t silent_ns) {
  struct tcp_info info;
  socklen_t size = sizeof info;
  memset(&info, 0, sizeof info);
  if (getsockopt(c->fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return false;
  return (int64_t)info.tcpi_last_data_recv * 1000000 > silent_ns;
}

static bool is_over(mle_connection *c, int64_t now, const mle_connection_limits *limits) {
  int64_t since_ns = atomic_load_explicit(&c->since_ns, memory_order_relaxed), age = now - since_ns;
  int phase = atomic_load_explicit(&c->phase, memory_order_relaxed);
  if (age > limits->whole_ns || (age > limits->idle_ns && phase == MLE_CONNECTION_WAITS)) return true;
  if (age <= QUIET_NS || phase == MLE_CONNECTION_ANSWERS) return false;
  return (age > limits->silent_ns && is_silent(c, limits->silent_ns)) || has_ended(c, since_ns);
}

int mle_connections_sweep(mle_connections *list, const mle_connection_limits *limits) {
  int64_t now = mle_monotonic_ns();
  int shut = 0;
  pthread_mutex_lock(&list->lock);
  for (mle_connection *c = list->first; c != NULL; c = c->next) {
    if (!is_over(c, now, limits)) continue;
    shutdown(c->fd, SHUT_RDWR); /* its thread wakes, and closes it */
    shut++;
  }
  pthread_mutex_unlock(&list->lock);
  return shut;
}
