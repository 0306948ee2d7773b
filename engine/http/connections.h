/*
 * connections.h -- every open connection, and how long it may take.
 *
 * libmicrohttpd's timeout starts again with each byte, so a client that sends one
 * byte now and then holds its connection for ever. Here each connection has the
 * time its request began; the sweep shuts those that are over the limit, and, where there is
 * no room for others, those that wait for a request. It also shuts those whose other side ended
 * without a whole request: libmicrohttpd's epoll does not see an end that came with the last bytes.
 * One mutex guards the list; `since_ns` and `phase` are written by the connection's own thread.
 */
#ifndef MLE_CONNECTIONS_H
#define MLE_CONNECTIONS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

typedef enum mle_connection_phase {
  MLE_CONNECTION_WAITS,    /* for a request */
  MLE_CONNECTION_RECEIVES, /* a request's first line was there */
  MLE_CONNECTION_ANSWERS,
} mle_connection_phase;

typedef struct mle_connection {
  struct mle_connection *next, *previous;
  int fd;
  _Atomic int64_t since_ns; /* the request began, or the last one was answered */
  atomic_int phase;
  int64_t ended_ns;         /* the sweep saw the other side end: `since_ns` of then */
} mle_connection;

typedef struct mle_connections {
  pthread_mutex_t lock;
  mle_connection *first;
} mle_connections;

void mle_connections_init(mle_connections *list);
void mle_connections_release(mle_connections *list); /* all must have been closed */

/* NULL when out of memory: such a connection is merely not swept. */
mle_connection *mle_connections_add(mle_connections *list, int fd);
void mle_connections_remove(mle_connections *list, mle_connection *connection);

/* Its clock starts again, but not with the answer. NULL is ignored. */
void mle_connection_enter(mle_connection *connection, mle_connection_phase phase);

/* Its clock starts again: an answer without an end goes on. NULL is ignored. */
void mle_connection_touch(mle_connection *connection);

/* How many are past their request's first line and not yet answered. Asked now and then, where counting each request
 * would have all threads write to one place. */
long mle_connections_busy(mle_connections *list);

typedef struct mle_connection_limits {
  int64_t whole_ns;  /* a request and its answer */
  int64_t silent_ns; /* between two bytes of a request, and between two requests */
  int64_t idle_ns;   /* waiting for a request: shorter where few more fit */
} mle_connection_limits;

/* Shuts what is over its time; returns how many. */
int mle_connections_sweep(mle_connections *list, const mle_connection_limits *limits);

#endif
