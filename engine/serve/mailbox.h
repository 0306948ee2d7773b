/*
 * mailbox.h -- commands for the control thread from other threads, one at a time.
 *
 *     if (mle_mailbox_ask(box, line, &reply)) ... mle_free(reply);      any thread
 *
 *     poll(box->event_fd); line = mle_mailbox_take(box);                the control thread
 *     mle_mailbox_reply(box, answer);
 */
#ifndef MLE_MAILBOX_H
#define MLE_MAILBOX_H

#include <pthread.h>
#include <stdbool.h>

#include "engine/base/error.h"

typedef struct mle_mailbox {
  pthread_mutex_t turn; /* held by who asks, until it has its reply */
  pthread_mutex_t lock; /* guards what follows */
  pthread_cond_t changed;
  const char *line; /* a command that nobody took yet */
  char *reply;
  bool answered, closed;
  int event_fd;
} mle_mailbox;

mle_status mle_mailbox_init(mle_mailbox *box, mle_error *err);
void mle_mailbox_release(mle_mailbox *box);

/* Waits for the reply, which is the caller's (NULL: out of memory); false when the box is closed. */
bool mle_mailbox_ask(mle_mailbox *box, const char *line, char **out_reply);

/* The command that waits, valid until it is replied to; NULL when none does. */
const char *mle_mailbox_take(mle_mailbox *box);
void mle_mailbox_reply(mle_mailbox *box, char *reply); /* takes it */

/* Nobody will take commands any more. */
void mle_mailbox_close(mle_mailbox *box);

#endif
