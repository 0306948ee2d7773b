/* Also run under ThreadSanitizer: askers, the thread that answers, and the end. */

#include "rig.h"

#include <poll.h>
#include <pthread.h>

#include "engine/serve/mailbox.h"

#define ASKERS 4
#define TIMES 200

typedef struct asker {
  mle_mailbox *box;
  int number, wrong, refused;
} asker;

static void *ask(void *context) {
  asker *a = context;
  for (int i = 0; i < TIMES; i++) {
    char line[32], *reply;
    snprintf(line, sizeof line, "%d/%d", a->number, i);
    if (mle_mailbox_ask(a->box, line, &reply))
      a->wrong += reply == NULL || strcmp(reply, line) != 0;
    else
      a->refused++;
    mle_free(reply);
  }
  return NULL;
}

/* Answers `count` commands with their own text. */
static void answer(mle_mailbox *box, int count) {
  while (count > 0) {
    struct pollfd item = {box->event_fd, POLLIN, 0};
    poll(&item, 1, 1000);
    const char *line = mle_mailbox_take(box);
    if (line == NULL) continue;
    mle_mailbox_reply(box, mle_strdup(line));
    count--;
  }
}

static void each_hears_its_own_reply(void **state) {
  (void)state;
  mle_mailbox box;
  assert_int_equal(mle_mailbox_init(&box, NULL), MLE_OK);
  asker askers[ASKERS];
  pthread_t threads[ASKERS];
  for (int i = 0; i < ASKERS; i++) {
    askers[i] = (asker){.box = &box, .number = i};
    assert_int_equal(pthread_create(&threads[i], NULL, ask, &askers[i]), 0);
  }
  answer(&box, ASKERS * TIMES / 2);
  mle_mailbox_close(&box); /* who waits now, and who asks later, is told */
  int refused = 0;
  for (int i = 0; i < ASKERS; i++) {
    pthread_join(threads[i], NULL);
    assert_int_equal(askers[i].wrong, 0);
    refused += askers[i].refused;
  }
  assert_int_equal(refused, ASKERS * TIMES / 2);
  assert_null(mle_mailbox_take(&box));
  mle_mailbox_release(&box);
}

static void *answer_nothing(void *context) {
  mle_mailbox *box = context;
  struct pollfd item = {box->event_fd, POLLIN, 0};
  while (poll(&item, 1, 1000) < 1) continue;
  if (mle_mailbox_take(box) != NULL) mle_mailbox_reply(box, NULL);
  return NULL;
}

/* Who answered had no memory for it. */
static void a_reply_may_be_none(void **state) {
  (void)state;
  mle_mailbox box;
  pthread_t thread;
  char *reply;
  assert_int_equal(mle_mailbox_init(&box, NULL), MLE_OK);
  assert_int_equal(pthread_create(&thread, NULL, answer_nothing, &box), 0);
  assert_true(mle_mailbox_ask(&box, "x", &reply));
  assert_null(reply);
  pthread_join(thread, NULL);
  mle_mailbox_release(&box);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(each_hears_its_own_reply),
      cmocka_unit_test(a_reply_may_be_none),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
