#include "rig.h"

#include <pthread.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "engine/serve/control.h"

static char root[64];
static char *folder; /* so deep that its socket's path does not fit into an address */

/* Answers one line, in capitals; hangs up instead when the line is "bye". */
static void *answer_one(void *context) {
  int fd, listen_fd = *(int *)context;
  mle_buffer line = MLE_BUFFER(1000);
  if (mle_control_accept(listen_fd, &fd, &line, NULL) == MLE_OK) {
    for (size_t i = 0; i < line.len; i++) line.data[i] = (char)(line.data[i] & ~0x20);
    if (strcmp(line.data, "BYE") != 0) mle_control_reply(fd, line.data, NULL);
    close(fd);
  }
  mle_buffer_release(&line);
  return NULL;
}

static mle_status ask(const char *line, char **reply, mle_error *err) {
  int listen_fd;
  pthread_t thread;
  assert_int_equal(mle_control_listen(folder, &listen_fd, NULL), MLE_OK);
  pthread_create(&thread, NULL, answer_one, &listen_fd);
  mle_status status = mle_control_call(folder, line, 5000, reply, err);
  pthread_join(thread, NULL);
  close(listen_fd);
  return status;
}

static void a_line_is_answered_by_a_line(void **state) {
  (void)state;
  char *reply;
  mle_error err;
  if (ask("hello", &reply, &err) != MLE_OK) fail_msg("%s", err.message);
  assert_string_equal(reply, "HELLO");
  mle_free(reply);
}

static void only_the_owner_may_connect(void **state) {
  (void)state;
  int fd;
  struct stat info;
  assert_int_equal(mle_control_listen(folder, &fd, NULL), MLE_OK);
  char *path = mle_path_join(folder, "serve.sock");
  assert_int_equal(stat(path, &info), 0);
  assert_int_equal(info.st_mode & 0777, 0600);
  close(fd);
  mle_control_unlink(folder);
  assert_int_not_equal(stat(path, &info), 0);
  mle_free(path);
}

static void nobody_there_is_not_found(void **state) {
  (void)state;
  char *reply;
  mle_error err;
  mle_control_unlink(folder);
  assert_int_equal(mle_control_call(folder, "x", 1000, &reply, &err), MLE_ENOTFOUND);
  assert_string_equal(err.message, "this project's server is not running");
  int fd;
  assert_int_equal(mle_control_listen(folder, &fd, NULL), MLE_OK);
  close(fd); /* a socket that a dead server left */
  assert_int_equal(mle_control_call(folder, "x", 1000, &reply, &err), MLE_ENOTFOUND);
  assert_int_equal(mle_control_call("/no/such/folder", "x", 1000, &reply, &err), MLE_ENOTFOUND);
}

static void hanging_up_is_an_unknown_outcome(void **state) {
  (void)state;
  char *reply;
  mle_error err;
  assert_int_equal(ask("bye", &reply, &err), MLE_EUNKNOWN);
  assert_null(reply);
}

/* As a server does that ends: what was not accepted yet is cut off, before or while it is written. */
static void *end_at_once(void *context) {
  int fd = accept(*(int *)context, NULL, NULL);
  close(fd);
  return NULL;
}

static void ending_is_an_unknown_outcome_at_any_moment(void **state) {
  (void)state;
  for (int i = 0; i < 200; i++) {
    int listen_fd;
    pthread_t thread;
    char *reply;
    mle_error err;
    assert_int_equal(mle_control_listen(folder, &listen_fd, NULL), MLE_OK);
    pthread_create(&thread, NULL, end_at_once, &listen_fd);
    assert_int_equal(mle_control_call(folder, "hello", 5000, &reply, &err), MLE_EUNKNOWN);
    pthread_join(thread, NULL);
    close(listen_fd);
  }
}

static void lines_and_waits_are_bounded(void **state) {
  (void)state;
  char *reply, *large = mle_alloc(5001);
  int fd;
  mle_error err;
  memset(large, 'x', 5000);
  large[5000] = '\0';
  assert_int_not_equal(ask(large, &reply, &err), MLE_OK); /* the server's buffer holds 1,000 */
  assert_int_equal(mle_control_listen(folder, &fd, NULL), MLE_OK);
  assert_int_equal(mle_control_call(folder, "x", 200, &reply, &err), MLE_ETIMEOUT); /* nobody accepts */
  close(fd);
  mle_free(large);
}

static int start(void **state) {
  (void)state;
  strcpy(root, "/tmp/mlengine-control-XXXXXX");
  assert_non_null(mkdtemp(root));
  folder = mle_format("%s/%0100d/%0100d", root, 1, 2);
  return mle_make_folders(folder, 0700, NULL) == MLE_OK ? 0 : -1;
}

static int stop(void **state) {
  (void)state;
  mle_free(folder);
  return mle_remove_tree(root, NULL) == MLE_OK ? 0 : -1;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_line_is_answered_by_a_line),
      cmocka_unit_test(only_the_owner_may_connect),
      cmocka_unit_test(nobody_there_is_not_found),
      cmocka_unit_test(hanging_up_is_an_unknown_outcome),
      cmocka_unit_test(ending_is_an_unknown_outcome_at_any_moment),
      cmocka_unit_test(lines_and_waits_are_bounded),
  };
  return cmocka_run_group_tests(tests, start, stop);
}
