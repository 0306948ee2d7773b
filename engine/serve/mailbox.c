#include "engine/serve/mailbox.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

mle_status mle_mailbox_init(mle_mailbox *box, mle_error *err) {
  memset(box, 0, sizeof *box);
  pthread_mutex_init(&box->turn, NULL);
  pthread_mutex_init(&box->lock, NULL);
  pthread_cond_init(&box->changed, NULL);
  box->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (box->event_fd >= 0) return MLE_OK;
  return mle_fail(err, MLE_EIO, "cannot make an eventfd: %s", strerror(errno));
}

void mle_mailbox_release(mle_mailbox *box) {
  close(box->event_fd);
  pthread_cond_destroy(&box->changed);
  pthread_mutex_destroy(&box->lock);
  pthread_mutex_destroy(&box->turn);
}

bool mle_mailbox_ask(mle_mailbox *box, const char *line, char **out_reply) {
  uint64_t one = 1;
  pthread_mutex_lock(&box->turn);
  pthread_mutex_lock(&box->lock);
  box->line = line;
  box->reply = NULL;
  box->answered = false;
  bool told = !box->closed && write(box->event_fd, &one, sizeof one) == sizeof one;
  while (told && !box->answered && !box->closed) pthread_cond_wait(&box->changed, &box->lock);
  box->line = NULL;
  *out_reply = box->reply;
  bool answered = told && box->answered;
  pthread_mutex_unlock(&box->lock);
  pthread_mutex_unlock(&box->turn);
  return answered;
}

const char *mle_mailbox_take(mle_mailbox *box) {
  uint64_t count;
  pthread_mutex_lock(&box->lock);
  const char *line = box->line;
  box->line = NULL;
  if (read(box->event_fd, &count, sizeof count) < 0) line = NULL;
  pthread_mutex_unlock(&box->lock);
  return line;
}

void mle_mailbox_reply(mle_mailbox *box, char *reply) {
  pthread_mutex_lock(&box->lock);
  box->reply = reply;
  box->answered = true;
  pthread_cond_broadcast(&box->changed);
  pthread_mutex_unlock(&box->lock);
}

void mle_mailbox_close(mle_mailbox *box) {
  pthread_mutex_lock(&box->lock);
  box->closed = true;
  pthread_cond_broadcast(&box->changed);
  pthread_mutex_unlock(&box->lock);
}
